"""Turn networks that draw in a style into graphs: from uint8 images to drawings of their size."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sightline.estimators.style import Stylist
from sightline.models.features import Standardised


def graph(run: Stylist) -> nn.Module:
    """Return a fitted network as a graph.

    Parameters
    ----------
    run : Stylist
        Fitted.

    Returns
    -------
    Module
        uint8 images, shape (N, H, W, 3), to ``picture``, of the same shape and kind.
    """
    method = run.method_
    return Drawing(Standardised(method.mean_, method.std_), method.model).eval()


class Drawing(nn.Module):
    """A network whose drawings are bytes."""

    def __init__(self, standardised: nn.Module, model: nn.Module) -> None:
        super().__init__()
        self.standardised, self.model = standardised, model

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """Draw uint8 images (N, H, W, 3)."""
        drawn = self.model(self.standardised(images)).float()
        return ((drawn * 255).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1),)
