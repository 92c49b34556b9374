"""Build torchvision's networks that find objects with masks: ``torchvision:maskrcnn_resnet50_fpn``.

As its detectors (`models.detect.foreign`), with masks of 28 x 28 within the boxes of answers:
torchvision would enlarge all of them to whole pictures, one number a pixel, which here
`models.instances.pasted` does a box at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torchvision.models import detection, list_models
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from sightline.errors import UnknownNameError
from sightline.models import licences
from sightline.models.card import ModelCard
from sightline.models.detect.cards import FASTER_RECIPE
from sightline.models.detect.foreign import TorchvisionDetector, wrapped
from sightline.models.instances import cards

FAMILY = "maskrcnn"
"""How the names of those begin that answer with masks."""

_PUBLISHED = MappingProxyType(
    {
        "weights": ("coco",), "licence": licences.TORCHVISION_COCO,
        "origin": "torchvision's, which downloads them once",
    }
)  # fmt: skip


class _Unpasted(GeneralizedRCNNTransform):  # type: ignore[misc]  # torchvision has no types
    """Leave masks in their boxes."""

    def postprocess(
        self, result: list[dict[str, Tensor]], image_shapes: Any, original_image_sizes: Any
    ) -> list[dict[str, Tensor]]:
        """Return the answers as they are: images come at the network's size."""
        return result


class TorchvisionMasks(TorchvisionDetector):
    """A network of torchvision that answers with boxes and masks; see `TorchvisionDetector`."""

    transform = _Unpasted

    def known(self, target: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return what is known of an image's objects as torchvision takes it."""
        return {**super().known(target), "masks": target["masks"].to(torch.uint8)}


def torchvision_network(
    num_classes: int = 90, in_channels: int = 3, side: int | tuple[int, int] = 512, *, name: str
) -> TorchvisionDetector:
    """Build a network of torchvision that finds objects with masks, without weights.

    Parameters
    ----------
    num_classes, in_channels, side
        See `models.detect.foreign.torchvision_detector`.
    name : str
        As ``torchvision.models.list_models`` gives it.

    Raises
    ------
    UnknownNameError
        When there is no such network.
    """
    _check(name)
    return wrapped(name, num_classes, in_channels, side, TorchvisionMasks)


def torchvision_card(name: str) -> ModelCard:
    """Return the card of a network of torchvision that finds objects with masks.

    Raises
    ------
    UnknownNameError
        When there is no such network.
    """
    _check(name)
    return cards.network(
        f"torchvision:{name}", "foreign:torchvision_network", f"{name} as torchvision has it",
        "see torchvision's documentation", 512, None, FASTER_RECIPE, smallest=64,
        published=_PUBLISHED, code="BSD-3-Clause, torchvision's", rung=False,
        arguments=MappingProxyType({"name": name}),
    )  # fmt: skip


def networks() -> list[str]:
    """Return the names of torchvision's networks that find objects with masks."""
    names: list[str] = list_models(module=detection)
    return [name for name in names if name.startswith(FAMILY)]


def _check(name: str) -> None:
    if name not in (known := networks()):
        raise UnknownNameError("torchvision model", name, known)
