"""Say what of an answer of objects with masks can be explained: the score of each object.

Networks that answer with boxes are explained as detectors are. Of a network whose maps a watershed
splits, the number of an object is the probability of its class, summed over its pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sightline.explain import detect_targets as of_boxes
from sightline.explain.opened import Layer, Opened, Picture, evaluating, smallest_last
from sightline.explain.target import Target

if TYPE_CHECKING:
    from torch import Tensor


METHOD = of_boxes.METHOD


def said(opened: Opened, x: Tensor) -> Any:
    """Compute scored boxes of each image (N, C, h, w), or maps (N, C + 3, h, w)."""
    if opened.method.splits_maps:
        return opened.model(x)
    return of_boxes.said(opened, x)


def targets(
    opened: Opened, picture: Picture, class_name: str | None, box: int | None
) -> list[Target]:
    """Return the objects of the answer, the surest first; those of a class, or one by its number.

    Raises
    ------
    ParameterError
        When there is no such object.
    """
    if not opened.method.splits_maps:
        return of_boxes.targets(opened, picture, class_name, box)
    import torch

    from sightline.models.instances import flooding
    from sightline.types import Frame

    with evaluating(opened.model), torch.no_grad():
        maps = opened.model(picture.x)[0].float().cpu().numpy()
    known = flooding.objects_of(maps, Frame(picture.size), opened.classes)
    made = [
        _target(opened, i + 1, known.mask(i), int(known.labels[i]), float(known.scores[i]))
        for i in range(len(known))
    ]
    return of_boxes.asked_of(made, class_name, box, opened.name, picture.name)


def _target(opened: Opened, number: int, mask: Any, label: int, score: float) -> Target:
    import torch

    region = np.asarray(mask, np.bool_)
    where = torch.from_numpy(region).to(opened.device)
    rows, columns = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
    box = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)
    name = opened.outputs[label]
    return Target(
        f"box {number}: {name}", name, label, score,
        lambda maps: maps[:, 1 + label][:, where].sum(1),
        lambda maps: maps[:, 1 + label][:, where].mean(1),
        box=box, region=region,
    )  # fmt: skip


def default(layers: Sequence[Layer]) -> str:
    """Return the last layer of a backbone, or the last of the smallest maps."""
    if any("backbone" in layer.name.split(".") for layer in layers):
        return of_boxes.default(layers)
    return smallest_last(layers)
