"""Add penalties on large weights to the loss; biases and batch norm are left alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import ParameterError

Array = NDArray[Any]


class L2:
    """The L2 penalty strength/2 sum w²: pulls every weight towards 0 in proportion to it.

    Gradient: strength w. (Ridge; Hoerl & Kennard 1970.)
    """

    def __init__(self, strength: float) -> None:
        self.strength = _checked("l2", strength)

    def value(self, weights: Array) -> float:
        """Return what is added to the loss."""
        return 0.5 * self.strength * float(weights @ weights)

    def add_gradient(self, weights: Array, gradient: Array) -> None:
        """Add strength w to `gradient`, in place."""
        gradient += self.strength * weights


class L1:
    """The L1 penalty strength sum |w|: pulls every weight to 0 with the same force.

    Gradient: strength sign(w), 0 at 0. (Lasso; Tibshirani 1996.)
    """

    def __init__(self, strength: float) -> None:
        self.strength = _checked("l1", strength)

    def value(self, weights: Array) -> float:
        """Return what is added to the loss."""
        return self.strength * float(np.abs(weights).sum())

    def add_gradient(self, weights: Array, gradient: Array) -> None:
        """Add strength sign(w) to `gradient`, in place."""
        gradient += self.strength * np.sign(weights)


Penalty = L1 | L2


def _checked(name: str, strength: float) -> float:
    if not strength >= 0:
        raise ParameterError(f"{name} must be 0 or more, not {strength}")
    return strength
