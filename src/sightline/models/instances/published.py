"""Begin with Mask R-CNN as torchvision has trained it on COCO; see `detect.published`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from torch import nn
from torchvision.models import get_model_weights

from sightline.models.detect.published import (
    TORCHVISION,
    Detector,
    inside,
    loaded,
    torchvisions,
)
from sightline.models.weights import PublishedWeights


def _of(name: str) -> Detector:
    """Return what torchvision has published of a network, with the precision of its masks."""
    metrics = get_model_weights(name).COCO_V1.meta["_metrics"]["COCO-val2017"]
    return replace(torchvisions(name), ap=float(metrics["mask_map"]))


NETWORKS: Mapping[str, Detector] = MappingProxyType({"mask-rcnn": _of("maskrcnn_resnet50_fpn")})
"""By the name of the network here."""


def load_published(name: str, model: nn.Module, classes: Sequence[str]) -> PublishedWeights:
    """Load the published weights of a network that finds objects into one that was just built.

    Parameters
    ----------
    name : str
        Of the network, one of `NETWORKS`, or ``torchvision:NAME``.
    model : Module
        Is changed.
    classes : sequence of str
        Names of the classes that it was built for.

    Raises
    ------
    WeightsError
        When the file cannot be had or read, or is another network's.
    """
    if name.startswith(TORCHVISION):
        about = replace(_of(name.removeprefix(TORCHVISION)), convert=inside)
    else:
        about = NETWORKS[name]
    return loaded(about, name, model, classes)
