"""Detectors on regions from outside: regions are kept by content, and move with the picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision import tv_tensors

import sightline
from sightline.cli import look
from sightline.estimators import detect_regions
from sightline.estimators.detect_regions import RegionNetwork, remembered, searched
from sightline.models.detect.proposals import selective_search
from sightline.training import probe
from sightline.training.boxes import Changed, Gathered, WithRegions

KNOBS = {"epochs": 2, "device": "cpu", "workers": 0}


@pytest.fixture(scope="module")
def shapes():
    return sightline.load_data("shapes:count=40,size=64")


@pytest.fixture(scope="module")
def fitted(shapes):
    return sightline.create_model("fast-rcnn", shapes, **KNOBS).fit(shapes.train, shapes.val)


def test_regions_are_searched_once_and_damage_is_mended(shapes, home, monkeypatch):
    X = np.stack([shapes.train[i].image for i in range(3)])
    seen = []
    once = remembered(X, 50, lambda done, whole: seen.append((done, whole)))
    assert seen[-1] == (3, 3)
    for image, boxes in zip(X, once, strict=True):
        np.testing.assert_array_equal(boxes, selective_search(image, 50))
    files = sorted((home / "regions").rglob("*.safetensors"))
    assert len(files) == 3
    files[0].write_bytes(b"damaged")
    calls = []

    def counting(image, most):
        calls.append(most)
        return selective_search(image, most)

    monkeypatch.setattr("sightline.models.detect.proposals.selective_search", counting)
    again = remembered(X, 50)
    assert calls == [50]
    for a, b in zip(once, again, strict=True):
        np.testing.assert_array_equal(a, b)
    remembered(X[:1], 20)
    searched(X[:1], 20)
    assert calls == [50, 20, 20]


def test_what_is_learned_from_is_remembered_and_what_is_answered_is_searched(shapes, home):
    knobs = {"regions": 20, "crop": 32, "network": "own", "steps": 1}
    model = sightline.create_model("rcnn", shapes, **knobs).fit(shapes.train)
    kept = len(list((home / "regions").rglob("*.safetensors")))
    assert kept == len(shapes.train)
    model.evaluate(shapes.test)
    assert len(list((home / "regions").rglob("*.safetensors"))) == kept


def test_it_learns_and_a_saved_run_answers_alike(fitted, shapes, tmp_path):
    assert isinstance(fitted.method_, RegionNetwork)
    first, last = fitted.history
    assert last["train_loss"] < first["train_loss"]
    measured = fitted.evaluate(shapes.test)
    again = sightline.load_model(fitted.save(tmp_path / "run"))
    assert dict(again.score(shapes.test)) == dict(measured.metrics)
    (answer,) = fitted.predict([np.zeros((90, 130, 3), np.uint8)])
    assert (answer.boxes <= (130, 90, 130, 90)).all()


def test_the_same_seed_gives_the_same_bits(fitted, shapes):
    again = sightline.create_model("fast-rcnn", shapes, **KNOBS).fit(shapes.train, shapes.val)
    for name, tensor in fitted.method_.model.state_dict().items():
        assert torch.equal(tensor, again.method_.model.state_dict()[name]), name


def test_rcnn_is_a_detector_like_any(shapes, tmp_path):
    knobs = {"regions": 40, "crop": 32, "network": "own", "steps": 5}
    model = sightline.create_model("rcnn", shapes, **knobs).fit(shapes.train)
    assert model.method_.search is searched
    measured = model.evaluate(shapes.test)
    again = sightline.load_model(model.save(tmp_path / "run"))
    assert again.method_.search is searched
    assert dict(again.score(shapes.test)) == dict(measured.metrics)


@pytest.mark.parametrize("augment", ["none", "flip", "ssd"])
def test_regions_stay_where_the_objects_are(augment):
    """A region that is an object's box is so after any change."""
    image = torch.zeros((3, 60, 90), dtype=torch.uint8)
    box = torch.tensor([[30.0, 20, 72, 44]])
    regions = {7: torch.cat((box / torch.tensor([90, 60, 90, 60]), torch.tensor([[0, 0, 1, 1.0]])))}
    changed, seen = WithRegions(Changed((64, 64), augment), regions), 0
    for seed in range(20):
        torch.manual_seed(seed)
        target = {"boxes": box, "labels": torch.tensor([4]), "row": 7}
        _, made = changed(tv_tensors.Image(image), target)
        if not len(made["boxes"]):
            continue
        seen += 1
        assert made["labels"].tolist() == [4]
        assert torch.allclose(made["regions"][0], made["boxes"][0], atol=1e-3)
    assert seen > 10


def test_a_crowd_is_no_object_and_its_regions_stay():
    target = {
        "boxes": torch.tensor([[0.0, 0, 10, 10], [2, 2, 30, 30]]), "labels": torch.tensor([0, 2]),
        "crowd": torch.tensor([True, False]), "row": 0,
    }  # fmt: skip
    image = tv_tensors.Image(torch.zeros((1, 40, 40), dtype=torch.uint8))
    changed = WithRegions(Changed((20, 20), "none"), {0: torch.tensor([[0, 0, 0.25, 0.25]])})
    made = changed(image, target)
    assert made[1]["labels"].tolist() == [2]
    assert made[1]["regions"].tolist() == [[0, 0, 5, 5]]
    bare = changed(image, {"row": 0})
    assert len(bare[1]["boxes"]) == 0
    _, targets = Gathered(tuple(made[0].shape[-2:]))([made[0], bare[0]], [made[1], bare[1]])
    assert [sorted(t) for t in targets] == [["boxes", "labels", "regions"]] * 2


def test_a_read_only_cache_costs_no_answer(shapes, monkeypatch):
    def refuse(*_):
        raise OSError("read-only")

    monkeypatch.setattr(detect_regions.run, "write_arrays", refuse)
    image = shapes.train[0].image
    np.testing.assert_array_equal(remembered(image[None], 30)[0], selective_search(image, 30))


@pytest.mark.parametrize("name", ["ssd-small", "fast-rcnn", "faster-rcnn-small"])
def test_a_training_of_any_detector_can_be_examined(name, shapes):
    model = sightline.create_model(name, shapes, **KNOBS)
    knobs = look.without_regularisers(model.knobs(name))
    assert knobs["augment"] == "none"
    assert "smoothing" not in knobs
    assert "smoothing" in look.without_regularisers(model_knobs("mlp"))
    calm = sightline.create_model(name, shapes, **(KNOBS | knobs))
    cost = probe.estimate(calm.training(shapes.train))
    assert cost.input == (16, 3, 64, 64)
    assert cost.output == ()
    first, *_, last = probe.overfit_batch(calm.training(shapes.train), steps=6)
    assert last < first


def model_knobs(name):
    return type(sightline.create_model(name)).knobs(name)
