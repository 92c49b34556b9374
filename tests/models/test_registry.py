from __future__ import annotations

import dataclasses
import inspect
import subprocess
import sys

import pytest

import sightline
from sightline.cli import options
from sightline.cli.train import train_model
from sightline.cli.tune import tune_model
from sightline.errors import ParameterError, UnknownNameError
from sightline.estimators import estimator_for
from sightline.models import registry


def test_no_two_methods_have_one_name():
    names = [card.name for module in registry._modules() for card in module.CARDS]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("name", registry.CARDS)
def test_every_card_leads_to_a_method_whose_knobs_it_tunes(name):
    card = registry.card(name)
    knobs = {f.name: f for f in dataclasses.fields(estimator_for(name).knobs(name))}
    assert set(card.grid) <= set(knobs)
    assert card.summary
    assert card.paper
    for knob in options.knobs_of(name):
        assert knob.text, f"{name}.{knob.name} is not documented"
    method = estimator_for(name).build(name, {})
    asked = {
        "classify": ("fit", "predict", "predict_proba", "score"),
        "detect": ("detect",),
        "segment": ("scores",),
        "instances": ("masked",),
        "style": ("drawn",),
        "anomaly": ("distances",),
        "multilabel": ("probabilities",),
        "regress": ("values",),
        "generate": ("draw", "reconstructed"),
    }
    for attribute in asked[card.task]:
        assert callable(getattr(method, attribute))


@pytest.mark.parametrize("verb", [train_model, tune_model])
@pytest.mark.parametrize("name", registry.CARDS)
def test_no_knob_hides_an_option_of_a_verb(name, verb):
    own = inspect.signature(verb).parameters
    assert own.keys().isdisjoint(knob.name for knob in options.knobs_of(name))


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'knn'"):
        registry.card("kn")
    with pytest.raises(UnknownNameError, match="did you mean 'metric'"):
        estimator_for("knn").build("knn", {"metrics": "l1"})
    with pytest.raises((ParameterError, UnknownNameError)):
        estimator_for("majority").build("majority", {"k": 1})


def test_listing_imports_no_torch():
    code = (
        "import sys, sightline; sightline.list_models(); "
        "sys.exit(any(m in sys.modules for m in ('torch', 'numba', 'sklearn', 'matplotlib')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


HEAVY = {"torch", "torchvision", "sklearn", "pandas", "matplotlib", "numba", "rich", "jinja2"}
ALLOWED = {
    "majority": set(), "nearest-mean": set(), "linear": {"scipy"}, "logistic": set(),
    "knn": {"scipy", "numba"}, "mlp-numpy": set(), "convnet-numpy": set(),
}  # fmt: skip
"""What each method may import when it is loaded, fitted on digits, measured and asked."""


@pytest.mark.parametrize("name", ALLOWED)
def test_only_what_a_method_uses_is_imported(name):
    knobs = {"epochs": 1} if name.endswith("numpy") else {}
    code = f"""
import sys, sightline
data = sightline.load_data("digits")
model = sightline.create_model({name!r}, data, **{knobs!r}).fit(data.train[:100], data.val)
model.score(data.val)
model.predict([data.val[0].image])
print(*sorted(({HEAVY | {"scipy"}!r}) & sys.modules.keys()))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert set(done.stdout.split()) <= ALLOWED[name]


def test_models_of_a_task():
    assert sightline.list_models("classify")[:2] == ["majority", "nearest-mean"]
    assert sightline.list_models("detect")[0] == "average-box"
    assert sightline.list_models("generate") == ["autoencoder", "vae", "dcgan", "flow"]
    assert sightline.list_models("localize") == []
