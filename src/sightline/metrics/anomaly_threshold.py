"""Set the threshold of a wished rate of false alarms by good pictures that were held back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataError


@dataclass(frozen=True, slots=True)
class Limit:
    """A threshold, and what rate of false alarms it has.

    Parameters
    ----------
    distance : float
        Pictures that are further away are called odd.
    wished : float
        Rate of false alarms that was asked for.
    expected : float
        Mean rate that it has; above `wished` where too few pictures were held back.
    low, high : float
        95% interval of its rate.
    held : int
        Good pictures that it was set by.
    needed : int
        Of which at least so many let the wished rate be reached.
    """

    distance: float
    wished: float
    expected: float
    low: float
    high: float
    held: int
    needed: int

    @property
    def reached(self) -> bool:
        """Tell whether enough pictures were held back for the wished rate."""
        return self.held >= self.needed


def limit_of(held: NDArray[Any], wished: float) -> Limit:
    """Return the threshold that at most a wished share of good pictures exceeds.

    It is the k-th smallest of the n held-back distances, k = ceil((n + 1) (1 - wished)): a new good
    picture exceeds it with probability (n + 1 - k) / (n + 1), whatever their distribution is, as
    long as new pictures come from the same (conformal prediction: Vovk, Gammerman & Shafer,
    Algorithmic learning in a random world, 2005). Of this one threshold the rate is
    Beta(n + 1 - k, k) distributed (Wilks, 1941), which is the interval. Where n is too small,
    it is the largest distance.

    Parameters
    ----------
    held : float array, shape (n,)
    wished : float
        Between 0 and 1.

    Raises
    ------
    DataError
        When no picture was held back.

    Examples
    --------
    >>> limit = limit_of(np.arange(1.0, 100.0), 0.05)
    >>> limit.distance, limit.expected, limit.reached
    (95.0, 0.05, True)
    """
    from scipy.stats import beta

    n = len(held)
    if not n:
        raise DataError("there is no good picture to set a threshold by")
    k = min(n, math.ceil((n + 1) * (1 - wished) - 1e-9))
    low, high = beta.ppf((0.025, 0.975), n + 1 - k, k)
    return Limit(
        float(np.sort(held)[k - 1]), wished, (n + 1 - k) / (n + 1), float(low), float(high), n,
        math.ceil(1 / wished - 1e-9) - 1,
    )  # fmt: skip
