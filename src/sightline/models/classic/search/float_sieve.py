r"""Bound distances of floats by float32 sums, allowing for all their rounding.

Let a and b be q and x less the mean training row, times a power of two that keeps float32
from overflow, t the roundings in one sum and :math:`\gamma = t u / (1 - t u)`,
:math:`u = 2^{-24}` (Higham, Accuracy and Stability of Numerical Algorithms, 2002, eq. 3.5,
which holds for any order of summation). As :math:`2 |a||b| \le |a|^2 + |b|^2`,

.. math:: |a - b|^2 \ge (1 - \gamma)(|a|^2 + |b|^2) - 2 \, fl(a \cdot b)

.. math:: |a - b|_1 \ge (1 - \gamma) \, fl(|a - b|_1) - u (|a|_1 + |b|_1)

Without the mean taken off, an offset common to all rows would leave the first bound empty.
The cosine distance is half the squared Euclidean one of the rows at unit length.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.models.classic.search import kernels, products
from sightline.models.classic.search.sieve import (
    COLUMNS,
    RULES,
    UNIT_ROUNDOFF,
    Chunk,
    Metric,
    Sieve,
    by_columns,
    inverse_norms,
    peak,
)

_MEAN_BYTES = 2**25  # of the sample that the mean row is taken from
_UNDERFLOW = 2.0**-118  # more than one column can lose below float32's normal range
_UNIT_ROWS = 2.0**-48  # more than scaling rows to unit length moves them, in float64


class FloatSieve:
    """A sieve for training rows X, shape (n, d), where they or the queries are floats."""

    def __init__(self, X: NDArray[Any], metric: Metric, device: str) -> None:
        self.X, self.metric, self.device = X, metric, device
        n, d = X.shape
        self.x_term = inverse_norms(X) if metric == "cosine" else np.ones(n)
        step = math.ceil(n / max(1, min(1024, _MEAN_BYTES // (8 * d))))
        self.mean = (X[::step] * self.x_term[::step, None]).mean(0)
        self.norms = np.sqrt(kernels.squared_norms(X, self.x_term, self.mean))
        self.peak = 1.0 if metric == "cosine" else peak(X)

    def __call__(self, Q: NDArray[Any]) -> Sieve:
        """Build the sieve of a chunk of queries, shape (m, d)."""
        m, d = Q.shape
        q_term = inverse_norms(Q) if self.metric == "cosine" else np.ones(m)
        largest = 1.0 if self.metric == "cosine" else max(self.peak, peak(Q), 1e-150)
        scale = 2.0 ** -math.ceil(math.log2(largest))
        a = scale * np.sqrt(kernels.squared_norms(Q, q_term, self.mean))
        slope = {"l1": scale, "l2": scale**2, "cosine": 2 * scale**2}[self.metric]

        def inexact(c: slice, x_term: NDArray[np.float64]) -> Callable[[NDArray[Any]], Any]:
            centred = self._centred(Q[:, c], q_term, scale, c)
            return lambda X: self._inexact(centred, self._centred(X, x_term, scale, c))

        def chunk(start: int, stop: int) -> Chunk:
            X, x_term = self.X[start:stop], self.x_term[start:stop]
            low = self._low(scale * self.norms[start:stop], d).astype(np.float32)
            weight = np.full(
                len(X), -2 if self.metric != "l1" else 1 - _gamma(d, self.device), np.float32
            )
            products = by_columns(lambda c: inexact(c, x_term), d, np.float32)(X)
            return Chunk(products, low, weight, np.zeros_like(low), x_term)

        terms = np.full(m, slope), -self._low(a, d), RULES[self.metric], q_term, np.zeros(m)
        return Sieve(chunk, *terms)

    def _low(self, norms: NDArray[np.float64], d: int) -> NDArray[np.float64]:
        """Return the part of the bound that one side of the pair adds, from its norm."""
        if self.metric == "l1":  # |a|_1 <= sqrt(d) |a|
            return -2 * UNIT_ROUNDOFF * math.sqrt(d) * norms - d * _UNDERFLOW
        rounding = _UNIT_ROWS * (norms + _UNIT_ROWS) if self.metric == "cosine" else 0.0
        return (1 - _gamma(d, self.device)) * norms**2 - rounding - d * _UNDERFLOW

    def _centred(
        self, rows: NDArray[Any], row_scale: NDArray[np.float64], scale: float, columns: slice
    ) -> NDArray[np.float32]:
        out = np.empty(rows.shape, np.float32)
        kernels.over_rows(
            kernels.centre, len(rows), rows, row_scale, self.mean[columns], scale, out
        )
        return out

    def _inexact(self, A: NDArray[np.float32], B: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.metric != "l1":
            return products.float_products(A, B, self.device)
        if self.device != "cpu":
            return products.distance_sums(A, B, self.device)
        sums = np.empty((len(A), len(B)), np.float32)
        kernels.over_rows(kernels.absolute_sums_f32, len(A), A, B, sums)
        return sums


def _gamma(d: int, device: str) -> float:
    """Return a bound on the relative error of a sum of d float32 products and a comparison."""
    terms = (min(d, COLUMNS) + math.ceil(d / COLUMNS) + 16) * UNIT_ROUNDOFF
    return terms / (1 - terms) + 4 * products.input_rounding(device)
