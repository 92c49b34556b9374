"""Detectors that learn of some objects alone: what they leave out is counted and named."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import sightline
from sightline.deploy.export import export
from sightline.deploy.runtime import Runtime
from sightline.estimators.detect_untaught import untaught


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Bright squares on dark pictures, in YOLO's layout; one picture has each kind of oddity."""
    place = tmp_path_factory.mktemp("squares")
    (place / "images").mkdir()
    (place / "labels").mkdir()
    (place / "classes.txt").write_text("red\n绿\n", encoding="utf-8")
    random = np.random.default_rng(0)
    odd = {
        1: "0 0.5 0.5 0 0.2\n1 0.75 0.75 0.5 0.5",  # no width; and a whole one
        2: "",
        3: "0 0.25 0.25 0.4 0.4\n1 0.3 0.3 0.1 0.1",  # in one cell
    }
    for i in range(24):
        pixels = random.integers(0, 50, (40, 48, 3), np.uint8)
        label = int(random.integers(2))
        x, y, w, h = (int(v) for v in random.integers((4, 4, 12, 12), (20, 16, 24, 20)))
        pixels[y : y + h, x : x + w, label] = 250
        Image.fromarray(pixels).save(place / "images" / f"{i:02}.png")
        box = f"{label} {(x + w / 2) / 48} {(y + h / 2) / 40} {w / 48} {h / 40}"
        (place / "labels" / f"{i:02}.txt").write_text(odd.get(i, box), encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def squares(folder):
    data = sightline.load_data(folder)
    rows = np.arange(24)
    return data.with_rows({"train": rows[:16], "val": rows[16:20], "test": rows[20:]})


KNOBS = {"epochs": 1, "device": "cpu", "workers": 0, "size": 32, "batch_size": 8}


@pytest.mark.parametrize(
    ("name", "why", "count"),
    [
        ("localizer:convnet", "1 as it learns of the largest object of a picture alone", 1),
        ("yolo-v1", "1 as their cell has a larger object", 1),
        ("ssd-small", None, 0),
    ],
)
def test_it_goes_through_the_verbs_and_says_what_it_leaves_out(
    name, why, count, squares, tmp_path
):  # fmt: skip
    model = sightline.create_model(name, squares, **KNOBS).fit(squares.train, squares.val)
    (said,) = [r for r in model.remarks if "play no part" in r]
    assert said.startswith(f"{1 + count} of 17 objects play no part in training: 1 without an area")
    assert "(01)" in said or "01" in said
    assert why is None or why in said
    measured = model.evaluate(squares.test)
    again = sightline.load_model(model.save(tmp_path / "run"))
    assert dict(again.score(squares.test)) == dict(measured.metrics)
    images = [squares.test[i].image for i in range(3)]
    said = again.predict(images)
    for answer in said:
        assert (answer.boxes <= (48, 40, 48, 40)).all()
        assert not name.startswith("localizer") or len(answer) <= 1
    made = export(tmp_path / "run", tmp_path / "model.onnx")
    assert made.difference < 1e-3
    for a, b in zip(said, Runtime(made.path).predict(images), strict=True):
        n = min(len(a), len(b))
        np.testing.assert_allclose(a.scores[:n], b.scores[:n], atol=1e-4)


def test_what_a_network_does_not_leave_out_is_not_said(squares):
    class Whole(torch.nn.Module):
        pass

    assert untaught(squares.val, Whole()) == []
    (said,) = untaught(squares.train, Whole())
    assert said.startswith("1 of 17 objects play no part in training: 1 without an area in the pic")
