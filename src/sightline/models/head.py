"""Find the last layer of a network.

A network says what its head is: its attribute ``head_names`` names the layers that are made anew
for other classes, the one that gives the logits first. It cannot be guessed: the last layer of a
detector may be the regression of boxes alone.
"""

from __future__ import annotations

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
