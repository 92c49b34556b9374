"""Describe the networks that draw pictures in a style: one card a method."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from sightline.models.card import ModelCard
from sightline.types import Task

RECIPE: Mapping[str, Any] = MappingProxyType(
    {
        "epochs": 40.0, "batch_size": 4, "optimizer": "adamw", "lr": 2e-3, "momentum": 0.9,
        "weight_decay": 0.0, "schedule": "cosine", "warmup": 0.02, "clip": 5.0,
        "channels_last": True, "precision": "auto", "least_steps": 1500,
    }
)  # fmt: skip

_PAPER = "Johnson et al., Perceptual losses for real-time style transfer, 2016"


def _network(name: str, summary: str, parameters: int, width: int) -> ModelCard:
    return ModelCard(
        name=name,
        task=Task.STYLE,
        entry="sightline.models.style.transformer:fast_style",
        summary=summary,
        paper=_PAPER,
        chapter=12,
        kind="module",
        largest_side=384,
        side=384,
        resize="pad",
        smallest_side=32,
        step=16,
        recipe=RECIPE,
        recipe_large=RECIPE,
        costly=True,
        parameters=parameters,
        arguments=MappingProxyType({"width": width}),
    )


CARDS = (
    _network("fast-style-small", "half as wide: four times as fast", 424_899, 16),
    _network("fast-style", "one pass of a network draws a picture in a style", 1_679_235, 32),
)
