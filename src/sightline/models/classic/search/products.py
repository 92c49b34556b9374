"""Multiply matrices on the processor or the graphics processor: bytes exactly, floats fast.

Bytes are multiplied by the processor's own instructions (`tiles`), where it has VNNI, or by a
general library in float32: a product of bytes less 128 is at most 2**14, and sums of 1,024 of them
are integers below 2**24, which float32 holds exactly in any order of summation. Without VNNI there
are products of six bits instead, inexact and faster. `way` measures which is the fastest here.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sightline.models.classic.search import kernels, tiles

Way = Literal["vnni", "six-bit", "loop", "float32"]

_FLOAT32_COLUMNS = 2**10
_PROBE = 192, 256, 2**11  # queries, training rows and columns that the ways are timed on
_TURNS = 4
_ROUNDS = 4

INPUT_ROUNDING = {"highest": 0.0, "high": 2.0**-11, "medium": 2.0**-8}
"""Relative rounding of a float32 factor before a graphics processor multiplies it, by torch's
setting ``torch.set_float32_matmul_precision``: TensorFloat-32 keeps 11 bits, bfloat16 keeps 8."""


def input_rounding(device: str) -> float:
    """Return the relative rounding of each factor of `float_products`."""
    if device == "cpu":
        return 0.0
    import torch

    return INPUT_ROUNDING[torch.get_float32_matmul_precision()]


@functools.cache
def way() -> Way:
    """Return how this processor multiplies bytes fastest; it takes some milliseconds, once.

    ``vnni``, ``loop`` and ``float32`` are exact, ``six-bit`` is `tiles.six_bit_products`.
    """
    m, c, d = _PROBE
    Q, X = np.zeros((m, d), np.uint8), np.zeros((c, d), np.uint8)
    own: Way
    own = "vnni" if tiles.exact_products() else "six-bit" if tiles.coarse_products() else "loop"
    no_shift = np.zeros(m, np.int32)
    calls = {
        "vnni": lambda: tiles.products(Q)(X),
        "six-bit": lambda: tiles.six_bit_products(Q, no_shift, 0)(X),
        "loop": lambda: _by_loop(Q, X),
    }
    general: Way = "float32"
    # A busy moment makes either look slow, so that only a repeated answer displaces our own.
    for _ in range(_ROUNDS):
        ours, theirs = _seconds(calls[own], lambda: _by_float32(Q, X))
        if ours <= theirs:
            return own
    return general


def byte_products(
    Q: NDArray[np.uint8], device: str
) -> Callable[[NDArray[np.uint8]], NDArray[np.int32]]:
    """Return what computes the inner products of Q's rows, (m, b), with rows X, (c, b), exactly.

    b is at most 2**13. The int32 array has at least m rows and c columns, of which the first m and
    c are meant, and holds until the next call.
    """
    if device != "cpu":
        return lambda X: _by_torch(Q, X, device)
    if way() == "vnni":
        return tiles.products(Q)
    return functools.partial(_by_loop if way() == "loop" else _by_float32, Q)


def float_products(
    A: NDArray[np.float32], B: NDArray[np.float32], device: str
) -> NDArray[np.float32]:
    """Compute the inner products of A's rows, shape (m, b), with B's rows, (c, b): shape (m, c)."""
    if device == "cpu":
        return A @ B.T
    import torch

    a, b = (torch.from_numpy(rows).to(device) for rows in (A, B))
    return np.asarray(torch.mm(a, b.T).cpu().numpy())


def distance_sums(A: NDArray[Any], B: NDArray[Any], device: str) -> NDArray[np.float32]:
    """Sum |a - b| over the columns for all pairs of rows, on a graphics processor: (m, c).

    Exact for bytes as long as ``255 b < 2**24``.
    """
    import torch

    a, b = (torch.from_numpy(rows).to(device).float() for rows in (A, B))
    return np.asarray(torch.cdist(a, b, p=1).cpu().numpy())


def _by_loop(Q: NDArray[np.uint8], X: NDArray[np.uint8]) -> NDArray[np.int32]:
    sums = np.empty((len(Q), len(X)), np.int32)
    queries, rows = np.ascontiguousarray(Q), np.ascontiguousarray(X)
    kernels.over_rows(kernels.products_u8, len(Q), queries, rows, sums)
    return sums


def _by_float32(Q: NDArray[np.uint8], X: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Multiply ``Q - 128`` and ``X - 128``, a block of columns at a time, and add the rest."""
    total = _shifts(Q, 128 * Q.shape[1])[:, None] + _shifts(X, 0)
    for start in range(0, Q.shape[1], _FLOAT32_COLUMNS):
        columns = slice(start, start + _FLOAT32_COLUMNS)
        a, b = (rows[:, columns].astype(np.float32) - np.float32(128) for rows in (Q, X))
        total += (a @ b.T).astype(np.int32)
    return np.asarray(total)


def _by_torch(Q: NDArray[np.uint8], X: NDArray[np.uint8], device: str) -> NDArray[np.int32]:
    import torch

    a, b = (torch.from_numpy(np.ascontiguousarray(rows)).to(device) for rows in (Q, X))
    shifts = _shifts(Q, 128 * Q.shape[1]), _shifts(X, 0)
    rows, columns = (torch.from_numpy(shift).to(device) for shift in shifts)
    total = rows[:, None] + columns
    for start in range(0, Q.shape[1], _FLOAT32_COLUMNS):
        block = slice(start, start + _FLOAT32_COLUMNS)
        product = torch.mm(a[:, block].float() - 128, (b[:, block].float() - 128).T)
        total += product.to(torch.int32)
    sums: NDArray[np.int32] = total.cpu().numpy()
    return sums


def _shifts(rows: NDArray[np.uint8], less: int) -> NDArray[np.int32]:
    """Return ``128 (sum of a row - less)``, what a product of bytes less 128 lacks on one side."""
    shifts: NDArray[np.int64] = 128 * (rows.sum(1, dtype=np.int64) - less)
    return shifts.astype(np.int32)


def _seconds(*calls: Callable[[], Any]) -> list[float]:
    """Return the least time of each of some calls, in seconds, taken in turns."""
    times = [[_time(call) for call in calls] for _ in range(_TURNS)]
    return [min(one) for one in zip(*times[1:], strict=True)]  # the first ones compile


def _time(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
