"""Feed batches of one image size from a training set that stays on the device as bytes."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sightline.training.labelled_feed import LabelledFeed, Pair
from sightline.training.labelled_recipe import LabelledRecipe

RESIDENT = 2**31
"""Bytes of images up to which a training set is put on the device whole."""


class PackedFeed(LabelledFeed):
    """Give images and labels in batches: standardised, augmented, in a seeded order.

    Parameters
    ----------
    X : uint8 array, shape (N, H, W, C)
        Small sets are copied to the device once; larger ones (memory-mapped) batch by batch.
    y, mean, std, classes, recipe, device, seed, rank, world, targets
        See `LabelledFeed`.
    """

    def __init__(
        self,
        X: NDArray[np.uint8],
        y: NDArray[np.int64],
        mean: NDArray[np.float32],
        std: NDArray[np.float32],
        classes: int,
        recipe: LabelledRecipe,
        device: torch.device,
        seed: int,
        rank: int = 0,
        world: int = 1,
        targets: NDArray[np.float32] | None = None,
    ) -> None:
        super().__init__(y, mean, std, classes, recipe, device, seed, rank, world, targets)
        self.images: Tensor | NDArray[np.uint8] = X
        if X.nbytes <= RESIDENT:
            self.images = torch.tensor(np.ascontiguousarray(X)).to(device)

    @property
    def digest(self) -> str:
        """Return sixteen hex digits of all labels and some images."""
        some = self.images[:: max(1, self.n // 64)]
        pixels = some.cpu().numpy() if isinstance(some, Tensor) else some
        known = self.labels if self.targets is None else self.targets
        return hashlib.sha256(known.cpu().numpy().tobytes() + pixels.tobytes()).hexdigest()[:16]

    def epoch(self, epoch: int, first: int = 0) -> Iterator[Pair]:
        """Yield the batches of an epoch, from the one numbered `first` on."""
        order = self.order(epoch)
        size = self.recipe.batch_size
        for step in range(first, self.steps):
            start = time.perf_counter()
            rows = order[step * size : (step + 1) * size][self.rank :: self.world]
            batch = self.finished(self.pixels(rows), rows, epoch, step)
            self.waited += time.perf_counter() - start
            yield batch

    def pixels(self, rows: NDArray[np.int64]) -> Tensor:
        """Return standardised images of some rows, shape (N, C, H, W)."""
        if isinstance(self.images, Tensor):
            taken = self.images[torch.from_numpy(rows).to(self.device)]
        else:
            taken = torch.from_numpy(np.ascontiguousarray(self.images[np.sort(rows)]))
            taken = taken[torch.from_numpy(np.argsort(np.argsort(rows)))].to(self.device)
        return self.standardised(taken)
