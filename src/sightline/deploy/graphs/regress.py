"""Turn fitted methods that say a number into graphs: uint8 images to numbers and their reach."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sightline.deploy.graphs.classify import Scaled
from sightline.errors import ParameterError
from sightline.estimators.regress import Regressor
from sightline.estimators.regress_network import ValueNetwork
from sightline.models.features import Standardised
from sightline.models.regress.rows import MeanValue, NeighbourValue, RidgeValue
from sightline.training.views import views


def graph(run: Regressor) -> nn.Module:
    """Return a fitted method as a graph.

    Parameters
    ----------
    run : Regressor
        Fitted.

    Returns
    -------
    Module
        uint8 images, shape (N, H, W, C), to ``value`` and ``reach``, float32 (N,).

    Raises
    ------
    ParameterError
        When the method has no graph.
    """
    method = run.method_
    reach = float(method.reach_[0])
    if isinstance(method, ValueNetwork):
        return Within(nn.Identity(), Numbered(method), reach).eval()
    build = next((b for kind, b in _BUILDERS.items() if isinstance(method, kind)), None)
    if build is None or getattr(method, "metric", "cosine") == "l1":
        raise ParameterError(f"the method {run.name} has no ONNX graph, so it cannot be exported")
    return Within(Rows(run.fitted()), build(method), reach).eval()


class Rows(nn.Module):
    """Preprocessing, frozen features included, as rows of numbers."""

    def __init__(self, fitted: Any) -> None:
        super().__init__()
        self.scaled = Scaled(fitted)

    def forward(self, images: Tensor) -> Tensor:
        """Return rows (N, D) of uint8 images (N, H, W, C)."""
        return cast(Tensor, self.scaled(images)).flatten(1).float()


class Within(nn.Module):
    """A number with the reach of its interval."""

    def __init__(self, before: nn.Module, method: nn.Module, reach: float) -> None:
        super().__init__()
        self.before, self.method, self.reach = before, method, reach

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Answer for uint8 images (N, H, W, C)."""
        value = self.method(self.before(images))
        return value, value * 0 + self.reach


class Numbered(nn.Module):
    """A network's one output in the unit of the numbers, averaged over the run's views."""

    def __init__(self, network: ValueNetwork) -> None:
        super().__init__()
        self.standardised = Standardised(network.mean_, network.std_)
        self.model = network.model
        self.tta = network.recipe(int(network.side_.max())).tta
        self.mean, self.deviation = (float(one) for one in network.scale_)

    def forward(self, images: Tensor) -> Tensor:
        """Return numbers of uint8 images (N, H, W, C)."""
        parts = [
            weight * self.model(view).float()[:, 0]
            for weight, view in views(self.standardised(images), self.tta)
        ]
        said = torch.stack(parts).sum(0) if len(parts) > 1 else parts[0]
        return said * self.deviation + self.mean


def _kept(array: Any) -> Tensor:
    return torch.from_numpy(np.array(array, np.float32))


class Always(nn.Module):
    """The mean, whatever the image shows."""

    def __init__(self, method: MeanValue) -> None:
        super().__init__()
        self.mean = float(method.mean_[0])

    def forward(self, rows: Tensor) -> Tensor:
        """Answer for rows (N, D)."""
        return rows[:, 0] * 0 + self.mean


class Line(nn.Module):
    """A ridge regression."""

    def __init__(self, method: RidgeValue) -> None:
        super().__init__()
        self.register_buffer("centre", _kept(method.centre_))
        self.register_buffer("coef", _kept(method.coef_))
        self.intercept = float(method.intercept_[0])

    def forward(self, rows: Tensor) -> Tensor:
        """Answer for rows (N, D)."""
        return (rows - cast(Tensor, self.centre)) @ cast(Tensor, self.coef) + self.intercept


class Near(nn.Module):
    """The mean number of the nearest training images; see `NeighbourValue`."""

    def __init__(self, method: NeighbourValue) -> None:
        super().__init__()
        bank = _kept(method.bank_.reshape(len(method.bank_), -1))
        self.cosine = method.metric == "cosine"
        if self.cosine:
            bank = functional.normalize(bank)
        self.register_buffer("bank", bank.T.contiguous())
        self.register_buffer("squares", (bank * bank).sum(1))
        self.register_buffer("known", _kept(method.known_))
        self.k = min(method.k, len(method.bank_))

    def forward(self, rows: Tensor) -> Tensor:
        """Answer for rows (N, D)."""
        products = rows @ cast(Tensor, self.bank)
        near = products if self.cosine else 2 * products - cast(Tensor, self.squares)
        return cast(Tensor, self.known)[near.topk(self.k, 1).indices].mean(1)


_BUILDERS: dict[type[Any], Callable[[Any], nn.Module]] = {
    MeanValue: Always, RidgeValue: Line, NeighbourValue: Near,
}  # fmt: skip
