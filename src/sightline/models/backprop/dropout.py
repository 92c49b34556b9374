"""Dropout: a network that may not lean on any one unit."""

from __future__ import annotations

from typing import Any

import numpy as np

from sightline.errors import ParameterError
from sightline.models.backprop.layers import Array, Layer, Shape


class Dropout(Layer):
    """In training y = x m / (1 - rate), each m_i 0 with probability `rate`, else 1; else y = x.

    The division keeps the mean, E[y] = x, so that nothing changes at prediction. y is
    linear in x, hence dL/dx = g m / (1 - rate), with the mask of the forward pass.

    Source: Srivastava et al., Dropout: a simple way to prevent neural networks from
    overfitting, 2014, section 10 (inverted).

    Parameters
    ----------
    rate : float
        In [0, 1).
    """

    def __init__(self, rate: float = 0.5) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise ParameterError(f"dropout is in [0, 1), not {rate}")
        self.rate = rate
        self._mask: Array | None = None

    def build(self, shape: Shape, rng: np.random.Generator, dtype: Any = np.float32) -> Shape:
        """Keep the generator."""
        self._rng = rng
        return shape

    def forward(self, x: Array, training: bool = False) -> Array:
        """Any shape."""
        if not training or self.rate == 0:
            self._mask = None
            return x
        if not (self.frozen and self._mask is not None and self._mask.shape == x.shape):
            keep = self._rng.random(x.shape, np.float32) >= self.rate
            self._mask = np.multiply(keep, 1 / (1 - self.rate), dtype=x.dtype)
        return np.asarray(x * self._mask)

    def pull_back(self, gradient: Array) -> Array:
        """Give g under the same mask."""
        return gradient if self._mask is None else np.asarray(gradient * self._mask)
