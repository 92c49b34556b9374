"""Cut parts of one size out of pictures by chance, and say how large they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from sightline.errors import ParameterError

LEAST = 0.5
"""Share of a picture's shorter side that a part has at least."""


@dataclass(frozen=True)
class Cut:
    """Cut a square out of a picture, scale it to a side, and mirror it, by chance.

    Parameters
    ----------
    side : int
        Pixels that come out.
    """

    side: int

    def __call__(self, image: Any, target: dict[str, Any]) -> tuple[Tensor, dict[str, Any]]:
        """Cut a part out of an image, uint8 (C, H, W); nothing is known of it."""
        picture = image.as_subclass(Tensor)
        height, width = picture.shape[-2:]
        share = LEAST + (1 - LEAST) * float(torch.rand(()))
        side = max(round(min(height, width) * share), 1)
        top, left = (int(torch.randint(0, room - side + 1, ())) for room in (height, width))
        part = functional.resized_crop(
            picture, top, left, side, side, [self.side, self.side], antialias=True
        )
        return (part.flip(2) if torch.rand(()) < 0.5 else part).contiguous(), {}


def sides_of(size: tuple[int, int], cut: float) -> tuple[int, int]:
    """Return the height and width of a part of an image whose sides are a share of the image's."""
    height, width = (max(round(side * cut), 1) for side in size)
    return height, width


def check_cut(size: tuple[int, int], cut: float, method: str, smallest: int) -> None:
    """Refuse parts of images that are too small for a network to learn from.

    Parameters
    ----------
    size : (height, width)
        Of the network's images.
    cut : float
        Share of the sides that is learned from at a time.
    method : str
    smallest : int
        Pixels a side that it needs.

    Raises
    ------
    ParameterError
    """
    height, width = sides_of(size, cut)
    if min(height, width) < smallest:
        raise ParameterError(
            f"cut={cut:g} leaves {height} x {width} pixels, and {method} needs {smallest} a side"
        )
