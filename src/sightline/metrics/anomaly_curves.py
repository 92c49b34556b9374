"""Measure how well scores part odd pictures and pixels from good ones, at every threshold."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.metrics.paired import Z

LEVELS = 1000
"""Steps that scores of pixels are counted in: a megapixel becomes so many numbers."""

MOST_FALSE = 0.3
"""Share of good pixels up to which the overlap of regions is averaged (Bergmann et al., 2019)."""


def auroc(scores: NDArray[Any], odd: NDArray[np.bool_]) -> float:
    """Return the probability that an odd picture scores higher than a good one; ties count half.

    It is the area under the receiver operating characteristic (Hanley & McNeil, 1982).

    Parameters
    ----------
    scores : float array, shape (N,)
    odd : bool array, shape (N,)

    Returns
    -------
    float
        nan where either kind is missing.

    Examples
    --------
    >>> auroc(np.array([0.1, 0.4, 0.4, 0.8]), np.array([False, False, True, True]))
    0.875
    """
    from scipy.stats import rankdata

    n, m = int(odd.sum()), int((~odd).sum())
    if not n or not m:
        return math.nan
    return float((rankdata(scores)[odd].sum() - n * (n + 1) / 2) / (n * m))


def auroc_interval(area: float, odd: int, good: int) -> tuple[float, float]:
    """Return the 95% interval of an area under the curve, which is right near 1, too.

    Source: R. G. Newcombe, Confidence intervals for an effect size measure based on the
    Mann-Whitney statistic, part 2, Statistics in Medicine 25, 2006, method 5.

    Parameters
    ----------
    area : float
    odd, good : int
        Pictures of each kind.
    """
    from scipy.optimize import brentq

    if not math.isfinite(area):
        return 0.0, 1.0
    half = (odd + good) / 2 - 1

    def beyond(theta: float) -> float:
        spread = 1 + half * (1 - theta) / (2 - theta) + half * theta / (1 + theta)
        return Z * math.sqrt(max(theta * (1 - theta) * spread, 0.0) / (odd * good))

    low = 0.0 if area == 0 else brentq(lambda t: area - t - beyond(t), 0.0, area - 1e-12)
    high = 1.0 if area == 1 else brentq(lambda t: t - area - beyond(t), area + 1e-12, 1.0)
    return float(low), float(high)


def average_precision(scores: NDArray[Any], odd: NDArray[np.bool_]) -> float:
    """Return the mean precision over the odd pictures: sum of (R_n - R_{n-1}) P_n.

    Pictures of equal scores are found together. nan where none is odd.

    Parameters
    ----------
    scores : float array, shape (N,)
    odd : bool array, shape (N,)
    """
    if not odd.any():
        return math.nan
    levels, at = np.unique(-np.asarray(scores), return_inverse=True)
    hits = np.bincount(at, odd, len(levels)).cumsum()
    return _precision(hits, np.bincount(at, minlength=len(levels)).cumsum())


def _precision(hits: NDArray[Any], called: NDArray[Any]) -> float:
    gained = np.diff(hits, prepend=0)
    return float((gained * hits / np.maximum(called, 1)).sum() / hits[-1])


def counted(heat: NDArray[Any]) -> NDArray[np.int64]:
    """Count scores in [0, 1] by their level, shape (LEVELS,)."""
    levels = np.minimum((np.asarray(heat) * LEVELS).astype(np.int64), LEVELS - 1)
    return np.bincount(levels.ravel(), minlength=LEVELS)


def pixel_auroc(good: NDArray[Any], odd: NDArray[Any]) -> float:
    """Return the area under the curve of pixels that were counted by level; see `counted`.

    Parameters
    ----------
    good, odd : int array, shape (LEVELS,)

    Returns
    -------
    float
        nan where either kind is missing.
    """
    n, m = float(odd.sum()), float(good.sum())
    if not n or not m:
        return math.nan
    below = np.cumsum(good) - good
    return float((odd * (below + good / 2)).sum() / (n * m))


def pixel_average_precision(good: NDArray[Any], odd: NDArray[Any]) -> float:
    """Return the average precision of pixels that were counted by level; nan without odd ones."""
    if not odd.sum():
        return math.nan
    hits, wrong = np.cumsum(odd[::-1]), np.cumsum(good[::-1])
    return _precision(hits, hits + wrong)


def region_overlap(good: NDArray[Any], regions: NDArray[Any], most: float = MOST_FALSE) -> float:
    """Return the per-region overlap: how much of each defect is seen, small ones as large ones.

    The mean over regions of the share of their pixels that is called odd, averaged over the
    thresholds at which at most a share of the good pixels is (PRO: Bergmann et al., 2019).

    Parameters
    ----------
    good : int array, shape (LEVELS,)
        Good pixels by level.
    regions : int array, shape (R, LEVELS)
        Pixels of each connected region by level.
    most : float
        Share of good pixels.

    Returns
    -------
    float
        nan where there is no region or no good pixel.
    """
    if not len(regions) or not good.sum():
        return math.nan
    false = np.concatenate([[0.0], np.cumsum(good[::-1]) / good.sum()])
    seen = np.cumsum(regions[:, ::-1], 1) / regions.sum(1, keepdims=True)
    overlap = np.concatenate([[0.0], seen.mean(0)])
    inside = false <= most
    at = float(np.interp(most, false, overlap))
    x, y = np.append(false[inside], most), np.append(overlap[inside], at)
    return float(np.trapezoid(y, x) / most)
