"""Describe the networks that make pictures: one card a method, the simplest first."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from sightline.models.card import ModelCard
from sightline.types import Task

_HERE = "sightline.models.generate"
_COMMON: Mapping[str, Any] = MappingProxyType(
    {
        "batch_size": 128, "optimizer": "adamw", "momentum": 0.9, "weight_decay": 0.0,
        "precision": "auto", "schedule": "cosine", "warmup": 0.02,
    }
)  # fmt: skip
FEW = 5000
"""Training images up to which each is trained in about a minute on a processor."""


def _card(
    name: str, summary: str, paper: str, parameters: int, recipe: Mapping[str, Any],
    *, smallest_side: int = 4,
) -> ModelCard:  # fmt: skip
    whole = MappingProxyType(dict(_COMMON) | dict(recipe))
    return ModelCard(
        name=name,
        task=Task.GENERATE,
        entry=f"{_HERE}.{name}:{name}",
        summary=summary,
        paper=paper,
        chapter=11,
        kind="module",
        smallest_side=smallest_side,
        recipe=whole,
        recipe_large=whole,
        costly=True,
        quick=FEW,
        parameters=parameters,
        shape=(1, 28, 28),
    )


CARDS = (
    _card(
        "autoencoder", "codes of a few numbers, and pictures of them; denoising and sparse forms",
        "Hinton & Salakhutdinov, Reducing the dimensionality of data with neural networks, 2006",
        1_663_265, {"epochs": 20.0, "lr": 2e-3, "channels_last": True},
    ),
    _card(
        "vae", "a distribution of pictures, measured by a bound of its likelihood",
        "Kingma & Welling, Auto-encoding variational Bayes, 2014",
        1_391_457, {"epochs": 60.0, "lr": 1e-3},
    ),
    _card(
        "dcgan", "two networks that learn against each other, by the paper's rules",
        "Radford, Metz & Chintala, Unsupervised representation learning with deep convolutional "
        "GANs, 2016",
        898_370,
        {
            "epochs": 12.0, "batch_size": 64, "lr": 2e-4, "momentum": 0.5, "schedule": "constant",
            "warmup": 0.0,
            "channels_last": True, "keep": "last", "ema": 0.999,
        },
        smallest_side=8,
    ),
    _card(
        "flow", "rectified flow: noise moves along straight lines to pictures of a class",
        "Liu, Gong & Liu, Flow straight and fast, 2023; Ho & Salimans, Classifier-free guidance, "
        "2022",
        446_564,
        {"epochs": 15.0, "lr": 2e-3, "ema": 0.999, "clip": 1.0},
    ),
)  # fmt: skip
