"""Turn fitted semantic networks into graphs: from uint8 images to the classes of their pixels."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from sightline.errors import ParameterError
from sightline.estimators.segment import Segmenter
from sightline.estimators.segment_network import SemanticNetwork, without
from sightline.models.features import Standardised
from sightline.models.segment.baselines import AverageMap


def graph(run: Segmenter) -> nn.Module:
    """Return a fitted semantic network as a graph.

    Parameters
    ----------
    run : Segmenter
        Fitted.

    Returns
    -------
    Module
        uint8 images, shape (N, H, W, C), to ``labels``, uint8 (int64 of more than 256 classes),
        shape (N, H, W), and ``scores``, float32 (N, K, H, W), whose largest the labels are.

    Raises
    ------
    ParameterError
        When the method has no graph.
    """
    method = run.method_
    if isinstance(method, AverageMap):
        return Always(method, run.fitted().size).eval()
    if isinstance(method, SemanticNetwork):
        standardised = Standardised(method.mean_, method.std_)
        return Scored(standardised, method.model, method.ignored_.tolist()).eval()
    raise ParameterError(f"the method {run.name} has no ONNX graph, so it cannot be exported")


class Always(nn.Module):
    """The same classes for every image."""

    def __init__(self, method: AverageMap, size: tuple[int, int]) -> None:
        super().__init__()
        import numpy as np

        one = method.scores(np.zeros((1, *size, 1), np.uint8))
        self.register_buffer("map", torch.from_numpy(one.copy()))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Answer for uint8 images (N, H, W, C)."""
        nothing = images.flatten(1)[:, :1].float() * 0
        return decided(cast(Tensor, self.map) + nothing[:, :, None, None])


class Scored(nn.Module):
    """A network that scores every pixel, and the best class of each."""

    def __init__(self, standardised: nn.Module, model: nn.Module, ignored: list[int]) -> None:
        super().__init__()
        self.standardised, self.model, self.ignored = standardised, model, ignored

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Answer for uint8 images (N, H, W, C)."""
        return decided(without(self.model(self.standardised(images)), self.ignored))


def decided(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Return the best class of each pixel, (N, H, W), and the scores (N, K, H, W)."""
    labels = scores.argmax(1)
    return (labels.to(torch.uint8) if scores.shape[1] <= 256 else labels), scores
