"""Turn networks that find objects with masks into graphs, from uint8 images.

Of boxes with masks, what overlaps a better answer is dropped inside the graph, as a detector's is,
and the masks of what is left are computed after it. Of maps the graph gives the maps: what parts
them into objects is no operator of ONNX (`models.instances.flooding`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn

from sightline.deploy.graphs import detect
from sightline.deploy.instances import MAPS
from sightline.errors import ParameterError
from sightline.estimators.instances import InstanceSegmenter
from sightline.models.features import Standardised
from sightline.models.instances.mask_rcnn import MaskHeads, MaskRCNN
from sightline.models.instances.watershed import Watershed

translations: Callable[[], dict[Any, Callable[..., Any]]] = detect.translations


def graph(run: InstanceSegmenter) -> nn.Module:
    """Return a fitted method as a graph.

    Parameters
    ----------
    run : InstanceSegmenter
        Fitted.

    Returns
    -------
    Module
        uint8 images, shape (N, H, W, C), to a detector's outputs and ``masks``, float32
        (N, K, 28, 28); or to ``maps``, float32 (N, C + 3, H, W).

    Raises
    ------
    ParameterError
        When the method has no graph.
    """
    method = run.method_
    standardised = Standardised(method.mean_, method.std_)
    if isinstance(method.model, MaskRCNN):
        return Masked(standardised, method.model).eval()
    if isinstance(method.model, Watershed):
        return Mapped(standardised, method.model).eval()
    raise ParameterError(f"the method {run.name} has no ONNX graph, so it cannot be exported")


class Masked(nn.Module):
    """Mask R-CNN, with the choice among its boxes and the masks of what is chosen."""

    def __init__(self, standardised: nn.Module, model: MaskRCNN) -> None:
        super().__init__()
        self.standardised, self.model = standardised, model

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Answer for uint8 images (N, H, W, C)."""
        said = self.model.outputs(self.standardised(images))
        candidates, scores = self.model.candidates(said)
        boxes, best, labels = detect.chosen(
            candidates, scores.transpose(1, 2), self.model.answering
        )
        n, k = labels.shape
        rows = torch.arange(n, device=labels.device)[:, None].expand(n, k).flatten()
        heads = cast(MaskHeads, self.model.roi_heads)
        masks = heads.masks_of(
            said.maps[:-1], boxes.flatten(0, 1), labels.flatten(), rows, said.scored.size
        )
        return boxes, best, labels, masks.view(n, k, *masks.shape[1:])


class Mapped(nn.Module):
    """A network whose maps a watershed splits."""

    names = (MAPS,)

    def __init__(self, standardised: nn.Module, model: Watershed) -> None:
        super().__init__()
        self.standardised, self.model = standardised, model

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """Compute the maps of uint8 images (N, H, W, C)."""
        return (self.model.maps(self.standardised(images)),)
