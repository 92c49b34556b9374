"""An evaluation of a detector keeps its contract, and says what it left out."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from sightline.errors import DataError, ParameterError
from sightline.metrics import Evaluation as Contract
from sightline.metrics.detect import Evaluation, differ
from sightline.types import Detections

CLASSES = ("螺丝", "nut", "washer")
NOTHING = Detections(np.zeros((0, 4)), np.zeros(0), CLASSES)


def detections(boxes, labels, scores=(), **marks):
    return Detections(np.array(boxes), np.array(labels), CLASSES, np.array(scores), **marks)


def made(images=12, noise=1.0, seed=0):
    """Images of two objects and answers that are off by some pixels; every third has none."""
    random = np.random.default_rng(seed)
    truth, answers = [], []
    for i in range(images):
        n = 0 if i % 3 == 2 else 2
        corners = np.array([[10, 10], [90, 90]])[:n] + random.uniform(0, 30, (n, 2))
        boxes = np.concatenate([corners, corners + 40], 1)
        labels = random.integers(2, size=n)
        truth.append(detections(boxes, labels) if n else NOTHING)
        off = boxes + random.normal(0, noise, boxes.shape)
        answers.append(detections(off, labels, random.random(n)) if n else NOTHING)
    return truth, answers


def measured(noise=1.0, **more):
    truth, answers = made(noise=noise)
    return Evaluation.of(truth, answers, np.arange(len(truth)), **more)


def test_what_is_kept_is_restored():
    truth, answers = made()
    truth[0] = detections([[0, 0, 20, 20], [30, 0, 60, 60]], [0, 1], crowd=np.array([True, False]))
    first = Evaluation.of(truth, answers, np.arange(12) + 100, thresholds=np.array([0.1, 0.2, 0.5]))
    arrays = first.arrays()
    assert all(isinstance(a, np.ndarray) for a in arrays.values())
    again = Evaluation.restored({name: array.copy() for name, array in arrays.items()})
    assert again.metrics == first.metrics
    assert again.classes == CLASSES
    assert again.rows.tolist() == first.rows.tolist()
    assert again.confusion.tolist() == first.confusion.tolist()
    assert again.arrays().keys() == arrays.keys()
    without = measured()
    assert Evaluation.restored(without.arrays()).thresholds is None


def test_arrays_can_be_saved_as_safetensors(tmp_path):
    from safetensors.numpy import load_file, save_file

    evaluation = measured()
    save_file({k: np.ascontiguousarray(v) for k, v in evaluation.arrays().items()}, tmp_path / "e")
    assert Evaluation.restored(load_file(tmp_path / "e")).metrics == evaluation.metrics


def test_the_rooms_contract_is_met():
    names = [n for n, _ in inspect.getmembers(Contract) if n[0] != "_"]
    evaluation = measured()
    for name in {*names, "metrics", "rows", "remarks", "beside"}:
        assert hasattr(evaluation, name)
    assert set(evaluation.beside) <= set(evaluation.metrics)


def test_perfect_answers_have_all_figures_of_one():
    evaluation = measured(noise=0)
    figures = dict(evaluation.metrics.figures)
    assert figures.pop("ar1") == 0.75  # one answer of a class cannot be two objects
    assert set(figures.values()) == {1.0}
    assert evaluation.metrics.interval == (1, 1)
    assert evaluation.by_class["precision"][:2].tolist() == [1, 1]
    assert "ap_small" not in evaluation.metrics  # there is no small object, and no -1


def test_the_interval_holds_the_figure_and_images_are_counted():
    evaluation = measured(noise=4)
    low, high = evaluation.metrics.interval
    assert 0 <= low < evaluation.metrics.headline < high <= 1
    assert evaluation.metrics.n == 12
    assert 0.1 < evaluation.metrics["ap"] < evaluation.metrics["ap50"]


def test_classes_without_an_object_are_named():
    truth, answers = made(noise=0)
    [remark] = Evaluation.of(truth, answers, np.arange(12)).remarks
    assert remark == "left out of the means, as no image has an object of the class: washer"
    answers[2] = detections([[0, 0, 9, 9]], [2], [0.5])
    evaluation = Evaluation.of(truth, answers, np.arange(12), thresholds=np.zeros(3))
    assert evaluation.remarks[0].endswith("washer (1 answer, all of them wrong)")
    assert evaluation.metrics["ap"] == 1  # as COCO's, whose mean is over classes with objects
    assert evaluation.metrics["precision"] == pytest.approx(2 / 3)  # but false it is
    assert evaluation.by_class["f1"].tolist() == [1, 1, 0]


def test_no_object_anywhere_is_said_and_has_no_figure_below_zero():
    answers = [detections([[0, 0, 9, 9]], [0], [0.5]), NOTHING]
    for said in (answers, [NOTHING, NOTHING]):
        evaluation = Evaluation.of([NOTHING, NOTHING], said, np.arange(2))
        assert evaluation.metrics.figures == {"ap": 0, "ap50": 0}
        assert evaluation.metrics.interval == (0, 1)
        assert evaluation.remarks[0].startswith("no image has an object that counts")
        unknown = differ(evaluation, evaluation, 0.01)
        assert (unknown.low, unknown.high, unknown.needed) == (-1, 1, None)


def test_only_crowds_are_neither_good_nor_bad():
    crowd = detections([[0, 0, 90, 90]], [0], crowd=np.array([True]))
    said = detections([[5, 5, 20, 20]], [0], [0.9])
    truth, answers = made(noise=0)
    plain = Evaluation.of(truth, answers, np.arange(12))
    truth[2], answers[2] = crowd, said
    with_crowd = Evaluation.of(truth, answers, np.arange(12))
    assert with_crowd.metrics.figures == plain.metrics.figures
    assert with_crowd.confusion.tolist() == plain.confusion.tolist()


def test_more_objects_than_answers_that_are_looked_at_is_said():
    corners = np.array([[20 * (i % 11), 20 * (i // 11)] for i in range(101)])
    boxes = np.concatenate([corners, corners + 15], 1)
    all_of_them = detections(boxes, [0] * 101, [0.9] * 101)
    evaluation = Evaluation.of([all_of_them], [all_of_them], np.arange(1))
    assert evaluation.metrics["ar100"] == pytest.approx(100 / 101)
    assert evaluation.metrics["voc2010"] == 1
    assert any(
        "1 image with more than 100 objects of a class, 101" in r for r in evaluation.remarks
    )
    assert min(evaluation.metrics.figures.values()) >= 0
    exactly = detections(boxes[:100], [0] * 100, [0.9] * 100)
    assert len(Evaluation.of([exactly], [exactly], np.arange(1)).remarks) == 1


def test_areas_are_those_of_masks_where_there_are_any():
    masks = np.zeros((1, 60, 60), bool)
    masks[0, :50, :20] = True
    truth = detections([[0, 0, 50, 50]], [0], masks=masks)
    evaluation = Evaluation.of([truth], [truth], np.arange(1))
    assert "ap_small" in evaluation.metrics  # 1,000 of 2,500 square pixels
    stated = Evaluation.of([truth], [truth], np.arange(1), areas=[np.array([2500.0])])
    assert "ap_medium" in stated.metrics


def test_paired_difference():
    good, bad = measured(noise=1), measured(noise=5)
    result = differ(good, bad, 0.01)
    assert result.difference == pytest.approx(bad.metrics["ap"] - good.metrics["ap"])
    assert result.low <= result.difference <= result.high < 0
    assert differ(good, good, 0.01).difference == 0
    truth, answers = made()
    shifted = Evaluation.of(truth, answers, np.arange(12) + 1)
    with pytest.raises(ParameterError, match="same images"):
        differ(good, shifted, 0.01)


def test_what_cannot_be_measured_is_refused():
    truth, answers = made()
    with pytest.raises(DataError, match="12, 11 and 12"):
        Evaluation.of(truth, answers[:-1], np.arange(12))
    with pytest.raises(DataError, match="at least one"):
        Evaluation.of([], [], np.arange(0))
    other = Detections(np.zeros((0, 4)), np.zeros(0), ("cat",))
    with pytest.raises(DataError, match="other classes"):
        Evaluation.of(truth, [*answers[:-1], other], np.arange(12))
