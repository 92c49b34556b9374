"""Find the last layer of a network, and compute the features that go into it.

A network says what its head is: its attribute ``head_names`` names the layers that are made anew
for other classes, the one that gives the logits first. It cannot be guessed: the last layer of a
detector may be the regression of boxes alone.

What a network has learned for one task serves another: a linear classifier on these features
does well where there are few images (Donahue et al., DeCAF, 2014; Razavian et al., 2014).
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from sightline.errors import ParameterError


def head_of(model: nn.Module) -> tuple[str, nn.Module]:
    """Return the name and the module of the layer that computes the logits.

    It is ``fc`` in ResNets and GoogLeNet, ``classifier.6`` in AlexNet and VGG, ``classifier`` in
    their small-image forms.

    Raises
    ------
    ParameterError
        When the network does not say it.
    """
    heads = heads_of(model)
    if not heads:
        raise ParameterError(
            f"{type(model).__name__} does not say which layer is its head (attribute head_names)"
        )
    return next(iter(heads.items()))


def heads_of(model: nn.Module) -> dict[str, nn.Module]:
    """Return the layers that are made anew for other classes, by name; none where it has none.

    Raises
    ------
    ParameterError
        When it names a layer that it has not.
    """
    try:
        return {name: model.get_submodule(name) for name in getattr(model, "head_names", ())}
    except AttributeError as error:
        raise ParameterError(f"{type(model).__name__}: its head is not there ({error})") from None


def features(model: nn.Module, x: Tensor) -> Tensor:
    """Compute the features that go into the last layer, without gradients.

    Parameters
    ----------
    model : Module
        Stays in the mode it is in; call ``eval()`` first for features without chance.
    x : Tensor, shape (N, C, H, W)

    Returns
    -------
    Tensor, shape (N, D)
        The layer gives the logits from it; of a convolution's input, the mean over the places.

    Raises
    ------
    ParameterError
        When the network has no last layer, or does not use it.
    """
    name, head = head_of(model)
    seen: list[Tensor] = []
    handle = head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        with torch.no_grad():
            model(x)
    finally:
        handle.remove()
    if len(seen) != 1:
        raise ParameterError(
            f"{name} of {type(model).__name__} is used {len(seen)} times, not once"
        )
    return seen[0].mean((2, 3)) if seen[0].ndim == 4 else seen[0]


def without_head(model: nn.Module) -> nn.Module:
    """Return a copy of a network without its last layer: its output is the features.

    What the network does to its logits afterwards, such as a constant factor, it does to them.

    Raises
    ------
    ParameterError
        When the network has no last layer.
    """
    twin = copy.deepcopy(model)
    name, _ = head_of(twin)
    parent, _, last = name.rpartition(".")
    setattr(twin.get_submodule(parent), last, nn.Identity())
    return twin
