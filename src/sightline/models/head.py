"""Find the last layer of a network.

A network says what its head is: its attribute ``head_names`` names the layers that are made anew
for other classes, the one that gives the logits first. It cannot be guessed: the last layer of a
detector may be the regression of boxes alone.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from torch import nn

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


def fresh_layers(model: nn.Module, fresh: Collection[str]) -> list[str]:
    """Return the largest layers all of whose weights are new, and single weights that are.

    Parameters
    ----------
    model : Module
    fresh : collection of str
        Names of tensors that published weights have left as initialised.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)))
    >>> fresh_layers(model, {"0.bias", "1.0.weight", "1.0.bias", "1.1.weight", "1.1.bias"})
    ['1', '0.bias']
    """
    layers: list[str] = []
    for name, module in model.named_modules():
        own = [n for n, _ in module.named_parameters(prefix=name)]
        if own and set(own) <= set(fresh) and not is_within(name, layers):
            layers.append(name)
    rest = [n for n, _ in model.named_parameters() if n in fresh and not is_within(n, layers)]
    return [*layers, *rest]


def is_within(name: str, layers: Sequence[str]) -> bool:
    """Tell whether a weight or a layer is one of some layers, or in one."""
    return any(name == layer or name.startswith(f"{layer}.") for layer in layers)
