"""Compute convolution as one matrix product."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from sightline.errors import DataError, ParameterError
from sightline.models.backprop.initializers import Initializer, he
from sightline.models.backprop.layers import Array, Layer, Shape

_COLUMNS = 1 << 19
"""Numbers of the unfolded image that are made at a time: 2 MiB of float32, about a cache."""


class Conv2d(Layer):
    r"""Convolution: each output pixel is a weighted sum of the window under it, weights shared.

        y[n,p,q,f] = b[f] + sum_ijc x[n, p s + i, q s + j, c] W[i,j,c,f]

    with s the stride and x padded with zeros. Written as a matrix with one row a window
    (n,p,q) and one column a weight (i,j,c), the windows of x are X' ("im2col"), and
    y = X' W + b is an affine layer. Hence, with g = dL/dy,

        dL/dW = X'^T g,   dL/db = sum_npq g,   dL/dX' = g W^T

    and as x[n,u,v,c] stands in X' once for every (i,j) with u = p s + i, v = q s + j,

        dL/dx[n,u,v,c] = sum over those (i,j) of dL/dX'[(n,p,q), (i,j,c)]

    which is k·k additions of shifted images ("col2im").

    X' is k·k times as large as x. It is a strided view that is copied a few images at a
    time, small enough to be multiplied from the cache, and made again for the backward pass:
    cheaper than to write it out and read it back.

    Source: LeCun et al., Backpropagation applied to handwritten zip code recognition,
    1989; im2col: Chellapilla, Puri & Simard, High performance convolutional neural
    networks for document processing, 2006.

    Parameters
    ----------
    filters : int
    size : int
        k, the side of the window.
    stride, padding : int
    bias : bool
        Without, where batch normalisation follows.
    initializer : callable
    """

    def __init__(
        self, filters: int, size: int = 3, *, stride: int = 1, padding: int = 0,
        bias: bool = True, initializer: Initializer = he,
    ) -> None:  # fmt: skip
        super().__init__()
        if min(filters, size, stride) < 1 or padding < 0:
            raise ParameterError(
                "a convolution needs filters, size and stride of at least 1 and no negative "
                f"padding, not {filters}, {size}, {stride}, {padding}"
            )
        self.filters, self.size, self.stride, self.padding = filters, size, stride, padding
        self.bias, self.initializer = bias, initializer
        self._column_memory: Array = np.empty(0, np.float32)
        self._pad_memory: Array = np.empty((0, 0, 0, 0), np.float32)

    def build(self, shape: Shape, rng: np.random.Generator, dtype: Any = np.float32) -> Shape:
        """Build for (H, W, C) to (H', W', filters), H' = (H + 2 padding - size) // stride + 1."""
        if len(shape) != 3:
            raise DataError(f"takes images (H, W, C), not inputs of shape {shape}")
        height, width = (self._places(side) for side in shape[:2])
        if height < 1 or width < 1:
            raise DataError(f"a window of {self.size} does not fit into {shape[0]}x{shape[1]}")
        window = self.size**2
        sides = (self.size, self.size, shape[2], self.filters)
        weight = self.initializer(rng, sides, window * shape[2], window * self.filters)
        bias = {"bias": np.zeros(self.filters, dtype)} if self.bias else {}
        self._make(weight=weight.astype(dtype), **bias)
        return (height, width, self.filters)

    def forward(self, x: Array, training: bool = False) -> Array:
        """Compute y, shape (N, H', W', filters), of x, shape (N, H, W, C)."""
        channels = self.parameters["weight"].shape[2]
        if x.ndim != 4 or x.shape[3] != channels:
            raise DataError(f"takes shape (N, H, W, {channels}), was given {x.shape}")
        self._shape, self._padded = x.shape, self._pad(x)
        n, height, width = len(x), self._places(x.shape[1]), self._places(x.shape[2])
        y = np.empty((n, height, width, self.filters), x.dtype)
        weight = self._matrix()
        for part in self._parts(height * width):
            np.matmul(self._columns(part), weight, out=_rows(y[part]))
        if self.bias:
            y += self.parameters["bias"]
        return y

    def differentiate(self, gradient: Array) -> None:
        """Set the gradients: X'^T g of the weights and the sum of g of the bias."""
        total = self.gradients["weight"].reshape(-1, self.filters)
        total[...] = 0
        for part in self._parts(gradient.shape[1] * gradient.shape[2]):
            total += self._columns(part).T @ _rows(gradient[part])
        if self.bias:
            np.sum(_rows(gradient), 0, out=self.gradients["bias"])

    def pull_back(self, gradient: Array) -> Array:
        """Return g W^T, added up where windows overlap; shape of the input."""
        k, s, p = self.size, self.stride, self.padding
        _, height, width, _ = gradient.shape
        out = np.zeros_like(self._padded)
        weight = self._matrix().T
        for part in self._parts(height * width):
            g = _rows(gradient[part])
            columns = self._scratch((len(g), weight.shape[1]), g.dtype)
            np.matmul(g, weight, out=columns)
            windows = columns.reshape(-1, height, width, k, k, out.shape[3])
            for i in range(k):
                for j in range(k):
                    shifted = out[part, i : i + s * height : s, j : j + s * width : s]
                    shifted += windows[:, :, :, i, j]
        return out[:, p : p + self._shape[1], p : p + self._shape[2]]

    def _places(self, side: int) -> int:
        return (side + 2 * self.padding - self.size) // self.stride + 1

    def _matrix(self) -> Array:
        return self.parameters["weight"].reshape(-1, self.filters)

    def _pad(self, x: Array) -> Array:
        if not self.padding:
            return x
        p, (n, height, width, channels) = self.padding, x.shape
        shape, old = (height + 2 * p, width + 2 * p, channels), self._pad_memory
        if len(old) < n or old.shape[1:] != shape or old.dtype != x.dtype:
            self._pad_memory = np.zeros((n, *shape), x.dtype)
        padded = self._pad_memory[:n]
        padded[:, p:-p, p:-p] = x  # the border is never written: it stays 0
        return padded

    def _parts(self, places: int) -> Iterator[slice]:
        """Yield slices of images whose windows fill the cache and not more."""
        step = max(1, _COLUMNS // (places * self._matrix().shape[0]))
        for start in range(0, self._shape[0], step):
            yield slice(start, min(start + step, self._shape[0]))

    def _columns(self, part: slice) -> Array:
        """Return X' of some images, shape (n H' W', k k C)."""
        k, s, x = self.size, self.stride, self._padded[part]
        windows = np.lib.stride_tricks.sliding_window_view(x, (k, k), axis=(1, 2))[:, ::s, ::s]
        windows = windows.transpose(0, 1, 2, 4, 5, 3)
        columns = self._scratch(windows.shape, x.dtype)
        np.copyto(columns, windows)
        return columns.reshape(-1, self._matrix().shape[0])

    def _scratch(self, shape: Shape, dtype: Any) -> Array:
        """Return memory for X', the same each time."""
        size = math.prod(shape)
        if self._column_memory.size < size or self._column_memory.dtype != dtype:
            self._column_memory = np.empty(size, dtype)
        return self._column_memory[:size].reshape(shape)


def _rows(images: Array) -> Array:
    """Return pixels as rows: (n, H, W, F) as (n H W, F), the same memory."""
    return images.reshape(-1, images.shape[3])
