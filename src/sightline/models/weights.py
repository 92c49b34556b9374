"""Load published weights into a network, with the preprocessing that they need.

A network that was trained on ImageNet's 1000 classes is a better start than chance (Yosinski et
al., How transferable are features in deep neural networks?, 2014), if it sees images as it did
then: scaled, cropped and standardised in the same way.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sightline.errors import UnknownNameError, WeightsError
from sightline.models import carried, licences
from sightline.models.head import head_of, heads_of


@dataclass(frozen=True, slots=True)
class PublishedWeights:
    """What published weights need of images, and where they come from.

    Parameters
    ----------
    name : str
        Such as ``VGG16_Weights.IMAGENET1K_V1``.
    url : str
        Of the file.
    mean, std : tuple of float
        Of the standardisation by channel, in units of [0, 1].
    resize : int
        Pixels that the shorter side is scaled to,
    crop : int
        before a square of this side is cut out of the middle.
    interpolation : str
    categories : tuple of str
        Names of the classes that it was trained on.
    metrics : mapping of str to float
        As published, percent: ``acc@1`` and ``acc@5`` on ImageNet's validation images, ``ap`` of a
        detector and ``miou`` of a semantic network on COCO's of 2017.
    recipe : str
        Address of how it was trained.
    licence : str
    fresh : tuple of str
        Weights of the network that were not loaded and stay as initialised.
    """

    name: str
    url: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: int
    crop: int
    interpolation: str
    categories: tuple[str, ...]
    metrics: Mapping[str, float]
    recipe: str
    licence: str
    fresh: tuple[str, ...]


def load_published(name: str, model: nn.Module, num_classes: int) -> PublishedWeights:
    """Load published ImageNet weights into a network that was just built.

    They are torchvision's, or those that a package of the index carries (`carried`).

    The last layer stays as initialised unless there are ImageNet's 1000 classes; of a network that
    stands on such a classifier, a detector, all its own layers stay so. For grey images the first
    filters are summed over the colours, which answers as three equal colours would. A small-image
    form takes what has the same shape.

    Parameters
    ----------
    name : str
        Of the architecture; the prefix ``torchvision:`` may stand before it.
    model : Module
        Is changed.
    num_classes : int
        That it was built for.

    Raises
    ------
    UnknownNameError
        When there is no architecture of that name.
    WeightsError
        When the file cannot be downloaded or read, or is another network's.
    """
    name = name.removeprefix("torchvision:")
    if name in carried.PACKAGES:
        return _load_carried(name, model, num_classes)
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        raise UnknownNameError("architecture with published weights", name, known)
    entry = models.get_model_weights(name).DEFAULT
    loaded = fit_in(_read(name, entry), model, num_classes, len(entry.meta["categories"]), name)
    preset = entry.transforms()
    mean, std = tuple(preset.mean), tuple(preset.std)
    if name == "googlenet" and not getattr(model, "transform_input", False):
        mean = std = (0.5, 0.5, 0.5)  # as its ported weights want it, else ImageNet's
    if _stem(model).in_channels == 1:
        mean, std = (sum(mean) / 3,), (sum(std) / 3,)
    return PublishedWeights(
        name=str(entry),
        url=entry.url,
        mean=mean,
        std=std,
        resize=preset.resize_size[0],
        crop=preset.crop_size[0],
        interpolation=preset.interpolation.value,
        categories=tuple(entry.meta["categories"]),
        metrics=dict(entry.meta["_metrics"]["ImageNet-1K"]),
        recipe=entry.meta["recipe"],
        licence=licence_of(entry),
        fresh=loaded,
    )


def _load_carried(name: str, model: nn.Module, num_classes: int) -> PublishedWeights:
    package = carried.PACKAGES[name]
    names = imagenet_classes()
    fresh = fit_in(carried.read(name), model, num_classes, len(names), name)
    grey = _stem(model).in_channels == 1
    return PublishedWeights(
        name=f"{package.name} {package.version}",
        url=package.where,
        mean=carried.MEAN[:1] if grey else carried.MEAN,
        std=carried.STD[:1] if grey else carried.STD,
        resize=package.resize,
        crop=package.crop,
        interpolation="bicubic",
        categories=names,
        metrics={"acc@1": package.accuracy},
        recipe="https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite",
        licence=licences.EFFICIENTNET_LITE,
        fresh=fresh,
    )


def at_hand(name: str) -> bool:
    """Tell whether a network's published weights can be loaded without a download.

    Parameters
    ----------
    name : str
        Of the architecture.
    """
    if name in carried.PACKAGES:
        return carried.installed(name)
    from torchvision import models

    if name not in models.list_models(module=models):
        return False
    return _file_of(models.get_model_weights(name).DEFAULT).is_file()


def imagenet_classes() -> tuple[str, ...]:
    """Return the names of ImageNet's 1000 classes, as torchvision's weights carry them."""
    from torchvision.models import ResNet18_Weights

    return tuple(ResNet18_Weights.DEFAULT.meta["categories"])


def licence_of(entry: Any) -> str:
    """Return the licence of torchvision's weights: their own (SWAG has one), or why not."""
    return str(entry.meta.get("license", licences.TORCHVISION))


def fit_in(
    state: Mapping[str, Tensor], model: nn.Module, num_classes: int, published: int, name: str
) -> tuple[str, ...]:
    """Copy the tensors that fit into a network; return the names of those left as they were.

    A network that stands on a classifier's layers says what they are called in it: its method
    ``from_classifier`` turns the state dict of that classifier into its own names, and what is not
    among them stays as it was.

    Raises
    ------
    WeightsError
        When more than the last layers and the first filters do not fit.
    """
    convert = getattr(model, "from_classifier", None)
    if convert is not None:
        return fit_backbone(convert(state), model, name)
    own = model.state_dict()
    head, _ = head_of(model)
    anew = tuple(f"{layer}." for layer in heads_of(model))
    stem = stem_weight(model)
    taken, fresh = {}, []
    for key, tensor in own.items():
        given = in_colours(state.get(key), tensor, key == stem)
        of_head = key.startswith(anew) and num_classes != published
        if given is None or given.shape != tensor.shape or of_head:
            fresh.append(key)
        else:
            taken[key] = given
    replaceable = (head.partition(".")[0] + ".", *anew, "aux", "AuxLogits.", stem)
    foreign = [key for key in fresh if not key.startswith(replaceable)]
    if foreign:
        raise misfit(name, model, foreign)
    model.load_state_dict(own | taken)
    return tuple(fresh)


def fit_backbone(given: Mapping[str, Tensor], model: nn.Module, name: str) -> tuple[str, ...]:
    """Copy tensors into a network, all of which must fit; return the names of the others.

    Raises
    ------
    WeightsError
        When one does not fit.
    """
    own, stem = model.state_dict(), stem_weight(model)
    taken = {k: in_colours(t, own[k], k == stem) if k in own else t for k, t in given.items()}
    foreign = [k for k, t in taken.items() if k not in own or t is None or t.shape != own[k].shape]
    if foreign or not taken:
        raise misfit(name, model, foreign or ["every layer"])
    model.load_state_dict(own | taken)
    return tuple(key for key in own if key not in taken)


def misfit(name: str, model: nn.Module, foreign: Sequence[str]) -> WeightsError:
    """Return the error that tensors of these names do not fit a network."""
    others = f" and {len(foreign) - 1} others differ" if len(foreign) > 1 else " differs"
    return WeightsError(
        f"the published weights of {name} do not fit {type(model).__name__}: {foreign[0]}{others}; "
        "build the network of that name"
    )


def in_colours(given: Tensor | None, own: Tensor, stem: bool) -> Tensor | None:
    """Return a tensor; the first filters summed over the colours where images are grey.

    A network whose first layer sees several pixels at once has the three colours of each.
    """
    if given is not None and stem and 3 * own.shape[1] == given.shape[1]:
        return given.view(len(given), own.shape[1], 3, *given.shape[2:]).sum(2)
    return given


def stem_weight(model: nn.Module) -> str:
    """Return the name of the first convolution's filters."""
    stem = _stem(model)
    return next(f"{name}.weight" for name, module in model.named_modules() if module is stem)


def _stem(model: nn.Module) -> nn.Conv2d:
    """Return the first convolution."""
    return next(m for m in model.modules() if isinstance(m, nn.Conv2d))


def _file_of(entry: Any) -> Path:
    """Return where a file of torchvision's lies once it was downloaded."""
    name: str = entry.url.rpartition("/")[2]
    return Path(torch.hub.get_dir()) / "checkpoints" / name


def _read(name: str, entry: Any) -> Mapping[str, Tensor]:
    """Return the state dict of a file that is downloaded once."""
    place = _file_of(entry)
    file, folder = place.name, place.parent
    try:
        state: Mapping[str, Tensor] = entry.get_state_dict(
            progress=True, check_hash=True, map_location="cpu", weights_only=True
        )
    except OSError as error:  # URLError is one
        reason = getattr(error, "reason", None) or error.strerror or error
        raise WeightsError(
            f"cannot download the published weights of {name} ({reason}): put the file {file} "
            f"from {entry.url} into the folder {folder}"
        ) from None
    except (RuntimeError, EOFError, LookupError, ValueError, TypeError, pickle.UnpicklingError):
        raise WeightsError(
            f"{place} is damaged: delete it, to download it again, or put the file from "
            f"{entry.url} there"
        ) from None
    return state
