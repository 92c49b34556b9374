"""Compute how long requests wait, and how many machines keep that short.

Requests come at random (Poisson), c places answer one each. The waiting time of M/M/c is known
exactly (Erlang, 1917); where service varies with coefficient of variation v instead of 1, its
tail is shortened by (1 + v²) / 2, after Allen & Cunneen's approximation of the mean wait.
"""

from __future__ import annotations

import math

from sightline.errors import ParameterError

MOST = 1_000_000


def erlang_c(places: int, load: float) -> float:
    """Return the probability that a request has to wait (Erlang C).

    Parameters
    ----------
    places : int
    load : float
        Requests that arrive in a service time: rate x seconds, below `places`.

    Examples
    --------
    >>> round(erlang_c(1, 0.5), 6), round(erlang_c(2, 1.0), 6)
    (0.5, 0.333333)
    """
    blocked = 1.0  # Erlang B, by its recursion, which never overflows
    for k in range(1, places + 1):
        blocked = load * blocked / (k + load * blocked)
    return blocked / (1 - (load / places) * (1 - blocked))


def longest(service: float, variation: float) -> float:
    """Return the 99th percentile of the service time, as if it were normally distributed."""
    return service * (1 + 2.33 * variation)


def response(
    rate: float, service: float, places: int, *, variation: float = 0.0, quantile: float = 0.99
) -> float:
    """Return a quantile of the time from a request's arrival to its answer.

    Parameters
    ----------
    rate : float
        Requests a second.
    service : float
        Mean seconds that a request takes.
    places : int
        Requests served at the same time.
    variation : float
        Coefficient of variation of the service time: its deviation over its mean.
    quantile : float

    Returns
    -------
    float
        Seconds; infinite where more arrive than can be served.
    """
    load = rate * service
    if load >= places:
        return math.inf
    waits = erlang_c(places, load)
    own = longest(service, variation)
    if waits <= 1 - quantile:
        return own
    slope = (places - load) / service
    return own + math.log(waits / (1 - quantile)) / slope * (1 + variation**2) / 2


def machines(
    rate: float, service: float, parallel: int, target: float, *, variation: float = 0.0
) -> int | None:
    """Return the least number of machines, of `parallel` places each, whose p99 meets a target.

    Parameters
    ----------
    rate, service, variation
        See `response`.
    parallel : int
        Requests that a machine serves at the same time.
    target : float
        Largest p99, seconds.

    Returns
    -------
    int or None
        None where no number is enough, because one service alone takes longer.

    Raises
    ------
    ParameterError
        When more than a million would be needed.
    """
    if longest(service, variation) > target:
        return None
    low = max(1, math.ceil(rate * service / parallel))
    for count in range(low, low + 10_000):
        if count > MOST:
            break
        if response(rate, service, count * parallel, variation=variation) <= target:
            return count
    raise ParameterError(f"rate={rate:g} requests a second needs more than a million machines")
