"""Compute losses and their gradients at the network's outputs."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataError

Array = NDArray[Any]


class Loss(Protocol):
    """The interface of a loss over class ids."""

    def forward(self, outputs: Array, labels: NDArray[np.int64]) -> float:
        """Return the mean loss of outputs (N, C) at the true classes (N,)."""

    def backward(self) -> Array:
        """Return dL/d(outputs), shape (N, C), at the point of the last `forward`."""

    def probabilities(self, outputs: Array) -> Array:
        """Return the network's outputs as probabilities, shape (N, C)."""


class SoftmaxCrossEntropy:
    """L = -(1/N) sum_n log p_n,t with p = softmax(z): softmax and cross-entropy in one.

    With log p_t = z_t - log sum_k exp(z_k),

        dL/dz_j = (p_j - [j = t]) / N

    the predicted probability less the true one. Subtracting max z first changes nothing and
    keeps exp from overflowing; the logarithm of a probability that rounds to 0 is never
    taken.

    Source: Bishop, Pattern recognition and machine learning, 2006, equations 4.108 to 4.109.
    """

    def forward(self, outputs: Array, labels: NDArray[np.int64]) -> float:
        """Return the mean over the batch, in nats; outputs are logits (N, C), labels ids (N,)."""
        check(outputs, labels)
        shifted = outputs - outputs.max(1, keepdims=True)
        exponentials = np.exp(shifted)
        totals = exponentials.sum(1, keepdims=True)
        self._p, self._labels = exponentials / totals, labels
        at_truth = shifted[np.arange(len(labels)), labels]
        return float((np.log(totals[:, 0]) - at_truth).mean(dtype=np.float64))

    def backward(self) -> Array:
        """Return (p - one-hot) / N."""
        gradient: Array = self._p.copy()
        gradient[np.arange(len(self._labels)), self._labels] -= 1
        gradient /= len(gradient)
        return gradient

    def probabilities(self, outputs: Array) -> Array:
        """Return the softmax of the logits."""
        return softmax(outputs)


class MeanSquaredError:
    """L = 1/(N C) sum (y - t)², t the one-hot row of the true class; dL/dy = 2 (y - t)/(N C).

    For a network that ends in `Softmax`. Learns more slowly than cross-entropy: where the
    softmax is sure and wrong its derivative is near 0, and so is the gradient.
    """

    def forward(self, outputs: Array, labels: NDArray[np.int64]) -> float:
        """Return the mean over batch and classes; outputs (N, C), labels ids (N,)."""
        check(outputs, labels)
        self._error = outputs.copy()
        self._error[np.arange(len(labels)), labels] -= 1
        return float(np.mean(self._error * self._error, dtype=np.float64))

    def backward(self) -> Array:
        """Return 2 (y - t) / (N C)."""
        return np.asarray(self._error * (2 / self._error.size))

    def probabilities(self, outputs: Array) -> Array:
        """Return the outputs themselves: `Softmax` made them probabilities."""
        return outputs


def softmax(x: Array) -> Array:
    """Compute exp(x) over its sum along the last axis, shape (..., C), without overflow."""
    y: Array = np.exp(x - x.max(-1, keepdims=True))
    y /= y.sum(-1, keepdims=True)
    return y


def check(outputs: Array, labels: NDArray[np.int64]) -> None:
    """Refuse labels that do not go with the outputs.

    Raises
    ------
    DataError
    """
    if outputs.ndim != 2 or labels.shape != (len(outputs),):
        raise DataError(
            f"outputs {outputs.shape} and labels {labels.shape} are not (N, C) and (N,)"
        )
    if labels.size and not 0 <= labels.min() <= labels.max() < outputs.shape[1]:
        raise DataError(
            f"labels lie in 0..{outputs.shape[1] - 1}, found {labels.min()}..{labels.max()}"
        )
