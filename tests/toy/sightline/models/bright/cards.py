"""The toy task's methods, and their cards."""

from __future__ import annotations

import numpy as np

from sightline.models.card import ModelCard
from sightline.models.method import Method


class MeanShare(Method):
    """Answer with the mean of the training pictures, whatever is shown."""

    def fit(self, X, y):
        self.mean_ = np.array([y.mean()])
        return self

    def predict(self, X):
        return np.full(len(X), self.mean_[0])


class LinearShare(Method):
    """Fit a line from mean brightness to the share of bright pixels.

    Parameters
    ----------
    ridge : float
        Penalty on the slope.
    """

    def __init__(self, ridge: float = 0.0) -> None:
        self.ridge = ridge

    def fit(self, X, y):
        x = X.reshape(len(X), -1).mean(1) / 255
        slope = ((x - x.mean()) * (y - y.mean())).sum()
        slope /= ((x - x.mean()) ** 2).sum() + self.ridge
        self.line_ = np.array([slope, y.mean() - slope * x.mean()])
        return self

    def predict(self, X):
        slope, intercept = self.line_
        return slope * X.reshape(len(X), -1).mean(1) / 255 + intercept


_HERE = "sightline.models.bright.cards"

CARDS = (
    ModelCard("mean-share", "bright", f"{_HERE}:MeanShare", "the mean", "none", 1),
    ModelCard(
        "linear-share", "bright", f"{_HERE}:LinearShare", "a line", "none", 1,
        grid={"ridge": (100.0, 0.0)},
    ),
)  # fmt: skip
