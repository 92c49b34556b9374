"""Logistic regression against scikit-learn at the same penalty, and at its edges."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from sightline.errors import (
    DataError,
    NotFittedError,
    ParameterError,
    TrainingError,
    UnknownNameError,
)
from sightline.models.classic.likelihood import Objective, log_losses, sigmoid, softmax
from sightline.models.classic.logistic import LogisticClassifier

X, Y = load_digits(return_X_y=True)


def some(*labels):
    chosen = np.isin(Y, labels)
    return X[chosen], Y[chosen]


def scikit_learn(X, y, l2, weights=None):
    """Its model, and its objective in our units: divided by C times the sum of row weights."""
    row_weights = np.ones(len(y)) if weights is None else weights[np.searchsorted(np.unique(y), y)]
    class_weight = None if weights is None else dict(zip(np.unique(y), weights, strict=True))
    C = 1 / (l2 * row_weights.sum())
    model = LogisticRegression(C=C, tol=1e-9, max_iter=20_000, class_weight=class_weight).fit(X, y)
    p = model.predict_proba(X)[np.arange(len(y)), np.searchsorted(model.classes_, y)]
    loss = -(row_weights * np.log(p)).sum() / row_weights.sum()
    return model, loss + l2 / 2 * (model.coef_**2).sum()


def test_sigmoid_at_both_tails():
    z = np.array([-1e308, -745, -40, -1, 0, 1, 40, 745, 1e308])
    with np.errstate(all="raise", under="ignore"):
        p = sigmoid(z)
    assert p[0] == 0
    assert p[-1] == 1
    assert p[2] == pytest.approx(np.exp(-40), rel=1e-15)  # 1/(1 + e^40) would do, 1 - p would not
    np.testing.assert_allclose(p + sigmoid(-z), 1, rtol=1e-15)
    huge = softmax(np.array([[8e307, 0.0, -8e307]]))
    assert huge.tolist() == [[1, 0, 0]]
    assert log_losses(np.array([[-1e4]]), np.array([1])).tolist() == [1e4]
    assert log_losses(np.array([[0.0, 1e4]]), np.array([0])).tolist() == [1e4]


@pytest.mark.parametrize("labels", [(0, 1), (3, 5, 8), tuple(range(10))], ids=len)
@pytest.mark.parametrize("l2", [1e-1, 1e-3])
def test_objective_and_probabilities_are_scikit_learns(labels, l2):
    X, y = some(*labels)
    reference, theirs = scikit_learn(X, y, l2)
    ours = LogisticClassifier(l2=l2, tol=1e-8, max_iter=5000).fit(X, y)
    assert ours.converged_
    assert ours.objective_ == pytest.approx(theirs, abs=1e-8)
    assert np.abs(ours.predict_proba(X) - reference.predict_proba(X)).max() < 1e-4
    assert ours.coef_.shape == reference.coef_.shape
    np.testing.assert_allclose(ours.coef_, reference.coef_, atol=1e-4)
    assert (ours.predict(X) == reference.predict(X)).all()


@pytest.mark.parametrize("optimizer", ["newton", "cg", "cg-fr", "gd", "momentum", "nesterov"])
@pytest.mark.parametrize("labels", [(0, 1), (3, 5, 8)], ids=len)
def test_every_optimizer_finds_the_same_minimum(optimizer, labels):
    X, y = some(*labels)
    best = LogisticClassifier(l2=0.1, tol=1e-8, max_iter=5000).fit(X, y)
    other = LogisticClassifier(l2=0.1, tol=1e-6, max_iter=20_000, optimizer=optimizer).fit(X, y)
    assert other.objective_ == pytest.approx(float(best.objective_), abs=1e-9)
    assert np.abs(other.predict_proba(X) - best.predict_proba(X)).max() < 1e-4


def test_class_weights_are_scikit_learns():
    X, y = some(1, 7, 8)
    X, y = X[: len(X) - 100], y[: len(y) - 100]
    for text, weights in (
        ("2,0.5,1", np.array([2, 0.5, 1])),
        ("balanced", len(y) / (3 * np.bincount(y)[[1, 7, 8]])),
    ):
        reference, theirs = scikit_learn(X, y, 0.05, weights)
        ours = LogisticClassifier(l2=0.05, tol=1e-8, max_iter=5000, class_weight=text).fit(X, y)
        assert ours.objective_ == pytest.approx(theirs, abs=1e-8)
        assert np.abs(ours.predict_proba(X) - reference.predict_proba(X)).max() < 1e-4


@pytest.mark.parametrize("classes", [2, 4])
def test_derivatives_are_those_of_the_objective(classes):
    rng = np.random.default_rng(0)
    A = rng.normal(size=(30, 3)) * 40 + 100
    objective = Objective(A, rng.integers(0, classes, 30), classes, 0.3, rng.random(30))
    theta = rng.normal(size=objective.size)
    steps = 1e-5 * np.eye(objective.size)
    slope = [(objective.value(theta + h) - objective.value(theta - h)) / 2e-5 for h in steps]
    bend = [(objective.gradient(theta + h) - objective.gradient(theta - h)) / 2e-5 for h in steps]
    np.testing.assert_allclose(objective.gradient(theta), slope, atol=1e-8)
    np.testing.assert_allclose(objective.hessian(theta), bend, atol=1e-8)
    np.testing.assert_allclose(objective.vector(*objective.weights(theta)), theta)


def test_pixels_of_any_range_and_shape():
    images = (X * 15).astype(np.uint8).reshape(-1, 8, 8, 1)
    raw = LogisticClassifier(l2=1e-3 * 255**2).fit(images[:1200], Y[:1200])
    unit = LogisticClassifier(l2=1e-3).fit(images[:1200] / 255, Y[:1200])
    assert raw.score(images[1200:], Y[1200:]) > 0.91
    p, q = raw.predict_proba(images), unit.predict_proba(images / 255)
    assert np.abs(p - q).max() < 0.02  # the same model, but for where the iterations end
    assert (raw.coef_[:, np.ptp(images, axis=0).ravel() == 0] == 0).all()
    single = LogisticClassifier().fit(np.float32(images[:200] / 255), Y[:200])
    assert single.coef_.dtype == np.float64
    assert single.score(images[:200] / 255, Y[:200]) > 0.99


def test_threshold_moves_the_decision_of_two_classes():
    X, y = some(1, 8)
    shy = LogisticClassifier(l2=1.0, threshold=0.9).fit(X, y)
    p = shy.predict_proba(X)[:, 1]
    assert (shy.predict(X) == np.where(p >= 0.9, 8, 1)).all()
    assert ((p > 0.5) & (p < 0.9)).any()


def test_validation_images_stop_it_at_the_best():
    rng = np.random.default_rng(0)
    A, b = rng.normal(size=(60, 40)), rng.integers(0, 3, 60)  # nothing to learn: it overfits
    H, h = rng.normal(size=(200, 40)), rng.integers(0, 3, 200)
    calls = []
    model = LogisticClassifier(l2=1e-6, patience=4)
    model.fit(A, b, X_val=H, y_val=h, progress=lambda i, n: calls.append((i, n)))
    losses = [line["val_loss"] for line in model.history_]
    figures = [(line["val_accuracy"], -line["val_loss"]) for line in model.history_]
    best = max(range(len(figures)), key=figures.__getitem__)
    assert len(losses) == max(int(np.argmin(losses)), best) + 1 + 4
    assert model.score(H, h) == figures[best][0]
    kept = log_losses(model.decision_function(H), h).mean()
    assert kept == pytest.approx(losses[best], rel=1e-12)
    assert calls == [(i + 1, 300) for i in range(len(losses))]
    assert [line["iteration"] for line in model.history_] == [i for i, _ in calls]
    alone = LogisticClassifier(l2=1e-6).fit(A, b)
    assert alone.history_[-1]["loss"] < model.history_[-1]["loss"]
    assert "val_loss" not in alone.history_[0]
    never = LogisticClassifier(l2=1e-6, patience=0).fit(A, b, X_val=H, y_val=h)
    assert len(never.history_) == len(alone.history_)


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        ([[1.0, 2], [3, np.nan]], [0, 1], "column 1 is nan in row 1"),
        ([[1.0, np.inf], [3, 4]], [0, 1], "column 1 is inf in row 0"),
        (np.float32([[1, np.inf], [3, 4]]), [0, 1], "column 1 is inf in row 0"),
        ([[1.0, 2], [3, 4]], [1, 1], "every label is 1"),
        ([[1.0, 2], [3, 4]], [0.0, 1], "labels must be integers"),
        ([[1.0, 2], [3, 4]], [0], "2 images need labels"),
        ([[7.0, 2], [7, 2]], [0, 1], "all 2 columns are constant"),
    ],
)
def test_bad_input_is_said(X, y, message):
    with pytest.raises(DataError, match=message):
        LogisticClassifier().fit(np.array(X), np.array(y))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"optimizer": "adam"}, UnknownNameError, "unknown optimizer 'adam'"),
        ({"l2": -1}, ParameterError, "l2 must be a number from 0"),
        ({"threshold": 2}, ParameterError, r"threshold must be in \[0, 1\]"),
        ({"threshold": 0.7}, ParameterError, "is for two classes, but there are 10 classes"),
        ({"class_weight": "1,2"}, DataError, "has 2 numbers, but there are 10 classes"),
        ({"class_weight": "even"}, ParameterError, "uniform, balanced or numbers"),
        ({"step": 0.1}, ParameterError, "lbfgs has no fixed step"),
        ({"optimizer": "gd", "step": 1e300}, TrainingError, r"gd diverged at iteration \d+"),
    ],
)
def test_misuse_is_said(options, error, message):
    with pytest.raises(error, match=message):
        LogisticClassifier(**options).fit(X, Y)


def test_newton_on_many_pixels_says_what_to_take():
    A = np.random.default_rng(0).normal(size=(20, 500))
    with pytest.raises(ParameterError, match="take optimizer='lbfgs'"):
        LogisticClassifier(optimizer="newton").fit(A, np.arange(20) % 10)


def test_not_fitted_or_another_width():
    with pytest.raises(NotFittedError):
        LogisticClassifier().predict([[1.0]])
    fitted = LogisticClassifier().fit(*some(0, 1))
    with pytest.raises(DataError, match="fitted on 64 values an image, but asked about 3"):
        fitted.predict_proba([[1.0, 2, 3]])
