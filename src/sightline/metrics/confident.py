"""Estimate which labels are wrong from a classifier's out-of-fold probabilities.

Confident learning (Northcutt, Jiang & Chuang, Confident Learning: Estimating Uncertainty in
Dataset Labels, JAIR 70, 2021). A class's threshold is how sure the classifier is on average of the
images that are labelled so; an image whose probability of another class reaches that class's
threshold is counted as one of it. Section and equation numbers are the paper's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataError

Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Confident:
    """What probabilities tell of labels.

    Parameters
    ----------
    thresholds : float64 array, shape (C,)
        Mean probability of each class over the images with its label (equation 2); NaN of a class
        that none has.
    believed : int64 array, shape (N,)
        The class that each image is counted as; -1 where no class reaches its threshold.
    counts : int64 array, shape (C, C)
        The confident joint (equation 1): images with a label (row) that are counted as a class.
    joint : float64 array, shape (C, C)
        Estimated joint distribution of labels and true classes (equation 3): it sums to 1.
    own : float64 array, shape (N,)
        Self-confidence: the probability of the label; the lowest are the most suspicious.
    """

    thresholds: NDArray[np.float64]
    believed: Labels
    counts: NDArray[np.int64]
    joint: NDArray[np.float64]
    own: NDArray[np.float64]

    @property
    def share(self) -> float:
        """Return the estimated share of labels that are wrong."""
        return float(self.joint.sum() - np.trace(self.joint))

    def suspects(self, labels: Labels) -> Labels:
        """Return the images that are counted as another class than their label, the worst first."""
        other = np.flatnonzero((self.believed >= 0) & (self.believed != labels))
        return other[np.argsort(self.own[other], kind="stable")]


def confident(labels: Labels, probabilities: NDArray[np.floating]) -> Confident:
    """Count images by their label and by the class that a classifier is confident of.

    Parameters
    ----------
    labels : int64 array, shape (N,)
        Class ids in [0, C).
    probabilities : float array, shape (N, C)
        Of a classifier that has not learned from the image itself.

    Raises
    ------
    DataError
        When there is no image, fewer than two classes, or a probability is not finite.
    """
    p = np.asarray(probabilities, np.float64)
    n, classes = p.shape
    if not n or classes < 2:
        raise DataError(f"{n} images of {classes} classes cannot tell which labels are wrong")
    if not np.isfinite(p).all():
        raise DataError("the probabilities are not finite: the training diverged")
    own = p[np.arange(n), labels]
    sizes = np.bincount(labels, minlength=classes)
    with np.errstate(invalid="ignore"):
        thresholds = np.bincount(labels, own, classes) / sizes
    # NaN reaches nothing: a class without images cannot be believed in.
    sure = np.where(p >= thresholds, p, -1.0)
    believed = np.where(sure.max(1) >= 0, sure.argmax(1), -1)
    counts = np.zeros((classes, classes), np.int64)
    known = believed >= 0
    np.add.at(counts, (labels[known], believed[known]), 1)
    return Confident(thresholds, believed, counts, _joint(counts, sizes), own)


def _joint(counts: NDArray[np.int64], sizes: Labels) -> NDArray[np.float64]:
    """Scale each label's row to the number of images that have it, and the whole to 1."""
    rows = counts.sum(1, keepdims=True)
    scaled = np.where(rows > 0, counts / np.maximum(rows, 1), np.eye(len(counts))) * sizes[:, None]
    return np.asarray(scaled / scaled.sum(), np.float64)
