"""Say what of a detector's answer can be explained: the score of each of its boxes.

A box is followed through changed pictures by where it is: its score there is that of the best box
of its class that overlaps it as much as two answers may not, times the overlap (as in Petsiuk et
al., Black-box explanation of object detectors via saliency maps, CVPR 2021, equation 2). In the
picture itself this is the score of the answer. Of networks whose candidates are the same for every
picture, gradients are those of the one candidate that the box comes from.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torchvision import ops

from sightline.counting import counted
from sightline.errors import ParameterError
from sightline.explain.opened import Layer, Opened, Picture, evaluating
from sightline.explain.target import Target

if TYPE_CHECKING:
    from torch import Tensor

METHOD = "layer-cam"
"""Grad-CAM averages gradients over places, and so forgets where the box is."""

OVERLAP = 0.6
"""IoU from which on it is the same box, of networks that do not say which overlap they drop."""

Said = list[tuple["Tensor", "Tensor"]]
"""Of each image boxes (C, A, 4), xyxy, and their scores (C, A); of answers A is their number."""


def said(opened: Opened, x: Tensor) -> Said:
    """Compute the scored boxes of each image (N, C, h, w), before or after overlaps are dropped."""
    import torch

    model: Any = opened.model
    if hasattr(model, "candidates"):
        boxes, scores = model.candidates(model.outputs(x))
        classes = scores.shape[2]
        if boxes.ndim == 3:
            boxes = boxes[:, :, None].expand(-1, -1, classes, -1)
        return list(zip(boxes.transpose(1, 2), scores.transpose(1, 2), strict=True))
    made = []
    for one in model(x):  # answers: of a class each, so that the others' scores are 0
        classes = torch.arange(len(opened.outputs), device=x.device)[:, None]
        own = (classes == one["labels"][None]).to(one["scores"].dtype)
        made.append((one["boxes"][None].expand(len(classes), -1, -1), own * one["scores"]))
    return made


def targets(
    opened: Opened, picture: Picture, class_name: str | None, box: int | None
) -> list[Target]:
    """Return the boxes of the answer, the surest first; those of a class, or one by its number.

    Raises
    ------
    ParameterError
        When there is no such box.
    """
    import torch

    model: Any = opened.model
    with evaluating(model), torch.no_grad():
        answer = model(picture.x)[0]
        fixed = hasattr(model, "candidates") and not hasattr(model, "rpn")
        candidates = said(opened, picture.x)[0] if fixed else None
    rows = answer["scores"].argsort(descending=True, stable=True).tolist()
    made = [
        _target(opened, candidates, i, answer["boxes"][row], int(answer["labels"][row]),
                float(answer["scores"][row]))
        for i, row in enumerate(rows, 1)
    ]  # fmt: skip
    return asked_of(made, class_name, box, opened.name, picture.name)


def asked_of(
    made: list[Target], class_name: str | None, box: int | None, name: str, picture: str
) -> list[Target]:
    """Return of the objects of an answer those that are asked for.

    Raises
    ------
    ParameterError
        When there is none.
    """
    if not made:
        raise ParameterError(f"{name} finds no object in {picture} to explain")
    if box is not None:
        if not 1 <= box <= len(made):
            raise ParameterError(
                f"there is no box {box}: {name} finds {counted(len(made), 'object')} in {picture}"
            )
        return [made[box - 1]]
    if class_name is None:
        return made
    own = [target for target in made if target.class_name == class_name]
    if not own:
        names = ", ".join(dict.fromkeys(target.class_name for target in made))
        raise ParameterError(f"{name} finds no {class_name} in {picture}, but {names}")
    return own


def _target(
    opened: Opened, candidates: tuple[Tensor, Tensor] | None, number: int, box: Tensor, label: int,
    score: float,
) -> Target:  # fmt: skip
    """Return the target of an answered box; `candidates`: the image's, where these are fixed."""
    overlap = getattr(getattr(opened.model, "answering", None), "overlap", OVERLAP)

    def same(boxes: Tensor, scores: Tensor) -> Tensor:
        import torch

        shares = ops.box_iou(box[None], boxes[label].detach())[0]
        return torch.where(shares > overlap, shares, 0.0) * scores[label]

    def followed(images: Said) -> Tensor:
        import torch

        own = [same(boxes, scores) for boxes, scores in images]
        return torch.stack([one.max() if len(one) else one.sum() for one in own])

    name = opened.outputs[label]
    made = Target(f"box {number}: {name}", name, label, score, followed, followed,
                  box=box.cpu().numpy().astype(np.float32))  # fmt: skip
    if candidates is None:
        return made
    place = int(same(*candidates).argmax())

    def of_candidate(images: Said) -> Tensor:
        import torch

        return torch.stack([scores[label, place] for _, scores in images])

    return dataclasses.replace(made, value=of_candidate)


def default(layers: Sequence[Layer]) -> str:
    """Return the last layer of the backbone: heads look at single places of its maps."""
    inside = [layer for layer in layers if "backbone" in layer.name.split(".")]
    return (inside or list(layers))[-1].name
