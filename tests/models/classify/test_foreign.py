from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from torchvision import models

from sightline.errors import MissingExtraError, UnknownNameError
from sightline.estimators import estimator_for
from sightline.models import registry


@pytest.mark.parametrize(
    "name", ["mobilenet_v3_small", "inception_v3", "squeezenet1_0", "vit_b_16", "densenet121"]
)
def test_torchvisions_models_take_classes_and_grey(name):
    card = registry.card(f"torchvision:{name}")
    with torch.device("meta"):
        model = card.load()(num_classes=7, in_channels=1, **card.arguments).eval()
    side = 299 if name == "inception_v3" else 224
    assert model(torch.zeros(2, 1, side, side, device="meta")).shape == (2, 7)


def test_every_classifier_of_torchvision_has_a_card():
    for name in models.list_models(module=models):
        assert registry.card(f"torchvision:{name}").arguments == {"name": name}


def test_a_foreign_network_is_trained_like_any():
    X = np.random.default_rng(0).integers(0, 256, (16, 32, 32, 1), np.uint8)
    y = np.arange(16) % 2
    options = {"epochs": 1, "batch_size": 8, "device": "cpu", "shift": 0}
    method = estimator_for("torchvision:squeezenet1_1").build("torchvision:squeezenet1_1", options)
    fitted = method.fit(X, y)
    assert fitted.predict_proba(X).shape == (16, 2)
    again = estimator_for("torchvision:squeezenet1_1").build("torchvision:squeezenet1_1", options)
    again.restore(fitted.arrays())
    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'resnet34'"):
        registry.card("torchvision:resnet33")
    with pytest.raises(UnknownNameError, match="names, see torchvision's list_models"):
        registry.card("torchvision:zzzzzzz")
    with pytest.raises(UnknownNameError, match="unknown model"):
        registry.card("keras:resnet50")


def test_timm_is_an_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'sightline\[timm\]'"):
        registry.card("timm:some_model")


def test_timms_models():
    pytest.importorskip("timm")
    card = registry.card("timm:resnet10t")
    model = card.load()(num_classes=3, in_channels=1, **card.arguments).eval()
    assert model(torch.zeros(2, 1, 64, 64)).shape == (2, 3)
    with pytest.raises(UnknownNameError, match="did you mean 'resnet10t'"):
        registry.card("timm:resnet10tt")
