"""YOLOX is the published one, learns, and answers like its parts."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from sightline.errors import DataError, ParameterError
from sightline.models.detect.answers import Answering
from sightline.models.detect.boxes import iou
from sightline.models.detect.yolox import FORMS, YOLOX, from_published, yolox

KNOWN = json.loads((Path(__file__).parent / "yolox.json").read_text(encoding="utf-8"))
"""Keys, shapes, outputs and losses of the package pixeltable-yolox 0.4.3 (Apache-2.0)."""


def seeded_state(shapes):
    """Return a state dict that depends on its keys and shapes alone."""
    state = {}
    for place, (key, shape) in enumerate(sorted(shapes.items())):
        draws = np.random.default_rng(place).normal(size=shape)
        if key.endswith("num_batches_tracked"):
            state[key] = torch.tensor(0)
        elif key.endswith(("bn.weight", "running_var")):
            state[key] = torch.from_numpy(1 + 0.1 * np.abs(draws)).float()
        elif len(shape) == 4:
            state[key] = torch.from_numpy(draws / np.sqrt(np.prod(shape[1:]))).float()
        else:
            state[key] = torch.from_numpy(0.1 * draws).float()
    return state


def shapes_of(model):
    return {key: tuple(value.shape) for key, value in model.state_dict().items()}


def digest_of(shapes):
    lines = "\n".join(f"{key} {list(shape)}" for key, shape in sorted(shapes.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def pictures():
    return torch.from_numpy(np.random.default_rng(7).uniform(0, 255, (2, 3, 96, 128))).float()


def targets():
    return [
        {
            "boxes": torch.tensor([[10.0, 12, 50, 60], [40, 30, 120, 90]]),
            "labels": torch.tensor([3, 7]),
        },
        {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)},
    ]


@pytest.mark.parametrize("form", FORMS)
def test_keys_and_shapes_are_those_of_the_published_form(form):
    with torch.device("meta"):
        model = yolox(form)
    assert digest_of(shapes_of(model)) == KNOWN[form]["digest"]
    assert sum(p.numel() for p in model.parameters()) == KNOWN[form]["parameters"]


@pytest.mark.parametrize("form", ["nano", "tiny"])
def test_outputs_and_losses_are_those_of_the_published_code(form):
    model = yolox(form)
    model.load_state_dict(seeded_state(shapes_of(model)))
    model.eval()
    with torch.no_grad():
        said = model.outputs(pictures())
        boxes = model.boxes(said)
    known = KNOWN[form]
    places = known["places"]
    assert torch.allclose(boxes[:, places], torch.tensor(known["boxes"]), atol=1e-3, rtol=1e-4)
    objects = said.objects.sigmoid()[:, places]
    assert torch.allclose(objects, torch.tensor(known["objects"]), atol=1e-4)
    classes = said.classes.sigmoid()[:, places, :5]
    assert torch.allclose(classes, torch.tensor(known["classes"]), atol=1e-4)
    model.train()
    model.closing = True
    with torch.no_grad():
        lost = model(pictures() / 255, targets())
    for name, value in known["losses"].items():
        assert float(lost[name]) == pytest.approx(value, rel=1e-4)


def test_published_filters_are_turned_from_blue_green_red():
    model = YOLOX(2, 0.33, 0.25, light=True)
    model.load_state_dict(seeded_state(shapes_of(model)))
    turned = YOLOX(2, 0.33, 0.25, light=True)
    turned.load_state_dict(from_published({"model": model.state_dict()}))
    model.eval(), turned.eval()
    with torch.no_grad():
        there = model.outputs(pictures().flip(1))
        here = turned.outputs(pictures())
    assert torch.allclose(there.codes, here.codes, atol=1e-4)


@pytest.fixture(scope="module")
def learned():
    """A tiny network that has learned a picture with two objects and one with none by heart."""
    torch.manual_seed(0)
    model = YOLOX(8, 0.33, 0.125)
    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 0.2  # few steps
    images = torch.zeros(2, 3, 96, 128)
    images[0, 0, 12:60, 10:50], images[0, 1, 30:90, 40:120] = 2.0, 2.0
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    falling = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, 160)
    for step in range(160):
        model.closing = step > 130
        loss = sum(model(images.repeat(6, 1, 1, 1), targets() * 6).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        falling.step()
    model.eval()
    return model, images


def test_it_learns_objects_and_that_a_picture_has_none(learned):
    model, images = learned
    model.answering = Answering(score=0.5, overlap=0.45)
    with torch.no_grad():
        first, second = model(images)
    order = first["labels"].argsort()
    assert first["labels"][order].tolist() == [3, 7]
    assert (iou(first["boxes"][order], targets()[0]["boxes"]).diagonal() > 0.6).all()
    assert len(second["boxes"]) == 0


def test_images_alone_are_answered_as_in_a_batch(learned):
    model, images = learned
    with torch.no_grad():
        together, alone = model(images), [model(image[None])[0] for image in images]
    for a, b in zip(together, alone, strict=True):
        assert all(torch.allclose(a[name].float(), b[name].float(), atol=1e-3) for name in a)


def test_an_object_without_area_and_a_batch_without_objects_lose_nothing():
    torch.manual_seed(0)
    model = YOLOX(8, 0.33, 0.125)
    none = [{"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}] * 2
    flat = [{"boxes": torch.tensor([[5.0, 5, 5, 9]]), "labels": torch.tensor([1])}] * 2
    for given in (none, flat):
        lost = model(pictures() / 255, given)
        assert lost["boxes"].item() == lost["classes"].item() == 0
        sum(lost.values()).backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_sides_and_targets_are_checked():
    model = YOLOX(2, 0.33, 0.125)
    with pytest.raises(DataError, match="multiples of 32 pixels, not 100 x 96"):
        model(torch.zeros(1, 3, 96, 100), [])
    with pytest.raises(ParameterError, match="one for each image"):
        model(torch.zeros(1, 3, 96, 96), [])
