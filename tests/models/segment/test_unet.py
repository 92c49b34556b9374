"""U-Net joins its maps level by level; on published backbones it begins with their weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from sightline.errors import ParameterError, UnknownNameError, WeightsError
from sightline.models import carried, registry
from sightline.models.head import heads_of
from sightline.models.segment import unet
from sightline.models.weights import load_published

CLASSES = 5
SIZES = [(1, 1), (7, 5), (33, 47), (64, 64)]

needs_lite = pytest.mark.skipif(
    not carried.installed("efficientnet_lite0"), reason="the extra 'pretrained' is not installed"
)


# --- the paper's -----------------------------------------------------------------------------


def test_the_papers_plan():
    with torch.device("meta"):
        model = unet.unet(2, 1)
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    assert len(layers) == 23  # "In total the network has 23 convolutional layers"
    shapes = []
    for level in (*model.down, *model.up):
        level.register_forward_hook(lambda _, __, out: shapes.append(tuple(out.shape[1:])))
    assert model(torch.zeros(1, 1, 64, 48, device="meta")).shape == (1, 2, 64, 48)
    assert shapes == [
        (64, 64, 48), (128, 32, 24), (256, 16, 12), (512, 8, 6), (1024, 4, 3),
        (512, 8, 6), (256, 16, 12), (128, 32, 24), (64, 64, 48),
    ]  # fmt: skip


def test_the_answer_is_that_of_the_figure():
    """Figure 1 written out, with numbers in the place of layers' names."""
    torch.manual_seed(0)
    model = unet.UNet(3, 2, width=2).eval()
    x = torch.randn(1, 2, 33, 18)
    state = model.state_dict()

    def convolved(x, block):
        for i in (0, 2):
            name = f"{block}.{i}"
            x = functional.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], padding=1)
            x = x.clamp(min=0)
        return x

    with torch.no_grad():
        down = [convolved(x, "down.0")]
        for level in range(1, 5):
            h, w = down[-1].shape[2:]
            padded = functional.pad(down[-1], (0, w % 2, 0, h % 2), value=-torch.inf)
            down.append(convolved(functional.max_pool2d(padded, 2), f"down.{level}"))
        y = down[4]
        for i in range(4):
            skip = down[3 - i]
            w, b = state[f"grow.{i}.weight"], state[f"grow.{i}.bias"]
            y = functional.conv_transpose2d(y, w, b, stride=2)[
                :, :, : skip.shape[2], : skip.shape[3]
            ]
            y = convolved(torch.cat([skip, y], 1), f"up.{i}")
        expected = functional.conv2d(y, state["head.weight"], state["head.bias"])
        torch.testing.assert_close(model(x), expected, rtol=1e-5, atol=1e-6)


def test_weights_begin_as_the_paper_says():
    torch.manual_seed(0)
    model = unet.UNet(2, 1, width=16)
    deviation = model.down[3][0].weight.std().item()
    assert deviation == pytest.approx((2 / (9 * 64)) ** 0.5, rel=0.02)
    with torch.no_grad():
        grown = model.grow[0](torch.randn(1, 256, 8, 8).relu())
    assert grown.square().mean().item() == pytest.approx(1, rel=0.15)  # N inputs of 1/2, 2 / N


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_the_papers_answers_at_any_size(size, batch_norm):
    model = unet.UNet(CLASSES, 3, width=2, batch_norm=batch_norm)
    x = torch.randn(2, 3, *size)
    with torch.no_grad():
        assert model.train()(x).shape == (2, CLASSES, *size)
        assert model.eval()(x).shape == (2, CLASSES, *size)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_gradient_reaches_every_weight_of_the_papers(batch_norm):
    torch.manual_seed(0)
    model = unet.UNet(CLASSES, 1, width=4, batch_norm=batch_norm).train()
    model(torch.randn(2, 1, 64, 64)).square().mean().backward()
    assert [n for n, p in model.named_parameters() if not p.grad.any()] == []


def test_the_paper_stands_on_no_classifier():
    with pytest.raises(WeightsError, match="do not fit UNet"):
        load_published("efficientnet_lite0", unet.UNet(CLASSES, 3, width=2), CLASSES)


# --- on a backbone ---------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", SIZES)
def test_the_light_form_answers_at_any_size(size, channels):
    model = unet.unet_lite(CLASSES, channels)
    x = torch.randn(2, channels, *size)
    with torch.no_grad():
        assert model.train()(x).shape == (2, CLASSES, *size)
        assert model.eval()(x).shape == (2, CLASSES, *size)


def test_one_image_of_few_pixels_cannot_be_learned_from():
    model = unet.unet_lite(CLASSES).train()
    with pytest.raises(ParameterError, match="batch of 1 of 7 x 5 pixels"):
        model(torch.randn(1, 3, 7, 5))


def test_gradient_reaches_every_weight_of_the_light_form():
    torch.manual_seed(0)
    model = unet.unet_lite(CLASSES, 1).train()
    model(torch.randn(2, 1, 64, 64)).square().mean().backward()
    assert [n for n, p in model.named_parameters() if not p.grad.any()] == []
    assert list(heads_of(model)) == ["head"]


@pytest.mark.parametrize("name", unet.ENCODERS)
def test_any_backbone(name):
    """Its weights fit, every level is joined, and the smallest side is the smallest."""
    with torch.device("meta"):
        model = unet.unet_lite(CLASSES, 1, backbone=name).eval()
        form = {"side": (28, 28)} if name == "convnet" else {}
        source = registry.card(name).load()(num_classes=10, in_channels=1, **form).state_dict()
    own = model.state_dict()
    inside = {k for k in own if k.startswith("backbone.")}
    given = model.from_classifier(source)
    assert given.keys() == inside
    assert all(own[k].shape == tensor.shape for k, tensor in given.items())
    smallest = model.backbone.smallest
    for size in ((smallest, smallest + 3), (33, 47)):
        assert model(torch.zeros(1, 1, *size, device="meta")).shape == (1, CLASSES, *size)
    maps = model.backbone(torch.zeros(1, 1, 64, 96, device="meta"))
    sides = [m.shape[2] for m in maps]
    assert sides == sorted(sides, reverse=True)
    assert len(set(sides)) == len(model.up)
    if smallest > 1:
        model.backbone.smallest = 1
        with pytest.raises(RuntimeError):
            model(torch.zeros(1, 1, smallest - 1, 64, device="meta"))


def test_an_unknown_backbone_is_said():
    with pytest.raises(UnknownNameError, match="did you mean 'resnet50'"):
        unet.unet_lite(CLASSES, backbone="resnet-50")


@needs_lite
@pytest.mark.parametrize("channels", [1, 3])
def test_published_weights_fill_the_encoder(channels):
    model = unet.unet_lite(CLASSES, channels)
    brought = load_published("efficientnet_lite0", model, CLASSES)
    state = carried.read("efficientnet_lite0")
    own = model.state_dict()
    inside = [k for k in own if k.startswith("backbone.")]
    stem = state["conv_stem.weight"]
    state["conv_stem.weight"] = stem if channels == 3 else stem.sum(1, keepdim=True)
    assert len(inside) > 200
    assert all(torch.equal(own[k], state[k.removeprefix("backbone.")]) for k in inside)
    assert set(brought.fresh) == own.keys() - set(inside)
    assert len(brought.mean) == channels
