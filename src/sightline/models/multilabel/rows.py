"""Say which labels rows of features have: by their frequency, by neighbours, by a line a label."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from sightline.errors import ParameterError
from sightline.models.classic.search import as_rows, search_in
from sightline.models.method import Method
from sightline.types import Progress

CHUNK = 256
"""MiB that a search may take."""


class LabelFrequency(Method):
    """Answer with how frequent each label is, whatever the image shows.

    Attributes
    ----------
    shares_ : float64 array, shape (K,)
    """

    floor: ClassVar[bool] = True
    shares_: NDArray[np.float64]

    def fit(self, X: NDArray[Any], Y: NDArray[np.bool_]) -> Self:
        """Count the labels of images.

        Parameters
        ----------
        X : array, shape (N, ...)
            Not looked at.
        Y : bool array, shape (N, K)
        """
        self.shares_ = Y.mean(0)
        return self

    def probabilities(self, X: NDArray[Any]) -> NDArray[np.float32]:
        """Return the probability of each label of each image, shape (M, K)."""
        return np.tile(self.shares_.astype(np.float32), (len(X), 1))


class NeighbourLabels(Method):
    """Answer with the share of the k nearest training images that have each label.

    The label's frequency counts as one image more, so that no label is impossible (as in Zhang &
    Zhou, ML-KNN: a lazy learning approach to multi-label learning, 2007).

    Parameters
    ----------
    k : int
        How many training images decide.
    metric : {"cosine", "l2", "l1"}
        How their distance is measured.

    Attributes
    ----------
    bank_ : array, shape (N, D)
    labels_ : bool array, shape (N, K)
    """

    bank_: NDArray[Any]
    labels_: NDArray[np.bool_]

    def __init__(self, k: int = 10, metric: str = "cosine") -> None:
        if k < 1:
            raise ParameterError(f"k must be at least 1, not {k}")
        if metric not in ("cosine", "l2", "l1"):
            raise ParameterError(f"metric is cosine, l2 or l1, not {metric!r}")
        self.k, self.metric = k, metric

    def fit(self, X: NDArray[Any], Y: NDArray[np.bool_]) -> Self:
        """Keep images as rows, shape (N, ...), and their labels, (N, K)."""
        self.bank_, self.labels_ = np.array(as_rows(X, "training")), np.asarray(Y, np.bool_)
        return self

    def probabilities(self, X: NDArray[Any]) -> NDArray[np.float32]:
        """Return the probability of each label of each image, shape (M, K)."""
        metric: Any = self.metric
        search = search_in(self.bank_, metric, "exact", "cpu", CHUNK)
        k = min(self.k, len(self.bank_))
        _, near = search(as_rows(X, "asked"), k)
        votes = self.labels_[near].sum(1) + self.labels_.mean(0)
        return np.asarray(votes / (k + 1), np.float32)

    @classmethod
    def usable(cls, options: Any, images: int) -> bool:
        """Tell whether there are as many images as are asked."""
        return bool(options.get("k", 1) <= images)


class LabelLogistic(Method):
    """Fit a logistic regression a label, each apart from the others (binary relevance).

    Parameters
    ----------
    l2 : float
        Penalty on the weights.

    Attributes
    ----------
    coef_ : float32 array, shape (K, D)
    intercept_ : float32 array, shape (K,)
    """

    takes = frozenset({"progress"})
    coef_: NDArray[np.float32]
    intercept_: NDArray[np.float32]

    def __init__(self, l2: float = 0.1) -> None:
        if not l2 >= 0:
            raise ParameterError(f"l2 must not be negative, not {l2}")
        self.l2 = l2

    def fit(self, X: NDArray[Any], Y: NDArray[np.bool_], progress: Progress | None = None) -> Self:
        """Fit one line after the other.

        A label that all images have, or none, gets the logit of its frequency, one image counting
        for each side.

        Parameters
        ----------
        X : array, shape (N, ...)
        Y : bool array, shape (N, K)
        progress : callable, optional
            Called with (labels fitted, labels in all).
        """
        from sightline.models.classic.logistic import LogisticClassifier

        rows = as_rows(X, "training").astype(np.float32, copy=False)
        n, labels = Y.shape
        self.coef_ = np.zeros((labels, rows.shape[1]), np.float32)
        self.intercept_ = np.zeros(labels, np.float32)
        for k in range(labels):
            count = int(Y[:, k].sum())
            if 0 < count < n:
                one = LogisticClassifier(l2=self.l2).fit(rows, Y[:, k].astype(np.int64))
                self.coef_[k], self.intercept_[k] = one.coef_[0], one.intercept_[0]
            else:
                self.intercept_[k] = np.log((count + 1) / (n - count + 1))
            if progress:
                progress(k + 1, labels)
        return self

    def probabilities(self, X: NDArray[Any]) -> NDArray[np.float32]:
        """Return the probability of each label of each image, shape (M, K)."""
        rows = as_rows(X, "asked").astype(np.float32, copy=False)
        logits = (rows @ self.coef_.T + self.intercept_).clip(-60, 60)
        return np.asarray(1 / (1 + np.exp(-logits)), np.float32)
