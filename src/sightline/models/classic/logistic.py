r"""Fit logistic regression, binary and multinomial, by any of the optimisers of `optimize`.

The probability of a class is the sigmoid, or the softmax, of linear logits (Cox, J. R. Stat. Soc.
B 1958); the weights are those under which the training labels are likeliest, less a penalty. What
is minimised is defined in `likelihood`.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sightline.errors import DataError, NotFittedError, ParameterError, UnknownNameError
from sightline.models.classic import features
from sightline.models.classic.likelihood import Objective, log_losses, logits, sigmoid, softmax
from sightline.models.classic.line_search import Point
from sightline.models.classic.optimize import minimize
from sightline.models.method import Method
from sightline.types import Progress

Optimizer = Literal["lbfgs", "newton", "cg", "cg-fr", "gd", "momentum", "nesterov"]


class LogisticClassifier(Method):
    """Logistic regression: linear logits, fitted by maximum likelihood with an L2 penalty.

    float64 features are computed with in float64; all others in float32, which is twice as fast and
    errs by about 1e-7 in the loss. A pixel that never changes gets weight 0; all columns constant
    is an error.

    Parameters
    ----------
    l2 : float
        Penalty: half of this times the squared weights, against the mean loss.
    optimizer : {"lbfgs", "newton", "cg", "cg-fr", "gd", "momentum", "nesterov"}
        Method of minimisation; newton is for small images.
    max_iter : int
        Iterations at most.
    tol : float
        Largest entry of the gradient (of centred features of deviation 1) that counts as 0.
    patience : int
        Iterations after which to stop when neither loss nor accuracy on validation images has been
        better; the weights of the best accuracy (of equals those of least loss) are kept. 0 never
        stops. Only where there are validation images.
    class_weight : str
        uniform; balanced (each class weighs the same in all); or a number for each class, such as
        1,5,1.
    step : float, optional
        Fixed step of gd, momentum and nesterov; else it is searched for.
    threshold : float
        Of two classes the second is decided from this probability on.

    Attributes
    ----------
    coef_ : float64 array, shape (C, d), or (1, d) for two classes
    intercept_ : float64 array, shape (C,) or (1,)
    classes_ : int64 array, shape (C,)
        The labels that occur, in rising order.
    objective_ : float64 array, shape ()
        J of the weights kept.
    converged_ : bool array, shape ()
        Whether the gradient fell to `tol`.
    history_ : list of dict
        One an iteration: loss (J), gradient (largest entry), and with validation images val_loss
        (mean negative log-likelihood) and val_accuracy.

    Examples
    --------
    >>> X = np.array([[0.0], [1.0], [4.0], [5.0]])
    >>> model = LogisticClassifier(l2=0.1).fit(X, np.array([3, 3, 8, 8]))
    >>> model.predict(np.array([[2.0], [3.0]])).tolist()
    [3, 8]
    """

    takes = frozenset({"X_val", "progress"})
    coef_: NDArray[np.float64]
    intercept_: NDArray[np.float64]
    classes_: NDArray[np.int64]
    objective_: NDArray[np.float64]
    converged_: NDArray[np.bool_]
    history_: list[dict[str, Any]]

    def __init__(
        self,
        l2: float = 1e-4,
        optimizer: Optimizer = "lbfgs",
        max_iter: int = 300,
        tol: float = 1e-4,
        patience: int = 10,
        class_weight: str = "uniform",
        step: float | None = None,
        threshold: float = 0.5,
    ) -> None:
        self.l2, self.optimizer, self.max_iter, self.tol = l2, optimizer, max_iter, tol
        self.patience, self.class_weight = patience, class_weight
        self.step, self.threshold = step, threshold

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
        progress: Progress | None = None,
    ) -> LogisticClassifier:
        """Find the weights.

        Parameters
        ----------
        X : array, shape (n, ...)
        y : integer array, shape (n,)
        X_val, y_val : arrays, optional
            Watched in order to stop early; see `patience`.
        progress : callable, optional
            Called with (iterations done, iterations at most).

        Raises
        ------
        DataError
            When a value is not finite, no column varies, or labels do not fit.
        ParameterError, UnknownNameError
            When an option cannot be.
        TrainingError
            When a fixed step diverges; the iteration is named.
        """
        self._check_options()
        flat = features.rows(X)
        classes, places = features.labels(y, len(flat))
        if self.threshold != 0.5 and len(classes) > 2:
            raise ParameterError(
                f"threshold=... is for two classes, but there are {len(classes)} classes"
            )
        row_weights = _class_weights(self.class_weight, places, classes)[places]
        flat = flat.astype(np.float32, copy=False) if flat.dtype == np.uint8 else flat
        objective = Objective(flat, places, len(classes), self.l2, row_weights)
        features.check_some_vary(objective.constant, flat)
        self.classes_ = classes
        watch = _Watch(self, objective, X_val, y_val, progress)
        descent = minimize(
            objective.value, objective.gradient, np.zeros(objective.size), self.optimizer,
            objective.hessian if self.optimizer == "newton" else None,
            step=self.step, tol=self.tol, max_iter=self.max_iter,
            precision=1e-13 if flat.dtype == np.float64 else 1e-7, keep_path=False, watch=watch,
        )  # fmt: skip
        best = descent.x if watch.best is None else watch.best
        self.coef_, self.intercept_ = objective.weights(best)
        self.objective_ = np.array(objective.value(best))
        self.converged_ = np.array(descent.converged)
        self.history_ = watch.history
        return self

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the logits: shape (m, C), or (m, 1) for two classes."""
        if not hasattr(self, "coef_"):
            raise NotFittedError("the classifier is not fitted; call fit before predict")
        return logits(features.rows(X, self.coef_.shape[1]), self.coef_, self.intercept_)

    def decide(self, X: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return labels, shape (m,), and probabilities, shape (m, C), by one product."""
        p = self.predict_proba(X)
        two = len(self.classes_) == 2
        places = (p[:, 1] >= self.threshold).astype(np.int64) if two else p.argmax(1)
        return self.classes_[places], p

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """Return the label of each image of X, shape (m, ...): shape (m,)."""
        return self.decide(X)[0]

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the probabilities in the order of ``classes_``: shape (m, C)."""
        z = self.decision_function(X)
        if z.shape[1] == 1:
            return np.column_stack([sigmoid(-z), sigmoid(z)])
        return softmax(z)

    def score(self, X: ArrayLike, y: ArrayLike) -> float:
        """Return the accuracy, in [0, 1]."""
        return float((self.predict(X) == np.asarray(y)).mean())

    def _check_options(self) -> None:
        if self.optimizer not in get_args(Optimizer):
            raise UnknownNameError("optimizer", str(self.optimizer), get_args(Optimizer))
        if not (np.isfinite(self.l2) and self.l2 >= 0):
            raise ParameterError(f"l2 must be a number from 0, not {self.l2}")
        if not 0 <= self.threshold <= 1:
            raise ParameterError(f"threshold must be in [0, 1], not {self.threshold}")
        if self.patience < 0:
            raise ParameterError(f"patience must be at least 0, not {self.patience}")


class _Watch:
    """Keeps the history and the best weights by validation; stops when nothing gets better.

    Accuracy may rise for long after the loss has begun to, as the weights grow.
    """

    def __init__(
        self, model: LogisticClassifier, objective: Objective, X_val: ArrayLike | None,
        y_val: ArrayLike | None, progress: Progress | None,
    ) -> None:  # fmt: skip
        self.model, self.objective, self.progress = model, objective, progress
        self.history: list[dict[str, Any]] = []
        self.best: NDArray[np.float64] | None = None
        self._lowest, self._highest, self._better_at = np.inf, (-np.inf, -np.inf), 0
        self._val: tuple[NDArray[Any], NDArray[np.int64]] | None = None
        if X_val is not None and y_val is not None and len(np.asarray(y_val)):
            held = features.rows(X_val, objective.X.shape[1])
            known = np.isin(y_val, model.classes_)  # no weights could be right about the others
            places = np.searchsorted(model.classes_, np.asarray(y_val)[known])
            if known.any():
                self._val = held[known].astype(objective.X.dtype, copy=False), places

    def __call__(self, iteration: int, point: Point) -> bool:
        line = {"iteration": iteration, "loss": point.f, "gradient": float(np.abs(point.g).max())}
        done = False
        if self._val is not None:
            held, places = self._val
            z = logits(held, *self.objective.weights(point.x))
            decided = z[:, 0] >= 0 if z.shape[1] == 1 else z.argmax(1)
            line["val_loss"] = float(log_losses(z, places).mean())
            line["val_accuracy"] = float((decided == places).mean())
            if self.model.patience:
                figures = (line["val_accuracy"], -line["val_loss"])
                if line["val_loss"] < self._lowest or figures > self._highest:
                    self._better_at = iteration
                self._lowest = min(self._lowest, line["val_loss"])
                if figures > self._highest:
                    self._highest, self.best = figures, point.x
                done = iteration - self._better_at >= self.model.patience
        self.history.append(line)
        if self.progress:
            self.progress(iteration, self.model.max_iter)
        return done


def _class_weights(
    text: str, places: NDArray[np.int64], classes: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the weight of each class, shape (C,)."""
    if text == "uniform":
        return np.ones(len(classes))
    if text == "balanced":
        return len(places) / (len(classes) * np.bincount(places))
    try:
        weights = np.array([float(part) for part in text.split(",")])
    except ValueError:
        raise ParameterError(
            f"class_weight must be uniform, balanced or numbers such as 1,5,1, not {text!r}"
        ) from None
    if len(weights) != len(classes):
        raise DataError(
            f"class_weight has {len(weights)} numbers, but there are {len(classes)} classes"
        )
    if not (np.isfinite(weights).all() and (weights > 0).all()):
        raise ParameterError(f"class_weight must have numbers above 0, not {text}")
    return weights
