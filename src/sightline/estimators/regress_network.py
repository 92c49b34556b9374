"""Make any classifier of the registry say a number: one output, and the Huber loss."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from sightline.errors import ParameterError
from sightline.estimators.multilabel_network import LabelNetwork, Loss
from sightline.models.regress.rows import ValueMethod
from sightline.training.valued_recipe import ValuedRecipe
from sightline.training.views import views

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from sightline.training.engine import Judge, Training
    from sightline.training.labelled_feed import LabelledFeed
    from sightline.training.labelled_recipe import LabelledRecipe

LEAST = 1e-9
"""Deviation of numbers that are all alike."""


class ValueNetwork(LabelNetwork, ValueMethod):
    """A network of the registry with a number as its answer; see `ModuleClassifier`.

    Attributes
    ----------
    scale_ : float64 array, shape (2,)
        Mean and deviation of the training images' numbers, which the network's are in.
    """

    recipe_type = ValuedRecipe
    share = False
    higher_is_better = False
    scale_: NDArray[np.float64]

    def __init__(self, card: Any, options: Mapping[str, Any], seed: int = 0) -> None:
        super().__init__(card, options, seed)
        self.coverage = cast(ValuedRecipe, self.recipe(1)).coverage

    def recipe(self, side: int) -> LabelledRecipe:
        """Return the recipe for images of so many pixels a side; numbers are not smoothed.

        Raises
        ------
        ParameterError
            When it asks for what needs labels.
        """
        if self.options.get("smoothing"):
            raise ParameterError(f"smoothing is for labels; {self.card.name} says a number")
        return dataclasses.replace(super().recipe(side), smoothing=0.0)

    def training(
        self, X: NDArray[np.uint8], y: NDArray[Any], judges: Mapping[str, Judge] | None = None,
        folder: Path | None = None,
    ) -> Training:  # fmt: skip
        """Build the network for these images and numbers, (N,), ready to be trained."""
        numbers = np.asarray(y, np.float64).reshape(-1)
        self.scale_ = np.array([numbers.mean(), max(float(numbers.std()), LEAST)])
        scaled = ((numbers - self.scale_[0]) / self.scale_[1])[:, None]
        return super().training(X, scaled, judges, folder)

    def _tells(self, y: NDArray[Any]) -> bool:
        return bool(len(y))

    def _loss(self, feed: LabelledFeed) -> Loss:
        def loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
            return huber(model(batch[0]), batch[1])

        return loss

    def judge(self, parts: Callable[[], Iterable[tuple[NDArray[np.uint8], NDArray[Any]]]]) -> Judge:
        """Return what measures the mean absolute error on images, given in parts."""

        def judge(model: nn.Module) -> dict[str, float]:
            device = next(model.parameters()).device
            model.eval()
            off = [np.abs(self._said(model, X, device) - y) for X, y in parts()]
            return {"mean_absolute_error": float(np.concatenate(off).mean())}

        return judge

    def values(self, X: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return the number of each image, (M, H, W, C), shape (M,)."""
        device = next(self.model.parameters()).device
        self.model.eval()
        parts = [
            self._said(self.model, X[start : start + self.batch], device)
            for start in range(0, len(X), self.batch)
        ]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _said(
        self, model: nn.Module, X: NDArray[np.uint8], device: torch.device
    ) -> NDArray[np.float64]:
        import torch

        tta = self.recipe(int(self.side_.max())).tta
        with torch.inference_mode():
            said = [
                weight * model(view).float()[:, 0].double().cpu().numpy()
                for weight, view in views(self.standardised(X, device), tta)
            ]
        return np.asarray(np.sum(said, 0) * self.scale_[1] + self.scale_[0])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what a network keeps, its scale, and the errors of held-back images."""
        return super().arrays() | {n: getattr(self, n) for n in ("scale_", "off_", "reach_")}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Restore the network from what `arrays` returned; see `NetworkMethod.restore`."""
        self.scale_, self.off_, self.reach_ = (arrays[n] for n in ("scale_", "off_", "reach_"))
        super().restore(arrays)


def huber(output: Any, target: Tensor) -> Tensor:
    """Return the mean Huber loss of numbers (N, 1), in deviations (Huber, 1964).

    Of a network with auxiliary heads those count 0.3 each, as in classification.
    """
    import torch
    from torch.nn import functional

    if isinstance(output, tuple):
        main, *others = (huber(o, target) for o in output if o is not None)
        return main + 0.3 * sum(others, torch.zeros((), device=target.device))
    return functional.smooth_l1_loss(output.float(), target)
