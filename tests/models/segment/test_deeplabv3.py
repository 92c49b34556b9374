"""DeepLabV3 is torchvision's; its light form stands on published weights."""

from __future__ import annotations

import pytest
import torch
from torchvision.models.segmentation import deeplabv3, deeplabv3_resnet50

from sightline.models import carried
from sightline.models.head import heads_of
from sightline.models.segment import deeplabv3 as here
from sightline.models.weights import load_published

CLASSES = 5

needs_lite = pytest.mark.skipif(
    not carried.installed("efficientnet_lite0"), reason="the extra 'pretrained' is not installed"
)


def in_both(ours, theirs):
    """Draw one random state dict, with running figures that are not 0 and 1, into both."""
    torch.manual_seed(0)
    state = theirs.state_dict()
    for key, tensor in state.items():
        if key.endswith("running_mean"):
            state[key] = torch.randn(tensor.shape) * 0.1
        elif key.endswith("running_var"):
            state[key] = torch.rand(tensor.shape) + 0.5
    for model in (ours, theirs):
        model.load_state_dict({k: t.clone() for k, t in state.items()})


def test_the_head_equals_torchvisions():
    theirs = deeplabv3.DeepLabHead(32, CLASSES, (2, 3, 4))
    ours = here.DeepLabHead(32, CLASSES, (2, 3, 4))
    in_both(ours, theirs)
    x = torch.randn(2, 32, 9, 7)
    for mode in (True, False):
        said = []
        for model in (ours, theirs):
            torch.manual_seed(1)  # of the dropout
            said.append(model.train(mode)(x))
        torch.testing.assert_close(*said, rtol=1e-5, atol=1e-5)
    for key, value in ours.state_dict().items():  # what the pass in training mode has counted
        torch.testing.assert_close(value, theirs.state_dict()[key])


@pytest.mark.parametrize("auxiliary", [True, False])
def test_logits_equal_torchvisions(auxiliary):
    theirs = deeplabv3_resnet50(
        weights=None, weights_backbone=None, num_classes=CLASSES, aux_loss=auxiliary
    )
    with torch.device("meta"):
        ours = here.deeplabv3_resnet50(CLASSES, auxiliary=auxiliary)
    shapes = {k: t.shape for k, t in theirs.state_dict().items()}
    assert {k: t.shape for k, t in ours.state_dict().items()} == shapes
    if not auxiliary:
        assert list(heads_of(ours)) == ["classifier.4"]
        return
    in_both(ours.to_empty(device="cpu"), theirs)
    x = torch.randn(2, 3, 64, 45, generator=torch.Generator().manual_seed(1))
    said = []
    for model in (ours, theirs):
        torch.manual_seed(0)
        with torch.no_grad():
            said.append(model.train()(x))
    assert said[0].keys() == said[1].keys() == {"out", "aux"}
    for name, logits in said[1].items():
        assert logits.abs().max() > 0.1
        torch.testing.assert_close(said[0][name], logits, rtol=1e-5, atol=1e-5)
    with torch.no_grad():
        own, expected = ours.eval()(x), theirs.eval()(x)["out"]
    torch.testing.assert_close(own, expected, rtol=1e-5, atol=1e-5)


def test_a_batch_of_one_image_is_learned_from():
    pooling = here.ASPPPooling(4, 6).train()
    norm = pooling[2]
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    kept = norm.running_mean.clone()
    x = torch.randn(1, 4, 3, 5)
    said = pooling(x)
    assert said.shape == (1, 6, 3, 5)
    torch.testing.assert_close(said, pooling.eval()(x))
    assert torch.equal(norm.running_mean, kept)
    with pytest.raises(ValueError, match="more than 1 value"):
        deeplabv3.ASPPPooling(4, 6).train()(x)


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (33, 47)])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_light_form_answers_at_any_size(size, channels):
    model = here.deeplabv3_lite(CLASSES, channels, width=8, auxiliary=True)
    x = torch.randn(2, channels, *size)
    with torch.no_grad():
        assert model.eval()(x).shape == (2, CLASSES, *size)
        said = model.train()(x)
    assert {k: t.shape[1:] for k, t in said.items()} == {
        "out": (CLASSES, *size), "aux": (CLASSES, *size)
    }  # fmt: skip


def test_the_light_form_has_maps_of_stride_16_and_learns_everywhere():
    model = here.deeplabv3_lite(CLASSES, 1, width=8, auxiliary=True).train()
    assert [m.shape[2:] for m in model.backbone(torch.randn(2, 1, 64, 96))] == [(4, 6), (4, 6)]
    said = model(torch.randn(2, 1, 64, 64))
    (said["out"].square().mean() + said["aux"].square().mean()).backward()
    assert [n for n, p in model.named_parameters() if not p.grad.any()] == []


@needs_lite
def test_published_weights_fill_the_light_forms_backbone():
    model = here.deeplabv3_lite(CLASSES, width=8)
    brought = load_published("efficientnet_lite0", model, CLASSES)
    state = carried.read("efficientnet_lite0")
    own = model.state_dict()
    inside = [k for k in own if k.startswith("backbone.")]
    assert len(inside) > 200
    assert all(torch.equal(own[k], state[k.removeprefix("backbone.")]) for k in inside)
    assert set(brought.fresh) == own.keys() - set(inside)
