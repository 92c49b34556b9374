"""Regularise by dropout: silence random units in training."""

from __future__ import annotations

from typing import Any

import numpy as np

from sightline.errors import ParameterError
from sightline.models.backprop.layers import Array, Layer, Shape


class Dropout(Layer):
    """Dropout: in training y = x m / (1 - rate), m_i = 0 with probability `rate`, else 1.

    Outside training y = x; the division by 1 - rate keeps the mean, E[y] = x, equal in both. y is
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
            raise ParameterError(f"dropout must be in [0, 1), not {rate}")
        self.rate = rate
        self._mask: Array | None = None

    def build(self, shape: Shape, rng: np.random.Generator, dtype: Any = np.float32) -> Shape:
        """Keep the random generator; the shape stays."""
        self._rng = rng
        return shape

    def forward(self, x: Array, training: bool = False) -> Array:
        """Compute y, of any shape."""
        if not training or self.rate == 0:
            self._mask = None
            return x
        if not (self.frozen and self._mask is not None and self._mask.shape == x.shape):
            keep = self._rng.random(x.shape, np.float32) >= self.rate
            self._mask = np.multiply(keep, 1 / (1 - self.rate), dtype=x.dtype)
        return np.asarray(x * self._mask)

    def pull_back(self, gradient: Array) -> Array:
        """Return g under the mask of the last forward pass."""
        return gradient if self._mask is None else np.asarray(gradient * self._mask)
