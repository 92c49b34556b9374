"""FCN is the classifier at every place; on ResNet-50 it is torchvision's."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional
from torchvision.models.segmentation import fcn_resnet50

from sightline.models.classify import vgg
from sightline.models.head import head_of, heads_of
from sightline.models.segment import fcn
from sightline.models.segment.fcn import Enlarging

CLASSES = 5
FORMS = {32: fcn.fcn32s, 16: fcn.fcn16s, 8: fcn.fcn8s}


def light(finest):
    """An FCN whose fc6 and fc7 have 16 channels instead of 4096: all else as it is."""
    with torch.device("meta"):
        model = FORMS[finest](CLASSES, 1)
        model.fc6 = torch.nn.Conv2d(512, 16, 7, padding=3)
        model.fc7 = torch.nn.Conv2d(16, 16, 1)
        model.score_fr = torch.nn.Conv2d(16, CLASSES, 1)
    model.to_empty(device="cpu")
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
            torch.nn.init.zeros_(module.bias)
        elif isinstance(module, Enlarging):
            module.reset_parameters()
    return model


def test_a_filter_of_stride_two_by_hand():
    layer = Enlarging(2, 2, learned=True)
    row = torch.tensor([0.25, 0.75, 0.75, 0.25])
    assert torch.equal(layer.weight[0, 0], torch.outer(row, row))
    assert torch.equal(layer.weight[1, 1], layer.weight[0, 0])
    assert not layer.weight[0, 1].any()
    assert not layer.weight[1, 0].any()
    assert layer.weight.requires_grad
    assert layer(torch.tensor([[[[0.0, 4.0]], [[1.0, 1.0]]]])).tolist() == [
        [[[0, 1, 3, 4]] * 2, [[1, 1, 1, 1]] * 2]
    ]


@pytest.mark.parametrize("stride", [2, 8, 16, 32])
@pytest.mark.parametrize("learned", [False, True])
def test_enlarging_begins_as_bilinear_interpolation(stride, learned):
    layer = Enlarging(3, stride, learned)
    x = torch.randn(2, 3, 4, 7, generator=torch.Generator().manual_seed(0))
    expected = functional.interpolate(x, scale_factor=stride, mode="bilinear", align_corners=False)
    torch.testing.assert_close(layer(x), expected, rtol=1e-5, atol=1e-5)


def test_only_the_last_filter_is_not_learned():
    with torch.device("meta"):
        model = fcn.fcn8s(CLASSES)
    fixed = [name for name, p in model.named_parameters() if not p.requires_grad]
    assert fixed == ["upscore8.weight"]


def test_vgg16_scores_the_whole_picture_at_the_middle_place():
    """fc6 and fc7 are its layers as convolutions: at 224 pixels one place sees what it saw."""
    torch.manual_seed(0)
    with torch.device("meta"):
        whole, model = vgg.vgg16(CLASSES).eval(), fcn.fcn32s(CLASSES).eval()
    state = {}
    for key, tensor in whole.state_dict().items():
        bound = (6 / tensor[0].numel()) ** 0.5 if tensor.ndim > 1 else 0.1
        state[key] = (torch.rand(tensor.shape) * 2 - 1) * bound
    whole.load_state_dict(state, assign=True)
    made = model.from_classifier(state)
    made["score_fr.weight"] = state["classifier.6.weight"].view(CLASSES, 4096, 1, 1)
    made["score_fr.bias"] = state["classifier.6.bias"]
    made["upscore32.weight"] = Enlarging(CLASSES, 32, learned=False).weight.detach()
    model.load_state_dict(made, assign=True)  # strict: nothing is missing, nothing is left over
    x, scores = torch.randn(1, 3, 224, 224), []
    model.score_fr.register_forward_hook(lambda _, __, out: scores.append(out))
    with torch.no_grad():
        expected = whole(x)
        logits = model(x)
    assert scores[0].shape == (1, CLASSES, 7, 7)
    assert logits.shape == (1, CLASSES, 224, 224)
    assert expected.abs().max() > 0.1
    torch.testing.assert_close(scores[0][:, :, 3, 3], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("finest", [32, 16, 8])
def test_finer_scores_are_added_to_coarser_ones(finest):
    """By the equation, on maps that are given, with interpolation in place of the filters."""
    small = light(finest).eval()
    pool3, pool4, pool5 = (
        torch.randn(1, c, s, s)
        for c, s in (
            (
                256,
                12,
            ),
            (512, 6),
            (512, 3),
        )
    )
    small.backbone.forward = lambda _: [pool3, pool4, pool5]
    with torch.no_grad():
        logits = small(torch.zeros(1, 1, 90, 93))
        x = small.fc7(small.fc6(pool5).relu()).relu()
        expected = small.score_fr(x)
        if finest < 32:
            expected = doubled(expected) + small.score_pool4(pool4)
        if finest < 16:
            expected = doubled(expected) + small.score_pool3(pool3)
        expected = functional.interpolate(expected, (96, 96), mode="bilinear")
    torch.testing.assert_close(logits, expected[:, :, :90, :93], rtol=1e-4, atol=1e-4)


def doubled(x):
    return functional.interpolate(x, scale_factor=2, mode="bilinear")


def test_layers_that_score_begin_as_zero():
    model = fcn.fcn8s(CLASSES, 1).eval()
    for layer in (model.score_fr, model.score_pool4, model.score_pool3):
        assert not layer.weight.any()
        assert not layer.bias.any()
    assert model.fc6.weight.any()


@pytest.mark.parametrize("finest", [32, 16, 8])
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (33, 47), (64, 64)])
def test_any_size_is_answered_at_its_own(finest, size):
    with torch.no_grad():
        assert light(finest).eval()(torch.randn(2, 1, *size)).shape == (2, CLASSES, *size)


@pytest.mark.parametrize("finest", [32, 16, 8])
def test_gradient_reaches_every_weight_that_is_learned(finest):
    model = light(finest).train()
    model(torch.randn(2, 1, 64, 64)).square().mean().backward()
    silent = [n for n, p in model.named_parameters() if p.requires_grad and not p.grad.any()]
    assert silent == []


def test_the_layers_of_the_classes_are_the_head():
    with torch.device("meta"):
        a, b = fcn.fcn8s(CLASSES), fcn.fcn8s(CLASSES + 1)
    differ = {n.rpartition(".")[0] for n, t in a.state_dict().items()
              if t.shape != b.state_dict()[n].shape}  # fmt: skip
    assert differ == set(heads_of(a))
    assert head_of(a)[0] == "score_fr"


# --- on ResNet-50 ---------------------------------------------------------------------------


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


def test_logits_equal_torchvisions_with_the_auxiliary_head():
    with torch.device("meta"):
        theirs = fcn_resnet50(
            weights=None, weights_backbone=None, num_classes=CLASSES, aux_loss=True
        )
        ours = fcn.fcn_resnet50(CLASSES)
        bare = fcn.fcn_resnet50(CLASSES, auxiliary=False).state_dict()
    state = drawn(theirs)
    ours.load_state_dict(state, assign=True)
    theirs.load_state_dict(state, assign=True)
    assert bare.keys() == {k for k in state if not k.startswith("aux_classifier.")}
    x = torch.randn(2, 3, 45, 64, generator=torch.Generator().manual_seed(1))
    said = []
    for model in (ours, theirs):
        torch.manual_seed(0)  # of the dropout
        said.append(model.train()(x))
    assert said[0].keys() == said[1].keys() == {"out", "aux"}
    for name, logits in said[1].items():
        assert logits.abs().max() > 0.1
        torch.testing.assert_close(said[0][name], logits, rtol=1e-5, atol=1e-5)
    with torch.no_grad():
        own, expected = ours.eval()(x), theirs.eval()(x)["out"]
    torch.testing.assert_close(own, expected, rtol=1e-5, atol=1e-5)
    assert list(heads_of(ours)) == ["classifier.4", "aux_classifier.4"]
    sum(logits.square().mean() for logits in said[0].values()).backward()
    assert [n for n, p in ours.named_parameters() if not p.grad.any()] == []
