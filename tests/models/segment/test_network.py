"""Stages of classifiers give their maps, and what is too small is said in a line."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sightline.errors import ParameterError
from sightline.models.classify import resnet, vgg
from sightline.models.segment.network import SemanticModule, Stages, resized


def test_maps_are_those_that_the_classifier_has():
    whole = resnet.resnet18(3, in_channels=1).eval()
    seen = []
    for layer in (whole.layer1, whole.layer3):
        layer.register_forward_hook(lambda _, __, out: seen.append(out))
    stages = Stages(whole, ("layer1", "layer3"))
    x = torch.randn(1, 1, 33, 47)
    seen.clear()  # the shapes were computed by a pass
    with torch.no_grad():
        whole(x)
        expected = list(seen)
        maps = stages(x)
    assert all(torch.equal(a, b) for a, b in zip(maps, expected, strict=True))
    assert stages.out_channels == (64, 256)
    kept = {name.partition(".")[0] for name in stages.state_dict()}
    assert kept == {"conv1", "bn1", "layer1", "layer2", "layer3"}
    assert stages.from_classifier(whole.state_dict()).keys() == stages.state_dict().keys()


def test_a_sequence_is_cut_after_the_last_layer_that_is_wanted():
    whole = vgg.vgg11_bn(3, small=True).eval()
    stages = Stages(whole, ("features.6", "features.13"), smallest=5).eval()
    assert list(stages.state_dict())[-1].startswith("features.12.")
    x = torch.randn(1, 3, 20, 20)
    with torch.no_grad():
        half, quarter = stages(x)
        assert torch.equal(quarter, whole.features[:14](x))
    assert half.shape == (1, 128, 10, 10)
    with pytest.raises(ParameterError, match=r"4 x 9 pixels are too small .* needs 5 a side"):
        stages(x[:, :, :4, :9])


def test_building_on_paper_leaves_running_figures_alone():
    stages = Stages(resnet.resnet18(3), ("layer4",)).train()
    assert stages.state_dict()["bn1.num_batches_tracked"] == 0
    assert stages.training


class Normed(SemanticModule):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(2)

    def outputs(self, images):
        if images.shape[2] == 9:
            raise ValueError("another one")
        return {"out": self.norm(images)}


def test_what_cannot_be_normalised_is_said_in_a_line():
    model = Normed().train()
    message = "Normed cannot learn from a batch of 1 of 1 x 1 pixels.*larger batch"
    with pytest.raises(ParameterError, match=message):
        model(torch.randn(1, 2, 1, 1))
    assert model(torch.randn(2, 2, 1, 1)).shape == (2, 2, 1, 1)
    assert model.eval()(torch.randn(1, 2, 1, 1)).shape == (1, 2, 1, 1)
    with pytest.raises(ValueError, match="another one"):
        model(torch.randn(1, 2, 9, 1))


def test_resizing_to_the_same_size_changes_nothing():
    x = torch.randn(1, 2, 3, 5)
    assert resized(x, torch.empty(1, 7, 3, 5)) is x
    assert resized(x, torch.empty(1, 7, 7, 5)).shape == (1, 2, 7, 5)
