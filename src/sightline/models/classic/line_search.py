r"""Search a step length along a direction.

Both searches look at :math:`\phi(a) = f(x + a p)` for a direction p that goes down,
:math:`\phi'(0) < 0` (Nocedal & Wright, Numerical Optimization, 2nd ed. 2006, chapter 3).
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

_SUFFICIENT = 1e-4
_TRIALS = 40


class Point(NamedTuple):
    """A point of a descent: x, f(x) and the gradient there."""

    x: Vector
    f: float
    g: Vector


class Problem(Protocol):
    """The function that a descent minimises; `precision` is the relative error of f."""

    precision: float

    def value(self, x: Vector) -> float:
        """Return f(x), infinite where it is not a number."""

    def at(self, x: Vector, f: float | None = None) -> Point:
        """Return the point x with its gradient; f is given when it is known already."""

    def hessian(self, x: Vector) -> NDArray[np.float64]:
        """Return the Hessian at x, shape (n, n)."""


def backtrack(
    problem: Problem, start: Point, direction: Vector, first: float, shrink: float = 0.5
) -> tuple[float, Point] | None:
    """Shrink a step until f falls enough (Armijo's rule; algorithm 3.1).

    Returns
    -------
    step, point
        None when no step goes down as far as f can be computed.
    """
    slope = float(start.g @ direction)
    step = first
    for _ in range(_TRIALS):
        x = start.x + step * direction
        f = problem.value(x)
        if f <= start.f + _SUFFICIENT * step * slope and f < start.f:
            return step, problem.at(x, f)
        step *= shrink
    return None


def strong_wolfe(
    problem: Problem, start: Point, direction: Vector, first: float, curvature: float
) -> tuple[float, Point] | None:
    r"""Find a step that lowers f enough and flattens the slope (algorithms 3.5 and 3.6).

    .. math:: \phi(a) \le \phi(0) + c_1 a \phi'(0), \qquad |\phi'(a)| \le c_2 |\phi'(0)|

    Near a minimum, where differences of f drown in its rounding, the first condition is read
    from slopes: :math:`\phi'(a) \le (2 c_1 - 1) \phi'(0)` (Hager & Zhang, SIAM J. Optim. 2005,
    section 4).

    Parameters
    ----------
    problem : Problem
    start : Point
    direction : float64 array, shape (n,)
    first : float
        Step tried first.
    curvature : float
        c₂, between c₁ = 1e-4 and 1.

    Returns
    -------
    step, point
        None when there is none as far as f can be computed.
    """
    slope0 = float(start.g @ direction)
    noise = problem.precision * abs(start.f)

    def look(step: float) -> tuple[Point, float]:
        point = problem.at(start.x + step * direction)
        return point, float(point.g @ direction)

    def too_high(step: float, point: Point, slope: float) -> bool:
        if not np.isfinite(point.f):
            return True
        if point.f <= start.f + _SUFFICIENT * step * slope0:
            return False
        return point.f > start.f + noise or slope > (2 * _SUFFICIENT - 1) * slope0

    low, low_point, low_slope = 0.0, start, slope0
    high, high_f, high_slope = np.inf, np.inf, np.nan
    step = first
    for trial in range(_TRIALS):
        point, slope = look(step)
        if too_high(step, point, slope) or (trial and low and point.f > low_point.f + noise):
            high, high_f, high_slope = step, point.f, slope
        elif abs(slope) <= -curvature * slope0:
            return step, point
        else:
            if slope * (high - low if np.isfinite(high) else 1.0) >= 0:
                high, high_f, high_slope = low, low_point.f, low_slope
            low, low_point, low_slope = step, point, slope
        if np.isinf(high):
            step *= 2
            continue
        width = high - low
        if abs(width) <= 1e-15 * max(abs(low), abs(high)):
            break
        step = low + width * _fraction(low_point.f, low_slope, high_f, high_slope, width)
    # The curvature condition was not met, but what went down is still worth taking.
    return (low, low_point) if low_point.f < start.f else None


def _fraction(f0: float, slope0: float, f1: float, slope1: float, width: float) -> float:
    """Return where in [0, 1] the cubic through two points and slopes is lowest (equation 3.59).

    Kept off the ends, and the middle where the cubic has no minimum: each trial narrows the
    bracket by a tenth at least.
    """
    if not (np.isfinite(f1) and np.isfinite(slope1)):
        return 0.1  # f overflowed at the far end
    a, b = slope0 * width, slope1 * width
    d1 = a + b - 3 * (f1 - f0)
    inside = d1 * d1 - a * b
    if inside < 0:
        return 0.5
    d2 = np.sqrt(inside)
    bottom = b - a + 2 * d2
    if bottom == 0:
        return 0.5
    return float(np.clip(1 - (b + d2 - d1) / bottom, 0.1, 0.9))
