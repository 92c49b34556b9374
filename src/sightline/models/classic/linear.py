r"""Fit linear regressions: a line, a plane, and least squares as a classifier.

The line through points (x, y) that minimises :math:`\sum_i (a x_i + b - y_i)^2` is found by
setting both derivatives to zero (Legendre 1805; Gauss 1809):

.. math:: a = \frac{\sum_i (x_i - \bar x)(y_i - \bar y)}{\sum_i (x_i - \bar x)^2}, \qquad
          b = \bar y - a \bar x

With many features the same is asked of :math:`\|X W + b - Y\|^2 + \lambda \|W\|^2`; how it is
solved, and why not by the inverted normal equation, is told in `least_squares`. The intercept b is
not penalised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sightline.errors import DataError, NotFittedError, ParameterError
from sightline.models.classic import features, least_squares
from sightline.models.method import Method
from sightline.types import Progress


def fit_line(x: ArrayLike, y: ArrayLike) -> tuple[float, float]:
    """Return slope and intercept of the least-squares line, in closed form.

    Parameters
    ----------
    x, y : array, shape (n,)

    Returns
    -------
    slope, intercept : float

    Raises
    ------
    DataError
        When the shapes differ, a value is not finite, or x is the same throughout.

    Examples
    --------
    >>> slope, intercept = fit_line([1, 2, 4, 6, 8], [2, 5, 7, 8, 9])
    >>> f"{slope:.7f} {intercept:.7f}"
    '0.9085366 2.3841463'
    """
    column = features.rows(np.asarray(x)[:, None] if np.ndim(x) == 1 else x)
    if column.shape[1] != 1:
        raise DataError(f"a line has one feature, not {column.shape[1]}; use LinearRegression")
    across = column[:, 0].astype(np.float64)
    up = features.targets(y, len(across))
    if up.ndim != 1:
        raise DataError(f"a line has one target, not an array of shape {up.shape}")
    if across.min() == across.max():
        raise DataError(
            f"column 0 (x) is {across[0]:g} in every row, so no line through the points has a slope"
        )
    from_mean = across - across.mean()
    slope = float(from_mean @ (up - up.mean()) / (from_mean @ from_mean))
    return slope, float(up.mean() - slope * across.mean())


class LinearRegression:
    """Least-squares regression with any number of features and targets.

    Where columns depend on each other, or there are more of them than rows, many weights are
    equally good; the shortest is given (the pseudo-inverse's), and `rank_` says so.

    Parameters
    ----------
    ridge : float
        Penalty on the squared weights, against the sum of squared errors.

    Attributes
    ----------
    coef_ : float64 array, shape (d,), or (k, d) for targets of shape (n, k)
    intercept_ : float64 array, shape () or (k,)
    rank_ : int64 array, shape ()
        Columns that counted as independent; with a ridge on n > d rows all of them do.

    Examples
    --------
    >>> model = LinearRegression().fit([[0, 0], [1, 0], [0, 1], [1, 1]], [1, 3, 4, 6])
    >>> model.coef_.round(6).tolist(), round(float(model.intercept_), 6)
    ([2.0, 3.0], 1.0)
    """

    coef_: NDArray[np.float64]
    intercept_: NDArray[np.float64]
    rank_: NDArray[np.int64]

    def __init__(self, ridge: float = 0.0) -> None:
        self.ridge = _checked_ridge(ridge)

    def fit(self, X: ArrayLike, y: ArrayLike) -> LinearRegression:
        """Find the weights.

        Parameters
        ----------
        X : array, shape (n, ...)
        y : array, shape (n,) or (n, k)

        Raises
        ------
        DataError
            When shapes do not go together or a value is not finite; the column is named.
        """
        flat = features.rows(X)
        wanted = features.targets(y, len(flat))
        problem = least_squares.reduce(flat, wanted.reshape(len(wanted), -1))
        weights, rank = least_squares.solve(problem, self.ridge)
        intercept = problem.y_mean - problem.x_mean @ weights
        single = wanted.ndim == 1
        self.coef_ = weights[:, 0] if single else weights.T
        self.intercept_ = intercept[0] if single else intercept
        self.rank_ = np.array(rank)
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the values of the fitted plane at X, shape (m, ...): shape (m,) or (m, k)."""
        if not hasattr(self, "coef_"):
            raise NotFittedError("the regression is not fitted; call fit before predict")
        return affine(features.rows(X, self.coef_.shape[-1]), self.coef_.T, self.intercept_)

    def score(self, X: ArrayLike, y: ArrayLike) -> float:
        """Return R² on data; see `r_squared`."""
        return r_squared(y, self.predict(X))


def mean_squared_error(y: ArrayLike, predicted: ArrayLike) -> float:
    """Return the mean of the squared differences, in units of y squared; 0 is perfect.

    Raises
    ------
    DataError
        When the shapes differ or there is nothing.
    """
    truth, guess = _pair(y, predicted)
    return float(np.mean((truth - guess) ** 2))


def r_squared(y: ArrayLike, predicted: ArrayLike) -> float:
    """Return the share of y's variance that is explained; of several targets the mean.

    1 is perfect, 0 as good as the mean of y, below 0 worse. Where y is constant there is no
    variance to explain: 1 if it is met exactly, else 0 (as scikit-learn has it).

    Raises
    ------
    DataError
        When the shapes differ or there is nothing.

    Examples
    --------
    >>> r_squared([1, 2, 3], [1, 2, 4]), r_squared([5, 5], [5, 5]), r_squared([5, 5], [5, 6])
    (0.5, 1.0, 0.0)
    """
    truth, guess = _pair(y, predicted)
    left = ((truth - guess) ** 2).sum(0)
    total = ((truth - truth.mean(0)) ** 2).sum(0)
    constant = truth.min(0) == truth.max(0)
    share = 1 - np.divide(left, total, out=np.ones_like(left), where=~constant)
    return float(np.mean(np.where(constant & (left == 0), 1.0, share)))


class LinearClassifier(Method):
    """Least squares on one-hot targets: the class whose target is predicted highest.

    The scores of an image add up to 1 but may leave [0, 1]; its probabilities are the nearest
    ones (`onto_simplex`), which leaves the highest score the highest. Hastie, Tibshirani &
    Friedman, The Elements of Statistical Learning, 2nd ed. 2009, section 4.2.

    A pixel that never changes gets weight 0; dependent pixels share theirs (the shortest weights
    of the best). All columns constant is an error.

    Parameters
    ----------
    ridge : float
        Penalty on the squared weights, against the sum of squared errors.

    Attributes
    ----------
    coef_ : float64 array, shape (C, d)
    intercept_ : float64 array, shape (C,)
    classes_ : int64 array, shape (C,)
        The labels that occur, in rising order.
    rank_ : int64 array, shape ()
        Columns that counted as independent; with a ridge on n > d rows all of them do.

    Examples
    --------
    >>> X = np.array([[0.0], [1.0], [4.0], [5.0]])
    >>> LinearClassifier(ridge=0).fit(X, np.array([3, 3, 8, 8])).predict([[2.0], [3.0]]).tolist()
    [3, 8]
    """

    takes = frozenset({"progress"})
    coef_: NDArray[np.float64]
    intercept_: NDArray[np.float64]
    classes_: NDArray[np.int64]
    rank_: NDArray[np.int64]

    def __init__(self, ridge: float = 1.0) -> None:
        self.ridge = _checked_ridge(ridge)

    def fit(
        self, X: ArrayLike, y: ArrayLike, *, progress: Progress | None = None
    ) -> LinearClassifier:
        """Find the weights of each class.

        Parameters
        ----------
        X : array, shape (n, ...)
            uint8 and float32 are converted a block at a time.
        y : integer array, shape (n,)
        progress : callable, optional
            Called with (images reduced, images in all).

        Raises
        ------
        DataError
            When a value is not finite, no column varies, or labels do not fit.
        """
        problem, self.classes_ = _one_hot_problem(X, y, progress)
        return self._solve(problem)

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the predicted one-hot targets: shape (m, C)."""
        if not hasattr(self, "coef_"):
            raise NotFittedError("the classifier is not fitted; call fit before predict")
        return affine(features.rows(X, self.coef_.shape[1]), self.coef_.T, self.intercept_)

    def decide(self, X: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return labels, shape (m,), and probabilities, shape (m, C), by one product."""
        scores = self.decision_function(X)
        return self.classes_[scores.argmax(1)], onto_simplex(scores)

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """Return the label of each image of X, shape (m, ...): shape (m,)."""
        scores = self.decision_function(X)
        return np.asarray(self.classes_[scores.argmax(1)], np.int64)

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the probabilities nearest to the scores, by the order of ``classes_``: (m, C)."""
        return onto_simplex(self.decision_function(X))

    def score(self, X: ArrayLike, y: ArrayLike) -> float:
        """Return the accuracy, in [0, 1]."""
        return float((self.predict(X) == np.asarray(y)).mean())

    def _solve(self, problem: least_squares.Reduced) -> LinearClassifier:
        weights, rank = least_squares.solve(problem, self.ridge)
        self.coef_ = np.ascontiguousarray(weights.T)
        self.intercept_ = problem.y_mean - problem.x_mean @ weights
        self.rank_ = np.array(rank)
        return self


def sweep(
    X: NDArray[Any],
    y: NDArray[np.int64],
    queries: NDArray[Any],
    settings: Sequence[Mapping[str, Any]],
    progress: Progress | None = None,
) -> list[NDArray[np.int64]]:
    """Predict with many penalties, reducing the training set once for all.

    Parameters
    ----------
    X : array, shape (n, ...); y : int64 array, shape (n,)
        Training set.
    queries : array, shape (m, ...)
    settings : sequence of mapping
        Parameters of `LinearClassifier`.
    progress : callable, optional
        Called with (settings done, settings in all).

    Returns
    -------
    list of int64 array, shape (m,)
        Labels by each setting.
    """
    problem, classes = _one_hot_problem(X, y, None)
    answers = []
    for setting in settings:
        model = LinearClassifier(**setting)
        model.classes_ = classes
        answers.append(model._solve(problem).predict(queries))
        if progress:
            progress(len(answers), len(settings))
    return answers


def affine(
    X: NDArray[Any], weights: NDArray[np.float64], intercept: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Compute ``X @ weights + intercept`` in float64, converting X, (m, d), a chunk at a time."""
    out = np.empty((len(X), *weights.shape[1:]))
    for start in range(0, len(X), features.CHUNK):
        part = X[start : start + features.CHUNK].astype(np.float64, copy=False)
        out[start : start + features.CHUNK] = part @ weights + intercept
    return out


def onto_simplex(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probabilities nearest to scores in Euclidean distance, by row: shape (m, C).

    Subtracts from each row the amount that makes its positive part add up to 1 (Duchi et al.,
    Efficient projections onto the l1-ball, ICML 2008, figure 1).

    Examples
    --------
    >>> onto_simplex(np.array([[0.9, 0.3, -0.2]])).round(6).tolist()
    [[0.8, 0.2, 0.0]]
    """
    falling = -np.sort(-scores, axis=1)
    excess = (np.cumsum(falling, axis=1) - 1) / np.arange(1, scores.shape[1] + 1)
    kept = (falling > excess).sum(1)
    positive = np.maximum(scores - excess[np.arange(len(scores)), kept - 1][:, None], 0)
    return np.asarray(positive / positive.sum(1, keepdims=True))


def _one_hot_problem(
    X: ArrayLike, y: ArrayLike, progress: Progress | None
) -> tuple[least_squares.Reduced, NDArray[np.int64]]:
    flat = features.rows(X)
    classes, places = features.labels(y, len(flat))
    one_hot = np.zeros((len(flat), len(classes)))
    one_hot[np.arange(len(flat)), places] = 1
    problem = least_squares.reduce(flat, one_hot, progress)
    features.check_some_vary(problem.constant, flat)
    return problem, classes


def _pair(y: ArrayLike, predicted: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    truth, guess = np.asarray(y, np.float64), np.asarray(predicted, np.float64)
    if truth.shape != guess.shape or not truth.size:
        raise DataError(
            f"true values have shape {truth.shape}, but predicted ones have {guess.shape}"
        )
    return truth, guess


def _checked_ridge(ridge: float) -> float:
    if not (np.isfinite(ridge) and ridge >= 0):
        raise ParameterError(f"ridge must be a number from 0, not {ridge}")
    return ridge
