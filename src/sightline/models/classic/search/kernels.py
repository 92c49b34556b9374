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

EUCLIDEAN, MANHATTAN, COSINE, FROM_PRODUCT, OF_BYTES = 0, 1, 2, 3, 4
"""How `keep_nearest` computes the distance of a pair that passed its sieve."""

_BLOCK = 64  # pairs that are sieved together, branch-free, before any is looked at
_TILE = 64  # training rows that stay in the second-level cache while all queries pass
# Bytes whose products an int32 holds the sum of. Loops over a slice of them start at 0: else
# Numba allows for a negative index, and LLVM does not vectorise.
_COLUMNS = 2**13
_LARGE = 1e30
_ROUNDING = 1e-12  # far more than a cosine of unit rows is off in float64

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
def _squared_difference(q: Any, x: Any) -> float:
    """Sum the squared differences of two rows of bytes, exactly, in integers."""
    total = np.int64(0)
    for begin in range(0, q.shape[0], _COLUMNS):
        part, a, b = np.int32(0), q[begin : begin + _COLUMNS], x[begin : begin + _COLUMNS]
        for k in range(a.shape[0]):
            difference = np.int32(np.int32(a[k]) - np.int32(b[k]))
            part = np.int32(part + np.int32(difference * difference))
        total += part
    return np.float64(total)


@compiled
def _absolute_difference(q: Any, x: Any) -> float:
    total = np.int32(0)
    for k in range(q.shape[0]):
        total = np.int32(total + abs(np.int32(np.int32(q[k]) - np.int32(x[k]))))
    return np.float64(total)


@compiled
def _product(q: Any, x: Any) -> float:
    """Sum the products of two rows of bytes, exactly, in integers."""
    total = np.int64(0)
    for begin in range(0, q.shape[0], _COLUMNS):
        part, a, b = np.int32(0), q[begin : begin + _COLUMNS], x[begin : begin + _COLUMNS]
        for k in range(a.shape[0]):
            part = np.int32(part + np.int32(np.int32(a[k]) * np.int32(b[k])))
        total += part
    return np.float64(total)


@compiled
def _insert(distances: Any, indices: Any, distance: float, index: int) -> None:
    """Put a row into the k nearest so far, behind those that are as near."""
    place = distances.shape[0] - 1
    while place > 0 and distances[place - 1] > distance:
        distances[place] = distances[place - 1]
        indices[place] = indices[place - 1]
        place -= 1
    distances[place] = distance
    indices[place] = index


@compiled
def scan(
    Q: Any, wide: Any, X: Any, squares: Any, rule: int, q_term: Any, distances: Any, indices: Any,
    start: int, stop: int,
) -> None:  # fmt: skip
    """Find each share's k nearest training rows of a few queries, reading each row once.

    Parameters
    ----------
    Q, X : uint8 array, shape (m, d) and (n, d)
    wide : int16 array, shape (m, d)
        Q, widened once for all rows.
    squares : float64 array, shape (n,)
        The rows' squared norms, for ``EUCLIDEAN`` and ``COSINE``; negative ones are set.
    rule : int
        ``EUCLIDEAN`` (squared), ``MANHATTAN`` or ``COSINE``.
    q_term : float64 array, shape (m,)
        The queries' squared norms, or for ``COSINE`` their inverse norms.
    distances, indices : float64 and int64 array, shape (shares, m, k)
        In place; infinite and -1 before.
    """
    shares, k = distances.shape[0], distances.shape[2]
    for share in range(start, stop):
        for j in range(X.shape[0] * share // shares, X.shape[0] * (share + 1) // shares):
            x = X[j]
            if rule != MANHATTAN and squares[j] < 0:
                squares[j] = _product(x, x)
            x_term = 1 / np.sqrt(squares[j]) if rule == COSINE and squares[j] > 0 else 0.0
            for i in range(Q.shape[0]):
                worst = distances[share, i, k - 1]
                if rule == EUCLIDEAN:
                    distance = q_term[i] + squares[j] - 2 * _product(wide[i], x)
                elif rule == MANHATTAN:
                    distance = _absolute_difference(Q[i], x)
                elif 1 - _product(wide[i], x) * q_term[i] * x_term < worst + _ROUNDING:
                    distance = _distance(Q[i], x, q_term[i], x_term, rule)
                else:
                    continue
                if distance < worst:
                    _insert(distances[share, i], indices[share, i], distance, j)


@compiled
def six_bit_moments(X: Any, out: Any, start: int, stop: int) -> None:
    """Set ``out``, int64 (n, 5), to sums of x, x², a, a² and a x by row of bytes; a is x >> 2."""
    for i in range(start, stop):
        for begin in range(0, X.shape[1], _COLUMNS):
            x = X[i, begin : begin + _COLUMNS]
            s = t = u = v = w = np.int32(0)
            for k in range(x.shape[0]):
                value = np.int32(x[k])
                a = np.int32(value >> 2)
                s = np.int32(s + value)
                t = np.int32(t + np.int32(value * value))
                u = np.int32(u + a)
                v = np.int32(v + np.int32(a * a))
                w = np.int32(w + np.int32(a * value))
            for place, part in enumerate((s, t, u, v, w)):
                out[i, place] += part


@compiled
def keep_nearest(
    products: Any, low: Any, weight: Any, x_reach: Any, x_term: Any, slope: Any, reach: Any,
    intercept: Any, farthest: float, q_term: Any, factor: float, Q: Any, X: Any, rule: int,
    first: int, distances: Any, indices: Any, start: int, stop: int,
) -> None:  # fmt: skip
    """Merge one chunk of training rows into every query's k nearest so far.

    Training row j can be among them only if ``low[j] + weight[j] products[i, j] <
    slope[i] (sqrt(D[i]) + reach[i] + x_reach[j])² + intercept[i]``, D the k-th distance so far
    (see `sieve`). As no ``x_reach`` is above ``farthest``, its square is not more than
    ``farthest x_reach[j]``, and the right side splits into a limit and a tilt times ``x_reach``.
    Only a pair that passes is measured. Rows come in rising order and must be strictly nearer to
    displace one, so of equal distances the lower index stays.

    Parameters
    ----------
    products : array, shape (at least m, at least c)
    low, weight, x_reach : float32 array, shape (c,)
    x_term : float64 array, shape (c,)
    slope, reach, intercept, q_term : float64 array, shape (m,)
        By ``FROM_PRODUCT`` the distance is ``q_term + x_term + factor products``; by
        ``OF_BYTES`` the squared Euclidean one in integers; by ``COSINE`` ``q_term`` and
        ``x_term`` are the rows' inverse norms.
    farthest, factor : float
    Q, X : array, shape (m, d) and (c, d)
    rule : int
    first : int
        Index of the chunk's first training row.
    distances, indices : float64 and int64 array, shape (m, k)
        The k nearest so far, in place.
    """
    count, k = low.shape[0], distances.shape[1]
    for i in range(start, stop):
        about = reach[i], slope[i], intercept[i], farthest
        limit, tilt = _limit(distances[i, k - 1], *about)
        row = products[i]
        for begin in range(0, count, _BLOCK):
            end = min(begin + _BLOCK, count)
            passed = 0
            for j in range(begin, end):
                bound = low[j] + weight[j] * np.float32(row[j]) - tilt * x_reach[j]
                passed += bound < limit
            if passed == 0:
                continue
            for j in range(begin, end):
                if not low[j] + weight[j] * np.float32(row[j]) - tilt * x_reach[j] < limit:
                    continue
                if rule == FROM_PRODUCT:
                    distance = q_term[i] + x_term[j] + factor * np.float64(row[j])
                elif rule == OF_BYTES:
                    distance = _squared_difference(Q[i], X[j])
                else:
                    distance = _distance(Q[i], X[j], q_term[i], x_term[j], rule)
                if not distance < distances[i, k - 1]:
                    continue
                _insert(distances[i], indices[i], distance, first + j)
                limit, tilt = _limit(distances[i, k - 1], *about)


@compiled
def _limit(distance: float, reach: float, slope: float, intercept: float, farthest: float) -> Any:
    around = np.sqrt(distance) + reach
    tilt = min(slope * (2 * around + farthest), _LARGE)  # finite, as it is multiplied by 0 too
    return np.float32(slope * around**2 + intercept), np.float32(tilt)


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
    """Set ``out[i, j]`` to the sum of |Q[i] - X[j]| over uint8 columns: exact."""
    for tile in range(0, X.shape[0], _TILE):
        for i in range(start, stop):
            for j in range(tile, min(tile + _TILE, X.shape[0])):
                out[i, j] = _absolute_difference(Q[i], X[j])


@compiled
def products_u8(Q: Any, X: Any, out: Any, start: int, stop: int) -> None:
    """Set ``out[i, j]`` to the sum of Q[i] X[j] over at most 2**13 uint8 columns: exact."""
    for tile in range(0, X.shape[0], _TILE):
        for i in range(start, stop):
            for j in range(tile, min(tile + _TILE, X.shape[0])):
                out[i, j] = _product(Q[i], X[j])


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
