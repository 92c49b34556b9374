"""Exported detectors: the overlap is resolved in the graph, for any batch, as the run does."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import sightline
from sightline.deploy import detect
from sightline.deploy.export import export
from sightline.deploy.graphs.detect import chosen
from sightline.deploy.runtime import Runtime, limit_of, own_limits
from sightline.models.detect.answers import Answering, free_of_overlap, kept
from sightline.report import detect as page
from sightline.types import Detections, Frame


@pytest.fixture(scope="module")
def shapes():
    return sightline.load_data("shapes:count=60,size=64")


@pytest.fixture(scope="module", params=["ssd-small", "yolo-nano"])
def exported(shapes, tmp_path_factory, request):
    folder = tmp_path_factory.mktemp("run")
    model = sightline.create_model(request.param, shapes, epochs=3, device="cpu", workers=0)
    run = model.fit(shapes.train, shapes.val).save(folder / "run")
    return export(run, folder / "model.onnx"), sightline.load_model(run)


def test_the_file_answers_as_the_run(exported, shapes):
    made, run = exported
    assert made.difference < 1e-4
    runtime = Runtime(made.path)
    images = [shapes.test[i].image for i in range(5)]
    pictures = [np.asarray(Image.fromarray(i).resize((100, 70))) for i in images]
    for a, b in zip(run.predict(pictures), runtime.predict(pictures), strict=True):
        n = min(len(a), len(b), 20)
        np.testing.assert_allclose(a.scores[:n], b.scores[:n], atol=1e-4)
        np.testing.assert_allclose(a.boxes[:n], b.boxes[:n], atol=2e-3)


def test_a_batch_is_as_good_as_one_by_one_and_a_blank_picture_is_one_of_it(exported, shapes):
    runtime = Runtime(exported[0].path)
    blank = np.full((64, 64, 3), 128, np.uint8)
    X = np.stack([shapes.test[0].image, blank, shapes.test[1].image])
    together = runtime.outputs(X)
    assert together["boxes"].shape[::2] == (3, 4)
    for i in range(3):
        alone = runtime.outputs(X[i : i + 1])
        np.testing.assert_allclose(alone["scores"][0], together["scores"][i], atol=1e-5)
    answers = runtime.answer(X)
    assert page.shown(answers[1], 0.5) == []


def test_the_worse_of_two_that_overlap_goes_within_its_class_alone():
    boxes = torch.tensor([[[0.0, 0, 10, 10], [1, 0, 11, 10], [20, 20, 30, 30]]])
    scores = torch.tensor([[[0.9, 0.8, 0.3], [0.1, 0.6, 0.0]]])
    kept = free_of_overlap(boxes, scores, 0.5, 0.05)
    expected = torch.tensor([[[0.9, 0.0, 0.3], [0.0, 0.6, 0.0]]])
    assert torch.equal(kept, expected)
    rules = Answering(score=0.05, overlap=0.5, candidates=3, most=4)
    corners, best, labels = chosen(boxes, scores, rules)
    torch.testing.assert_close(best, torch.tensor([[0.9, 0.6, 0.3, 0.0]]))
    assert labels[0, :3].tolist() == [0, 1, 0]
    assert corners[0, 2].tolist() == [20, 20, 30, 30]


def test_answers_are_told_from_a_score_on_the_surest_first():
    classes = ("猫", "dog")
    answer = Detections(
        [[0, 0, 4, 4], [1, 1, 3, 3], [2, 2, 9, 9]], [0, 1, 0], classes, [0.4, 0.9, 0.2]
    )
    told = detect.document(answer)
    assert [(o.label, round(o.score, 2)) for o in told.objects] == [("dog", 0.9), ("猫", 0.4)]
    assert [o.label for o in detect.document(answer, threshold=0.5).objects] == ["dog"]
    one = detect.document(answer, top=1)
    assert (len(one.objects), one.more) == (1, 1)
    row = detect.row(one)
    assert (row["count"], row["labels"], row["boxes"]) == (2, ["dog"], [[1.0, 1.0, 3.0, 3.0]])


def test_outputs_become_objects_in_the_picture_and_empty_rows_none():
    frame = Frame((50, 100), (2.0, 1.0))
    outputs = {
        "boxes": np.array([[[10, 20, 30, 40], [0, 0, 0, 0]]], np.float32),
        "scores": np.array([[0.7, 0.0]], np.float32), "labels": np.array([[1, 0]]),
    }  # fmt: skip
    (answer,) = detect.decode(outputs, SimpleNamespace(classes=("a", "b")), [frame])
    np.testing.assert_allclose(answer.boxes, [[10, 10, 30, 20]])
    assert answer.names == ["b"]


def test_a_difference_is_seen_where_one_has_an_object_more():
    def of(*scores):
        n = len(scores)
        return Detections([[0, 0, 4, 4]] * n, [0] * n, ("a",), scores)

    assert detect.agreement([of(0.9)], [of(0.9)]) == (0.0, 1.0)
    worst, same = detect.agreement([of(0.9, 0.6)], [of(0.9)])
    assert worst == pytest.approx(0.55)
    assert same == 0
    assert detect.agreement([of(0.9, 0.04)], [of(0.9)])[1] == 1


def test_answers_as_sure_as_each_other_are_compared_whatever_their_order():
    boxes = np.array([[0.0, 0, 4, 4], [10, 10, 30, 30], [5, 5, 9, 9]])
    one = Detections(boxes, [0, 0, 1], ("a", "b"), [0.5, 0.5, 0.3])
    moved = boxes[[1, 0, 2]] + 0.05
    other = Detections(moved, [0, 0, 1], ("a", "b"), [0.5, 0.5, 0.301])
    worst, alike = detect.agreement([one], [other])
    assert worst == pytest.approx(0.001, abs=1e-6)
    assert alike == 1


def test_boxes_are_drawn_with_names_of_any_script():
    sheet = Image.new("RGB", (300, 200), "white")
    answer = Detections([[40, 60, 120, 150]], [0], ("猫",), [0.75])
    drawn = page.annotate(sheet, answer, top=5, threshold=0.0)
    assert drawn.size == (300, 200)
    changed = np.flatnonzero((np.asarray(drawn) != 255).any(2).any(1))
    assert changed.min() < 60
    assert changed.max() == 149
    assert page.cells(answer, top=3, threshold=0.0) == ("1 猫", "猫 0.75")
    assert page.cells(answer, top=3, threshold=0.9)[0] is None


def test_boxes_of_each_class_are_chosen_as_the_run_chooses_them():
    random = torch.Generator().manual_seed(0)
    corner = torch.rand(2, 30, 3, 2, generator=random) * 40
    boxes = torch.cat((corner, corner + 10 + torch.rand(2, 30, 3, 2, generator=random) * 20), -1)
    scores = torch.rand(2, 3, 30, generator=random)
    rules = Answering(score=0.3, overlap=0.3, candidates=20, most=25)
    corners, best, labels = chosen(boxes, scores, rules)
    for i in range(2):
        answer = kept(boxes[i], scores[i], rules)
        n = len(answer["scores"])
        assert 10 < n <= 25
        assert torch.equal(best[i, :n], answer["scores"])
        assert (best[i, n:] == 0).all()
        assert torch.equal(corners[i, :n], answer["boxes"])
        assert torch.equal(labels[i, :n], answer["labels"])


def test_thresholds_of_classes_hold_for_each_object():
    answer = Detections([[0, 0, 4, 4]] * 3, [0, 1, 1], ("a", "b"), [0.5, 0.5, 0.8])
    limits = limit_of(answer, [0.4, 0.7])
    assert [o.label for o in detect.document(answer, threshold=limits).objects] == ["b", "a"]
    assert len(detect.told(answer, [0.0, 0.0])) == 3  # 0: none was chosen, so that it is 0.3
    assert page.cells(answer, top=3, threshold=[0.9, 0.9]) == (None, "the surest below 0.9: 0.80")
    assert own_limits("detect", (0.4, 0.7), 0.0) == [0.4, 0.7]
    assert own_limits("detect", (0.4, 0.7), 0.25) == 0.25
    assert own_limits("detect", (), 0.0) == 0.0
    assert own_limits("classify", (0.4, 0.7), 0.0) == 0.0
