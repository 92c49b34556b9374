"""Turn networks that make pictures into graphs: a decoder of noise, or one evaluation of a flow."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from sightline.estimators.generate import Generator
from sightline.estimators.generate_network import FlowNetwork
from sightline.models.generate.network import Generative


def graph(run: Generator) -> nn.Module:
    """Return a fitted network as a graph.

    Parameters
    ----------
    run : Generator
        Fitted.

    Returns
    -------
    Module
        Of a flow: points (N, C, H, W), times (N,) and, where it knows classes, classes (N,), to
        ``velocity``. Of others: noise (N, *latent) and classes to ``made``, uint8 (N, H, W, C).
    """
    if isinstance(run.method_, FlowNetwork):
        return Velocity(run.method_.model).eval()
    return Maker(run.method_.model).eval()


def inputs(run: Generator) -> dict[str, Tensor]:
    """Return an example of each input of the graph, two rows each."""
    model: Generative = run.method_.model
    noise = torch.zeros(2, *model.latent)
    label = {"label": torch.zeros(2, dtype=torch.int64)} if model.classes else {}
    if isinstance(run.method_, FlowNetwork):
        return {"points": noise, "time": torch.tensor([0.0, 0.5])} | label
    return {"noise": noise} | label


def asks(run: Generator) -> dict[str, Any]:
    """Return what who uses the graph needs to know, for its metadata."""
    method = run.method_
    model: Generative = method.model
    flow = isinstance(method, FlowNetwork)
    known = {
        "kind": "flow" if flow else "decoder", "latent": list(model.latent),
        "classes": bool(model.classes), "pixels": list(model.pixels),
    }  # fmt: skip
    return known | (method.how() if flow else {})


class Velocity(nn.Module):
    """One evaluation of a flow; without classes it takes none."""

    names = ("velocity",)

    def __init__(self, model: Generative) -> None:
        super().__init__()
        self.model = model

    def forward(self, points: Tensor, time: Tensor, label: Tensor | None = None) -> tuple[Tensor]:
        """Compute velocities."""
        y = torch.zeros_like(time, dtype=torch.int64) if label is None else label
        return (cast(Tensor, self.model(points, time, y)).float(),)


class Maker(nn.Module):
    """A decoder or a generator whose pictures are bytes."""

    names = ("made",)

    def __init__(self, model: Generative) -> None:
        super().__init__()
        self.model = model
        self.mean, self.std = model.pixels

    def forward(self, noise: Tensor, label: Tensor | None = None) -> tuple[Tensor]:
        """Compute pictures."""
        y = torch.zeros_like(noise[:, 0], dtype=torch.int64) if label is None else label
        made = (self.model.draw(noise, y) * self.std + self.mean) * 255
        return (made.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1),)
