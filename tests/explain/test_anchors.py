"""Anchors and the objects they answer for: counted as training counts them, drawn, and told why."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

import sightline
from sightline.cli.main import status as main
from sightline.errors import DataError, ParameterError
from sightline.explain import anchors
from sightline.models.detect.assign import match_default_boxes
from sightline.models.detect.assignment import reasons
from sightline.models.detect.boxes import iou


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A picture with a middling object, a tiny one, two in one place and one without height."""
    place = tmp_path_factory.mktemp("set")
    (place / "images").mkdir()
    (place / "labels").mkdir()
    (place / "classes.txt").write_text("猫\nset=1\n", encoding="utf-8")
    rows = ["0 0.4 0.4 0.3 0.3", "1 0.9 0.9 0.03 0.03", "1 0.42 0.41 0.28 0.3", "0 0.5 0.1 0.2 0"]
    for i in range(6):
        Image.new("RGB", (96, 96), (40 * i, 90, 90)).save(place / f"images/{i}.png")
        (place / f"labels/{i}.txt").write_text("\n".join(rows if i < 5 else []), encoding="utf-8")
    return place


def test_counts_are_those_of_training(folder):
    explained = anchors.explain("ssd-small", "images/2.png", str(folder))
    made, boxes = explained.assignment, torch.from_numpy(explained.objects.boxes)
    assert made.groups == ("24 x 24", "12 x 12", "6 x 6", "3 x 3", "2 x 2")
    assert torch.equal(made.assigned, match_default_boxes(iou(boxes, made.anchors)))
    sides = (24, 12, 6, 3, 2)
    assert made.places.bincount().tolist() == [side**2 * (4 if side == 24 else 6) for side in sides]
    first, tiny, twin = explained.rows()  # the one without height is none of the objects
    assert first["class"] == "猫"
    assert first["anchors"] + twin["anchors"] > 2
    assert tiny["anchors"] == 1
    assert "has its best one alone" in tiny["why"]
    assert tiny["best"] < 0.5
    assert any("answer" in row["why"] and "object" in row["why"] for row in (first, twin))


def test_reasons_by_hand():
    overlaps = torch.tensor([[0.6, 0.7, 0.1], [0.5, 0.2, 0.0], [0.0, 0.3, 0.4], [0.0, 0, 0]])
    said = reasons(overlaps, torch.tensor([0, 0, 2]), 0.5, torch.tensor([True] * 3 + [False]))
    assert said == (
        "", "those that overlap it most answer for object 1",
        "none overlaps it by 0.5: it has its best one alone, at 0.40",
        "it has no area, so that it teaches nothing",
    )  # fmt: skip
    said = reasons(overlaps[:2], torch.tensor([0, 1, -1]), 0.5, torch.tensor([True, True]))
    assert said[0].startswith(
        "1 other overlaps it enough, but answers for object 2, which it overlaps more"
    )


def test_a_cell_of_yolo_answers_for_its_largest_object(folder):
    explained = anchors.explain("yolo-v1", "1", str(folder))
    rows = explained.rows()
    assert explained.assignment.called == "cell"
    assert [row["anchors"] for row in rows] == [1, 1, 0]
    assert rows[2]["why"].endswith("answers for a larger one, object 1")


def test_it_is_drawn_and_told(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["explain", "anchors", "ssd-small", str(folder / "images/0.png"), "--data", str(folder)]
    assert main([*words, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [one["class"] for one in said["objects"]] == ["猫", "set=1", "set=1"]
    drawn = np.asarray(Image.open(tmp_path / said["picture"]).convert("RGB"))
    assert drawn.std() > 10
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "猫" in shown
    assert "0-anchors.png" in shown


def test_a_trained_run_knows_its_data(folder, tmp_path):
    data = sightline.load_data(folder)
    rows = data.with_rows({"train": np.arange(4)})
    knobs = {"epochs": 0.5, "device": "cpu", "workers": 0, "size": 64}
    run = sightline.create_model("yolo-v1", rows, **knobs).fit(rows.train).save(tmp_path / "run")
    explained = anchors.explain(str(run), "3.png")
    assert explained.pixels.shape == (64, 64, 3)
    assert explained.rows()[0]["anchors"] == 1


def test_options_of_drawn_data_have_to_be_named(tmp_path):
    data = sightline.load_data("shapes:count=12,size=32")
    knobs = {"epochs": 0.5, "device": "cpu", "workers": 0}
    run = sightline.create_model("yolo-v1", data, **knobs).fit(data.train).save(tmp_path / "run")
    with pytest.raises(ParameterError, match="was trained on other shapes than these: name data="):
        anchors.explain(str(run), "000003")
    explained = anchors.explain(str(run), "000003", "shapes:count=12,size=32")
    assert explained.pixels.shape == (32, 32, 3)


def test_what_cannot_be_explained_is_said(folder, tmp_path):
    for model, image, data, message in (
        ("ssd-small", "9.png", str(folder), "has no picture 9.png; the first is images/0.png"),
        ("ssd-small", "5.png", str(folder), "has no object"),
        ("ssd-small", "0.png", None, "name it with data="),
        ("localizer:convnet", "0.png", str(folder), "assigns no anchors"),
        ("average-box", "0.png", str(folder), "is not trained by the engine"),
    ):
        with pytest.raises((DataError, ParameterError), match=message):
            anchors.explain(model, image, data)


def test_anchors_of_faster_rcnn_take_what_its_thresholds_say(folder):
    explained = anchors.explain("faster-rcnn-small", "2", str(folder))
    made, boxes = explained.assignment, torch.from_numpy(explained.objects.boxes)
    overlaps = iou(boxes, made.anchors)
    assert made.called == "anchor"
    assert len(made.places) == len(made.anchors)
    assert made.places.max() + 1 == len(made.groups)
    for row in range(len(boxes)):  # its best anchor, unless that overlaps another object more
        best = int(overlaps[row].argmax())
        assert made.assigned[best] == overlaps[:, best].argmax()
    taken = made.assigned >= 0
    weak = torch.nonzero(taken & (overlaps.max(0).values < 0.7)).flatten()
    highest = overlaps == overlaps.max(1, keepdim=True).values
    assert bool(highest[:, weak].any(0).all())  # ties of an object's best one, and no others
    assert bool(taken[overlaps.max(0).values >= 0.7].all())


def test_cells_of_yolox_are_those_of_its_training(folder, tmp_path):
    explained = anchors.explain("yolo-nano", "2", str(folder))
    made = explained.assignment
    assert (made.called, made.groups) == ("cell", ("12 x 12", "6 x 6", "3 x 3"))
    counts = [row["anchors"] for row in explained.rows()]
    assert 0 < sum(counts) == int((made.assigned >= 0).sum())
    centres = (made.anchors[:, :2] + made.anchors[:, 2:]) / 2
    for row, box in enumerate(explained.objects.boxes):
        for x, y in centres[made.assigned == row].tolist():  # within it, or near its centre
            near = max(abs(x - (box[0] + box[2]) / 2), abs(y - (box[1] + box[3]) / 2))
            assert (box[0] < x < box[2] and box[1] < y < box[3]) or near <= 2.5 * 32
