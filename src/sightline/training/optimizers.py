"""Make the optimiser of a recipe: which weights learn, at which rate, with which decay."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from sightline.models.head import head_of, heads_of, is_within
from sightline.training.recipe import Recipe

NORMS = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm)


def optimizer(
    model: nn.Module, recipe: Recipe, head: Sequence[str] | None = None
) -> torch.optim.Optimizer:
    """Return SGD or AdamW with groups for weights, biases of normalisations, backbone and head.

    Parameters
    ----------
    model : Module
        A frozen backbone is marked as such in it.
    recipe : Recipe
    head : sequence of str, optional
        Names of the layers of the head, or of single weights; default: what the network says.

    Raises
    ------
    ParameterError
        When the backbone is to be treated apart, and the network does not say what its head is.
    """
    layers = list(heads_of(model) if head is None else head)
    if not layers and (recipe.freeze == "backbone" or recipe.backbone_lr != 1):
        head_of(model)  # says what is missing
    of_norm = {id(p) for m in model.modules() if isinstance(m, NORMS) for p in m.parameters()}
    in_head = {id(p) for name, p in model.named_parameters() if is_within(name, layers)}
    stages = _stages(model, layers)
    shares = _shares(stages, recipe.layer_decay)
    early = {id(p) for stage in stages[: -(-len(stages) // 3)] for p in stage}
    frozen = {"none": set(), "early": early, "backbone": set(shares)}[recipe.freeze]
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter in model.parameters():
        if id(parameter) in frozen:
            parameter.requires_grad = False
        if not parameter.requires_grad:
            continue
        lr = recipe.lr if id(parameter) in in_head else recipe.lr * recipe.backbone_lr
        lr *= shares.get(id(parameter), 1.0)
        lr *= recipe.bias_lr if id(parameter) in of_norm else 1
        decay = recipe.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((lr, decay), []).append(parameter)
    listed = [{"params": p, "lr": lr, "weight_decay": d} for (lr, d), p in groups.items()]
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(listed, lr=recipe.lr, betas=(recipe.momentum, 0.999))
    return torch.optim.SGD(
        listed, lr=recipe.lr, momentum=recipe.momentum, nesterov=recipe.momentum > 0
    )


def is_frozen(norm: nn.Module, recipe: Recipe) -> bool:
    """Tell whether a normalisation keeps its mean and deviation, as its weights are frozen."""
    own = list(norm.parameters())
    return recipe.freeze == "backbone" or (bool(own) and not any(p.requires_grad for p in own))


def _stages(model: nn.Module, head: Sequence[str]) -> list[list[nn.Parameter]]:
    """Return the weights of each stage before the head, in the order of the network."""
    stages: dict[str, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not is_within(name, head):
            stages.setdefault(_stage(model, name), []).append(parameter)
    return list(stages.values())


def _shares(stages: Sequence[Sequence[nn.Parameter]], decay: float) -> dict[int, float]:
    """Return each weight's share of the learning rate, by its id: less, the earlier its stage."""
    return {
        id(parameter): decay ** (len(stages) - place)
        for place, stage in enumerate(stages)
        for parameter in stage
    }


def _stage(model: nn.Module, name: str) -> str:
    """Return the stage of a weight: the layer of the network it is in, or of a list of layers.

    What a detector stands on is a network in the network: its stages are those of the whole.
    """
    first, _, rest = name.partition(".")
    module = getattr(model, first)
    if first in ("backbone", "body") and "." in rest:
        return f"{first}.{_stage(module, rest)}"
    in_list = isinstance(module, nn.Sequential | nn.ModuleList) and len(module) > 1
    return f"{first}.{rest.partition('.')[0]}" if in_list else first
