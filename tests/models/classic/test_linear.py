"""Least squares against scikit-learn, answers known by hand, and data that break the inverse."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LinearRegression as Reference
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

from sightline.errors import DataError, NotFittedError, ParameterError
from sightline.models.classic.linear import (
    LinearClassifier,
    LinearRegression,
    fit_line,
    mean_squared_error,
    onto_simplex,
    r_squared,
    sweep,
)


def conditioned(n, d, condition, seed=0):
    """Data whose centred design matrix has just this condition number."""
    rng = np.random.default_rng(seed)
    Q, _ = np.linalg.qr(rng.normal(size=(n, d)) - rng.normal(size=(n, d)).mean(0))
    Q, _ = np.linalg.qr(Q - Q.mean(0))
    V, _ = np.linalg.qr(rng.normal(size=(d, d)))
    X = Q * np.geomspace(1, 1 / condition, d) @ V.T * 10
    return X, X @ rng.normal(size=d) + 0.1 * rng.normal(size=n)


def test_the_textbooks_line():
    slope, intercept = fit_line([1, 2, 4, 6, 8], [2, 5, 7, 8, 9])
    assert slope == pytest.approx(0.9085366, abs=5e-8)
    assert intercept == pytest.approx(2.3841463, abs=5e-8)
    plane = LinearRegression().fit([[1], [2], [4], [6], [8]], [2, 5, 7, 8, 9])
    assert plane.coef_[0] == pytest.approx(slope, rel=1e-13)
    assert plane.intercept_ == pytest.approx(intercept, rel=1e-13)


@pytest.mark.parametrize("ridge", [0.0, 0.5, 30.0])
@pytest.mark.parametrize("shape", [(40, 3), (5000, 60), (300, 299)])
@pytest.mark.parametrize("targets", [1, 4])
def test_equal_to_scikit_learn_where_well_conditioned(ridge, shape, targets):
    rng = np.random.default_rng(3)
    X = rng.normal(size=shape) + rng.normal(size=shape[1]) * 5
    if shape == (300, 299):
        X[:299] += 40 * np.eye(299)
    y = X @ rng.normal(size=(shape[1], targets)) + rng.normal(size=(shape[0], targets)) + 7
    y = y[:, 0] if targets == 1 else y
    reference = (Ridge(ridge, solver="svd") if ridge else Reference()).fit(X, y)
    ours = LinearRegression(ridge).fit(X, y)
    scale = np.abs(reference.coef_).max()
    np.testing.assert_allclose(ours.coef_, reference.coef_, rtol=1e-10, atol=1e-10 * scale)
    np.testing.assert_allclose(ours.predict(X), reference.predict(X), rtol=1e-10, atol=1e-10)
    assert ours.score(X, y) == pytest.approx(r2_score(y, reference.predict(X)), rel=1e-10)


def test_where_ill_conditioned_the_residual_is_right_and_the_inverted_normal_equation_fails():
    X, y = conditioned(500, 8, 1e10)
    centred, wanted = X - X.mean(0), y - y.mean()
    # By default scikit-learn (1.7 on) counts singular values below 1e-6 as 0 and fits worse.
    reference = Reference(tol=1e-14).fit(X, y)
    best = np.linalg.norm(y - reference.predict(X))
    ours = LinearRegression().fit(X, y)
    assert ours.rank_ == 8
    found = np.linalg.norm(y - ours.predict(X))
    assert found == pytest.approx(best, rel=1e-8)
    assert found < np.linalg.norm(y - Reference().fit(X, y).predict(X))
    inverted = np.linalg.inv(centred.T @ centred) @ centred.T @ wanted
    assert np.linalg.norm(wanted - centred @ inverted) > 1.01 * best


def test_many_blocks_give_what_one_gives():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, size=(3500, 12)).astype(np.uint8)  # blocks have 1,024 rows
    y = X @ rng.normal(size=12) + rng.normal(size=3500)
    ours = LinearRegression().fit(X, y)
    np.testing.assert_allclose(ours.coef_, Reference().fit(X.astype(float), y).coef_, rtol=1e-10)
    same = LinearRegression().fit(X.astype(np.float32), y)
    assert same.coef_.tolist() == ours.coef_.tolist()


@pytest.mark.parametrize("shape", [(200, 10), (6, 20)])
def test_of_equally_good_weights_the_shortest(shape):
    rng = np.random.default_rng(1)
    X = rng.normal(size=shape)
    X[:, 4] = 2 * X[:, 1] - X[:, 2]
    y = rng.normal(size=shape[0])
    ours = LinearRegression().fit(X, y)
    centred = X - X.mean(0)
    shortest = np.linalg.pinv(centred) @ (y - y.mean())
    np.testing.assert_allclose(ours.coef_, shortest, atol=1e-12)
    assert ours.rank_ == np.linalg.matrix_rank(centred) == min(9, shape[0] - 1)


@pytest.mark.parametrize("shape", [(200, 10), (6, 20)])
def test_ridge_on_dependent_columns(shape):
    rng = np.random.default_rng(1)
    X = rng.normal(size=shape)
    X[:, 4] = X[:, 1]
    y = rng.normal(size=shape[0])
    reference = Ridge(0.1, solver="svd").fit(X, y)
    np.testing.assert_allclose(LinearRegression(0.1).fit(X, y).coef_, reference.coef_, atol=1e-12)


@pytest.mark.parametrize("ridge", [0.0, 1.0])
def test_a_constant_column_gets_weight_zero_to_the_last_bit(ridge):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(50, 3))
    X[:, 1] = 0.1  # its mean, computed, is not 0.1
    y = rng.normal(size=50)
    assert LinearRegression(ridge).fit(X, y).coef_[1] == 0


def test_figures_at_their_edges():
    assert mean_squared_error([1, 2], [1, 4]) == 2
    assert r_squared([1, 2, 3], [2, 2, 2]) == 0
    assert r_squared([1, 2, 3], [3, 2, 1]) == -3
    X = np.array([[1.0], [2.0], [4.0]])
    flat = LinearRegression().fit(X, [0.1, 0.1, 0.1])
    assert flat.coef_.tolist() == [0]
    assert flat.score(X, [0.1, 0.1, 0.1]) == 1  # met exactly
    assert flat.score(X, [0.2, 0.2, 0.2]) == 0
    two = np.array([[1.0, 5], [2, 5], [3, 5]]), np.array([[1.0, 5], [2, 5], [4, 5]])
    assert r_squared(*two) == pytest.approx(r2_score(*two))
    with pytest.raises(DataError, match=r"shape \(2,\), but predicted ones have \(3,\)"):
        r_squared([1, 2], [1, 2, 3])


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([3, 3, 3], [1, 2, 3], r"column 0 \(x\) is 3 in every row"),
        ([1, np.nan, 3], [1, 2, 3], "column 0 is nan in row 1"),
        ([1, 2, 3], [1, np.inf, 3], "row 1 of the targets is inf"),
        ([1, 2, 3], [1, 2], r"3 rows need numeric targets .* \(2,\)"),
        ([[1, 2], [3, 4]], [1, 2], "one feature, not 2"),
    ],
)
def test_no_line_is_said(x, y, message):
    with pytest.raises(DataError, match=message):
        fit_line(x, y)


def test_classifier_is_ridge_on_one_hot_targets():
    X, y = load_digits(return_X_y=True)
    reference = Ridge(2.0, solver="svd").fit(X, np.eye(10)[y])
    ours = LinearClassifier(2.0).fit(X.reshape(-1, 8, 8, 1), y)
    np.testing.assert_allclose(ours.coef_, reference.coef_, atol=1e-12)
    np.testing.assert_allclose(ours.decision_function(X), reference.predict(X), atol=1e-11)
    assert (ours.predict(X) == reference.predict(X).argmax(1)).all()
    assert ours.score(X, y) > 0.93
    labels, p = ours.decide(X)
    assert (labels == ours.classes_[p.argmax(1)]).all()
    np.testing.assert_allclose(p.sum(1), 1)
    assert p.min() >= 0


def test_labels_keep_their_names_and_sweep_is_as_many_fits():
    X, y = load_digits(return_X_y=True)
    y = y * 3 + 5
    settings = [{"ridge": r} for r in (0.0, 1.0, 1e4)]
    answers = sweep(X[:900], y[:900], X[900:], settings)
    for setting, answer in zip(settings, answers, strict=True):
        assert (answer == LinearClassifier(**setting).fit(X[:900], y[:900]).predict(X[900:])).all()
    assert set(np.concatenate(answers)) <= set(y)
    assert not (answers[0] == answers[2]).all()


def test_nearest_probabilities():
    scores = np.random.default_rng(0).normal(size=(200, 5))
    p = onto_simplex(scores)
    rival = np.random.default_rng(1).dirichlet(np.ones(5), size=2000)
    own = ((scores - p) ** 2).sum(1)
    assert (own <= ((scores[:, None] - rival) ** 2).sum(2).min(1)).all()
    assert (p.argmax(1) == scores.argmax(1)).all()


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        ([[1.0, 2], [np.nan, 3]], [0, 1], "column 0 is nan in row 1"),
        ([[1.0, 2], [3, -np.inf]], [0, 1], "column 1 is -inf in row 1"),
        ([[1.0, 2], [3, 4]], [1, 1], "every label is 1; telling classes apart needs two"),
        ([[1.0, 2], [3, 4]], [0.5, 1], "labels must be integers, not float64"),
        ([[1.0, 2], [3, 4]], [0, 1, 1], r"2 images need labels of shape \(2,\), not \(3,\)"),
        ([[7.0, 2], [7, 2]], [0, 1], r"all 2 columns are constant \(column 0 is 7.0"),
        (np.zeros((0, 3)), [], "there are no features"),
        ([["a"], ["b"]], [0, 1], "must be a numeric array"),
    ],
)
def test_bad_input_is_said(X, y, message):
    with pytest.raises(DataError, match=message):
        LinearClassifier().fit(np.array(X), np.array(y))


def test_misuse_is_said():
    with pytest.raises(ParameterError, match="ridge must be a number from 0, not -1"):
        LinearClassifier(ridge=-1)
    with pytest.raises(NotFittedError):
        LinearClassifier().predict([[1.0]])
    fitted = LinearClassifier().fit([[1.0, 2], [3, 4]], [0, 1])
    with pytest.raises(DataError, match="fitted on 2 values an image, but asked about 3"):
        fitted.predict([[1.0, 2, 3]])
