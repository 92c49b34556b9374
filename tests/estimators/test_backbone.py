"""k-NN and linear models on what a trained network sees."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import sightline
from sightline.data import store
from sightline.errors import ParameterError, WeightsError
from sightline.estimators.backbone import Backbone
from sightline.explain.neighbours import NoNeighboursError, explain
from sightline.models.features import FeatureExtractor
from sightline.models.head import head_of


@pytest.fixture(scope="module")
def digits():
    return sightline.load_data("digits")


@pytest.fixture(scope="module")
def network(digits, tmp_path_factory):
    model = sightline.create_model("convnet", digits, epochs=8, device="cpu")
    model.fit(digits.train, digits.val)
    return model.save(tmp_path_factory.mktemp("run")), model


def test_the_head_makes_the_networks_answer_of_them(digits, network):
    _, model = network
    X = digits.test.arrays().X[:20]
    _, head = head_of(model.method_.model)
    extractor = FeatureExtractor(model.method_.model)
    with torch.no_grad():
        seen = extractor.pooled(model.method_.standardised(X, torch.device("cpu")))
    logits = head(seen)
    probabilities = torch.softmax(logits / float(model.method_.temperature_), 1).detach().numpy()
    np.testing.assert_allclose(probabilities, model.method_.predict_proba(X), atol=1e-5)


@pytest.mark.parametrize("name", ["knn", "logistic"])
def test_a_classic_method_on_features(digits, network, tmp_path, name):
    folder, _ = network
    model = sightline.create_model(name, digits, features=str(folder))
    model.fit(digits.train, digits.val)
    found = model.evaluate(digits.test)
    assert found.metrics.headline > 0.95
    again = sightline.load_model(model.save(tmp_path / "run"))
    assert (again.evaluate(digits.test).probabilities == found.probabilities).all()
    images = [digits.test[i].image for i in range(3)]
    assert [a.label for a in again.predict(images)] == found.predicted[:3].tolist()
    if name == "knn":
        with pytest.raises(NoNeighboursError, match="fitted on features"):
            explain(again, images[0])


def test_features_are_kept_and_follow_the_weights(digits, network, monkeypatch):
    folder, _ = network
    X = digits.train.arrays().X
    backbone = Backbone.named(str(folder))
    first = backbone(X)
    np.testing.assert_allclose(np.linalg.norm(first, axis=1), np.sqrt(first.shape[1]), rtol=1e-5)
    assert len(list((store.home() / "features").glob("*.safetensors"))) == 1
    monkeypatch.setattr(backbone, "_computed", None)  # now only the cache can answer
    assert (backbone(X) == first).all()
    other = Backbone.named(str(folder))
    with torch.no_grad():
        next(other.network.model.parameters()).add_(0.1)
    assert (other(X) != first).any()


def test_what_has_no_features_is_said(digits, network, tmp_path, monkeypatch):
    plain = sightline.create_model("majority", digits).fit(digits.train).save(tmp_path / "m")
    for spec, said in (
        (str(plain), "no network's run"), ("nowhere", "no such run"),
        ("imagenet:knn", "no network"),
        ("imagenet:convnet", "no published weights"),
    ):  # fmt: skip
        with pytest.raises(ParameterError, match=said):
            sightline.create_model("knn", digits, features=spec).fit(digits.train)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(
        "torch.hub.download_url_to_file", lambda *a, **k: (_ for _ in ()).throw(OSError("offline"))
    )
    with pytest.raises(WeightsError, match="resnet18-"):
        sightline.create_model("knn", digits, features="imagenet:resnet18").fit(digits.train)
