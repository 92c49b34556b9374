"""Change pictures together with their boxes, and put them into batches of one size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from sightline.training.boxed_recipe import Augment

GREY = 127
"""Of the sheet that a picture is laid on."""

LEAST = 1.0
"""Pixels of the network's image below which the rest of a box teaches nothing."""


@dataclass(frozen=True)
class Changed:
    """Change an image and its boxes by chance, and bring them to a network's size.

    Parameters
    ----------
    size : (height, width)
        That comes out; the picture is stretched to it, as SSD does.
    augment : {"none", "flip", "ssd"}
        See `boxed_recipe.BoxedRecipe`.
    """

    size: tuple[int, int]
    augment: Augment

    def __call__(self, image: Any, target: dict[str, Any]) -> tuple[Tensor, dict[str, Any]]:
        """Change an image and its target.

        Parameters
        ----------
        image : tv_tensors.Image, uint8, shape (C, H, W)
        target : dict
            As `sightline.data.transforms.to_tensors` gives it. What belongs to a crowd is left
            out: it is no box of one object.

        Returns
        -------
        image : uint8 Tensor, shape (C, height, width)
        target : dict
            ``boxes``, float32 (G, 4), xyxy in pixels of that image, and ``labels``, int64 (G,).
        """
        height, width = image.shape[-2:]
        boxes = target.get("boxes", torch.zeros((0, 4)))
        labels = target.get("labels", torch.zeros(0, dtype=torch.int64))
        if "crowd" in target:
            boxes, labels = boxes[~target["crowd"]], labels[~target["crowd"]]
        known = {
            "boxes": tv_tensors.BoundingBoxes(
                boxes.float(), format="XYXY", canvas_size=(height, width)
            ),
            "labels": labels,
        }  # fmt: skip
        image, known = self._steps(image.shape[0] == 3)(image, known)
        kept = ((known["boxes"][:, 2:] - known["boxes"][:, :2]) >= LEAST).all(1)
        return image.as_subclass(Tensor), {
            "boxes": known["boxes"].as_subclass(Tensor)[kept], "labels": known["labels"][kept]
        }  # fmt: skip

    def _steps(self, coloured: bool) -> v2.Compose:
        steps: list[Any] = []
        if self.augment == "ssd":
            light = v2.RandomPhotometricDistort() if coloured else v2.ColorJitter(0.3, 0.3)
            steps = [light, v2.RandomZoomOut(GREY, p=0.5), v2.RandomIoUCrop()]
        if self.augment != "none":
            steps.append(v2.RandomHorizontalFlip())
        end = [v2.Resize(self.size, antialias=True), v2.ClampBoundingBoxes()]
        return v2.Compose([*steps, *end])


def batch_of(
    images: Sequence[Tensor], targets: Sequence[dict[str, Any]]
) -> tuple[Tensor, list[dict[str, Tensor]]]:
    """Make a batch: images of one size, uint8 (N, C, H, W), and their boxes and labels."""
    return torch.stack(list(images)), [
        {"boxes": t["boxes"], "labels": t["labels"]} for t in targets
    ]
