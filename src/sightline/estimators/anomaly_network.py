"""Train an autoencoder on good pictures, and grade pictures by what it cannot give back."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from sightline.data.dataset import Split
from sightline.data.transforms import Fitted
from sightline.estimators.base import Fitting
from sightline.estimators.network import NetworkMethod, mean_and_std, time_left
from sightline.models.anomaly.autoencoder import error_map
from sightline.models.anomaly.method import AnomalyMethod
from sightline.training.good_recipe import GoodRecipe

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sightline.training.engine import Judge, Training

CELL = 4
"""Pixels a side of the cells that errors are averaged over."""


class AnomalyNetwork(NetworkMethod, AnomalyMethod):
    """An autoencoder that learns from good pictures; see `AnomalyMethod`."""

    recipe_type = GoodRecipe
    share = False

    def __init__(self, card: Any, options: Mapping[str, Any], seed: int = 0) -> None:
        super().__init__(card, options, seed)
        self.false_alarms = cast(GoodRecipe, self.recipe(1)).false_alarms

    def learn(self, train: Split, val: Split | None, fitted: Fitted, how: Fitting) -> int:
        """Train on a split of good pictures; return how many could be read.

        Raises
        ------
        DataError, TrainingError, RunError
            When a picture cannot be read, or training fails.
        """
        begun = time.perf_counter()
        training = self.training(train, fitted, val, how)
        self.run(training, how.progress, time_left(how.budget, begun), how.resume, how.on_epoch)
        return int(training.feed.n)

    def training(self, train: Split, fitted: Fitted, val: Split | None, how: Fitting) -> Training:
        """Build the network, ready to be trained; see `learn`."""
        from sightline.training.engine import Training
        from sightline.training.packed_feed import PackedFeed

        X = train.arrays(fitted.size, fitted.resize, how.progress).X
        recipe = cast(GoodRecipe, self.suited(max(fitted.size), len(X)))
        self.classes_ = np.zeros(0, np.int64)
        self.mean_, self.std_ = mean_and_std(X)
        fabric = self.start(recipe, fitted.size, fitted.shape[2])
        feed = PackedFeed(
            X, np.zeros(len(X), np.int64), self.mean_, self.std_, 1, recipe.unchanged,
            fabric.device, self.seed, fabric.global_rank, fabric.world_size,
        )  # fmt: skip

        def loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
            images, _ = batch
            return cast("Tensor", (model(images).float() - images).square().mean())

        judges = {} if val is None else {"val": self.judge(val, fitted)}
        return Training(
            fabric, self.model, feed, recipe, loss, judges, higher_is_better=False,
            folder=how.folder,
        )  # fmt: skip

    def judge(self, split: Split, fitted: Fitted) -> Judge:
        """Return what measures the error on a split of good pictures."""
        X = split.arrays(fitted.size, fitted.resize).X

        def judge(model: nn.Module) -> dict[str, float]:
            squared = [self._errors(model, X[i : i + self.batch]) ** 2
                       for i in range(0, len(X), self.batch)]  # fmt: skip
            return {"loss": float(np.concatenate(squared).mean())}

        return judge

    def distances(self, seen: NDArray[Any]) -> NDArray[np.float32]:
        """Return the error in each cell of images (N, H, W, C): (N, h, w)."""
        parts = [
            self._errors(self.model, seen[i : i + self.batch])
            for i in range(0, len(seen), self.batch)
        ]
        return np.concatenate(parts)

    def _errors(self, model: nn.Module, X: NDArray[np.uint8]) -> NDArray[np.float32]:
        import torch

        model.eval()
        device = next(model.parameters()).device
        with torch.inference_mode():
            x = self.standardised(X, device)
            return error_map(x, model(x).float(), CELL).cpu().numpy()

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of any network, and the threshold."""
        return super().arrays() | {"held_": self.held_, "limit_": self.limit_}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Restore the network from what `arrays` returned; see `NetworkMethod.restore`."""
        self.held_, self.limit_ = arrays["held_"], arrays["limit_"]
        super().restore(arrays)
