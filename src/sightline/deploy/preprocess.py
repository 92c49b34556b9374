r"""Build Pillow's antialiased resize as a graph, for a browser or a phone without Pillow.

A resized line is a weighted sum of the pixels under it. With a reduction :math:`s` (input pixels
an output pixel, of the box that is kept), output pixel i looks at the pixels around
:math:`c_i = b + (i + 1/2) s` with a triangle of half-width :math:`\max(s, 1)`:

.. math:: w_{ij} \propto \max(0, 1 - |j + 1/2 - c_i| / \max(s, 1))

so a picture is resized by two matrix products, columns first; of ``imagenet`` the kernel is Keys's
cubic with a = -1/2, of half-width :math:`2 \max(s, 1)` (Cubic convolution interpolation for digital
image processing, 1981). Between the products values are rounded to bytes, as Pillow does, so that
the same picture gives the same bytes everywhere, but for about a value in a hundred that differs by
one where Pillow's fixed-point sum meets a half.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from sightline.data import images

GREY = (19595, 38470, 7471)
"""Weights of red, green and blue in 65,536ths: ITU-R 601-2, as Pillow rounds them."""


class Resized(nn.Module):
    """The resize of one picture to a model's size: `sightline.data.images.prepare` of RGB pixels.

    Parameters
    ----------
    size : (height, width)
    mode : {"L", "RGB"}
    how : {"crop", "stretch", "pad", "imagenet", "imagenet-bilinear"}
    """

    def __init__(self, size: tuple[int, int], mode: images.Mode, how: images.Resize) -> None:
        super().__init__()
        self.size, self.mode, self.how = size, mode, how
        self.register_buffer("grey", torch.tensor(GREY, dtype=torch.int32))

    def forward(self, image: Tensor) -> Tensor:
        """Resize a picture: uint8 (H, W, 3) to uint8 (1, height, width, C)."""
        if self.mode == "L":
            weighted = (image.int() * cast(Tensor, self.grey)).sum(2, keepdim=True)
            image = torch.bitwise_right_shift(weighted.int() + 0x8000, 16)
        height, width = (torch.ones_like(image[:, 0, 0]), torch.ones_like(image[0, :, 0]))
        sides = height.sum().double(), width.sum().double()
        rows, columns = self._weights(image, sides)
        x = image.permute(2, 0, 1).float()  # (C, H, W)
        x = _bytes(x @ columns.T)
        x = _bytes(rows @ x)
        if self.how == "pad":
            inside = rows.sum(1)[:, None] * columns.sum(1)
            x = torch.where(inside > 0.5, x, 128.0)
        return x.permute(1, 2, 0)[None].to(torch.uint8)

    def _weights(self, image: Tensor, sides: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the weight matrices of the rows, (height, H), and of the columns, (width, W)."""
        h, w = sides
        height, width = (torch.tensor(float(s), dtype=torch.float64) for s in self.size)
        zero = h * 0
        kept, placed = ((zero, h), (zero, w)), ((zero, height), (zero, width))
        if self.how == "crop":  # the largest box of the wanted shape, in the middle
            ratio = width / height
            box_w, box_h = torch.minimum(w, h * ratio), torch.minimum(h, w / ratio)
            kept = (_middle(h, box_h), _middle(w, box_w))
        elif self.how in images.CENTRED:  # the middle of a picture a little larger than the model's
            th, tw = height + images.MARGIN, width + images.MARGIN
            tall = th * w >= tw * h
            tall_w, wide_h = torch.floor(th * w / h), torch.floor(tw * h / w)
            scaled = torch.where(tall, th, wide_h), torch.where(tall, tall_w, tw)
            kept = (_cut(h, scaled[0], height), _cut(w, scaled[1], width))
        elif self.how == "pad":  # the whole picture, in the middle of grey
            wide = w / h > width / height
            new_w = torch.where(wide, width, torch.round(w / h * height).clamp(min=1))
            new_h = torch.where(wide, torch.round(h / w * width).clamp(min=1), height)
            placed = tuple(  # type: ignore[assignment]
                (start, start + new)
                for new, whole in ((new_h, height), (new_w, width))
                for start in [torch.round((whole - new) / 2)]
            )
        kernel = _cubic if self.how == "imagenet" else _triangle
        lines = [
            _weighed(torch.arange(n), side, box, place, kernel)
            for n, side, box, place in zip(
                self.size, (image[:, 0, 0], image[0, :, 0]), kept, placed, strict=True
            )
        ]
        return lines[0], lines[1]


def _middle(side: Tensor, part: Tensor) -> tuple[Tensor, Tensor]:
    start = ((side - part) * 0.5).float().double()  # Pillow takes boxes in float32
    return start, (start + part).float().double()


def _cut(side: Tensor, scaled: Tensor, part: Tensor) -> tuple[Tensor, Tensor]:
    """Return the part of a side that is the middle once the whole is scaled."""
    start = torch.round((scaled - part) / 2)
    return (
        (start * side / scaled).float().double(),
        ((start + part) * side / scaled).float().double(),
    )


def _triangle(x: Tensor) -> Tensor:
    return torch.relu(1 - x)


def _cubic(x: Tensor) -> Tensor:
    near, far = (1.5 * x - 2.5) * x * x + 1, ((2.5 - 0.5 * x) * x - 4) * x + 2
    return torch.where(x < 1, near, torch.where(x < 2, far, 0.0))


def _weighed(
    i: Tensor,
    line: Tensor,
    box: tuple[Tensor, Tensor],
    place: tuple[Tensor, Tensor],
    kernel: Callable[[Tensor], Tensor],
) -> Tensor:
    """Return a line's weights, (len(i), len(line)); rows outside `place` are 0."""
    (start, end), (first, last) = box, place
    scale = (end - start) / (last - first)
    centre = start + (i.double() - first + 0.5) * scale
    j = torch.cumsum(torch.ones_like(line, dtype=torch.float64), 0) - 0.5
    weights = kernel((j - centre[:, None]).abs() / scale.clamp(min=1))
    inside = (i.double() >= first) & (i.double() < last)
    total = weights.sum(1, keepdim=True).clamp(min=1e-12)
    return (weights / total * inside[:, None]).float()


def _bytes(x: Tensor) -> Tensor:
    """Round to whole numbers, halves up, as Pillow rounds to bytes."""
    return torch.floor(x + 0.5).clamp(0, 255)
