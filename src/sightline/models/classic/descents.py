r"""Step from point to point by each method of `optimize.minimize`.

Each is a generator of points; it ends where it finds no lower one. With g the gradient, H the
Hessian, a the step:

==============  ==========================================================================
gd              x ← x - a g  (Cauchy 1847)
momentum        v ← β v - a g, x ← x + v  (the heavy ball: Polyak 1964)
nesterov        the gradient is taken ahead, where momentum leads  (Nesterov 1983)
newton          x ← x - a H⁻¹ g
cg-linear       directions conjugate under H, for quadratics  (Hestenes & Stiefel 1952)
cg, cg-fr       the same idea for any f: Polak-Ribière+ and Fletcher-Reeves
lbfgs           H⁻¹ from the last ten steps  (Liu & Nocedal 1989)
==============  ==========================================================================

Equations and algorithms are numbered as in Nocedal & Wright, Numerical Optimization, 2nd ed. 2006.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import ParameterError
from sightline.models.classic.line_search import Point, Problem, Vector, backtrack, strong_wolfe


def _gradient_descent(
    problem: Problem, point: Point, step: float | None, momentum: float
) -> Iterator[Point]:
    length = _first_step(point)
    while True:
        if step:
            point = problem.at(point.x - step * point.g)
        else:  # tries twice the last step, so that one narrow place does not slow all later steps
            taken = backtrack(problem, point, -point.g, length)
            if taken is None:
                return
            length, point = taken
            length *= 2
        yield point


def _momentum(
    problem: Problem, point: Point, step: float | None, momentum: float
) -> Iterator[Point]:
    velocity = np.zeros_like(point.x)
    length = step or _first_step(point)
    while True:
        if not step:
            shorter = _short_enough(problem, point, length)
            if shorter is None:
                return
            length = shorter
        velocity = momentum * velocity - length * point.g
        point = problem.at(point.x + velocity)
        yield point


def _nesterov(
    problem: Problem, point: Point, step: float | None, momentum: float
) -> Iterator[Point]:
    """Descend with momentum that grows as (t - 1)/t' and restarts when it leads uphill.

    Beck & Teboulle, SIAM J. Imaging Sci. 2009, equations 4.1 to 4.3; the restart is O'Donoghue &
    Candès, Found. Comput. Math. 2015, section 3.2.
    """
    length = step or _first_step(point)
    t = 1.0
    ahead = point
    while True:
        if not step:
            shorter = _short_enough(problem, ahead, length)
            if shorter is None:
                return
            length = shorter
        following = problem.at(ahead.x - length * ahead.g)
        if ahead.g @ (following.x - point.x) > 0:
            t = 1.0
        t_next = (1 + np.sqrt(1 + 4 * t * t)) / 2
        drift = (t - 1) / t_next
        t, point, before = t_next, following, point
        yield point
        ahead = problem.at(point.x + drift * (point.x - before.x)) if drift else point


def _newton(problem: Problem, point: Point, step: float | None, momentum: float) -> Iterator[Point]:
    """Take Newton's steps; where H is not positive definite, with H + τI for the first τ that is.

    Algorithms 3.2 and 3.3.
    """
    while True:
        direction = -_solve_positive(problem.hessian(point.x), point.g)
        taken = backtrack(problem, point, direction, 1.0)
        if taken is None:
            return
        point = taken[1]
        yield point


def _linear_conjugate(
    problem: Problem, point: Point, step: float | None, momentum: float
) -> Iterator[Point]:
    """Take exact steps along conjugate directions; H is computed once (algorithm 5.2)."""
    h = problem.hessian(point.x)
    residual = point.g
    direction = -residual
    while True:
        curved = h @ direction
        bend = float(direction @ curved)
        if bend <= 0:
            raise ParameterError(
                "cg-linear needs a quadratic with a positive definite Hessian; cg takes any f"
            )
        square = float(residual @ residual)
        length = square / bend
        point = problem.at(point.x + length * direction)
        residual = residual + length * curved  # the recurrence, not grad: exactness is its point
        direction = -residual + float(residual @ residual) / square * direction
        yield point


def _conjugate(problem: Problem, point: Point, polak: bool) -> Iterator[Point]:
    """Descend by non-linear conjugate gradient (algorithm 5.4, equations 5.41 and 5.45).

    Polak-Ribière+ starts anew by itself when β would be negative; Fletcher-Reeves, which can creep
    for long, every n steps.
    """
    direction, length, since = -point.g, _first_step(point), 0
    while True:
        slope = float(point.g @ direction)
        if slope >= 0:
            direction, slope, since = -point.g, -float(point.g @ point.g), 0
        taken = strong_wolfe(problem, point, direction, length, curvature=0.1)
        if taken is None:
            if not since:
                return
            direction, since = -point.g, 0
            continue
        before, (length, point) = point, taken
        yield point
        fresh = point.g - before.g if polak else point.g
        beta = max(0.0, float(point.g @ fresh) / float(before.g @ before.g))
        since += 1
        if not polak and since >= len(point.x) + 1:
            beta, since = 0.0, 0
        direction = -point.g + beta * direction
        # Equation 3.60's neighbour: the same first-order change as last time.
        length *= slope / min(float(point.g @ direction), -1e-300)
        length = min(max(length, 1e-12), 1e12)


def _lbfgs(problem: Problem, point: Point, step: float | None, momentum: float) -> Iterator[Point]:
    """Descend by the two-loop recursion over the last ten steps (algorithms 7.4 and 7.5)."""
    memory: deque[tuple[Vector, Vector, float]] = deque(maxlen=10)
    while True:
        direction = -_two_loops(memory, point.g)
        if point.g @ direction >= 0:
            memory.clear()
            direction = -point.g
        first = 1.0 if memory else _first_step(point)
        taken = strong_wolfe(problem, point, direction, first, curvature=0.9)
        if taken is None:
            if not memory:
                return
            memory.clear()  # the remembered steps mislead: restart along the gradient
            continue
        before, point = point, taken[1]
        s, y = point.x - before.x, point.g - before.g
        if s @ y > 1e-10 * float(np.linalg.norm(s) * np.linalg.norm(y)):
            memory.append((s, y, 1 / float(s @ y)))
        yield point


def _two_loops(memory: deque[tuple[Vector, Vector, float]], g: Vector) -> Vector:
    q = g.copy()
    shares = []
    for s, y, rho in reversed(memory):
        shares.append(rho * float(s @ q))
        q -= shares[-1] * y
    if memory:
        s, y, rho = memory[-1]
        q /= rho * float(y @ y)
    for (s, y, rho), share in zip(memory, reversed(shares), strict=True):
        q += (share - rho * float(y @ q)) * s
    return q


def _first_step(point: Point) -> float:
    """Return a step of length at most 1, as the curvature of f is not known yet."""
    return 1 / max(float(np.linalg.norm(point.g)), 1.0)


def _short_enough(problem: Problem, point: Point, length: float) -> float | None:
    """Halve a step until it is one over the local curvature, or less.

    That is f(x - a g) <= f(x) - a/2 |g|² (Beck & Teboulle 2009, equation 2.4 with g's step). Starts
    from a little more than last time, as f may have become flatter.
    """
    length *= 1.5
    square = float(point.g @ point.g)
    for _ in range(60):
        gain = length / 2 * square
        if problem.value(point.x - length * point.g) <= point.f - gain:
            return length
        if gain <= problem.precision * abs(point.f):
            return length / 1.5  # below the rounding of f nothing can be told
        length /= 2
    return None


def _solve_positive(h: NDArray[np.float64], g: Vector) -> Vector:
    from scipy.linalg import LinAlgError, cho_factor, cho_solve

    size = float(np.abs(h).max(initial=0)) or 1.0
    smallest = float(h.diagonal().min())
    shift = 0.0 if smallest > 0 else 1e-3 * size - smallest
    while True:
        try:
            factor = cho_factor(h + shift * np.eye(len(g)), check_finite=False)
        except LinAlgError:
            shift = max(2 * shift, 1e-3 * size)
        else:
            return np.asarray(cho_solve(factor, g, check_finite=False))


METHODS: dict[str, Callable[[Any, Point, float | None, float], Iterator[Point]]] = {
    "gd": _gradient_descent,
    "momentum": _momentum,
    "nesterov": _nesterov,
    "newton": _newton,
    "cg-linear": _linear_conjugate,
    "cg": lambda problem, point, step, momentum: _conjugate(problem, point, polak=True),
    "cg-fr": lambda problem, point, step, momentum: _conjugate(problem, point, polak=False),
    "lbfgs": _lbfgs,
}
"""By name: called with the problem, the start, the fixed step or None, and the momentum."""
