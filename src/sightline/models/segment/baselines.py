"""Answer without looking: the floor that semantic networks are measured against."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from sightline.models.method import Method
from sightline.types import IGNORE

GRID = 32
"""Rows and columns of places that are counted apart."""


class AverageMap(Method):
    """Answer with the class that is most frequent at each place, whatever the image shows.

    Attributes
    ----------
    shares_ : float32 array, shape (K, GRID, GRID)
        Share of the training pixels that each class has in each cell of a grid on the picture;
        where no pixel counts, its share of all.
    classes_ : int64 array, shape (K,)
    """

    floor: ClassVar[bool] = True
    shares_: NDArray[np.float32]

    def fit(self, maps: Iterable[NDArray[np.integer]], classes: int) -> Self:
        """Count the classes of each place.

        Parameters
        ----------
        maps : iterable of int array, shape (H, W)
            Of each training picture, of any size; 255 does not count.
        classes : int
            K.
        """
        counts = np.zeros((classes, GRID * GRID), np.int64)
        for labels in maps:
            height, width = labels.shape
            rows, columns = np.arange(height) * GRID // height, np.arange(width) * GRID // width
            cells = rows[:, None] * GRID + columns
            known = labels != IGNORE
            places = labels[known].astype(np.int64) * GRID * GRID + cells[known]
            counts += np.bincount(places, minlength=counts.size).reshape(counts.shape)
        of_all = counts.sum(1) / max(int(counts.sum()), 1)
        here = counts.sum(0)
        shares = np.where(here > 0, counts / np.maximum(here, 1), of_all[:, None])
        self.classes_ = np.arange(classes)
        self.shares_ = shares.reshape(classes, GRID, GRID).astype(np.float32)
        return self

    def scores(self, X: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute the scores of every pixel of images (N, H, W, C): shape (N, K, H, W)."""
        height, width = X.shape[1:3]
        rows, columns = np.arange(height) * GRID // height, np.arange(width) * GRID // width
        one = self.shares_[:, rows[:, None], columns]
        return np.broadcast_to(one, (len(X), *one.shape))
