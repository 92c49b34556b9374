"""Change pictures together with the masks of their objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import masks_to_boxes
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as pictures

from sightline.data.images import Resize, frame_of
from sightline.errors import DataError
from sightline.training.boxes import GREY
from sightline.training.cuts import sides_of
from sightline.training.masked_recipe import Augment

SCALES = 0.7, 1.4
"""Least and largest scale, by chance, of a picture that is cut."""


@dataclass(frozen=True)
class ChangedMasks:
    """Change an image and its objects by chance, and bring them to a network's size.

    Parameters
    ----------
    size : (height, width)
        That comes out.
    augment : {"none", "flip", "cut", "cells"}
        See `masked_recipe.MaskedRecipe`.
    resize : str
        See `sightline.data.images.resize`.
    cut : float
        Share of the size, in (0, 1], that comes out: a part by chance of what the network would be
        shown.
    """

    size: tuple[int, int]
    augment: Augment
    resize: Resize = "pad"
    cut: float = 1.0

    @property
    def sides(self) -> tuple[int, int]:
        """Return the height and width of what comes out."""
        return sides_of(self.size, self.cut)

    def __call__(self, image: Any, target: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Change an image and its target.

        Parameters
        ----------
        image : tv_tensors.Image, uint8, shape (C, H, W)
        target : dict
            As `sightline.data.transforms.to_tensors` gives it.

        Returns
        -------
        image : uint8 Tensor, shape (C, *sides)
        target : dict
            ``boxes``, float32 (G, 4), the smallest ones around the masks; ``labels``; ``masks``,
            bool (G, *sides); and ``ignored``, bool (*sides): a crowd's pixels, whose masks are not
            among them. An object without a pixel left is left out.

        Raises
        ------
        DataError
            When the objects of the image have no masks.
        """
        x, masks = image.as_subclass(Tensor), _masks(target, tuple(image.shape[-2:]))
        labels = target.get("labels", torch.zeros(0, dtype=torch.int64))
        crowd = target.get("crowd", torch.zeros(len(masks), dtype=torch.bool))
        x, masks = self._turned(x, masks)
        x, masks = self._sized(x, masks)
        ignored = masks[crowd].any(0)
        kept = ~crowd & masks.flatten(1).any(1)
        masks = masks[kept]
        return x.contiguous(), {
            "boxes": _around(masks), "labels": labels[kept], "masks": masks, "ignored": ignored,
        }  # fmt: skip

    def _turned(self, x: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Turn, mirror and tint by chance."""
        if self.augment in ("cut", "cells"):
            tint = v2.RandomPhotometricDistort() if len(x) == 3 else v2.ColorJitter(0.3, 0.3)
            x = tint(x)
        if self.augment == "none":
            return x, masks
        chance = torch.rand(3).tolist()
        axes = [-1] * (chance[0] < 0.5) + [-2] * (self.augment == "cells" and chance[1] < 0.5)
        if axes:
            x, masks = x.flip(axes), masks.flip(axes)
        if self.augment == "cells" and chance[2] < 0.5:
            x, masks = x.transpose(-1, -2), masks.transpose(-1, -2)
        return x, masks

    def _sized(self, x: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Bring a picture and its masks to the network's size, or a part at another scale."""
        own = x.shape[-2], x.shape[-1]
        frame = frame_of(own, self.size, self.resize)
        by = 1.0
        if self.augment in ("cut", "cells"):
            least, most = SCALES
            by = least * (most / least) ** float(torch.rand(()))
        part = [max(round(side * s * by), 1) for side, s in zip(own, frame.scale, strict=True)]
        rooms = [side - inner for side, inner in zip(self.sides, part, strict=True)]
        placed = by == self.cut == 1
        top, left = (
            round(offset) if placed else int(torch.randint(min(room, 0), max(room, 0) + 1, ()))
            for room, offset in zip(rooms, frame.offset, strict=True)
        )
        around = [left, rooms[1] - left, top, rooms[0] - top]  # below 0: what is cut off
        x = functional.pad(pictures.resize(x, part, antialias=True), around, value=GREY)
        if not len(masks):
            return x, masks.new_zeros((0, *self.sides))
        # Each pixel is that of the nearest place: a mask is no number between others.
        nearest = functional.interpolate(masks[None].byte(), part, mode="nearest-exact")[0]
        return x, functional.pad(nearest, around).bool()


def _masks(target: dict[str, Any], size: tuple[int, ...]) -> Tensor:
    """Return the masks of a target, bool (N, H, W).

    Raises
    ------
    DataError
        When there are objects without masks.
    """
    if "masks" in target:
        masks: Tensor = target["masks"].as_subclass(Tensor)
        return masks.bool()
    if len(target.get("boxes", ())):
        raise DataError("its objects have boxes but no masks, which are to be learned")
    return torch.zeros((0, *size), dtype=torch.bool)


def _around(masks: Tensor) -> Tensor:
    """Return the smallest boxes around masks, right and lower edge exclusive: shape (G, 4)."""
    if not len(masks):
        return torch.zeros((0, 4))
    boxes: Tensor = masks_to_boxes(masks)
    boxes[:, 2:] += 1
    return boxes.float()
