"""Features of any layer: which they are, how they are pooled, averaged and enlarged."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torchvision.models import feature_extraction

from sightline.errors import DataError, ParameterError, UnknownNameError
from sightline.models import registry
from sightline.models.features import (
    FeatureExtractor,
    Standardised,
    enlarged,
    enlarged_side,
)


@pytest.fixture(scope="module")
def resnet():
    torch.manual_seed(0)
    return registry.card("torchvision:resnet18").load()(num_classes=5, name="resnet18").eval()


@pytest.fixture
def images():
    return torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def _rows(part):
    flat = part.mean((2, 3))
    return flat / flat.norm(dim=1, keepdim=True) * flat.shape[1] ** 0.5


def test_layers_are_those_that_torchvision_extracts(resnet, images):
    nodes = {"layer2": "a", "layer4": "b"}
    theirs = feature_extraction.create_feature_extractor(resnet, nodes)
    ours = FeatureExtractor(resnet, ["layer2", "layer4"])
    with torch.no_grad():
        expected, rows, maps = theirs(images), ours(images), ours.maps(images)
    torch.testing.assert_close(rows, torch.cat([_rows(expected["a"]), _rows(expected["b"])], 1))
    assert maps.shape == (3, 128 + 512, 8, 8)
    torch.testing.assert_close(maps[:, :128], expected["a"])
    larger = functional.interpolate(expected["b"], (8, 8), mode="bilinear", align_corners=False)
    torch.testing.assert_close(maps[:, 128:], larger)


def test_the_head_stands_beside_other_layers_in_the_order_that_was_asked_for(resnet, images):
    with torch.no_grad():
        both = FeatureExtractor(resnet, ["head", "layer1"])(images)
        head, early = (FeatureExtractor(resnet, [n])(images) for n in ("head", "layer1"))
        assert torch.equal(FeatureExtractor(resnet)(images), head)
    torch.testing.assert_close(both, torch.cat([head, early], 1))


def test_nothing_behind_the_last_layer_is_computed(images):
    class Ends(nn.Module):
        def forward(self, x):
            raise AssertionError("computed")

    model = nn.Sequential(nn.Conv2d(3, 4, 3), Ends())
    assert FeatureExtractor(model, ["0"])(images).shape == (3, 4)


def test_patches_of_the_head_are_what_its_mean_is_made_of(resnet, images):
    ours = FeatureExtractor(resnet)
    with torch.no_grad():
        torch.testing.assert_close(ours.maps(images).mean((2, 3)), ours.pooled(images))


def test_a_mirror_image_has_the_same_features_where_both_are_averaged(resnet, images):
    with torch.no_grad():
        for views in ("flip", "crops"):
            ours = FeatureExtractor(resnet, views=views)
            torch.testing.assert_close(ours(images), ours(images.flip(3)))
        plain = FeatureExtractor(resnet)
        assert (plain(images) - plain(images.flip(3))).abs().max() > 0.01


def test_crops_are_the_whole_the_corners_and_the_middle_and_their_mirror_images(images):
    seen = []

    class Looks(nn.Module):
        head_names = ("last",)

        def __init__(self):
            super().__init__()
            self.last = nn.Identity()

        def forward(self, x):
            seen.append(x)
            return self.last(x)

    pooled = FeatureExtractor(Looks(), views="crops").pooled(images)
    assert [tuple(x.shape[2:]) for x in seen] == [(64, 64)] * 2 + [(56, 56)] * 10
    cuts = [(0, 0), (0, 8), (8, 0), (8, 8), (4, 4)]
    wanted = [images] + [images[:, :, top : top + 56, left : left + 56] for top, left in cuts]
    mean = torch.stack([x.mean((2, 3)) for x in wanted]).mean(0)
    torch.testing.assert_close(pooled, mean)


def test_features_of_dark_images_are_zeros_and_no_nan():
    model = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.Identity())
    rows = FeatureExtractor(model, ["0"])(torch.zeros(2, 3, 8, 8))
    assert torch.equal(rows, torch.zeros(2, 4))


def test_a_layer_that_is_not_there_is_named_with_the_nearest(resnet):
    with pytest.raises(UnknownNameError, match="layer4"):
        FeatureExtractor(resnet, ["layer44"])


def test_what_has_no_features_is_said(resnet, images):
    with pytest.raises(ParameterError, match="used several times"):
        FeatureExtractor(resnet, ["layer1.0.relu", "layer2"])(images)
    with pytest.raises(ParameterError, match="no map"):
        FeatureExtractor(resnet, ["fc"]).maps(images)
    attention = nn.TransformerEncoderLayer(8, 2, batch_first=True)
    model = nn.Sequential(nn.Flatten(2), nn.Linear(64 * 64, 8), attention).eval()
    assert FeatureExtractor(model, ["2"])(images).shape == (3, 8)
    with pytest.raises(ParameterError, match="one size alone"):
        FeatureExtractor(model, ["2"], "crops")(images)
    unused = nn.Sequential(nn.Conv2d(3, 4, 3))
    unused.other = nn.Sequential()
    object.__setattr__(unused, "forward", lambda x: unused[0](x))
    with pytest.raises(ParameterError, match="does not use other"):
        FeatureExtractor(unused, ["other"])(images)


def test_bytes_are_standardised_and_grey_serves_a_network_of_colours():
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3), np.uint8)
    mean, std = np.array([0.4, 0.5, 0.6]), np.array([0.2, 0.3, 0.4])
    expected = (images / 255 - mean) / std
    made = Standardised(mean, std)(torch.from_numpy(images))
    np.testing.assert_allclose(made.numpy(), expected.transpose(0, 3, 1, 2), rtol=1e-5, atol=1e-6)
    grey = Standardised(mean, std)(torch.from_numpy(images[..., :1]))
    assert grey.shape == (2, 3, 4, 5)


def test_small_images_are_enlarged_and_large_ones_are_not():
    x = torch.rand(1, 3, 8, 8)
    assert enlarged(x, 0) is x
    assert enlarged(x, 8) is x
    assert enlarged(x, 32).shape == (1, 3, 32, 32)
    assert [enlarged_side(n, 224) for n in (1, 28, 32, 64, 224, 300)] == [64, 128, 160] + [224] * 3
    with pytest.raises(DataError):
        enlarged_side(0, 224)
