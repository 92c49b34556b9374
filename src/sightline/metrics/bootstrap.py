"""Draw images with repeats, and say by the draws how far a figure may be off.

Source: B. Efron & R. Tibshirani, An introduction to the bootstrap, 1993, chapter 13.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from sightline.metrics.paired import Z

DRAWS = 200
"""Resamples of the images for an interval."""


def weights(images: int, draws: int = DRAWS, seed: int = 0) -> NDArray[np.int64]:
    """Draw as many images as there are, with repeats, again and again.

    Parameters
    ----------
    images, draws, seed : int

    Returns
    -------
    int64 array, shape (draws, images)
        How often each image is drawn.
    """
    random = np.random.default_rng(seed)
    drawn = [random.integers(images, size=images) for _ in range(draws)]
    return np.stack([np.bincount(rows, minlength=images) for rows in drawn])


def interval(
    figure: float, drawn: NDArray[np.float64], within: tuple[float, float] = (0.0, 1.0)
) -> tuple[float, float]:
    """Return the 95% interval of a figure: 1.96 deviations of its resamples on either side.

    The resamples' own percentiles will not do: where a class has few images, a mean over classes
    lies higher in resamples than in all images, as a class whose images are not drawn is left out
    and the others come several times.

    Parameters
    ----------
    figure : float
        On all images.
    drawn : float64 array
        On the images of each draw; nan where it is undefined.
    within : (low, high)
        Ends of the scale, beyond which the interval does not go.
    """
    known = drawn[np.isfinite(drawn)]
    if not math.isfinite(figure) or not len(known):
        return within
    half = Z * float(known.std())
    return max(within[0], figure - half), min(within[1], figure + half)


def mean(
    values: NDArray[np.float64], axis: int = -1, counts: NDArray[np.int64] | None = None
) -> NDArray[np.float64]:
    """Return the mean of the values that are known; nan where none is.

    Parameters
    ----------
    values : float64 array
        nan where unknown.
    axis : int
    counts : int64 array, shape (draws, N), optional
        Of values of shape (N,): how often each counts, in each of the draws.
    """
    known = ~np.isnan(values)
    filled = np.where(known, values, 0.0)
    if counts is None:
        total, n = filled.sum(axis), known.sum(axis)
    else:
        total, n = counts @ filled, counts @ known
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(total / n, np.float64)
