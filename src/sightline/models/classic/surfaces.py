"""Define functions of two variables on which to watch an optimiser."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.models.classic.optimize import Function, Gradient, Hessian


@dataclass(frozen=True, slots=True)
class Surface:
    """A function of two variables with its derivatives.

    Parameters
    ----------
    name : str
    formula : str
    f, grad, hess : callable
        Of a vector of shape (2,): float, shape (2,), shape (2, 2).
    start : tuple of float
        Where descents begin by custom.
    minima : tuple of (float, float)
    window : (left, right, bottom, top)
        What to draw.
    """

    name: str
    formula: str
    f: Function
    grad: Gradient
    hess: Hessian
    start: tuple[float, float]
    minima: tuple[tuple[float, float], ...]
    window: tuple[float, float, float, float]


def _rosenbrock(p: NDArray[Any]) -> float:
    x, y = p
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2  # type: ignore[no-any-return]


def _rosenbrock_grad(p: NDArray[np.float64]) -> NDArray[np.float64]:
    x, y = p
    return np.array([-2 * (1 - x) - 400 * x * (y - x**2), 200 * (y - x**2)])


def _rosenbrock_hess(p: NDArray[np.float64]) -> NDArray[np.float64]:
    x, y = p
    return np.array([[2 - 400 * y + 1200 * x**2, -400 * x], [-400 * x, 200.0]])


_BOWL = np.array([[1.0, 0.8], [0.8, 9.0]])


def _bowl(p: NDArray[Any]) -> float:
    x, y = p
    return 0.5 * x**2 + 0.8 * x * y + 4.5 * y**2  # type: ignore[no-any-return]


def _himmelblau(p: NDArray[Any]) -> float:
    x, y = p
    return (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2  # type: ignore[no-any-return]


def _himmelblau_grad(p: NDArray[np.float64]) -> NDArray[np.float64]:
    x, y = p
    a, b = x**2 + y - 11, x + y**2 - 7
    return np.array([4 * x * a + 2 * b, 2 * a + 4 * y * b])


def _himmelblau_hess(p: NDArray[np.float64]) -> NDArray[np.float64]:
    x, y = p
    cross = 4 * (x + y)
    return np.array([[12 * x**2 + 4 * y - 42, cross], [cross, 12 * y**2 + 4 * x - 26]])


SURFACES = MappingProxyType(
    {
        surface.name: surface
        for surface in (
            Surface(
                "rosenbrock", "(1 - x)² + 100 (y - x²)²",
                _rosenbrock, _rosenbrock_grad, _rosenbrock_hess,
                (-1.2, 1.0), ((1.0, 1.0),), (-1.8, 1.8, -0.8, 2.2),
            ),
            Surface(
                "quadratic", "x²/2 + 0.8 x y + 4.5 y²",
                _bowl, lambda p: _BOWL @ p, lambda p: _BOWL,
                (4.0, 1.5), ((0.0, 0.0),), (-5.0, 5.0, -2.5, 2.5),
            ),
            Surface(
                "himmelblau", "(x² + y - 11)² + (x + y² - 7)²",
                _himmelblau, _himmelblau_grad, _himmelblau_hess,
                (-0.5, -1.0),
                ((3.0, 2.0), (-2.805118, 3.131313), (-3.779310, -3.283186), (3.584428, -1.848127)),
                (-5.5, 5.5, -5.0, 5.0),
            ),
        )
    }
)  # fmt: skip
"""By name. Rosenbrock: Comput. J. 1960; Himmelblau: Applied Nonlinear Programming, 1972."""
