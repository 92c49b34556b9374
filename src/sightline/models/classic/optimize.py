r"""Minimise functions: one function for first-order, conjugate and second-order methods.

How each method goes from point to point is told in `descents`; here it is driven, watched and
recorded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sightline.errors import ParameterError, TrainingError, UnknownNameError
from sightline.models.classic.descents import METHODS
from sightline.models.classic.line_search import Point, Vector

Method = Literal["gd", "momentum", "nesterov", "newton", "cg-linear", "cg", "cg-fr", "lbfgs"]
Function = Callable[[Vector], float]
Gradient = Callable[[Vector], Vector]
Hessian = Callable[[Vector], NDArray[np.float64]]
Watch = Callable[[int, Point], bool | None]


@dataclass(frozen=True, slots=True)
class Descent:
    """The result of a minimisation: where it ended, its path, and why it stopped.

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
    """Minimise f from x0 until the gradient is within tolerance of 0.

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
    >>> found.converged, bool(abs(found.x).max() < 1e-6)
    (True, True)
    """
    start = np.array(x0, np.float64)
    _check(method, hess, start, step, momentum, tol, max_iter)
    problem = _Problem(f, grad, hess, method, step, precision)
    # A diverging step has an error of its own, without NumPy's warnings.
    with np.errstate(over="ignore", invalid="ignore"):
        point = problem.checked(problem.at(start))
        path, values = [point.x], [point.f]
        steps = METHODS[method](problem, point, step, momentum)
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
    """A function with its derivatives, each call counted."""

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


def _check(
    method: str, hess: Hessian | None, x0: Vector, step: float | None, momentum: float,
    tol: float, max_iter: int,
) -> None:  # fmt: skip
    if method not in get_args(Method):
        raise UnknownNameError("method", method, get_args(Method))
    if method in ("newton", "cg-linear") and hess is None:
        raise ParameterError(f"method={method!r} needs the Hessian; pass hess=...")
    if x0.ndim != 1 or not np.isfinite(x0).all():
        raise ParameterError(f"x0 must be a vector of finite numbers, not of shape {x0.shape}")
    if step is not None and not (np.isfinite(step) and step > 0):
        raise ParameterError(f"step must be a number above 0, not {step}")
    if step is not None and method not in ("gd", "momentum", "nesterov"):
        raise ParameterError(f"{method} has no fixed step; step=... is for gd, momentum, nesterov")
    if not 0 <= momentum < 1:
        raise ParameterError(f"momentum must be in [0, 1), not {momentum}")
    if not tol >= 0 or max_iter < 0:
        raise ParameterError(f"tol and max_iter must be at least 0, not {tol} and {max_iter}")
