"""Anchors lie where torchvision's lie, and where the papers say."""

from __future__ import annotations

import pytest
import torch
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
from torchvision.models.detection.image_list import ImageList

from sightline.errors import ParameterError
from sightline.models.detect.anchors import (
    SCALES,
    DefaultBoxes,
    RegionAnchors,
    grid,
    spaced_scales,
)

SSD300 = [(38, 38), (19, 19), (10, 10), (5, 5), (3, 3), (1, 1)]
RATIOS = [[2], [2, 3], [2, 3], [2, 3], [2], [2]]


def reference(generator, maps, image):
    pixels = ImageList(torch.zeros(1, 3, *image), [image])
    return generator(pixels, [torch.zeros(1, 1, *m) for m in maps])[0]


@pytest.mark.parametrize("name", SCALES)
@pytest.mark.parametrize("steps", [None, [8, 16, 32, 64, 100, 300]])
def test_default_boxes_equal_torchvisions(name, steps):
    scales = [pixels / 300 for pixels in SCALES[name]]
    own = DefaultBoxes(RATIOS, scales, steps)
    theirs = DefaultBoxGenerator(RATIOS, scales=scales, steps=steps)
    assert own.counts == theirs.num_anchors_per_location()
    boxes = own(SSD300, (300, 300))
    assert torch.equal(boxes, reference(theirs, SSD300, (300, 300)))
    assert len(boxes) == 8732


def test_default_boxes_of_evenly_spaced_scales_on_oblong_maps():
    maps, image = [(8, 12), (4, 6)], (64, 96)
    own = DefaultBoxes([[2], [2, 3]], spaced_scales(2, 0.15, 0.9))
    theirs = DefaultBoxGenerator([[2], [2, 3]], min_ratio=0.15, max_ratio=0.9)
    assert torch.equal(own(maps, image), reference(theirs, maps, image))
    assert spaced_scales(1, 0.3, 0.6) == (0.3, 0.6)


def test_sides_of_default_boxes_are_the_papers():
    """Each area is the scale's square; the second square lies between two scales."""
    boxes = DefaultBoxes(RATIOS, [pixels / 300 for pixels in SCALES["voc"]])(SSD300, (300, 300))
    sides = (boxes[:, 2:] - boxes[:, :2])[:4]
    expected = [[30, 30], [1800**0.5] * 2, [30 * 2**0.5, 30 / 2**0.5], [30 / 2**0.5, 30 * 2**0.5]]
    assert torch.allclose(sides, torch.tensor(expected), atol=1e-3)


def test_scales_and_maps_must_fit():
    with pytest.raises(ParameterError, match="2 maps need 3 scales"):
        DefaultBoxes([[2], [2]], (0.1, 0.2))
    with pytest.raises(ParameterError, match="steps"):
        DefaultBoxes([[2], [2]], (0.1, 0.2, 0.3), [8])


@pytest.mark.parametrize("image", [(224, 320), (100, 77)])
def test_region_anchors_equal_torchvisions(image):
    maps = [(7, 10), (4, 5)]
    own = RegionAnchors([(32, 64), (128, 200)], (0.5, 1.0, 2.0))
    theirs = AnchorGenerator(((32, 64), (128, 200)), ((0.5, 1.0, 2.0),) * 2)
    assert own.counts == theirs.num_anchors_per_location()
    assert torch.equal(own(maps, image), reference(theirs, maps, image))


def test_cells_cover_the_image_once():
    corners, strides = grid([(3, 4), (1, 2)], [16, 32])
    covered = torch.zeros(2, 48, 64, dtype=torch.int)
    for (x, y), stride in zip(corners.int().tolist(), strides.int().tolist(), strict=True):
        covered[int(stride == 32), y : y + stride, x : x + stride] += 1
    assert (covered[0] == 1).all()
    assert (covered[1, :32] == 1).all()
    assert corners[1].tolist() == [16, 0]  # along a row first


def test_strides_of_region_anchors_hold_where_a_map_has_a_place_more():
    odd = RegionAnchors([(8,)], (1.0,), strides=[8])([(13, 13)], (100, 100)).view(13, 13, 4)
    assert odd[12, 11].tolist() == [84.0, 92.0, 92.0, 100.0]
    plain = RegionAnchors([(8,)], (1.0,))([(13, 13)], (100, 100)).view(13, 13, 4)
    assert plain[12, 11].tolist() == [73.0, 80.0, 81.0, 88.0]
