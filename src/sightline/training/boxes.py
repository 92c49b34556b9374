"""Change pictures together with their boxes, and put them into batches of one size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from sightline.data.images import Resize, frame_of
from sightline.training.boxed_recipe import LEAST, Augment

GREY = 128
"""Of the sheet that a picture is laid on, as `sightline.data.images.resize` fills."""

LEFT = 0.1
"""Share of an object's area that must be left where pictures are put together and cut."""

STEP = 32
"""Pixels that the sides of a batch of another size are multiples of."""

Target = dict[str, Tensor]
"""``boxes``, float32 (G, 4), xyxy in pixels of the image, and ``labels``, int64 (G,); perhaps
``regions``, float32 (K, 4)."""


@dataclass(frozen=True)
class Changed:
    """Change an image and its boxes by chance, and bring them to a network's size.

    Parameters
    ----------
    size : (height, width)
        That comes out.
    augment : {"none", "flip", "ssd", "mosaic"}
        See `boxed_recipe.BoxedRecipe`; pictures are put together in `Gathered`.
    resize : str
        See `sightline.data.images.resize`: ``pad`` keeps the shape of things, else they are
        stretched.
    """

    size: tuple[int, int]
    augment: Augment
    resize: Resize = "stretch"

    def __call__(self, image: Any, target: dict[str, Any]) -> tuple[Tensor, Target]:
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
        """
        boxes = target.get("boxes", torch.zeros((0, 4)))
        labels = target.get("labels", torch.zeros(0, dtype=torch.int64))
        if "crowd" in target:
            boxes, labels = boxes[~target["crowd"]], labels[~target["crowd"]]
        known = {"boxes": _boxes(boxes, image), "labels": labels}
        image, known = self._chance(image.shape[0] == 3)(image, known)
        image, boxes = self._sized(image, known["boxes"])
        kept = ((boxes[:, 2:] - boxes[:, :2]) >= LEAST).all(1)
        return image, {"boxes": boxes[kept], "labels": known["labels"][kept]}

    def _chance(self, coloured: bool) -> v2.Compose:
        steps: list[Any] = [v2.Identity()]
        if self.augment in ("ssd", "mosaic"):
            steps.append(v2.RandomPhotometricDistort() if coloured else v2.ColorJitter(0.3, 0.3))
        if self.augment == "ssd":
            steps += [v2.RandomZoomOut(GREY, p=0.5), v2.RandomIoUCrop()]
        if self.augment != "none":
            steps.append(v2.RandomHorizontalFlip())
        return v2.Compose(steps)

    def _sized(self, image: Any, boxes: Any) -> tuple[Tensor, Tensor]:
        """Bring a picture and its boxes to the network's size."""
        part, (left, top) = self.size, (0, 0)
        if self.resize == "pad":
            frame = frame_of(tuple(image.shape[-2:]), self.size, "pad")
            sides = (s * f for s, f in zip(image.shape[-2:], frame.scale, strict=True))
            part, (top, left) = tuple(map(round, sides)), tuple(map(round, frame.offset))
        height, width = self.size
        border = [left, top, width - part[1] - left, height - part[0] - top]
        image, boxes = (functional.resize(x, list(part), antialias=True) for x in (image, boxes))
        image, boxes = (functional.pad(x, border, fill=[GREY]) for x in (image, boxes))
        cut = functional.clamp_bounding_boxes(boxes)
        return image.as_subclass(Tensor), cut.as_subclass(Tensor)


@dataclass(frozen=True)
class Gathered:
    """Make a batch of images of one size.

    Parameters
    ----------
    size : (height, width)
        Of the images that are given.
    mosaic : bool
        Whether each image becomes four, itself and three more of the batch, put together and cut,
        so that objects are seen at other sizes and among other things (Bochkovskiy et al., YOLOv4,
        2020, section 3.3; YOLOX, section 2.1).
    spread : float
        The batch's sides are multiples of 32 that differ from the network's by at most this share,
        by chance; 0: the network's own.
    scales : (least, most)
        Of the pictures that are put together.
    """

    size: tuple[int, int]
    mosaic: bool = False
    spread: float = 0.0
    scales: tuple[float, float] = (0.5, 1.5)

    def __call__(
        self, images: Sequence[Tensor], targets: Sequence[Target]
    ) -> tuple[Tensor, list[Target]]:
        """Make a batch: uint8 (N, C, H, W), and what is known of each image."""
        size = self._size()
        if self.mosaic:
            made = [self._together(i, images, targets, size) for i in range(len(images))]
            return torch.stack([x for x, _ in made]), [known for _, known in made]
        whole = torch.stack(list(images))
        if size == self.size:
            return whole, list(targets)
        by = torch.tensor([size[1] / self.size[1], size[0] / self.size[0]] * 2)
        return functional.resize(whole, list(size), antialias=True), [
            {k: v if k == "labels" else v * by for k, v in known.items()} for known in targets
        ]

    def _size(self) -> tuple[int, int]:
        """Draw the size of a batch."""
        if not self.spread:
            return self.size
        by = 1 + self.spread * (2 * float(torch.rand(())) - 1)
        height, width = (max(round(side * by / STEP), 1) * STEP for side in self.size)
        return height, width

    def _together(
        self, i: int, images: Sequence[Tensor], targets: Sequence[Target], size: tuple[int, int]
    ) -> tuple[Tensor, Target]:
        """Put four images together around a point, and cut a window out of them."""
        height, width = self.size
        others = torch.randint(len(images), (3,)).tolist()
        chance = torch.rand(5).tolist()
        x, y = round(width * (0.5 + chance[0])), round(height * (0.5 + chance[1]))
        sheet = images[i].new_full((images[i].shape[0], 2 * height, 2 * width), GREY)
        boxes, labels = [], []
        for place, k in enumerate((i, *others)):
            left, top = x - width * (place % 2 == 0), y - height * (place < 2)
            _lay(sheet, images[k], left, top)
            boxes.append(targets[k]["boxes"] + torch.tensor([left, top] * 2))
            labels.append(targets[k]["labels"])
        least, most = self.scales
        scale = least + (most - least) * chance[2]
        cut_h, cut_w = round(height / scale), round(width / scale)
        top, left = round((2 * height - cut_h) * chance[3]), round((2 * width - cut_w) * chance[4])
        image, seen = (
            functional.resized_crop(x, top, left, cut_h, cut_w, list(size), antialias=True)
            for x in (tv_tensors.Image(sheet), _boxes(torch.cat(boxes), sheet))
        )
        whole, seen = seen.as_subclass(Tensor), functional.clamp_bounding_boxes(seen)
        seen = seen.as_subclass(Tensor)
        sides = seen[:, 2:] - seen[:, :2]
        share = sides.prod(1) / (whole[:, 2:] - whole[:, :2]).prod(1).clamp(min=1e-6)
        kept = (sides >= 2 * LEAST).all(1) & (share >= LEFT)
        return image.as_subclass(Tensor), {"boxes": seen[kept], "labels": torch.cat(labels)[kept]}


def _lay(sheet: Tensor, image: Tensor, left: int, top: int) -> None:
    """Put an image onto a sheet; what is outside is cut off."""
    height, width = image.shape[-2:]
    x1, y1 = max(left, 0), max(top, 0)
    x2, y2 = min(left + width, sheet.shape[2]), min(top + height, sheet.shape[1])
    sheet[:, y1:y2, x1:x2] = image[:, y1 - top : y2 - top, x1 - left : x2 - left]


def _boxes(boxes: Tensor, image: Tensor) -> tv_tensors.BoundingBoxes:
    """Return boxes as torchvision's transforms take them."""
    size = image.shape[-2], image.shape[-1]
    return tv_tensors.BoundingBoxes(
        boxes.as_subclass(Tensor).float(), format="XYXY", canvas_size=size
    )


@dataclass(frozen=True)
class WithRegions:
    """Change an image with its boxes and the regions that were proposed in it.

    Parameters
    ----------
    changed : Changed
    regions : mapping of int to float32 Tensor, shape (K, 4)
        By the row of the image: xyxy in shares of its sides.
    """

    changed: Changed
    regions: Mapping[int, Tensor]

    def __call__(self, image: Any, target: dict[str, Any]) -> tuple[Tensor, dict[str, Any]]:
        """Change an image and its target, which has ``regions`` then, float32 (K, 4), too."""
        height, width = image.shape[-2:]
        regions = self.regions[target["row"]] * torch.tensor([width, height, width, height])
        known = target["boxes"].as_subclass(Tensor).float() if "boxes" in target else regions[:0]
        labels = target.get("labels", torch.zeros(0, dtype=torch.int64))
        crowd = target.get("crowd", torch.zeros(len(known), dtype=torch.bool))
        together = {
            "boxes": torch.cat((known, regions)),
            "labels": torch.cat((labels, torch.full((len(regions),), -1))),
            "crowd": torch.cat((crowd, torch.zeros(len(regions), dtype=torch.bool))),
        }
        image, made = self.changed(image, together)
        real = made["labels"] >= 0
        return image, {
            "boxes": made["boxes"][real], "labels": made["labels"][real],
            "regions": made["boxes"][~real],
        }  # fmt: skip
