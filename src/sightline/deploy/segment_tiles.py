"""Say the classes of a large picture's pixels: in windows that overlap, each trusted in its middle.

A picture that is brought to a network's size loses what is small in it; cut into windows it does
not, but near a window's edge the network does not see what is around. So windows overlap, and each
pixel has the class that the window says whose edges are farthest from it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from sightline.deploy.tiles import starts, tiles
from sightline.types import Segmentation

if TYPE_CHECKING:
    from PIL import Image

    from sightline.types import Progress

OVERLAP = 0.5
"""Share of a window's side that it has in common with the next one (Isensee et al., nnU-Net, 2021):
what is taken from a window is at least a quarter of its side from its edges."""

_AT_ONCE = 8


def segment(
    predict: Callable[[list[Image.Image]], Sequence[Any]], picture: Image.Image, side: int,
    progress: Progress | None = None,
) -> Segmentation:  # fmt: skip
    """Say the class of every pixel, window by window.

    Parameters
    ----------
    predict : callable
        Answers for pictures, as the method `predict` of an estimator or a `Runtime` does.
    picture : PIL image
    side : int
        Pixels of a window.
    progress : callable, optional
        Called with (windows done, windows in all).

    Returns
    -------
    Segmentation
        Of the whole picture.

    Raises
    ------
    ParameterError
        When windows would be smaller than `tiles.SMALLEST`.
    """
    height, width = picture.height, picture.width
    cut = tiles((height, width), side, OVERLAP)
    rows, columns = trusted(height, side), trusted(width, side)
    whole, classes = None, tuple[str, ...]()
    for start in range(0, len(cut), _AT_ONCE):
        part = cut[start : start + _AT_ONCE]
        for number, answer in enumerate(predict([picture.crop(t.box) for t in part]), start):
            if whole is None:
                whole, classes = np.zeros((height, width), answer.label_map.dtype), answer.classes
            tile, (y1, y2), (x1, x2) = (
                cut[number], rows[number // len(columns)], columns[number % len(columns)]
            )  # fmt: skip
            whole[y1:y2, x1:x2] = answer.label_map[
                y1 - tile.y1 : y2 - tile.y1, x1 - tile.x1 : x2 - tile.x1
            ]
        if progress:
            progress(start + len(part), len(cut))
    assert whole is not None
    return Segmentation(whole, classes)


def trusted(length: int, side: int) -> list[tuple[int, int]]:
    """Return the part of each window along one side of a picture that is taken from it.

    Examples
    --------
    >>> trusted(250, 100)
    [(0, 75), (75, 125), (125, 175), (175, 250)]
    """
    begun = starts(length, side, OVERLAP)
    inner = [(first + side + second) // 2 for first, second in pairwise(begun)]
    return list(pairwise([0, *inner, length]))
