r"""Compute average precision: COCO's and VOC's, and the curves that they are areas of.

The answers of a class, best first, are each right or wrong; after k of them precision is the share
that is right, recall the share of the objects that are among their objects. Average precision is
the area under precision against recall where precision is first made to fall,
:math:`\max_{r' \geq r} p(r')`, and the measures differ in how they add it up:

- VOC 2007: the mean at the recalls 0, 0.1, ..., 1;
- VOC 2010 and later: the whole area;
- COCO: the mean at the recalls 0, 0.01, ..., 1, and over ten thresholds of IoU.

Classes without an object that counts have no recall, and are left out of means.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.metrics.detect_table import AREAS, Floats, Marks, Rows, Table

LIMITS = (1, 10, 100)
"""Answers an image and class that COCO looks at, the best ones."""

RECALLS: Floats = np.linspace(0, 1, 101)

HALF = 0
"""Position of the threshold 0.5."""

UNSURE = 0.5
"""Threshold of a class for which no right answer says a better one."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Which answers of a class are right and wrong, best first.

    Parameters
    ----------
    right, wrong : bool array, shape (..., D)
        Perhaps neither.
    rows : int64 array, shape (D,)
        Of the answers.
    objects : int
        That there are to be detected.
    """

    right: Marks
    wrong: Marks
    rows: Rows
    objects: int


def coco_outcomes(table: Table, label: int, area: str = "all", limit: int | None = 100) -> Outcomes:
    """Return right and wrong answers of a class by COCO's rule, shape (10, D).

    Parameters
    ----------
    table : Table
    label : int
    area : str
        One of `AREAS`.
    limit : int, optional
        Answers an image; None: all.
    """
    rows = table.by_score[label]
    if limit is not None:
        rows = rows[table.ranks[rows] < limit]
    size = list(AREAS).index(area)
    counted, matched = table.counted[size][:, rows], table.matched[size][:, rows] >= 0
    of_class = table.objects.labels == label
    n = int((of_class & ~table.out_of_range[size]).sum())
    return Outcomes(counted & matched, counted & ~matched, rows, n)


def coco_precision(
    outcomes: Outcomes, weights: Rows | None = None, objects: int | None = None
) -> Floats:
    """Compute COCO's average precision at each threshold; nan without an object.

    Parameters
    ----------
    outcomes : Outcomes
    weights : int64 array, shape (D,), optional
        How often each answer counts; default once.
    objects : int, optional
        How many there are then.

    Returns
    -------
    float64 array, shape (10,)
    """
    n = outcomes.objects if objects is None else objects
    if n == 0:
        return np.full(len(outcomes.right), np.nan)
    precision, hits = _falling(outcomes, weights)
    needed = np.searchsorted(np.arange(n + 1) / n, RECALLS)  # right answers for each recall
    # Each threshold has a range of whole numbers to itself, so that one search serves all.
    thresholds, answers = hits.shape
    above = np.arange(thresholds)[:, None] * (n + 1)
    places = np.searchsorted((hits + above).ravel(), (needed + above).ravel())
    at = places.reshape(thresholds, -1) - np.arange(thresholds)[:, None] * answers
    unreached = np.zeros((thresholds, 1))
    means: Floats = np.take_along_axis(np.hstack((precision, unreached)), at, 1).mean(1)
    return means


def _falling(outcomes: Outcomes, weights: Rows | None = None) -> tuple[Floats, Rows]:
    """Return precision, made to fall, and the number of right answers after each answer."""
    once = 1 if weights is None else weights
    hits = (outcomes.right * once).cumsum(-1, np.int64)
    misses = (outcomes.wrong * once).cumsum(-1, np.int64)
    precision = hits / np.maximum(hits + misses, 1)
    return np.maximum.accumulate(precision[..., ::-1], -1)[..., ::-1], hits


def coco_figures(table: Table) -> dict[str, Floats]:
    """Compute COCO's figures of each class.

    Returns
    -------
    dict of str to float64 array, shape (C,)
        ``ap`` (mean over the thresholds), ``ap50``, ``ap75``, ``ap_small``, ``ap_medium``,
        ``ap_large``, and the share of objects that are among the first 1, 10 and 100 answers of an
        image at most, mean over the thresholds: ``ar1``, ``ar10``, ``ar100``, ``ar_small``,
        ``ar_medium``, ``ar_large``. nan where a class has no object. COCO's figure is the mean of
        the others.
    """
    names = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large",
             *(f"ar{m}" for m in LIMITS), "ar_small", "ar_medium", "ar_large")  # fmt: skip
    figures = {name: np.full(table.classes, np.nan) for name in names}
    for c in range(table.classes):
        for area in AREAS:
            outcomes = coco_outcomes(table, c, area)
            aps, recall = coco_precision(outcomes), _recall(outcomes)
            tail = "" if area == "all" else f"_{area}"
            figures[f"ap{tail}"][c] = aps.mean()
            figures["ar100" if area == "all" else f"ar{tail}"][c] = recall
            if area == "all":
                figures["ap50"][c], figures["ap75"][c] = aps[HALF], aps[5]
        for limit in LIMITS[:-1]:
            figures[f"ar{limit}"][c] = _recall(coco_outcomes(table, c, limit=limit))
    return figures


def _recall(outcomes: Outcomes) -> float:
    """Return the share of the objects that are matched, mean over the thresholds."""
    if outcomes.objects == 0:
        return float("nan")
    return float((outcomes.right.sum(-1) / outcomes.objects).mean())


def mean(values: Floats) -> float:
    """Return the mean over the classes that have a figure; nan where none has."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def voc_outcomes(table: Table, label: int, threshold: float = 0.5) -> Outcomes:
    """Return right and wrong answers of a class by VOC's rule, shape (D,).

    An answer is right when the object that it overlaps most, by `threshold` at least, is not yet
    taken by a better answer; neither when that object is difficult or a crowd.

    Parameters
    ----------
    table : Table
    label : int
    threshold : float
    """
    rows = table.by_score[label]
    nearest, values = (array[rows] for array in table.nearest)
    reached = (nearest >= 0) & (values >= threshold)
    passed = np.zeros(len(rows), np.bool_)
    passed[reached] = table.objects.passed_over[nearest[reached]]
    first = np.zeros(len(rows), np.bool_)
    first[np.unique(np.where(reached, nearest, -1), return_index=True)[1]] = True
    right = reached & ~passed & first
    return Outcomes(right, ~right & ~passed, rows, int(table.numbers[label]))


def voc2007(outcomes: Outcomes) -> float:
    """Compute average precision at the recalls 0, 0.1, ..., 1; nan without an object.

    Notes
    -----
    A recall of three in ten reaches 0.3 here. Where code counts up by 0.1, rounding makes that
    0.30000000000000004, and the third tenth is missed.
    """
    if outcomes.objects == 0:
        return float("nan")
    precision, hits = _falling(outcomes)
    at = np.searchsorted(10 * hits, np.arange(11) * outcomes.objects)
    return float(np.append(precision, 0.0)[at].mean())


def voc2010(outcomes: Outcomes) -> float:
    """Compute average precision as the area under the falling curve; nan without an object."""
    if outcomes.objects == 0:
        return float("nan")
    precision, hits = _falling(outcomes)
    return float((np.diff(hits, prepend=0) * precision).sum() / outcomes.objects)


def curve(table: Table, label: int) -> tuple[Floats, Floats, Floats]:
    """Compute precision and recall of a class at IoU 0.5, as the threshold of the score falls.

    Parameters
    ----------
    table : Table
    label : int

    Returns
    -------
    thresholds : float64 array, shape (K,)
        Falling: the scores that occur among answers that count.
    precision, recall : float64 array, shape (K,)
        Of the answers with at least that score, all of them, as the confusion matrix has them;
        recall is nan without an object.
    """
    outcomes = coco_outcomes(table, label, limit=None)
    right, wrong = outcomes.right[HALF], outcomes.wrong[HALF]
    kept = right | wrong
    scores, hits = table.answers.scores[outcomes.rows][kept], right[kept].cumsum()
    last = np.append(scores[1:] != scores[:-1], True)[: len(scores)]  # of equals only all together
    counts = np.arange(1, len(scores) + 1)[last]
    n = outcomes.objects
    recall = hits[last] / n if n else np.full(len(counts), np.nan)
    return scores[last], hits[last] / counts, recall


def best_thresholds(table: Table) -> Floats:
    """Choose a threshold of the score for each class: that with the highest F1 at IoU 0.5.

    Returns
    -------
    float64 array, shape (C,)
        Midway between the least score that is answered and the next below it; of equally good ones
        the lowest; 0 where every answer is given; 0.5 for a class without a right answer, as there
        is nothing to choose by.

    Notes
    -----
    F1 is twice the right answers over answers and objects together.
    """
    chosen = np.full(table.classes, UNSURE)
    for c in range(table.classes):
        scores, precision, recall = curve(table, c)
        if not len(scores) or not np.nanmax(np.append(recall, 0)) > 0:
            continue
        f1 = 2 * precision * recall / np.maximum(precision + recall, np.spacing(1))
        best = len(f1) - 1 - int(f1[::-1].argmax())
        below = scores[best + 1] if best + 1 < len(scores) else None
        chosen[c] = 0.0 if below is None else (scores[best] + below) / 2
    return chosen


class Resampled:
    """COCO's average precision on images drawn with repeats, for intervals and paired tests.

    Parameters
    ----------
    table : Table
    """

    def __init__(self, table: Table) -> None:
        self.images = table.images
        self.parts: list[tuple[Outcomes, Rows, NDArray[np.int64]]] = []
        counting = ~table.objects.passed_over
        for c in np.flatnonzero(table.numbers):
            whole = coco_outcomes(table, int(c))
            # What follows the last right answer changes nothing: recall rises no more.
            hits = np.flatnonzero(whole.right.any(0))
            end = int(hits[-1]) + 1 if len(hits) else 0
            cut = Outcomes(
                whole.right[:, :end], whole.wrong[:, :end], whole.rows[:end], whole.objects
            )
            of_class = table.objects.images[counting & (table.objects.labels == c)]
            self.parts.append(
                (cut, table.answers.images[cut.rows], np.bincount(of_class, minlength=self.images))
            )

    def __call__(self, rows: Rows) -> float:
        """Compute the mean over classes and thresholds; nan where no object is drawn.

        Parameters
        ----------
        rows : int64 array, shape (N,)
            Positions of images, with repeats.
        """
        weights = np.bincount(rows, minlength=self.images)
        aps = [
            coco_precision(cut, weights[images], int(weights @ numbers))
            for cut, images, numbers in self.parts
        ]
        return mean(np.array([ap.mean() for ap in aps]))
