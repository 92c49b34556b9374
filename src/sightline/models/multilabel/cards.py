"""Describe the methods that say which of several labels a picture has: one card a method."""

from __future__ import annotations

import dataclasses
from types import MappingProxyType

from sightline.errors import ParameterError
from sightline.models.card import ModelCard
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

    Parameters
    ----------
    name : str
        Of a network of the registry that classifies, ``torchvision:NAME`` and ``timm:NAME`` too.

    Raises
    ------
    UnknownNameError
        When there is no such network.
    ParameterError
        When it is no network that classifies.
    """
    from sightline.models import registry

    base = registry.card(name)
    if base.kind != "module" or base.task != Task.CLASSIFY:
        raise ParameterError(f"multilabel:{name}: {name} is no network that classifies")
    return dataclasses.replace(
        base,
        name=f"multilabel:{name}",
        task=Task.MULTILABEL,
        summary=f"{name} with a sigmoid for each label",
        pretrained=(base.pretrained or base.name) if "imagenet" in base.weights else "",
        rung=False,
    )


FOREIGN = MappingProxyType({"multilabel": f"{_HERE}.cards:network_card"})
"""What makes cards of networks that are named after others, by the prefix of the name."""
