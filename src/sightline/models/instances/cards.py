"""Describe the methods that find objects with their masks: one card a method."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from sightline.errors import UnknownNameError
from sightline.models import licences
from sightline.models.card import ModelCard
from sightline.models.detect import cards as detect
from sightline.models.segment import cards as segment
from sightline.types import Task

_HERE = "sightline.models.instances"
_MASK = "He et al., Mask R-CNN, 2017"
_WATERSHED = "Ronneberger et al., U-Net, 2015; Naylor et al., 2019; Cousty et al., 2009"

MASK_RECIPE: Mapping[str, Any] = MappingProxyType({**detect.SCRATCH_RECIPE, "augment": "cut"})
"""From random weights."""

CELLS_RECIPE: Mapping[str, Any] = MappingProxyType({**segment.SCRATCH_RECIPE, "augment": "cells"})
"""A semantic network's, for pictures without an upper side, as through a microscope."""

_RESNET: Mapping[str, Any] = MappingProxyType(
    {
        "pretrained": "resnet50", "weights": ("imagenet", "coco"),
        "licence": licences.TORCHVISION_COCO,
        "origin": "torchvision's ResNet-50 and MaskRCNN_ResNet50_FPN_Weights, downloaded once",
    }
)  # fmt: skip


def network(
    name: str, entry: str, summary: str, paper: str, side: int, parameters: int | None,
    recipe: Mapping[str, Any], *, costly: bool = True, **more: Any,
) -> ModelCard:  # fmt: skip
    """Make the card of a network; see `detect.cards.network`."""
    made = detect.network(
        name, "", summary, paper, side, parameters, recipe, costly=costly, **more
    )  # fmt: skip
    return dataclasses.replace(made, task=Task.INSTANCES, entry=f"{_HERE}.{entry}", chapter=10)


def coco_card(name: str) -> ModelCard:
    """Return the card of a network as it was trained on COCO: ``coco:mask-rcnn``.

    It answers with COCO's 80 classes as it is; training goes on from there.

    Parameters
    ----------
    name : str

    Raises
    ------
    UnknownNameError
        When there is no such network, or it has no such weights.
    """
    published = detect.AS_PUBLISHED["faster-rcnn"]
    from sightline.models import registry

    if name.startswith("torchvision:"):
        return detect.from_coco(name, [registry.card(name)], "network", {})
    return detect.from_coco(name, CARDS, "network", published)


def watershed_card(name: str) -> ModelCard:
    """Return the card of a watershed on the maps of another semantic network: ``watershed:NAME``.

    Parameters
    ----------
    name : str
        One of `watershed.NETWORKS`.

    Raises
    ------
    UnknownNameError
        When there is no such network.
    """
    from sightline.models.instances.watershed import NETWORKS

    if name not in NETWORKS:
        raise UnknownNameError("semantic network", name, NETWORKS)
    return network(
        f"watershed:{name}", "watershed:watershed", f"unet-watershed on the maps of {name}",
        _WATERSHED, 256, None, CELLS_RECIPE, rung=False,
        smallest=SMALLEST, arguments=MappingProxyType({"network": name}),
    )  # fmt: skip


SMALLEST = 33
"""Pixels a side from which on the coarsest map has more than one place, to be normalised."""

CARDS: tuple[ModelCard, ...] = (
    network("unet-watershed", "watershed:watershed",
             "a U-Net says where objects are and how deep; a watershed parts them: no overlaps",
             _WATERSHED, 256, 3_795_028, CELLS_RECIPE, costly=False, smallest=SMALLEST,
             published=detect.LITE),
    network("mask-rcnn-small", "mask_rcnn:mask_rcnn_small",
             "faster-rcnn-small with a mask in each answer", _MASK, 320, 4_841_376, MASK_RECIPE,
             published=detect.LITE),
    network("mask-rcnn", "mask_rcnn:mask_rcnn",
             "faster-rcnn with a mask in each answer, on the pyramid of a ResNet-50", _MASK, 512,
             44_454_513, detect.FASTER_RECIPE, smallest=64, published=_RESNET,
             arguments={"frozen": False}),
)  # fmt: skip
"""All of them."""

FOREIGN = MappingProxyType(
    {
        "coco": f"{_HERE}.cards:coco_card",
        "torchvision": f"{_HERE}.foreign:torchvision_card",
        "watershed": f"{_HERE}.cards:watershed_card",
    }
)
"""What makes cards of networks that are named after others, by the prefix of the name."""
