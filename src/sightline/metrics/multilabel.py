"""Measure which of several labels are right for pictures, label by label and picture by picture."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataError
from sightline.metrics import Metrics, bootstrap
from sightline.metrics.paired import Difference, bootstrap_difference, check_same_images

HALF = 0.5
"""Threshold of a label where none was chosen."""

PAIRED_DRAWS = 500
"""Resamples for the interval of a difference."""

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Evaluation:
    """Measured probabilities of labels.

    Parameters
    ----------
    metrics : Metrics
        The headline is the mean average precision over the labels that any picture has.
    probabilities : float32 array, shape (N, K)
    truth : bool array, shape (N, K)
    rows : int64 array, shape (N,)
        Of the data's source.
    classes : tuple of str, length K
    thresholds : float64 array, shape (K,)
        From which on a picture has a label.
    precisions : float64 array, shape (K,)
        Average precision of each label; nan where no picture has it.
    """

    metrics: Metrics
    probabilities: NDArray[np.float32]
    truth: NDArray[np.bool_]
    rows: NDArray[np.int64]
    classes: tuple[str, ...]
    thresholds: NDArray[np.float64]
    precisions: NDArray[np.float64]

    def __repr__(self) -> str:
        return f"Evaluation({self.metrics})"

    @classmethod
    def of(
        cls, probabilities: NDArray[Any], truth: NDArray[Any], rows: NDArray[Any],
        classes: tuple[str, ...], thresholds: NDArray[Any] | None = None,
    ) -> Self:  # fmt: skip
        """Measure probabilities.

        Parameters
        ----------
        probabilities : float array, shape (N, K)
        truth : bool array, shape (N, K)
        rows : int64 array, shape (N,)
        classes : tuple of str
        thresholds : float array, shape (K,), optional
            Default: 0.5 for each.

        Raises
        ------
        DataError
            When there is no picture, or none has a label.
        """
        p, y = np.asarray(probabilities, np.float32), np.asarray(truth, np.bool_)
        if not len(p):
            raise DataError("there is no image to measure on")
        if not y.any():
            raise DataError("no image has any label, so that nothing can be measured")
        limits = np.full(len(classes), HALF) if thresholds is None else np.asarray(thresholds)
        precisions = average_precisions(p, y)[0]
        drawn = average_precisions(p, y, bootstrap.weights(len(p)))
        headline = float(np.nanmean(precisions))
        f1 = _f1(p >= limits, y)
        figures = {
            "mean_average_precision": headline,
            "f1_macro": float(np.nanmean(f1)),
            "f1_micro": _micro(p >= limits, y),
            "subset_accuracy": float(((p >= limits) == y).all(1).mean()),
        }
        ends = bootstrap.interval(headline, bootstrap.mean(drawn, 1))
        metrics = Metrics(figures, "mean_average_precision", ends, n=len(p))
        held = np.asarray(rows, np.int64)
        return cls(metrics, p, y, held, tuple(classes), np.asarray(limits, np.float64), precisions)

    def with_thresholds(self, thresholds: NDArray[Any]) -> Self:
        """Return the same answers, told by other thresholds."""
        made = self.of(self.probabilities, self.truth, self.rows, self.classes, thresholds)
        return replace(made)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that a comparison saves; `restored` takes them back."""
        return {
            "probabilities": self.probabilities, "truth": self.truth, "rows": self.rows,
            "thresholds": self.thresholds,
            "classes": np.frombuffer(json.dumps(self.classes).encode(), np.uint8),
        }  # fmt: skip

    @classmethod
    def restored(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Make an evaluation of what `arrays` returned."""
        classes = tuple(json.loads(bytes(arrays["classes"])))
        return cls.of(
            arrays["probabilities"], arrays["truth"], arrays["rows"], classes, arrays["thresholds"]
        )

    @functools.cached_property
    def decided(self) -> NDArray[np.bool_]:
        """Return which labels are answered, shape (N, K)."""
        return np.asarray(self.probabilities >= self.thresholds)

    @property
    def by_label(self) -> dict[str, NDArray[np.float64]]:
        """Return figures of each label, shape (K,): nan where undefined."""
        hits = (self.decided & self.truth).sum(0)
        with np.errstate(invalid="ignore"):
            return {
                "pictures": self.truth.sum(0).astype(np.float64),
                "average_precision": self.precisions,
                "f1": _f1(self.decided, self.truth),
                "precision": hits / self.decided.sum(0),
                "recall": hits / self.truth.sum(0),
                "threshold": self.thresholds,
            }

    @property
    def remarks(self) -> list[str]:
        """Say which labels are not measured, and where the answers are no better than frequencies.

        A label's frequency is the average precision of answers that know nothing of a picture.
        """
        said = []
        absent = [n for n, p in zip(self.classes, self.precisions, strict=True) if np.isnan(p)]
        if absent:
            more = " ..." if len(absent) > 5 else ""
            said.append(f"left out of the means, as no image has it: {', '.join(absent[:5])}{more}")
        chance = float(self.truth.mean(0)[~np.isnan(self.precisions)].mean())
        if self.metrics.interval[0] <= chance:
            said.append(
                f"a mean average precision of {self.metrics.headline:.1%} is not shown to be above "
                f"that of answers without looking, {chance:.1%}"
            )
        return said

    @property
    def beside(self) -> Mapping[str, str]:
        """Return what to read beside the mean average precision, which knows no threshold."""
        return {
            "f1_macro": "the mean over labels, by the thresholds of the run",
            "subset_accuracy": "the share of images all of whose labels are right",
        }

    @property
    def together(self) -> Counts:
        """Return how many pictures have each pair of labels, shape (K, K)."""
        y = self.truth.astype(np.int64)
        return np.asarray(y.T @ y)


def average_precisions(
    probabilities: NDArray[Any], truth: NDArray[np.bool_], counts: Counts | None = None
) -> NDArray[np.float64]:
    """Return the average precision of each label: sum of (R_n - R_{n-1}) P_n over its thresholds.

    Parameters
    ----------
    probabilities : float array, shape (N, K)
    truth : bool array, shape (N, K)
    counts : int64 array, shape (draws, N), optional
        How often each picture counts, in each of several draws.

    Returns
    -------
    float64 array, shape (draws, K)
        nan where no picture has the label; one draw without `counts`.
    """
    weights = np.ones((1, len(truth)), np.int64) if counts is None else counts
    made = np.full((len(weights), truth.shape[1]), np.nan)
    for k in range(truth.shape[1]):
        order = np.argsort(-probabilities[:, k], kind="stable")
        scores, right = probabilities[order, k], truth[order, k]
        last = np.append(scores[1:] != scores[:-1], True)  # equal scores are found together
        w = weights[:, order]
        hits, called = np.cumsum(w * right, 1)[:, last], np.cumsum(w, 1)[:, last]
        gained = np.diff(hits, axis=1, prepend=0)
        total = hits[:, -1]
        with np.errstate(invalid="ignore", divide="ignore"):
            made[:, k] = (gained * hits / np.maximum(called, 1)).sum(1) / total
    return made


def best_thresholds(probabilities: NDArray[Any], truth: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return for each label the threshold with its highest F1; 0.5 where no picture has it.

    A threshold lies in the middle between two probabilities, so that it is as far as can be from
    what it parts; of equally good ones the one nearest to a half is taken.

    Parameters
    ----------
    probabilities : float array, shape (N, K)
    truth : bool array, shape (N, K)
    """
    limits = np.full(truth.shape[1], HALF)
    for k in range(truth.shape[1]):
        p, y = np.asarray(probabilities[:, k], np.float64), truth[:, k]
        if not y.any():
            continue
        levels, at = np.unique(p, return_inverse=True)
        hits = np.bincount(at, y, len(levels))[::-1].cumsum()[::-1]
        called = np.bincount(at, minlength=len(levels))[::-1].cumsum()[::-1]
        f1 = 2 * hits / (called + y.sum())
        ends = (np.concatenate([[0.0], levels[:-1]]) + levels) / 2
        best = np.flatnonzero(f1 >= f1.max() - 1e-12)
        limits[k] = ends[best[np.abs(ends[best] - HALF).argmin()]]
    return limits


def _f1(decided: NDArray[np.bool_], truth: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the F1 of each label; nan where no picture has it, or is answered with it."""
    with np.errstate(invalid="ignore"):
        return np.asarray(2 * (decided & truth).sum(0) / (decided.sum(0) + truth.sum(0)))


def _micro(decided: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    total = int(decided.sum()) + int(truth.sum())
    return float(2 * (decided & truth).sum() / total) if total else 0.0


def differ(best: Evaluation, other: Evaluation, margin: float) -> Difference:
    """Compare two evaluations of the same pictures by the bootstrap.

    Parameters
    ----------
    best, other : Evaluation
    margin : float
        By how much the other's mean average precision may be lower.
    """
    check_same_images(best.rows, other.rows)

    def figure(e: Evaluation, rows: NDArray[np.int64]) -> float:
        drawn = average_precisions(e.probabilities, e.truth, _counted(rows, len(e.rows)))[0]
        return float(np.nanmean(drawn)) if np.isfinite(drawn).any() else float("nan")

    return bootstrap_difference(
        lambda rows: figure(best, rows), lambda rows: figure(other, rows), len(best.rows), margin,
        higher_is_better=True, draws=PAIRED_DRAWS,
    )  # fmt: skip


def _counted(rows: NDArray[np.int64], images: int) -> Counts:
    return np.bincount(rows, minlength=images)[None]
