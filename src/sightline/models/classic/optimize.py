r"""Going downhill: first-order, conjugate and second-order methods behind one function.

Each method is a generator that goes from point to point; `minimize` drives it, watches for the end
and keeps the path. With g the gradient, H the Hessian, a the step:

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
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sightline.errors import ParameterError, TrainingError, UnknownNameError
from sightline.models.classic.line_search import Point, Vector, backtrack, strong_wolfe

Method = Literal["gd", "momentum", "nesterov", "newton", "cg-linear", "cg", "cg-fr", "lbfgs"]
Function = Callable[[Vector], float]
Gradient = Callable[[Vector], Vector]
Hessian = Callable[[Vector], NDArray[np.float64]]
Watch = Callable[[int, Point], bool | None]


@dataclass(frozen=True, slots=True)
class Descent:
    """A way down.

    Parameters
    ----------
    x : float64 array, shape (n,)
        Where it ended.
    value : float
        f there.
    gradient_norm : float
        Largest absolute entry of the gradient there.
    path : float64 array, shape (iterations + 1, n)
        Every point from the start on; the last alone when the path was not kept.
    values : float64 array, shape (iterations + 1,)
        f at every point.
    iterations : int
    evaluations : dict of str to int
        Calls of ``f``, ``grad`` and ``hess``.
    converged : bool
        Whether the gradient fell to the tolerance.
    message : str
        Why it ended.
    """

    x: Vector
    value: float
    gradient_norm: float
    path: NDArray[np.float64]
    values: NDArray[np.float64]
    iterations: int
    evaluations: dict[str, int]
    converged: bool
    message: str


def minimize(
    f: Function,
    grad: Gradient,
    x0: ArrayLike,
    method: Method = "lbfgs",
    hess: Hessian | None = None,
    *,
    step: float | None = None,
    momentum: float = 0.9,
    tol: float = 1e-6,
    max_iter: int = 1000,
    precision: float = 1e-13,
    keep_path: bool = True,
    watch: Watch | None = None,
) -> Descent:
    """Go down from x0 until the gradient is as good as 0.

    Parameters
    ----------
    f : callable
        Vector of shape (n,) to float.
    grad : callable
        Vector to the gradient there, shape (n,).
    x0 : array, shape (n,)
    method : {"gd", "momentum", "nesterov", "newton", "cg-linear", "cg", "cg-fr", "lbfgs"}
    hess : callable, optional
        Vector to the Hessian there, shape (n, n); ``newton`` and ``cg-linear`` need it.
    step : float, optional
        Fixed step of ``gd``, ``momentum`` and ``nesterov``; default: found by backtracking.
    momentum : float
        Share of the velocity that ``momentum`` keeps, in [0, 1).
    tol : float
        Largest absolute entry of the gradient that counts as 0.
    max_iter : int
    precision : float
        Relative error of f: 1e-13 for sums in float64; about 1e-7 where f is made of float32.
    keep_path : bool
        Keep every point; without it only the last.
    watch : callable, optional
        Called with (iteration, point) after each; True ends the descent.

    Raises
    ------
    UnknownNameError, ParameterError
        When an option cannot be, or a Hessian is missing.
    TrainingError
        When f or its gradient stops being finite: a diverging step. The iteration is named.

    Examples
    --------
    >>> found = minimize(lambda x: float(x @ x), lambda x: 2 * x, [3.0, -4.0])
    >>> found.converged, abs(found.x).max() < 1e-6
    (True, True)
    """
    start = np.array(x0, np.float64)
    _check(method, hess, start, step, momentum, tol, max_iter)
    problem = _Problem(f, grad, hess, method, step, precision)
    # A diverging step is said in one line of our own.
    with np.errstate(over="ignore", invalid="ignore"):
        point = problem.checked(problem.at(start))
        path, values = [point.x], [point.f]
        steps = _METHODS[method](problem, point, step, momentum)
        message = ""
        while not (converged := bool(np.abs(point.g).max(initial=0) <= tol)):
            if problem.iteration == max_iter:
                message = f"stopped after {max_iter} iterations"
                break
            problem.iteration += 1
            following = next(steps, None)
            if following is None:
                problem.iteration -= 1
                message = "no lower point along the direction, as far as f can be computed"
                break
            point = problem.checked(following)
            if keep_path:
                path.append(point.x)
            values.append(point.f)
            if watch and watch(problem.iteration, point):
                message = f"stopped at iteration {problem.iteration} by the watch"
                break
    norm = float(np.abs(point.g).max(initial=0))
    return Descent(
        point.x, point.f, norm, np.array(path if keep_path else [point.x]), np.array(values),
        problem.iteration, problem.evaluations, converged,
        message or f"the gradient fell to {norm:.2g}",
    )  # fmt: skip


class _Problem:
    """f with its derivatives, each call counted."""

    def __init__(
        self, f: Function, grad: Gradient, hess: Hessian | None, method: str,
        step: float | None, precision: float,
    ) -> None:  # fmt: skip
        self._f, self._grad, self._hess = f, grad, hess
        self.method, self.step, self.precision = method, step, precision
        self.evaluations = {"f": 0, "grad": 0, "hess": 0}
        self.iteration = 0

    def value(self, x: Vector) -> float:
        self.evaluations["f"] += 1
        f = float(self._f(x))
        return np.inf if np.isnan(f) else f

    def gradient(self, x: Vector) -> Vector:
        self.evaluations["grad"] += 1
        g = np.asarray(self._grad(x), np.float64)
        if g.shape != x.shape:
            raise ParameterError(f"the gradient has shape {g.shape}, the point {x.shape}")
        return g

    def at(self, x: Vector, f: float | None = None) -> Point:
        return Point(x, self.value(x) if f is None else f, self.gradient(x))

    def hessian(self, x: Vector) -> NDArray[np.float64]:
        assert self._hess is not None
        self.evaluations["hess"] += 1
        h = np.asarray(self._hess(x), np.float64)
        if h.shape != (len(x), len(x)):
            raise ParameterError(f"the Hessian has shape {h.shape}, not {(len(x), len(x))}")
        if not np.isfinite(h).all():
            raise TrainingError(
                f"{self.method}: the Hessian has a value that is not finite at iteration "
                f"{self.iteration}"
            )
        return h

    def checked(self, point: Point) -> Point:
        if np.isfinite(point.f) and np.isfinite(point.g).all():
            return point
        if not self.iteration:
            raise TrainingError(f"{self.method}: f or its gradient is not finite at the start")
        mend = (
            f"take a smaller step than {self.step:g}, or none: it is then searched for"
            if self.step
            else "scale the features, or start elsewhere"
        )
        raise TrainingError(
            f"{self.method} diverged at iteration {self.iteration}: f is {point.f:g}; {mend}"
        )


def _gradient_descent(
    problem: _Problem, point: Point, step: float | None, momentum: float
) -> Iterator[Point]:
    length = _first_step(point)
    while True:
        if step:
            point = problem.at(point.x - step * point.g)
        else:  # twice the last step is tried, so that one narrow place does not slow all that come
            found = backtrack(problem, point, -point.g, length)
            if found is None:
                return
            length, point = found
            length *= 2
        yield point


def _momentum(
    problem: _Problem, point: Point, step: float | None, momentum: float
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
    problem: _Problem, point: Point, step: float | None, momentum: float
) -> Iterator[Point]:
    """Momentum that grows as (t - 1)/t' and starts anew when it leads uphill.

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


def _newton(
    problem: _Problem, point: Point, step: float | None, momentum: float
) -> Iterator[Point]:
    """Newton's step; where H is not positive definite, H + τI with the first τ that makes it so.

    Algorithms 3.2 and 3.3.
    """
    while True:
        direction = -_solve_positive(problem.hessian(point.x), point.g)
        found = backtrack(problem, point, direction, 1.0)
        if found is None:
            return
        point = found[1]
        yield point


def _linear_conjugate(
    problem: _Problem, point: Point, step: float | None, momentum: float
) -> Iterator[Point]:
    """Exact steps along conjugate directions; H is taken once (algorithm 5.2)."""
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


def _conjugate(problem: _Problem, point: Point, polak: bool) -> Iterator[Point]:
    """Non-linear conjugate gradient (algorithm 5.4, equations 5.41 and 5.45).

    Polak-Ribière+ starts anew by itself when β would be negative; Fletcher-Reeves, which can creep
    for long, every n steps.
    """
    direction, length, since = -point.g, _first_step(point), 0
    while True:
        slope = float(point.g @ direction)
        if slope >= 0:
            direction, slope, since = -point.g, -float(point.g @ point.g), 0
        found = strong_wolfe(problem, point, direction, length, curvature=0.1)
        if found is None:
            if not since:
                return
            direction, since = -point.g, 0
            continue
        before, (length, point) = point, found
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


def _lbfgs(problem: _Problem, point: Point, step: float | None, momentum: float) -> Iterator[Point]:
    """The two-loop recursion over the last ten steps (algorithms 7.4 and 7.5)."""
    memory: deque[tuple[Vector, Vector, float]] = deque(maxlen=10)
    while True:
        direction = -_two_loops(memory, point.g)
        if point.g @ direction >= 0:
            memory.clear()
            direction = -point.g
        first = 1.0 if memory else _first_step(point)
        found = strong_wolfe(problem, point, direction, first, curvature=0.9)
        if found is None:
            if not memory:
                return
            memory.clear()  # what was remembered misleads: once more, straight down
            continue
        before, point = point, found[1]
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
    """A step of length at most 1: nothing is known yet of how f bends."""
    return 1 / max(float(np.linalg.norm(point.g)), 1.0)


def _short_enough(problem: _Problem, point: Point, length: float) -> float | None:
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


def _check(
    method: str, hess: Hessian | None, x0: Vector, step: float | None, momentum: float,
    tol: float, max_iter: int,
) -> None:  # fmt: skip
    if method not in get_args(Method):
        raise UnknownNameError("method", method, get_args(Method))
    if method in ("newton", "cg-linear") and hess is None:
        raise ParameterError(f"{method} needs the Hessian: pass hess=")
    if x0.ndim != 1 or not np.isfinite(x0).all():
        raise ParameterError(f"x0 must be a vector of finite numbers, not of shape {x0.shape}")
    if step is not None and not (np.isfinite(step) and step > 0):
        raise ParameterError(f"step must be a number above 0, not {step}")
    if step is not None and method not in ("gd", "momentum", "nesterov"):
        raise ParameterError(f"{method} finds its own step; step is for gd, momentum and nesterov")
    if not 0 <= momentum < 1:
        raise ParameterError(f"momentum must be in [0, 1), not {momentum}")
    if not tol >= 0 or max_iter < 0:
        raise ParameterError(f"tol and max_iter must be at least 0, not {tol} and {max_iter}")


_METHODS: dict[str, Callable[[Any, Point, float | None, float], Iterator[Point]]] = {
    "gd": _gradient_descent,
    "momentum": _momentum,
    "nesterov": _nesterov,
    "newton": _newton,
    "cg-linear": _linear_conjugate,
    "cg": lambda problem, point, step, momentum: _conjugate(problem, point, polak=True),
    "cg-fr": lambda problem, point, step, momentum: _conjugate(problem, point, polak=False),
    "lbfgs": _lbfgs,
}
