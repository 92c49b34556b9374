"""Measure how right a classifier is, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sightline.metrics import Metrics
from sightline.metrics.calibration import calibration_error
from sightline.metrics.paired import Difference, label_difference

Labels = NDArray[np.int64]

UNEQUAL = 1.5
"""Times as many images as the rarest class has that the most frequent one has, if unequal."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Measured answers of a classifier on a split, row by row.

    Parameters
    ----------
    metrics : Metrics
    labels, predicted : int64 array, shape (N,)
        True and decided class ids, both in the run's classes.
    probabilities : float32 array, shape (N, C)
    rows : int64 array, shape (N,)
        Rows of the data's source, to find the images again.
    thresholds : float64 array, shape (C,), optional
        Below its class's, an answer is none of the classes; see `best_thresholds`.
    """

    metrics: Metrics
    labels: Labels
    predicted: Labels
    probabilities: NDArray[np.float32]
    rows: NDArray[np.int64]
    thresholds: NDArray[np.float64] | None = None

    def __repr__(self) -> str:
        return f"Evaluation({self.metrics})"

    @classmethod
    def of(
        cls, labels: Labels, predicted: Labels, probabilities: NDArray[np.float32],
        rows: NDArray[np.int64], thresholds: NDArray[np.float64] | None = None,
    ) -> Self:  # fmt: skip
        """Measure answers, and keep them with the metrics."""
        metrics = evaluate(labels, predicted, probabilities)
        return cls(metrics, labels, predicted, probabilities, rows, thresholds)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that a comparison saves."""
        names = ("labels", "predicted", "probabilities", "rows", "thresholds")
        held = {name: getattr(self, name) for name in names}
        return {name: array for name, array in held.items() if array is not None}

    @classmethod
    def restored(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Make an evaluation of what `arrays` returned."""
        return cls.of(**dict(arrays))

    @property
    def right(self) -> NDArray[np.bool_]:
        """Return which images were answered rightly, shape (N,)."""
        return np.asarray(self.labels == self.predicted, np.bool_)

    @property
    def remarks(self) -> list[str]:
        """Say where the answers are no better than always naming the most frequent class."""
        n = len(self.labels)
        share = float(np.bincount(self.labels).max()) / n
        if self.metrics.interval[0] > share:
            return []
        always = f"always naming the most frequent class, which is right for {share:.1%}"
        if self.metrics.headline < share:
            return [f"accuracy {self.metrics.headline:.1%} is below {always}"]
        return [
            f"accuracy {self.metrics.headline:.1%} is not shown to be above {always}: {n:,} images "
            "cannot tell"
        ]

    @property
    def beside(self) -> dict[str, str]:
        """Return what to read beside the accuracy, and why: the balanced one of unequal classes."""
        counts = np.bincount(self.labels)
        low, high = counts[counts > 0].min(), counts.max()
        if high <= UNEQUAL * low:
            return {}
        return {
            "balanced_accuracy": f"the mean over classes, which have {low:,} to {high:,} images"
        }

    @property
    def confidence(self) -> NDArray[np.float32]:
        """Return the probability of each decided class, shape (N,)."""
        return self.probabilities[np.arange(len(self.predicted)), self.predicted]

    @property
    def answered(self) -> NDArray[np.bool_]:
        """Return which images are answered with the thresholds, shape (N,); all without any."""
        if self.thresholds is None:
            return np.ones(len(self.labels), np.bool_)
        return np.asarray(self.confidence >= self.thresholds[self.predicted], np.bool_)


def differ(best: Evaluation, other: Evaluation, margin: float) -> Difference:
    """Return how much more accurate another method is on the same images; see `paired`."""
    return label_difference(best.right, other.right, margin)


def evaluate(y: Labels, predicted: Labels, probabilities: NDArray[np.floating]) -> Metrics:
    """Measure a classifier's answers.

    Parameters
    ----------
    y, predicted : int64 array, shape (N,)
        True and decided class ids.
    probabilities : float array, shape (N, C)

    Returns
    -------
    Metrics
        ``accuracy`` (the headline, with its Wilson interval), ``balanced_accuracy`` (mean
        recall over the classes that occur), ``macro_f1``, ``top5_accuracy``, ``log_loss``
        (nats, probabilities floored at 1e-7) and ``calibration_error``.
    """
    n = len(y)
    right = predicted == y
    true_p = probabilities[np.arange(n), y].astype(np.float64)
    recalls = [right[y == c].mean() for c in np.unique(y)]
    higher = (probabilities > true_p[:, None]).sum(1)
    values = {
        "accuracy": float(right.mean()),
        "balanced_accuracy": float(np.mean(recalls)),
        "macro_f1": macro_f1(y, predicted),
        "top5_accuracy": float((right | (higher < 5)).mean()),
        "log_loss": float(-np.log(np.clip(true_p, 1e-7, 1)).mean()),
        "calibration_error": calibration_error(right, probabilities.max(1)),
    }
    return Metrics(values, "accuracy", wilson(int(right.sum()), n), n=n)


def macro_f1(y: Labels, predicted: Labels) -> float:
    """Return the mean F1 score over the classes that occur, as truth or as answer."""
    n_classes = int(max(y.max(), predicted.max())) + 1
    f1 = per_class(confusion(y, predicted, n_classes))["f1"]
    return float(np.nanmean(f1))


def wilson(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    r"""Return the score interval of a proportion: where it is as probable as it was seen to be.

    .. math:: \frac{p + z^2 / 2n \pm z \sqrt{p (1 - p) / n + z^2 / 4 n^2}}{1 + z^2 / n}

    Source: E. B. Wilson, J. Am. Stat. Assoc. 22, 1927.
    """
    if n == 0:
        return 0.0, 1.0
    p, z = successes / n, NormalDist().inv_cdf((1 + confidence) / 2)
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    reach = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    # At the ends the interval reaches 0 or 1 exactly; rounding would miss it.
    return (0.0 if successes == 0 else middle - reach, 1.0 if successes == n else middle + reach)


def coverage_curve(
    right: NDArray[np.bool_], confidence: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Compute the accuracy on the share of images that are answered, by confidence threshold.

    Parameters
    ----------
    right : bool array, shape (N,)
    confidence : float array, shape (N,)

    Returns
    -------
    thresholds : float64 array, shape (T,)
        Falling: the confidences that occur.
    coverage : float64 array, shape (T,)
        Share of the images with at least that confidence.
    accuracy : float64 array, shape (T,)
        Among them.

    Notes
    -----
    One less the accuracy against the coverage is the risk-coverage curve of El-Yaniv & Wiener, On
    the foundations of noise-free selective classification, 2010.

    Examples
    --------
    >>> _, coverage, accuracy = coverage_curve(np.array([1, 0, 1, 1]) > 0, np.array([9, 6, 7, 8]))
    >>> coverage.tolist(), accuracy.tolist()
    ([0.25, 0.5, 0.75, 1.0], [1.0, 1.0, 1.0, 0.75])
    """
    order = np.argsort(-confidence, kind="stable")
    falling, hits = confidence[order].astype(np.float64), right[order].cumsum()
    last = np.append(falling[1:] != falling[:-1], True)  # of equals only all together
    counts = np.arange(1, len(order) + 1)[last]
    return falling[last], counts / len(order), hits[last] / counts


def precision_recall(
    positive: NDArray[np.bool_], score: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Compute precision and recall of a class, as the threshold of its score falls.

    Parameters
    ----------
    positive : bool array, shape (N,)
        Whether each image is of the class.
    score : float array, shape (N,)
        Its probability.

    Returns
    -------
    thresholds : float64 array, shape (T,)
        Falling: the scores that occur.
    precision, recall : float64 array, shape (T,)
        Of taking all images with at least that score; recall is nan without a positive image.

    Examples
    --------
    >>> _, precision, recall = precision_recall(np.array([1, 0, 1]) > 0, np.array([0.9, 0.8, 0.7]))
    >>> precision.round(2).tolist(), recall.tolist()
    ([1.0, 0.5, 0.67], [0.5, 0.5, 1.0])
    """
    order = np.argsort(-score, kind="stable")
    falling, hits = score[order].astype(np.float64), positive[order].cumsum()
    last = np.append(falling[1:] != falling[:-1], True)  # of equals only all together
    counts = np.arange(1, len(order) + 1)[last]
    total = positive.sum()
    recall = hits[last] / total if total else np.full(len(counts), np.nan)
    return falling[last], hits[last] / counts, recall


def average_precision(positive: NDArray[np.bool_], score: NDArray[np.floating]) -> float:
    r"""Compute the area under the steps of precision against recall; nan without a positive image.

    .. math:: \sum_n (R_n - R_{n-1}) P_n
    """
    _, precision, recall = precision_recall(positive, score)
    return float((np.diff(recall, prepend=0) * precision).sum())


def best_thresholds(
    labels: Labels, predicted: Labels, confidence: NDArray[np.floating], n_classes: int
) -> NDArray[np.float64]:
    """Choose a threshold for each class: that with the highest F1 of the class.

    An image that is decided for a class counts as an answer where its probability reaches the
    class's threshold.

    Parameters
    ----------
    labels, predicted : int64 array, shape (N,)
    confidence : float array, shape (N,)
        Probability of each decided class.
    n_classes : int

    Returns
    -------
    float64 array, shape (C,)
        Midway between the least confidence that is answered and the next below it; of equally good
        ones the lowest; 0 where every answer is given, and for a class that is never decided for.

    Examples
    --------
    >>> labels, said = np.array([0, 0, 1, 1]), np.array([0, 0, 0, 1])
    >>> best_thresholds(labels, said, np.array([0.9, 0.8, 0.5, 0.6]), 2).tolist()
    [0.65, 0.0]
    """
    chosen = np.zeros(n_classes)
    for c in range(n_classes):
        decided, total = predicted == c, (labels == c).sum()
        if not decided.any() or not total:
            continue
        falling, precision, _ = precision_recall(labels[decided] == c, confidence[decided])
        counts = np.array([(confidence[decided] >= t).sum() for t in falling])
        f1 = 2 * precision * counts / (counts + total)
        best = len(f1) - 1 - int(f1[::-1].argmax())
        if best + 1 < len(falling):
            chosen[c] = (falling[best] + falling[best + 1]) / 2
    return chosen


def confusion(y: Labels, predicted: Labels, n_classes: int) -> NDArray[np.int64]:
    """Count the images of each true class (row) by decided class (column): shape (C, C)."""
    table = np.bincount(y * n_classes + predicted, minlength=n_classes**2)
    return table.reshape(n_classes, n_classes).astype(np.int64)


def per_class(table: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Return recall, precision and F1 by class from a confusion matrix; nan where undefined."""
    hits = np.diag(table).astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = hits / table.sum(1)
        precision = hits / table.sum(0)
        f1 = 2 * hits / (table.sum(0) + table.sum(1))
    return {"recall": recall, "precision": precision, "f1": f1}
