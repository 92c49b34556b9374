"""Tell which annotated objects play no part in a detector's training, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.counting import counted
from sightline.data.annotation import Annotation
from sightline.data.dataset import Split
from sightline.training.boxed_recipe import LEAST

if TYPE_CHECKING:
    from torch import nn

DRAWN = 1000
"""Pictures that are looked at where their annotations are drawn when they are asked for."""

NAMED = 3
"""Pictures that are named, of each reason."""


def untaught(train: Split, model: nn.Module, size: tuple[int, int]) -> list[str]:
    """Return a remark on the objects that teach nothing, or none where all of them do.

    They are those without an area in their picture, those of a crowd, those of which less than a
    pixel is left at the network's size, and those that the network itself leaves out: it says so by
    ``learned``, and why by ``untaught``.

    Parameters
    ----------
    train : Split
    model : Module
    size : (height, width)
        Of the network's images, to which pictures are stretched.
    """
    total, items = 0, train.items
    if any(callable(item.annotation) for item in items):
        items = items[:DRAWN]
    counts: dict[str, int] = {}
    pictures: dict[str, list[str]] = {}
    for item in items:
        known = item.read_annotation()
        if known is None or not len(known.boxes):
            continue
        total += len(known.boxes)
        for why, marked in _marks(known, model, size).items():
            if marked.any():
                counts[why] = counts.get(why, 0) + int(marked.sum())
                pictures.setdefault(why, []).append(item.id)
    if not counts:
        return []
    said = [
        f"{n:,} {why} ({', '.join(pictures[why][:NAMED])}{' ...' * (len(pictures[why]) > NAMED)})"
        for why, n in counts.items()
    ]
    of = counted(total, "object")
    if len(items) < len(train):
        of += f" of the first {len(items):,} pictures"
    return [f"{sum(counts.values()):,} of {of} play no part in training: {'; '.join(said)}"]


def _marks(
    known: Annotation, model: nn.Module, size: tuple[int, int]
) -> dict[str, NDArray[np.bool_]]:
    """Return which objects of a picture are left out, by the reason; each has one."""
    stated = bool(known.width and known.height)
    boxes = known.boxes.clip(0, (known.width, known.height) * 2) if stated else known.boxes
    empty = (boxes[:, 2] <= boxes[:, 0]) | (boxes[:, 3] <= boxes[:, 1])
    crowd = np.asarray(known.crowd, np.bool_) & ~empty
    marks = {"without an area in the picture": empty, "of a crowd": crowd}
    network: Any = model
    if not stated:
        return marks
    boxes = boxes * np.array((size[1] / known.width, size[0] / known.height) * 2)
    sides = boxes[:, 2:] - boxes[:, :2]
    tiny = np.asarray(np.minimum(sides[:, 0], sides[:, 1]) < LEAST) & ~empty & ~crowd
    marks[f"below {LEAST:g} pixel at {size[1]} x {size[0]}"] = tiny
    if not hasattr(network, "learned"):
        return marks
    import torch

    rest = np.flatnonzero(~empty & ~crowd & ~tiny)
    taught = network.learned(torch.from_numpy(boxes[rest]), size).numpy()
    left = np.zeros(len(boxes), np.bool_)
    left[rest[~taught]] = True
    return marks | {f"as {network.untaught}": left}
