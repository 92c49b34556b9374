"""Training on from published weights: the head first, then the rest, on images of any size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import sightline
from sightline.estimators.classify_network import HEAD_L2, ModuleClassifier
from sightline.models import registry
from sightline.models.classic.logistic import LogisticClassifier
from sightline.models.features import FeatureExtractor


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Pictures of one size, whose classes differ in colour and in the direction of stripes."""
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for label, (axis, colour) in enumerate(((0, 0), (1, 0), (0, 2))):
        (folder / str(label)).mkdir()
        for i in range(14):
            waves = 128 + 100 * np.sin(np.arange(24) / random.uniform(1, 3))
            pixels = random.integers(0, 40, (24, 24, 3)).astype(float)
            pixels[..., colour] += waves[:, None] if axis == 0 else waves[None]
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(
                folder / str(label) / f"{i}.png"
            )
    return sightline.load_data(folder)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_head_is_a_logistic_regression_on_what_the_network_sees(classes):
    random = np.random.default_rng(1)
    X = random.integers(0, 256, (40, 16, 16, 3), np.uint8)
    y = np.arange(40) % classes + 3
    X[y == 3, :8] //= 4
    method = ModuleClassifier(registry.card("resnet18"), {})
    method.side_, method.classes_ = np.array([16, 16]), np.unique(y)
    method.mean_ = method.std_ = np.full(3, 0.5, np.float32)
    torch.manual_seed(0)
    method.model = method.built(3)
    method._fit_head(X, y, torch.device("cpu"))
    x = method.standardised(X, torch.device("cpu"))
    with torch.no_grad():
        seen = FeatureExtractor(method.model).pooled(x).numpy()
        logits = method.model(x)
    scale = float(np.sqrt((seen**2).mean()))
    fitted = LogisticClassifier(l2=HEAD_L2).fit(seen / scale, y)
    expected = fitted.predict_proba(seen / scale)
    np.testing.assert_allclose(torch.softmax(logits, 1).numpy(), expected, atol=2e-3)
    assert (method.classes_[logits.argmax(1)] == fitted.predict(seen / scale)).all()


def test_small_images_are_learned_from_enlarged_and_answered_alike(pictures, tmp_path):
    model = sightline.create_model("finetune", pictures, epochs=1, device="cpu")
    model.fit(pictures.train, pictures.val)
    assert model.fitted_.size == (24, 24)
    assert model.method_.model.enlarge == 96
    assert model.config["published_weights"]["name"].startswith("efficientnet-lite0")
    first = model.method_.model.conv_stem.weight
    published = ModuleClassifier.with_published(registry.card("efficientnet_lite0"))
    assert torch.equal(first.contiguous(), published.model.conv_stem.weight)
    measured = model.evaluate(pictures.test)
    assert measured.metrics.headline > 0.6
    again = sightline.load_model(model.save(tmp_path / "run"))
    assert (again.evaluate(pictures.test).probabilities == measured.probabilities).all()


def test_features_of_small_images_are_had_at_a_size_that_the_network_can_see(pictures, tmp_path):
    model = sightline.create_model("features+logistic", pictures).fit(pictures.train)
    assert model.fitted_.size == (24, 24)
    assert model.fitted_.embed.enlarge == 96
    assert model.score(pictures.test).headline > 0.6
    again = sightline.load_model(model.save(tmp_path / "run"))
    assert again.fitted_.embed.plain() == model.fitted_.embed.plain()
    X = pictures.test.arrays().X
    assert (again.fitted_(X) == model.fitted_(X)).all()
    asked = sightline.create_model("features+logistic", pictures, size=64, views="flip")
    asked.fit(pictures.train)
    assert (asked.fitted_.size, asked.fitted_.embed.enlarge) == ((64, 64), 0)
