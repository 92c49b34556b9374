"""Describe the methods that say which of several labels a picture has: one card a method."""

from __future__ import annotations

from types import MappingProxyType

from sightline.models.card import ModelCard
from sightline.models.classify.reused import reused_card
from sightline.types import Task

_HERE = "sightline.models.multilabel"

_FEATURES = "imagenet:efficientnet_lite0"

CARDS = (
    ModelCard(
        name="label-frequency",
        task=Task.MULTILABEL,
        entry=f"{_HERE}.rows:LabelFrequency",
        summary="how frequent each label is: the floor",
        paper="none",
        chapter=1,
    ),
    ModelCard(
        name="labels-knn",
        task=Task.MULTILABEL,
        entry=f"{_HERE}.rows:NeighbourLabels",
        summary="the labels of the training images whose features are nearest",
        paper="Zhang & Zhou, ML-KNN: a lazy learning approach to multi-label learning, 2007",
        chapter=1,
        input="features of EfficientNet-Lite0, trained on ImageNet",
        grid=MappingProxyType({"k": (3, 5, 10, 20)}),
        features=_FEATURES,
        views="flip",
        pretrained="efficientnet_lite0",
    ),
    ModelCard(
        name="labels-logistic",
        task=Task.MULTILABEL,
        entry=f"{_HERE}.rows:LabelLogistic",
        summary="a logistic regression a label on what a trained network sees",
        paper="Donahue et al., DeCAF, 2014",
        chapter=1,
        input="features of EfficientNet-Lite0, trained on ImageNet",
        grid=MappingProxyType({"l2": (0.03, 0.1, 0.3)}),
        features=_FEATURES,
        views="flip",
        pretrained="efficientnet_lite0",
    ),
)


def network_card(name: str) -> ModelCard:
    """Return the card of any classifier of the bench with a sigmoid a label: ``multilabel:NAME``.

    See `models.classify.reused.reused_card`.
    """
    return reused_card(name, Task.MULTILABEL, "a sigmoid for each label")


FOREIGN = MappingProxyType({"multilabel": f"{_HERE}.cards:network_card"})
"""What makes cards of networks that are named after others, by the prefix of the name."""
