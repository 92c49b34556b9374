"""Fit a normal distribution to the features of each place, over good pictures.

Source: T. Defard et al., PaDiM: a patch distribution modeling framework for anomaly detection and
localization, 2021.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from sightline.errors import ParameterError
from sightline.models.anomaly.method import AnomalyMethod, Sees, check_rate

REGULARISED = 0.01
"""Added to each variance of standardised features (the paper's epsilon)."""


class PaDiM(AnomalyMethod):
    """Take the Mahalanobis distance of each place's features from that place's good ones.

    It suits pictures in which things lie at the same place.

    Parameters
    ----------
    dims : int
        Features that are taken, drawn at random of more: a matrix of as many squared is kept for
        each place.
    false_alarms : float
        Share of good pictures that may be called odd; the threshold is set by held-back ones.
    seed : int
        Of what is drawn.

    Attributes
    ----------
    chosen_ : int64 array, shape (d,)
        Features that are taken.
    mean_ : float32 array, shape (h, w, d)
    whitening_ : float32 array, shape (h, w, d, d)
        W of each place with WᵀW the inverse covariance: the distance is the length of W (x - mean).
    """

    sees: ClassVar[Sees] = "patches"
    seeded: ClassVar[bool] = True
    chosen_: NDArray[np.int64]
    mean_: NDArray[np.float32]
    whitening_: NDArray[np.float32]

    def __init__(self, dims: int = 64, false_alarms: float = 0.05, seed: int = 0) -> None:
        if dims < 1:
            raise ParameterError(f"dims must be at least 1, not {dims}")
        self.dims, self.seed = dims, seed
        self.false_alarms = check_rate(false_alarms)

    def fit(self, parts: Iterable[NDArray[np.float32]], images: int) -> Self:
        """Take mean and covariance of the features of each place.

        Parameters
        ----------
        parts : iterable of float32 array, shape (n, h, w, D)
        images : int
            In all parts.
        """
        n, total, products = 0, np.zeros(0), np.zeros(0)
        for part in parts:
            if not n:
                height, width, features = part.shape[1:]
                random = np.random.default_rng(self.seed)
                some = min(self.dims, features)
                self.chosen_ = np.sort(random.choice(features, some, replace=False))
                total = np.zeros((height * width, some))
                products = np.zeros((height * width, some, some))
            x = part[..., self.chosen_].reshape(len(part), -1, len(self.chosen_)).swapaxes(0, 1)
            total += x.sum(1, dtype=np.float64)
            products += x.swapaxes(1, 2) @ x
            n += len(part)
        mean = total / n
        covariance = (products - n * mean[:, :, None] * mean[:, None, :]) / max(n - 1, 1)
        variance = np.diagonal(covariance, axis1=1, axis2=2).mean()
        covariance += max(float(variance), 1e-9) * REGULARISED * np.eye(mean.shape[1])
        inverse = np.linalg.inv(np.linalg.cholesky(covariance))
        self.mean_ = mean.reshape(height, width, -1).astype(np.float32)
        self.whitening_ = inverse.reshape(*self.mean_.shape, -1).astype(np.float32)
        return self

    def distances(self, seen: NDArray[Any]) -> NDArray[np.float32]:
        """Return the Mahalanobis distance of each place of maps (N, h, w, D): (N, h, w)."""
        off = seen[..., self.chosen_] - self.mean_
        # Place by place a product of two matrices: whitening (d, d) and images (d, N).
        white = self.whitening_ @ off.transpose(1, 2, 3, 0)
        return np.asarray(np.sqrt(np.square(white).sum(2)).transpose(2, 0, 1), np.float32)
