"""Draw first weights of the size that keeps signals alive through many layers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Initializer = Callable[[np.random.Generator, tuple[int, ...], int, int], NDArray[Any]]
"""(generator, shape of the weights, inputs a unit, outputs an input) -> weights."""


def xavier(
    rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int
) -> NDArray[Any]:
    """Draw uniformly from [-a, a] with a = sqrt(6 / (fan_in + fan_out)).

    A sum of fan_in products of variance v has variance fan_in v: 1 asks v = 1/fan_in on
    the way up; backwards it asks 1/fan_out. Xavier takes the middle, 2/(fan_in + fan_out);
    a uniform variable on [-a, a] has variance a²/3. For tanh and sigmoid.

    Source: Glorot & Bengio, Understanding the difficulty of training deep feedforward
    neural networks, 2010, equation 16.
    """
    bound = math.sqrt(6 / (fan_in + fan_out))
    return rng.uniform(-bound, bound, shape)


def he(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> NDArray[Any]:
    """Draw from a normal distribution of variance 2 / fan_in.

    ReLU zeroes half of a symmetric signal and with it half of its mean square, so the
    weights need twice the variance 1/fan_in. For ReLU and its kin.

    Source: He et al., Delving deep into rectifiers, 2015, equation 10.
    """
    return rng.normal(0, math.sqrt(2 / fan_in), shape)


INITIALIZERS: dict[str, Initializer] = {"xavier": xavier, "he": he}
