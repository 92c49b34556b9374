r"""Bound distances of bytes by integer sums, exactly, so that no second look is needed.

Pixels less 128 are as far apart as pixels, and their products fit eight bits:

.. math:: |q - x|^2 = |q - 128|^2 + |x - 128|^2 - 2 (q - 128) \cdot (x - 128)

The sums of the L1 distance are integers as they are. Only float32 rounding in the comparison
itself needs slack, a few units in the last place of its terms.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.models.classic.search import kernels, manhattan, products
from sightline.models.classic.search.sieve import (
    UNIT_ROUNDOFF,
    Chunk,
    Metric,
    Sieve,
    by_columns,
    inverse_norms,
)

_SLACK = 1 - 16 * UNIT_ROUNDOFF

Bytes = NDArray[np.uint8]


class ByteSieve:
    """A sieve for uint8 queries on uint8 training rows X, shape (n, d)."""

    def __init__(self, X: Bytes, metric: Metric, device: str) -> None:
        self.X, self.metric, self.device = X, metric, device
        n, d = X.shape
        # Products of bytes as they are, the largest sums here, still fit int32?
        self.total = np.int32 if 255**2 * d < 2**31 else np.int64
        if metric == "l2":
            self.x_term = kernels.squared_norms(X, np.ones(n), np.full(d, 128.0))
        else:
            self.x_term = inverse_norms(X) if metric == "cosine" else np.zeros(n)

    def __call__(self, Q: Bytes) -> Sieve:
        """Build the sieve of a chunk of queries, shape (m, d)."""
        m, d = Q.shape
        if self.metric == "l1":
            terms = np.ones(m), np.zeros(m), kernels.FROM_PRODUCT, np.zeros(m), 1.0
        elif self.metric == "l2":
            squared = kernels.squared_norms(Q, np.ones(m), np.full(d, 128.0))
            terms = np.ones(m), -squared * _SLACK, kernels.FROM_PRODUCT, squared, -2.0
        else:  # nearer than D: -q x / |x| < (D - 1) |q|
            scale = inverse_norms(Q)
            norm = 1 / np.where(scale > 0, scale, 1)
            terms = norm, -norm * _SLACK, kernels.COSINE, scale, 0.0
        return Sieve(lambda start, stop: self._chunk(Q, start, stop), *terms)

    def _chunk(self, Q: Bytes, start: int, stop: int) -> Chunk:
        X, x_term = self.X[start:stop], self.x_term[start:stop]
        if self.metric == "l1":
            sums = self._sum(_absolute_sums, Q, X)
            return Chunk(sums, _floats(x_term), _floats(x_term + _SLACK), x_term)
        if self.metric == "l2":
            products = self._sum(_shifted_products, Q, X)
            return Chunk(products, _floats(x_term * _SLACK), _floats(0 * x_term - 2), x_term)
        return Chunk(self._plain_products(Q, X), _floats(0 * x_term), _floats(-x_term), x_term)

    def _plain_products(self, Q: Bytes, X: Bytes) -> NDArray[Any]:
        """Return the inner products of the bytes as they are, shape (m, c).

        ``q x = (q - 128)(x - 128) + 128 (q - 128) + 128 x``.
        """
        import torch

        products = torch.from_numpy(
            self._sum(_shifted_products, Q, X).astype(self.total, copy=False)
        )
        q_sums = 128 * (Q.sum(1, dtype=np.int64) - 128 * Q.shape[1])
        x_sums = 128 * X.sum(1, dtype=np.int64)
        products += torch.from_numpy(q_sums.astype(self.total))[:, None]
        products += torch.from_numpy(x_sums.astype(self.total))
        return np.asarray(products.numpy())

    def _sum(self, pair: Callable[[Bytes, Bytes, str], NDArray[Any]], Q: Bytes, X: Bytes) -> Any:
        return by_columns(lambda c: pair(Q[:, c], X[:, c], self.device), Q.shape[1], self.total)


def _shifted_products(Q: Bytes, X: Bytes, device: str) -> NDArray[np.int32]:
    # Flipping the highest bit subtracts 128 from a byte read as signed.
    return products.byte_products((Q ^ 128).view(np.int8), (X ^ 128).view(np.int8), device)


def _absolute_sums(Q: Bytes, X: Bytes, device: str) -> NDArray[Any]:
    if device != "cpu":  # float32 holds 8,192 differences of bytes exactly
        Q, X = np.ascontiguousarray(Q), np.ascontiguousarray(X)
        return products.distance_sums(Q, X, device).astype(np.int32)
    return manhattan.absolute_sums(Q, X)


def _floats(values: NDArray[np.float64]) -> NDArray[np.float32]:
    return values.astype(np.float32)
