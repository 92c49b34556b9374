"""Change pictures together with the classes of their pixels, and put them into batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional

from sightline.data.images import Resize, frame_of
from sightline.training.boxes import GREY
from sightline.training.cuts import sides_of
from sightline.training.pixel_recipe import Augment
from sightline.types import IGNORE

SLANTED = 0.5
"""Share of the pictures without an upper side that are turned by any angle besides."""


@dataclass(frozen=True)
class Changed:
    """Change an image and its classes by chance, and bring them to a network's size.

    Classes move by taking the nearest pixel's: they are never interpolated.

    Parameters
    ----------
    size : (height, width)
        That comes out.
    augment : {"none", "flip", "scene", "turns"}
        See `pixel_recipe.PixelRecipe`.
    resize : str
        See `sightline.data.images.resize`: ``pad`` keeps the shape of things, else they are
        stretched.
    ignored : tuple of int
        Classes whose pixels do not count.
    cut : float
        Share of the size, in (0, 1], that comes out: a part by chance of what the network would be
        shown.
    zoom : float
        Parts of a picture are up to so many times as large as where the whole is seen, or as many
        times smaller.
    weigh : callable, optional
        Makes the weight of each pixel, float32 (H, W), of the numbers of objects, int (H, W), 0
        where there is none; it must be picklable.
    """

    size: tuple[int, int]
    augment: Augment
    resize: Resize = "pad"
    ignored: tuple[int, ...] = ()
    cut: float = 1.0
    zoom: float = 2.0
    weigh: Callable[[NDArray[np.int32]], NDArray[np.float32]] | None = None

    @property
    def sides(self) -> tuple[int, int]:
        """Return the height and width of what comes out."""
        return sides_of(self.size, self.cut)

    def __call__(self, image: Any, target: dict[str, Any]) -> tuple[Tensor, dict[str, Any]]:
        """Change an image and its target.

        Parameters
        ----------
        image : tv_tensors.Image, uint8, shape (C, H, W)
        target : dict
            As `sightline.data.transforms.to_tensors` gives it. Without a ``label_map`` no pixel
            counts.

        Returns
        -------
        image : uint8 Tensor, shape (C, *sides)
        target : dict
            ``labels``, uint8 (*sides), and with `weigh` ``weights``, float32.
        """
        image = image.as_subclass(Tensor)
        maps = [self._labels(image, target)]
        if self.weigh is not None:
            maps.append(_objects(target, maps[0]))
        picture, stacked = self._moved(image, torch.stack(maps))
        known: dict[str, Any] = {"labels": stacked[0].to(torch.uint8)}
        if self.weigh is not None:
            known["weights"] = torch.from_numpy(self.weigh(stacked[1].numpy()))
        return picture, known

    def _labels(self, image: Tensor, target: dict[str, Any]) -> Tensor:
        """Return the classes of the pixels as int32, 255 where they do not count."""
        if "label_map" not in target:
            return torch.full(image.shape[-2:], IGNORE, dtype=torch.int32)
        labels: Tensor = target["label_map"].as_subclass(Tensor).to(torch.int32)
        for value in self.ignored:
            labels = torch.where(labels == value, IGNORE, labels)
        return labels

    def _moved(self, image: Tensor, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Move an image and its maps (M, H, W): labels, and perhaps the numbers of objects."""
        if self.augment in ("scene", "turns"):
            distort = v2.RandomPhotometricDistort() if len(image) == 3 else v2.ColorJitter(0.3, 0.3)
            image = distort(image)
            if self.augment == "turns":
                image, maps = _turned(image, maps)
            image, maps = self._part(image, maps)
        else:
            image, maps = self._whole(image, maps)
        if self.augment != "none" and torch.rand(()) < 0.5:
            image, maps = image.flip(2), maps.flip(2)
        return image.contiguous(), maps.contiguous()

    def _whole(self, image: Tensor, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Bring the whole picture to the network's size, as it will be asked about, and cut it."""
        frame = frame_of((image.shape[1], image.shape[2]), self.size, self.resize)
        sides = [round(s * f) for s, f in zip(image.shape[1:], frame.scale, strict=True)]
        top, left = map(round, frame.offset)
        if self.cut < 1:
            down, right = (
                round(float(torch.rand(())) * (side - own))
                for side, own in zip(self.size, self.sides, strict=True)
            )
            top, left = top - down, left - right
        return self._laid(*_scaled(image, maps, sides), top, left)

    def _part(self, image: Tensor, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Cut a part by chance out of the picture at a size by chance."""
        scale = self.zoom ** (2 * float(torch.rand(())) - 1)
        fits = min(s / own for s, own in zip(self.size, image.shape[1:], strict=True))
        sides = [max(round(side * fits * scale), 1) for side in image.shape[1:]]
        top, left = (
            round(float(torch.rand(())) * (own - side))
            for own, side in zip(self.sides, sides, strict=True)
        )  # between both edges, whichever of the two is larger
        return self._laid(*_scaled(image, maps, sides), top, left)

    def _laid(self, image: Tensor, maps: Tensor, top: int, left: int) -> tuple[Tensor, Tensor]:
        """Put a picture on a sheet of the sides that come out: cut, or with a grey border."""
        size, (high, wide) = [*self.sides], image.shape[1:]
        if [high, wide] == size and not (top or left):
            return image, maps
        y, x = max(-top, 0), max(-left, 0)
        image, maps = (
            t[:, y : y + size[0] - max(top, 0), x : x + size[1] - max(left, 0)]
            for t in (image, maps)
        )
        top, left = max(top, 0), max(left, 0)
        border = [left, top, size[1] - left - image.shape[2], size[0] - top - image.shape[1]]
        return functional.pad(image, border, fill=[GREY]), functional.pad(
            maps, border, fill=_outside(maps)
        )


@dataclass(frozen=True)
class Gathered:
    """Put images of one size into a batch, and objects of some of them onto others.

    Ghiasi et al., Simple copy-paste is a strong data augmentation method for instance
    segmentation, 2021: objects are seen on other grounds, beside and behind others. Here they come
    from another image of the batch, at the place and size that it was given them at. What is
    known of a pixel moves along with it.

    Parameters
    ----------
    paste : float
        Chance, in [0, 1], that an image is given objects of another one.
    """

    paste: float = 0.0

    def __call__(
        self, images: Sequence[Tensor], targets: Sequence[dict[str, Any]]
    ) -> tuple[Tensor, list[dict[str, Any]]]:
        """Make a batch: uint8 (N, C, H, W), and what is known of each image."""
        batch, count = torch.stack(list(images)), len(images)
        if not self.paste or count < 2:
            return batch, list(targets)
        known = [dict(target) for target in targets]
        for i in range(count):
            if float(torch.rand(())) >= self.paste:
                continue
            other = (i + 1 + int(torch.randint(count - 1, ()))) % count
            chosen = _some_objects(targets[other]["labels"])
            batch[i] = torch.where(chosen, images[other], images[i])
            for name in known[i].keys() & {"labels", "weights"}:
                known[i][name] = torch.where(chosen, targets[other][name], targets[i][name])
        return batch, known


gathered = Gathered()
"""Puts images into a batch as they are."""


def _some_objects(labels: Tensor) -> Tensor:
    """Choose half of an image's objects by chance, one at least: bool (H, W)."""
    numbers = _parts(labels.numpy())
    count = int(numbers.max())
    taken = torch.rand(count + 1) < 0.5
    if count and not taken[1:].any():
        taken[1 + int(torch.randint(count, ()))] = True
    taken[0] = False
    return taken[torch.from_numpy(numbers).long()]


def _turned(image: Tensor, maps: Tensor) -> tuple[Tensor, Tensor]:
    """Turn a picture and its maps by quarters, and half of the time by any angle between them."""
    if turns := int(torch.randint(4, ())):
        image, maps = (torch.rot90(x, turns, (1, 2)) for x in (image, maps))
    if float(torch.rand(())) >= SLANTED:
        return image, maps
    angle = 90 * float(torch.rand(())) - 45
    smooth = InterpolationMode.BILINEAR
    return functional.rotate(image, angle, smooth, fill=[GREY]), functional.rotate(
        maps, angle, InterpolationMode.NEAREST, fill=_outside(maps)
    )


def _outside(maps: Tensor) -> list[int]:
    """Return what lies beyond a picture: of labels, and of the numbers of objects."""
    return [IGNORE, 0][: len(maps)]


def _scaled(image: Tensor, maps: Tensor, sides: list[int]) -> tuple[Tensor, Tensor]:
    """Resize a picture smoothly, and its maps by the nearest pixel, exactly."""
    if [*image.shape[1:]] == sides:
        return image, maps
    return functional.resize(image, sides, antialias=True), functional.resize(
        maps, sides, interpolation=InterpolationMode.NEAREST_EXACT
    )


def _objects(target: dict[str, Any], labels: Tensor) -> Tensor:
    """Return the number of the object at each pixel, 0 where there is none, as int32 (H, W)."""
    numbers: NDArray[np.int32] = np.zeros(labels.shape, np.int32)
    if "masks" in target:
        masks = target["masks"].as_subclass(Tensor).numpy()
        order = np.argsort(-masks.sum((1, 2)), kind="stable")  # small ones stay on top
        for number, row in enumerate(order.tolist(), 1):
            numbers[masks[row]] = number
        return torch.from_numpy(numbers)
    return torch.from_numpy(_parts(labels.numpy()))


def _parts(labels: NDArray[np.integer[Any]]) -> NDArray[np.int32]:
    """Number the connected pixels of each class but the first: 0 where there are none."""
    numbers: NDArray[np.int32] = np.zeros(labels.shape, np.int32)
    for value in np.setdiff1d(np.unique(labels), (0, IGNORE)):
        parts, _ = ndimage.label(labels == value)
        numbers = np.where(parts > 0, parts + numbers.max(), numbers).astype(np.int32)
    return numbers
