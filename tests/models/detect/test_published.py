"""Weights of a classifier for a detector's backbone, and those of torchvision's detectors."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from urllib.error import URLError

import pytest
import torch
from torchvision.models import detection, vgg16

import sightline
from sightline.bench import compare
from sightline.data import store, voc
from sightline.errors import WeightsError
from sightline.models import carried
from sightline.models.detect import published, ssd, ssd_light
from sightline.models.detect.yolox import yolox
from sightline.models.weights import load_published

NAMES = published.coco_outputs()
REAL = [n for n in NAMES[1:] if n != "N/A"]

needs_lite = pytest.mark.skipif(
    not carried.installed("efficientnet_lite0"), reason="the extra 'pretrained' is not installed"
)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("SIGHTLINE_HOME", str(tmp_path / "home"))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def theirs(hub, monkeypatch):
    """torchvision's SSD300 with random weights in the place of its published file."""
    torch.manual_seed(0)
    model = detection.ssd300_vgg16(weights=None, weights_backbone=None, num_classes=91).eval()
    about = published.DETECTORS["ssd300"]
    path = hub / about.url.rpartition("/")[2]
    torch.save(model.state_dict(), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(published, "DETECTORS", {"ssd300": replace(about, sha256=digest[:8])})
    return model


def test_coco_has_eighty_names_on_ninety_one_outputs():
    assert len(NAMES) == 91
    assert len(REAL) == len(set(REAL)) == 80
    assert published.rows_of(REAL, NAMES) == [0, *(NAMES.index(n) for n in REAL)]
    assert published.rows_of(["N/A"], NAMES) is None
    assert published.rows_of(["__background__"], NAMES) is None
    assert published.rows_of([], NAMES) == [0]
    rows = published.rows_of(voc.CLASSES, NAMES)
    assert len(set(rows)) == 21
    assert NAMES[rows[1 + voc.CLASSES.index("sofa")]] == "couch"


def test_a_detector_of_coco_answers_as_torchvisions_in_the_order_of_the_data(theirs, hub):
    classes = ("zebra", "Stop_Sign", "person")
    ours = ssd.ssd300(3).eval()
    brought = published.load_published("ssd300", ours, classes)
    assert brought.fresh == ()
    assert (brought.mean[0], brought.std[0]) == (0.48235, 1 / 255)
    assert brought.categories == tuple(REAL)
    x = torch.rand(1, 3, 300, 300)
    with torch.no_grad():
        said = ours.outputs(x)
        maps = list(theirs.backbone(x).values())
        wanted = theirs.head(maps)
    rows = [0, NAMES.index("zebra"), NAMES.index("stop sign"), NAMES.index("person")]
    torch.testing.assert_close(said.logits, wanted["cls_logits"][..., rows])
    torch.testing.assert_close(said.deltas, wanted["bbox_regression"])
    (hub / published.DETECTORS["ssd300"].url.rpartition("/")[2]).unlink()
    kept = list((store.home() / "weights").glob("ssd300*.safetensors"))
    assert len(kept) == 1  # kept: the file is not asked for again
    grey = ssd.ssd300(2, 1).eval()
    brought = published.load_published("ssd300", grey, ("person", "cup of tea"))
    assert brought.fresh == tuple(
        k for k in grey.state_dict() if k.startswith("head.classification_head.")
    )
    assert (len(brought.mean), len(brought.std)) == (1, 1)
    with torch.no_grad():
        grey_maps = grey.backbone(x[:, :1])
        coloured = theirs.backbone(x[:, :1].expand(-1, 3, -1, -1))
    for mine, other in zip(grey_maps, coloured.values(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-4)
    with pytest.raises(WeightsError, match="do not fit SSD"):
        published.load_published("ssd300", ssd_light.ssdlite(3), classes)


@pytest.mark.parametrize(("classes", "channels"), [(("dog", "person"), 3), (("猫", "dog"), 1)])
def test_yoloxs_file_is_taken_by_name_for_red_green_and_blue(hub, classes, channels):
    torch.manual_seed(0)
    theirs = yolox("nano").eval()
    given = theirs.state_dict()
    torch.save({"model": given, "start_epoch": 300}, hub / "yolox_nano.pth")
    ours = yolox("nano", 2, channels).eval()
    brought = published.load_published("yolo-nano", ours, classes)
    assert (brought.mean[0], brought.std[0], len(brought.mean)) == (0.0, 1 / 255, channels)
    assert "Apache-2.0" in brought.licence
    x = torch.rand(1, channels, 64, 64) * 255
    with torch.no_grad():
        said, wanted = ours.outputs(x), theirs.outputs(x.expand(-1, 3, -1, -1).flip(1))
    torch.testing.assert_close(said.codes, wanted.codes, rtol=1e-4, atol=1e-4)
    if channels == 1:
        assert brought.fresh
        assert all(k.startswith("head.cls_preds.") for k in brought.fresh)
    else:
        assert brought.fresh == ()
        rows = [REAL.index("dog"), REAL.index("person")]
        torch.testing.assert_close(said.classes, wanted.classes[..., rows], rtol=1e-4, atol=1e-4)


def test_offline_and_other_files_are_said_in_a_line(hub, monkeypatch):
    def offline(*args, **kwargs):
        raise URLError("Temporary failure in name resolution")

    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    model = ssd_light.ssdlite(2)
    with pytest.raises(WeightsError) as error:
        published.load_published("ssd300", model, ("a", "b"))
    text = str(error.value)
    assert "\n" not in text
    assert "name resolution" in text
    assert "put the file ssd300_vgg16_coco-b556d3b4.pth" in text
    assert text.endswith(f"into the folder {hub}")
    (hub / "ssd300_vgg16_coco-b556d3b4.pth").write_bytes(b"something else")
    with pytest.raises(WeightsError, match=r"is not the file that was published .*delete it"):
        published.load_published("ssd300", model, ("a", "b"))


def test_ssd300_stands_on_torchvisions_vgg16(hub):
    with torch.device("meta"):
        shapes = vgg16(weights=None).state_dict()
    state = {k: torch.rand(t.shape) for k, t in shapes.items() if k.startswith("features")}
    state["classifier.0.bias"], state["classifier.3.bias"] = torch.rand(4096), torch.rand(4096)
    state["classifier.0.weight"] = torch.rand(4096, 1).expand(-1, 25088)
    state["classifier.3.weight"] = torch.rand(4096, 1).expand(-1, 4096)
    torch.save(state, hub / "vgg16-397923af.pth")
    model = ssd.ssd300(4)
    before = model.head.regression_head.module_list[0].weight.clone()
    brought = load_published("vgg16", model, 4)
    assert brought.name == "VGG16_Weights.IMAGENET1K_V1"
    assert torch.equal(model.backbone.features[0].weight, state["features.0.weight"])
    assert torch.equal(model.backbone.extra[0][1].weight, state["features.24.weight"])
    assert torch.equal(model.backbone.extra[0][-1][3].bias, state["classifier.3.bias"][::4])
    assert torch.equal(model.head.regression_head.module_list[0].weight, before)
    assert {k.split(".")[0] for k in brought.fresh} == {"backbone", "head"}
    assert not [k for k in brought.fresh if k.startswith(("backbone.features", "backbone.extra.0"))]
    with pytest.raises(WeightsError, match="do not fit"):
        load_published("vgg16", ssd.ssd300_bn(4), 4)


@needs_lite
@pytest.mark.parametrize("channels", [1, 3])
def test_ssdlite_stands_on_the_carried_efficientnet(channels):
    model = ssd_light.ssdlite(4, channels, 64)
    brought = load_published("efficientnet_lite0", model, 4)
    state = carried.read("efficientnet_lite0")
    assert torch.equal(
        model.backbone.blocks[6][0].conv_pwl.weight, state["blocks.6.0.conv_pwl.weight"]
    )
    stem = state["conv_stem.weight"]
    wanted = stem if channels == 3 else stem.sum(1, keepdim=True)
    assert torch.equal(model.backbone.conv_stem.weight, wanted)
    assert brought.mean == carried.MEAN[:channels]
    assert {".".join(k.split(".")[:2]) for k in brought.fresh} == {
        "head.classification_head", "head.regression_head",
    }  # fmt: skip


def test_the_ladder_has_the_trained_backbone_where_its_weights_are(monkeypatch):
    shapes = sightline.load_data("shapes:count=12,size=64")
    monkeypatch.setattr(carried, "installed", lambda name: True)
    assert "ssdlite-imagenet" in compare.ladder(shapes, budget=60, task="detect")[0]
    monkeypatch.setattr(carried, "installed", lambda name: False)
    names, notes = compare.ladder(shapes, budget=60, task="detect")
    assert {"ssdlite", "ssd-small"} < set(names)
    assert "ssdlite-imagenet" not in names
    assert any("ssdlite-imagenet; pip install" in note for note in notes)
