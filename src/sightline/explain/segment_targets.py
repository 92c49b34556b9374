"""Say what of a segmenter's answer can be explained: a class, summed over its pixels.

The number is the sum of the class's logit over the pixels that are answered as it (Vinogradova,
Dibrov & Myers, Towards interpretable semantic segmentation via gradient-weighted class activation
mapping, AAAI 2020); its share is the mean probability of the class over the same pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from sightline.data.draw import is_background
from sightline.errors import ParameterError
from sightline.explain.opened import Layer, Opened, Picture, evaluating, smallest_last
from sightline.explain.target import Target

if TYPE_CHECKING:
    from torch import Tensor


def said(opened: Opened, x: Tensor) -> Tensor:
    """Compute the logits of images (N, C, h, w): shape (N, K, h, w)."""
    return cast("Tensor", opened.model(x))


def targets(
    opened: Opened, picture: Picture, class_name: str | None, box: int | None
) -> list[Target]:
    """Return the classes that pixels are answered as, the largest first, the background last.

    With a name, that class alone.

    Raises
    ------
    ParameterError
        When a box is asked for, or no pixel is answered as the class.
    """
    import torch

    if box is not None:
        raise ParameterError(f"{opened.name} answers with the class of every pixel, not with "
                             "boxes: name a class instead")  # fmt: skip
    with evaluating(opened.model), torch.no_grad():
        logits = said(opened, picture.x)[0].float()
    ignored = np.asarray(getattr(opened.method, "ignored_", ())).tolist()
    if ignored:
        logits[ignored] = -torch.inf
    labels = logits.argmax(0).cpu().numpy()
    shares = logits.softmax(0).cpu().numpy()
    inside = picture.frame.map_into(np.ones(picture.frame.size, np.bool_), picture.size)
    counts = np.bincount(labels[inside], minlength=len(opened.outputs))
    order = np.argsort(-counts, kind="stable")[: int((counts > 0).sum())].tolist()
    order.sort(key=lambda number: is_background(opened.outputs[number]))
    if class_name is not None:
        number = opened.output_of(class_name)
        if not counts[number]:
            names = ", ".join(opened.outputs[n] for n in order)
            raise ParameterError(
                f"no pixel of {picture.name} is answered as {class_name}, but as {names}"
            )
        order = [number]
    return [
        of_region(opened.outputs[n], n, region := (labels == n) & inside,
                  float(shares[n][region].mean()), opened)
        for n in order
    ]  # fmt: skip


def of_region(
    name: str, number: int, region: NDArray[np.bool_], score: float, opened: Opened
) -> Target:
    """Return the target of a class over a region of the network's image, shape (h, w)."""
    import torch

    where = torch.from_numpy(region).to(opened.device)

    def value(logits: Tensor) -> Tensor:
        return logits[:, number][:, where].sum(1)

    def probability(logits: Tensor) -> Tensor:
        return logits.float().softmax(1)[:, number][:, where].mean(1)

    return Target(name, name, number, score, value, probability, region=region)


def default(layers: Sequence[Layer]) -> str:
    """Return the last of the smallest maps: later ones show the answer, not where it is from."""
    return smallest_last(layers)
