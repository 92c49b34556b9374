"""Say numbers of rows of features: their mean, those of neighbours, a ridge regression."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from sightline.errors import ParameterError
from sightline.models.classic.search import as_rows, search_in
from sightline.models.method import Method

CHUNK = 256
"""MiB that a search may take."""


def check_coverage(coverage: float) -> float:
    """Return a share of pictures whose number an interval is to hold.

    Raises
    ------
    ParameterError
        When it is not between 0 and 1.
    """
    if not 0 < coverage < 1:
        raise ParameterError(f"coverage is a share between 0 and 1, not {coverage:g}")
    return coverage


class ValueMethod(Method):
    """Base class: a number an image, and how far held-back ones were off.

    Attributes
    ----------
    off_ : float64 array, shape (n,)
        Absolute errors of images that nothing was learned from, rising.
    reach_ : float64 array, shape (1,)
        Half the width of an interval.
    """

    coverage: float
    off_: NDArray[np.float64]
    reach_: NDArray[np.float64]

    def values(self, X: NDArray[Any]) -> NDArray[np.float64]:
        """Return the number of each image, shape (M,)."""
        raise NotImplementedError


class MeanValue(ValueMethod):
    """Answer with the mean of the training images, whatever is shown.

    Parameters
    ----------
    coverage : float
        Share of new images whose number the interval is to hold.

    Attributes
    ----------
    mean_ : float64 array, shape (1,)
    """

    floor: ClassVar[bool] = True
    mean_: NDArray[np.float64]

    def __init__(self, coverage: float = 0.9) -> None:
        self.coverage = check_coverage(coverage)

    def fit(self, X: NDArray[Any], y: NDArray[np.float64]) -> Self:
        """Take the mean of numbers, shape (N,)."""
        self.mean_ = np.array([y.mean()])
        return self

    def values(self, X: NDArray[Any]) -> NDArray[np.float64]:
        """Return the mean for each image, shape (M,)."""
        return np.full(len(X), self.mean_[0])


class NeighbourValue(ValueMethod):
    """Answer with the mean number of the k nearest training images.

    Parameters
    ----------
    k : int
        How many training images decide.
    metric : {"cosine", "l2", "l1"}
        How their distance is measured.
    coverage : float
        Share of new images whose number the interval is to hold.

    Attributes
    ----------
    bank_ : array, shape (N, D)
    known_ : float64 array, shape (N,)
    """

    bank_: NDArray[Any]
    known_: NDArray[np.float64]

    def __init__(self, k: int = 5, metric: str = "cosine", coverage: float = 0.9) -> None:
        if k < 1:
            raise ParameterError(f"k must be at least 1, not {k}")
        if metric not in ("cosine", "l2", "l1"):
            raise ParameterError(f"metric is cosine, l2 or l1, not {metric!r}")
        self.k, self.metric, self.coverage = k, metric, check_coverage(coverage)

    def fit(self, X: NDArray[Any], y: NDArray[np.float64]) -> Self:
        """Keep images as rows, shape (N, ...), and their numbers, (N,)."""
        self.bank_, self.known_ = np.array(as_rows(X, "training")), np.asarray(y, np.float64)
        return self

    def values(self, X: NDArray[Any]) -> NDArray[np.float64]:
        """Return the mean number of the nearest ones of each image, shape (M,)."""
        metric: Any = self.metric
        search = search_in(self.bank_, metric, "exact", "cpu", CHUNK)
        _, near = search(as_rows(X, "asked"), min(self.k, len(self.bank_)))
        return np.asarray(self.known_[near].mean(1))

    @classmethod
    def usable(cls, options: Any, images: int) -> bool:
        """Tell whether there are as many images as are asked."""
        return bool(options.get("k", 1) <= images)


class RidgeValue(ValueMethod):
    """Fit a line through rows of features, with a penalty on its weights (ridge regression).

    Source: A. E. Hoerl & R. W. Kennard, Ridge regression, Technometrics 12, 1970.

    Parameters
    ----------
    ridge : float
        Penalty, as a share of the mean square of the features.
    coverage : float
        Share of new images whose number the interval is to hold.

    Attributes
    ----------
    centre_, coef_ : float64 array, shape (D,)
    intercept_ : float64 array, shape (1,)
    """

    centre_: NDArray[np.float64]
    coef_: NDArray[np.float64]
    intercept_: NDArray[np.float64]

    def __init__(self, ridge: float = 0.1, coverage: float = 0.9) -> None:
        if not ridge >= 0:
            raise ParameterError(f"ridge must not be negative, not {ridge}")
        self.ridge, self.coverage = ridge, check_coverage(coverage)

    def fit(self, X: NDArray[Any], y: NDArray[np.float64]) -> Self:
        """Fit the line to rows, shape (N, ...), and numbers, (N,).

        It solves the smaller of the two systems: of as many equations as there are features, or
        images (Saunders, Gammerman & Vovk, Ridge regression in dual variables, 1998).
        """
        rows = as_rows(X, "training").astype(np.float64)
        self.centre_, middle = rows.mean(0), float(np.mean(y))
        A, b = rows - self.centre_, np.asarray(y, np.float64) - middle
        n, d = A.shape
        penalty = self.ridge * n * max(float(np.square(A).mean()), 1e-12)
        if d <= n:
            system = A.T @ A + penalty * np.eye(d)
            self.coef_ = np.linalg.lstsq(system, A.T @ b, rcond=None)[0]
        else:
            system = A @ A.T + penalty * np.eye(n)
            self.coef_ = A.T @ np.linalg.lstsq(system, b, rcond=None)[0]
        self.intercept_ = np.array([middle])
        return self

    def values(self, X: NDArray[Any]) -> NDArray[np.float64]:
        """Return the number on the line of each image, shape (M,)."""
        rows = as_rows(X, "asked").astype(np.float64)
        return np.asarray((rows - self.centre_) @ self.coef_ + self.intercept_[0])
