"""Figures of masks by hand, and equal to slow ones on whole label maps."""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import confusion_matrix

from sightline.errors import DataError, ParameterError
from sightline.metrics import Evaluation as Contract
from sightline.metrics import detect
from sightline.metrics.instances import Evaluation, differ
from sightline.metrics.instances_figures import LEVELS, aggregated_jaccard, pictures
from sightline.metrics.instances_table import Masks, MaskTable
from sightline.types import Detections

NUCLEI = ("细胞核",)


def measured(truth, answers, classes=NUCLEI, **more):
    """Measure maps of object numbers."""
    sides = ([Masks.of_map(np.asarray(m), classes) for m in maps] for maps in (truth, answers))
    return Evaluation.of(*sides, np.arange(len(truth)), **more)


def row(*runs):
    """A picture of ten rows: runs of (object number, width)."""
    return np.concatenate([np.full((10, width), number) for number, width in runs], 1)


def random_map(random, things=9, size=(40, 50)):
    numbers = np.zeros(size, np.int64)
    for i in range(int(random.integers(0, things))):
        y, x = random.integers(0, 36, 2)
        h, w = random.integers(3, 14, 2)
        numbers[y : y + h, x : x + w] = i + 1
    return numbers


def random_maps(seed, images=4):
    random = np.random.default_rng(seed)
    truth = [random_map(random) for _ in range(images)]
    moved = [np.roll(t, random.integers(-2, 3, 2), (0, 1)) for t in truth]
    return truth, [
        np.where(random_map(random) % 5 == 1, random_map(random), numbers) for numbers in moved
    ]


def overlaps(truth, answer):
    """IoU and pixels in common by scikit-learn's confusion matrix of the two maps."""
    t, t_ids = np.unique(truth, return_inverse=True)
    a, a_ids = np.unique(answer, return_inverse=True)
    n = max(len(t), len(a)) + 1  # a label more, as scikit-learn warns of one alone
    counts = confusion_matrix(t_ids.ravel(), a_ids.ravel(), labels=range(n))[: len(t), : len(a)]
    union = counts.sum(1)[:, None] + counts.sum(0) - counts
    rows, columns = t != 0, a != 0
    part = np.ix_(rows, columns)
    return (counts / union)[part], counts[part], counts.sum(1)[rows], counts.sum(0)[columns]


def match_score(shares, level):
    """As Cellpose matches: as many pairs as can be, and of these the nearest."""
    t, a = shares.shape
    if t + a == 0:
        return np.nan
    good = shares >= level
    pairs = linear_sum_assignment(-good.astype(float) - shares / (2 * max(min(t, a), 1)))
    hits = good[pairs].sum()
    return hits / (t + a - hits)


def jaccard(shares, counts, true, said):
    """Kumar's algorithm 1, object by object."""
    if not len(true) + len(said):
        return np.nan
    common = together = 0
    used = set()
    for i in range(len(true)):
        best = int(shares[i].argmax()) if len(said) else 0
        if not len(said) or counts[i, best] == 0:
            together += true[i]
            continue
        common += counts[i, best]
        together += true[i] + said[best] - counts[i, best]
        used.add(best)
    together += sum(said[j] for j in range(len(said)) if j not in used)
    return common / together


@pytest.mark.parametrize("seed", range(30))
def test_figures_equal_those_of_whole_label_maps(seed):
    truth, answers = random_maps(seed)
    e = measured(truth, answers)
    known = [overlaps(t, a) for t, a in zip(truth, answers, strict=True)]
    for k, level in enumerate(LEVELS):
        expected = [match_score(shares, level) for shares, *_ in known]
        assert e.pictures.match[:, k].tolist() == pytest.approx(expected, nan_ok=True)
    assert e.metrics["match50"] == pytest.approx(np.nanmean(e.pictures.match[:, 0]))
    assert e.metrics["match90"] == pytest.approx(np.nanmean(e.pictures.match[:, 8]))
    assert e.pictures.aji.tolist() == pytest.approx([jaccard(*k) for k in known], nan_ok=True)
    above = np.concatenate([s[s > 0.5] for s, *_ in known])
    sides = sum(s.shape[0] + s.shape[1] for s, *_ in known)
    assert e.metrics["pq"] == pytest.approx(above.sum() / (sides / 2))
    assert e.metrics["rq"] == pytest.approx(2 * len(above) / sides)
    assert e.metrics["sq"] == pytest.approx(above.mean() if len(above) else 0)
    off = np.array([s.shape[1] - s.shape[0] for s, *_ in known])
    assert e.metrics["count_error"] == pytest.approx(np.abs(off).mean())
    assert e.metrics["count_bias"] == pytest.approx(off.mean())
    inside = [(c > 0.5 * t[:, None], c > 0.5 * a) for _, c, t, a in known]
    assert e.metrics["answers_merged"] == sum(int((i.sum(0) > 1).sum()) for i, _ in inside)
    assert e.metrics["objects_split"] == sum(int((i.sum(1) > 1).sum()) for _, i in inside)


def test_known_answers_by_hand():
    """One right at IoU 0.8, one missed, one answer on nothing; then both right."""
    truth = [row((1, 10), (0, 5), (2, 10), (0, 15)), row((1, 10), (2, 10))]
    answers = [row((1, 8), (0, 22), (2, 10)), row((1, 10), (2, 10))]
    e = measured(truth, answers)
    assert e.metrics["match50"] == e.metrics["match80"] == pytest.approx((1 / 3 + 1) / 2)
    assert e.metrics["match90"] == pytest.approx((0 + 1) / 2)
    assert e.metrics["match"] == pytest.approx(((7 / 3 + 0) / 9 + 1) / 2)
    assert e.metrics["sq"] == pytest.approx((0.8 + 1 + 1) / 3)
    assert e.metrics["rq"] == pytest.approx(3 / (3 + 1 / 2 + 1 / 2))
    assert e.metrics["pq"] == pytest.approx(e.metrics["sq"] * e.metrics["rq"])
    assert e.metrics["aji"] == pytest.approx((80 / (100 + 100 + 100) + 1) / 2)
    assert e.metrics["count_error"] == e.metrics["count_bias"] == 0
    assert "average precision" not in " ".join(e.metrics)


def test_coco_and_the_papers_on_nuclei_never_share_a_name():
    """Two objects, one of them answered: COCO's AP50 is 51/101, the match score 1/2."""
    e = measured([row((1, 10), (2, 10))], [row((1, 10), (0, 10))])
    assert e.metrics["ap50"] == pytest.approx(51 / 101)
    assert e.metrics["match50"] == 0.5
    assert e.metrics.headline_name == "ap"


def test_merged_and_split_objects():
    truth = row((1, 10), (2, 10), (0, 5), (3, 12))
    merged = measured([truth], [row((1, 20), (0, 5), (2, 12))])
    assert (merged.metrics["answers_merged"], merged.metrics["objects_split"]) == (1, 0)
    assert merged.pictures.merged.tolist() == [True, False]
    assert merged.metrics["count_bias"] == -1
    split = measured([truth], [row((1, 10), (2, 10), (0, 5), (3, 6), (4, 6))])
    assert (split.metrics["answers_merged"], split.metrics["objects_split"]) == (0, 1)
    assert split.pictures.split.tolist() == [False, False, True]
    assert split.metrics["count_error"] == split.metrics["count_bias"] == 1
    half = measured([row((1, 10), (2, 10))], [row((1, 15), (0, 5))])
    assert half.metrics["answers_merged"] == 0  # half of an object is not most of it


def test_objects_of_other_classes_are_never_matched():
    classes = ("a", "b")
    truth = Masks.of_map(row((1, 10), (2, 10)), classes, [0, 1])
    answers = Masks.of_map(row((1, 10), (2, 10)), classes, [0, 0])
    e = Evaluation.of([truth], [answers], np.arange(1))
    assert e.metrics["match50"] == pytest.approx(1 / 3)
    assert e.metrics["pq"] == pytest.approx((1 / 1.5 + 0) / 2)
    assert e.metrics["aji"] == pytest.approx(100 / 300)
    assert e.by_class["pq"].tolist() == pytest.approx([1 / 1.5, 0])
    assert e.by_class["answered"].tolist() == [2, 0]


def test_answers_in_a_crowd_are_neither_right_nor_wrong():
    shapes = [row((1, 20), (0, 20)) > 0, row((0, 25), (1, 10), (0, 5)) > 0]
    truth = Masks.of_shapes(shapes, (10, 40), [0, 0], NUCLEI, crowd=np.array([True, False]))
    answers = Masks.of_map(row((1, 8), (2, 8), (0, 9), (3, 10), (0, 5)), NUCLEI)
    e = Evaluation.of([truth], [answers], np.arange(1))
    assert {e.metrics[n] for n in ("ap", "match50", "match90", "aji", "pq")} == {1.0}
    assert e.metrics["count_error"] == e.metrics["objects_split"] == 0


def test_an_answer_that_lies_half_in_a_crowd_is_the_crowds_at_every_level():
    shapes = [row((1, 20), (0, 20)) > 0, row((0, 25), (1, 10), (0, 5)) > 0]
    truth = Masks.of_shapes(shapes, (10, 40), [0, 0], NUCLEI, crowd=np.array([True, False]))
    answers = Masks.of_map(row((0, 14), (1, 10), (0, 1), (2, 10), (0, 5)), NUCLEI)
    e = Evaluation.of([truth], [answers], np.arange(1))
    assert e.pictures.match.tolist() == [[1] * 9]
    assert e.metrics["count_error"] == 0


def test_thresholds_decide_which_answers_are_given():
    truth = Masks.of_map(row((1, 10), (0, 10)), NUCLEI)
    answers = Masks.of_map(row((1, 10), (2, 10)), NUCLEI, 0, [0.9, 0.2])
    every = Evaluation.of([truth], [answers], np.arange(1))
    assert every.metrics["match50"] == 0.5
    assert every.best_thresholds.tolist() == pytest.approx([0.55])
    tuned = every.with_thresholds(every.best_thresholds)
    assert isinstance(tuned, Evaluation)
    assert tuned.metrics["match50"] == tuned.metrics["pq"] == tuned.metrics["f1"] == 1
    assert tuned.metrics["ap"] == every.metrics["ap"] == 1
    assert len(tuned.answer(0)) == 1
    assert len(every.answer(0)) == 2


def test_no_object_and_no_answer():
    blank, one = row((0, 20)), row((1, 10), (0, 10))
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        both = measured([blank, one], [blank, one])
        assert both.metrics["match50"] == both.metrics["aji"] == 1  # of the picture that has one
        wrong = measured([blank], [one])
        assert (wrong.metrics["ap"], wrong.metrics["match50"], wrong.metrics["aji"]) == (0, 0, 0)
        assert wrong.metrics["count_error"] == 1
        nothing = measured([blank], [blank])
        assert "match50" not in nothing.metrics
        assert nothing.metrics["ap"] == 0
        assert nothing.remarks[0].startswith("no image has an object that counts")
        assert np.isnan(nothing.by_class["pq"]).all()
        assert (differ(nothing, nothing, 0.01).low, differ(nothing, nothing, 0.01).high) == (-1, 1)
    empty = Detections(np.zeros((0, 4)), np.zeros(0), NUCLEI, masks=np.zeros((0, 10, 20), bool))
    assert Evaluation.of([empty], [empty], np.arange(1)).metrics["count_error"] == 0


def test_three_hundred_instances_are_counted_and_the_limit_of_cocos_figures_is_said():
    numbers = np.kron(np.arange(1, 301).reshape(15, 20), np.ones((6, 6), int))
    e = measured([numbers], [numbers])
    assert {e.metrics[n] for n in ("match50", "match90", "aji", "pq")} == {1.0}
    assert e.pictures.true.tolist() == e.pictures.answered.tolist() == [[300]]
    assert e.metrics["ap"] < 0.4
    assert any("more than 100 objects of a class" in remark for remark in e.remarks)


def test_intervals_hold_the_figures():
    truth, answers = random_maps(3, images=30)
    e = measured(truth, answers)
    names = ("ap", "match50", "match", "aji", "pq", "sq", "rq", "count_error", "count_bias")
    for name in names:
        low, high = e.intervals[name]
        assert low < e.metrics[name] < high
    assert e.intervals["ap"] == e.metrics.interval
    assert e.intervals["count_error"][0] >= 0
    alone = measured(truth[:1], answers[:1])
    assert alone.intervals["match50"] == (0, 1)
    assert alone.intervals["count_bias"] == (-np.inf, np.inf)


def test_drawing_pictures_is_measuring_the_drawn_ones():
    truth, answers = random_maps(4, images=6)
    rows = [0, 0, 2, 3, 3, 5]
    drawn = measured(truth, answers).pictures.figures(np.bincount(rows, minlength=6)[None])
    expected = measured([truth[i] for i in rows], [answers[i] for i in rows]).metrics
    assert {k: v[0] for k, v in drawn.items()} == pytest.approx({k: expected[k] for k in drawn})


def test_a_better_model_differs_by_what_it_is_better():
    truth, answers = random_maps(7, images=20)
    good, bad = measured(truth, truth), measured(truth, answers)
    difference = differ(bad, good, 0.01)
    assert difference.difference == pytest.approx(good.metrics["ap"] - bad.metrics["ap"])
    assert difference.low > 0
    with pytest.raises(ParameterError, match="same images"):
        differ(good, measured(truth[:2], truth[:2]), 0.01)


def test_what_is_kept_is_restored(tmp_path):
    from safetensors.numpy import load_file, save_file

    truth, answers = random_maps(5)
    truth[1][:] = answers[2][:] = 0
    for limits in (None, np.array([0.5])):
        first = measured(truth, answers, thresholds=limits)
        arrays = {k: np.ascontiguousarray(v) for k, v in first.arrays().items()}
        save_file(arrays, tmp_path / "e")
        again = Evaluation.restored(load_file(tmp_path / "e"))
        assert isinstance(again, Evaluation)
        assert again.metrics == first.metrics
        assert again.intervals == first.intervals
        assert again.answer(3).codes == first.answer(3).codes
        assert again.answer(3).size == (40, 50)
        for own, kept in zip(first.table.shared, again.table.shared, strict=True):
            assert own.tolist() == kept.tolist()
    blank = measured([row((0, 20))], [row((0, 20))])
    assert Evaluation.restored(blank.arrays()).metrics == blank.metrics


def test_the_rooms_contract_is_met():
    names = [n for n, _ in inspect.getmembers(Contract) if n[0] != "_"]
    e = measured(*random_maps(1))
    for name in {*names, "metrics", "rows", "remarks", "beside"}:
        assert hasattr(e, name)
    assert set(e.beside) <= set(e.metrics)
    assert isinstance(e, detect.Evaluation)  # so that causes of errors are detection's
    assert e.errors.counts["missed"] >= 0


@pytest.mark.parametrize(
    ("truth", "answers", "rows", "text"),
    [
        ([], [], 0, "of the same images, at least one"),
        ([np.ones((3, 4), int)], [], 1, "of the same images"),
        ([np.ones((3, 4), int)], [np.ones((4, 3), int)], 1,
         "核.png: the true masks are 4 x 3 pixels .width x height., the answered ones 3 x 4"),
    ],
)  # fmt: skip
def test_what_cannot_be_measured_is_refused(truth, answers, rows, text):
    sides = ([Masks.of_map(m, NUCLEI) for m in maps] for maps in (truth, answers))
    with pytest.raises(DataError, match=text) as error:
        Evaluation.of(*sides, np.arange(rows), names=["核.png"] * rows)
    assert "\n" not in str(error.value)


def test_objects_without_masks_and_other_classes_are_refused_by_name():
    plain = Detections(np.array([[0, 0, 2, 2]]), np.array([0]), NUCLEI)
    with pytest.raises(DataError, match=r"^核\.png: 1 object has a box but no mask"):
        Evaluation.of([plain], [plain], np.arange(1), names=["核.png"])
    one, other = (Masks.of_map(np.ones((3, 4), int), (name,)) for name in "ab")
    with pytest.raises(DataError, match="image 7: truth and answers are of other classes: a; b"):
        Evaluation.of([one], [other], np.array([7]))


def test_half_an_overlap_is_a_match_and_not_one_of_panoptic_quality():
    e = measured([row((1, 10), (0, 5))], [row((1, 5), (0, 10))])
    assert e.metrics["match50"] == e.metrics["ap50"] == 1
    assert e.metrics["pq"] == e.metrics["sq"] == e.metrics["rq"] == 0


def test_the_aggregated_index_of_nothing_and_of_empty_masks():
    none = np.zeros(0)
    assert np.isnan(aggregated_jaccard(np.zeros((0, 0), int), none, none))
    assert aggregated_jaccard(np.zeros((0, 1), int), none, np.array([9.0])) == 0
    assert aggregated_jaccard(np.zeros((1, 0), int), np.array([9.0]), none) == 0
    assert np.isnan(aggregated_jaccard(np.zeros((1, 1), int), np.zeros(1), np.zeros(1)))


def test_one_answer_may_be_the_best_of_two_objects_of_the_index():
    """Kumar's algorithm lets an answer serve twice; what it covers then counts twice."""
    e = measured([row((1, 10), (2, 10))], [row((1, 20))])
    assert e.metrics["aji"] == pytest.approx(200 / 400)


def test_the_table_alone_is_enough():
    masks = Masks.of_map(row((1, 10), (0, 3)), NUCLEI)
    assert pictures(MaskTable.of([masks], [masks])).right.tolist() == [[1] * 9]
