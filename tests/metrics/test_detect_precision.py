"""Average precision equals pycocotools' and, by hand, VOC's, from one table."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest

from sightline.errors import DataError
from sightline.metrics import detect_precision as precision
from sightline.metrics.detect_table import THRESHOLDS, Answers, Objects, Table, overlap

NAMES = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "ar1", "ar10", "ar100",
         "ar_small", "ar_medium", "ar_large")  # fmt: skip


def objects(boxes, labels=None, images=None, crowd=None, difficult=None, areas=None):
    n = len(boxes)
    corners = np.array(boxes, np.float64).reshape(-1, 4)
    sides = corners[:, 2:] - corners[:, :2]
    return Objects(
        corners,
        np.array([0] * n if labels is None else labels, np.int64),
        np.array([0] * n if images is None else images, np.int64),
        np.array([False] * n if crowd is None else crowd, np.bool_),
        np.array([False] * n if difficult is None else difficult, np.bool_),
        sides.prod(1) if areas is None else np.array(areas, np.float64),
    )


def answers(boxes, scores, labels=None, images=None):
    n = len(boxes)
    return Answers(
        np.array(boxes, np.float64).reshape(-1, 4),
        np.array([0] * n if labels is None else labels, np.int64),
        np.array([0] * n if images is None else images, np.int64),
        np.array(scores, np.float64),
    )


def pycocotools(table):
    """The twelve figures of COCO's own code."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def row(part, i):
        x1, y1, x2, y2 = part.boxes[i].tolist()
        return {"id": i + 1, "image_id": int(part.images[i]), "bbox": [x1, y1, x2 - x1, y2 - y1],
                "category_id": int(part.labels[i])}  # fmt: skip

    own, said = table.objects, table.answers
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "images": [{"id": i} for i in range(table.images)],
            "categories": [{"id": c} for c in range(table.classes)],
            "annotations": [
                row(own, i) | {"iscrowd": int(own.crowd[i]), "area": float(own.areas[i])}
                for i in range(len(own.labels))
            ],
        }
        truth.createIndex()
        results = COCO()
        results.dataset = truth.dataset | {
            "annotations": [
                (r := row(said, i))
                | {"score": float(said.scores[i]), "area": r["bbox"][2] * r["bbox"][3]}
                for i in range(len(said.labels))
            ]
        }
        results.createIndex()
        evaluation = COCOeval(truth, results, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return dict(zip(NAMES, evaluation.stats.tolist(), strict=True))


def random_table(seed):
    """A small set: near answers, far ones, crowds, ties of scores and of boxes, empty images."""
    random = np.random.default_rng(seed)
    images, classes = int(random.integers(1, 7)), int(random.integers(1, 4))
    n, m = int(random.integers(0, 25)), int(random.integers(0, 60))

    def places(k):
        corners = random.uniform(0, 120, (k, 2))
        # Whole pixels now and then, so that overlaps are equal to a threshold or to each other.
        boxes = np.concatenate([corners, corners + random.uniform(1, 130, (k, 2))], 1)
        return boxes.round() if seed % 2 else boxes.astype(np.float32).astype(np.float64)

    truth = places(n)
    said = places(m)
    if n:
        near = random.random(m) < 0.7
        chosen = random.integers(n, size=m)
        said[near] = truth[chosen[near]] + random.normal(0, 4, (int(near.sum()), 4)).round(seed % 3)
        said[:, 2:] = np.maximum(said[:, :2] + 1, said[:, 2:])
    scores = random.random(m).round(1 if seed % 3 == 0 else 6)
    of_images, of_answers = random.integers(images, size=n), random.integers(images, size=m)
    labels, guesses = random.integers(classes, size=n), random.integers(classes, size=m)
    if n:
        of_answers[near], guesses[near] = of_images[chosen[near]], labels[chosen[near]]
    order, after = np.argsort(of_images, kind="stable"), np.argsort(of_answers, kind="stable")
    crowd = random.random(n) < (0.2 if seed % 4 else 0.8)
    areas = random.uniform(0, 12000, n) if seed % 5 == 0 else None
    return Table(
        objects(truth[order], labels[order], of_images[order], crowd[order],
                areas=None if areas is None else areas[order]),
        answers(said[after], scores[after], guesses[after], of_answers[after]),
        images, classes,
    )  # fmt: skip


def assert_equal_to_pycocotools(table):
    expected = pycocotools(table)
    own = {name: precision.mean(v) for name, v in precision.coco_figures(table).items()}
    for name, value in expected.items():
        assert (
            np.isnan(own[name]) if value == -1 else own[name] == pytest.approx(value, abs=1e-9)
        ), name
    return expected


def test_figures_equal_pycocotools_on_random_sets():
    figures = [assert_equal_to_pycocotools(random_table(seed)) for seed in range(150)]
    ap = np.array([f["ap"] for f in figures])
    assert (ap == -1).any()
    assert ((ap > 0.05) & (ap < 0.95)).sum() > 50  # the sets are neither hopeless nor trivial


def test_more_than_a_hundred_answers_and_objects():
    random = np.random.default_rng(5)
    corners = random.uniform(0, 900, (101, 2)).round()
    boxes = np.concatenate([corners, corners + random.integers(10, 60, (101, 2))], 1)
    said = np.concatenate([boxes, boxes + 3, boxes + 90])
    scores = random.random(len(said)).round(2)
    expected = assert_equal_to_pycocotools(Table(objects(boxes), answers(said, scores), 1, 1))
    assert 0 < expected["ar100"] < 1


@pytest.mark.parametrize("side", ["answers", "objects", "both"])
def test_nothing_on_one_side(side):
    some, none = [[0, 0, 50, 50]], np.zeros((0, 4))
    table = Table(
        objects(none if side in ("objects", "both") else some),
        answers(*((none, []) if side in ("answers", "both") else (some, [0.5]))),
        1, 1,
    )  # fmt: skip
    assert_equal_to_pycocotools(table)


def test_a_crowd_is_neither_good_nor_bad():
    """Answers in a crowd do not count, however many; without other objects nothing is measured."""
    crowd = objects([[0, 0, 100, 100], [200, 0, 240, 40]], crowd=[True, False])
    inside = [[10, 10, 30, 30], [40, 40, 70, 70], [200, 0, 240, 40]]
    table = Table(crowd, answers(inside, [0.9, 0.8, 0.7]), 1, 1)
    assert precision.mean(precision.coco_figures(table)["ap"]) == 1
    assert precision.voc2010(precision.voc_outcomes(table, 0)) == 1
    alone = Table(
        objects([[0, 0, 100, 100]], crowd=[True]), answers([[10, 10, 30, 30]], [0.9]), 1, 1
    )
    assert all(np.isnan(v).all() for v in precision.coco_figures(alone).values())
    assert len(precision.curve(alone, 0)[0]) == 0


def test_difficult_objects_do_not_count():
    hard = objects([[0, 0, 40, 40], [100, 0, 140, 40]], difficult=[True, False])
    twice = [[0, 0, 40, 40], [1, 0, 40, 40], [100, 0, 140, 40]]
    table = Table(hard, answers(twice, [0.9, 0.8, 0.7]), 1, 1)
    assert precision.mean(precision.coco_figures(table)["ap50"]) == 1
    assert precision.voc2007(precision.voc_outcomes(table, 0)) == 1
    assert table.numbers.tolist() == [1]


def voc_by_loops(table, label, threshold=0.5):
    """The development kit's rule, answer by answer: right and wrong in the order of the scores."""
    own, said = table.objects, table.answers
    rows = sorted(np.flatnonzero(said.labels == label), key=lambda i: -said.scores[i])
    taken, right, wrong = set(), [], []
    for i in rows:
        best, nearest = 0.0, None
        for g in np.flatnonzero((own.labels == label) & (own.images == said.images[i])):
            value = float(overlap(said.boxes[i : i + 1], own.boxes[g : g + 1], own.crowd[g]).item())
            if value > best:
                best, nearest = value, g
        if nearest is None or best < threshold:
            outcome = (False, True)
        elif own.difficult[nearest] or own.crowd[nearest]:
            outcome = (False, False)
        else:
            outcome = (nearest not in taken, nearest in taken)
            taken.add(nearest)
        right.append(outcome[0])
        wrong.append(outcome[1])
    return np.array(right, float), np.array(wrong, float)


@pytest.mark.parametrize("seed", range(40))
def test_voc_figures_equal_the_development_kits(seed):
    table = random_table(seed)
    for c in range(table.classes):
        n = int(table.numbers[c])
        outcomes = precision.voc_outcomes(table, c)
        right, wrong = voc_by_loops(table, c)
        assert outcomes.right.tolist() == right.tolist()
        assert outcomes.wrong.tolist() == wrong.tolist()
        if n == 0:
            assert np.isnan(precision.voc2007(outcomes))
            assert np.isnan(precision.voc2010(outcomes))
            continue
        hits, misses = right.cumsum(), wrong.cumsum()
        recall, exact = hits / n, np.maximum(hits + misses, 1)
        eleven = [max([h / e for h, e in zip(hits, exact, strict=True) if 10 * h >= k * n],
                      default=0) for k in range(11)]  # fmt: skip
        assert precision.voc2007(outcomes) == pytest.approx(np.mean(eleven), abs=1e-9)
        r = np.concatenate([[0], recall, [1]])
        p = np.concatenate([[0], hits / exact, [0]])
        for i in range(len(p) - 2, -1, -1):
            p[i] = max(p[i], p[i + 1])
        steps = np.flatnonzero(r[1:] != r[:-1])
        area = ((r[steps + 1] - r[steps]) * p[steps + 1]).sum()
        assert precision.voc2010(outcomes) == pytest.approx(area, abs=1e-9)


def test_three_tenths_of_the_objects_reach_the_recall_of_three_tenths():
    """Counting up by 0.1 misses it: 0.1 + 0.1 + 0.1 is above 0.3."""
    boxes = [[50 * i, 0, 50 * i + 40, 40] for i in range(10)]
    table = Table(objects(boxes), answers(boxes[:3], [0.9, 0.8, 0.7]), 1, 1)
    assert precision.voc2007(precision.voc_outcomes(table, 0)) == pytest.approx(4 / 11)


def test_rules_differ_where_two_answers_prefer_one_object():
    """The second answer may take the free object by COCO's rule, and is a duplicate by VOC's."""
    boxes = [[0, 0, 100, 100], [20, 0, 120, 100]]
    said = [[0, 0, 100, 100], [5, 0, 105, 100]]
    table = Table(objects(boxes), answers(said, [0.9, 0.8]), 1, 1)
    assert table.matched[0, 0].tolist() == [0, 1]
    outcomes = precision.voc_outcomes(table, 0)
    assert (outcomes.right.tolist(), outcomes.wrong.tolist()) == ([True, False], [False, True])


def test_curve_takes_equal_scores_together():
    boxes = [[0, 0, 40, 40], [100, 0, 140, 40]]
    said = [boxes[0], [300, 0, 340, 40], boxes[1]]
    table = Table(objects(boxes), answers(said, [0.9, 0.6, 0.6]), 1, 1)
    thresholds, p, r = precision.curve(table, 0)
    assert thresholds.tolist() == [0.9, 0.6]
    assert p.tolist() == pytest.approx([1, 2 / 3])
    assert r.tolist() == [0.5, 1]


def test_best_threshold_is_that_of_the_highest_f1():
    boxes = [[0, 0, 40, 40], [100, 0, 140, 40], [200, 0, 240, 40]]
    far = [[400 + 50 * i, 0, 440 + 50 * i, 40] for i in range(4)]
    said, scores = [*boxes[:2], *far], [0.9, 0.7, 0.3, 0.2, 0.1, 0.05]
    table = Table(objects([*boxes, boxes[0]], [0, 0, 0, 1]), answers(said, scores), 1, 3)
    chosen = precision.best_thresholds(table).tolist()
    assert chosen == pytest.approx([0.5, 0.5, 0.5])  # midway; and nothing to choose by
    table = Table(objects(boxes[:2]), answers(said[:2], scores[:2]), 1, 1)
    assert precision.best_thresholds(table).tolist() == [0]


def test_resampling_is_measuring_the_drawn_images():
    """An image that is drawn three times counts as three images."""
    for seed in range(25):
        table = random_table(seed)
        rows = np.random.default_rng(seed).integers(table.images, size=table.images)
        own, said = table.objects, table.answers
        g = [np.flatnonzero(own.images == i) for i in rows]
        d = [np.flatnonzero(said.images == i) for i in rows]
        gs, ds = (np.concatenate([*part, []]).astype(int) for part in (g, d))
        copied = Table(
            objects(own.boxes[gs], own.labels[gs],
                    np.repeat(np.arange(len(rows)), [len(x) for x in g]), own.crowd[gs],
                    areas=own.areas[gs]),
            answers(said.boxes[ds], said.scores[ds], said.labels[ds],
                    np.repeat(np.arange(len(rows)), [len(x) for x in d])),
            table.images, table.classes,
        )  # fmt: skip
        drawn = precision.Resampled(table)(rows)
        expected = precision.mean(precision.coco_figures(copied)["ap"])
        if seed % 3:  # of equal scores the order of the copies matters
            assert drawn == pytest.approx(expected, abs=1e-9, nan_ok=True)
        whole = precision.Resampled(table)(np.arange(table.images))
        assert whole == pytest.approx(
            precision.mean(precision.coco_figures(table)["ap"]), nan_ok=True
        )


def test_overlaps_of_boxes_without_area_and_labels_out_of_range():
    flat = np.array([[5.0, 5, 5, 9]])
    assert overlap(flat, flat, np.array([False])).tolist() == [[0]]
    with pytest.raises(DataError, match="number 3 of 2 classes"):
        Table(objects([[0, 0, 1, 1]], labels=[3]), answers([], []), 1, 2)
    assert THRESHOLDS[5] == 0.75
