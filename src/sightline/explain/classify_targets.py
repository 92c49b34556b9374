"""Say what of a classifier's answer can be explained: the logit of any class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from sightline.errors import ParameterError
from sightline.explain.opened import Layer, Opened, Picture, evaluating
from sightline.explain.target import Target

if TYPE_CHECKING:
    from torch import Tensor


def said(opened: Opened, x: Tensor) -> Tensor:
    """Compute the logits of images (N, C, h, w): shape (N, K)."""
    return cast("Tensor", opened.model(x))


def targets(
    opened: Opened, picture: Picture, class_name: str | None, box: int | None
) -> list[Target]:
    """Return the classes of a picture, the likeliest first; or the one that is named.

    Raises
    ------
    ParameterError
        When a box is asked for.
    """
    import torch

    if box is not None:
        raise ParameterError(f"{opened.name} is a classifier, whose answer has no boxes: name a "
                             "class instead")  # fmt: skip
    warmth = float(getattr(opened.method, "temperature_", 1.0))
    with evaluating(opened.model), torch.no_grad():
        shares = (said(opened, picture.x)[0].float() / warmth).softmax(0)
    order = (
        shares.argsort(descending=True, stable=True).tolist()
        if class_name is None else [opened.output_of(class_name)]
    )  # fmt: skip

    def target(number: int) -> Target:
        return Target(
            opened.outputs[number], opened.outputs[number], number, float(shares[number]),
            lambda logits: logits[:, number],
            lambda logits: (logits.float() / warmth).softmax(1)[:, number],
        )  # fmt: skip

    return [target(number) for number in order]


def default(layers: Sequence[Layer]) -> str:
    """Return the last layer: what comes after it has forgotten where things are."""
    return layers[-1].name
