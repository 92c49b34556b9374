"""Begin with a network that was trained on COCO: torchvision's, held to the digest in its name.

torchvision trained on the images of COCO that have one of Pascal VOC's 20 classes, and scores the
background and those. A network takes of the layers that score classes (its ``head_names``) the rows
of the classes that are called alike, in the order of its own. Where a class of the data is none of
them, those layers are learned anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from torch import nn
from torchvision.models import get_model_weights

from sightline.models.detect.published import (
    TORCHVISION,
    VOC_NAMES,
    Detector,
    brought,
    digest_of,
    fit_in,
    plain,
    state_of,
)
from sightline.models.weights import PublishedWeights

NETWORKS: Mapping[str, str] = MappingProxyType(
    {"fcn-resnet50": "fcn_resnet50", "deeplabv3": "deeplabv3_resnet50"}
)
"""What torchvision calls a network here."""

BACKGROUND = "background"


def outputs() -> tuple[str, ...]:
    """Return the names of what the published networks score, the background first."""
    categories = _entry("deeplabv3").meta["categories"]
    return (BACKGROUND, *categories[1:])


def rows_of(classes: Sequence[str]) -> list[int] | None:
    """Return the output of each class; None: not all classes are known.

    Parameters
    ----------
    classes : sequence of str
        The background's name among them, where the data has one; case, and ``_`` or ``-`` for a
        space, do not matter, and COCO's names of Pascal VOC's classes are known.

    Examples
    --------
    >>> rows_of(["background", "Cat", "couch"])
    [0, 8, 18]
    >>> rows_of(["background", "cup"]) is None
    True
    """
    places = {name: i for i, name in enumerate(outputs())}
    places |= {coco: places[voc] for voc, coco in VOC_NAMES.items()}
    rows = [places.get(plain(name)) for name in classes]
    known = [row for row in rows if row is not None]
    return known if len(known) == len(rows) else None


def load_published(name: str, model: nn.Module, classes: Sequence[str]) -> PublishedWeights:
    """Load a semantic network's published weights into one that was just built.

    Parameters
    ----------
    name : str
        Of the network, one of `NETWORKS`, or ``torchvision:NAME``.
    model : Module
        Is changed.
    classes : sequence of str
        Names of the classes that it was built for, the background's included.

    Raises
    ------
    WeightsError
        When the file cannot be had or read, or is another network's.
    """
    entry = _entry(name)
    preset = entry.transforms()
    about = Detector(
        name=str(entry),
        url=entry.url,
        sha256=digest_of(entry.url),
        side=preset.resize_size[0],
        mean=tuple(preset.mean),
        std=tuple(preset.std),
        ap=0,
        recipe=str(entry.meta["recipe"]),
    )
    state = state_of(about)
    if name.startswith(TORCHVISION):  # which is a part of the network here
        state = {f"network.{key}": tensor for key, tensor in state.items()}
    fresh = fit_in(state, model, rows_of(classes), len(outputs()), name)
    metrics = {"miou": float(entry.meta["_metrics"]["COCO-val2017-VOC-labels"]["miou"])}
    return brought(about, model, state, outputs(), metrics, fresh)


def _entry(name: str) -> Any:
    """Return torchvision's entry of a network's weights."""
    theirs = NETWORKS.get(name, name.removeprefix(TORCHVISION))
    return get_model_weights(theirs).COCO_WITH_VOC_LABELS_V1
