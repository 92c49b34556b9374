"""Make any classifier of the registry say several labels: by a sigmoid for each of them."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataError, ParameterError
from sightline.estimators.classify_network import SEEN, ModuleClassifier
from sightline.estimators.network import SAMPLE, mean_and_std, time_left
from sightline.metrics.multilabel import average_precisions
from sightline.training.labelled_recipe import LabelledRecipe
from sightline.training.views import views
from sightline.types import Progress

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from torch import Tensor, nn

    from sightline.training.engine import Judge, OnEpoch, Training
    from sightline.training.labelled_feed import LabelledFeed

Loss = Callable[["nn.Module", tuple["Tensor", "Tensor"]], "Tensor"]


class LabelNetwork(ModuleClassifier):
    """A network of the registry with a sigmoid for each label; see `ModuleClassifier`.

    Attributes
    ----------
    classes_ : int64 array, shape (K,)
        All labels of the data.
    """

    def recipe(self, side: int) -> LabelledRecipe:
        """Return the recipe for images of so many pixels a side.

        Raises
        ------
        ParameterError
            When it asks for what needs one label an image.
        """
        recipe = super().recipe(side)
        if recipe.balance != "none":
            raise ParameterError(
                f"balance={recipe.balance} is for one label an image; {self.card.name} has several"
            )
        if recipe.stream == "on":
            raise ParameterError(f"{self.card.name} takes images packed: stream=off, or auto")
        return recipe

    def fit(  # type: ignore[override]
        self, X: NDArray[np.uint8], Y: NDArray[np.bool_], *,
        X_val: NDArray[np.uint8] | None = None, y_val: NDArray[np.bool_] | None = None,
        progress: Progress | None = None, budget: float | None = None,
        folder: Path | None = None, resume: bool = False, on_epoch: OnEpoch | None = None,
    ) -> LabelNetwork:  # fmt: skip
        """Train on images, shape (N, H, W, C), and their labels, bool (N, K).

        See `ModuleClassifier.fit`.
        """
        begun = time.perf_counter()
        judges: dict[str, Judge] = {}
        if X_val is not None and y_val is not None and self._tells(y_val):
            some = np.sort(np.random.default_rng(self.seed).permutation(len(X))[:SEEN])
            judges = {
                name: self.judge(functools.partial(self._in_parts, images, labels))
                for name, images, labels in (("val", X_val, y_val), ("train", X[some], Y[some]))
                if self._tells(labels)
            }
        training = self.training(X, Y, judges, folder)
        self.run(training, progress, time_left(budget, begun), resume, on_epoch)
        return self

    def training(
        self, X: NDArray[np.uint8], y: NDArray[Any], judges: Mapping[str, Judge] | None = None,
        folder: Path | None = None,
    ) -> Training:  # fmt: skip
        """Build the network for these images and labels, bool (N, K), ready to be trained."""
        from sightline.training.packed_feed import PackedFeed

        if X.ndim != 4 or X.dtype != np.uint8:
            raise DataError("a network takes bytes of shape (N, H, W, C): use scale=none")
        self.mean_, self.std_ = mean_and_std(X)
        rows = np.sort(np.random.default_rng(self.seed).permutation(len(X))[:SAMPLE])

        def feed(
            numbers: NDArray[np.int64], recipe: LabelledRecipe, fabric: Fabric
        ) -> LabelledFeed:
            return PackedFeed(
                X, numbers, self.mean_, self.std_, 1, recipe, fabric.device, self.seed,
                fabric.global_rank, fabric.world_size, targets=y.astype(np.float32),
            )  # fmt: skip

        recipe = dataclasses.replace(self.suited(max(X.shape[1:3]), len(X)), head_first=False)
        shape = (X.shape[1], X.shape[2], X.shape[3])
        return self.ready(recipe, y, shape, feed, lambda: (X[rows], y[rows]), judges, folder)

    def _numbered(self, y: NDArray[Any]) -> NDArray[np.int64]:
        self.classes_ = np.arange(y.shape[1])
        return np.zeros(len(y), np.int64)

    def _tells(self, y: NDArray[Any]) -> bool:
        """Return whether anything can be judged by the labels of images."""
        return bool(y.any())

    def _loss(self, feed: LabelledFeed) -> Loss:
        def loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
            return binary_cross_entropy(model(batch[0]), batch[1])

        return loss

    def judge(self, parts: Callable[[], Iterable[tuple[NDArray[np.uint8], NDArray[Any]]]]) -> Judge:
        """Return what measures mean average precision and loss on images, given in parts."""
        import torch

        def judge(model: nn.Module) -> dict[str, float]:
            device = next(model.parameters()).device
            model.eval()
            logits, labels = [], []
            with torch.inference_mode():
                for X, y in parts():
                    logits.append(model(self.standardised(X, device)).float().cpu())
                    labels.append(torch.from_numpy(y.astype(np.float32)))
            said, true = torch.cat(logits), torch.cat(labels)
            seen = average_precisions(said.numpy(), true.numpy() > 0.5)[0]
            loss = float(binary_cross_entropy(said, true))
            return {"mean_average_precision": float(np.nanmean(seen)), "loss": loss}

        return judge

    def probabilities(self, X: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probability of each label of images (M, H, W, C), shape (M, K)."""
        import torch

        if X.shape[1:3] != tuple(self.side_):
            raise DataError(f"trained on {tuple(self.side_)} pixels, asked about {X.shape[1:3]}")
        out = np.empty((len(X), len(self.classes_)), np.float32)
        device = next(self.model.parameters()).device
        self.model.eval()
        tta = self.recipe(int(self.side_.max())).tta
        with torch.inference_mode():
            for start in range(0, len(X), self.batch):
                part = slice(start, start + self.batch)
                x = self.standardised(X[part], device)
                p = torch.zeros((len(x), out.shape[1]), device=device)
                for weight, view in views(x, tta):
                    p += weight * torch.sigmoid(self.model(view).float())
                out[part] = p.cpu().numpy()
        return out


def binary_cross_entropy(output: Any, target: Tensor) -> Tensor:
    """Return the mean over images of the sum over labels, of logits (N, K) and shares (N, K).

    Of a network with auxiliary heads those count 0.3 each, as in classification.
    """
    import torch
    from torch.nn import functional

    if isinstance(output, tuple):
        main, *others = (binary_cross_entropy(o, target) for o in output if o is not None)
        return main + 0.3 * sum(others, torch.zeros((), device=target.device))
    losses = functional.binary_cross_entropy_with_logits(output.float(), target, reduction="none")
    return losses.sum(1).mean()
