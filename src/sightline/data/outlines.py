"""Convert an object's outline between its three forms: polygons, run-length code, mask."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from sightline.data.annotation import Polygons, Rle, Shape
from sightline.errors import DataError

_FAR = 1e6


def to_rle(shape: Shape, height: int, width: int) -> Rle:
    """Return an outline as COCO's compressed run-length code.

    Raises
    ------
    DataError
        When a run-length code or a mask has another size than the image, a code is
        broken, or a polygon's corner lies a million pixels away.
    """
    why = why_broken(shape, height, width)
    if why is not None:
        raise DataError(why)
    if isinstance(shape, dict):
        plain = isinstance(shape["counts"], list)
        return _as_rle(coco_mask.frPyObjects(shape, height, width)) if plain else shape
    if isinstance(shape, np.ndarray):
        return _as_rle(coco_mask.encode(np.asfortranarray(shape, np.uint8)))
    flat = [part.ravel().tolist() for part in shape if len(part) >= 3]
    if not flat:
        return to_rle(np.zeros((height, width), np.bool_), height, width)
    return _as_rle(coco_mask.merge(coco_mask.frPyObjects(flat, height, width)))


def part_to_rle(
    part: NDArray[np.bool_], corner: tuple[int, int], height: int, width: int
) -> Rle:  # fmt: skip
    """Return the run-length code of a mask that is known within a box, without drawing the rest.

    Parameters
    ----------
    part : bool array, shape (h, w)
    corner : (top, left)
        Where it lies in the image, in pixels.
    height, width : int
        Of the image.

    Raises
    ------
    DataError
        When the part reaches beyond the image.

    Examples
    --------
    >>> part_to_rle(np.ones((2, 1), bool), (1, 2), 3, 4)["counts"]
    b'723'
    """
    top, left = corner
    if top < 0 or left < 0 or top + part.shape[0] > height or left + part.shape[1] > width:
        raise DataError(
            f"a mask of {part.shape[1]} x {part.shape[0]} pixels at ({left}, {top}) reaches beyond "
            f"its image of {width} x {height}"
        )
    # Runs go down the columns; a step up begins one, a step down ends it.
    steps = np.diff(np.pad(part, ((1, 1), (0, 0))).T.astype(np.int8), axis=1)
    starts, ends = (
        (left + columns) * height + top + rows
        for columns, rows in (np.nonzero(steps == sign) for sign in (1, -1))
    )
    joined = starts[1:] == ends[:-1]  # over the lower end of a column into the next one
    kept = np.append(True, ~joined)[: len(starts)], np.append(~joined, True)[: len(ends)]
    edges = np.stack((starts[kept[0]], ends[kept[1]]), 1).ravel()
    counts = np.diff(edges, prepend=0, append=height * width).tolist()
    runs = counts[: len(counts) - (counts[-1] == 0)] or counts
    return _as_rle(coco_mask.frPyObjects({"size": [height, width], "counts": runs}, height, width))


def codes_of(label_map: NDArray[np.integer[Any]]) -> dict[int, Rle]:
    """Return the run-length code of each value of a map, in increasing order of the values.

    The runs of all values are looked for once: many classes take the time and memory of one.

    Parameters
    ----------
    label_map : int array, shape (H, W)

    Examples
    --------
    >>> {v: code["counts"] for v, code in codes_of(np.array([[0, 5], [5, 5]])).items()}
    {0: b'01', 5: b'13'}
    """
    height, width = label_map.shape
    flat = label_map.T.ravel()  # runs go down the columns
    starts = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    if flat.size:
        starts = np.append(0, starts)
    ends, values = np.append(starts[1:], flat.size), flat[starts]
    order = np.argsort(values, kind="stable")
    each, begun = np.unique(values[order], return_index=True)
    codes = {}
    for value, runs in zip(each.tolist(), np.split(order, begun[1:]), strict=False):
        edges = np.stack((starts[runs], ends[runs]), 1).ravel()
        counts = np.diff(edges, prepend=0, append=flat.size)
        plain = {"size": [height, width], "counts": counts[: len(counts) - (counts[-1] == 0)]}
        codes[value] = _as_rle(coco_mask.frPyObjects(plain, height, width))
    return codes


def why_broken(shape: Shape, height: int, width: int) -> str | None:
    """Return why an outline cannot be drawn on an image of a size; None where it can."""
    if isinstance(shape, list):
        if all(np.abs(part).max(initial=0) < _FAR for part in shape):  # NaN is not below it
            return None
        return "a polygon has a corner that is no place in its image; mend or delete it"
    code = isinstance(shape, dict)
    size = tuple(shape["size"]) if isinstance(shape, dict) else shape.shape
    if size != (height, width):
        return _of_another_size("a run-length code" if code else "a mask", size, height, width)
    if not isinstance(shape, dict):
        return None
    counts = shape["counts"]
    # pycocotools would draw a code that ends early with whatever the memory holds.
    runs = _runs(counts) if isinstance(counts, str | bytes) else counts
    if (
        not isinstance(runs, list)
        or not all(isinstance(n, int) and n >= 0 for n in runs)
        or sum(runs) != height * width
    ):
        return (
            f"a run-length code does not add up to the {width} x {height} pixels of its image; "
            "export the annotation again"
        )
    return None


def _runs(counts: str | bytes) -> list[int]:
    """Decode the lengths of runs from COCO's text; empty when the text is no such code.

    Source: ``rleFrString`` of pycocotools.
    """
    runs: list[int] = []
    value = shift = 0
    for character in counts.encode("latin-1", "replace") if isinstance(counts, str) else counts:
        bits = character - 48
        if not 0 <= bits < 64:
            return []
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:  # more follow
            continue
        if bits & 16:
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = shift = 0
    return [] if shift else runs


def trace(mask: NDArray[np.bool_]) -> Polygons:
    """Trace a mask along the edges of its pixels; drawn again, it is the same mask.

    Each part and each hole is one closed polygon, with the mask on its right hand.

    Returns
    -------
    list of float64 arrays, shape (P, 2)
        x, y of the corners in pixels.
    """
    padded = np.pad(mask, 1)
    inner = padded[1:-1, 1:-1]
    follows: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for outside, start, step in (
        (padded[:-2, 1:-1], (0, 0), (1, 0)),  # upper edge, left to right
        (padded[1:-1, 2:], (1, 0), (0, 1)),
        (padded[2:, 1:-1], (1, 1), (-1, 0)),
        (padded[1:-1, :-2], (0, 1), (0, -1)),
    ):
        ys, xs = np.nonzero(inner & ~outside)
        for x, y in zip((xs + start[0]).tolist(), (ys + start[1]).tolist(), strict=True):
            follows.setdefault((x, y), []).append((x + step[0], y + step[1]))
    polygons: Polygons = []
    while follows:
        corner = first = next(iter(follows))
        path = []
        while True:
            path.append(corner)
            ways = follows[corner]
            after = ways.pop()
            if not ways:
                del follows[corner]
            corner = after
            if corner == first:
                break
        points = np.array(path, np.float64)
        turns = np.any(points - np.roll(points, 1, 0) != np.roll(points, -1, 0) - points, axis=1)
        polygons.append(points[turns])
    return polygons


def to_polygon(shape: Shape, height: int, width: int) -> NDArray[np.float64] | None:
    """Return an outline as one polygon, shape (P, 2), or None when it encloses nothing.

    Parts and holes are joined at their nearest corners by a seam without width, there
    and back, which changes no pixel.
    """
    if isinstance(shape, dict):
        polygons = trace(coco_mask.decode(to_rle(shape, height, width)).astype(np.bool_))
    else:
        polygons = trace(shape) if isinstance(shape, np.ndarray) else shape
    parts = [part for part in polygons if len(part) >= 3]
    if not parts:
        return None
    joined = parts[0]
    for part in parts[1:]:
        apart = ((joined[:, None] - part[None]) ** 2).sum(axis=2)
        i, j = np.unravel_index(apart.argmin(), apart.shape)
        joined = np.concatenate([joined[: i + 1], part[j:], part[: j + 1], joined[i:]])
    return joined


def check_size(what: str, shape: tuple[int, ...], height: int, width: int) -> None:
    """Raise `DataError` when a mask of `shape` (H, W) does not have its image's size."""
    if tuple(shape) != (height, width):
        raise DataError(_of_another_size(what, shape, height, width))


def _of_another_size(what: str, shape: tuple[int, ...], height: int, width: int) -> str:
    return (
        f"{what}: the mask is {shape[1]} x {shape[0]} pixels (width x height), its image "
        f"{width} x {height}; they must be alike"
    )


def _as_rle(code: Any) -> Rle:
    return {"size": list(code["size"]), "counts": code["counts"]}
