"""Define what semantic networks share: maps of a backbone in, logits of every pixel out.

Images are standardised, (N, C, H, W), and of any size; logits are (N, K, H, W) of the same height
and width, one channel a class, the background among them where the data has one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from sightline.errors import ParameterError


class SemanticModule(nn.Module, ABC):
    """A network that scores every pixel of a batch of images."""

    def forward(self, images: Tensor) -> Tensor | dict[str, Tensor]:
        """Compute the logits of every pixel.

        Parameters
        ----------
        images : float Tensor, shape (N, C, H, W)
            Standardised.

        Returns
        -------
        Tensor, shape (N, K, H, W)
            In evaluation, and in training of networks without an auxiliary head.
        dict of str to Tensor, shape (N, K, H, W)
            In training of those that have one: ``out``, and ``aux`` of that head.

        Raises
        ------
        ParameterError
            When the images are too small, in training perhaps only for so few of them.
        """
        try:
            said = self.outputs(images)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            n, _, height, width = images.shape
            raise ParameterError(
                f"{type(self).__name__} cannot learn from a batch of {n} of {height} x {width} "
                "pixels, of which one value a channel is left to normalise: take larger images or "
                "a larger batch"
            ) from None
        return said if "aux" in said else said["out"]

    @abstractmethod
    def outputs(self, images: Tensor) -> dict[str, Tensor]:
        """Compute ``out``, the logits, and in training ``aux`` where there is such a head."""


class Stages(nn.Module):
    """The first layers of a classifier, and the maps after some of them.

    Layers keep the classifier's names, so that its weights fit.

    Parameters
    ----------
    whole : Module
        A classifier whose layers are used in the order in which it has them.
    taps : sequence of str
        Layers whose outputs are wanted, the finest first: the classifier's own, or those of one
        that is a sequence (``blocks.2``). What comes after the last is left out.
    smallest : int
        Pixels a side that the layers need.

    Attributes
    ----------
    out_channels : tuple of int
        Of each map.
    """

    def __init__(self, whole: nn.Module, taps: Sequence[str], smallest: int = 1) -> None:
        super().__init__()
        self.taps, self.smallest = tuple(taps), smallest
        self.steps: list[str] = []
        for name, layer in whole.named_children():
            inside = [int(tap.rpartition(".")[2]) for tap in taps if tap.startswith(f"{name}.")]
            if inside and isinstance(layer, nn.Sequential):
                layer = layer[: max(inside) + 1]
                self.steps += [f"{name}.{i}" for i in range(len(layer))]
            else:
                self.steps.append(name)
            self.add_module(name, layer)
            if self.steps[-1] == self.taps[-1]:
                break
        self.out_channels = tuple(m.shape[1] for m in self._on_paper())

    def forward(self, x: Tensor) -> list[Tensor]:
        """Compute the maps, the finest first.

        Raises
        ------
        ParameterError
            When the images are smaller than the layers need.
        """
        height, width = x.shape[2:]
        if min(height, width) < self.smallest:
            raise ParameterError(
                f"images of {height} x {width} pixels are too small for this backbone: it needs "
                f"{self.smallest} a side"
            )
        maps = []
        for name in self.steps:
            x = self.get_submodule(name)(x)
            if name in self.taps:
                maps.append(x)
        return maps

    def from_classifier(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return what a classifier's state dict has for these layers, by their names here."""
        return {key: state[key] for key in self.state_dict() if key in state}

    def _on_paper(self) -> list[Tensor]:
        """Compute the maps without any number, for their shapes."""
        stem = next(m for m in self.modules() if isinstance(m, nn.Conv2d))
        image = torch.zeros(2, stem.in_channels, 64, 64, device="meta")
        state = {key: tensor.to("meta") for key, tensor in self.state_dict().items()}
        maps: list[Tensor] = functional_call(self, state, image)
        return maps


def resized(x: Tensor, like: Tensor) -> Tensor:
    """Interpolate maps bilinearly to the height and width of others.

    Parameters
    ----------
    x, like : float Tensor, shape (N, C, H, W)
    """
    size = like.shape[2:]
    if x.shape[2:] == size:
        return x
    return functional.interpolate(x, size=size, mode="bilinear", align_corners=False)
