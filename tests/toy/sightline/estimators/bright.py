"""Count the bright pixels of a picture: the estimator of the toy task."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sightline.metrics.bright import Evaluation

from sightline.errors import DataError
from sightline.estimators.base import Estimator

BRIGHT = 128


@dataclass(frozen=True)
class Count:
    """An answer: the number of bright pixels of a picture with so many."""

    bright: float
    pixels: int


def shares(X):
    return (X.reshape(len(X), -1) >= BRIGHT).mean(1)


class BrightCounter(Estimator):
    """A method that counts."""

    task = "bright"

    @classmethod
    def check_serves(cls, data):
        if not data.source.items:
            raise DataError(f"{data.name} has no picture")  # any picture has pixels

    def learn(self, train, val, how):
        X, _, _ = train.arrays(self.fitted_.size, self.fitted_.resize, how.progress)
        self.method_.fit(self.fitted_(X), shares(X), **how.for_method(self.method_))
        return len(X)

    def answers(self, X, frames):
        said = np.clip(self.method_.predict(self.fitted_(X)), 0, 1)
        sizes = [frame.size[0] * frame.size[1] for frame in frames]
        return [Count(float(p) * n, n) for p, n in zip(said, sizes, strict=True)]

    def evaluate(self, split, progress=None, *, answers=None):
        fitted = self.fitted()
        X, _, rows = split.arrays(fitted.size, fitted.resize)
        frames = split.frames(fitted.size, fitted.resize)
        said = (answers or self.answers)(X, frames)
        true = shares(X) * np.array([one.pixels for one in said])
        return Evaluation.of(true, np.array([one.bright for one in said]), rows)
