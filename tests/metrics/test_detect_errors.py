"""Each wrong answer has one cause, and each cause its cost, by hand on the smallest sets."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.metrics import detect_errors as causes
from sightline.metrics import detect_precision as precision
from sightline.metrics.detect import rates
from sightline.metrics.detect_table import Answers, Objects, Table

A, B = [0, 0, 100, 100], [200, 0, 300, 100]
"""Two objects far from each other."""


def table(objects, answers, classes=2, images=1):
    """Objects (box, label, image) and answers (box, label, score, image); marks as a fourth."""
    n = len(objects)
    boxes = np.array([o[0] for o in objects], float).reshape(-1, 4)
    return Table(
        Objects(
            boxes, np.array([o[1] for o in objects], np.int64),
            np.array([o[2] for o in objects], np.int64),
            np.array([len(o) > 3 and o[3] == "crowd" for o in objects], np.bool_).reshape(n),
            np.array([len(o) > 3 and o[3] == "difficult" for o in objects], np.bool_).reshape(n),
            (boxes[:, 2:] - boxes[:, :2]).prod(1),
        ),
        Answers(
            np.array([a[0] for a in answers], float).reshape(-1, 4),
            np.array([a[1] for a in answers], np.int64),
            np.array([a[3] for a in answers], np.int64),
            np.array([a[2] for a in answers], float),
        ),
        images, classes,
    )  # fmt: skip


HALF_OF_A = [0, 0, 100, 40]  # IoU 0.4 with A

CASES = [
    ("classification", (A, 1, 0.9, 0), 1),
    ("localisation", (HALF_OF_A, 0, 0.9, 0), 1),
    ("both", (HALF_OF_A, 1, 0.9, 0), 0),
    ("background", ([500, 500, 540, 540], 0, 0.9, 0), 0),
]


@pytest.mark.parametrize(("kind", "answer", "mended"), CASES)
def test_the_cause_of_a_wrong_answer_and_its_cost(kind, answer, mended):
    """B is found by a worse answer; without the wrong one precision at it is whole."""
    t = table([(A, 0, 0), (B, 0, 0)], [answer, (B, 0, 0.5, 0)])
    result = causes.errors(t)
    assert result.kinds.tolist() == [causes.KINDS.index(kind), causes.NONE]
    assert result.missed.tolist() == [not mended, False]
    assert result.counts == {k: int(k == kind) + (k == "missed") * (1 - mended)
                             for k in causes.KINDS}  # fmt: skip
    # Of two objects one is reached: 51 of 101 recalls, at a precision of 1/2 where the wrong
    # answer, better than the right one, is of the class.
    of_class = answer[1] == 0
    before = 51 / 101 * (0.5 if of_class else 1)
    after = 1 if mended else 51 / 101
    assert result.costs[kind] == pytest.approx(after - before)


def test_a_duplicate_costs_what_stands_behind_it():
    t = table(
        [(A, 0, 0), (B, 0, 0)], [(A, 0, 0.9, 0), ([2, 0, 100, 100], 0, 0.8, 0), (B, 0, 0.5, 0)]
    )
    kinds = causes.errors(t)
    assert kinds.counts["duplicate"] == 1
    assert kinds.objects.tolist() == [-1, 0, -1]
    before = (51 + 50 * 2 / 3) / 101
    assert kinds.costs == pytest.approx(dict.fromkeys(causes.KINDS, 0) | {"duplicate": 1 - before})


def test_missed_objects_are_not_asked_for():
    t = table([(A, 0, 0), (B, 0, 0), (A, 1, 1)], [(A, 0, 0.9, 0)], images=2)
    kinds = causes.errors(t)
    assert kinds.missed.tolist() == [False, True, True]
    # Class 0 rises from 51/101 to 1, class 1 from 0 to 1.
    assert kinds.costs["missed"] == pytest.approx((50 / 101 + 1) / 2)


def test_of_several_wrong_answers_about_an_object_the_best_is_mended():
    objects = [(A, 0, 0), (B, 0, 0)]
    t = table(objects, [(HALF_OF_A, 0, 0.6, 0), ([0, 0, 100, 45], 0, 0.8, 0), (B, 0, 0.7, 0)])
    kinds = causes.errors(t)
    assert kinds.counts["localisation"] == 2
    before = 51 / 101 / 2  # the answer for B stands behind one that is wrong
    assert kinds.costs["localisation"] == pytest.approx(1 - before)


def test_a_wrong_class_where_the_object_has_a_right_answer_is_only_left_out():
    t = table([(A, 0, 0), (B, 1, 0)], [(A, 1, 0.9, 0), (A, 0, 0.8, 0), (B, 1, 0.7, 0)])
    kinds = causes.errors(t)
    assert kinds.counts["classification"] == 1
    assert kinds.costs["classification"] == pytest.approx((1 + 1) / 2 - (1 + 0.5) / 2)


def test_answers_on_what_does_not_count_have_no_cause():
    t = table(
        [(A, 0, 0, "crowd"), (B, 0, 0, "difficult")],
        [([10, 10, 30, 30], 0, 0.9, 0), (B, 0, 0.8, 0), (B, 0, 0.7, 0), (B, 1, 0.6, 0)],
    )
    kinds = causes.errors(t)
    # Class 1 on the difficult object is no wrong class, as the object does not count.
    assert kinds.kinds.tolist() == [causes.NONE] * 3 + [causes.BACKGROUND]
    assert not kinds.missed.any()
    assert kinds.costs == dict.fromkeys(causes.KINDS, 0)


def test_nothing_at_all():
    kinds = causes.errors(table([], []))
    assert set(kinds.counts.values()) == {0}
    assert causes.confusion(table([], []), 0.5).tolist() == [[0] * 3] * 3


def test_no_object_and_one_answer_counts_as_false():
    t = table([], [(A, 1, 0.9, 0)])
    assert causes.errors(t).counts["background"] == 1
    counts = causes.confusion(t, 0.5)
    assert counts.tolist() == [[0, 0, 0], [0, 0, 0], [0, 1, 0]]
    assert rates(counts)["precision"][1] == 0
    assert rates(counts)["f1"][1] == 0
    _, p, r = precision.curve(t, 1)
    assert p.tolist() == [0]
    assert np.isnan(r).all()


def test_confusion_tells_taken_for_another_from_missed_and_invented():
    t = table(
        [(A, 0, 0), (B, 1, 0), (A, 1, 1), (B, 0, 1, "difficult")],
        [
            (A, 0, 0.9, 0), (B, 0, 0.8, 0), ([500, 500, 550, 550], 1, 0.7, 0),
            (B, 0, 0.9, 1), (A, 1, 0.1, 1),
        ],
        images=2,
    )  # fmt: skip
    assert causes.confusion(t, 0.5).tolist() == [[1, 0, 0], [1, 0, 1], [0, 1, 0]]
    by_class = causes.confusion(t, np.array([0.85, 0.05]))
    assert by_class.tolist() == [[1, 0, 0], [0, 1, 1], [0, 1, 0]]


def random_case(seed):
    random = np.random.default_rng(seed)
    images, classes = 5, 3

    def some(n, score):
        corners = random.uniform(0, 60, (n, 2))
        boxes = np.concatenate([corners, corners + random.uniform(15, 60, (n, 2))], 1).tolist()
        of_image = np.sort(random.integers(images, size=n)).tolist()
        labels = random.integers(classes, size=n).tolist()
        marks = random.choice(["", "", "", "crowd", "difficult"], n).tolist()
        return [
            (box, label, *((random.random(), i) if score else (i, mark)))
            for box, label, i, mark in zip(boxes, labels, of_image, marks, strict=True)
        ]

    return table(some(20, False), some(60, True), classes, images)


@pytest.mark.parametrize("seed", range(20))
def test_precision_and_recall_are_those_of_the_confusion_matrix(seed):
    t = random_case(seed)
    for threshold in (0.0, 0.3, 0.8):
        of_matrix = rates(causes.confusion(t, threshold))
        for c in range(t.classes):
            scores, p, r = precision.curve(t, c)
            at = np.flatnonzero(scores >= threshold)
            if len(at):
                assert of_matrix["precision"][c] == pytest.approx(p[at[-1]])
                assert of_matrix["recall"][c] == pytest.approx(r[at[-1]], nan_ok=True)
    counts = causes.confusion(t, 0.0)
    assert counts[:-1].sum(1).tolist() == t.numbers.tolist()
    assert counts.sum() - counts[:-1, -1].sum() == t.counted[0, 0].sum()


@pytest.mark.parametrize("seed", range(20))
def test_every_wrong_answer_has_a_cause_and_no_cure_does_harm(seed):
    t = random_case(seed)
    kinds = causes.errors(t)
    wrong = t.counted[0, 0] & (t.matched[0, 0] < 0) & (t.ranks < causes.LIMIT)
    assert np.array_equal(kinds.kinds != causes.NONE, wrong)
    assert min(kinds.costs.values()) >= -1e-12
    assert max(kinds.costs.values()) > 0
