"""How a picture comes to a model's size, and boxes and masks with it, there and back."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import sightline
from sightline.data import images
from sightline.types import Frame

WAYS = get_args(images.Resize)
sides = st.integers(8, 90)


@settings(max_examples=150, deadline=None)
@given(
    picture=st.tuples(sides, sides), size=st.tuples(sides, sides), how=st.sampled_from(WAYS),
    corners=st.lists(st.floats(0, 1), min_size=4, max_size=4),
)  # fmt: skip
def test_out_is_the_way_back_of_into(picture, size, how, corners):
    frame = images.frame_of(picture, size, how)
    h, w = picture
    x, y = sorted((corners[0] * w, corners[1] * w)), sorted((corners[2] * h, corners[3] * h))
    box = np.array([[x[0], y[0], x[1], y[1]]], np.float32)
    np.testing.assert_allclose(frame.out(frame.into(box)), box, atol=2e-3)


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("picture", [(60, 90), (90, 60), (48, 48), (200, 30)])
def test_a_drawn_square_lies_where_the_frame_says(how, picture):
    h, w = picture
    top, left = h // 2 - 9, w // 2 - 9
    pixels = np.zeros((h, w, 3), np.uint8)
    pixels[top : top + 18, left : left + 18] = 255
    prepared, frame = images.prepare(pixels, (48, 48), "RGB", how)
    assert frame.size == picture
    seen = prepared[:, :, 0].astype(int)
    if how == "pad":  # the grey of the border is no square
        seen = np.where(prepared[:, :, 0] == 128, 0, seen)
    rows, columns = np.nonzero(seen.max(1) > 127)[0], np.nonzero(seen.max(0) > 127)[0]
    found = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
    wanted = frame.into(np.array([[left, top, left + 18, top + 18]]))[0].clip(0, 48)
    assert np.abs(found - wanted).max() <= 1.0


def test_known_frames():
    boxes = np.array([[0, 0, 200, 100], [50, 0, 150, 100]], np.float32)
    crop = images.frame_of((100, 200), (50, 50), "crop")
    assert crop == Frame((100, 200), (0.5, 0.5), (0.0, -25.0))
    assert crop.into(boxes).tolist() == [[-25, 0, 75, 50], [0, 0, 50, 50]]
    pad = images.frame_of((100, 200), (50, 50), "pad")
    assert pad == Frame((100, 200), (0.25, 0.25), (12.0, 0.0))  # 12.5 rounds to the even number
    stretch = images.frame_of((100, 200), (50, 50), "stretch")
    assert stretch.into(boxes)[0].tolist() == [0, 0, 50, 50]
    assert stretch.out(np.array([[-10, -10, 80, 80]])).tolist() == [[0, 0, 200, 100]]
    assert images.frame_of((50, 50), (50, 50), "crop") == Frame((50, 50))


def test_the_frame_is_of_the_upright_picture(tmp_path):
    exif = Image.Exif()
    exif[images.ORIENTATION] = 6
    Image.new("RGB", (40, 20)).save(tmp_path / "a.jpg", exif=exif)
    _, frame = images.prepare(tmp_path / "a.jpg", (10, 10))
    assert frame.size == (40, 20)


@pytest.mark.parametrize("how", WAYS)
def test_masks_come_back_in_the_pictures_pixels(how):
    frame = images.frame_of((40, 60), (80, 80), how)
    mask = np.zeros((40, 60), bool)
    mask[12:28, 22:38] = True
    there = frame.map_into(mask, (80, 80))
    assert there.dtype == bool
    assert there.shape == (80, 80)
    back = frame.map_out(there)
    assert back.shape == (40, 60)
    assert (back != mask).mean() < 0.02
    outside = frame.map_into(np.ones((40, 60), np.uint8), (80, 80), outside=255)
    assert ((outside == 255).any()) == (how == "pad")


@pytest.mark.parametrize("how", WAYS)
def test_a_sample_at_a_size_moves_its_boxes_and_masks(how):
    data = sightline.load_data("shapes:count=12,size=96")
    whole, small = data.sample(3), data.sample(3, (48, 64), how)
    assert small.image.shape == (48, 64, 3)
    assert small.frame == images.frame_of((96, 96), (48, 64), how)
    assert len(small.objects) <= len(whole.objects)
    for box, mask in zip(small.objects.boxes, small.objects.masks, strict=True):
        rows, columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
        tight = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        assert np.abs(np.array(tight) - box).max() <= 1.6
    assert small.segmentation.label_map.shape == (48, 64)
    assert (small.segmentation.label_map == 255).any() == (how == "pad")


def test_a_split_gives_the_frames_of_its_arrays(tmp_path):
    for i, size in enumerate([(30, 50), (80, 40), (33, 33), (64, 90)] * 5):
        folder = tmp_path / "ab"[i % 2]
        folder.mkdir(exist_ok=True)
        Image.new("RGB", size, (i, 0, 0)).save(folder / f"{i:02d}.png")
    (tmp_path / "a/99.png").write_bytes(b"no picture")
    data = sightline.load_data(tmp_path)
    for split in data.splits.values():
        X, _, rows = split.arrays((16, 16), "pad")
        frames = split.frames((16, 16), "pad")
        assert len(frames) == len(X)
        for row, frame in zip(rows, frames, strict=True):
            assert frame == images.frame_of(data.sample(int(row)).image.shape[:2], (16, 16), "pad")
    assert list(frames[1:]) == [frames[i] for i in range(1, len(frames))]
    again = sightline.load_data(tmp_path).test  # from the cache
    assert list(again.frames((16, 16), "pad")) == list(data.test.frames((16, 16), "pad"))


@pytest.mark.parametrize("how", ["pad", "stretch"])
@pytest.mark.parametrize("size", [(7, 5), (33, 47), (1, 64), (64, 64)])
def test_an_enlarged_label_map_comes_back_pixel_by_pixel(size, how):
    values = np.random.default_rng(0).integers(0, 256, size, np.uint8)
    frame = images.frame_of(size, (64, 96), how)
    assert (frame.map_out(frame.map_into(values, (64, 96), outside=255)) == values).all()
