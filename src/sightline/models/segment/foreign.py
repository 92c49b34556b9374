"""Build other people's semantic networks by name: ``torchvision:NAME`` and ``smp:NAME``.

They stand beside those of the bench under its rules: one tensor of standardised images a batch,
logits of every pixel at the images' own size, of an auxiliary head beside them in training.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import get_model, list_models, segmentation

from sightline.errors import MissingExtraError, UnknownNameError
from sightline.models import licences
from sightline.models.card import ModelCard
from sightline.models.classify.foreign import replace_stem
from sightline.models.segment import cards
from sightline.models.segment.network import SemanticModule

ENCODER = "resnet18"
"""Encoder of a network of segmentation_models.pytorch where none is named."""

MULTIPLE = 32
"""Pixels that the sides of its images are multiples of."""

_COCO = MappingProxyType(
    {
        "weights": ("coco",), "licence": licences.TORCHVISION_COCO,
        "origin": "torchvision's, which downloads them once",
    }
)  # fmt: skip


class Torchvision(SemanticModule):
    """A semantic network of torchvision.

    Parameters
    ----------
    network : Module
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        last = ("classifier.4", "classifier.low_classifier", "classifier.high_classifier",
                "aux_classifier.4")  # fmt: skip
        layers = dict(network.named_modules())
        self.head_names = tuple(f"network.{name}" for name in last if name in layers)

    def outputs(self, images: Tensor) -> dict[str, Tensor]:
        """Compute ``out``, and in training ``aux``; see `SemanticModule.forward`."""
        said: Mapping[str, Tensor] = self.network(images)
        return dict(said) if self.training else {"out": said["out"]}


def torchvision_network(num_classes: int = 21, in_channels: int = 3, *, name: str) -> Torchvision:
    """Build a semantic network of torchvision, without weights.

    Parameters
    ----------
    num_classes, in_channels : int
    name : str
        As ``torchvision.models.list_models`` gives it.

    Raises
    ------
    UnknownNameError
        When there is no such network.
    """
    _check(name)
    more = {} if name.startswith("lraspp") else {"aux_loss": True}
    network: nn.Module = get_model(
        name, weights=None, weights_backbone=None, num_classes=num_classes, **more
    )
    if in_channels != 3:
        replace_stem(network, in_channels)
    return Torchvision(network)


def torchvision_card(name: str) -> ModelCard:
    """Return the card of a semantic network of torchvision.

    Raises
    ------
    UnknownNameError
        When there is no such network.
    """
    _check(name)
    light = "mobilenet" in name
    return cards.network(
        f"torchvision:{name}", "foreign:torchvision_network", f"{name} as torchvision has it",
        "see torchvision's documentation", 384 if light else 512, None, cards.SCRATCH_RECIPE,
        costly=not light, published=_COCO, code="BSD-3-Clause, torchvision's", rung=False,
        arguments=MappingProxyType({"name": name}),
    )  # fmt: skip


class Smp(SemanticModule):
    """A network of segmentation_models.pytorch on images of any size.

    Parameters
    ----------
    network : Module
        Takes images whose sides are multiples of `MULTIPLE`: others get a border at the right and
        below, which is cut off the logits.
    """

    head_names = ("network.segmentation_head",)

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def outputs(self, images: Tensor) -> dict[str, Tensor]:
        """Compute ``out``; see `SemanticModule.forward`."""
        height, width = images.shape[2:]
        below, right = -height % MULTIPLE, -width % MULTIPLE
        if below or right:
            images = functional.pad(images, (0, right, 0, below))
        said: Tensor = self.network(images)
        return {"out": said[:, :, :height, :width]}


def smp_network(num_classes: int = 21, in_channels: int = 3, *, name: str) -> Smp:
    """Build a network of segmentation_models.pytorch, without weights.

    Parameters
    ----------
    num_classes, in_channels : int
    name : str
        Its architecture, such as unet or fpn; perhaps with the encoder behind a colon:
        ``unet:resnet34``.

    Raises
    ------
    MissingExtraError
        When the package is not installed.
    UnknownNameError
        When it has no such architecture or encoder.
    """
    smp = _package()
    architecture, encoder = _named(name)
    return Smp(
        smp.create_model(
            architecture, encoder_name=encoder, encoder_weights=None, in_channels=in_channels,
            classes=num_classes,
        )
    )  # fmt: skip


def smp_card(name: str) -> ModelCard:
    """Return the card of a network of segmentation_models.pytorch; see `smp_network`.

    Raises
    ------
    MissingExtraError
        When the package is not installed.
    UnknownNameError
        When it has no such architecture or encoder.
    """
    architecture, encoder = _named(name)
    return cards.network(
        f"smp:{name}", "foreign:smp_network",
        f"{architecture} on {encoder} as segmentation_models.pytorch has it",
        "see its documentation", 384, None, cards.SCRATCH_RECIPE, code="MIT, its own", rung=False,
        arguments=MappingProxyType({"name": name}),
    )  # fmt: skip


def networks() -> list[str]:
    """Return the names of torchvision's semantic networks."""
    names: list[str] = list_models(module=segmentation)
    return names


def _check(name: str) -> None:
    if name not in (known := networks()):
        raise UnknownNameError("torchvision model", name, known)


def _package() -> Any:
    """Import segmentation_models.pytorch."""
    try:
        import segmentation_models_pytorch
    except ImportError:
        raise MissingExtraError("a network of segmentation_models.pytorch", "smp") from None
    return segmentation_models_pytorch


def _named(name: str) -> tuple[str, str]:
    """Return the architecture and the encoder that a name has."""
    smp = _package()
    architecture, _, encoder = name.lower().partition(":")
    known = smp.MODEL_ARCHITECTURES_MAPPING
    if architecture not in known:
        raise UnknownNameError("smp model", architecture, known)
    encoder = encoder or ENCODER
    encoders = smp.encoders.get_encoder_names()
    if encoder not in encoders and not encoder.startswith("tu-"):
        raise UnknownNameError("smp encoder", encoder, encoders)
    return architecture, encoder
