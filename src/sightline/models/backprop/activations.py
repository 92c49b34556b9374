"""Compute activations: without them a chain of affine layers is one affine layer.

All but softmax act on each number alone, y = f(x), so dL/dx = g f'(x).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sightline.models.backprop.layers import Array, Layer
from sightline.models.backprop.losses import softmax


class Sigmoid(Layer):
    """y = 1 / (1 + exp(-x)), squashed into (0, 1).

    y' = exp(-x) / (1 + exp(-x))² = y (1 - y): at most 1/4, which is why gradients vanish
    through many of them.
    """

    def forward(self, x: Array, training: bool = False) -> Array:
        """Compute y, of any shape, as (1 + tanh(x/2)) / 2, which cannot overflow."""
        self._y = np.tanh(0.5 * x)
        self._y += 1
        self._y *= 0.5
        return self._y

    def pull_back(self, gradient: Array) -> Array:
        """Return g y (1 - y)."""
        return np.asarray(gradient * self._y * (1 - self._y))


class Tanh(Layer):
    """y = tanh(x), squashed into (-1, 1) around 0; y' = 1 - y²."""

    def forward(self, x: Array, training: bool = False) -> Array:
        """Compute y = tanh(x), of any shape."""
        self._y = np.tanh(x)
        return self._y

    def pull_back(self, gradient: Array) -> Array:
        """Return g (1 - y²)."""
        return np.asarray(gradient * (1 - self._y * self._y))


class ReLU(Layer):
    """y = max(x, 0); y' is 1 where x > 0, else 0 (at the kink, x = 0, too).

    Source: Nair & Hinton, Rectified linear units improve restricted Boltzmann machines, 2010.
    """

    def forward(self, x: Array, training: bool = False) -> Array:
        """Compute y = max(x, 0), of any shape."""
        self._y = np.maximum(x, 0)
        return self._y

    def pull_back(self, gradient: Array) -> Array:
        """Return g where x > 0, else 0."""
        return np.asarray(gradient * (self._y > 0))

    def branches(self) -> Array:
        """Return whether each x is above 0."""
        return np.asarray(self._y > 0)


class LeakyReLU(Layer):
    """y = x where x > 0, else slope x; y' = 1 or slope, so a unit keeps a gradient everywhere.

    Source: Maas, Hannun & Ng, Rectifier nonlinearities improve acoustic models, 2013.
    """

    def __init__(self, slope: float = 0.01) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, x: Array, training: bool = False) -> Array:
        """Compute y, of any shape."""
        self._on = x > 0
        return np.where(self._on, x, self.slope * x)

    def pull_back(self, gradient: Array) -> Array:
        """Return g where x > 0, slope g elsewhere."""
        return np.where(self._on, gradient, self.slope * gradient)

    def branches(self) -> Array:
        """Return whether each x is above 0."""
        return self._on


class ELU(Layer):
    """y = x where x > 0, else alpha (exp(x) - 1).

    Below 0, y' = alpha exp(x) = y + alpha. With alpha = 1 the two halves meet without a kink.

    Source: Clevert, Unterthiner & Hochreiter, Fast and accurate deep network learning by
    exponential linear units, 2016, equation 15.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, x: Array, training: bool = False) -> Array:
        """Compute y, of any shape; exp sees only numbers below 0, so it cannot overflow."""
        self._on = x > 0
        self._y = np.where(self._on, x, self.alpha * np.expm1(np.minimum(x, 0)))
        return self._y

    def pull_back(self, gradient: Array) -> Array:
        """Return g where x > 0, g (y + alpha) elsewhere."""
        return np.where(self._on, gradient, gradient * (self._y + self.alpha))

    def branches(self) -> Array:
        """Return whether each x is above 0."""
        return self._on


class Softmax(Layer):
    r"""y_i = exp(x_i) / sum_k exp(x_k) over the last axis: scores become probabilities.

    dy_i/dx_j = y_i ([i = j] - y_j), hence

        dL/dx_j = sum_i g_i dy_i/dx_j = y_j (g_j - sum_i g_i y_i)

    Before a cross-entropy it is better left out: `losses.SoftmaxCrossEntropy` joins the
    two, which is simpler and never takes log 0.
    """

    def forward(self, x: Array, training: bool = False) -> Array:
        """Compute y, shape (..., C)."""
        self._y = softmax(x)
        return self._y

    def pull_back(self, gradient: Array) -> Array:
        """Return y (g - <g, y>)."""
        inner = (gradient * self._y).sum(-1, keepdims=True)
        return np.asarray(self._y * (gradient - inner))


ACTIVATIONS: dict[str, Callable[[], Layer]] = {
    "relu": ReLU,
    "leaky-relu": LeakyReLU,
    "elu": ELU,
    "tanh": Tanh,
    "sigmoid": Sigmoid,
}
