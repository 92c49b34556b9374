"""Find objects with masks in large pictures: in tiles that overlap, whose answers become one.

Which answers of two tiles are one object is told by their boxes, as of a detector's
(`detect_tiles`). Of such an object the mask is that of a tile that has it whole; else what all of
its tiles have of it, put together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pycocotools import mask as coco_mask

from sightline.data.outlines import part_to_rle
from sightline.deploy.detect_tiles import Seen, asked, seen_by
from sightline.deploy.tiles import Tile
from sightline.metrics.instances_table import Masks

if TYPE_CHECKING:
    from PIL import Image

    from sightline.types import Progress


def find(
    predict: Callable[[list[Image.Image]], Sequence[Any]], picture: Image.Image, side: int,
    progress: Progress | None = None,
) -> Masks:  # fmt: skip
    """Find objects in a picture tile by tile.

    Parameters
    ----------
    predict : callable
        Answers for pictures, as the method `predict` of an estimator or a `Runtime` does.
    picture : PIL image
    side : int
        Pixels of a tile.
    progress : callable, optional
        Called with (tiles done, tiles in all).

    Returns
    -------
    Masks
        In the pixels of the picture, the surest first.
    """
    return joined(*asked(predict, picture, side, progress))


def joined(cut: Sequence[Tile], said: Sequence[Masks], size: tuple[int, int]) -> Masks:
    """Make one answer of what overlapping tiles say.

    Parameters
    ----------
    cut : sequence of Tile
    said : sequence of Masks
        Of each tile, in its own pixels.
    size : (height, width)
        Of the picture.
    """
    every = seen_by(cut, said, size)
    codes = tuple(_code(every, members, cut, said, size) for members in every.objects)
    first = np.array([members[0] for members in every.objects], np.int64)
    scores = np.array([every.scores[members].max() for members in every.objects])
    return Masks(size, codes, every.labels[first], said[0].classes, scores)


def _code(
    every: Seen, members: Any, cut: Sequence[Tile], said: Sequence[Masks], size: tuple[int, int]
) -> bytes:
    """Encode the mask of an object whose answers are some of those of all tiles."""
    used = members[:1] if every.whole[members[0]] else members
    codes = []
    for i in used.tolist():
        tile, masks, row = cut[every.of[i]], said[every.of[i]], int(every.rows[i])
        x1, y1, x2, y2 = (every.boxes[i] - np.array((tile.x1, tile.y1) * 2)).astype(int).tolist()
        part = masks.mask(row)[y1:y2, x1:x2]
        codes.append(part_to_rle(part, (tile.y1 + y1, tile.x1 + x1), *size))
    return bytes(coco_mask.merge(codes)["counts"])
