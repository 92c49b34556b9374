"""The methods on arrays among scikit-learn's own tools: clone, Pipeline, search and validation."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import clone, is_classifier
from sklearn.datasets import load_digits
from sklearn.ensemble import BaggingClassifier
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sightline.errors import DataError, UnknownNameError
from sightline.models import registry

FAST = {
    "mlp-numpy": {"hidden": (32,), "epochs": 15, "batch_size": 16, "flip": "off"},
    "convnet-numpy": {"channels": (8,), "hidden": 16, "epochs": 6, "batch_size": 16, "flip": "off"},
    "logistic": {"max_iter": 30},
}
GRIDS = {"knn": {"k": [1, 3]}, "linear": {"ridge": [0.1, 1e6]}, "logistic": {"l2": [1e-4, 1.0]},
         "mlp-numpy": {"hidden": [(2,), (16,)]}, "convnet-numpy": {"hidden": [2, 8]}}  # fmt: skip
NAMES = [card.name for card in registry.CARDS.values() if card.kind != "module"
         and card.task == "classify"]  # fmt: skip
LEAST = {"majority": 0.05, "convnet-numpy": 0.2}


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:400] / 16, y[:400]


def made(name, **options):
    return registry.card(name).load()(**(FAST.get(name, {}) | options))


def piped(name):
    steps = [("scale", StandardScaler())]
    if name == "convnet-numpy":
        steps.append(("image", FunctionTransformer(lambda X: X.reshape(-1, 8, 8, 1))))
    return Pipeline([*steps, ("method", made(name))])


def test_every_method_on_arrays_is_here():
    assert set(NAMES) >= {"majority", "nearest-mean", "linear", "logistic", "knn", "mlp-numpy"}


@pytest.mark.parametrize("name", NAMES)
def test_clone(name):
    method = made(name)
    twin = clone(method)
    assert type(twin) is type(method)
    assert twin is not method
    assert twin.get_params() == method.get_params()
    for knob, values in GRIDS.get(name, {}).items():
        changed = clone(method).set_params(**{knob: values[0]})
        assert changed.get_params()[knob] == values[0]
        assert getattr(clone(changed), knob) == values[0]
    assert is_classifier(method)


@pytest.mark.parametrize("name", NAMES)
def test_pipeline_and_cross_validation(name, digits):
    X, y = digits
    pipeline = piped(name)
    assert pipeline.fit(X, y).predict(X).shape == (400,)
    proba = pipeline.predict_proba(X)
    assert proba.shape == (400, 10)
    np.testing.assert_allclose(proba.sum(1), 1, atol=1e-5)
    scores = cross_val_score(pipeline, X, y, cv=3)
    assert scores.mean() > LEAST.get(name, 0.6)
    if name in ("knn", "nearest-mean"):
        for scoring in ("neg_log_loss", "f1_macro", "roc_auc_ovr"):
            assert np.isfinite(cross_val_score(pipeline, X, y, cv=3, scoring=scoring)).all()
        said = cross_val_predict(pipeline, X, y, cv=3)
        assert (said == y).mean() == pytest.approx(scores.mean(), abs=0.02)


@pytest.mark.parametrize("name", [name for name in NAMES if name in GRIDS])
def test_grid_search(name, digits):
    X, y = digits
    (knob, values), = GRIDS[name].items()  # fmt: skip
    search = GridSearchCV(piped(name), {f"method__{knob}": values}, cv=2)
    search.fit(X, y)
    assert search.best_params_[f"method__{knob}"] in values
    assert search.predict(X).shape == (400,)
    by_hand = [
        cross_val_score(piped(name).set_params(**{f"method__{knob}": value}), X, y, cv=2).mean()
        for value in values
    ]
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], by_hand, atol=0.03)


@pytest.mark.parametrize("name", NAMES)
def test_a_fitted_pipeline_goes_to_other_processes(name, digits):
    X, y = digits
    if name == "convnet-numpy":
        X = X.reshape(-1, 8, 8, 1)
    method = made(name).fit(X, y)
    again = pickle.loads(pickle.dumps(method))
    assert np.array_equal(again.predict_proba(X), method.predict_proba(X))


def test_in_an_ensemble(digits):
    X, y = digits
    bagged = BaggingClassifier(made("nearest-mean"), n_estimators=3, random_state=0).fit(X, y)
    assert bagged.score(X, y) > 0.8


def test_an_unknown_parameter_is_named():
    with pytest.raises(UnknownNameError, match="unknown parameter of KNNClassifier 'kk'"):
        made("knn").set_params(kk=3)


@pytest.mark.parametrize("name", NAMES)
def test_texts(name):
    text = repr(made(name))
    assert text.startswith(registry.card(name).load().__name__)
    assert "\n" not in text


def test_scikit_learn_is_not_loaded_by_ours():
    code = (
        "import sys, sightline.models.classic.baselines as b; b.MajorityClassifier().get_params(); "
        "sys.exit('sklearn' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_pipelines_are_made_of_the_instances(digits):
    X, y = digits
    knn = made("knn", k=1)
    assert make_pipeline(knn).fit(X, y).score(X, y) == 1.0
    assert knn.classes_.tolist() == list(range(10))


@pytest.mark.parametrize("name", NAMES)
def test_labels_that_are_names_are_refused_in_one_line(name, digits):
    X, y = digits
    names = np.array([f"数{i}" for i in range(10)])[y]
    with pytest.raises(DataError, match=r"labels must be (integers|whole class ids)") as caught:
        piped(name).fit(X, names)
    assert "\n" not in str(caught.value)


def test_sizes_may_be_lists():
    method = made("mlp-numpy", hidden=[4, 3])
    assert clone(method).hidden == [4, 3]
