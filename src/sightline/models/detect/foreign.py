"""Build torchvision's detectors by name: ``torchvision:fcos_resnet50_fpn`` and the like.

They stand beside those of the bench under its rules: labels without the background, one tensor of
standardised images a batch, answers and losses as of any detector. What torchvision does inside
(scaling, standardising, padding) is left out, as the images come ready.

Those that answer with masks are built by `models.instances.foreign`; key points belong to no task
here. Their boxes have no ONNX graph.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor, nn
from torchvision.models import detection, get_model, list_models
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from sightline.errors import UnknownNameError
from sightline.models import licences
from sightline.models.card import ModelCard
from sightline.models.classify.foreign import replace_stem
from sightline.models.detect import cards
from sightline.models.detect.boxes import with_area
from sightline.models.detect.network import Targets, for_each

SIDES = MappingProxyType({"ssd300_vgg16": 300, "ssdlite320_mobilenet_v3_large": 320})
"""Pixels a side of those that take images of one size alone."""

FAMILIES = ("fasterrcnn", "fcos", "retinanet", "ssd300", "ssdlite")
"""How the names of those begin that answer with boxes alone."""


_PUBLISHED = MappingProxyType(
    {
        "weights": ("coco",), "licence": licences.TORCHVISION_COCO,
        "origin": "torchvision's, which downloads them once",
    }
)  # fmt: skip


class TorchvisionDetector(nn.Module):
    """A detector of torchvision on images that are standardised and of one size.

    Parameters
    ----------
    network : Module
        Its class 0 is not used: of Faster R-CNN and SSD it is the background.
    head : sequence of str
        Layers of `network` that are made anew for other classes.
    side : (height, width)
        Of the images.
    """

    at_once = 8
    transform: ClassVar[type[GeneralizedRCNNTransform]] = GeneralizedRCNNTransform
    """What torchvision does to images before, and to answers after: nothing, for ready ones."""

    def __init__(self, network: nn.Module, head: tuple[str, ...], side: tuple[int, int]) -> None:
        super().__init__()
        self.network = network
        self.network.transform = self.transform(
            min(side), max(side), [0.0], [1.0], size_divisible=1, fixed_size=(side[1], side[0])
        )
        self.head_names = tuple(f"network.{name}" for name in head)

    def forward(
        self, images: Tensor, targets: Targets | None = None
    ) -> dict[str, Tensor] | list[dict[str, Tensor]]:
        """Compute the losses in training, answers in evaluation; see `DetectionModule.forward`."""
        if not self.training:
            return [self.answer(said) for said in self.network(list(images))]
        known = []
        for target in for_each(images, targets):
            rows = with_area(target["boxes"])  # torchvision ends with an error where there is none
            known.append(self.known({name: values[rows] for name, values in target.items()}))
        losses: dict[str, Tensor] = self.network(list(images), known)
        return losses

    def known(self, target: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return what is known of an image's objects as torchvision takes it."""
        return {"boxes": target["boxes"].float(), "labels": target["labels"] + 1}

    def answer(self, said: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return an answer with labels from 0, without those of the class that is not used."""
        rows = torch.nonzero(said["labels"] > 0)[:, 0]
        rows = rows[said["scores"][rows].argsort(descending=True, stable=True)]
        return {
            "boxes": said["boxes"][rows], "scores": said["scores"][rows],
            "labels": said["labels"][rows] - 1,
        } | ({"masks": said["masks"][rows, 0]} if "masks" in said else {})  # fmt: skip


def torchvision_detector(
    num_classes: int = 90, in_channels: int = 3, side: int | tuple[int, int] = 512, *, name: str
) -> TorchvisionDetector:
    """Build a detector of torchvision, without weights.

    Parameters
    ----------
    num_classes : int
        Without the background; 90 are those of the published weights.
    in_channels : int
    side : int, or (height, width)
        Of the images.
    name : str
        As ``torchvision.models.list_models`` gives it.

    Raises
    ------
    UnknownNameError
        When there is no such detector.
    """
    _check(name)
    return wrapped(name, num_classes, in_channels, side)


def wrapped(
    name: str, num_classes: int, in_channels: int, side: int | tuple[int, int],
    kind: type[TorchvisionDetector] = TorchvisionDetector,
) -> TorchvisionDetector:  # fmt: skip
    """Build a network of torchvision by its rules here; see `torchvision_detector`.

    Parameters
    ----------
    name, num_classes, in_channels, side
    kind : type
        What it is held by.
    """
    network: nn.Module = get_model(
        name, weights=None, weights_backbone=None, num_classes=1 + num_classes
    )
    if in_channels != 3:
        replace_stem(network, in_channels)
    size = (side, side) if isinstance(side, int) else side
    return kind(network, _heads(network, name), size)


def torchvision_card(name: str) -> ModelCard:
    """Return the card of a detector of torchvision.

    Raises
    ------
    UnknownNameError
        When there is no such detector.
    """
    _check(name)
    side = SIDES.get(name, 512)
    fixed = name in SIDES
    recipe = cards.SCRATCH_RECIPE if name.startswith("ssdlite") else cards.FASTER_RECIPE
    return cards.network(
        f"torchvision:{name}", "foreign:torchvision_detector", f"{name} as torchvision has it",
        "see torchvision's documentation", side, None, recipe,
        smallest=side if fixed else 64, fixed=fixed, costly=True, published=_PUBLISHED,
        code="BSD-3-Clause, torchvision's", rung=False, arguments=MappingProxyType({"name": name}),
    )  # fmt: skip


def detectors() -> list[str]:
    """Return the names of torchvision's detectors that answer with boxes alone."""
    names: list[str] = list_models(module=detection)
    return [name for name in names if name.startswith(FAMILIES)]


def _heads(network: nn.Module, name: str) -> tuple[str, ...]:
    """Return the layers of a detector that are made anew for other classes."""
    if name.startswith(("fasterrcnn", "maskrcnn")):
        boxes = "roi_heads.box_predictor.cls_score", "roi_heads.box_predictor.bbox_pred"
        masks = name.startswith("maskrcnn")
        return (*boxes, *["roi_heads.mask_predictor.mask_fcn_logits"] * masks)
    if not name.startswith("ssd"):
        return ("head.classification_head.cls_logits",)
    layers = network.get_submodule("head.classification_head.module_list")
    last = ".1" if name.startswith("ssdlite") else ""  # after a convolution of each channel
    return tuple(
        f"head.classification_head.module_list.{i}{last}" for i, _ in layers.named_children()
    )


def _check(name: str) -> None:
    if name not in (known := detectors()):
        raise UnknownNameError("torchvision model", name, known)
