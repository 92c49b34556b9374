"""Search the exact nearest neighbours of many queries, in bounded memory.

Queries and training rows meet in chunks. For each pair of chunks a matrix product (or sums of
absolute differences) sieves the pairs that can be near, and only those are measured in
float64 and merged into the k nearest so far. Sorted by distance, of equal distances the lower
index first. A few queries of bytes are compared with each training row as it is read, once.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.metrics import threads
from sightline.models.classic.search import kernels
from sightline.models.classic.search.byte_sieve import ByteSieve, SixBitSieve, byte_sieve
from sightline.models.classic.search.float_sieve import FloatSieve
from sightline.models.classic.search.sieve import COLUMNS, RULES, Metric
from sightline.types import Progress

Found = tuple[NDArray[np.float64], NDArray[np.int64]]
"""Distances and indices, each of shape (m, k)."""

_MOST_ROWS = 4096  # of a chunk: more gains no speed
_FEW = 8  # queries that one pass over the training rows answers sooner than sieves do


class ExactSearch:
    """Exact search over all training rows, chunk by chunk.

    Parameters
    ----------
    X : uint8, float32 or float64 array, shape (n, d), C-contiguous
        Finite. Kept, not copied; at most 80 bytes a row are computed from it.
    metric : {"l1", "l2", "cosine"}
    device : {"cpu", "cuda"}
        Where products are taken; the rest is done on the processor.
    chunk_mb : int
        MiB that two chunks and their products may take together.
    """

    def __init__(self, X: NDArray[Any], metric: Metric, device: str, chunk_mb: int) -> None:
        self.X, self.metric, self.device, self.chunk_mb = X, metric, device, chunk_mb

    @functools.cached_property
    def _bytes(self) -> ByteSieve | SixBitSieve:
        return byte_sieve(self.X, self.metric, self.device)

    @functools.cached_property
    def _floats(self) -> FloatSieve:
        return FloatSieve(self.X, self.metric, self.device)

    @functools.cached_property
    def _squares(self) -> NDArray[np.float64]:
        return np.full(len(self.X), -1.0)

    def __call__(self, Q: NDArray[Any], k: int, progress: Progress | None = None) -> Found:
        """Find the k nearest training rows of each query.

        Parameters
        ----------
        Q : array, shape (m, d), C-contiguous
        k : int
            At most n.
        progress : callable, optional
            Called with (queries done, queries in all).
        """
        n, m = len(self.X), len(Q)
        of_bytes = Q.dtype == self.X.dtype == np.uint8
        if of_bytes and 0 < m <= _FEW and self.device == "cpu":
            distances, indices = self._scan(Q, k)
            if progress:
                progress(m, m)
            return distances, indices
        sieves = self._bytes if of_bytes else self._floats
        distances, indices = np.full((m, k), np.inf), np.full((m, k), -1, np.int64)
        rows = self._rows()
        for begin in range(0, m, rows):
            part = slice(begin, min(begin + rows, m))
            sieve = sieves(Q[part])
            for first in range(0, n, rows):
                last = min(first + rows, n)
                kernels.over_rows(
                    kernels.keep_nearest, part.stop - begin,
                    *sieve.chunk(first, last), *sieve.terms, sieve.farthest, sieve.q_term,
                    sieve.factor, Q[part], self.X[first:last], sieve.rule, first,
                    distances[part], indices[part],
                )  # fmt: skip
                if progress:
                    progress(begin + (part.stop - begin) * last // n, m)
        return (np.sqrt(distances) if self.metric == "l2" else distances), indices

    def _scan(self, Q: NDArray[np.uint8], k: int) -> Found:
        """Find the nearest rows of a few queries by one pass over the training rows."""
        shares = max(1, min(threads.in_use(), len(self.X)))
        distances = np.full((shares, len(Q), k), np.inf)
        indices = np.full(distances.shape, -1, np.int64)
        wide = Q.astype(np.int16)
        q_term = np.square(wide, dtype=np.float64).sum(1)
        if self.metric == "cosine":
            q_term = np.divide(1.0, np.sqrt(q_term), out=np.zeros(len(Q)), where=q_term > 0)
        kernels.over_rows(
            kernels.scan, shares,
            Q, wide, self.X, self._squares, RULES[self.metric], q_term, distances, indices,
        )  # fmt: skip
        # Shares are in the order of their rows, so a stable sort leaves the lower index first.
        near = distances.swapaxes(0, 1).reshape(len(Q), -1)
        rows = indices.swapaxes(0, 1).reshape(len(Q), -1)
        order = np.argsort(near, axis=1, kind="stable")[:, :k]
        near = np.take_along_axis(near, order, 1)
        return np.sqrt(near) if self.metric == "l2" else near, np.take_along_axis(rows, order, 1)

    def _rows(self) -> int:
        """Return the rows of a chunk: ``8 rows² + 8 rows columns`` bytes are available."""
        columns = min(self.X.shape[1], COLUMNS)
        rows = (math.sqrt(columns**2 + self.chunk_mb * 2**19) - columns) / 2
        return max(1, min(int(rows), _MOST_ROWS))
