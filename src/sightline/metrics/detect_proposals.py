"""Measure proposals: how many of the objects have a region that overlaps them enough."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sightline.metrics.detect_table import overlap


def best_overlaps(
    regions: Sequence[NDArray[np.floating]], truth: Sequence[NDArray[np.floating]],
    counts: Sequence[int],
) -> NDArray[np.float64]:  # fmt: skip
    """Compute the largest IoU of each object with the first regions of its image.

    Parameters
    ----------
    regions : sequence of float array, shape (K_i, 4)
        Of each image, xyxy, the most promising first.
    truth : sequence of float array, shape (G_i, 4)
        Objects of each image.
    counts : sequence of int
        How many of the regions are looked at.

    Returns
    -------
    float64 array, shape (len(counts), objects)
        0 where an image has no region.

    Examples
    --------
    >>> half, whole = np.array([[0.0, 0, 10, 5], [0, 0, 10, 10]]), np.array([[0.0, 0, 10, 10]])
    >>> best_overlaps([half], [whole], [1, 2]).tolist()
    [[0.5], [1.0]]
    """
    columns = [np.zeros((len(counts), 0))]
    for boxes, objects in zip(regions, truth, strict=True):
        known = np.asarray(objects, np.float64).reshape(-1, 4)
        plain = np.zeros(len(known), np.bool_)
        overlaps = overlap(np.asarray(boxes, np.float64), known, plain).T
        best = np.maximum.accumulate(np.hstack((np.zeros((len(objects), 1)), overlaps)), 1)
        columns.append(best[:, [min(n, len(boxes)) for n in counts]].T)
    return np.hstack(columns)


def recall(best: NDArray[np.float64], least: float = 0.5) -> NDArray[np.float64]:
    """Return the share of the objects that overlap a region by at least `least`.

    Parameters
    ----------
    best : float64 array, shape (counts, objects)
        See `best_overlaps`.
    least : float

    Returns
    -------
    float64 array, shape (counts,)
        nan where there is no object.
    """
    if not best.shape[1]:
        return np.full(len(best), np.nan)
    return np.asarray((best >= least).mean(1), np.float64)
