"""Ours are drop-in for torchvision's: the same keys, outputs and gradients."""

from __future__ import annotations

import inspect

import pytest
import torch
from torch import nn
from torchvision import models

from sightline.errors import ParameterError
from sightline.models import registry
from sightline.models.classify.cards import LITE, PUBLISHED, SIMPLE
from sightline.models.classify.resnet import STAGES, Bottleneck, ResNet

NAMES = [card.name for card in PUBLISHED]
LARGE = {"vgg11", "vgg13", "vgg13_bn", "vgg16", "vgg19", "vgg19_bn", "resnet101", "resnet152"}


def reference(name):
    more = {"init_weights": True} if name == "googlenet" else {}
    with torch.device("meta"):
        return models.get_model(name, weights=None, **more)


@pytest.fixture(scope="module")
def pair():
    """One random state dict in both; the last pair is kept, as VGGs take half a gigabyte each."""
    kept = {}

    def make(name):
        if name not in kept:
            kept.clear()
            with torch.device("meta"):
                ours = registry.card(name).load()()
            theirs = reference(name)
            state = drawn(theirs)
            ours.load_state_dict(state, assign=True)
            theirs.load_state_dict(state, assign=True)
            kept[name] = ours, theirs
        return kept[name]

    return make


def drawn(model):
    """A random state dict that keeps the signal's size through the layers."""
    random = torch.Generator().manual_seed(0)
    state = {}
    for key, tensor in model.state_dict().items():
        if key.endswith("num_batches_tracked"):
            state[key] = torch.zeros((), dtype=torch.long)
        elif key.endswith("running_var"):
            state[key] = torch.rand(tensor.shape, generator=random) + 0.5
        elif tensor.ndim > 1:
            bound = (6 / tensor[0].numel()) ** 0.5
            state[key] = (torch.rand(tensor.shape, generator=random) * 2 - 1) * bound
        elif key.endswith("weight"):
            state[key] = torch.rand(tensor.shape, generator=random) * 0.4 + 0.4
        else:
            state[key] = torch.randn(tensor.shape, generator=random) * 0.1
    return state


@pytest.mark.parametrize("name", NAMES)
def test_state_dict_and_weights_equal_torchvisions(name):
    with torch.device("meta"):
        ours = registry.card(name).load()()
    theirs = reference(name)
    shapes = {k: v.shape for k, v in theirs.state_dict().items()}
    assert {k: v.shape for k, v in ours.state_dict().items()} == shapes
    published = models.get_model_weights(name).DEFAULT.meta["num_params"]
    without_aux = sum(p.numel() for n, p in ours.named_parameters() if not n.startswith("aux"))
    assert without_aux == published


@pytest.mark.parametrize("name", [n for n in NAMES if n not in LARGE])
@pytest.mark.parametrize("training", [False, True])
def test_outputs_and_gradients_equal_torchvisions(pair, name, training):
    compare(*pair(name), training)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(LARGE))
@pytest.mark.parametrize("training", [False, True])
def test_outputs_of_the_large_equal_torchvisions(pair, name, training):
    compare(*pair(name), training)


def compare(ours, theirs, training):
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    outputs = []
    for model in (ours, theirs):
        model.train(training)
        torch.manual_seed(0)  # of the dropout
        model.zero_grad()
        with torch.set_grad_enabled(training):
            output = model(x.clone())
        outputs.append(output if isinstance(output, tuple) else (output,))
        if training:
            sum(o.square().mean() for o in outputs[-1]).backward()
    assert len(outputs[0]) == len(outputs[1])
    for a, b in zip(*outputs, strict=True):
        assert a.abs().max() > 1e-3
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
    theirs_grad = dict(theirs.named_parameters())
    for key, parameter in ours.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(parameter.grad, theirs_grad[key].grad, rtol=1e-4, atol=1e-5)
    for key, value in ours.state_dict().items():  # running figures of batch normalisation
        torch.testing.assert_close(value, theirs.state_dict()[key])


DILATED = (False, True, True)


def test_a_dilated_resnet_equals_torchvisions():
    theirs = models.resnet50(weights=None, replace_stride_with_dilation=DILATED)
    ours = ResNet(*STAGES[50], replace_stride_with_dilation=DILATED)
    ours.load_state_dict(drawn(theirs))
    theirs.load_state_dict(drawn(theirs))
    compare(ours, theirs, training=True)


def test_a_dilated_resnet_sees_what_the_other_saw():
    plain = ResNet(Bottleneck, (1, 1, 2, 2)).eval()
    dilated = ResNet(Bottleneck, (1, 1, 2, 2), replace_stride_with_dilation=DILATED).eval()
    dilated.load_state_dict(plain.state_dict())
    plain.avgpool = dilated.avgpool = plain.fc = dilated.fc = nn.Identity()
    x = torch.randn(1, 3, 49, 70)
    with torch.no_grad():
        sparse, dense = plain(x).view(1, 2048, 2, 3), dilated(x).view(1, 2048, 7, 9)
    torch.testing.assert_close(dense[:, :, ::4, ::4], sparse, rtol=1e-4, atol=1e-5)


def test_a_small_resnet_has_no_dilated_form():
    with pytest.raises(ParameterError, match="take one of 50, 101 or 152"):
        ResNet(*STAGES[18], replace_stride_with_dilation=DILATED)


def test_googlenet_standardises_as_torchvision_does():
    entry = registry.card("googlenet").load()
    ours = entry(transform_input=True, aux_logits=False).eval()
    theirs = models.googlenet(init_weights=True, transform_input=True, aux_logits=False).eval()
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["alexnet", "vgg11", "googlenet", "resnet18"])
def test_weights_start_as_torchvisions(name):
    torch.manual_seed(0)
    ours = registry.card(name).load()(num_classes=10)
    torch.manual_seed(0)
    more = {"init_weights": True} if name == "googlenet" else {}
    theirs = models.get_model(name, num_classes=10, **more).state_dict()
    for key, value in ours.state_dict().items():
        if value.ndim > 1:
            assert float(value.std()) == pytest.approx(float(theirs[key].std()), rel=0.15), key


@pytest.mark.parametrize("card", [*SIMPLE, *PUBLISHED, *LITE], ids=lambda c: c.name)
def test_parameters_of_the_card(card):
    with torch.device("meta"):
        model = card.load()()
    assert sum(p.numel() for p in model.parameters()) == card.parameters


@pytest.mark.parametrize(
    "card", [c for c in PUBLISHED if c.name not in LARGE], ids=lambda c: c.name
)
def test_small_form_takes_the_smallest_side_and_grey(card):
    build = card.load()
    model = build(num_classes=7, in_channels=1, small=True)
    output = model(torch.randn(2, 1, card.smallest_side, card.smallest_side))
    main = output[0] if isinstance(output, tuple) else output
    assert main.shape == (2, 7)
    with torch.device("meta"):
        large = build(num_classes=7, in_channels=1).state_dict()
    own = {k: v.shape for k, v in model.state_dict().items() if not k.startswith("classifier")}
    stem = "conv1.weight" if card.name.startswith("resnet") else ""
    assert all(large[k].shape == shape for k, shape in own.items() if k != stem)


def test_small_forms_keep_the_places():
    vgg = registry.card("vgg16_bn").load()(num_classes=10, small=True)
    assert sum(p.numel() for p in vgg.parameters()) == 14_728_266
    resnet = registry.card("resnet18").load()(num_classes=10, small=True)
    assert sum(p.numel() for p in resnet.parameters()) == 11_173_962
    seen = {}
    resnet.layer1.register_forward_hook(lambda m, i, o: seen.update(layer1=o.shape))
    resnet(torch.randn(1, 3, 32, 32))
    assert seen["layer1"] == (1, 64, 32, 32)


@pytest.mark.parametrize("name", ["mlp", "convnet"])
@pytest.mark.parametrize("side", [(8, 8), (28, 28), (32, 20)])
def test_simple_networks_take_any_side(name, side):
    model = registry.card(name).load()(num_classes=5, in_channels=3, side=side)
    assert model(torch.randn(4, 3, *side)).shape == (4, 5)


def test_mlp_is_a_chain_of_products():
    model = registry.card("mlp").load()().eval()
    x = torch.randn(3, 1, 28, 28)
    a = x.flatten(1)
    for layer in [m for m in model.layers if isinstance(m, nn.Linear)]:
        a = (a @ layer.weight.T + layer.bias).clamp(min=0)
    torch.testing.assert_close(model(x), a @ model.fc.weight.T + model.fc.bias)


@pytest.mark.parametrize("name", NAMES)
def test_builders_take_what_torchvisions_positional_use_needs(name):
    parameters = list(inspect.signature(registry.card(name).load()).parameters)
    assert parameters[:2] == ["num_classes", "in_channels"]
