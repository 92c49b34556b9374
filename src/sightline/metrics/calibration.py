r"""Fit the temperature that makes a network's probabilities true: of images at 80%, 80% are right.

A temperature T divides the logits before the softmax. It moves every probability towards or away
from the others and never changes which class is first, so accuracy stays as it is:

.. math:: p_c = \frac{e^{z_c / T}}{\sum_j e^{z_j / T}}

Source: Guo et al., On calibration of modern neural networks, 2017, section 4.2 (temperature
scaling).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LOWEST, HIGHEST = 0.05, 20.0
"""Temperatures between which the best is looked for."""

PRIOR = 1.0
"""Standard deviation of the logarithm of T before any image is seen. A few images that are all
right would otherwise ask for a temperature of 0; among hundreds it no longer counts."""

LEAST = 10
"""Images below which no temperature is fitted."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """The temperature of a network, and what it does to the calibration error.

    Parameters
    ----------
    temperature : float
    images : int
        Validation images that it was fitted on.
    before, after : float
        Expected calibration error on them, without and with. ``after`` is measured on each half
        with the temperature of the other half, so that no image is judged by a temperature that
        it helped to choose.
    """

    temperature: float
    images: int
    before: float
    after: float

    def plain(self) -> dict[str, Any]:
        """Return it as a dict, for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"calibrated with temperature {self.temperature:.3g}, from {self.images:,} validation "
            f"images: calibration error {self.before:.3f} before, {self.after:.3f} after"
        )


def calibrate(
    logits: NDArray[np.floating], labels: NDArray[np.int64], weights: Sequence[float] = (1.0,)
) -> Calibration | None:
    """Fit the temperature of a network to validation images.

    Parameters
    ----------
    logits : float array, shape (V, N, C)
        Of each image seen in V ways (once, mirrored ...).
    labels : int64 array, shape (N,)
        Columns of the true classes.
    weights : sequence of float
        Of the V ways, in the mean of their probabilities; they add up to 1.

    Returns
    -------
    Calibration, or None
        None with fewer than `LEAST` images, where there is little to learn from.
    """
    n = len(labels)
    if n < LEAST or not np.isfinite(logits).all():
        return None
    logits = np.asarray(logits, np.float64)  # once, for all temperatures that are tried
    temperature = best_temperature(logits, labels, weights)
    half = np.arange(n) % 2 == 0
    confidence, right = np.empty(n), np.empty(n, np.bool_)
    for own, other in ((half, ~half), (~half, half)):
        t = best_temperature(logits[:, other], labels[other], weights)
        p = probabilities(logits[:, own], t, weights)
        confidence[own], right[own] = p.max(1), p.argmax(1) == labels[own]
    plain = probabilities(logits, 1.0, weights)
    before = calibration_error(plain.argmax(1) == labels, plain.max(1))
    return Calibration(temperature, n, before, calibration_error(right, confidence))


def calibration_error(
    right: NDArray[np.bool_], confidence: NDArray[np.floating], bins: int = 15
) -> float:
    """Compute the expected calibration error: mean gap of confidence and accuracy over bins.

    Source: Guo et al., On calibration of modern neural networks, 2017, equation 3.
    """
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(which, weights=right.astype(float) - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(right))


def best_temperature(
    logits: NDArray[np.floating], labels: NDArray[np.int64], weights: Sequence[float] = (1.0,)
) -> float:
    """Return the temperature under which the labels are most probable, given `PRIOR`.

    See `calibrate` for the parameters. The logarithm of T is searched on ever finer grids: the loss
    has one valley.
    """
    low, high = np.log(LOWEST), np.log(HIGHEST)
    rows = np.arange(len(labels))

    def loss(log_t: float) -> float:
        p = probabilities(logits, float(np.exp(log_t)), weights)[rows, labels]
        return float(-np.log(np.maximum(p, 1e-30)).sum() + 0.5 * (log_t / PRIOR) ** 2)

    for _ in range(4):
        grid = np.linspace(low, high, 13)
        best = int(np.argmin([loss(t) for t in grid]))
        low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    return float(np.exp((low + high) / 2))


def probabilities(
    logits: NDArray[np.floating], temperature: float, weights: Sequence[float] = (1.0,)
) -> NDArray[np.float64]:
    """Return the mean of the softmax of ``logits / temperature`` over V ways: shape (N, C)."""
    scaled = np.asarray(logits, np.float64) / temperature
    scaled -= scaled.max(2, keepdims=True)
    p = np.exp(scaled)
    p /= p.sum(2, keepdims=True)
    return np.tensordot(np.asarray(weights, np.float64), p, 1)
