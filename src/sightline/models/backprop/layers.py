"""Define a layer, and the two layers that only multiply and reshape: Affine and Flatten.

A network is a chain y = f_L(... f_1(x)). With g = dL/dy the gradient of the loss L at a
layer's output, the chain rule (Rumelhart, Hinton & Williams, Learning representations by
back-propagating errors, 1986) asks two things of each layer: the gradient at its
parameters, to learn by, and the gradient at its input, to hand down.

Arrays are batches: shape (N, D) for vectors, (N, H, W, C) for images. Channels come last,
so that the window of a convolution is a few long runs of memory.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataError, ParameterError
from sightline.models.backprop.initializers import Initializer, he

Array = NDArray[Any]
Shape = tuple[int, ...]


class Layer:
    """A step of a network; a subclass writes `forward` and `pull_back`.

    Attributes
    ----------
    parameters, gradients : dict of str to array
        What is learned, and dL/d(parameter) after `backward`. A `Network` replaces these
        arrays by views into its two long vectors, so layers write into them in place.
    state : dict of str to array
        What is remembered without a gradient, such as running means.
    frozen : bool
        Training changes no state: dropout keeps its mask, batch normalisation its running
        statistics. Only then can two losses be compared.
    """

    def __init__(self) -> None:
        self.frozen = False
        self.parameters: dict[str, Array] = {}
        self.gradients: dict[str, Array] = {}
        self.state: dict[str, Array] = {}

    @property
    def name(self) -> str:
        """Return the kind of layer, for tables and messages."""
        return type(self).__name__

    def build(self, shape: Shape, rng: np.random.Generator, dtype: Any = np.float32) -> Shape:
        """Create the parameters for inputs of a shape, and return the shape of the output.

        Parameters
        ----------
        shape : tuple of int
            Of one input, without N.
        rng : numpy.random.Generator
            For first weights, and for dropout.
        dtype : float32 or float64

        Raises
        ------
        DataError
            When the layer cannot take inputs of that shape.
        """
        return shape

    def forward(self, x: Array, training: bool = False) -> Array:
        """Compute the output, shape (N, ...); what `backward` needs is kept."""
        raise NotImplementedError

    def backward(self, gradient: Array) -> Array:
        """Set the gradients of the parameters, and return the gradient of the input.

        Parameters
        ----------
        gradient : array, shape of the output
            dL/dy at the point where `forward` was called last.
        """
        self.differentiate(gradient)
        return self.pull_back(gradient)

    def differentiate(self, gradient: Array) -> None:
        """Write dL/d(parameter) into `gradients`; a layer without parameters does nothing."""

    def pull_back(self, gradient: Array) -> Array:
        """Return dL/dx, shape of the input; called after `differentiate`."""
        raise NotImplementedError

    def branches(self) -> Array | None:
        """Return the branch that each unit took in the last `forward`; None without a kink.

        Between two points with the same branches the loss is smooth, and only there can
        differences be compared with a derivative.
        """
        return None

    def _make(self, **parameters: Array) -> None:
        self.parameters = parameters
        self.gradients = {name: np.zeros_like(a) for name, a in parameters.items()}


class Affine(Layer):
    r"""The affine layer y = x W + b: every output is a weighted sum of every input.

    With y_nj = sum_i x_ni W_ij + b_j and g = dL/dy,

        dL/dW_ij = sum_n x_ni g_nj      that is  x^T g
        dL/db_j  = sum_n g_nj
        dL/dx_ni = sum_j g_nj W_ij      that is  g W^T

    each of them one matrix product.

    Parameters
    ----------
    outputs : int
    bias : bool
        Without, where batch normalisation follows: it would take any b out again.
    initializer : callable
        See `initializers`.
    """

    def __init__(self, outputs: int, *, bias: bool = True, initializer: Initializer = he) -> None:
        super().__init__()
        if outputs < 1:
            raise ParameterError(f"outputs of a layer must be at least 1, not {outputs}")
        self.outputs, self.bias, self.initializer = outputs, bias, initializer

    def build(self, shape: Shape, rng: np.random.Generator, dtype: Any = np.float32) -> Shape:
        """Build for vectors (D,) to vectors (outputs,)."""
        if len(shape) != 1:
            raise DataError(f"takes vectors, not inputs of shape {shape}; put Flatten before it")
        inputs = shape[0]
        weight = self.initializer(rng, (inputs, self.outputs), inputs, self.outputs).astype(dtype)
        self._make(weight=weight, **({"bias": np.zeros(self.outputs, dtype)} if self.bias else {}))
        return (self.outputs,)

    def forward(self, x: Array, training: bool = False) -> Array:
        """Compute y, shape (N, outputs), of x, shape (N, D)."""
        weight = self.parameters["weight"]
        if x.ndim != 2 or x.shape[1] != len(weight):
            raise DataError(f"takes shape (N, {len(weight)}), was given {x.shape}")
        self._x = x
        y = x @ weight
        if self.bias:
            y += self.parameters["bias"]
        return y

    def differentiate(self, gradient: Array) -> None:
        """Set the gradients: x^T g of the weights and the sum of g of the bias."""
        np.matmul(self._x.T, gradient, out=self.gradients["weight"])
        if self.bias:
            gradient.sum(0, out=self.gradients["bias"])

    def pull_back(self, gradient: Array) -> Array:
        """Return g W^T, shape (N, D)."""
        return np.asarray(gradient @ self.parameters["weight"].T)


class Flatten(Layer):
    """Reshapes images to vectors, (N, H, W, C) to (N, H W C); the derivative is reshaped back."""

    def build(self, shape: Shape, rng: np.random.Generator, dtype: Any = np.float32) -> Shape:
        """Return the number of values of one input."""
        return (math.prod(shape),)

    def forward(self, x: Array, training: bool = False) -> Array:
        """Reshape (N, ...) to (N, D)."""
        self._shape = x.shape
        return x.reshape(len(x), -1)

    def pull_back(self, gradient: Array) -> Array:
        """Reshape (N, D) back to (N, ...)."""
        return gradient.reshape(self._shape)
