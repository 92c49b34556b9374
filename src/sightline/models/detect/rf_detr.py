"""Build RF-DETR of its own package by name: ``rfdetr:nano`` to ``rfdetr:large``.

Robinson et al., RF-DETR: Neural architecture search for real-time detection transformers, 2025. A
transformer answers with a set of boxes, so nothing that overlaps has to be dropped. The network,
its losses and the choice of answers are the package's; here stand the shapes and the labels of the
bench. Its sizes xlarge and 2xlarge are under another licence and are refused.

COCO's weights number 91 outputs by COCO's own ids, 0 unused; here a class has its own output and
the unused one is the last.
"""

from __future__ import annotations

import logging
import warnings
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.ops import box_convert

from sightline.errors import MissingExtraError, ParameterError, UnknownNameError
from sightline.models import licences
from sightline.models.card import ModelCard
from sightline.models.detect import cards
from sightline.models.detect.boxes import with_area
from sightline.models.detect.network import Targets, for_each

SIDES = MappingProxyType({"nano": 384, "small": 512, "medium": 576, "large": 704})
"""Pixels a side that each size was published for."""

OTHERS = ("xlarge", "2xlarge")
"""Sizes under the Platform Model License of their publisher, in a package of their own."""

PARAMETERS = MappingProxyType(
    {"nano": 30_467_298, "small": 32_111_170, "medium": 33_687_458, "large": 33_933_218}
)
"""Weights with COCO's 91 outputs."""


_PUBLISHED = MappingProxyType(
    {
        "weights": ("coco",), "licence": licences.RF_DETR,
        "origin": "RF-DETR's own, downloaded once",
    }
)  # fmt: skip


class RFDETR(nn.Module):
    """RF-DETR on images that are standardised and of the size that it was built for.

    Parameters
    ----------
    size : str
        Of `SIDES`.
    num_classes : int
    in_channels : int
        Grey images are shown as colour images.

    Raises
    ------
    MissingExtraError
        When the package is not installed.
    """

    at_once = 8

    def __init__(self, size: str, num_classes: int, in_channels: int = 3) -> None:
        super().__init__()
        self.num_classes, self.in_channels = num_classes, in_channels
        try:
            from rfdetr import config as theirs
            from rfdetr import models
        except ImportError:
            raise MissingExtraError(f"rfdetr:{size}", "rfdetr") from None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it begins with weights by chance
            kind = getattr(theirs, f"RFDETR{size.capitalize()}Config")
            about = kind(pretrain_weights=None, num_classes=num_classes, device="cpu")
            learning = theirs.TrainConfig(dataset_dir=".", output_dir=".")
        said = logging.getLogger("rf-detr")
        level = said.level
        said.setLevel(logging.ERROR)
        try:
            self.network = models.build_model_from_config(about)
            self.criterion, self.choose = models.build_criterion_from_config(about, learning)
        finally:
            said.setLevel(level)
        scoring = [n for n, m in self.network.named_modules() if _scores(n, m)]
        self.head_names = tuple(f"network.{name}" for name in scoring)

    def forward(
        self, images: Tensor, targets: Targets | None = None
    ) -> dict[str, Tensor] | list[dict[str, Tensor]]:
        """Compute the losses in training, answers in evaluation; see `DetectionModule.forward`."""
        x = images.expand(-1, 3, -1, -1).contiguous()
        height, width = images.shape[2:]
        if not self.training:
            sizes = torch.tensor([[height, width]] * len(x), device=x.device)
            return [_known(said, self.num_classes) for said in self.choose(self.network(x), sizes)]
        sides = torch.tensor([width, height, width, height], device=x.device)
        taught = []
        for target in for_each(images, targets):
            rows = with_area(target["boxes"])
            boxes = box_convert(target["boxes"][rows].float() / sides, "xyxy", "cxcywh")
            taught.append({"boxes": boxes, "labels": target["labels"][rows]})
        parts: dict[str, Tensor] = self.criterion(self.network(x), taught)
        weights: dict[str, float] = self.criterion.weight_dict
        return {name: weights[name] * part for name, part in parts.items() if name in weights}


def _scores(name: str, module: nn.Module) -> bool:
    """Tell whether a layer scores classes."""
    return "class_embed" in name and isinstance(module, nn.Linear)


def _known(said: dict[str, Tensor], classes: int) -> dict[str, Tensor]:
    """Return answers without those of the output that stands for no class."""
    rows = torch.nonzero(said["labels"] < classes)[:, 0]
    return {name: said[name][rows] for name in ("boxes", "scores", "labels")}


def rf_detr(num_classes: int = 90, in_channels: int = 3, *, size: str = "nano") -> RFDETR:
    """Build RF-DETR, without weights.

    Parameters
    ----------
    num_classes, in_channels : int
    size : {"nano", "small", "medium", "large"}
    """
    return RFDETR(size, num_classes, in_channels)


def rf_detr_card(size: str) -> ModelCard:
    """Return the card of a size of RF-DETR.

    Raises
    ------
    ParameterError
        When the size is under another licence.
    UnknownNameError
        When there is no such size.
    """
    if size in OTHERS:
        raise ParameterError(
            f"rfdetr:{size} is under the Platform Model License, not Apache-2.0, and is not "
            f"offered here; there are {', '.join(f'rfdetr:{name}' for name in SIDES)}"
        )
    if size not in SIDES:
        raise UnknownNameError("size of RF-DETR", size, SIDES)
    side = SIDES[size]
    recipe = MappingProxyType(
        {
            **cards.FINETUNE_RECIPE,
            "weights": "none",
            "batch_size": 4,
            "lr": 1e-4,
            "layer_decay": 0.9,
        }
    )
    return cards.network(
        f"rfdetr:{size}", "rf_detr:rf_detr",
        f"RF-DETR {size}: a transformer that answers with a set of boxes",
        "Robinson et al., RF-DETR, 2025", side, PARAMETERS[size], recipe,
        fixed=True, costly=True, published=_PUBLISHED,
        code="Apache-2.0, of the package rfdetr", rung=False,
        arguments=MappingProxyType({"size": size}),
    )  # fmt: skip


def published_file(size: str) -> tuple[str, str]:
    """Return the address of a size's weights from COCO, and the name of their file.

    Raises
    ------
    MissingExtraError
        When the package is not installed.
    """
    try:
        from rfdetr.assets.model_weights import ModelWeights
    except ImportError:
        raise MissingExtraError(f"rfdetr:{size}", "rfdetr") from None
    names: dict[str, Any] = {"large": "RF_DETR_LARGE_2026"}
    asset = getattr(ModelWeights, names.get(size, f"RF_DETR_{size.upper()}"))
    return str(asset.url), str(asset.filename)
