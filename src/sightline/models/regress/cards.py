"""Describe the methods that say a number of a picture: one card a method."""

from __future__ import annotations

from types import MappingProxyType

from sightline.models.card import ModelCard
from sightline.models.classify.reused import reused_card
from sightline.types import Task

_HERE = "sightline.models.regress"

_FEATURES = "imagenet:efficientnet_lite0"

CARDS = (
    ModelCard(
        name="mean-value",
        task=Task.REGRESS,
        entry=f"{_HERE}.rows:MeanValue",
        summary="the mean of the training images: the floor",
        paper="none",
        chapter=4,
    ),
    ModelCard(
        name="value-knn",
        task=Task.REGRESS,
        entry=f"{_HERE}.rows:NeighbourValue",
        summary="the mean number of the training images whose features are nearest",
        paper="Cover & Hart, Nearest neighbor pattern classification, 1967",
        chapter=4,
        input="features of EfficientNet-Lite0, trained on ImageNet",
        grid=MappingProxyType({"k": (1, 3, 5, 10, 20)}),
        features=_FEATURES,
        views="flip",
        pretrained="efficientnet_lite0",
    ),
    ModelCard(
        name="value-ridge",
        task=Task.REGRESS,
        entry=f"{_HERE}.rows:RidgeValue",
        summary="a ridge regression on what a trained network sees",
        paper="Hoerl & Kennard, Ridge regression, 1970",
        chapter=4,
        input="features of EfficientNet-Lite0, trained on ImageNet",
        grid=MappingProxyType({"ridge": (0.01, 0.1, 1.0, 10.0)}),
        features=_FEATURES,
        views="flip",
        pretrained="efficientnet_lite0",
    ),
)


def network_card(name: str) -> ModelCard:
    """Return the card of any classifier of the bench with a number as answer: ``regress:NAME``.

    See `models.classify.reused.reused_card`.
    """
    return reused_card(name, Task.REGRESS, "a number as its answer")


FOREIGN = MappingProxyType({"regress": f"{_HERE}.cards:network_card"})
"""What makes cards of networks that are named after others, by the prefix of the name."""
