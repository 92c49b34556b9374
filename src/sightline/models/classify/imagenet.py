"""Answer with a network as it was trained on ImageNet: ``imagenet:NAME``.

Nothing is learned here: the classes are ImageNet's 1,000, whose names stand in
``imagenet_names.csv`` in English and in Chinese. The English names are torchvision's, but for class
264, Cardigan: there it differs from the garment (474, cardigan) in a capital letter alone, so here
it is the Cardigan Welsh corgi. An option behind the name chooses what is said:
``imagenet:efficientnet_lite0,names=zh``.

A picture comes to the network as ImageNet's validation images did; see ``imagenet`` of
`sightline.data.images.resize`. Weights whose published figures were measured with another margin
(torchvision's newer ones of ResNet-50, 101 and 152: 232 pixels for 224) get the same 32 pixels.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
from collections.abc import Mapping, Sequence
from importlib import resources
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from sightline.data.images import Resize
from sightline.errors import DataError, RunError, UnknownNameError
from sightline.models import registry
from sightline.models.card import ModelCard, resolve
from sightline.models.device import present
from sightline.models.method import Method
from sightline.types import Task

if TYPE_CHECKING:
    from torch import nn

Names = Literal["both", "en", "zh"]

_BATCH = 64
_SIDE = 224


class ImagenetClassifier(Method):
    """Answer with a network's published weights, as it is: nothing is trained.

    Parameters
    ----------
    network : str
        Name of the network.
    names : {"both", "en", "zh"}
        What classes are called: "zebra 斑马", "zebra" or "斑马".

    Attributes
    ----------
    model : Module
    mean_, std_ : float32 array, shape (3,)
        Of the standardisation, in units of [0, 1].
    classes_ : int64 array, shape (1000,)
        Position of each output in the data's classes.
    """

    elsewhere = True
    mean_: NDArray[np.float32]
    std_: NDArray[np.float32]
    model: nn.Module

    def __init__(self, network: str = "", names: Names = "both") -> None:
        if names not in get_args(Names):
            raise UnknownNameError("names", names, get_args(Names))
        self.network, self.names = network, names
        self.class_names = class_names(names)
        self.mend = (
            f"to learn these, start from its weights: sightline train {network} DATA --weights "
            f"imagenet, or sightline train logistic DATA --features imagenet:{network}"
        )

    def require(self) -> None:
        """Load the published weights.

        Raises
        ------
        WeightsError
            When they cannot be had.
        """
        if hasattr(self, "model"):
            return
        from sightline.models.weights import load_published

        self._build()
        published = load_published(self.network, self.model, len(self.class_names))
        self.mean_ = np.array(published.mean, np.float32)
        self.std_ = np.array(published.std, np.float32)
        self.published = dataclasses.asdict(published)

    def fit(self, X: NDArray[np.uint8], y: NDArray[np.int64]) -> Self:
        """Load the weights; nothing is learned from the images.

        Parameters
        ----------
        X : uint8 array, shape (N, H, W, C)
        y : int64 array, shape (N,)
        """
        self.require()
        if not hasattr(self, "classes_"):
            self.classes_ = np.arange(len(self.class_names))
        self.remarks = (f"{self.network} was not trained here; it answers as on ImageNet",)
        return self

    def decide(self, X: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return labels, shape (M,), and probabilities, shape (M, C)."""
        probabilities = self.predict_proba(X)
        return np.asarray(self.classes_[probabilities.argmax(1)], np.int64), probabilities

    def predict(self, X: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Return the label of each image of X, shape (M, H, W, C): shape (M,)."""
        return self.decide(X)[0]

    def predict_proba(self, X: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probabilities of each image, shape (M, C), in ImageNet's order.

        Raises
        ------
        DataError
            When the images are no bytes.
        """
        logits = self.logits(X).astype(np.float64)
        scores = np.exp(logits - logits.max(1, keepdims=True))
        return np.asarray(scores / scores.sum(1, keepdims=True), np.float32)

    def logits(self, X: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the network's outputs for images (M, H, W, C) of bytes, shape (M, C).

        Raises
        ------
        DataError
            When the images are no bytes.
        """
        import torch

        if X.dtype != np.uint8 or X.ndim != 4:
            raise DataError(f"imagenet:{self.network} takes images as bytes: use scale=none")
        self.require()
        device = next(self.model.parameters()).device
        mean, std = (
            torch.tensor(a * 255, device=device).view(1, -1, 1, 1) for a in (self.mean_, self.std_)
        )
        parts = []
        with torch.inference_mode():
            for start in range(0, len(X), _BATCH):
                part = np.require(X[start : start + _BATCH], requirements=("C", "W"))
                x = torch.from_numpy(part).to(device).permute(0, 3, 1, 2).float()
                x = x.expand(-1, 3, -1, -1)  # grey is three equal colours
                parts.append(self.model((x - mean) / std).float().cpu().numpy())
        return np.concatenate(parts)

    def score(self, X: NDArray[np.uint8], y: NDArray[np.int64]) -> float:
        """Return the accuracy, in [0, 1]."""
        return float((self.predict(X) == y).mean())

    def numbers(self, classes: Sequence[str]) -> NDArray[np.int64]:
        """Return the number of each class by its English name, its Chinese one or both; else -1."""
        known = {
            _plain(name): i for kind in get_args(Names) for i, name in enumerate(class_names(kind))
        }
        return np.array([known.get(_plain(name), -1) for name in classes], np.int64)

    @property
    def parameters(self) -> int:
        """Return how many weights the network has; buffers do not count."""
        self.require()
        return sum(p.numel() for p in self.model.parameters())

    def compute_on(self, device: str) -> None:
        """Move the network to a device; see `Method.compute_on`."""
        self.require()
        self.model.to(present(device))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return mean, deviation and classes, and the state dict under ``model.``."""
        state = {f"model.{n}": t.detach().cpu().numpy() for n, t in self.model.state_dict().items()}
        return super().arrays() | state

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take back what `arrays` gave."""
        import torch

        own = {n: a for n, a in arrays.items() if not n.startswith("model.")}
        super().restore(own)
        self._build()
        state = {n.removeprefix("model."): torch.tensor(arrays[n]) for n in arrays.keys() - own}
        try:
            self.model.load_state_dict(state)
        except RuntimeError:
            raise RunError(f"the run's weights are not those of {self.network}") from None

    def _build(self) -> None:
        card = registry.card(self.network)
        form = card.built_with(card.shape or (3, _SIDE, _SIDE))
        self.model = resolve(card.entry)(num_classes=len(self.class_names), **form).eval()


@functools.cache
def class_names(names: Names) -> tuple[str, ...]:
    """Return the names of ImageNet's 1,000 classes in English, in Chinese, or in both."""
    source = resources.files("sightline.models.classify").joinpath("imagenet_names.csv")
    rows = list(csv.DictReader(source.read_text(encoding="utf-8").splitlines()))
    said = {
        "en": (row["english"] for row in rows),
        "zh": (row["chinese"] for row in rows),
        "both": (f"{row['english']} {row['chinese']}" for row in rows),
    }
    return tuple(said[names])


def _plain(name: str) -> str:
    """Return a name without what differs where it is the name of a folder."""
    return " ".join(name.replace("_", " ").casefold().split())


def imagenet_card(name: str) -> ModelCard:
    """Return the card of a network with published weights as a classifier of its own.

    Parameters
    ----------
    name : str
        Of the network, and options parted by commas.

    Raises
    ------
    UnknownNameError
        When there is no such network, it has no such weights, or an option does not exist.
    """
    network, *given = name.split(",")
    options = dict(part.partition("=")[::2] for part in given)
    for key, value in options.items():
        if key != "names":
            raise UnknownNameError("option of imagenet", key, ("names",))
        if value not in get_args(Names):
            raise UnknownNameError("names", value, get_args(Names))
    known = [
        n for n, c in registry.CARDS.items() if "imagenet" in c.weights and c.task == Task.CLASSIFY
    ]
    base = registry.card(network) if network.startswith("torchvision:") else None
    if base is None and network not in known:
        raise UnknownNameError("network with weights from ImageNet", network, known)
    base = base or registry.card(network)
    side, resize = _input(network)
    return ModelCard(
        name=f"imagenet:{name}",
        task=Task.CLASSIFY,
        entry=f"{__name__}:ImagenetClassifier",
        summary=f"{network} as it was trained on ImageNet, with its 1,000 classes",
        paper=base.paper,
        chapter=base.chapter,
        input=f"the middle of a picture, {side} x {side}, standardised by channel",
        largest_side=side,
        side=side,
        resize=resize,
        weights=base.weights,
        parameters=base.parameters,
        shape=(3, side, side),
        rung=False,
        licence=base.licence,
        origin=base.origin,
        code=base.code,
        arguments=MappingProxyType({"network": network, **options}),
    )


def _input(network: str) -> tuple[int, Resize]:
    """Return the side of a network's images, and how pictures come to it."""
    from sightline.models import carried

    if network in carried.PACKAGES:
        return carried.PACKAGES[network].crop, "imagenet"
    from torchvision import models

    preset = models.get_model_weights(network.removeprefix("torchvision:")).DEFAULT.transforms()
    bilinear = preset.interpolation.value == "bilinear"
    return int(preset.crop_size[0]), "imagenet-bilinear" if bilinear else "imagenet"
