"""Chain layers into a network, with all their parameters in one vector."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataError
from sightline.models.backprop.layers import Array, Layer, Shape


class Network:
    """A chain of layers, y = f_L(... f_2(f_1(x))), with all parameters in one vector.

    The parameters of all layers lie in one vector `theta` and their gradients in another,
    `gradient`; the layers hold views into both. So an optimiser's rule, a penalty and
    numeric differentiation are each written once, as their papers write them: on a vector.

    Parameters
    ----------
    layers : sequence of Layer
    shape : tuple of int
        Of one input, without N.
    seed : int
        Of the first weights and of dropout.
    dtype : float32 or float64

    Attributes
    ----------
    theta, gradient : array, shape (P,)
        Weights first, then biases and the scales of batch normalisation.
    weights : int
        How many of `theta` are weights: those that penalties act on.

    Raises
    ------
    DataError
        When a layer cannot take what the one before it gives; it is named.

    Examples
    --------
    >>> import numpy as np
    >>> from sightline.models.backprop.activations import Tanh
    >>> from sightline.models.backprop.layers import Affine
    >>> network = Network([Affine(3), Tanh(), Affine(2)], (4,))
    >>> network.forward(np.ones((5, 4), np.float32)).shape, network.theta.size
    ((5, 2), 23)
    """

    def __init__(
        self, layers: Sequence[Layer], shape: Shape, *, seed: int = 0, dtype: Any = np.float32
    ) -> None:
        self.layers = list(layers)
        self.shapes = [shape]
        rng = np.random.default_rng(seed)
        for i, layer in enumerate(self.layers):
            with self._naming(i):
                self.shapes.append(layer.build(self.shapes[-1], rng, dtype))
        self._lay_out(dtype)

    def forward(self, x: Array, training: bool = False, start: int = 0) -> Array:
        """Compute the output.

        Parameters
        ----------
        x : array, shape (N, ...)
            Input of the network, or of layer `start`.
        training : bool
            Drop units, normalise by the batch.
        start : int

        Raises
        ------
        DataError
            When a layer meets a shape that it cannot take; it is named.
        """
        for i in range(start, len(self.layers)):
            with self._naming(i):
                x = self.layers[i].forward(x, training)
        return x

    def backward(self, gradient: Array) -> None:
        """Backpropagate: set `gradient` from dL/d(output), shape (N, C), last layer first.

        It ends at the first layer with parameters, as the gradient of the image is not needed.
        """
        first = self._first
        for layer in reversed(self.layers[first + 1 :]):
            gradient = layer.backward(gradient)
        self.layers[first].differentiate(gradient)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Freeze dropout masks and running statistics within the context."""
        for layer in self.layers:
            layer.frozen = True
        try:
            yield
        finally:
            for layer in self.layers:
                layer.frozen = False

    def branches(self) -> list[NDArray[Any]]:
        """Return copies of the branches that all kinked units took in the last `forward`."""
        taken = (layer.branches() for layer in self.layers)
        return [b.copy() for b in taken if b is not None]

    def arrays(self) -> dict[str, Array]:
        """Return views of parameters and running statistics by name, such as ``layer1_weight``."""
        return {
            f"layer{i}_{name}": array
            for i, layer in enumerate(self.layers)
            for name, array in (layer.parameters | layer.state).items()
        }

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Copy arrays, named and shaped as `arrays` gives them, into the network.

        Raises
        ------
        DataError
            When one is missing or has another shape.
        """
        for name, own in self.arrays().items():
            if name not in arrays or arrays[name].shape != own.shape:
                given = arrays[name].shape if name in arrays else "nothing"
                raise DataError(f"{name}: the network needs shape {own.shape}, not {given}")
            own[...] = arrays[name]

    def snapshot(self) -> dict[str, Array]:
        """Return copies of `arrays`."""
        return {name: array.copy() for name, array in self.arrays().items()}

    def astype(self, dtype: Any) -> Network:
        """Return a copy that computes in another precision."""
        twin = copy.deepcopy(self)
        twin._lay_out(dtype)
        return twin

    def first_not_finite(self, x: Array) -> str:
        """Name the first layer at which NaN or infinity appears, for messages."""
        with self.frozen():
            for i, layer in enumerate(self.layers):
                x = layer.forward(x, training=True)
                if not np.isfinite(x).all():
                    return self.name(i)
        return "the loss"

    def name(self, i: int) -> str:
        """Return the name of layer i for tables and messages."""
        return f"layer {i} ({self.layers[i].name})"

    def _lay_out(self, dtype: Any) -> None:
        """Move all parameters into one vector, and give the layers views into it."""
        slots = [(layer, name) for layer in self.layers for name in layer.parameters]
        slots.sort(key=lambda slot: slot[1] != "weight")  # stable: weights first
        total = sum(layer.parameters[name].size for layer, name in slots)
        self.theta, self.gradient = np.zeros(total, dtype), np.zeros(total, dtype)
        self.weights, start = 0, 0
        for layer, name in slots:
            old = layer.parameters[name]
            part = slice(start, start + old.size)
            self.theta[part] = old.ravel()
            layer.parameters[name] = self.theta[part].reshape(old.shape)
            layer.gradients[name] = self.gradient[part].reshape(old.shape)
            start = part.stop
            if name == "weight":
                self.weights = start
        for layer in self.layers:
            layer.state = {name: array.astype(dtype) for name, array in layer.state.items()}
        self._first = next(i for i, layer in enumerate(self.layers) if layer.parameters)

    @contextlib.contextmanager
    def _naming(self, i: int) -> Iterator[None]:
        try:
            yield
        except DataError as error:
            raise DataError(f"{self.name(i)} {error}") from None
