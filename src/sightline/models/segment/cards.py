"""Describe the networks that say the class of every pixel: one card a method, simplest first."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from sightline.errors import ParameterError
from sightline.models import licences
from sightline.models.card import ModelCard
from sightline.models.detect import cards as detect
from sightline.types import Task

_HERE = "sightline.models.segment"
_FCN = "Long et al., Fully convolutional networks for semantic segmentation, 2015"
_UNET = "Ronneberger et al., U-Net, 2015"
_DEEPLAB = "Chen et al., Rethinking atrous convolution, 2017"

SCRATCH_RECIPE: Mapping[str, Any] = MappingProxyType(
    {
        "epochs": 60.0, "batch_size": 8, "optimizer": "adamw", "lr": 2e-3, "momentum": 0.9,
        "weight_decay": 0.01, "schedule": "cosine", "warmup": 0.05, "clip": 10.0, "ema": 0.99,
        "channels_last": True, "precision": "auto",
    }
)  # fmt: skip
"""From random weights."""

FINETUNE_RECIPE: Mapping[str, Any] = MappingProxyType(
    dict(SCRATCH_RECIPE) | {"epochs": 40.0, "lr": 1e-3, "least_steps": 400, "weights": "imagenet"}
)
"""On from a backbone with published weights."""

LITE_RECIPE: Mapping[str, Any] = MappingProxyType(
    dict(FINETUNE_RECIPE) | {"lr": 3e-3, "loss": "cross-entropy+dice"}
)
"""The same for light networks, whose every layer is normalised, and which learn faster so."""

_VGG: Mapping[str, Any] = MappingProxyType(
    {
        "pretrained": "vgg16", "weights": ("imagenet",), "licence": licences.TORCHVISION,
        "origin": "torchvision's VGG16, downloaded once",
    }
)  # fmt: skip

_RESNET: Mapping[str, Any] = MappingProxyType(
    {
        "pretrained": "resnet50", "weights": ("imagenet", "coco"),
        "licence": licences.TORCHVISION_COCO,
        "origin": "torchvision's ResNet-50 and its semantic networks, downloaded once",
    }
)  # fmt: skip


def network(
    name: str, entry: str, summary: str, paper: str, side: int, parameters: int | None,
    recipe: Mapping[str, Any], **more: Any,
) -> ModelCard:  # fmt: skip
    """Make the card of a semantic network; see `detect.cards.network`."""
    made = detect.network(name, "", summary, paper, side, parameters, recipe, **more)
    return dataclasses.replace(made, task=Task.SEGMENT, entry=f"{_HERE}.{entry}", chapter=10)


def unet_card(backbone: str) -> ModelCard:
    """Return the card of the light U-Net on a classifier: ``unet-lite:resnet18``, for one.

    Parameters
    ----------
    backbone : str
        Of a classifier of the bench whose maps it can join.

    Raises
    ------
    UnknownNameError
        When there is no such network.
    ParameterError
        When it has no maps that can be joined.
    """
    from sightline.models import registry
    from sightline.models.segment.unet import ENCODERS

    base = registry.card(backbone)
    if backbone not in ENCODERS:
        raise ParameterError(
            f"unet-lite:{backbone}: {backbone} has no maps to join; {', '.join(ENCODERS)} have"
        )
    published = tuple(kind for kind in base.weights if kind == "imagenet")
    light = CARDS_BY_NAME["unet-lite"]
    return dataclasses.replace(
        light,
        name=f"unet-lite:{backbone}",
        summary=f"{light.summary.partition(' on ')[0]} on {backbone}",
        pretrained=(base.pretrained or base.name) if published else "",
        weights=published,
        licence=base.licence,
        origin=base.origin,
        code=base.code,
        parameters=None,
        shape=None,
        rung=False,
        arguments=MappingProxyType({"backbone": backbone}),
    )


def coco_card(name: str) -> ModelCard:
    """Return the card of a network as it was trained on COCO: ``coco:NAME``.

    It answers with Pascal VOC's 20 classes and the background as it is; training goes on from
    there.

    Parameters
    ----------
    name : str
        Of a semantic network with such weights.

    Raises
    ------
    UnknownNameError
        When there is no such network, or it has no such weights.
    """
    from sightline.models import registry

    foreign = [registry.card(name)] if name.startswith("torchvision:") else []
    return detect.from_coco(name, [*CARDS, *foreign], "network", {})


CARDS: tuple[ModelCard, ...] = (
    ModelCard(
        name="average-map",
        task=Task.SEGMENT,
        entry=f"{_HERE}.baselines:AverageMap",
        summary="at each place the class that is most frequent there: the floor",
        paper="none: counts of the training pixels",
        chapter=10,
        input="nothing",
        resize="stretch",
        largest_side=128,
    ),
    network("fcn-32s", "fcn:fcn32s", "VGG16 as convolutions; scores of every 32nd pixel, enlarged",
            _FCN, 320, 134_432_597, FINETUNE_RECIPE, costly=True, published=_VGG, rung=False),
    network("fcn-16s", "fcn:fcn16s", "fcn-32s with the scores of the map after its fourth pooling",
            _FCN, 320, 134_385_914, FINETUNE_RECIPE, costly=True, published=_VGG, rung=False),
    network("fcn-8s", "fcn:fcn8s", "fcn-16s with the scores of the map after its third pooling",
            _FCN, 320, 134_382_239, FINETUNE_RECIPE, costly=True, published=_VGG),
    network("fcn-resnet50", "fcn:fcn_resnet50", "torchvision's FCN on a dilated ResNet-50", _FCN,
            512, 35_322_218, FINETUNE_RECIPE, costly=True, published=_RESNET),
    network("unet", "unet:unet", "maps that grow coarser, then fine again, joined level by level",
            _UNET, 256, 31_033_045, SCRATCH_RECIPE, costly=True, rung=False),
    network("unet_bn", "unet:unet_bn", "unet with batch normalisation, to learn from scratch",
            f"{_UNET}; Ioffe & Szegedy, Batch normalization, 2015", 256, 31_038_933,
            SCRATCH_RECIPE, costly=True),
    network("unet-lite", "unet:unet_lite", "a narrow U-Net on EfficientNet-Lite0", _UNET, 384,
            3_795_317, SCRATCH_RECIPE, published=detect.LITE),
    network("unet-lite-imagenet", "unet:unet_lite",
            "unet-lite on a backbone trained on ImageNet: for few photographs", _UNET, 384,
            3_795_317, LITE_RECIPE, published=detect.LITE),
    network("deeplabv3-lite", "deeplabv3:deeplabv3_lite",
            "maps seen at several distances at once, on EfficientNet-Lite0", _DEEPLAB, 384,
            4_380_565, SCRATCH_RECIPE, published=detect.LITE),
    network("deeplabv3-lite-imagenet", "deeplabv3:deeplabv3_lite",
            "deeplabv3-lite on a backbone trained on ImageNet: for few photographs", _DEEPLAB, 384,
            4_380_565, LITE_RECIPE, published=detect.LITE),
    network("deeplabv3", "deeplabv3:deeplabv3_resnet50",
            "maps seen at several distances at once, on a dilated ResNet-50", _DEEPLAB, 512,
            42_004_074, FINETUNE_RECIPE, costly=True, published=_RESNET),
)  # fmt: skip
"""All of them."""

CARDS_BY_NAME: Mapping[str, ModelCard] = MappingProxyType({card.name: card for card in CARDS})

FOREIGN = MappingProxyType(
    {
        "unet-lite": f"{_HERE}.cards:unet_card",
        "coco": f"{_HERE}.cards:coco_card",
        "torchvision": f"{_HERE}.foreign:torchvision_card",
        "smp": f"{_HERE}.foreign:smp_card",
    }
)
"""What makes cards of networks that are named after others, by the prefix of the name."""
