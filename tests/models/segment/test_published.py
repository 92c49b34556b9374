"""Weights of torchvision's semantic networks, by the names of the classes."""

from __future__ import annotations

import pytest
import torch
from torchvision.models.segmentation import fcn_resnet50

from sightline.data import voc
from sightline.errors import WeightsError
from sightline.models.segment import deeplabv3, fcn, published


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("SIGHTLINE_HOME", str(tmp_path / "home"))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def test_every_class_of_pascal_voc_has_its_output():
    names = ("background", *voc.CLASSES)
    assert published.outputs() == names
    assert published.rows_of(names) == list(range(21))
    assert published.rows_of(["Dining_Table", "TV", "Background"]) == [11, 20, 0]
    assert published.rows_of(["background", "cat", "void"]) is None


def test_the_digest_is_that_of_the_address():
    for name in published.NETWORKS:
        entry = published._entry(name)
        assert len(published.digest_of(entry.url)) == 8


def test_a_network_of_coco_answers_as_torchvisions_in_the_order_of_the_data(hub, monkeypatch):
    torch.manual_seed(0)
    theirs = fcn_resnet50(weights=None, weights_backbone=None, num_classes=21, aux_loss=True).eval()
    torch.save(theirs.state_dict(), hub / "fcn_resnet50_coco-1167a1af.pth")
    monkeypatch.setattr(published, "digest_of", lambda url: "")
    ours = fcn.fcn_resnet50(3).eval()
    brought = published.load_published("fcn-resnet50", ours, ("background", "person", "Cat"))
    assert brought.fresh == ()
    assert brought.categories[15] == "person"
    assert brought.metrics == {"miou": 60.5}
    x = torch.rand(1, 3, 64, 45)
    with torch.no_grad():
        expected = theirs(x)
        rows = [0, 15, 8]
        torch.testing.assert_close(ours(x), expected["out"][:, rows], rtol=1e-5, atol=1e-5)
        assert torch.equal(
            ours.aux_classifier[4].weight, theirs.aux_classifier[4].weight[rows]
        )  # fmt: skip
    grey = fcn.fcn_resnet50(2, 1, auxiliary=False).eval()
    brought = published.load_published("fcn-resnet50", grey, ("猫", "person"))
    assert brought.fresh == ("classifier.4.weight", "classifier.4.bias")
    assert len(brought.mean) == len(brought.std) == 1
    with torch.no_grad():
        maps = grey.backbone(x[:, :1])[-1]
        coloured = theirs.backbone(x[:, :1].expand(-1, 3, -1, -1))["out"]
    torch.testing.assert_close(maps, coloured, rtol=1e-3, atol=1e-4)
    with pytest.raises(WeightsError, match="do not fit OnMaps"):
        published.load_published("fcn-resnet50", deeplabv3.deeplabv3_lite(2), ("a", "b"))


def test_another_file_is_said_in_a_line(hub):
    (hub / "deeplabv3_resnet50_coco-cd0a2569.pth").write_bytes(b"something else")
    with torch.device("meta"):
        model = deeplabv3.deeplabv3_resnet50(2)
    with pytest.raises(WeightsError, match=r"is not the file that was published .*delete it"):
        published.load_published("deeplabv3", model, ("a", "b"))
