"""Filters: the first layer's kernels can be read; of deeper ones, images that they answer to most.

Run: python examples/ch12_filters.py [PICTURE.png [NETWORK CLASS CLASS]]. NETWORK is a run or a
name; default: imagenet:efficientnet_lite0, which the extra `pretrained` brings. The picture shows
what filters of growing depth look for, and what is to the network most typical of two classes.
"""

from __future__ import annotations

import sys
from itertools import pairwise

import numpy as np

from sightline.data.fonts import figure
from sightline.explain import dream, filters
from sightline.explain.opened import open_network
from sightline.explain.synthesis import Ascent

NETWORK, SIDE = "imagenet:efficientnet_lite0", 64


def main(picture: str = "ch12_filters.png", name: str = NETWORK, *classes: str) -> None:
    network = open_network(name)
    convolutions = network.convolutions()
    first = next(iter(convolutions))
    kernels = filters.kernels(first, network.convolution(first).weight)
    made = [
        filters.favourite(network, layer, 6, SIDE, Ascent(steps=24))
        for layer in filters.spread(convolutions)
    ]
    for one in made:
        print(f"{one.title}: answers {one.answers.min():.1f} to {one.answers.max():.1f}")
    dreams = [
        dream.dream(network, class_name=c, steps=40, side=SIDE)
        for c in classes or ("zebra", "daisy")
    ]
    for one in dreams:
        print(f"{one.of}: from {one.answers[0]:.1f} to {one.answers[1]:.1f}")
        assert one.answers[1] > one.answers[0]
    assert all(a.depth < b.depth for a, b in pairwise(made))
    sheets = [(kernels.title, filters.mosaic(kernels.pictures, 16))]
    sheets += [(one.title, filters.mosaic(one.pictures, 6, gap=2)) for one in made]
    both = np.stack([one.pixels for one in dreams])
    sheets.append((" and ".join(one.of for one in dreams), filters.mosaic(both, 2, gap=2)))
    drawing = figure(7, 9.5, dpi=100)
    ratios = [sheet.shape[0] / sheet.shape[1] for _, sheet in sheets]
    rows = drawing.subplots(len(sheets), 1, height_ratios=ratios)
    for axes, (title, sheet) in zip(rows, sheets, strict=True):
        axes.imshow(sheet)
        axes.set_title(title, fontsize=8)
        axes.axis("off")
    drawing.savefig(picture)
    print(f"picture: {picture}")


if __name__ == "__main__":
    main(*sys.argv[1:5])
