r"""Measure how well the outlines of classes fit: the boundary F1.

For a class of a picture, precision is the share of the answer's boundary that has the truth's
nearer than a tolerance, recall the share of the truth's that has the answer's:

.. math:: P = \frac{1}{|B_a|} \sum_{z \in B_a} [d(z, B_t) < \theta], \quad
          R = \frac{1}{|B_t|} \sum_{z \in B_t} [d(z, B_a) < \theta], \quad F_1 = \frac{2 P R}{P + R}

d is the distance of the middles of pixels, and the tolerance 0.75% of the picture's diagonal, not
rounded: 4.5 pixels at 480 x 360, and below one pixel, so that boundaries must coincide, up to
diagonals of 133. Of a picture the figure is the mean over its classes, of a data set the mean over
its pictures; that of a class is the mean over the pictures that have it.

Source: G. Csurka, D. Larlus & F. Perronnin, What is a good evaluation measure for semantic
segmentation?, BMVC 2013: these formulas for each class and picture, the tolerance, and the mean
over pictures rather than over the boundaries of all of them. What the formulas leave open is
chosen here, so that figures of other programs may differ by it:

- A class's boundary are its own pixels that have a pixel of another class above, below, to the left
  or to the right. The edge of the picture is none; programs that take it as one add pixels that
  fit in every answer.
- A picture has the classes that its truth or its answer has. One that only one of them has counts
  as 0 there, so that an invented class costs as much as a missed one.
- A class that fills all that is known has no boundary: where both have none, the class has no
  figure in that picture; where only one has, nothing of it is near the other's, which is 0.
- Where the truth is ignored nobody knows the boundary. Pixels there make none, and boundaries
  nearer to them than the tolerance are not asked for, neither the truth's nor the answer's, though
  they are there for the other's to be near; where thereby one of the two shares is unknown, the
  figure is the other one.
- Any number of pixels may be near one of the other boundary; they are not matched in pairs, as a
  benchmark of contours does.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Marks = NDArray[np.bool_]
Points = NDArray[np.int64]

TOLERANCE = 0.0075
"""Of the diagonal: nearer than that a boundary is where it should be."""


def boundary_f1(
    truth: NDArray[np.integer[Any]], answer: NDArray[np.integer[Any]], judged: Marks, classes: int
) -> Floats:
    """Compute the boundary F1 of each class of a picture.

    Parameters
    ----------
    truth, answer : integer array, shape (H, W)
        Ids of classes; other values belong to none.
    judged : bool array, shape (H, W)
        Pixels whose truth is known.
    classes : int

    Returns
    -------
    float64 array, shape (C,)
        nan where neither has the class, or neither has a boundary of it that is asked for.
    """
    tolerance = TOLERANCE * math.hypot(*truth.shape)
    figures = np.full(classes, np.nan)
    sides = [_boundaries(values, judged, classes) for values in (truth, answer)]
    unknown = _rim(judged)
    for c in range(classes):
        (in_truth, theirs), (in_answer, mine) = (present[c] for present in sides)
        if in_truth and in_answer:
            precision = _share_near(mine, theirs, unknown, tolerance)
            recall = _share_near(theirs, mine, unknown, tolerance)
            figures[c] = _f1(precision, recall)
        elif in_truth or in_answer:
            figures[c] = 0
    return figures


def _boundaries(
    values: NDArray[np.integer[Any]], judged: Marks, classes: int
) -> list[tuple[bool, Points]]:
    """Return of each class whether it is there, and its boundary pixels, shape (P, 2)."""
    edge = np.zeros(values.shape, np.bool_)
    for here, there in _NEIGHBOURS:
        differ = (values[here] != values[there]) & judged[here] & judged[there]
        edge[here] |= differ
        edge[there] |= differ
    points = np.argwhere(edge)
    labels = values[edge]
    present = np.isin(np.arange(classes), values[judged])
    order = np.argsort(labels, kind="stable")
    ends = np.searchsorted(labels[order], np.arange(classes + 1))
    return [
        (bool(present[c]), points[order[ends[c] : ends[c + 1]]]) for c in range(classes)
    ]  # fmt: skip


_ALL, _FIRST, _LAST = slice(None), slice(1, None), slice(None, -1)
_NEIGHBOURS = (((_LAST, _ALL), (_FIRST, _ALL)), ((_ALL, _LAST), (_ALL, _FIRST)))


def _rim(judged: Marks) -> Points:
    """Return the pixels of unknown truth that lie beside known ones, shape (P, 2)."""
    rim = np.zeros(judged.shape, np.bool_)
    for here, there in _NEIGHBOURS:
        rim[here] |= judged[there]
        rim[there] |= judged[here]
    return np.argwhere(rim & ~judged)


def _share_near(asked: Points, others: Points, unknown: Points, tolerance: float) -> float:
    """Return the share of some points that have others near them; nan where none is asked for."""
    asked = asked[~_near(asked, unknown, tolerance)]
    return float(_near(asked, others, tolerance).mean()) if len(asked) else math.nan


def _near(points: Points, others: Points, tolerance: float) -> Marks:
    """Return which points have one of the others nearer than the tolerance."""
    from scipy.spatial import cKDTree

    if not len(points) or not len(others):
        return np.zeros(len(points), np.bool_)
    distances, _ = cKDTree(others).query(points, distance_upper_bound=tolerance)
    return np.asarray(distances < tolerance, np.bool_)


def _f1(precision: float, recall: float) -> float:
    """Return the harmonic mean; of two of which one is unknown the other."""
    known = [p for p in (precision, recall) if not math.isnan(p)]
    if not known:
        return math.nan
    return len(known) / sum(1 / p for p in known) if min(known) > 0 else 0.0
