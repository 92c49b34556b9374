"""Known answers: the papers' and torchvision's counts, receptive fields from the literature."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision import models

from sightline.models import registry
from sightline.models.describe import ALL, describe, on_paper

PHOTO = (3, 224, 224)


def described(name, shape=PHOTO):
    card = registry.card(name)
    return describe(on_paper(lambda: card.load()(**card.built_with(shape))), shape)


def field(description, name):
    """At the last use of a layer."""
    return next(layer.field for layer in reversed(description.layers) if layer.name == name)


@pytest.mark.parametrize(
    ("name", "parameters", "giga"),
    [
        ("alexnet", 61_100_840, 0.71),
        ("vgg16", 138_357_544, 15.47),
        ("googlenet", 6_624_904, 1.50),
        ("resnet18", 11_689_512, 1.81),
        ("resnet50", 25_557_032, 4.09),
        ("resnet152", 60_192_808, 11.51),
    ],
)
def test_papers_networks(name, parameters, giga):
    found = described(name)
    assert found.parameters == parameters
    assert found.multiply_adds / 1e9 == pytest.approx(giga, abs=0.006)


@pytest.mark.parametrize(
    "name", ["densenet121", "mobilenet_v3_small", "convnext_tiny", "vit_b_16", "swin_t"]
)
def test_torchvisions_networks_have_the_counts_it_publishes(name):
    meta = models.get_model_weights(name).DEFAULT.meta
    found = described(f"torchvision:{name}")
    assert found.parameters == meta["num_params"]
    assert found.multiply_adds / 1e9 == pytest.approx(meta["_ops"], abs=0.0006)


def test_receptive_fields():
    vgg = described("vgg16")
    assert field(vgg, "features.0") == (3, 3)
    assert field(vgg, "features.28") == (196, 196)
    assert field(vgg, "features.30") == (212, 212)
    assert field(vgg, "classifier.6") == (ALL, ALL)
    resnet = described("resnet18")
    assert field(resnet, "maxpool") == (11, 11)
    assert field(resnet, "layer4.1.relu") == (435, 435)
    assert field(resnet, "avgpool") == (ALL, ALL)
    assert field(described("alexnet"), "features.12") == (195, 195)
    inception = described("torchvision:inception_v3", (3, 299, 299))
    assert (
        field(inception, "Mixed_6b.branch7x7_2.conv")[0]
        < field(inception, "Mixed_6b.branch7x7_2.conv")[1]
    )


def test_receptive_field_is_what_the_gradient_reaches():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3, stride=2), nn.AvgPool2d(3, 2), nn.Conv2d(2, 2, 3, dilation=2),
        nn.Conv2d(2, 1, (1, 3)),
    ).eval()  # fmt: skip
    x = torch.randn(1, 1, 64, 64, requires_grad=True)
    y = model(x)
    y[0, 0, y.shape[2] // 2, y.shape[3] // 2].backward()
    reached = x.grad[0, 0].abs() > 0
    sides = [int(reached.any(1 - d).nonzero().max() - reached.any(1 - d).nonzero().min()) + 1
             for d in (0, 1)]  # fmt: skip
    assert describe(model, (1, 64, 64)).layers[-1].field == tuple(sides)


def test_layers_of_vgg16_by_hand():
    first, relu, *_, last = described("vgg16", (3, 32, 32)).layers
    assert (first.kind, first.kernel, first.stride) == ("Conv2d", (3, 3), (1, 1))
    assert first.shape == (64, 32, 32)
    assert first.parameters == 3 * 3 * 3 * 64 + 64
    assert first.multiply_adds == 32 * 32 * 64 * 27
    assert (relu.parameters, relu.multiply_adds) == (0, 0)
    assert (last.name, last.shape, last.multiply_adds) == ("classifier", (1000,), 512_000)


def test_a_network_is_left_as_it_was():
    model = registry.card("resnet18").load()(num_classes=3, small=True)
    model.bn1.eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    found = describe(model, (3, 32, 32))
    assert model.training
    assert not model.bn1.training
    assert not any(m._forward_hooks for m in model.modules())
    torch.testing.assert_close(dict(model.state_dict()), before)
    assert found.parameters == sum(p.numel() for p in model.parameters())
    assert found.blocks["layer2.0"] == (128, 16, 16)
    assert sum(layer.name == "layer1.0.relu" for layer in found.layers) == 2
