"""k-NN and linear models on what a trained network sees."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import sightline
from sightline.data import store
from sightline.errors import ParameterError, SightlineError, WeightsError
from sightline.estimators.backbone import WORTH, Backbone, parted
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


def test_patches_keep_their_places_and_their_mean_is_the_row(digits, network):
    folder, _ = network
    pictures = [digits.test[i].image for i in range(3)]
    net = sightline.load_backbone(f"{folder}@features.0")
    X = net.prepared(pictures)
    assert X.shape == (3, 8, 8, 1)
    patches, rows = net.patches(X), net(X)
    assert patches.shape[0] == 3
    assert patches.ndim == 4
    mean = patches.mean((1, 2))
    length = np.linalg.norm(mean, axis=1, keepdims=True)
    np.testing.assert_allclose(rows, mean / length * np.sqrt(mean.shape[1]), rtol=1e-4)


def test_a_name_of_features_parts_into_its_source_and_its_layers(tmp_path):
    assert parted("imagenet:a@x.1+y") == ("imagenet:a", ("x.1", "y"))
    assert parted("imagenet:a") == ("imagenet:a", ())
    (tmp_path / "run@home").mkdir()
    assert parted(str(tmp_path / "run@home")) == (str(tmp_path / "run@home"), ())
    assert parted(f"{tmp_path}/run@home@x") == (f"{tmp_path}/run@home", ("x",))


@pytest.mark.parametrize(
    ("features", "views", "said"),
    [
        (3, "one", "name of a network"), ("imagenet:efficientnet_lite0", "many", "views"),
        ("imagenet:efficientnet_lite0@block.5", "one", "blocks.5"),
        ("imagenet:efficientnet_lite0@", "one", "layer"),
    ],
)  # fmt: skip
def test_wrong_names_of_features_are_said(features, views, said):
    with pytest.raises(SightlineError, match=said):
        sightline.load_backbone(features, views)


def test_many_images_are_computed_by_onnx_runtime_as_by_torch(network, digits):
    folder, _ = network
    net = Backbone.named(str(folder), "flip")
    X = digits.train.arrays().X[: WORTH + 3]
    fast = net._session(X)
    assert fast is not None
    np.testing.assert_allclose(fast(X[:40]), net._eager(X[:40]), atol=1e-4)
    assert len(list((store.home() / "graphs").glob("*.onnx"))) == 1
    assert net._session(X[: WORTH - 1]) is None


def test_without_onnx_torch_computes(network, digits, monkeypatch):
    folder, _ = network
    monkeypatch.setattr("sightline.models.onnx_graph.can_write", lambda: False)
    net = Backbone.named(str(folder))
    X = digits.train.arrays().X[:WORTH]
    assert net._session(X) is None
    assert net._computed(X).shape == (WORTH, 84)


def test_one_photograph_of_a_class_is_enough_for_features(tmp_path):
    random = np.random.default_rng(0)
    for name, count in (("many", 6), ("one", 1)):
        (tmp_path / "train" / name).mkdir(parents=True)
        for i in range(count):
            pixels = random.integers(0, 256, (40, 50, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "train" / name / f"{i}.png")
    data = sightline.load_data(tmp_path)
    for method in ("features+knn", "features+logistic"):
        model = sightline.create_model(method, data).fit(data.train)
        assert model.classes_ == ("many", "one")
        assert len(model.predict_proba(data.train)[0]) == 2
