"""Figures of segmentation by hand and equal to scikit-learn's; what is ignored changes none."""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import pytest
from sklearn import metrics as sk

from sightline.errors import DataError, ParameterError
from sightline.metrics import Evaluation as Contract
from sightline.metrics import segment, segment_table
from sightline.metrics.segment import Evaluation, differ
from sightline.types import Segmentation

CLASSES = ("背景", "nut", "washer")


def maps(*values, classes=CLASSES):
    return [Segmentation(np.array(v, np.uint8), classes) for v in values]


def measured(truth, answers, **more):
    classes = more.pop("classes", CLASSES)
    sides = (maps(*part, classes=classes) for part in (truth, answers))
    return Evaluation.of(*sides, np.arange(len(truth)), **more)


def made(images=8, wrong=0.2, seed=0, classes=4, ignored=0.1):
    random = np.random.default_rng(seed)
    truth = random.integers(classes, size=(images, 12, 17))
    noise = random.integers(classes, size=truth.shape)
    answers = np.where(random.random(truth.shape) < wrong, noise, truth)
    return np.where(random.random(truth.shape) < ignored, 255, truth), answers


def test_known_answers_by_hand():
    """Class 0: 3 of 4 right, 1 more answered; class 1: 2 of 3; class 2: 1 of 1."""
    truth, answer = [[0, 0, 0, 0], [1, 1, 1, 2]], [[0, 0, 0, 1], [1, 1, 0, 2]]
    e = measured([truth], [answer])
    assert e.table.confusion.tolist() == [[3, 1, 0, 0], [1, 2, 0, 0], [0, 0, 1, 0]]
    assert e.by_class["iou"].tolist() == [3 / 5, 2 / 4, 1]
    assert e.by_class["dice"].tolist() == [6 / 8, 4 / 6, 1]
    assert e.metrics["miou"] == e.metrics.headline == pytest.approx((0.6 + 0.5 + 1) / 3)
    assert e.metrics["pixel_accuracy"] == 6 / 8
    assert e.metrics["mean_accuracy"] == pytest.approx((3 / 4 + 2 / 3 + 1) / 3)
    assert e.metrics["frequency_weighted_iou"] == pytest.approx((4 * 0.6 + 3 * 0.5 + 1) / 8)
    assert e.metrics["dice"] == pytest.approx((6 / 8 + 4 / 6 + 1) / 3)


@pytest.mark.parametrize("seed", range(6))
def test_figures_equal_scikit_learns_over_all_pixels(seed):
    classes = tuple("abcdef")  # two of them are nowhere
    truth, answers = made(seed=seed, wrong=0.1 * seed)
    e = measured(truth, answers, classes=classes)
    kept = truth != 255
    t, a = truth[kept], answers[kept]
    assert e.table.confusion[:, :-1].tolist() == sk.confusion_matrix(t, a, labels=range(6)).tolist()
    assert e.metrics["miou"] == pytest.approx(sk.jaccard_score(t, a, average="macro"))
    assert e.metrics["dice"] == pytest.approx(sk.f1_score(t, a, average="macro"))
    weighted = sk.jaccard_score(t, a, average="weighted")
    assert e.metrics["frequency_weighted_iou"] == pytest.approx(weighted)
    assert e.metrics["pixel_accuracy"] == pytest.approx(sk.accuracy_score(t, a))
    assert e.metrics["mean_accuracy"] == pytest.approx(sk.balanced_accuracy_score(t, a))
    each = sk.jaccard_score(t, a, average=None, labels=range(4))
    assert e.by_class["iou"][:4].tolist() == pytest.approx(each.tolist())
    assert np.isnan(e.by_class["iou"][4:]).all()
    assert e.absent == (4, 5)


def test_a_class_in_neither_truth_nor_answer_is_left_out_and_listed():
    values = [[0, 2], [2, 0]]
    e = measured([values], [values])
    assert e.metrics["miou"] == 1
    assert e.absent == (1,)
    assert e.remarks == [
        "left out of the means, as neither truth nor answers have the class: nut"
    ]  # fmt: skip


def test_a_class_that_is_answered_and_never_true_counts_as_zero_and_is_listed():
    e = measured([[[0, 0, 0, 0]]], [[[0, 0, 0, 1]]])
    assert e.metrics["miou"] == pytest.approx((3 / 4 + 0) / 2)
    assert "nut (1 pixel)" in " ".join(e.remarks)


def test_the_truth_alone_says_what_is_ignored():
    e = measured([[[0, 1], [2, 255]]], [[[0, 1], [2, 1]]])
    assert e.metrics["miou"] == e.metrics["pixel_accuracy"] == 1
    # To answer 255 is no way out: the pixel is missed, and no class is to blame for it.
    e = measured([[[0, 1], [1, 255]]], [[[0, 1], [255, 255]]])
    assert e.by_class["iou"][:2].tolist() == [1, 0.5]
    assert e.table.confusion[1].tolist() == [0, 1, 0, 1]


def test_an_ignored_class_that_is_answered_does_not_change_the_score():
    truth = [[0, 0, 1, 2, 2]]
    others = [measured([truth], [[[0, 0, 1, *end]]], ignored=["washer"])
              for end in ([2, 2], [0, 1], [1, 255])]  # fmt: skip
    assert {e.metrics["miou"] for e in others} == {1.0}
    assert {e.metrics["pixel_accuracy"] for e in others} == {1.0}
    assert all(e.remarks == ["classes that do not count: washer"] for e in others)
    # Answered for another class, it is that class's miss, and has no IoU of its own in the mean.
    e = measured([truth], [[[0, 2, 1, 2, 2]]], ignored=["washer"])
    assert e.metrics["miou"] == pytest.approx((0.5 + 1) / 2)
    assert np.isnan(e.by_class["iou"][2])
    # The first class can be ignored, too.
    e = measured([truth], [[[1, 0, 1, 2, 2]]], ignored=["背景"])
    assert e.metrics["miou"] == 1
    with pytest.raises(DataError, match="'bolt' cannot be ignored: it is none of 背景, nut"):
        measured([truth], [truth], ignored=["bolt"])


def test_an_image_whose_truth_is_all_ignored_is_named():
    whole = [[0, 1], [1, 0]]
    e = measured([whole, [[255, 255]]], [whole, [[0, 1]]], names=("a.png", "空.png"))
    assert e.metrics["miou"] == 1
    [remark] = [r for r in e.remarks if "counts" in r]
    assert remark.endswith("as all of the truth is ignored: 空.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nothing = measured([[[255]]], [[[0]]])
        assert nothing.metrics.figures == {"miou": 0}
        assert nothing.metrics.interval == (0, 1)
        assert nothing.remarks == ["no image has a pixel that counts, so that nothing is measured"]
        assert np.isnan(nothing.by_class["iou_low"]).all()
        unknown = differ(nothing, nothing, 0.01)
    assert (unknown.low, unknown.high, unknown.needed) == (-1, 1, None)


@pytest.mark.parametrize(
    ("truth", "answer", "text"),
    [
        (np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8),
         "x.png: the truth is 3 x 2 pixels and the answer 2 x 3"),
        (np.zeros((2, 3), np.uint8), np.full((2, 3), 3, np.uint8),
         "x.png: the answer has the value 3, which is none of the 3 classes"),
        (np.full((2, 3), -1), np.zeros((2, 3), np.uint8), "the truth has the value -1"),
        (np.full((2, 3), 900), np.zeros((2, 3), np.uint8), "the truth has the value 900"),
        (np.zeros((2, 3), np.uint8), np.full((2, 3), 1.9999, np.float32),
         "x.png: the answer holds numbers of the kind float32, not class ids"),
    ],
)  # fmt: skip
def test_what_cannot_be_counted_is_refused_in_one_line(truth, answer, text):
    with pytest.raises(DataError, match=text) as error:
        segment_table.count(truth, answer, 3, name="x.png")
    assert "\n" not in str(error.value)


def test_other_classes_and_numbers_of_images_are_refused():
    one = maps([[0]])
    with pytest.raises(DataError, match="other classes: a, b"):
        Evaluation.of(one, maps([[0]], classes=("a", "b")), np.arange(1))
    for truth, answers, rows in ((one, [], 1), (one, one, 2), (one, one, 0), (one * 2, one, 1),
                                 (one, one * 2, 1), ([], [], 0), ([], [], 1)):  # fmt: skip
        with pytest.raises(DataError, match="of the same images"):
            Evaluation.of(truth, answers, np.arange(rows))
    with pytest.raises(DataError, match="there is no image"):
        Evaluation.of_images([])


def test_more_than_255_classes_and_a_picture_of_many_rows():
    classes = tuple(f"class {i}" for i in range(300))
    truth = np.arange(300, dtype=np.int32).repeat(4).reshape(30, 40)
    e = Evaluation.of(
        [Segmentation(truth, classes)], [Segmentation(truth, classes)], np.arange(1)
    )  # fmt: skip
    assert e.metrics["miou"] == 1
    assert e.absent == (255,)  # 255 means ignored, whatever the number of classes
    tall = np.random.default_rng(0).integers(3, size=(1500, 1000)).astype(np.uint8)
    counts, _ = segment_table.count(tall, np.zeros_like(tall), 3)
    assert counts[:, 0].tolist() == np.bincount(tall.ravel()).tolist()


def test_images_are_looked_at_one_by_one():
    """Truth and answers may be iterators, so that no two pictures are held at once."""
    seen = []

    def stream(what):
        for i in range(3):
            seen.append((what, i))
            yield maps([[0, 1]])[0]

    Evaluation.of(stream("truth"), stream("answer"), np.arange(3))
    assert seen == [(what, i) for i in range(3) for what in ("truth", "answer")]


def test_drawing_images_is_measuring_the_drawn_ones():
    truth, answers = made(images=6, wrong=0.4)
    answers[0] = truth[0].clip(0, 3)
    table = measured(truth, answers, classes=tuple("abcd")).table
    rows = [0, 0, 3, 5, 5, 5]
    expected = measured(truth[rows], answers[rows], classes=tuple("abcd")).metrics
    drawn = table.figures(np.bincount(rows, minlength=6)[None])
    assert {k: v[0] for k, v in drawn.items()} == pytest.approx(expected.figures)


def test_intervals_hold_the_figures_and_widen_with_fewer_images():
    truth, answers = made(images=60, wrong=0.3)
    answers[::2] = truth[::2].clip(0, 3)
    many = measured(truth, answers, classes=tuple("abcd"))
    few = measured(truth[:8], answers[:8], classes=tuple("abcd"))
    widths = []
    for e in (many, few):
        assert set(e.intervals) == set(e.metrics)
        assert e.intervals["miou"] == e.metrics.interval
        for name, (low, high) in e.intervals.items():
            assert 0 <= low < e.metrics[name] < high <= 1
        widths.append(e.metrics.interval[1] - e.metrics.interval[0])
        assert (e.by_class["iou_low"] < e.by_class["iou"]).all()
        assert (e.by_class["iou"] < e.by_class["iou_high"]).all()
    assert 1.5 * widths[0] < widths[1]
    assert measured(truth[:1], answers[:1], classes=tuple("abcd")).metrics.interval == (0, 1)


def test_a_better_segmenter_differs_by_what_it_is_better():
    truth, answers = made(images=40, wrong=0.3)
    good, bad = (measured(truth, a, classes=tuple("abcd")) for a in (truth.clip(0, 3), answers))
    difference = differ(bad, good, 0.01)
    assert difference.difference == pytest.approx(good.metrics["miou"] - bad.metrics["miou"])
    assert 0 < difference.low < difference.difference < difference.high
    with pytest.raises(ParameterError, match="same images"):
        differ(good, measured(truth[:3], answers[:3], classes=tuple("abcd")), 0.01)


def test_guessing_one_class_is_said():
    truth = np.zeros((9, 4, 4), np.uint8)
    truth[:, 0, 0] = 1
    e = measured(truth, np.zeros_like(truth))
    assert any("is not above that of answering 背景 everywhere" in r for r in e.remarks)
    answers = truth.copy()
    answers[1:, 0, 0] = 0
    answers[0, 3, 3] = 1
    slightly = measured(truth, answers)
    assert any("is not shown to be above that of answering" in r for r in slightly.remarks)
    assert not any("everywhere" in r for r in measured(truth, truth).remarks)


def test_the_worst_answers_are_kept():
    truth = np.zeros((20, 3, 4), np.uint8)
    truth[:, 1:] = 1
    answers = truth.copy()
    for i in range(15):
        answers[i].ravel()[4 : 5 + i // 2] = 0
    e = measured(truth, answers)
    assert len(e.worst) == segment.WORST
    worst = list(e.worst)
    assert (np.diff(e.by_image[worst]) >= 0).all()
    assert e.by_image[worst[-1]] <= np.delete(e.by_image, worst).min()
    for i in worst:
        assert e.answer(i).label_map.tolist() == answers[i].tolist()
    assert measured(truth, truth).worst == {}


def test_what_is_kept_is_restored(tmp_path):
    from safetensors.numpy import load_file, save_file

    truth, answers = made()
    first = measured(truth, answers, classes=tuple("abcd"), ignored=["d"], names=list("12345678"))
    arrays = {k: np.ascontiguousarray(v) for k, v in first.arrays().items()}
    save_file(arrays, tmp_path / "e")
    again = Evaluation.restored(load_file(tmp_path / "e"))
    assert again.metrics == first.metrics
    assert again.intervals == first.intervals
    assert (again.classes, again.names, again.ignored) == (first.classes, first.names, (3,))
    assert again.remarks == first.remarks
    assert again.worst == first.worst
    i = next(iter(again.worst))
    assert again.answer(i).label_map.tolist() == answers[i].tolist()
    perfect = measured([[[0, 1]]], [[[0, 1]]])
    assert Evaluation.restored(perfect.arrays()).worst == {}


def test_the_rooms_contract_is_met():
    names = [n for n, _ in inspect.getmembers(Contract) if n[0] != "_"]
    e = measured([[[0, 1]]], [[[0, 0]]])
    for name in {*names, "metrics", "rows", "remarks", "beside"}:
        assert hasattr(e, name)
    assert set(e.beside) <= set(e.metrics)
