from __future__ import annotations

import pytest
import torch
from torch import nn

from sightline.errors import ParameterError
from sightline.models import registry
from sightline.models.features import FeatureExtractor
from sightline.models.head import fresh_layers, head_of

SMALL = {"num_classes": 5, "small": True}


def built(name, **options):
    card = registry.card(name)
    return card.load()(**card.arguments, **options).eval()


@pytest.mark.parametrize(
    ("name", "options", "side", "head", "width"),
    [
        ("mlp", {"num_classes": 5, "in_channels": 3, "side": (32, 32)}, 32, "fc", 512),
        ("convnet", {"in_channels": 3, "side": (32, 32)}, 32, "classifier.5", 84),
        ("resnet9", {}, 32, "fc", 256),
        ("alexnet", SMALL, 32, "classifier", 256),
        ("alexnet", {"num_classes": 5}, 64, "classifier.6", 4096),
        ("vgg16_bn", SMALL, 32, "classifier", 512),
        ("googlenet", SMALL, 32, "fc", 1024),
        ("resnet18", SMALL, 32, "fc", 512),
        ("resnet50", {"num_classes": 5}, 64, "fc", 2048),
        ("torchvision:densenet121", {}, 64, "classifier", 1024),
        ("torchvision:vit_b_32", {}, 224, "heads.head", 768),
        ("torchvision:convnext_tiny", {}, 64, "classifier.2", 768),
    ],
)
def test_the_last_layer_gives_the_logits_from_the_features(name, options, side, head, width):
    model = built(name, **options)
    x = torch.randn(2, 3, side, side)
    with torch.no_grad():
        seen = FeatureExtractor(model).pooled(x)
    last, layer = head_of(model)
    assert (last, seen.shape) == (head, (2, width))
    scale = 1 / 9 if name == "resnet9" else 1
    torch.testing.assert_close(layer(seen) * scale, model(x))
    assert not layer._forward_pre_hooks


def test_convolution_as_last_layer_gives_means():
    model = built("torchvision:squeezenet1_1", num_classes=5)
    assert FeatureExtractor(model)(torch.randn(2, 3, 64, 64)).shape == (2, 512)


def test_networks_without_a_last_layer_are_refused():
    with pytest.raises(ParameterError, match="ReLU does not say which layer is its head"):
        FeatureExtractor(nn.ReLU())


def test_new_layers_are_the_largest_all_of_whose_weights_are_new():
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)))
    inner = [f"1.{i}.{kind}" for i in (0, 1) for kind in ("weight", "bias")]
    assert fresh_layers(model, ["0.bias", *inner]) == ["1", "0.bias"]
    assert fresh_layers(model, inner[:3]) == ["1.0", "1.1.weight"]
    assert fresh_layers(model, []) == []
