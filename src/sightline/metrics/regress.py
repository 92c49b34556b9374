"""Measure how far numbers are off, and whether their intervals hold what they say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataError
from sightline.metrics import Metrics, bootstrap
from sightline.metrics.paired import Difference, bootstrap_difference, check_same_images

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Evaluation:
    """Measured numbers.

    Parameters
    ----------
    metrics : Metrics
        The headline is the mean absolute error, the lower the better.
    said, low, high, truth : float64 array, shape (N,)
        Answers, the ends of their intervals, and what is true.
    rows : int64 array, shape (N,)
        Of the data's source.
    """

    metrics: Metrics
    said: Floats
    low: Floats
    high: Floats
    truth: Floats
    rows: NDArray[np.int64]

    def __repr__(self) -> str:
        return f"Evaluation({self.metrics})"

    @classmethod
    def of(cls, said: Any, low: Any, high: Any, truth: Any, rows: Any) -> Self:
        """Measure answers.

        Parameters
        ----------
        said, low, high, truth : float array, shape (N,)
        rows : int64 array, shape (N,)

        Raises
        ------
        DataError
            When there is no picture.
        """
        known = [np.asarray(values, np.float64) for values in (said, low, high, truth)]
        s, a, b, t = known
        if not len(s):
            raise DataError("there is no image to measure on")
        off = np.abs(s - t)
        figures = {
            "mean_absolute_error": float(off.mean()),
            "median_absolute_error": float(np.median(off)),
            "r2": r_squared(s, t),
            "coverage": float(((a <= t) & (t <= b)).mean()),
            "interval_width": float((b - a).mean()),
        }
        weights = bootstrap.weights(len(s))
        ends = bootstrap.interval(
            figures["mean_absolute_error"], weights @ off / len(s), (0.0, math.inf)
        )
        metrics = Metrics(
            {name: value for name, value in figures.items() if math.isfinite(value)},
            "mean_absolute_error", ends, higher_is_better=False, n=len(s), share=False,
        )  # fmt: skip
        return cls(metrics, s, a, b, t, np.asarray(rows, np.int64))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that a comparison saves; `restored` takes them back."""
        return {name: getattr(self, name) for name in ("said", "low", "high", "truth", "rows")}

    @classmethod
    def restored(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Make an evaluation of what `arrays` returned."""
        return cls.of(**{name: arrays[name] for name in ("said", "low", "high", "truth", "rows")})

    @property
    def remarks(self) -> list[str]:
        """Say where the answers are no better than one number for all."""
        best = float(np.abs(self.truth - np.median(self.truth)).mean())
        if self.metrics.interval[1] < best or len(self.truth) < 2:
            return []
        return [
            f"a mean absolute error of {self.metrics.headline:.4g} is not shown to be below that "
            f"of the same number for all images, {best:.4g}"
        ]

    @property
    def beside(self) -> Mapping[str, str]:
        """Return what to read beside the error, which has the unit of the numbers."""
        return {"coverage": "the share of images whose number the interval holds"}


def r_squared(said: Floats, truth: Floats) -> float:
    """Return the share of the variance that is explained, R²; nan where all numbers are equal.

    Below 0 where the mean would have been nearer.

    Parameters
    ----------
    said, truth : float64 array, shape (N,)
    """
    total = float(np.square(truth - truth.mean()).sum())
    return 1 - float(np.square(said - truth).sum()) / total if total > 0 else math.nan


def reach(off: NDArray[Any], coverage: float) -> float:
    """Return how far an interval reaches to each side, to hold a share of new numbers.

    The k-th smallest of the n absolute errors of held-back images, k = ceil((n + 1) coverage): a
    new number lies within with at least that probability, whatever the method is, as long as new
    images come from the same (split conformal prediction: Lei et al., Distribution-free predictive
    inference for regression, 2018). With too few images for that, the largest.

    Parameters
    ----------
    off : float array, shape (n,)
    coverage : float
        Between 0 and 1.

    Raises
    ------
    DataError
        When no image was held back.

    Examples
    --------
    >>> reach(np.arange(1.0, 20.0), 0.9)
    18.0
    """
    n = len(off)
    if not n:
        raise DataError("there is no held-back image to set intervals by")
    return float(np.sort(off)[min(n, math.ceil((n + 1) * coverage - 1e-9)) - 1])


def differ(best: Evaluation, other: Evaluation, margin: float) -> Difference:
    """Compare two evaluations of the same pictures by the bootstrap.

    Parameters
    ----------
    best, other : Evaluation
    margin : float
        By how much the other's mean absolute error may be larger, in the unit of the numbers.
    """
    check_same_images(best.rows, other.rows)
    a, b = (np.abs(e.said - e.truth) for e in (best, other))
    return bootstrap_difference(
        lambda rows: float(a[rows].mean()), lambda rows: float(b[rows].mean()), len(a), margin,
        higher_is_better=False,
    )  # fmt: skip
