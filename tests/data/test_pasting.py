"""Masks in boxes become the pixels that torchvision draws, with the memory of one box."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask
from torchvision.models.detection.roi_heads import paste_masks_in_image

from sightline.data.pasting import paste

SIZE = 60, 83


def drawn(codes):
    return coco_mask.decode(codes).transpose(2, 0, 1).astype(bool)


def theirs(masks, boxes, size):
    given = torch.from_numpy(masks)[:, None]
    return (paste_masks_in_image(given, torch.from_numpy(boxes), size) > 0.5)[:, 0].numpy()


def of_chance(n, seed=0):
    random = np.random.default_rng(seed)
    corner = random.uniform(-20, 70, (n, 2))
    boxes = np.concatenate((corner, corner + random.uniform(0.1, 60, (n, 2))), 1)
    return random.random((n, 28, 28), np.float32), boxes.astype(np.float32)


def test_pixels_are_torchvisions_within_and_beyond_the_picture():
    masks, boxes = of_chance(150)
    codes = paste(masks, boxes, SIZE)
    assert all(code["size"] == list(SIZE) for code in codes)
    own = drawn(codes)
    outside = (boxes[:, 2:] < -2).any(1) | (boxes[:, :2] > np.array(SIZE[::-1]) + 2).any(1)
    assert 5 < outside.sum() < 75
    assert not own[outside].any()  # torchvision ends with an error
    inside = (boxes[:, 2:] > 3).all(1) & (boxes[:, :2] < np.array(SIZE[::-1]) - 3).all(1)
    wanted = theirs(masks[inside], boxes[inside], SIZE)
    assert len(wanted) > 75
    np.testing.assert_array_equal(own[inside], wanted)


@pytest.mark.parametrize(
    "box",
    [(0, 0, 83, 60), (5, 5, 5, 5), (10.2, 10.7, 10.9, 40), (82.5, 0, 83, 60), (-30, -30, 120, 90)],
)
def test_a_box_of_the_whole_picture_of_no_width_and_at_the_edge(box):
    mask = np.ones((1, 28, 28), np.float32)
    boxes = np.array([box], np.float32)
    np.testing.assert_array_equal(drawn(paste(mask, boxes, SIZE)), theirs(mask, boxes, SIZE))


def test_no_mask_is_no_code_and_what_is_below_the_threshold_has_no_pixel():
    assert paste(np.zeros((0, 28, 28)), np.zeros((0, 4)), SIZE) == []
    (code,) = paste(np.full((1, 28, 28), 0.5), np.array([[0, 0, 40, 40]]), SIZE)
    assert coco_mask.area(code) == 0
    (code,) = paste(np.full((1, 28, 28), 0.4), np.array([[0, 0, 40, 40]]), SIZE, 0.3)
    assert coco_mask.area(code) > 1400


def test_large_boxes_are_enlarged_some_rows_at_a_time():
    """Ten objects of four megapixels each, in a picture of twelve."""
    masks, boxes = np.ones((10, 28, 28), np.float32), np.array([[100, 100, 2100, 2100.0]] * 10)
    tracemalloc.start()
    codes = paste(masks, boxes, (3000, 4000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40e6  # a float for each pixel of one box would be 16 MB, of ten pictures 480
    pixels = {int(coco_mask.area(code)) for code in codes}
    assert all(abs(n - 2000**2) < 2 * 4 * 2000 for n in pixels)  # the box, to two pixels
