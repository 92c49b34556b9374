"""Choose few rows that lie near all others: a greedy coreset, and a projection to fewer numbers."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sightline.types import Progress

BLOCK = 2.0**-10
"""Share of the steps between two reports of progress."""


def projection(of: int, to: int, seed: int) -> NDArray[np.float32]:
    """Return a random matrix, shape (of, to), that nearly keeps the distances between rows.

    Source: Johnson & Lindenstrauss, 1984; its entries are normal of variance 1 / to (Dasgupta &
    Gupta, An elementary proof of a theorem of Johnson and Lindenstrauss, 2003).
    """
    drawn = np.random.default_rng(seed).normal(0, to**-0.5, (of, to))
    return drawn.astype(np.float32)


def greedy_coreset(
    rows: NDArray[np.float32], size: int, progress: Progress | None = None
) -> NDArray[np.int64]:
    """Return the numbers of rows chosen so that the furthest of all is as near as possible.

    Each step takes the row that is furthest from all that are taken: at most twice as far as the
    best choice of so many leaves any (Gonzalez, Clustering to minimize the maximum intercluster
    distance, 1985). The first is the one furthest from the mean, so that nothing is left to chance
    and no random row stays in the bank.

    Parameters
    ----------
    rows : float32 array, shape (n, d)
    size : int
        How many to choose.
    progress : callable, optional
        Called with (rows chosen, rows to choose).

    Returns
    -------
    int64 array, shape (min(size, n),)
        In the order in which they were taken.
    """
    # A column a row: the products of one row with all are read along the memory.
    x = torch.from_numpy(np.ascontiguousarray(rows.T))
    squares = (x * x).sum(0)
    nearest = _squared_to(x, squares, x.mean(1))
    size = min(size, x.shape[1])
    chosen = torch.empty(size, dtype=torch.int64)
    every = max(1, int(size * BLOCK))
    for step in range(size):
        chosen[step] = row = int(nearest.argmax())
        away = _squared_to(x, squares, x[:, row])
        nearest = away if step == 0 else torch.minimum(nearest, away)
        nearest[row] = -1.0  # of rows that are all alike none is taken twice
        if progress and (step + 1) % every == 0:
            progress(step + 1, size)
    if progress:
        progress(size, size)
    return chosen.numpy()


def _squared_to(x: Tensor, squares: Tensor, centre: Tensor) -> Tensor:
    """Return the squared distances of columns (d, n) to one, shape (n,)."""
    return torch.addmv(squares + centre @ centre, x.T, centre, alpha=-2.0)
