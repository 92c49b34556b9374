"""Describe the methods that learn from good pictures alone: one card a method."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from sightline.models.card import ModelCard
from sightline.types import Task

LAYERS = "imagenet:efficientnet_lite0@blocks.2+blocks.4"
"""Layers whose features of patches are compared: fine enough for places, late enough to know
textures."""

ROWS = "imagenet:efficientnet_lite0"

_SIDE = 128

_HERE = "sightline.models.anomaly"

RECIPE: Mapping[str, Any] = MappingProxyType(
    {
        "epochs": 20.0, "batch_size": 32, "optimizer": "adamw", "lr": 2e-3, "weight_decay": 1e-5,
        "schedule": "cosine", "warmup": 0.05, "least_steps": 400, "clip": 5.0,
    }
)  # fmt: skip

CARDS = (
    ModelCard(
        name="pixel-mean",
        task=Task.ANOMALY,
        entry=f"{_HERE}.pixel_mean:PixelMean",
        summary="each pixel beside its mean over good pictures: the floor",
        paper="none",
        chapter=1,
        largest_side=_SIDE,
        side=_SIDE,
        resize="stretch",
    ),
    ModelCard(
        name="knn-features",
        task=Task.ANOMALY,
        entry=f"{_HERE}.knn_features:KNNFeatures",
        summary="how far a picture's features are from the most similar good pictures'",
        paper="Bergman et al., Deep nearest neighbor anomaly detection, 2020",
        chapter=1,
        input="features of a frozen network",
        features=ROWS,
        pretrained="efficientnet_lite0",
        resize="stretch",
    ),
    ModelCard(
        name="patchcore",
        task=Task.ANOMALY,
        entry=f"{_HERE}.patchcore:PatchCore",
        summary="each patch beside the nearest of a bank of good patches",
        paper="Roth et al., Towards total recall in industrial anomaly detection, 2022",
        chapter=1,
        input="features of patches of a frozen network",
        features=LAYERS,
        pretrained="efficientnet_lite0",
        resize="stretch",
    ),
    ModelCard(
        name="padim",
        task=Task.ANOMALY,
        entry=f"{_HERE}.padim:PaDiM",
        summary="a normal distribution of good features at each place",
        paper="Defard et al., PaDiM: a patch distribution modeling framework, 2021",
        chapter=1,
        input="features of patches of a frozen network",
        features=LAYERS,
        pretrained="efficientnet_lite0",
        resize="stretch",
    ),
    ModelCard(
        name="anomaly-autoencoder",
        task=Task.ANOMALY,
        entry=f"{_HERE}.autoencoder:autoencoder",
        summary="a network that gives back good pictures, and fails at others",
        paper="Bergmann et al., Improving unsupervised defect segmentation, 2019",
        chapter=1,
        kind="module",
        largest_side=_SIDE,
        side=_SIDE,
        step=16,
        smallest_side=32,
        resize="stretch",
        recipe=RECIPE,
        recipe_large=RECIPE,
    ),
)
