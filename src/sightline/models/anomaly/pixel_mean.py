"""Compare each pixel with the mean of good pictures: the floor that other methods must beat."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sightline.models.anomaly.method import AnomalyMethod, check_rate

CELL = 4
"""Pixels a side of the cells that distances are averaged over."""

LEAST_STD = 2.0
"""Steps of 255 that every pixel is supposed to vary by."""


class PixelMean(AnomalyMethod):
    """Measure each pixel's distance from its mean over good pictures, in deviations.

    Parameters
    ----------
    false_alarms : float
        Share of good pictures that may be called odd; the threshold is set by held-back ones.

    Attributes
    ----------
    mean_, std_ : float32 array, shape (H, W, C)
    """

    mean_: NDArray[np.float32]
    std_: NDArray[np.float32]

    def __init__(self, false_alarms: float = 0.05) -> None:
        self.false_alarms = check_rate(false_alarms)

    def fit(self, parts: Iterable[NDArray[np.uint8]], images: int) -> Self:
        """Take mean and deviation of every pixel.

        Parameters
        ----------
        parts : iterable of uint8 array, shape (n, H, W, C)
        images : int
            In all parts.
        """
        total: NDArray[np.float64] | float = 0.0
        squares: NDArray[np.float64] | float = 0.0
        count = 0
        for X in parts:
            x = X.astype(np.float64)
            total, squares, count = total + x.sum(0), squares + (x * x).sum(0), count + len(x)
        mean = np.asarray(total) / count
        spread = np.sqrt(np.maximum(np.asarray(squares) / count - mean * mean, 0))
        self.mean_, self.std_ = mean.astype(np.float32), (spread + LEAST_STD).astype(np.float32)
        return self

    def distances(self, seen: NDArray[Any]) -> NDArray[np.float32]:
        """Return the mean distance in each cell of images (N, H, W, C): (N, h, w)."""
        off = (np.abs(seen - self.mean_) / self.std_).mean(-1)
        n, height, width = off.shape
        high, wide = height // CELL * CELL, width // CELL * CELL
        cells = off[:, :high, :wide].reshape(n, high // CELL, CELL, wide // CELL, CELL)
        return np.asarray(cells.mean((2, 4)), np.float32)
