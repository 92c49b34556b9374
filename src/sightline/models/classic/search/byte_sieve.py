r"""Bound distances of bytes by integer sums: exact ones, or of six bits, which come faster.

The exact sums are the distance itself (:math:`L_1`), or lead to it:

.. math:: |q - x|^2 = |q|^2 + |x|^2 - 2 q \cdot x

Only float32 rounding in the comparison itself needs slack, a few units in the last place of its
terms. A processor without an instruction for products of bytes multiplies their six highest bits
a instead (`SixBitSieve`). A byte is near :math:`\hat x = 4 a + 1.5`, and how far a row lies from
its :math:`\hat x` is known exactly, so nothing is lost by

.. math:: |q - x| \ge |\hat q - \hat x| - |q - \hat q| - |x - \hat x|

The cosine distance is half the squared Euclidean one of the rows at unit length.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.models.classic.search import kernels, products, tiles
from sightline.models.classic.search.sieve import (
    COLUMNS,
    UNIT_ROUNDOFF,
    Chunk,
    Metric,
    Sieve,
    by_columns,
    inverse_norms,
)

_SLACK = 1 - 32 * UNIT_ROUNDOFF
_UNIT_ROWS = 2.0**-40  # more than float64 takes from a squared distance of unit rows

Bytes = NDArray[np.uint8]
Sums = Callable[[Bytes], NDArray[Any]]
"""Takes training rows and returns a sum for each query and row; see `tiles.Sums`."""


def byte_sieve(X: Bytes, metric: Metric, device: str) -> ByteSieve | SixBitSieve:
    """Return the fastest sieve for uint8 queries on uint8 training rows X, shape (n, d)."""
    if metric != "l1" and device == "cpu" and products.way() == "six-bit":
        return SixBitSieve(X, metric)
    return ByteSieve(X, metric, device)


class ByteSieve:
    """A sieve by exact sums, for uint8 queries on uint8 training rows X, shape (n, d)."""

    def __init__(self, X: Bytes, metric: Metric, device: str) -> None:
        self.X, self.metric, self.device = X, metric, device
        n, d = X.shape
        # Products of bytes, the largest sums here, still fit int32?
        self.total = np.int32 if 255**2 * d < 2**31 else np.int64
        if metric == "l2":
            self.x_term = kernels.squared_norms(X, np.ones(n), np.zeros(d))
        else:
            self.x_term = inverse_norms(X) if metric == "cosine" else np.zeros(n)

    def __call__(self, Q: Bytes) -> Sieve:
        """Build the sieve of a chunk of queries, shape (m, d)."""
        m, d = Q.shape
        ones, zeros = np.ones(m), np.zeros(m)
        if self.metric == "l1":
            terms = ones, zeros, kernels.FROM_PRODUCT, zeros, zeros, 1.0
        elif self.metric == "l2":
            squared = kernels.squared_norms(Q, ones, np.zeros(d))
            terms = ones, -squared * _SLACK, kernels.FROM_PRODUCT, squared, zeros, -2.0
        else:  # nearer than D: -q x / |x| < (D - 1) |q|
            scale = inverse_norms(Q)
            norm = 1 / np.where(scale > 0, scale, 1)
            terms = norm, -norm * _SLACK, kernels.COSINE, scale, zeros, 0.0
        pair = _absolute_sums if self.metric == "l1" else products.byte_products
        sums = by_columns(lambda c: pair(Q[:, c], self.device), d, self.total)
        return Sieve(lambda start, stop: self._chunk(sums, start, stop), *terms)

    def _chunk(self, sums_with: Sums, start: int, stop: int) -> Chunk:
        X, x_term = self.X[start:stop], self.x_term[start:stop]
        sums = sums_with(X)
        zeros = np.zeros(len(X), np.float32)
        if self.metric == "l1":
            return Chunk(sums, zeros, zeros + np.float32(_SLACK), zeros, x_term)
        if self.metric == "l2":
            return Chunk(sums, _floats(x_term * _SLACK), zeros - 2, zeros, x_term)
        return Chunk(sums, zeros, _floats(-x_term), zeros, x_term)


class SixBitSieve:
    """A sieve by products of six bits, for uint8 queries on uint8 training rows X, (n, d)."""

    def __init__(self, X: Bytes, metric: Metric) -> None:
        self.X, self.metric = X, metric
        self.rows = _Rounded(X, metric)
        self.blocks = math.ceil(X.shape[1] / COLUMNS)
        self.farthest = float(self.rows.error.max()) / _SLACK

    def __call__(self, Q: Bytes) -> Sieve:
        """Build the sieve of a chunk of queries, shape (m, d)."""
        rounded, m = _Rounded(Q, self.metric), len(Q)
        reach, farthest = rounded.error, self.farthest
        if self.metric == "l2":
            slope, intercept, rule = np.ones(m), -16 * _SLACK * rounded.squares, kernels.OF_BYTES
        else:  # all that is known of a query of zeros is that it is at 1 from everything
            slope, rule = rounded.norm, kernels.COSINE
            intercept = np.where(rounded.scale > 0, -_SLACK * slope, np.inf)
            reach, farthest = reach / math.sqrt(2), farthest / math.sqrt(2)
        total = np.int32 if 63**2 * Q.shape[1] < 2**30 else np.int64
        sums = by_columns(lambda c: self._products(Q[:, c]), Q.shape[1], total)
        return Sieve(
            lambda start, stop: self._chunk(sums, start, stop),
            *(slope, intercept, rule, rounded.scale, reach, 0.0, farthest),
        )

    def _products(self, Q: Bytes) -> Sums:
        if self.metric == "l2":
            return tiles.six_bit_products(Q, np.zeros(len(Q), np.int32), 0)
        # q^ x^ / 16 = a b + 3/8 (sum a + sum b) + 9/64 d, at most 2 rounded down
        sums = (Q >> tiles.COARSE_BITS).sum(1, dtype=np.int64)
        shift = ((24 * sums + 9 * Q.shape[1]) >> 6).astype(np.int32)
        return tiles.six_bit_products(Q, shift, 3)

    def _chunk(self, sums_with: Sums, start: int, stop: int) -> Chunk:
        X, part = self.X[start:stop], slice(start, stop)
        sums, scale = sums_with(X), self.rows.scale[part]
        unit = 1 if self.metric == "l2" else math.sqrt(2)
        reach = _floats(self.rows.error[part] / (unit * _SLACK))
        if self.metric == "l2":
            squares = _floats(16 * _SLACK * self.rows.squares[part])
            return Chunk(sums, squares, np.full(len(X), -32, np.float32), reach, scale)
        weight = np.where(scale > 0, 16 / self.rows.norm[part], 0)
        low = np.where(scale > 0, -2 * self.blocks * weight, -np.inf)
        return Chunk(sums, _floats(low), _floats(-weight), reach, scale)


class _Rounded:
    """What is known of rows of bytes x, shape (n, d), and of their x^ = 4 a + 1.5.

    Attributes
    ----------
    squares, norm, scale, error : float64 array, shape (n,)
        |a|², |x^|, 1 / |x| (0 for a row of zeros) and at least |x - x^|, for the cosine distance
        with both at unit length.
    """

    def __init__(self, X: Bytes, metric: Metric) -> None:
        moments = np.zeros((len(X), 5), np.int64)
        kernels.over_rows(kernels.six_bit_moments, len(X), X, moments)
        total, square, high, self.squares, mixed = moments.T.astype(np.float64)
        product, rounded = 4 * mixed + 1.5 * total, 16 * self.squares + 12 * high
        rounded += 2.25 * X.shape[1]
        self.norm, norm = np.sqrt(rounded), np.sqrt(square)
        self.scale = np.divide(1.0, norm, out=np.zeros(len(X)), where=norm > 0)
        if metric == "l2":
            self.error = np.sqrt(square + rounded - 2 * product)
        else:
            apart = 2 - 2 * product * self.scale / self.norm
            self.error = np.sqrt(np.maximum(np.where(norm > 0, apart, 0), 0) + _UNIT_ROWS)


def _absolute_sums(Q: Bytes, device: str) -> Sums:
    if device != "cpu":  # float32 holds 8,192 differences of bytes exactly
        rows = np.ascontiguousarray
        return lambda X: products.distance_sums(rows(Q), rows(X), device).astype(np.int32)
    return tiles.absolute_sums(Q) if tiles.absolute() else lambda X: _by_loop(Q, X)


def _by_loop(Q: Bytes, X: Bytes) -> NDArray[np.int32]:
    sums = np.empty((len(Q), len(X)), np.int32)
    queries, rows = np.ascontiguousarray(Q), np.ascontiguousarray(X)
    kernels.over_rows(kernels.absolute_sums_u8, len(Q), queries, rows, sums)
    return sums


def _floats(values: NDArray[np.float64]) -> NDArray[np.float32]:
    return values.astype(np.float32)
