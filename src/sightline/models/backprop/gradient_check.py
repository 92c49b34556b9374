"""Compare backpropagation with numeric differentiation.

A derivative can be had without any calculus: move one number a little to both sides and
look at the loss,

    dL/dw ≈ (L(w + h) - L(w - h)) / 2h

with an error of h² L'''/6 (the even terms cancel) and a rounding error of about
1e-16 L / h. In float64, h near 1e-5 balances the two. It costs two forward passes a
parameter, where backpropagation costs about two in all: that is why it checks, and does
not train, large networks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.models.backprop.layers import Layer
from sightline.models.backprop.losses import Loss
from sightline.models.backprop.network import Network

Array = NDArray[Any]
STEP = 1e-5
FLOOR = 1e-4
"""Size of a gradient below which errors are measured against this, not against it."""


def numeric_gradient(
    function: Callable[[], float], at: Array, step: float = STEP, rows: Iterable[int] | None = None
) -> Array:
    """Compute central differences of a function of an array.

    Parameters
    ----------
    function : callable
        Reads `at` and gives a number.
    at : float64 array
        Moved in place, number by number, and put back.
    step : float
        h.
    rows : iterable of int, optional
        Which numbers of the flattened array; default all.

    Returns
    -------
    array, shape (len(rows),), or the shape of `at` for all

    Examples
    --------
    >>> w = np.array([1.0, 2.0])
    >>> numeric_gradient(lambda: float((w**3).sum()), w).round(6).tolist()
    [3.0, 12.0]
    """
    flat = at.reshape(-1)
    if not np.shares_memory(flat, at):
        raise ValueError("the array is not contiguous: moving its copy would change nothing")
    chosen = range(flat.size) if rows is None else list(rows)
    slopes = np.empty(len(chosen), np.float64)
    for k, i in enumerate(chosen):
        here = flat[i]
        flat[i] = here + step
        above = function()
        flat[i] = here - step
        below = function()
        flat[i] = here
        slopes[k] = (above - below) / (2 * step)
    return slopes.reshape(at.shape) if rows is None else slopes


def relative_error(a: Array, b: Array) -> float:
    """Return |a - b| / (|a| + |b|) in the Euclidean norm: 0 equal, 1 unrelated or opposite.

    Where a derivative is 0 by nature (a bias before batch normalisation), all that differences
    give is rounding, 1e-11 a number; so the denominator is at least `FLOOR`, by which that
    is far below 1e-6.
    """
    scale = max(float(np.linalg.norm(a) + np.linalg.norm(b)), FLOOR)
    return float(np.linalg.norm(a - b)) / scale


@dataclass(frozen=True, slots=True)
class LayerCheck:
    """The result of comparing backpropagation with numeric differentiation at one layer.

    Parameters
    ----------
    name : str
    shape : tuple of int
        Of one output.
    parameters : int
    parameter_error, input_error : float
        Relative error of dL/d(parameters) (0 without any) and of dL/d(input).
    checked : int
        How many numbers were compared.
    at_kinks : int
        How many were left out, as a unit changes branch within the step.
    backward_seconds : float
        The layer's backward pass, for all its gradients.
    numeric_seconds : float
        Numeric differentiation of all its parameters: the time of those that were tried,
        scaled up.
    """

    name: str
    shape: tuple[int, ...]
    parameters: int
    parameter_error: float
    input_error: float
    checked: int
    at_kinks: int
    backward_seconds: float
    numeric_seconds: float

    @property
    def error(self) -> float:
        """Return the larger of the two errors."""
        return max(self.parameter_error, self.input_error)


def check_layers(
    network: Network, loss: Loss, x: Array, labels: NDArray[np.int64], *,
    samples: int = 40, step: float = STEP, seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> list[LayerCheck]:  # fmt: skip
    """Compare both gradients at every layer's parameters and input, in float64.

    Parameters
    ----------
    network : Network
        A float64 copy of it is used, in training mode with dropout's masks held fixed.
    loss : Loss
    x : array, shape (N, ...)
    labels : int64 array, shape (N,)
    samples : int
        Numbers compared in each array, drawn at random; all where it has no more.
    step : float
    seed : int
        Of the drawing.
    progress : callable, optional
        Called with (layers done, layers in all).
    """
    network, x = network.astype(np.float64), x.astype(np.float64)
    rng = np.random.default_rng(seed)
    network.forward(x, training=True)  # draws the masks of dropout
    checks = []
    with network.frozen():
        inputs, outputs = [x], x
        for layer in network.layers:
            outputs = layer.forward(outputs, training=True)
            inputs.append(outputs)
        inputs = [a.copy() for a in inputs]
        loss.forward(outputs, labels)
        at_inputs, seconds = _backward(network, loss.backward())
        for i, layer in enumerate(network.layers):
            prober = _Prober(network, loss, inputs, labels, step)
            compared: list[tuple[Array, Array]] = []
            arrays = [(layer.parameters[n], layer.gradients[n], 0) for n in layer.parameters]
            for array, exact, start in [*arrays, (inputs[i], at_inputs[i], i)]:
                rows = rng.permutation(array.size)[:samples]
                compared.append(prober.derivatives(array, exact, rows, start))
            own, size = compared[:-1], sum(a.size for a, _, _ in arrays)
            checks.append(
                LayerCheck(
                    network.name(i), network.shapes[i + 1], size,
                    max((relative_error(*pair) for pair in own), default=0.0),
                    relative_error(*compared[-1]),
                    prober.checked, prober.at_kinks, seconds[i],
                    prober.seconds_each() * size,
                )
            )  # fmt: skip
            if progress:
                progress(i + 1, len(network.layers))
    return checks


class _Prober:
    """Compares gradients number by number, away from kinks."""

    def __init__(
        self, network: Network, loss: Loss, inputs: list[Array], labels: Array, step: float
    ) -> None:
        self.network, self.loss, self.inputs = network, loss, inputs
        self.labels, self.step = labels, step
        self.checked = self.at_kinks = 0
        self._times: list[float] = []

    def derivatives(
        self, array: Array, exact: Array, rows: NDArray[np.int64], start: int
    ) -> tuple[Array, Array]:
        """Return backpropagated and numeric derivatives at those rows where the loss is smooth."""
        network, kept, slopes = self.network, [], []
        branches: list[list[NDArray[Any]]] = []

        def value() -> float:
            began = time.perf_counter()
            out = network.forward(self.inputs[start], training=True, start=start)
            loss = self.loss.forward(out, self.labels)
            if start == 0:
                self._times.append(time.perf_counter() - began)
            branches.append(network.branches())
            return loss

        for row in rows:
            branches.clear()
            slope = numeric_gradient(value, array, self.step, [int(row)])[0]
            if all(np.array_equal(a, b) for a, b in zip(*branches, strict=True)):
                kept.append(int(row))
                slopes.append(slope)
            else:
                self.at_kinks += 1
        self.checked += len(kept)
        return exact.reshape(-1)[kept], np.array(slopes)

    def seconds_each(self) -> float:
        """Return the median time of one derivative: two forward passes of the whole network."""
        return 2 * float(np.median(self._times)) if self._times else 0.0


def _backward(network: Network, gradient: Array) -> tuple[list[Array], list[float]]:
    """Return dL/d(input) of every layer, and the median time of each backward over five passes."""
    at_inputs: list[Array] = []
    seconds: list[float] = []
    for layer in reversed(network.layers):
        took = [_timed(layer, gradient) for _ in range(5)]
        gradient = layer.backward(gradient).copy()
        at_inputs.append(gradient)
        seconds.append(float(np.median(took)))
    return at_inputs[::-1], seconds[::-1]


def _timed(layer: Layer, gradient: Array) -> float:
    began = time.perf_counter()
    layer.backward(gradient)
    return time.perf_counter() - began
