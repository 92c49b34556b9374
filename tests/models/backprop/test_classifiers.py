from __future__ import annotations

import inspect
import itertools

import numpy as np
import pytest
from sklearn.datasets import load_digits

from sightline.errors import DataError, NotFittedError, ParameterError, TrainingError
from sightline.models.backprop.convnet import ConvNetClassifier
from sightline.models.backprop.mlp import MLPClassifier

BOTH = [
    (MLPClassifier, {"hidden": (64,), "epochs": 8, "learning_rate": 0.003}),
    (ConvNetClassifier, {"channels": (8, 16), "hidden": 32, "epochs": 4, "learning_rate": 0.01}),
]


@pytest.fixture(scope="module")
def digits():
    bunch = load_digits()
    X = (bunch.images[..., None] / 8 - 1).astype(np.float32)
    order = np.random.default_rng(0).permutation(len(X))
    X, y = X[order], bunch.target[order].astype(np.int64) + 3  # ids need not start at 0
    return X[:1200], y[:1200], X[1200:], y[1200:]


@pytest.mark.parametrize(("kind", "knobs"), BOTH)
def test_learns_digits_and_keeps_a_history(kind, knobs, digits):
    X, y, X_val, y_val = digits
    seen = []
    model = kind(**knobs).fit(X, y, X_val=X_val, y_val=y_val, progress=lambda *a: seen.append(a))
    assert model.score(X_val, y_val) > 0.95
    assert set(model.predict(X_val)) <= set(range(3, 13))
    np.testing.assert_allclose(model.predict_proba(X_val).sum(1), 1, rtol=1e-5)
    assert [row["epoch"] for row in model.history_] == list(range(1, knobs["epochs"] + 1))
    row = model.history_[-1]
    best = max(row["val_accuracy"] for row in model.history_)
    assert model.score(X_val, y_val) == pytest.approx(best)
    assert row["train_loss"] < model.history_[0]["train_loss"]
    assert seen[-1] == (len(X) * knobs["epochs"],) * 2
    assert all(a < b for (a, _), (b, _) in itertools.pairwise(seen))


@pytest.mark.parametrize(("kind", "knobs"), BOTH)
def test_arrays_alone_restore_it(kind, knobs, digits):
    X, y, X_val, _ = digits
    model = kind(**knobs).fit(X, y)
    learned = model.arrays()
    assert all(isinstance(v, np.ndarray) and v.dtype.kind in "fi" for v in learned.values())
    again = kind(**{k: list(v) if isinstance(v, tuple) else v for k, v in knobs.items()})
    again.restore(learned)
    assert np.array_equal(again.predict_proba(X_val), model.predict_proba(X_val))


@pytest.mark.parametrize(("kind", "knobs"), BOTH)
def test_same_seed_same_bits(kind, knobs, digits):
    X, y, X_val, _ = digits
    first, second, other = (
        kind(**knobs | {"epochs": 1}, seed=s).fit(X, y).predict_proba(X_val) for s in (5, 5, 6)
    )
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_numeric_differentiation_takes_the_same_steps(digits):
    X, y, _, _ = digits
    X, y = X[:60, ::2, ::2], y[:60]
    knobs = {
        "hidden": (4,), "activation": "tanh", "epochs": 2, "batch_size": 30, "dropout": 0.2,
        "l1": 1e-3, "precision": "float64",
    }  # fmt: skip
    models = [MLPClassifier(**knobs, gradient=g).fit(X, y) for g in ("numeric", "backprop")]
    a, b = (m.network().theta for m in models)
    assert abs(a - b).max() < 1e-5
    assert abs(a - MLPClassifier(**knobs).build((4, 4, 1), 10).theta).max() > 1e-3


def test_endless_numeric_differentiation_is_refused(digits):
    X, y, _, _ = digits
    with pytest.raises(ParameterError, match=r"numeric differentiation of .* parameters .* hours"):
        ConvNetClassifier(gradient="numeric", epochs=100_000).fit(X, y)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda X, y: (_with(X, 7, np.nan), y), "training image 7 holds NaN"),
        (lambda X, y: (_with(X, 3, np.inf), y), "training image 3 holds NaN or infinite"),
        (lambda X, y: (_with(_with(X, 3, np.inf), 3, -np.inf, 1), y), "image 3"),
        (lambda X, y: (X, np.full_like(y, 4)), "all labels are 4"),
        (lambda X, y: (X, y + 0.5), "whole class ids, not float64"),
        (lambda X, y: (X, y.astype(str)), "whole class ids"),
        (lambda X, y: (X, y[:-1]), r"1200 images, but labels of shape \(1199,\)"),
        (lambda X, y: (X[:0], y[:0]), "empty"),
        (lambda X, y: (X.astype(object), y), "numbers"),
    ],
)
@pytest.mark.parametrize("kind", [MLPClassifier, ConvNetClassifier])
def test_bad_training_data(kind, spoil, words, digits):
    X, y, _, _ = digits
    with pytest.raises(DataError, match=words):
        kind(epochs=1).fit(*spoil(X, y))


def _with(X, row, value, place=0):
    X = X.copy()
    X[row].flat[place] = value
    return X


def test_other_shapes_are_refused(digits):
    X, y, X_val, y_val = digits
    model = MLPClassifier(hidden=(8,), epochs=1).fit(X, y)
    with pytest.raises(DataError, match=r"fitted on images of shape \(8, 8, 1\)"):
        model.predict(X_val[:, :7])
    with pytest.raises(DataError, match="validation"):
        model.fit(X, y, X_val=X_val[:, :7], y_val=y_val)
    with pytest.raises(DataError, match="needs images"):
        ConvNetClassifier(epochs=1).fit(X.reshape(len(X), -1), y)


@pytest.mark.parametrize("kind", [MLPClassifier, ConvNetClassifier])
def test_every_knob_is_kept_under_its_name(kind):
    model = kind()
    for name, parameter in inspect.signature(kind).parameters.items():
        assert getattr(model, name) == parameter.default


def test_prediction_before_fit():
    with pytest.raises(NotFittedError):
        MLPClassifier().predict(np.zeros((1, 8, 8, 1)))


@pytest.mark.parametrize(
    "knobs",
    [
        {"hidden": (0,)}, {"dropout": 1.0}, {"activation": "step"}, {"optimizer": "newton"},
        {"epochs": 0}, {"batch_size": -1}, {"gradient": "guess"}, {"precision": "int8"},
        {"learning_rate": -1.0}, {"flip": "maybe"}, {"schedule": "zigzag"}, {"loss": "hinge"},
        {"initializer": "zero"}, {"l1": -1.0}, {"l2": float("nan")}, {"patience": -1},
    ],
    ids=str,
)  # fmt: skip
def test_bad_knobs(knobs):
    with pytest.raises(ParameterError):
        MLPClassifier(**knobs)


def test_divergence_in_the_first_epoch_names_epoch_and_layer(digits):
    X, y, _, _ = digits
    with pytest.raises(
        TrainingError, match=r"diverged in epoch 1: layer \d+ \(\w+\) is not finite"
    ):
        MLPClassifier(optimizer="sgd", learning_rate=1e30, epochs=3).fit(X, y)


def test_later_divergence_stops_at_the_last_finite_weights(digits, monkeypatch):
    X, y, X_val, y_val = digits
    from sightline.models.backprop.training import Plan

    kind = lambda: MLPClassifier(optimizer="sgd", schedule="constant", dropout=0, epochs=5)  # noqa: E731
    monkeypatch.setattr(Plan, "rate", lambda self, done: 1.0 if done < 0.4 else 1e30)
    model = kind().fit(X, y, X_val=X_val, y_val=y_val)
    assert len(model.history_) == 2
    assert "diverged in epoch 3" in model.remarks[0]
    assert "the epoch is lost" in model.remarks[0]
    best = max(row["val_accuracy"] for row in model.history_)
    assert model.score(X_val, y_val) == best > 0.5


def test_early_stopping_keeps_the_best_weights(digits):
    X, y, X_val, y_val = digits
    knobs = {"hidden": (64,), "dropout": 0, "schedule": "constant", "learning_rate": 0.02}
    model = MLPClassifier(**knobs, epochs=60, patience=3)
    model.fit(X[:100], y[:100], X_val=X_val, y_val=y_val)
    losses = [row["val_loss"] for row in model.history_]
    best = int(np.argmin(losses))
    assert len(losses) == best + 4 < 60
    assert any("stopped early" in remark for remark in model.remarks)
    assert model.score(X_val, y_val) == model.history_[best]["val_accuracy"]
    with pytest.raises(ParameterError, match="patience"):
        model.fit(X, y)


def test_overfitting_is_said_in_words(digits):
    X, y, X_val, y_val = digits
    model = MLPClassifier(hidden=(128,), dropout=0, epochs=40, learning_rate=0.01)
    model.fit(X[:60], y[:60], X_val=X_val, y_val=y_val)
    assert model.remarks[0].startswith("overfitting from epoch ")


@pytest.mark.parametrize("knob", [{"l1": 3e-3}, {"l2": 3e-2}, {"l2": 2.0, "optimizer": "adamw"}])
def test_penalties_shrink_the_weights(knob, digits):
    X, y, _, _ = digits
    plain, shrunk = (
        MLPClassifier(hidden=(32,), dropout=0, epochs=5, **k).fit(X, y).network()
        for k in ({"optimizer": knob.get("optimizer", "adam")}, knob)
    )
    norms = [np.linalg.norm(n.theta[: n.weights]) for n in (plain, shrunk)]
    assert norms[1] < 0.95 * norms[0]


def test_bytes_are_scaled(digits):
    X, y, _, _ = digits
    as_bytes = ((X + 1) * 120).astype(np.uint8)
    scaled = as_bytes.astype(np.float32) / np.float32(255)
    knobs = {"hidden": (16,), "epochs": 2}
    a, b = (MLPClassifier(**knobs).fit(x, y).predict_proba(x) for x in (as_bytes, scaled))
    assert np.array_equal(a, b)


@pytest.mark.parametrize(
    "knobs",
    [
        {"loss": "squared", "learning_rate": 0.01}, {"batch_norm": True}, {"activation": "sigmoid"},
        {"activation": "elu"}, {"activation": "leaky-relu"}, {"initializer": "xavier"},
        *({"optimizer": o} for o in ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adamw")),
        {"schedule": "step"}, {"precision": "float64"},
    ],
    ids=str,
)  # fmt: skip
def test_every_knob_learns(knobs, digits):
    X, y, X_val, y_val = digits
    model = MLPClassifier(hidden=(64,), epochs=10, **knobs).fit(X, y)
    assert model.score(X_val, y_val) > 0.87


def test_mirroring_helps_where_only_one_side_was_seen():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 6, 6, 3)).astype(np.float32) * 0.3
    y = np.arange(400) % 2
    X[y == 1, :, :2] += 1.5  # class 1 is bright at the left
    scores = [
        MLPClassifier(hidden=(16,), epochs=10, flip=flip).fit(X, y).score(X[:, :, ::-1], y)
        for flip in ("auto", "off")
    ]
    assert scores[0] > 0.95 > scores[1]


def test_validation_of_an_unseen_class_is_left_out(digits):
    X, y, X_val, y_val = digits
    known = y != 5
    model = MLPClassifier(hidden=(16,), epochs=1)
    model.fit(X[known], y[known], X_val=X_val, y_val=y_val)
    expected = model.score(X_val[y_val != 5], y_val[y_val != 5])
    assert model.history_[0]["val_accuracy"] == pytest.approx(expected)


def test_a_budget_lowers_the_epochs_and_leaves_no_other_trace():
    random = np.random.default_rng(0)
    X = random.random((400, 8, 8, 1), np.float32)
    y = random.integers(0, 3, 400)
    model = MLPClassifier(epochs=5000, hidden=(16,)).fit(X, y, budget=0.5)
    epochs = model.decided["epochs"]
    assert 1 <= epochs < 5000
    again = MLPClassifier(epochs=epochs, hidden=(16,)).fit(X, y)
    assert (model.predict_proba(X) == again.predict_proba(X)).all()
    short = MLPClassifier(epochs=2, hidden=(16,)).fit(X, y, budget=600)
    assert short.decided == {"epochs": 2}
