r"""Define the sieve of training rows: cheap lower bounds that never lose a neighbour.

Nearly all pairs of a query q and a training row x are far apart, and to say so a rounded
distance is enough. A sieve is a quantity P(q, x) that comes fast for many pairs at once, with
numbers such that a pair can be nearer than D only if

.. math:: low_x + weight_x P(q, x) < slope_q D + intercept_q

What passes is measured exactly (`kernels.keep_nearest`): the bound decides how much work an
answer takes, never the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sightline.models.classic.search import kernels

Metric = Literal["l1", "l2", "cosine"]

RULES = {"l1": kernels.MANHATTAN, "l2": kernels.EUCLIDEAN, "cosine": kernels.COSINE}

COLUMNS = 2**13
"""Columns that are summed at once; wider rows go in blocks, for memory and fewer roundings."""

UNIT_ROUNDOFF = 2.0**-24
"""Largest relative error of rounding to float32."""


class Chunk(NamedTuple):
    """The bound's numbers for c training rows."""

    products: NDArray[Any]
    """P in the first m rows and c columns."""
    low: NDArray[np.float32]
    """Shape (c,), as the next three."""
    weight: NDArray[np.float32]
    reach: NDArray[np.float32]
    x_term: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sieve:
    """The bound's numbers for a chunk of m queries.

    Parameters
    ----------
    chunk : callable
        Its other half, for training rows ``start`` to ``stop``.
    slope, intercept : float64 array, shape (m,)
    rule, q_term, factor
        How a pair that passes is measured, with ``Chunk.x_term``: see `kernels.keep_nearest`.
    reach : float64 array, shape (m,)
        How much nearer, by the square root of D, the rounding of the query may make it look.
    farthest : float
        The largest reach of a training row.
    """

    chunk: Callable[[int, int], Chunk]
    slope: NDArray[np.float64]
    intercept: NDArray[np.float64]
    rule: int
    q_term: NDArray[np.float64]
    reach: NDArray[np.float64]
    factor: float = 0.0
    farthest: float = 0.0

    @property
    def terms(self) -> tuple[NDArray[np.float64], ...]:
        """Return slope, reach and intercept."""
        return self.slope, self.reach, self.intercept


def by_columns(
    prepare: Callable[[slice], Callable[[NDArray[Any]], NDArray[Any]]],
    columns: int,
    total: type[np.number[Any]],
) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Return sums over blocks of columns, in the type ``total`` where there are several.

    Parameters
    ----------
    prepare : callable
        Takes the queries' part of a block, and returns what takes the training rows' part. Called
        once if there is one block; several would take memory.
    """
    blocks = [slice(start, start + COLUMNS) for start in range(0, columns, COLUMNS)]
    if len(blocks) == 1:
        return prepare(blocks[0])

    def sums(X: NDArray[Any]) -> NDArray[Any]:
        result = prepare(blocks[0])(X[:, blocks[0]]).astype(total)
        for block in blocks[1:]:
            result += prepare(block)(X[:, block])
        return result

    return sums


def inverse_norms(X: NDArray[Any]) -> NDArray[np.float64]:
    """Return ``1 / |x|`` for each row of X, shape (n, d), and 0 for a row of zeros: shape (n,)."""
    norms = np.sqrt(kernels.squared_norms(X, np.ones(len(X)), np.zeros(X.shape[1])))
    return np.divide(1.0, norms, out=np.zeros(len(X)), where=norms > 0)


def peak(X: NDArray[Any]) -> float:
    """Return the largest absolute value; NaN or infinite if there is such a value in X."""
    return max(float(X.max()), -float(X.min())) if X.size else 0.0
