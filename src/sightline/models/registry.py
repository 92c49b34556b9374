"""Every method by name: what it is, where its code lies, and what it may be tuned over.

Cards name their class as ``"module:attribute"``, so that listing them imports nothing.
A new model is one file and one card; ``train``, ``compare`` and the tables follow.
"""

from __future__ import annotations

import functools
from types import MappingProxyType

from sightline.errors import UnknownNameError
from sightline.models.card import SMALL, ModelCard, resolve
from sightline.models.classify.cards import PUBLISHED, SIMPLE
from sightline.types import Task

__all__ = ["CARDS", "SMALL", "ModelCard", "card", "list_models", "resolve"]


_CLASSIC = "sightline.models.classic"
_BACKPROP = "sightline.models.backprop"
_CLASSIFY = "sightline.models.classify"

CARDS: dict[str, ModelCard] = {
    card.name: card
    for card in (
        ModelCard(
            name="majority",
            task=Task.CLASSIFY,
            entry=f"{_CLASSIC}.baselines:MajorityClassifier",
            summary="always the most frequent class: the floor",
            paper="none: the prior of the training labels",
            chapter=1,
            input="nothing",
        ),
        ModelCard(
            name="nearest-mean",
            task=Task.CLASSIFY,
            entry=f"{_CLASSIC}.baselines:NearestMeanClassifier",
            summary="the class whose mean image is nearest",
            paper="Duda, Hart & Stork, Pattern Classification, 2001, section 2.6",
            chapter=1,
        ),
        ModelCard(
            name="linear",
            task=Task.CLASSIFY,
            entry=f"{_CLASSIC}.linear:LinearClassifier",
            summary="least squares on one-hot targets",
            paper="Hoerl & Kennard, Ridge regression, 1970; Hastie et al. 2009, section 4.2",
            chapter=4,
            scale="unit",
            grid=MappingProxyType({"ridge": (0.0, 1.0, 10.0, 100.0, 1000.0)}),
            sweep=f"{_CLASSIC}.linear:sweep",
        ),
        ModelCard(
            name="logistic",
            task=Task.CLASSIFY,
            entry=f"{_CLASSIC}.logistic:LogisticClassifier",
            summary="linear logits by maximum likelihood, one weight image a class",
            paper="Cox, The regression analysis of binary sequences, 1958",
            chapter=4,
            scale="unit",
            grid=MappingProxyType({"l2": (1e-3, 1e-4, 1e-2, 1e-5)}),
        ),
        ModelCard(
            name="knn",
            task=Task.CLASSIFY,
            entry=f"{_CLASSIC}.knn:KNNClassifier",
            summary="the vote of the k most similar training images",
            paper="Cover & Hart, Nearest neighbor pattern classification, 1967",
            chapter=3,
            grid=MappingProxyType(
                {
                    "k": (1, 3, 5, 7, 9, 11, 15, 21),
                    "metric": ("l2", "l1", "cosine"),
                    "weights": ("uniform", "distance"),
                }
            ),
            sweep=f"{_CLASSIC}.knn:sweep",
        ),
        ModelCard(
            name="mlp-numpy",
            task=Task.CLASSIFY,
            entry=f"{_BACKPROP}.mlp:MLPClassifier",
            summary="a perceptron of many layers, backpropagation written out",
            paper="Rumelhart, Hinton & Williams, Learning representations by back-propagating "
            "errors, 1986",
            chapter=6,
            input="standardised pixels",
            scale="standardise",
        ),
        ModelCard(
            name="convnet-numpy",
            task=Task.CLASSIFY,
            entry=f"{_BACKPROP}.convnet:ConvNetClassifier",
            summary="a small convolutional network, backpropagation written out",
            paper="LeCun, Bottou, Bengio & Haffner, Gradient-based learning applied to document "
            "recognition, 1998",
            chapter=6,
            input="standardised pixels",
            scale="standardise",
        ),
        *SIMPLE,
        ModelCard(
            name="resnet9",
            task=Task.CLASSIFY,
            entry=f"{_CLASSIFY}.resnet9:resnet9",
            summary="the small net of the CIFAR-10 speed records",
            paper="Jordan, 94% on CIFAR-10 in 3.29 seconds on a single GPU, 2024",
            chapter=7,
            input="32 x 32 and up, standardised by channel",
            kind="module",
            smallest_side=24,
            recipe=MappingProxyType(
                {
                    "epochs": 10.0,
                    "batch_size": 512,
                    "lr": 0.75,
                    "momentum": 0.85,
                    "weight_decay": 1.3e-3,
                    "bias_lr": 64.0,
                    "warmup": 0.23,
                    "final_lr": 0.07,
                    "smoothing": 0.2,
                    "shift": 2,
                    "tta": "flip",
                    "channels_last": True,
                }
            ),
            costly=True,
            parameters=1_972_792,
            shape=(3, 32, 32),
        ),
        *PUBLISHED,
    )
}


FOREIGN = {
    "torchvision": f"{_CLASSIFY}.foreign:torchvision_card",
    "timm": f"{_CLASSIFY}.foreign:timm_card",
}
"""Makers of cards for other libraries' models, by the prefix of the name."""


def card(name: str) -> ModelCard:
    """Look a method up; ``torchvision:NAME`` and ``timm:NAME`` are those libraries' models.

    Raises
    ------
    UnknownNameError
        With the nearest name, when there is none of that name.
    MissingExtraError
        When the library is not installed.
    """
    source, _, rest = name.partition(":")
    if rest and source in FOREIGN:
        return _foreign(source, rest)
    try:
        return CARDS[name]
    except KeyError:
        raise UnknownNameError("model", name, CARDS) from None


@functools.cache
def _foreign(source: str, name: str) -> ModelCard:
    """A card made on the fly; imports the library, to know its names."""
    made: ModelCard = resolve(FOREIGN[source])(name)
    return made


def list_models(task: Task | str | None = None) -> list[str]:
    """Names of all methods, the simplest first; of one task when given.

    Examples
    --------
    >>> import sightline
    >>> sightline.list_models("classify")[:3]
    ['majority', 'nearest-mean', 'linear']
    """
    return [c.name for c in CARDS.values() if task is None or c.task == task]
