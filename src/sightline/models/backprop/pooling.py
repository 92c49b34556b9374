"""Pool images: keep the largest or the mean value of each window."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from sightline.errors import DataError, ParameterError
from sightline.models.backprop.layers import Array, Layer, Shape


class Pool2d(Layer):
    """Base class of the poolings: windows of size x size, every `stride` pixels.

    Parameters
    ----------
    size : int
    stride : int, optional
        Default: `size`, windows side by side.
    padding : int
        Pixels added around the image, at most half of `size`.
    """

    fill: float

    def __init__(self, size: int = 2, stride: int | None = None, padding: int = 0) -> None:
        super().__init__()
        self.size, self.stride, self.padding = size, stride or size, padding
        if not 1 <= size <= 15:
            raise ParameterError(f"a pooling window has a side of 1 to 15 pixels, not {size}")
        if self.stride < 1 or not 0 <= padding <= size // 2:
            raise ParameterError(
                "pooling needs a stride of at least 1 and padding of at most half the size, "
                f"not {stride} and {padding}"
            )

    def build(self, shape: Shape, rng: np.random.Generator, dtype: Any = np.float32) -> Shape:
        """Build for (H, W, C) to (H', W', C), H' = (H + 2 padding - size) // stride + 1."""
        if len(shape) != 3:
            raise DataError(f"takes images (H, W, C), not inputs of shape {shape}")
        height, width = (self._places(side) for side in shape[:2])
        if height < 1 or width < 1:
            raise DataError(f"a window of {self.size} does not fit into {shape[0]}x{shape[1]}")
        return (height, width, shape[2])

    def _places(self, side: int) -> int:
        return (side + 2 * self.padding - self.size) // self.stride + 1

    def _padded(self, x: Array) -> Array:
        if not self.padding:
            return x
        p = self.padding
        return np.pad(x, ((0, 0), (p, p), (p, p), (0, 0)), constant_values=self.fill)

    def _shifts(self, padded: Array, height: int, width: int) -> Iterator[Array]:
        """Yield, for each place in the window, that pixel of all windows: views (N, H', W', C)."""
        s = self.stride
        for i in range(self.size):
            for j in range(self.size):
                yield padded[:, i : i + s * height : s, j : j + s * width : s]

    def _inner(self, padded: Array, shape: Shape) -> Array:
        p = self.padding
        return padded[:, p : p + shape[1], p : p + shape[2]]

    @property
    def _apart(self) -> bool:
        """Tell whether no pixel lies in two windows."""
        return self.stride >= self.size


class MaxPool2d(Pool2d):
    """Max pooling: y is the largest x of the window; of equals the first, row by row.

    y follows that one x alone, so dL/dx = g there and 0 elsewhere; where windows overlap,
    a pixel gets the sum.
    """

    fill = -np.inf

    def forward(self, x: Array, training: bool = False) -> Array:
        """Compute y, shape (N, H', W', C), of x, shape (N, H, W, C)."""
        self._shape = x.shape
        height, width = self._places(x.shape[1]), self._places(x.shape[2])
        padded = self._padded(x)
        shifts = self._shifts(padded, height, width)
        best = next(shifts).copy()
        self._winner = np.zeros(best.shape, np.uint8)
        for k, shifted in enumerate(shifts, 1):
            if training:  # later places have larger k: the maximum is the last to have led
                leads = (shifted > best).view(np.uint8)
                np.maximum(self._winner, leads * np.uint8(k), out=self._winner)
            np.maximum(best, shifted, out=best)
        return best

    def pull_back(self, gradient: Array) -> Array:
        """Return g at the largest pixels of the last forward pass in training, 0 elsewhere."""
        p, (n, height, width, channels) = self.padding, self._shape
        out = np.zeros((n, height + 2 * p, width + 2 * p, channels), gradient.dtype)
        for k, shifted in enumerate(self._shifts(out, *gradient.shape[1:3])):
            if self._apart:
                np.multiply(gradient, self._winner == k, out=shifted)
            else:
                shifted += gradient * (self._winner == k)
        return self._inner(out, self._shape)

    def branches(self) -> Array:
        """Return which pixel of each window was the largest."""
        return self._winner


class AvgPool2d(Pool2d):
    """Average pooling: y is the window's mean (padding counts, as 0); each x gets g / size²."""

    fill = 0.0

    def forward(self, x: Array, training: bool = False) -> Array:
        """Compute y, shape (N, H', W', C), of x, shape (N, H, W, C)."""
        self._shape = x.shape
        height, width = self._places(x.shape[1]), self._places(x.shape[2])
        shifts = self._shifts(self._padded(x), height, width)
        total = next(shifts).copy()
        for shifted in shifts:
            total += shifted
        total *= 1 / self.size**2
        return total

    def pull_back(self, gradient: Array) -> Array:
        """Return g / size² at every pixel of the window."""
        p, (n, height, width, channels) = self.padding, self._shape
        out = np.zeros((n, height + 2 * p, width + 2 * p, channels), gradient.dtype)
        share = gradient * (1 / self.size**2)
        for shifted in self._shifts(out, *gradient.shape[1:3]):
            shifted += share
        return self._inner(out, self._shape)
