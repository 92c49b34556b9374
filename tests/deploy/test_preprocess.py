"""The graph that resizes a picture gives Pillow's bytes."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from PIL import Image

from sightline.data import images
from sightline.deploy.preprocess import Resized

SHAPES = [(48, 64), (64, 33), (32, 32), (20, 31), (5, 200), (301, 17), (1, 1)]


@pytest.mark.parametrize("how", get_args(images.Resize))
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("size", [(32, 32), (20, 48)])
def test_a_resized_picture_has_pillows_bytes(how, mode, size):
    resized = Resized(size, mode, how)
    different = total = 0
    for shape in SHAPES:
        pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
        wanted = images.prepare(pixels, size, mode, how)[0].astype(int)
        found = resized(torch.from_numpy(pixels))[0].numpy().astype(int)
        assert found.shape == wanted.shape
        assert np.abs(found - wanted).max() <= 1, shape
        different, total = different + (found != wanted).sum(), total + wanted.size
    assert different / total < (0.03 if how == "imagenet-bilinear" else 0.02)  # more halves


def test_grey_is_pillows_grey():
    pixels = np.random.default_rng(1).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    found = Resized((32, 32), "L", "crop")(torch.from_numpy(pixels))[0, :, :, 0].numpy()
    assert (found == np.asarray(Image.fromarray(pixels).convert("L"))).all()
