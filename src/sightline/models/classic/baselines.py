"""Implement the baselines that any method must beat."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataError, NotFittedError
from sightline.models.method import Method


class MajorityClassifier(Method):
    """The majority class: answers with the most frequent class of the training set.

    Its probabilities are the class frequencies (the prior).

    Examples
    --------
    >>> import numpy as np
    >>> model = MajorityClassifier().fit(np.zeros((3, 4)), np.array([1, 1, 0]))
    >>> model.predict(np.ones((2, 4))).tolist()
    [1, 1]
    """

    floor = True
    classes_: NDArray[np.int64]
    prior_: NDArray[np.float64]

    def fit(self, X: NDArray[Any], y: NDArray[np.int64]) -> MajorityClassifier:
        """Count the classes. X, shape (n, ...), is not looked at; y has shape (n,)."""
        check_fit(X, y)
        self.classes_, counts = np.unique(y, return_counts=True)
        self.prior_ = counts / counts.sum()
        return self

    def predict_proba(self, X: NDArray[Any]) -> NDArray[np.float64]:
        """Return the class frequencies for every row: shape (m, C)."""
        if not hasattr(self, "prior_"):
            raise NotFittedError("the classifier is not fitted; call fit before predict")
        return np.tile(self.prior_, (len(X), 1))

    def predict(self, X: NDArray[Any]) -> NDArray[np.int64]:
        """Return the most frequent class (of equals the lower id) for every row: shape (m,)."""
        winner = self.predict_proba(X).argmax(1)
        return np.asarray(self.classes_[winner], np.int64)

    def score(self, X: NDArray[Any], y: NDArray[np.int64]) -> float:
        """Return the accuracy, in [0, 1]."""
        return float((self.predict(X) == y).mean())


class NearestMeanClassifier(Method):
    """The nearest class mean: answers with the class whose mean image is nearest.

    The distance is Euclidean. This is the Bayes rule for equally frequent Gaussian classes that
    share one spherical covariance (Duda, Hart & Stork 2001, section 2.6.1). Its probabilities are
    ``p(c | x) ∝ exp(-|x - mean_c|² / 2v)`` with v the mean squared distance of a training
    image to its class mean. (The model proper would divide by the variance of one pixel;
    as pixels are far from independent, it would be certain of every answer.)

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[0.0], [1.0], [10.0], [11.0]])
    >>> NearestMeanClassifier().fit(X, np.array([0, 0, 1, 1])).predict([[4.0], [7.0]]).tolist()
    [0, 1]
    """

    classes_: NDArray[np.int64]
    means_: NDArray[np.float64]
    variance_: NDArray[np.float64]

    def fit(self, X: NDArray[Any], y: NDArray[np.int64]) -> NearestMeanClassifier:
        """Average the images of each class: X has shape (n, ...), y shape (n,)."""
        check_fit(X, y)
        flat = np.reshape(X, (len(X), -1))
        self.classes_, y = np.unique(y, return_inverse=True)
        counts = np.bincount(y)
        self.means_ = np.stack([_mean(flat[y == c]) for c in range(len(counts))])
        spread = sum(_spread(flat[y == c], mean) for c, mean in enumerate(self.means_))
        self.variance_ = np.array(max(spread / len(flat), 1e-12))
        return self

    def predict_proba(self, X: NDArray[Any]) -> NDArray[np.float64]:
        """Return the probabilities of the spherical Gaussian model, shape (m, C)."""
        squared = self._squared_distances(X)
        logits = -(squared - squared.min(1, keepdims=True)) / (2 * self.variance_)
        p = np.exp(logits)
        return np.asarray(p / p.sum(1, keepdims=True))

    def predict(self, X: NDArray[Any]) -> NDArray[np.int64]:
        """Return the class of the nearest mean (of equals the lower id), shape (m,)."""
        nearest = self._squared_distances(X).argmin(1)
        return np.asarray(self.classes_[nearest], np.int64)

    def score(self, X: NDArray[Any], y: NDArray[np.int64]) -> float:
        """Return the accuracy, in [0, 1]."""
        return float((self.predict(X) == y).mean())

    def _squared_distances(self, X: NDArray[Any]) -> NDArray[np.float64]:
        if not hasattr(self, "means_"):
            raise NotFittedError("the classifier is not fitted; call fit before predict")
        flat = np.reshape(X, (len(X), -1))
        if flat.shape[1] != self.means_.shape[1]:
            raise DataError(
                f"the method was fitted on {self.means_.shape[1]} values an image, but asked about "
                f"{flat.shape[1]}"
            )
        out = np.empty((len(flat), len(self.means_)))
        for start in range(0, len(flat), 4096):  # bounds the float64 copy
            part = flat[start : start + 4096].astype(np.float64)
            cross = part @ self.means_.T
            norms = np.einsum("ij,ij->i", part, part)
            squared = norms[:, None] - 2 * cross + (self.means_**2).sum(1)
            out[start : start + 4096] = np.maximum(squared, 0)
        return out


def check_fit(X: NDArray[Any], y: NDArray[np.int64]) -> None:
    """Refuse an empty training set and one whose labels do not go with its rows."""
    if len(X) == 0:
        raise DataError("the training set is empty")
    if len(X) != len(y):
        raise DataError(f"{len(X)} images but {len(y)} labels")
    if np.asarray(y).dtype.kind not in "iub":
        raise DataError(f"labels must be integers, not {np.asarray(y).dtype}")


def _mean(rows: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(rows.mean(0, dtype=np.float64))


def _spread(rows: NDArray[Any], mean: NDArray[np.float64]) -> float:
    """Sum the squared distances to the mean, in chunks that bound the float64 copy."""
    total = 0.0
    for start in range(0, len(rows), 4096):
        total += float(((rows[start : start + 4096] - mean) ** 2).sum())
    return total
