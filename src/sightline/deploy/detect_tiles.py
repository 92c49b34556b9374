"""Detect small objects in large pictures: in tiles that overlap, whose answers become one.

A picture that is brought to a network's size loses what is small in it. Cut into tiles it does not,
but a tile's edge cuts objects, and where tiles overlap they see the same ones twice. What two tiles
say is taken as one object where each has seen what it would see of it: a tile that has the object
whole says its box, one that has a part of it says the box *cut at the tile's edge*. So an object on
a seam comes out once, while neighbours however dense stay apart: of two answers of one tile, whose
overlap the network has looked at itself, no two are ever joined.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sightline.deploy.tiles import Tile, tiles
from sightline.types import Detections, Instances

if TYPE_CHECKING:
    from PIL import Image

    from sightline.types import Progress

Floats = NDArray[np.float64]

EDGE = 0.02
"""Share of a tile's side within which a box counts as cut by its edge."""

ALIKE = 0.5
"""IoU from which on what two tiles say can be one object, where one of them has it whole."""

SURELY = 0.65
"""The same where both have a part: of neighbours above each other, half would fit."""

INSIDE = 0.8
"""Share of a part in the whole box of another tile from which on it is of that."""

LEAST = 0.05
"""Score below which an answer of a tile is not looked at."""

_AT_ONCE = 16


def detect(
    predict: Callable[[list[Image.Image]], Sequence[Any]], picture: Image.Image, side: int,
    progress: Progress | None = None,
) -> Detections:  # fmt: skip
    """Detect objects in a picture tile by tile.

    Parameters
    ----------
    predict : callable
        Detects in pictures, as the method `predict` of an estimator or a `Runtime` does.
    picture : PIL image
    side : int
        Pixels of a tile.
    progress : callable, optional
        Called with (tiles done, tiles in all).

    Returns
    -------
    Detections
        In the pixels of the picture, the surest first.
    """
    return joined(*asked(predict, picture, side, progress))


def asked(
    predict: Callable[[list[Image.Image]], Sequence[Any]], picture: Image.Image, side: int,
    progress: Progress | None = None,
) -> tuple[list[Tile], list[Any], tuple[int, int]]:  # fmt: skip
    """Cut a picture into tiles and ask about each; return them, the answers and (height, width)."""
    size = (picture.height, picture.width)
    cut = tiles(size, side)
    said: list[Any] = []
    for start in range(0, len(cut), _AT_ONCE):
        part = cut[start : start + _AT_ONCE]
        said += predict([picture.crop(tile.box) for tile in part])
        if progress:
            progress(len(said), len(cut))
    return cut, said, size


def joined(cut: Sequence[Tile], said: Sequence[Detections], size: tuple[int, int]) -> Detections:
    """Make one answer of what overlapping tiles say.

    Parameters
    ----------
    cut : sequence of Tile
    said : sequence of Detections
        Of each tile, in its own pixels.
    size : (height, width)
        Of the picture.

    Returns
    -------
    Detections
        Scores are the highest of those that were taken as one object.
    """
    classes = said[0].classes if said else ()
    every = seen_by(cut, said, size)
    made, labels, scores = [], [], []
    for members in every.objects:
        best = members[0]
        made.append(every.boxes[best] if every.whole[best] else _hull(every.boxes[members]))
        labels.append(every.labels[best])
        scores.append(every.scores[members].max())
    return Detections(
        np.array(made, np.float32).reshape(-1, 4), np.array(labels, np.int64), classes,
        np.array(scores, np.float32),
    )  # fmt: skip


class Seen(NamedTuple):
    """The answers of all tiles that are looked at, and which of them are one object.

    Attributes
    ----------
    boxes : float64 array, shape (N, 4)
        In pixels of the picture.
    labels, scores : array, shape (N,)
    whole : bool array, shape (N,)
        Whether its tile has the object whole.
    of : int64 array, shape (N,)
        Number of the tile.
    rows : int64 array, shape (N,)
        Of the answer among those of its tile.
    objects : list of int64 array
        Numbers of the answers of each object, the best one first; the surest object first.
    """

    boxes: Floats
    labels: NDArray[np.int64]
    scores: NDArray[Any]
    whole: NDArray[np.bool_]
    of: NDArray[np.int64]
    rows: NDArray[np.int64]
    objects: list[NDArray[np.int64]]


def seen_by(
    cut: Sequence[Tile], said: Sequence[Detections | Instances], size: tuple[int, int]
) -> Seen:
    """Tell which answers of overlapping tiles are one object; see `joined`."""
    kept = [np.flatnonzero(one.scores >= LEAST) for one in said]
    boxes = np.concatenate([np.zeros((0, 4)), *(
        one.boxes[rows] + np.array((tile.x1, tile.y1) * 2, np.float64)
        for tile, one, rows in zip(cut, said, kept, strict=True)
    )])  # fmt: skip
    labels = np.concatenate([np.zeros(0, np.int64), *(
        one.labels[rows] for one, rows in zip(said, kept, strict=True)
    )])  # fmt: skip
    scores = np.concatenate([np.zeros(0, np.float32), *(
        one.scores[rows] for one, rows in zip(said, kept, strict=True)
    )])  # fmt: skip
    of = np.repeat(np.arange(len(cut)), [len(rows) for rows in kept])
    windows = np.array([tile.box for tile in cut], np.float64).reshape(-1, 4)
    whole = ~_cut(boxes, windows[of], size)
    groups = _Groups(of)
    for _, a, b in sorted(_pairs(boxes, labels, whole, of, windows), key=lambda pair: -pair[0]):
        groups.join(a, b)
    objects = [
        members[np.lexsort((-scores[members], ~whole[members]))] for members in groups.members()
    ]
    objects.sort(key=lambda members: -scores[members].max())
    rows = np.concatenate([np.zeros(0, np.int64), *kept])
    return Seen(boxes, labels, scores, whole, of, rows, objects)


def _cut(boxes: Floats, windows: Floats, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Tell which boxes reach an edge of their tile that is none of the picture, shape (N,)."""
    near = EDGE * (windows[:, 2:] - windows[:, :2])
    ends = np.array((size[1], size[0]), np.float64)
    before = (windows[:, :2] > 0) & (boxes[:, :2] - windows[:, :2] < near)
    behind = (windows[:, 2:] < ends) & (windows[:, 2:] - boxes[:, 2:] < near)
    return np.asarray(before[:, 0] | before[:, 1] | behind[:, 0] | behind[:, 1])


def _pairs(
    boxes: Floats, labels: NDArray[np.int64], whole: NDArray[np.bool_], of: NDArray[np.int64],
    windows: Floats,
) -> Iterator[tuple[float, int, int]]:  # fmt: skip
    """Yield how alike two answers of two tiles are, and their rows, where they can be one."""
    for first in range(len(windows)):
        beside = (windows[:, :2] < windows[first, 2:]) & (windows[:, 2:] > windows[first, :2])
        mine = np.flatnonzero(of == first)
        for second in np.flatnonzero(beside.all(1) & (np.arange(len(windows)) > first)).tolist():
            yours = np.flatnonzero(of == second)
            a, b = (x.ravel() for x in np.meshgrid(mine, yours, indexing="ij"))
            same = labels[a] == labels[b]
            a, b = a[same], b[same]
            alike = _alike(boxes[a], boxes[b], whole[a], whole[b], windows[[first, second]])
            for i in np.flatnonzero(alike).tolist():
                yield float(alike[i]), int(a[i]), int(b[i])


def _alike(
    a: Floats, b: Floats, a_whole: NDArray[np.bool_], b_whole: NDArray[np.bool_], windows: Floats
) -> Floats:
    """Return how well one object explains boxes of two tiles, pair by pair; 0: it does not.

    The object is what one of them has whole, else what surrounds both. Each is held to what its
    tile would see of it.
    """
    around = np.concatenate((np.minimum(a[:, :2], b[:, :2]), np.maximum(a[:, 2:], b[:, 2:])), 1)
    of_a, of_b = np.where(b_whole[:, None], b, around), np.where(a_whole[:, None], a, around)
    seen = np.minimum(_iou(a, _clipped(of_a, windows[0])), _iou(b, _clipped(of_b, windows[1])))
    one = a_whole != b_whole
    seen = np.where(seen >= np.where(a_whole | b_whole, ALIKE, SURELY), seen, 0.0)
    # A narrow part is seen badly: it goes where it lies in what the other tile has whole.
    part = np.where(a_whole[:, None], b, a)
    inside = _shared(a, b) / np.maximum((part[:, 2:] - part[:, :2]).prod(1), 1e-9)
    return np.where(one & (inside >= INSIDE), np.maximum(seen, ALIKE), seen)


class _Groups:
    """Answers that are one object; no two of them are of one tile."""

    def __init__(self, of: NDArray[np.int64]) -> None:
        self.of = of
        self.group = list(range(len(of)))
        self.rows = {i: [i] for i in range(len(of))}

    def join(self, a: int, b: int) -> None:
        """Put two answers into one group, unless a tile would have two in it."""
        first, second = self.group[a], self.group[b]
        if first == second:
            return
        seen = {int(self.of[i]) for i in self.rows[first]}
        if seen & {int(self.of[i]) for i in self.rows[second]}:
            return
        for i in self.rows[second]:
            self.group[i] = first
        self.rows[first] += self.rows.pop(second)

    def members(self) -> Iterator[NDArray[np.int64]]:
        """Yield the rows of each group."""
        return (np.array(rows, np.int64) for rows in self.rows.values())


def _hull(boxes: Floats) -> Floats:
    """Return the smallest box around some boxes, shape (N, 4): shape (4,)."""
    return np.concatenate((boxes[:, :2].min(0), boxes[:, 2:].max(0)))


def _clipped(boxes: Floats, window: Floats) -> Floats:
    """Return boxes cut to a window (4,); of those outside nothing is left."""
    corners = np.clip(boxes, np.tile(window[:2], 2), np.tile(window[2:], 2))
    return np.asarray(corners, np.float64)


def _shared(a: Floats, b: Floats) -> Floats:
    """Return the area that boxes share, pair by pair, shape (N,)."""
    lower, upper = np.maximum(a[:, :2], b[:, :2]), np.minimum(a[:, 2:], b[:, 2:])
    return np.asarray((upper - lower).clip(0).prod(1), np.float64)


def _iou(a: Floats, b: Floats) -> Floats:
    """Return the IoU of boxes pair by pair, shape (N,)."""
    shared = _shared(a, b)
    both = (a[:, 2:] - a[:, :2]).prod(1) + (b[:, 2:] - b[:, :2]).prod(1) - shared
    return np.asarray(shared / np.maximum(both, 1e-9))
