"""torchvision's detectors beside those of the bench: losses, answers, COCO weights, knobs."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
import pytest
import torch
from torchvision.models import detection, get_model

import sightline
from sightline.deploy.export import export
from sightline.errors import ParameterError, UnknownNameError
from sightline.models import registry
from sightline.models.detect import faster_rcnn, foreign, published

SMALL = "fasterrcnn_mobilenet_v3_large_320_fpn"
NAMES = published.coco_outputs()


def built(name, classes=3, side=(128, 160)):
    torch.manual_seed(0)
    return foreign.torchvision_detector(classes, 3, side, name=name)


@pytest.mark.parametrize(
    ("name", "side"),
    [(SMALL, (128, 160)), ("ssdlite320_mobilenet_v3_large", (320, 320)),
     ("fcos_resnet50_fpn", (64, 64)), ("retinanet_resnet50_fpn", (64, 64))],
)  # fmt: skip
def test_losses_and_answers_are_torchvisions(name, side):
    ours = built(name, side=side)
    with torch.no_grad():
        for key, tensor in ours.state_dict().items():
            if key.endswith(("cls_logits.bias", "cls_score.bias")):
                tensor.fill_(0.0)
    sized = {} if "ssd" in name else {"min_size": min(side), "max_size": 10**4}
    theirs = get_model(
        name, weights=None, weights_backbone=None, num_classes=4, image_mean=[0.0] * 3,
        image_std=[1.0] * 3, **sized,
    )  # fmt: skip
    theirs.load_state_dict({k.removeprefix("network."): t for k, t in ours.state_dict().items()})
    x = torch.rand(2, 3, *side)
    box = torch.tensor([[5.0, 6.0, 40.0, 50.0], [9.0, 9.0, 9.0, 30.0]])
    none = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
    targets = [{"boxes": box, "labels": torch.tensor([0, 2])}, none]
    shifted = [{"boxes": t["boxes"][:1], "labels": t["labels"][:1] + 1} for t in targets]
    for network in (ours, theirs):
        network.train()
    torch.manual_seed(1)
    said = ours(x, targets)
    torch.manual_seed(1)
    torch.testing.assert_close(said, theirs(list(x), shifted))
    for network in (ours, theirs):
        network.eval()
    with torch.no_grad():
        answers, wanted = ours(x), theirs(list(x))
    assert sum(len(one["boxes"]) for one in answers) > 0
    for mine, other in zip(answers, wanted, strict=True):
        real = other["labels"] > 0
        torch.testing.assert_close(mine["boxes"], other["boxes"][real])
        torch.testing.assert_close(mine["scores"], other["scores"][real])
        assert torch.equal(mine["labels"] + 1, other["labels"][real])


def test_every_detector_of_boxes_has_its_card_and_head():
    assert len(foreign.detectors()) == 9
    assert not [n for n in foreign.detectors() if "mask" in n or "keypoint" in n]
    for name in foreign.detectors():
        card = registry.card(f"torchvision:{name}")
        assert (str(card.task), card.rung) == ("detect", False)
        with torch.device("meta"):
            model = foreign.torchvision_detector(5, 1 if "ssd" in name else 3, name=name)
        state = model.state_dict()
        scoring = [k for k in state if k.startswith(model.head_names) and k.endswith("weight")]
        assert len(scoring) >= 1
        assert all(len(state[k]) % 6 == 0 for k in scoring)


def test_names_of_both_tasks_are_suggested():
    assert str(registry.card("torchvision:resnet18").task) == "classify"
    with pytest.raises(UnknownNameError, match="'fcos_resnet50_fpn'"):
        registry.card("torchvision:fcos_resnet50_fpm")
    with pytest.raises(UnknownNameError, match="'resnet34'"):
        registry.card("torchvision:resnet33")
    assert str(registry.card("torchvision:maskrcnn_resnet50_fpn").task) == "instances"
    with pytest.raises(UnknownNameError, match="'maskrcnn_resnet50_fpn'"):
        registry.card("torchvision:maskrcnn_resnet50_fpm")


def test_it_is_trained_saved_and_asked_like_any(tmp_path):
    data = sightline.load_data("shapes:count=12,size=96")
    model = sightline.create_model(
        f"torchvision:{SMALL}", data, epochs=1, batch_size=2, device="cpu"
    )
    model.fit(data.train, data.val)
    images = [sample.image for sample in data.test]
    again = sightline.load_model(model.save(tmp_path / "run")).predict(images)
    for one, other in zip(model.predict(images), again, strict=True):
        np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-3)
    with pytest.raises(ParameterError, match="no ONNX graph"):
        export(tmp_path / "run", tmp_path / "model.onnx")


@pytest.fixture
def kept_here(tmp_path, monkeypatch):
    """Keep a detector with random weights in the place of a published file."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("SIGHTLINE_HOME", str(tmp_path / "home"))

    def keep(name):
        torch.manual_seed(0)
        network = get_model(name, weights=None, weights_backbone=None, num_classes=91).eval()
        about = published.torchvisions(name)
        path = tmp_path / "hub" / "checkpoints" / about.url.rpartition("/")[2]
        path.parent.mkdir(parents=True, exist_ok=True)
        state = {k: t for k, t in network.state_dict().items() if "num_batches" not in k}
        torch.save(state, path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
        about = dataclasses.replace(about, sha256=digest)
        monkeypatch.setattr(published, "torchvisions", lambda name: about)
        monkeypatch.setattr(published, "DETECTORS", {"faster-rcnn": about})
        return network

    return keep


def test_coco_weights_of_torchvisions_detector(kept_here):
    theirs = kept_here(SMALL)
    ours = built(SMALL, classes=2).eval()
    brought = published.load_published(f"torchvision:{SMALL}", ours, ("zebra", "person"))
    assert brought.fresh == ()
    assert (brought.mean, brought.metrics) == ((0.485, 0.456, 0.406), {"ap": 22.8})
    x = torch.rand(3, 1024)
    with torch.no_grad():
        mine, other = (n.roi_heads.box_predictor(x) for n in (ours.network, theirs))
    rows = [0, NAMES.index("zebra"), NAMES.index("person")]
    torch.testing.assert_close(mine[0], other[0][:, rows])
    boxes = other[1].reshape(3, 91, 4)[:, rows]
    torch.testing.assert_close(mine[1].reshape(3, 3, 4), boxes)
    other_classes = built(SMALL, classes=1).eval()
    brought = published.load_published(f"torchvision:{SMALL}", other_classes, ("猫",))
    assert {k.rpartition(".")[0] for k in brought.fresh} == set(other_classes.head_names)


@pytest.mark.slow
def test_coco_weights_of_faster_rcnn(kept_here):
    theirs = kept_here("fasterrcnn_resnet50_fpn")
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = 0.0  # as torchvision sets it where it loads them
    ours = sightline.models.registry.card("coco:faster-rcnn")
    arguments = dict(ours.arguments)
    assert arguments == {"frozen": True, "epsilon": 0.0}
    network = faster_rcnn.faster_rcnn(2, **arguments).eval()
    assert published.load_published("faster-rcnn", network, ("zebra", "person")).fresh == ()
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        for mine, other in zip(network.backbone(x), theirs.backbone(x).values(), strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4)
    assert isinstance(theirs, detection.FasterRCNN)
