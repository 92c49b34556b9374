"""Turn fitted methods that say several labels into graphs: uint8 images to probabilities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sightline.deploy.graphs.classify import Scaled
from sightline.errors import ParameterError
from sightline.estimators.multilabel import Labeller
from sightline.estimators.multilabel_network import LabelNetwork
from sightline.models.features import Standardised
from sightline.models.multilabel.rows import LabelFrequency, LabelLogistic, NeighbourLabels
from sightline.training.views import views


def graph(run: Labeller) -> nn.Module:
    """Return a fitted method as a graph.

    Parameters
    ----------
    run : Labeller
        Fitted.

    Returns
    -------
    Module
        uint8 images, shape (N, H, W, C), to ``probabilities``, float32 (N, K).

    Raises
    ------
    ParameterError
        When the method has no graph.
    """
    method = run.method_
    if isinstance(method, LabelNetwork):
        return Sigmoids(method).eval()
    build = next((b for kind, b in _BUILDERS.items() if isinstance(method, kind)), None)
    if build is None or getattr(method, "metric", "cosine") == "l1":
        raise ParameterError(f"the method {run.name} has no ONNX graph, so it cannot be exported")
    return Said(Scaled(run.fitted()), build(method)).eval()


class Said(nn.Module):
    """Preprocessing, and a method on rows of numbers."""

    def __init__(self, scaled: nn.Module, method: nn.Module) -> None:
        super().__init__()
        self.scaled, self.method = scaled, method

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """Return probabilities of uint8 images (N, H, W, C)."""
        rows = self.scaled(images).flatten(1).float()
        return (self.method(rows),)


class Sigmoids(nn.Module):
    """A network with a sigmoid for each label; averages over the run's views of an image."""

    def __init__(self, network: LabelNetwork) -> None:
        super().__init__()
        self.standardised = Standardised(network.mean_, network.std_)
        self.model = network.model
        self.tta = network.recipe(int(network.side_.max())).tta

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """Return probabilities of uint8 images (N, H, W, C)."""
        parts = [
            weight * torch.sigmoid(self.model(view).float())
            for weight, view in views(self.standardised(images), self.tta)
        ]
        return (torch.stack(parts).sum(0) if len(parts) > 1 else parts[0],)


def _kept(array: Any) -> Tensor:
    return torch.from_numpy(np.array(array, np.float32))


class Always(nn.Module):
    """The frequency of each label, whatever the image shows."""

    def __init__(self, method: LabelFrequency) -> None:
        super().__init__()
        self.register_buffer("shares", _kept(method.shares_))

    def forward(self, rows: Tensor) -> Tensor:
        """Answer for rows (N, D)."""
        return cast(Tensor, self.shares) + rows[:, :1] * 0


class Lines(nn.Module):
    """A logistic regression a label."""

    def __init__(self, method: LabelLogistic) -> None:
        super().__init__()
        self.register_buffer("coef", _kept(method.coef_.T))
        self.register_buffer("intercept", _kept(method.intercept_))

    def forward(self, rows: Tensor) -> Tensor:
        """Answer for rows (N, D)."""
        return torch.sigmoid(rows @ cast(Tensor, self.coef) + cast(Tensor, self.intercept))


class Votes(nn.Module):
    """The labels of the nearest training images; see `NeighbourLabels`."""

    def __init__(self, method: NeighbourLabels) -> None:
        super().__init__()
        bank = _kept(method.bank_.reshape(len(method.bank_), -1))
        self.cosine = method.metric == "cosine"
        if self.cosine:
            bank = functional.normalize(bank)
        self.register_buffer("bank", bank.T.contiguous())
        self.register_buffer("squares", (bank * bank).sum(1))
        self.register_buffer("labels", _kept(method.labels_))
        self.register_buffer("shares", _kept(method.labels_.mean(0)))
        self.k = min(method.k, len(method.bank_))

    def forward(self, rows: Tensor) -> Tensor:
        """Answer for rows (N, D)."""
        products = rows @ cast(Tensor, self.bank)
        near = products if self.cosine else 2 * products - cast(Tensor, self.squares)
        places = near.topk(self.k, 1).indices
        votes = cast(Tensor, self.labels)[places].sum(1) + cast(Tensor, self.shares)
        return votes / (self.k + 1)


_BUILDERS: dict[type[Any], Callable[[Any], nn.Module]] = {
    LabelFrequency: Always, LabelLogistic: Lines, NeighbourLabels: Votes,
}  # fmt: skip
