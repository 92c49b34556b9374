"""Compile the inner loops of the neighbour search by Numba; they run in plain threads.

Each kernel works on rows ``low`` to ``high`` of its first array, so that `over_rows` can
share the rows out. The loops are written for the vectoriser.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

from sightline.metrics import threads

EUCLIDEAN, MANHATTAN, COSINE, FROM_PRODUCT = 0, 1, 2, 3
"""How `keep_nearest` computes the distance of a pair that passed its sieve."""

_BLOCK = 64  # pairs that are sieved together, branch-free, before any is looked at
_TILE = 64  # training rows that stay in the second-level cache while all queries pass

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile a kernel that lets other threads run, kept on disk where that can be."""
    # Sums may be reordered (else they cannot be vectorised); NaN and infinity keep their rules.
    options: dict[str, Any] = {"nogil": True, "fastmath": {"reassoc", "contract", "nsz"}}
    try:
        return cast(F, numba.njit(cache=True, **options)(function))
    except RuntimeError:  # nowhere to write the cache: an installation that is read-only
        return cast(F, numba.njit(**options)(function))


def over_rows(kernel: Callable[..., None], rows: int, *args: Any) -> None:
    """Call ``kernel(*args, low, high)`` for equal shares of the rows, a thread each.

    They are plain threads, as OpenMP's do not survive a fork.
    """
    edges = np.linspace(0, rows, min(threads.in_use(), rows) + 1).astype(int).tolist()
    if len(edges) <= 2:
        kernel(*args, 0, rows)
        return
    with ThreadPoolExecutor(len(edges) - 1) as pool:
        calls = [pool.submit(kernel, *args, low, high) for low, high in itertools.pairwise(edges)]
        for call in calls:
            call.result()


@compiled
def _distance(q: Any, x: Any, q_scale: float, x_scale: float, rule: int) -> float:
    """Measure two rows' distance in float64 (Euclidean: squared), by differences."""
    total = 0.0
    if rule == MANHATTAN:
        for k in range(q.shape[0]):
            total += abs(np.float64(q[k]) - np.float64(x[k]))
    elif rule == EUCLIDEAN:
        for k in range(q.shape[0]):
            difference = np.float64(q[k]) - np.float64(x[k])
            total += difference * difference
    else:
        if q_scale == 0.0 or x_scale == 0.0:
            return 1.0
        for k in range(q.shape[0]):  # of unit vectors |q - x|² / 2 = 1 - cos
            difference = np.float64(q[k]) * q_scale - np.float64(x[k]) * x_scale
            total += difference * difference
        total *= 0.5
    return total


@compiled
def keep_nearest(
    products: Any, low: Any, weight: Any, x_term: Any, slope: Any, intercept: Any, q_term: Any,
    factor: float, Q: Any, X: Any, rule: int, first: int, distances: Any, indices: Any,
    start: int, stop: int,
) -> None:  # fmt: skip
    """Merge one chunk of training rows into every query's k nearest so far.

    Training row j can be among them only if ``low[j] + weight[j] products[i, j] <
    slope[i] D[i] + intercept[i]``, D the k-th distance so far (see `sieve`). Only a pair that
    passes is measured. Rows come in rising order and must be strictly nearer to displace
    one, so of equal distances the lower index stays.

    Parameters
    ----------
    products : array, shape (m, c)
    low, weight : float32 array, shape (c,)
    x_term : float64 array, shape (c,)
    slope, intercept, q_term : float64 array, shape (m,)
        By ``FROM_PRODUCT`` the distance is ``q_term + x_term + factor products``; by
        ``COSINE`` ``q_term`` and ``x_term`` are the rows' inverse norms.
    factor : float
    Q, X : array, shape (m, d) and (c, d)
    rule : int
    first : int
        Index of the chunk's first training row.
    distances, indices : float64 and int64 array, shape (m, k)
        The k nearest so far, in place.
    """
    count, k = products.shape[1], distances.shape[1]
    for i in range(start, stop):
        limit = np.float32(slope[i] * distances[i, k - 1] + intercept[i])
        row = products[i]
        for begin in range(0, count, _BLOCK):
            end = min(begin + _BLOCK, count)
            passed = 0
            for j in range(begin, end):
                passed += low[j] + weight[j] * np.float32(row[j]) < limit
            if passed == 0:
                continue
            for j in range(begin, end):
                if not low[j] + weight[j] * np.float32(row[j]) < limit:
                    continue
                if rule == FROM_PRODUCT:
                    distance = q_term[i] + x_term[j] + factor * np.float64(row[j])
                else:
                    distance = _distance(Q[i], X[j], q_term[i], x_term[j], rule)
                if not distance < distances[i, k - 1]:
                    continue
                place = k - 1
                while place > 0 and distances[i, place - 1] > distance:
                    distances[i, place] = distances[i, place - 1]
                    indices[i, place] = indices[i, place - 1]
                    place -= 1
                distances[i, place] = distance
                indices[i, place] = first + j
                limit = np.float32(slope[i] * distances[i, k - 1] + intercept[i])


@compiled
def pair_distances(
    Q: Any, X: Any, indices: Any, q_term: Any, x_term: Any, rule: int, out: Any,
    start: int, stop: int,
) -> None:  # fmt: skip
    """Measure given pairs: ``out[i, r]`` is the distance of Q[i] to X[indices[i, r]]."""
    for i in range(start, stop):
        for r in range(indices.shape[1]):
            j = indices[i, r]
            out[i, r] = _distance(Q[i], X[j], q_term[i], x_term[j], rule)


@compiled
def absolute_sums_u8(Q: Any, X: Any, out: Any, start: int, stop: int) -> None:
    """Set ``out[i, j]`` to the sum of |Q[i] - X[j]| over uint8 columns: exact.

    The casts keep the arithmetic in 32 bits, without which LLVM does not see ``vpsadbw``.
    """
    for tile in range(0, X.shape[0], _TILE):
        for i in range(start, stop):
            q = Q[i]
            for j in range(tile, min(tile + _TILE, X.shape[0])):
                x = X[j]
                total = np.int32(0)
                for k in range(q.shape[0]):
                    total = np.int32(total + abs(np.int32(np.int32(q[k]) - np.int32(x[k]))))
                out[i, j] = total


@compiled
def absolute_sums_f32(Q: Any, X: Any, out: Any, start: int, stop: int) -> None:
    """Set ``out[i, j]`` to the sum of |Q[i] - X[j]| over float32 columns, in float32."""
    for tile in range(0, X.shape[0], _TILE):
        for i in range(start, stop):
            q = Q[i]
            for j in range(tile, min(tile + _TILE, X.shape[0])):
                x = X[j]
                total = np.float32(0)
                for k in range(q.shape[0]):
                    total += abs(q[k] - x[k])
                out[i, j] = total


@compiled
def centre(
    X: Any, row_scale: Any, mean: Any, scale: float, out: Any, start: int, stop: int
) -> None:
    """Set ``out`` to ``(row_scale X - mean) scale``, rounded once, to float32."""
    for i in range(start, stop):
        for k in range(X.shape[1]):
            out[i, k] = np.float32((np.float64(X[i, k]) * row_scale[i] - mean[k]) * scale)


@compiled
def _squared_norms(X: Any, row_scale: Any, mean: Any, out: Any, start: int, stop: int) -> None:
    for i in range(start, stop):
        total = 0.0
        for k in range(X.shape[1]):
            value = np.float64(X[i, k]) * row_scale[i] - mean[k]
            total += value * value
        out[i] = total


def squared_norms(
    X: NDArray[Any], row_scale: NDArray[np.float64], mean: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Set ``out``, float64 (n,), to the sum of ``(row_scale X - mean)²`` by row of X, (n, d)."""
    out = np.empty(len(X))
    over_rows(_squared_norms, len(X), X, row_scale, mean, out)
    return out
