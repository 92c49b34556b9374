"""Define what every method that knows good pictures alone has in common: scores and a threshold."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from sightline.errors import ParameterError
from sightline.metrics.anomaly_threshold import Limit, limit_of
from sightline.models.method import Method

Sees = Literal["pixels", "rows", "patches"]

SHARP = 4
"""Power that spreads scores: good pictures and odd ones differ by a part of the threshold."""

LEAST = 1e-12
"""Threshold where all good pictures score 0: then any change is odd."""


class AnomalyMethod(Method):
    """Base class: how odd images are, as distances from good ones; larger is odder.

    Attributes
    ----------
    sees : {"pixels", "rows", "patches"}
        What of an image it is given: its bytes, or what a frozen network makes of it, a row of
        features or a map of them.
    held_ : float64 array, shape (n,)
        Distances of good images that nothing was learned from, rising.
    limit_ : float64 array, shape (1,)
        Distance from which on an image is odd.
    """

    sees: ClassVar[Sees] = "pixels"
    false_alarms: float
    held_: NDArray[np.float64]
    limit_: NDArray[np.float64]

    def distances(self, seen: NDArray[Any]) -> NDArray[np.float32]:
        """Return how far each place of images is from good ones.

        Parameters
        ----------
        seen : array, shape (N, ...)
            What `sees` says of each image.

        Returns
        -------
        float32 array, shape (N, h, w)
            Or (N,), where the method knows no places.
        """
        raise NotImplementedError

    def decide_by(self, held: NDArray[Any]) -> Limit:
        """Set the threshold by distances of good images that nothing was learned from.

        Parameters
        ----------
        held : float array, shape (n,)
        """
        self.held_ = np.sort(np.asarray(held, np.float64))
        limit = limit_of(self.held_, self.false_alarms)
        self.limit_ = np.array([max(limit.distance, LEAST)])
        return limit

    def graded(self, distances: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Return distances d as scores in [0, 1]: 1 / (1 + (t / d)^4), 0.5 at the threshold t."""
        with np.errstate(divide="ignore", over="ignore"):
            ratio = np.float32(self.limit_[0]) / np.asarray(distances, np.float32)
            return np.asarray(1 / (1 + ratio**SHARP), np.float32)

    def judged(self, seen: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Return the score of each image, (N,), and of each of its places, (N, h, w), if known."""
        heat = self.graded(self.distances(seen))
        return (heat, None) if heat.ndim == 1 else (heat.max((1, 2)), heat)


def of_images(distances: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the distance of each image, (N,): that of its oddest place."""
    return distances if distances.ndim == 1 else distances.max((1, 2))


def check_rate(false_alarms: float) -> float:
    """Return a wished rate of false alarms.

    Raises
    ------
    ParameterError
        When it is not between 0 and 1.
    """
    if not 0 < false_alarms < 1:
        raise ParameterError(f"false_alarms is a rate between 0 and 1, not {false_alarms:g}")
    return false_alarms
