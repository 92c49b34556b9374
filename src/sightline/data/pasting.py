"""Scale small masks to their boxes in a picture, and encode them without drawing the picture.

A network says a mask as few numbers, such as 28 x 28, within the box of its object (He et al., Mask
R-CNN, 2017, section 3.1): "resized to the RoI size, and binarized at a threshold of 0.5". The
numbers are interpolated, then decided. Only the pixels of the box are looked at, some rows at a
time, and what is kept of them is a run-length code, so that the memory is that of one box of bits,
however many objects there are.

The pixels are those of torchvision's ``paste_masks_in_image``, which draws every mask on the whole
picture: a border of one place is put around the mask and the box grown in proportion; its corners
are cut to whole pixels, the last of them included.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.data.annotation import Rle
from sightline.data.outlines import part_to_rle

AT_ONCE = 2**18
"""Pixels that are computed at a time, few enough for a processor's cache."""


def paste(
    masks: NDArray[np.floating[Any]], boxes: NDArray[np.floating[Any]], size: tuple[int, int],
    threshold: float = 0.5,
) -> list[Rle]:  # fmt: skip
    """Return the run-length codes of masks that are given within their boxes.

    Parameters
    ----------
    masks : float array, shape (K, m, n)
        Probabilities at m x n places of each box.
    boxes : float array, shape (K, 4)
        xyxy in pixels of the picture, perhaps reaching beyond it.
    size : (height, width)
        Of the picture.
    threshold : float
        Above which a pixel belongs to its object.

    Returns
    -------
    list of Rle, length K
        A mask that has no pixel in the picture is the code of none.
    """
    around = np.pad(np.asarray(masks, np.float32), ((0, 0), (1, 1), (1, 1)))
    grown = _grown(boxes, masks.shape[1:])
    return [_pasted(mask, box, size, threshold) for mask, box in zip(around, grown, strict=True)]


def _grown(boxes: NDArray[Any], places: tuple[int, ...]) -> list[list[int]]:
    """Return boxes with room for a border of one place, in whole pixels."""
    given = np.asarray(boxes, np.float32).reshape(-1, 4)
    by = np.array([(n + 2) / n for n in places[::-1]], np.float32)
    middle, half = (
        (given[:, 2:] + given[:, :2]) * np.float32(0.5),
        (given[:, 2:] - given[:, :2]) * np.float32(0.5),
    )
    half *= by
    grown: list[list[int]] = np.concatenate((middle - half, middle + half), 1).astype(int).tolist()
    return grown


def _pasted(
    mask: NDArray[np.float32], box: list[int], size: tuple[int, int], threshold: float
) -> Rle:
    x1, y1, x2, y2 = box
    wide, tall = max(x2 - x1 + 1, 1), max(y2 - y1 + 1, 1)
    left, right = max(x1, 0), min(x2 + 1, size[1])
    top, bottom = max(y1, 0), min(y2 + 1, size[0])
    if right <= left or bottom <= top:
        return part_to_rle(np.zeros((0, 0), np.bool_), (0, 0), *size)
    part = decided(
        [(mask, threshold)],
        _places(mask.shape[0], tall)[top - y1 : bottom - y1],
        _places(mask.shape[1], wide)[left - x1 : right - x1],
    )
    return part_to_rle(part, (top, left), *size)


def _places(places: int, pixels: int) -> NDArray[np.float32]:
    """Return at which place of a mask each pixel of its box lies."""
    middle = np.arange(pixels, dtype=np.float32) + np.float32(0.5)
    return np.asarray(middle * np.float32(places / pixels) - np.float32(0.5))


def decided(
    layers: Sequence[tuple[NDArray[np.float32], float]], y: NDArray[np.float32],
    x: NDArray[np.float32],
) -> NDArray[np.bool_]:  # fmt: skip
    """Interpolate maps bilinearly at a grid of places, and decide which of them are above limits.

    Parameters
    ----------
    layers : sequence of (float32 array, shape (m, n), float)
        Each map, and what it must be above.
    y : float32 array, shape (H,)
        In places of the maps, the middle of the first one being 0; beyond the maps their edge.
    x : float32 array, shape (W,)

    Returns
    -------
    bool array, shape (H, W)
        Where all of them are.
    """
    part = np.ones((len(y), len(x)), np.bool_)
    step = max(AT_ONCE // max(len(x), 1), 1)
    for values, limit in layers:
        first, then, share = _between(x, values.shape[1])
        rows = values[:, first] * (1 - share) + values[:, then] * share
        first, then, share = _between(y, values.shape[0])
        share = share[:, None]
        for start in range(0, len(y), step):
            some = slice(start, start + step)
            between = rows[first[some]] * (1 - share[some]) + rows[then[some]] * share[some]
            part[some] &= between > limit
    return part


def _between(
    at: NDArray[np.float32], places: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Return between which two of some places each point lies, and how near to the second one."""
    inside = np.clip(at, 0, places - 1)
    first = inside.astype(np.intp)
    return first, np.minimum(first + 1, places - 1), inside - first.astype(np.float32)
