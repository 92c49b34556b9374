"""Compare a method with the best one, when both answered the same images.

A difference that cannot be seen is no proof that there is none: with few images hardly anything
can be seen. So what counts here is how bad the difference may still be, the lower end of its
interval. A method is *not inferior* when that end lies within a margin that was named before
(G. Piaggio et al., Reporting of noninferiority and equivalence randomized trials, JAMA 308, 2012).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.errors import ParameterError

Z = 1.959963984540054
"""97.5% of the normal distribution lie below: the end of a two-sided 95% interval."""

_EDGE = 1e-12  # how near to -1 and 1 the ends of an interval are looked for


@dataclass(frozen=True, slots=True)
class Difference:
    """How much better another method is than the best, on the same images.

    Parameters
    ----------
    difference : float
        Of the headline, other less best, turned so that positive means that the other is better.
    low, high : float
        95% interval of it, two-sided.
    images : int
        That both answered.
    needed : int, optional
        Images in all with which the same rates would put `low` within the margin; None where no
        number would, as the difference itself is not above ``-margin``.
    p : float, optional
        That both are equally good, where there is an exact test of it.
    """

    difference: float
    low: float
    high: float
    images: int
    needed: int | None
    p: float | None = None


def check_margin(margin: float, name: str = "margin") -> float:
    """Return a margin that is a number of at least 0.

    Parameters
    ----------
    margin : float
    name : str
        What the user calls it.

    Raises
    ------
    ParameterError
        When it is negative, infinite or not a number.
    """
    if not (math.isfinite(margin) and margin >= 0):
        raise ParameterError(f"{name} must be a number of at least 0, not {margin:g}")
    return margin


def label_difference(
    best_right: NDArray[np.bool_], other_right: NDArray[np.bool_], margin: float
) -> Difference:
    """Compare the shares that two classifiers get right of the same images.

    Parameters
    ----------
    best_right, other_right : bool array, shape (N,)
        Which images each got right, in one order.
    margin : float
        By how much of a share the other may be worse.

    Returns
    -------
    Difference
        With Tango's score interval, and McNemar's exact p-value.

    Raises
    ------
    ParameterError
        When the arrays are empty or of different lengths, or the margin is no number of at least 0.

    Notes
    -----
    Tango's interval keeps near its 95% where the two hardly ever differ, as good classifiers do,
    and where the normal one shrinks to nothing. His statistic grows with the root of the number of
    images when the rates stay, so `Difference.needed` needs no search.

    Source: T. Tango, Equivalence test and confidence interval for the difference in proportions for
    the paired-sample design, Statistics in Medicine 17, 1998.

    Examples
    --------
    >>> right = np.ones(300, bool)
    >>> found = label_difference(right, right, 0.01)
    >>> found.difference, round(found.low, 4), found.needed
    (0.0, -0.0126, 381)
    """
    check_margin(margin)
    n = len(best_right)
    if n == 0 or len(other_right) != n:
        raise ParameterError(
            f"best_right and other_right must be of the same images, at least one, not of {n} and "
            f"{len(other_right)}"
        )
    only_other = int((other_right & ~best_right).sum())
    only_best = int((best_right & ~other_right).sum())
    low, high = _interval(only_other, only_best, n)
    return Difference(
        (only_other - only_best) / n, low, high, n,
        _labels_needed(only_other, only_best, n, margin), mcnemar(best_right, other_right),
    )  # fmt: skip


def tango_score(b: float, c: float, n: float, difference: float) -> float:
    """Return Tango's statistic: how far the counts are from a supposed difference, in deviations.

    Parameters
    ----------
    b, c : float
        Images that only the one got right, and only the other.
    n : float
        Images in all.
    difference : float
        Supposed share of the one less that of the other, above -1 and below 1.

    Returns
    -------
    float
        Falls as `difference` grows; at 0 it is the root of McNemar's statistic, with its sign.

    Notes
    -----
    Source: Tango 1998, see `label_difference`.
    """
    q = restricted_rate(b, c, n, difference)
    above = b - c - n * difference
    variance = n * (2 * q + difference * (1 - difference))
    if variance <= 0:
        return 0.0 if above == 0 else math.copysign(math.inf, above)
    return above / math.sqrt(variance)


def restricted_rate(b: float, c: float, n: float, difference: float) -> float:
    """Return the likeliest share of the images of `c`, supposing a difference of the shares.

    It maximises ``b log(q + difference) + c log(q) + (n - b - c) log(1 - 2 q - difference)``.

    Parameters
    ----------
    b, c, n, difference : float
        See `tango_score`.

    Notes
    -----
    Source: Tango 1998, see `label_difference`.
    """
    A = 2 * n
    B = -b - c + (2 * n - b + c) * difference
    C = -c * difference * (1 - difference)
    root = math.sqrt(max(B * B - 4 * A * C, 0.0))
    # Of the two forms of the root the one that takes no small difference of large numbers.
    q = (root - B) / (2 * A) if B <= 0 else -2 * C / (B + root)
    return max(q, -difference, 0.0)


def _interval(b: int, c: int, n: int) -> tuple[float, float]:
    """Return the interval of the differences that the counts do not contradict at 5%."""
    from scipy.optimize import brentq

    seen = (b - c) / n
    low, high = -1.0, 1.0
    if tango_score(b, c, n, _EDGE - 1) > Z:
        low = brentq(lambda d: tango_score(b, c, n, d) - Z, _EDGE - 1, min(seen, 1 - _EDGE))
    if tango_score(b, c, n, 1 - _EDGE) < -Z:
        high = brentq(lambda d: tango_score(b, c, n, d) + Z, max(seen, _EDGE - 1), 1 - _EDGE)
    return float(low), float(high)


def _labels_needed(b: int, c: int, n: int, margin: float) -> int | None:
    """Return how many images with the same rates would put the lower end within the margin."""
    if b - c <= -margin * n:
        return None
    if margin >= 1:
        return 1
    return max(1, math.ceil(n * (Z / tango_score(b, c, n, -margin)) ** 2))


def check_same_images(best: NDArray[np.int64], other: NDArray[np.int64]) -> None:
    """Refuse answers for other images, or in another order.

    Parameters
    ----------
    best, other : int64 array, shape (N,)
        Rows that each method answered for.

    Raises
    ------
    ParameterError
    """
    if not np.array_equal(best, other):
        raise ParameterError("best and other must be of the same images, in one order")


def bootstrap_difference(
    best: Callable[[NDArray[np.int64]], float],
    other: Callable[[NDArray[np.int64]], float],
    images: int,
    margin: float,
    *,
    higher_is_better: bool,
    draws: int = 2000,
    seed: int = 0,
) -> Difference:
    """Compare any figure of two methods by drawing the same images for both, again and again.

    Parameters
    ----------
    best, other : callable
        Given row positions, int64 array, shape (N,), with repeats: the headline on those images.
    images : int
        Images that both answered.
    margin : float
        By how much the other may be worse, in the unit of the headline.
    higher_is_better : bool
    draws : int
        Resamples; one on which a figure is undefined (nan) is left out.
    seed : int

    Returns
    -------
    Difference
        With the percentile interval; `needed` supposes that its lower arm shrinks with the root of
        the number of images.

    Raises
    ------
    ParameterError
        When there are no images or draws, a figure is undefined on all of them, or the margin is no
        number of at least 0.

    Notes
    -----
    The figure is computed anew on each draw, so it need not be a mean over images: mAP and mIoU
    will do. With fewer than some tens of images percentile intervals are too narrow.

    Source: B. Efron & R. Tibshirani, An introduction to the bootstrap, 1993, chapter 13.
    """
    check_margin(margin)
    if images < 1 or draws < 1:
        raise ParameterError(f"nothing can be drawn from {images} images in {draws} draws")
    sign = 1 if higher_is_better else -1

    def measure(rows: NDArray[np.int64]) -> float:
        return float(sign * (other(rows) - best(rows)))

    difference = measure(np.arange(images))
    generator = np.random.default_rng(seed)
    drawn = np.array([measure(generator.integers(images, size=images)) for _ in range(draws)])
    drawn = drawn[np.isfinite(drawn)]
    if not math.isfinite(difference) or not len(drawn):
        raise ParameterError("the figure is undefined on these images")
    low, high = (float(end) for end in np.percentile(drawn, (2.5, 97.5)))
    needed = None
    if difference > -margin:
        needed = max(1, math.ceil(images * ((difference - low) / (difference + margin)) ** 2))
    return Difference(difference, low, high, images, needed)


def mcnemar(right_a: NDArray[np.bool_], right_b: NDArray[np.bool_]) -> float:
    """Return the two-sided exact p-value that two classifiers err equally often on the same images.

    Only the images that exactly one of them gets right count; under equality each is as
    likely to be a's as b's.

    Parameters
    ----------
    right_a, right_b : bool array, shape (N,)
        Which images each got right, in one order.

    Notes
    -----
    Source: Q. McNemar, Psychometrika 12, 1947; the exact binomial form.
    """
    from scipy.stats import binomtest

    only_a = int((right_a & ~right_b).sum())
    only_b = int((right_b & ~right_a).sum())
    if only_a + only_b == 0:
        return 1.0
    return float(binomtest(only_a, only_a + only_b, 0.5).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values so that the chance of any false finding stays bounded.

    Sorted upwards, the i-th of m (from 0) is multiplied by m - i, and none falls below
    the one before it.

    Parameters
    ----------
    p_values : sequence of float

    Notes
    -----
    Source: S. Holm, Scand. J. Stat. 6, 1979.
    """
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty(len(p_values))
    worst = 0.0
    for i, index in enumerate(order):
        worst = max(worst, min(1.0, p_values[index] * (len(p_values) - i)))
        adjusted[index] = worst
    return [float(p) for p in adjusted]
