"""Build other libraries' classifiers by name: ``torchvision:NAME`` and ``timm:NAME``."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from torch import nn

from sightline.errors import MissingExtraError, ParameterError, UnknownNameError, WeightsError
from sightline.models import licences
from sightline.models.card import ModelCard
from sightline.models.classify.cards import SMALL_RECIPE, TUNE_RECIPE
from sightline.models.weights import PublishedWeights
from sightline.types import Task


def torchvision_model(num_classes: int = 1000, in_channels: int = 3, *, name: str) -> nn.Module:
    """Build a classification model of torchvision, without weights.

    Parameters
    ----------
    num_classes, in_channels : int
    name : str
        As ``torchvision.models.list_models`` gives it.

    Raises
    ------
    UnknownNameError
    """
    from torchvision import models

    _check("torchvision", name, _torchvision_names())
    more: dict[str, Any] = {}
    if name in ("googlenet", "inception_v3"):
        more["init_weights"] = True  # torchvision warns without
    model: nn.Module = models.get_model(name, weights=None, num_classes=num_classes, **more)
    if in_channels != 3:
        replace_stem(model, in_channels)
    return with_head(model)


def timm_model(num_classes: int = 1000, in_channels: int = 3, *, name: str) -> nn.Module:
    """Build a model of timm, without weights.

    Parameters
    ----------
    num_classes, in_channels : int
    name : str
        As ``timm.list_models`` gives it.

    Raises
    ------
    UnknownNameError
    MissingExtraError
        When timm is not installed.
    """
    timm = _timm()
    _check("timm", name, timm.list_models())
    model: nn.Module = timm.create_model(
        name, pretrained=False, num_classes=num_classes, in_chans=in_channels
    )
    return with_head(model)


def with_head(model: nn.Module) -> nn.Module:
    """Record a foreign classifier's head in the model: its last layer with weights.

    These libraries' classifiers end with the layer that gives the logits: ``heads.head`` in
    transformers, ``classifier.1``, a convolution, in SqueezeNet.

    Raises
    ------
    ParameterError
        When it has no such layer.
    """
    for name, module in reversed(list(model.named_modules())):
        if isinstance(module, nn.Linear | nn.Conv2d):
            model.head_names = (name,)  # type: ignore[assignment]
            return model
    raise ParameterError(f"{type(model).__name__} has no layer that gives logits")


def torchvision_card(name: str) -> ModelCard:
    """Return the card of a model of torchvision.

    Raises
    ------
    UnknownNameError
    """
    _check("torchvision", name, _torchvision_names())
    return _card("torchvision", name, weights=("imagenet",))


def timm_card(name: str) -> ModelCard:
    """Return the card of a model of timm.

    Raises
    ------
    UnknownNameError
    MissingExtraError
        When timm is not installed.
    """
    _check("timm", name, _timm().list_models())
    return _card("timm", name, weights=())


def timm_published(name: str) -> tuple[nn.Module, PublishedWeights]:
    """Return a timm model with its published weights, and the preprocessing that they need.

    Raises
    ------
    UnknownNameError, MissingExtraError
        See `timm_card`.
    WeightsError
        When they cannot be fetched.
    """
    timm = _timm()
    _check("timm", name, timm.list_models())
    try:
        model: Any = timm.create_model(name, pretrained=True)
    except Exception as error:  # noqa: BLE001 - timm raises whatever its hub client does
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise WeightsError(
            f"cannot fetch the weights of timm:{name} ({why}); where there is a network run "
            f"python -c \"import timm; timm.create_model('{name}', pretrained=True)\" and copy its "
            "~/.cache/huggingface here"
        ) from None
    with_head(model)
    given = timm.data.resolve_model_data_config(model)
    crop = int(given["input_size"][-1])
    pretrained = model.pretrained_cfg
    return model, PublishedWeights(
        name=f"timm:{name}",
        url=str(pretrained.get("hf_hub_id") or pretrained.get("url") or ""),
        mean=tuple(given["mean"]),
        std=tuple(given["std"]),
        resize=round(crop / float(given["crop_pct"])),
        crop=crop,
        interpolation=str(given["interpolation"]),
        categories=tuple(str(i) for i in range(model.num_classes)),
        metrics={},
        recipe=str(pretrained.get("origin_url") or ""),
        licence=str(pretrained.get("license") or "see timm"),
        fresh=(),
    )


def _card(library: str, name: str, weights: tuple[str, ...]) -> ModelCard:
    return ModelCard(
        name=f"{library}:{name}",
        task=Task.CLASSIFY,
        entry=f"{__name__}:{library}_model",
        summary=f"{name} as {library} has it",
        paper=f"see {library}'s documentation",
        chapter=8,
        input="standardised by channel",
        largest_side=224,
        kind="module",
        smallest_side=32,
        recipe=SMALL_RECIPE,
        recipe_large=TUNE_RECIPE,
        costly=True,
        weights=weights,
        licence=licences.TORCHVISION if weights else "",
        origin="torchvision's, which downloads them once" if weights else "",
        code={"torchvision": "BSD-3-Clause, torchvision's", "timm": "Apache-2.0, timm's"}[library],
        shape=(3, 224, 224),
        rung=False,
        arguments=MappingProxyType({"name": name}),
    )


def _torchvision_names() -> list[str]:
    from torchvision import models

    names: list[str] = models.list_models(module=models)
    return names


def _timm() -> Any:
    try:
        import timm
    except ImportError:
        raise MissingExtraError("timm models", "timm") from None
    return timm


def _check(library: str, name: str, known: list[str]) -> None:
    if name not in known:
        error = UnknownNameError(f"{library} model", name, known)
        if error.nearest is None:  # a thousand names would not help
            some = [f"{len(known)} names, see {library}'s list_models()"]
            raise UnknownNameError(f"{library} model", name, some)
        raise error


def replace_stem(model: nn.Module, in_channels: int) -> None:
    """Replace the first convolution for three channels by one for other channels."""
    path, old = next((n, m) for n, m in model.named_modules() if isinstance(m, nn.Conv2d))
    parent, _, attribute = path.rpartition(".")
    new = nn.Conv2d(
        in_channels, old.out_channels, old.kernel_size, old.stride, old.padding, old.dilation,  # type: ignore[arg-type]
        old.groups, old.bias is not None, old.padding_mode,
    )  # fmt: skip
    setattr(model.get_submodule(parent), attribute, new)
