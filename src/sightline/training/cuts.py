"""Cut parts of one size out of pictures by chance, for what learns from pictures alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

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
