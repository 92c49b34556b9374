"""Turn gradients into steps. Every rule sees all parameters as one vector.

In the formulas w are the parameters, g the gradient, eta the learning rate. The vectors
are worked through in blocks that stay in the cache, as each formula passes over its
operands several times.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sightline.errors import ParameterError

Array = NDArray[Any]
_BLOCK = 1 << 15


class Optimizer:
    """Base class of the rules: keeps the vectors that a rule remembers, and counts the steps.

    Parameters
    ----------
    learning_rate : float
        May be changed between steps; a schedule does.
    """

    remembers: ClassVar[int] = 0
    """How many vectors of the parameters' length the rule keeps."""

    def __init__(self, learning_rate: float) -> None:
        if not learning_rate > 0:
            raise ParameterError(f"learning_rate must be above 0, not {learning_rate}")
        self.learning_rate, self.steps = learning_rate, 0
        self._memory: list[Array] = []

    def step(self, w: Array, g: Array) -> None:
        """Move the parameters, in place.

        Parameters
        ----------
        w, g : array, shape (P,)
        """
        if not self._memory:
            self._memory = [np.zeros_like(w) for _ in range(self.remembers)]
        self.steps += 1
        for start in range(0, len(w), _BLOCK):
            block = slice(start, start + _BLOCK)
            self.rule(w[block], g[block], *(m[block] for m in self._memory))

    def rule(self, w: Array, g: Array, *memory: Array) -> None:
        """Change w and the memory in place; g may not be changed."""
        raise NotImplementedError


class SGD(Optimizer):
    """Stochastic gradient descent: w <- w - eta g.

    Source: Robbins & Monro, A stochastic approximation method, 1951.
    """

    def rule(self, w: Array, g: Array, *memory: Array) -> None:
        """Step against the gradient."""
        w -= self.learning_rate * g


class Momentum(Optimizer):
    """Momentum: v <- mu v + g; w <- w - eta v, a heavy ball that rolls through small bumps.

    Source: Polyak, Some methods of speeding up the convergence of iteration methods, 1964;
    in the form of Sutskever et al. 2013 with the rate outside v.
    """

    remembers = 1

    def __init__(self, learning_rate: float, mu: float = 0.9) -> None:
        super().__init__(learning_rate)
        self.mu = mu

    def rule(self, w: Array, g: Array, *memory: Array) -> None:
        """Update the velocity, then step."""
        (v,) = memory
        v *= self.mu
        v += g
        w -= self.learning_rate * v


class Nesterov(Momentum):
    """Nesterov's momentum: v <- mu v + g; w <- w - eta (g + mu v), the gradient one step ahead.

    Source: Nesterov 1983; in the form of Sutskever et al., On the importance of
    initialization and momentum in deep learning, 2013, shifted by one step so that w is
    the point at which g is taken.
    """

    def rule(self, w: Array, g: Array, *memory: Array) -> None:
        """Update the velocity, then step with the velocity of the next step."""
        (v,) = memory
        v *= self.mu
        v += g
        w -= self.learning_rate * (g + self.mu * v)


class AdaGrad(Optimizer):
    """AdaGrad: s <- s + g²; w <- w - eta g / (sqrt(s) + eps); rare features take larger steps.

    s only grows, so learning slows down for good.

    Source: Duchi, Hazan & Singer, Adaptive subgradient methods, 2011.
    """

    remembers = 1

    def __init__(self, learning_rate: float, eps: float = 1e-10) -> None:
        super().__init__(learning_rate)
        self.eps = eps

    def rule(self, w: Array, g: Array, *memory: Array) -> None:
        """Update the sum of squares, then step."""
        (s,) = memory
        s += g * g
        w -= self.learning_rate * g / (np.sqrt(s) + self.eps)


class RMSProp(Optimizer):
    """RMSProp: s <- rho s + (1 - rho) g²; w <- w - eta g / (sqrt(s) + eps): AdaGrad that forgets.

    Source: Tieleman & Hinton, Lecture 6.5, Coursera: Neural networks for machine learning,
    2012.
    """

    remembers = 1

    def __init__(self, learning_rate: float, rho: float = 0.99, eps: float = 1e-8) -> None:
        super().__init__(learning_rate)
        self.rho, self.eps = rho, eps

    def rule(self, w: Array, g: Array, *memory: Array) -> None:
        """Update the moving mean of squares, then step."""
        (s,) = memory
        s *= self.rho
        s += (1 - self.rho) * g * g
        w -= self.learning_rate * g / (np.sqrt(s) + self.eps)


class Adam(Optimizer):
    """Adam: momentum over RMSProp, with both moving means corrected for their start at 0.

        m <- b1 m + (1 - b1) g         mean of the gradient
        v <- b2 v + (1 - b2) g²        and of its square
        w <- w - eta (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)

    Source: Kingma & Ba, Adam: a method for stochastic optimization, 2015, algorithm 1.
    """

    remembers = 2

    def __init__(
        self, learning_rate: float, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8
    ) -> None:
        super().__init__(learning_rate)
        self.b1, self.b2, self.eps = b1, b2, eps

    def rule(self, w: Array, g: Array, *memory: Array) -> None:
        """Update both means, then step; in place, as this is a fifth of a small network's time."""
        m, v = memory
        work = g - m
        work *= 1 - self.b1
        m += work
        np.multiply(g, g, out=work)
        work -= v
        work *= 1 - self.b2
        v += work
        np.sqrt(v, out=work)
        unbias = (1 - self.b2**self.steps) ** 0.5
        work += self.eps * unbias
        np.divide(m, work, out=work)
        work *= self.learning_rate * unbias / (1 - self.b1**self.steps)
        w -= work


class AdamW(Adam):
    """AdamW: Adam with separate decay w <- (1 - eta lambda) w, not scaled by the mean square.

    Parameters
    ----------
    learning_rate : float
    decay : float
        lambda.
    decaying : int, optional
        Only the first so many parameters decay: the weights, and not what shifts and scales.

    Source: Loshchilov & Hutter, Decoupled weight decay regularization, 2019, algorithm 2.
    """

    def __init__(
        self, learning_rate: float, decay: float = 0.01, decaying: int | None = None
    ) -> None:
        super().__init__(learning_rate)
        self.decay, self.decaying = decay, decaying

    def step(self, w: Array, g: Array) -> None:
        """Decay the weights, then take Adam's step."""
        w[: self.decaying] *= 1 - self.learning_rate * self.decay
        super().step(w, g)


OPTIMIZERS: dict[str, tuple[Callable[[float], Optimizer], float]] = {
    "sgd": (SGD, 0.1),
    "momentum": (Momentum, 0.02),
    "nesterov": (Nesterov, 0.02),
    "adagrad": (AdaGrad, 0.01),
    "rmsprop": (RMSProp, 0.001),
    "adam": (Adam, 0.001),
    "adamw": (AdamW, 0.001),
}
"""Rule and the learning rate at which it usually works."""
