"""Feed batches for classification that are cut at random from pictures as they are read."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sightline.data.dataset import Source, Split
from sightline.data.item import Item
from sightline.metrics import threads
from sightline.training.labelled_feed import LabelledFeed, Pair
from sightline.training.labelled_recipe import LabelledRecipe
from sightline.training.sample_feed import SampleFeed
from sightline.types import Task

RATIO = (3 / 4, 4 / 3)
"""Of width to height of the part of a picture that is cut out."""


class StreamedFeed(LabelledFeed):
    """Give what `PackedFeed` gives, without packing: images are cut from their own pixels.

    The part that is cut, of a random place, size and shape, takes the place of the recipe's shift;
    everything else that the recipe says is done to the batch.

    Parameters
    ----------
    split : Split
        Read anew in every epoch.
    size : (height, width)
        Of the images that come out.
    y, mean, std, classes, recipe, device, seed, rank, world
        See `LabelledFeed`.

    Attributes
    ----------
    samples : SampleFeed
        What reads; it knows what could not be read.
    """

    def __init__(
        self,
        split: Split,
        y: NDArray[np.int64],
        size: tuple[int, int],
        mean: NDArray[np.float32],
        std: NDArray[np.float32],
        classes: int,
        recipe: LabelledRecipe,
        device: torch.device,
        seed: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        from torchvision.transforms import v2

        recipe = replace(recipe, shift=0)
        super().__init__(y, mean, std, classes, recipe, device, seed, rank, world)
        cut = v2.RandomResizedCrop(size, scale=(recipe.crop_area, 1.0), ratio=RATIO, antialias=True)
        self.samples = SampleFeed(
            _classes_alone(split), recipe.batch_size, seed, transform=cut, collate=_stacked,
            workers=recipe.workers or to_spare(recipe.devices), chance=self.chance,
            rank=rank, world=world,
        )  # fmt: skip
        self._by_row = np.argsort(split.rows)
        self._sorted = split.rows[self._by_row]

    @property
    def digest(self) -> str:
        """Return sixteen hex digits of ids, sizes and labels; no image is decoded."""
        return self.samples.digest

    def epoch(self, epoch: int, first: int = 0) -> Iterator[Pair]:
        """Yield the batches of an epoch, from the one numbered `first` on."""
        read = self.samples.epoch(epoch, first)
        try:
            for step in range(first, self.steps):
                start = time.perf_counter()
                pixels, rows = next(read)
                places = self._by_row[np.searchsorted(self._sorted, rows)]
                x = self.standardised(pixels.to(self.device).permute(0, 2, 3, 1))
                batch = self.finished(x, places, epoch, step)
                self.waited += time.perf_counter() - start
                yield batch
            next(read, None)  # that it ends by itself, and its processes stay for the next epoch
        finally:
            read.close()


def to_spare(devices: int) -> int:
    """Return how many processes may read for each of the training's: one a core that is left."""
    return max(0, threads.available() // devices - 1)


def _stacked(
    images: list[Tensor], targets: list[dict[str, Any]]
) -> tuple[Tensor, NDArray[np.int64]]:
    pixels = torch.stack([image.as_subclass(Tensor) for image in images])
    return pixels, np.array([target["row"] for target in targets], np.int64)


def _classes_alone(split: Split) -> Split:
    """Return a split without boxes and masks, which would be drawn and cut for nothing."""
    source = split.data.source
    items = [Item(item.id, item.image, item.label) for item in source.items]
    bare = Source(items, source.mode, source.size, {}, source.recipe)
    return Split(replace(split.data, source=bare, tasks=(Task.CLASSIFY,)), split.name, split.rows)
