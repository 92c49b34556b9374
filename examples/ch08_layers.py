"""The layers of a convolutional network by hand, on an array that fits on a page.

Run: python examples/ch08_layers.py [PICTURE.png]
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from torch.nn import functional as torchs

from sightline.data.fonts import figure


def windows(image: np.ndarray, size: int, stride: int) -> np.ndarray:
    """All size x size windows of an image, (H', W', size, size)."""
    return np.lib.stride_tricks.sliding_window_view(image, (size, size))[::stride, ::stride]


def main(picture: str = "ch08_layers.png") -> None:
    image = np.zeros((7, 7))
    image[1:6, 3] = image[1, 2] = image[5, 2:5] = 1  # the digit 1
    kernel = np.array([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])  # finds dark left, bright right
    weight = np.random.default_rng(0).normal(size=(4, 49))  # every pixel to each of four units
    maps = np.einsum("hwij,ij->hw", windows(image, 3, 1), kernel)
    hand = {
        "convolution": maps,
        "with stride 2": np.einsum("hwij,ij->hw", windows(image, 3, 2), kernel),
        "max pooling": windows(image, 2, 2).max((2, 3)),
        "batch norm": (maps - maps.mean()) / np.sqrt(maps.var() + 1e-5),
        "fully connected": (weight @ image.ravel() + 0.5)[:, None],
    }
    x, w, m, a = (torch.from_numpy(v)[None, None] for v in (image, kernel, maps, weight))
    library = {
        "convolution": torchs.conv2d(x, w),
        "with stride 2": torchs.conv2d(x, w, stride=2),
        "max pooling": torchs.max_pool2d(x, 2),
        "batch norm": torchs.batch_norm(m, None, None, training=True),
        "fully connected": torchs.linear(x.flatten(1), a[0, 0]) + 0.5,
    }
    drawing = figure(12.0, 2.6)
    panels = {"image": image} | hand
    for axes, (name, values) in zip(drawing.subplots(1, 6), panels.items(), strict=True):
        limit = abs(values).max()
        axes.imshow(values, cmap="RdBu_r", vmin=-1.6 * limit, vmax=1.6 * limit)
        for (row, column), value in np.ndenumerate(values):
            axes.text(column, row, f"{value:.2g}", ha="center", va="center", fontsize=7)
        axes.set_title(f"{name}\n{' x '.join(map(str, values.shape))}", fontsize=9)
        axes.axis("off")
    for name, values in hand.items():
        np.testing.assert_allclose(values.ravel(), library[name].numpy().ravel(), atol=1e-12)
    drawing.savefig(picture, dpi=120)
    print(f"{', '.join(hand)}: equal to torch's\npicture: {picture}")


if __name__ == "__main__":
    main(*sys.argv[1:2])
