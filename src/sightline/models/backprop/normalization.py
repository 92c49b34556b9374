"""Normalise by the batch, vectors and images alike."""

from __future__ import annotations

from typing import Any

import numpy as np

from sightline.errors import DataError
from sightline.models.backprop.layers import Array, Layer, Shape


class BatchNorm(Layer):
    r"""Batch normalisation: mean 0 and variance 1 of each channel, then a scale and a shift.

    Over the m values of a channel (m = N for vectors, 1-D; N H W for images, 2-D):

        mu = 1/m sum x,  s² = 1/m sum (x - mu)²,  z = (x - mu) / sqrt(s² + eps)
        y = gamma z + beta

    so dL/dgamma = sum g z and dL/dbeta = sum g. An x moves the loss by its own z, by mu
    and by s²; with r = 1/sqrt(s² + eps) and d = g gamma = dL/dz, and as sum (x - mu) = 0,

        dL/ds² = -r²/2 sum d z              (dz/ds² = -z r² / 2)
        dL/dmu = -r sum d
        dL/dx  = r d + dL/ds² 2 (x - mu)/m + dL/dmu / m
               = gamma r (g - dL/dbeta / m - z dL/dgamma / m)

    the gradient less its mean and less its part along z: directions that the layer undoes.

    At prediction the running mean and variance stand in, and dL/dx = gamma r g.

    Source: Ioffe & Szegedy, Batch normalization, 2015, algorithm 1 and section 3.

    Parameters
    ----------
    momentum : float
        Weight of the newest batch in the running statistics.
    eps : float
    """

    def __init__(self, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__()
        self.momentum, self.eps = momentum, eps

    def build(self, shape: Shape, rng: np.random.Generator, dtype: Any = np.float32) -> Shape:
        """Build for inputs (C,) or (H, W, C)."""
        channels = shape[-1]
        self._make(gamma=np.ones(channels, dtype), beta=np.zeros(channels, dtype))
        self.state = {
            "running_mean": np.zeros(channels, dtype),
            "running_variance": np.ones(channels, dtype),
        }
        return shape

    def forward(self, x: Array, training: bool = False) -> Array:
        """Compute y, shape (N, C) or (N, H, W, C)."""
        gamma, beta = self.parameters["gamma"], self.parameters["beta"]
        if x.shape[-1] != len(gamma):
            raise DataError(f"takes {len(gamma)} channels, was given {x.shape[-1]}")
        rows = x.reshape(-1, len(gamma))
        self._training = training
        if training:
            if len(rows) < 2:
                raise DataError("has no variance in a batch of one value; use larger batches")
            mean = _sum(rows) / len(rows)
            self._z = rows - mean
            variance = _dot(self._z, self._z) / len(rows)
            if not self.frozen:
                self._remember(mean, variance * (len(rows) / (len(rows) - 1)))
        else:
            self._z = rows - self.state["running_mean"]
            variance = self.state["running_variance"]
        self._r = 1 / np.sqrt(variance + self.eps)
        self._z *= self._r
        y = self._z * gamma
        y += beta
        return y.reshape(x.shape)

    def differentiate(self, gradient: Array) -> None:
        """Set the gradients: the sums of g z and of g."""
        g = gradient.reshape(self._z.shape)
        self.gradients["gamma"][...] = _dot(g, self._z)
        self.gradients["beta"][...] = _sum(g)

    def pull_back(self, gradient: Array) -> Array:
        """Return dL/dx from the sums of `differentiate`."""
        g = gradient.reshape(self._z.shape)
        scale = self.parameters["gamma"] * self._r
        if not self._training:
            return np.asarray(gradient * scale)
        out = self._z * (self.gradients["gamma"] / -len(g))
        out += g
        out -= self.gradients["beta"] / len(g)
        out *= scale
        return out.reshape(gradient.shape)

    def _remember(self, mean: Array, variance: Array) -> None:
        """Move the running statistics; the variance is the unbiased one, over m - 1."""
        for name, value in (("running_mean", mean), ("running_variance", variance)):
            running = self.state[name]
            running += self.momentum * (value - running)


def _sum(rows: Array) -> Array:
    """Sum over rows, as a product with ones: BLAS adds faster and uses all cores."""
    return np.ones(len(rows), rows.dtype) @ rows


def _dot(a: Array, b: Array) -> Array:
    """Sum a b over rows, shape (C,)."""
    return np.asarray(np.einsum("nc,nc->c", a, b))
