"""Multiply matrices on the processor or the graphics processor: bytes exactly, floats fast.

A product of bytes in [-128, 127] is at most 2**14. Sums of 1,024 of them are integers below
2**24, which float32 holds exactly in any order of summation; so does an int32 with sums of
65,536. Both ways give the same integers, and `byte_products` takes the faster.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

INT32_COLUMNS = 2**16
"""Most columns whose byte products `byte_products` can sum."""

_FLOAT32_COLUMNS = 2**10

INPUT_ROUNDING = {"highest": 0.0, "high": 2.0**-11, "medium": 2.0**-8}
"""Relative rounding of a float32 factor before it is multiplied, by torch's setting
``torch.set_float32_matmul_precision``: TensorFloat-32 keeps 11 bits, bfloat16 keeps 8."""


def byte_products(A: NDArray[np.int8], B: NDArray[np.int8], device: str) -> NDArray[np.int32]:
    """Compute the inner products of A's rows, (m, b), with B's rows, (c, b): exact, (m, c).

    b is at most `INT32_COLUMNS`.
    """
    import torch

    a, b = torch.from_numpy(A), torch.from_numpy(B)
    if device == "cpu" and _int8_is_faster():
        return _numpy(_by_int8(a, b))
    return _numpy(_by_float32(a.to(device), b.to(device)))


def float_products(
    A: NDArray[np.float32], B: NDArray[np.float32], device: str
) -> NDArray[np.float32]:
    """Compute the inner products of A's rows, shape (m, b), with B's rows, (c, b): shape (m, c)."""
    import torch

    return _numpy(torch.mm(torch.from_numpy(A).to(device), torch.from_numpy(B).to(device).T))


def distance_sums(A: NDArray[Any], B: NDArray[Any], device: str) -> NDArray[np.float32]:
    """Sum |a - b| over the columns for all pairs of rows, on a graphics processor: (m, c).

    Exact for bytes as long as ``255 b < 2**24``.
    """
    import torch

    a, b = (torch.from_numpy(rows).to(device).float() for rows in (A, B))
    return _numpy(torch.cdist(a, b, p=1))


def _numpy(tensor: torch.Tensor) -> NDArray[Any]:
    array: NDArray[Any] = tensor.cpu().numpy()
    return array


def _by_int8(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    import torch

    return torch._int_mm(a, b.T)  # type: ignore[no-any-return,unused-ignore]


def _by_float32(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    import torch

    total = torch.zeros(len(a), len(b), dtype=torch.int32, device=a.device)
    for start in range(0, a.shape[1], _FLOAT32_COLUMNS):
        columns = slice(start, start + _FLOAT32_COLUMNS)
        total += torch.mm(a[:, columns].float(), b[:, columns].float().T).to(torch.int32)
    return total


@functools.cache
def _int8_is_faster() -> bool:
    """Tell whether this processor multiplies bytes exactly, and faster than float32.

    ``torch._int_mm`` is private, so it may be missing; without VNNI instructions it is slow,
    and its 16-bit intermediate sums may saturate, which the extreme values would show.
    """
    import torch

    random = np.random.default_rng(0)
    spread = random.integers(-128, 128, (300, 1024), dtype=np.int8)
    extreme = random.choice(np.array([-128, 127], np.int8), (200, 1024))
    probes = [
        (spread, np.concatenate([extreme, spread])),
        (extreme, np.full_like(extreme, -128)),
        (np.full_like(extreme, 127), extreme),
        (extreme[:1, :333].copy(), spread[:7, :333].copy()),
    ]
    try:
        for A, B in probes:
            a, b = torch.from_numpy(A), torch.from_numpy(B)
            if not torch.equal(_by_int8(a, b), _by_float32(a, b)):
                return False
    except (AttributeError, NotImplementedError, RuntimeError):
        return False
    a, b = (torch.from_numpy(rows) for rows in probes[0])
    return _seconds(_by_int8, a, b) < _seconds(_by_float32, a, b)


def _seconds(product: Callable[..., Any], *factors: Any) -> float:
    """Return the least time of three calls, in seconds."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        product(*factors)
        times.append(time.perf_counter() - start)
    return min(times)
