"""Detectors that learn of some objects alone: what they leave out is counted and named."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import tv_tensors

import sightline
from sightline.deploy.export import export
from sightline.deploy.runtime import Runtime
from sightline.errors import UnknownNameError
from sightline.estimators.detect_untaught import untaught
from sightline.training.boxes import Changed


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


def test_of_drawn_pictures_some_are_looked_at(monkeypatch):
    class Largest(torch.nn.Module):
        untaught = "it learns one"

        def learned(self, boxes, size):
            return torch.arange(len(boxes)) == 0

    monkeypatch.setattr("sightline.estimators.detect_untaught.DRAWN", 5)
    data = sightline.load_data("shapes:count=30,size=32")
    (said,) = untaught(data.train, Largest(), (32, 32))
    counts = [len(item.read_annotation().boxes) for item in data.train.items[:5]]
    assert said.startswith(f"{sum(counts) - 5} of {sum(counts)} objects of the first 5 pictures")


def test_what_a_network_does_not_leave_out_is_not_said(squares):
    class Whole(torch.nn.Module):
        pass

    (small,) = untaught(squares.val, Whole(), (1, 32))
    assert "below 1 pixel at 32 x 1 (" in small
    assert untaught(squares.val, Whole(), (32, 32)) == []
    (said,) = untaught(squares.train, Whole(), (32, 32))
    assert said.startswith("1 of 17 objects play no part in training: 1 without an area in the pic")


@pytest.fixture
def half(tmp_path, draw_coco):
    """Half of the pictures have no object; of two of them somebody wrote [0, 0, 0, 0]."""
    boxes = [[[8, 8, 20, 16]], [], [[4, 4, 16, 20]], [[0, 0, 0, 0]]] * 4
    return draw_coco(tmp_path, boxes)


@pytest.fixture
def draw_coco():
    def make(folder, boxes, size=(48, 40)):
        (folder / "images").mkdir()
        rows = [(i, box) for i, own in enumerate(boxes) for box in own]
        page = {
            "images": [
                {"id": i, "file_name": f"{i}.png", "width": size[0], "height": size[1]}
                for i in range(len(boxes))
            ],
            "annotations": [
                {"id": n, "image_id": i, "category_id": 4, "bbox": box}
                for n, (i, box) in enumerate(rows)
            ],
            "categories": [{"id": 1, "name": "狗"}, {"id": 4, "name": "cat"}],
        }
        (folder / "a.json").write_text(json.dumps(page), encoding="utf-8")
        for i, own in enumerate(boxes):
            pixels = np.full((size[1], size[0], 3), 60, np.uint8)
            for x, y, w, h in own:
                pixels[y : y + h, x : x + w] = 220
            Image.fromarray(pixels).save(folder / f"images/{i}.png")
        data = sightline.load_data(folder)
        return data.with_rows({"train": np.arange(len(boxes))})

    return make


@pytest.mark.parametrize("name", ["ssd-small", "yolo-v1", "localizer:convnet"])
def test_it_trains_where_half_of_the_pictures_have_no_object(name, half):
    assert any("4 objects have no area and play no part" in note for note in half.notes)
    model = sightline.create_model(name, half, **KNOBS | {"epochs": 2}).fit(half.train)
    losses = [row["train_loss"] for row in model.history]
    assert np.isfinite(losses).all()
    assert any("4 of 12 objects play no part" in remark for remark in model.remarks)
    measured = model.evaluate(half.train)
    assert np.isfinite(measured.metrics["ap50"])


def test_a_picture_without_an_object_teaches_what_is_none(half):
    """Its loss falls when the network says background, and no box is asked for."""
    network = sightline.create_model("ssd-small", half, **KNOBS).training(half.train).plain
    images = torch.zeros(1, 3, 32, 32)
    nothing = [{"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}]
    faked = [{"boxes": torch.zeros(1, 4), "labels": torch.zeros(1, dtype=torch.int64)}]
    network.train()
    with torch.no_grad():
        said = network.outputs(images)
    a, b = network.losses(said, nothing), network.losses(said, faked)
    assert float(a["bbox_regression"]) == float(b["bbox_regression"]) == 0
    assert float(a["classification"]) == float(b["classification"]) > 0
    sure = said._replace(logits=said.logits + torch.tensor([9.0, 0, 0]))
    assert network.losses(sure, nothing)["classification"] < a["classification"] / 10


@pytest.mark.parametrize("name", ["ssd-small", "yolo-v1"])
def test_five_hundred_objects_in_a_picture(name, tmp_path, draw_coco):
    crowded = [[8 * (i % 25), 8 * (i // 25), 7, 7] for i in range(500)]
    data = draw_coco(tmp_path, [crowded, [[10, 10, 80, 80]]], (200, 160))
    model = sightline.create_model(name, data, **KNOBS | {"size": 128}).fit(data.train)
    assert np.isfinite(model.history[-1]["train_loss"])
    assert any("more than 100 objects" in r for r in model.evaluate(data.train).remarks)


def test_a_learning_rate_is_obeyed_or_refused(squares):
    training = sightline.create_model("yolo-v1", squares, **KNOBS, lr=0.0123).training(
        squares.train
    )
    rates = {g["lr"] for g in training.optimizers[0].param_groups}
    assert rates == {0.0123}
    with pytest.raises(UnknownNameError, match="lr"):
        sightline.create_model("average-box", squares, lr=0.1)


@pytest.mark.parametrize("boxes", [[], [[5.0, 5, 5, 20]]])
def test_changes_bear_pictures_without_an_object(boxes):
    image = tv_tensors.Image(torch.full((3, 40, 60), 90, dtype=torch.uint8))
    changed = Changed((32, 32), "ssd")
    for seed in range(40):
        torch.manual_seed(seed)
        target = {
            "boxes": torch.tensor(boxes).view(-1, 4),
            "labels": torch.zeros(len(boxes), dtype=torch.int64),
        }
        made, known = changed(image, target)
        assert made.shape == (3, 32, 32)
        assert known["boxes"].shape == (0, 4)


@pytest.mark.parametrize("name", ["yolo-v1", "localizer:convnet"])
def test_one_seed_gives_the_same_bits_and_mixed_precision_learns(name, squares):
    fitted = [
        sightline.create_model(name, squares, **KNOBS, seed=3).fit(squares.train) for _ in range(2)
    ]
    first, second = (model.method_.model.state_dict() for model in fitted)
    for key, tensor in first.items():
        assert torch.equal(tensor, second[key]), key
    mixed = sightline.create_model(name, squares, **KNOBS, precision="bf16-mixed")
    assert np.isfinite(mixed.fit(squares.train).history[-1]["train_loss"])
