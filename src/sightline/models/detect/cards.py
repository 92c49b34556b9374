"""Describe the detectors: one card a method, the simplest first."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from sightline.models.card import ModelCard
from sightline.types import Task

_HERE = "sightline.models.detect"
_SSD = "Liu et al., SSD: Single shot multibox detector, 2016"

SCRATCH_RECIPE: Mapping[str, Any] = MappingProxyType(
    {
        "epochs": 60.0, "batch_size": 16, "optimizer": "adamw", "lr": 1e-3, "momentum": 0.9,
        "weight_decay": 0.02, "schedule": "cosine", "warmup": 0.05, "clip": 10.0, "ema": 0.998,
        "channels_last": True,
    }
)  # fmt: skip
"""From random weights."""

SSD300_RECIPE: Mapping[str, Any] = MappingProxyType(
    {
        "epochs": 24.0, "batch_size": 8, "lr": 2e-3, "weight_decay": 5e-4, "schedule": "cosine",
        "warmup": 0.05, "clip": 10.0, "channels_last": True,
    }
)  # fmt: skip
"""As the paper trains: SGD with a momentum of 0.9."""


def _network(
    name: str, entry: str, summary: str, paper: str, side: int, parameters: int,
    recipe: Mapping[str, Any], *, smallest: int = 32, fixed: bool = False, costly: bool = False,
) -> ModelCard:  # fmt: skip
    """Make the card of a detector that is a network."""
    return ModelCard(
        name=name,
        task=Task.DETECT,
        entry=f"{_HERE}.{entry}",
        summary=summary,
        paper=paper,
        chapter=9,
        input="the whole picture, stretched to a square, standardised by channel",
        largest_side=side,
        side=side if fixed else 0,
        kind="module",
        smallest_side=smallest,
        resize="stretch",
        recipe=recipe,
        recipe_large=recipe,
        costly=costly,
        parameters=parameters,
        shape=(3, side, side),
    )


CARDS: tuple[ModelCard, ...] = (
    ModelCard(
        name="average-box",
        task=Task.DETECT,
        entry=f"{_HERE}.baselines:AverageBox",
        summary="always the mean box of each class: the floor",
        paper="none: the means of the training boxes",
        chapter=9,
        input="nothing",
        resize="stretch",
        largest_side=128,
    ),
    _network("ssd-small", "ssd_light:ssd_small", "SSD on a few convolutions, for small pictures",
             _SSD, 128, 3_524_178, SCRATCH_RECIPE),
    _network("ssdlite", "ssd_light:ssdlite", "SSD on EfficientNet-Lite0, with light blocks",
             f"{_SSD}; Sandler et al., MobileNetV2, 2018", 320, 3_789_852, SCRATCH_RECIPE,
             costly=True),
    _network("ssd300", "ssd:ssd300", "default boxes on six maps of VGG16", _SSD, 300, 35_641_826,
             SSD300_RECIPE, smallest=300, fixed=True, costly=True),
    _network("ssd300_bn", "ssd:ssd300_bn", "ssd300 with batch normalisation, to learn from scratch",
             f"{_SSD}; Zhu et al., ScratchDet, 2019", 300, 35_658_210, SCRATCH_RECIPE, smallest=300,
             fixed=True, costly=True),
)  # fmt: skip
"""All of them."""
