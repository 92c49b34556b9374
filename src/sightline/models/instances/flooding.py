r"""Split a foreground into objects: one seed for each connected maximum of a height, then flood.

A network says of every pixel whether it is an object's, whether it lies at an object's border, and
how deep inside its object it lies: the distance to the border over the largest one of the object,
so that every object, large or small, has its summit at 1. Touching objects have a valley between
their summits. The height is the distance where no border is,

.. math:: h = G_\sigma * \left(d \, (1 - b)\right)

smoothed a little. A seed is a connected set of pixels of one height without a higher neighbour: a
flat summit is one object, however wide. A summit that rises less than `LEAST` above the saddle to a
higher one is part of that one (its *dynamics*; Grimaud, A new measure of contrast: the dynamics,
1992), which is what seeds at h-maxima are. The rest of the foreground goes to the seeds by the
watershed: each pixel to the one that it reaches along the way whose lowest point is highest. Cut by
a minimum spanning forest rooted in the seeds (Cousty, Bertrand, Najman & Couprie, Watershed cuts,
IEEE TPAMI 31, 2009), it needs no queue; where ways are as good, the nearest seed takes the pixel.

Every pixel belongs to one object at most: what overlaps cannot be represented.

Nothing of it needs torch, so that it serves whoever runs an exported network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.data.outlines import part_to_rle
from sightline.data.pasting import decided
from sightline.metrics.instances_table import Masks
from sightline.types import IGNORE, Frame

SIGMA = 0.5
"""Pixels by which the height is smoothed."""

LEAST = 0.1
"""Height that a summit has at least above the saddle to a higher one."""

AROUND = np.ones((3, 3), np.bool_)
"""A pixel's neighbours: eight."""

_STEPS = ((0, 1), (1, 0), (1, 1), (1, -1))  # to half of them; the others lead back

Numbers = NDArray[np.int32]


def split(
    height: NDArray[np.floating[Any]], inside: NDArray[np.bool_], least: float = LEAST
) -> Numbers:
    """Split a foreground into objects at the valleys of a height.

    Parameters
    ----------
    height : float array, shape (H, W)
        In [0, 1].
    inside : bool array, shape (H, W)
        The foreground.
    least : float
        Height of a summit above the saddle to a higher one, below which it is part of that one.

    Returns
    -------
    int32 array, shape (H, W)
        0 outside, else the number of the object, from 1.

    Examples
    --------
    >>> height = np.array([[0.5, 1.0, 1.0, 0.2, 0.9, 0.4]])
    >>> split(height, height > 0)
    array([[1, 1, 1, 1, 2, 2]], dtype=int32)
    """
    seeds = maxima(height, inside)
    basins = flooded(height, inside, seeds)
    return _numbered(_joined(basins, height, least)[basins])


def maxima(height: NDArray[np.floating[Any]], inside: NDArray[np.bool_]) -> Numbers:
    """Number the connected maxima of a height within a foreground, shape (H, W); 0 elsewhere."""
    from scipy import ndimage

    lifted = np.where(inside, height, -np.inf)
    top = inside & (ndimage.maximum_filter(lifted, footprint=AROUND) == lifted)
    # What is as high and has a higher neighbour makes the whole plateau no maximum.
    shoulder = np.where(inside & ~top, height, -np.inf)
    spoilt = top & (ndimage.maximum_filter(shoulder, footprint=AROUND) == lifted)
    numbers, count = ndimage.label(top, AROUND)
    kept = np.ones(count + 1, np.int32)
    kept[0] = 0
    kept[numbers[spoilt]] = 0
    return np.asarray((np.cumsum(kept) * kept)[numbers], np.int32)


def flooded(
    height: NDArray[np.floating[Any]], inside: NDArray[np.bool_], seeds: Numbers
) -> Numbers:
    """Assign every pixel of a foreground to a seed, shape (H, W); see the head of this file.

    Parameters
    ----------
    height : float array, shape (H, W)
    inside : bool array, shape (H, W)
    seeds : int32 array, shape (H, W)
        Numbers from 1; 0 elsewhere. Each connected part of the foreground has one.
    """
    from scipy import ndimage, sparse

    count = int(inside.sum())
    if not count:
        return np.zeros(inside.shape, np.int32)
    far = ndimage.distance_transform_edt(seeds == 0)
    nearer = 1e-5 * far / max(float(far.max()), 1.0)
    place = np.full(inside.shape, -1, np.int32)
    place[inside] = np.arange(count)
    starts, ends, costs = [], [], []
    for a, b in _pairs(inside.shape):
        both = inside[a] & inside[b]
        starts.append(place[a][both])
        ends.append(place[b][both])
        # Above 0, which would stand for no way.
        valley = 2 - np.minimum(height[a], height[b])[both]
        costs.append(valley + np.maximum(nearer[a], nearer[b])[both])
    rooted = place[seeds > 0]
    starts.append(rooted)
    ends.append(np.full(len(rooted), count, np.int32))
    costs.append(np.full(len(rooted), 0.5))
    graph = sparse.coo_array(
        (np.concatenate(costs), (np.concatenate(starts), np.concatenate(ends))),
        shape=(count + 1, count + 1),
    ).tocsr()
    forest = sparse.csgraph.minimum_spanning_tree(graph)[:count, :count]
    parts, part_of = sparse.csgraph.connected_components(forest, directed=False)
    number_of = np.zeros(parts, np.int32)
    number_of[part_of[rooted]] = seeds[seeds > 0]
    numbers = np.zeros(inside.shape, np.int32)
    numbers[inside] = number_of[part_of]
    return numbers


def _joined(basins: Numbers, height: NDArray[np.floating[Any]], least: float) -> Numbers:
    """Return the basin that each one is part of, by number: of low summits a higher neighbour's."""
    from scipy import ndimage

    count = int(basins.max(initial=0))
    root = np.arange(count + 1, dtype=np.int32)
    if count < 2:
        return root
    summit = np.zeros(count + 1)
    summit[1:] = ndimage.maximum(height, basins, np.arange(1, count + 1))
    keys, saddles = [], []
    for a, b in _pairs(basins.shape):
        one, other = basins[a].astype(np.int64), basins[b].astype(np.int64)
        meet = (one != other) & (one > 0) & (other > 0)
        low, high = np.minimum(one, other)[meet], np.maximum(one, other)[meet]
        keys.append(low * (count + 1) + high)
        saddles.append(np.minimum(height[a], height[b])[meet])
    key, saddle = np.concatenate(keys), np.concatenate(saddles)

    def top(i: int) -> int:
        while root[i] != i:
            root[i] = root[root[i]]
            i = int(root[i])
        return i

    for k in np.argsort(-saddle, kind="stable").tolist():
        one, other = (top(int(i)) for i in divmod(int(key[k]), count + 1))
        low, high = sorted((one, other), key=lambda i: (summit[i], -i))
        if low != high and summit[low] - saddle[k] < least:
            root[low] = high
    return np.array([top(i) for i in range(count + 1)], np.int32)


def _pairs(shape: tuple[int, ...]) -> list[tuple[Any, Any]]:
    """Return views of pixels and of their neighbours, each pair once."""
    height, width = shape
    return [
        (
            np.s_[: height - dy, max(-dx, 0) : width - max(dx, 0)],
            np.s_[dy:, max(dx, 0) : width + min(dx, 0)],
        )
        for dy, dx in _STEPS
    ]


def _numbered(numbers: Numbers) -> Numbers:
    """Return numbers that follow one another from 1."""
    there = np.unique(numbers[numbers > 0])
    return np.asarray(np.where(numbers > 0, 1 + np.searchsorted(there, numbers), 0), np.int32)


def objects_of(maps: NDArray[np.floating[Any]], frame: Frame, classes: tuple[str, ...]) -> Masks:
    """Find the objects that a network's maps show, in the pixels of the picture.

    Objects are told apart at the network's size. What a pixel of the picture belongs to is decided
    there, by interpolated probabilities, one object's box at a time.

    Parameters
    ----------
    maps : float array, shape (C + 3, H, W)
        Probabilities of the background, of each class and of a border; then the distance.
    frame : Frame
        The way back into the picture.
    classes : tuple of str, length C

    Returns
    -------
    Masks
        The surest first. Each has the class that most of its pixels have, and as its score the mean
        probability of that class over its pixels. An object that meets no pixel of the picture, as
        in what fills a shape up, is none.
    """
    from scipy import ndimage

    maps = np.asarray(maps, np.float32)
    sure = 1 - maps[0]
    inside = sure > 0.5
    height = ndimage.gaussian_filter(maps[-1] * (1 - maps[-2]) * inside, SIGMA)
    numbers = split(height, inside)
    count = int(numbers.max(initial=0))
    of_class = maps[1 : 1 + len(classes)]
    where = numbers[inside] - 1
    votes = np.zeros((count, len(classes)), np.int64)
    np.add.at(votes, (where, of_class[:, inside].argmax(0)), 1)
    labels = votes.argmax(1)
    own = of_class[:, inside][labels[where], np.arange(len(where))]
    sizes = np.bincount(where, minlength=count)
    scores = np.bincount(where, own, minlength=count) / np.maximum(sizes, 1)
    codes = [
        _code(numbers, i + 1, place, sure, frame)
        for i, place in enumerate(ndimage.find_objects(numbers))
    ]
    order = np.argsort(-scores, kind="stable").tolist()
    kept = np.array([i for i in order if codes[i] is not None], np.int64)
    shown = tuple(code for i in kept.tolist() if (code := codes[i]) is not None)
    return Masks(frame.size, shown, labels[kept], classes, np.clip(scores[kept], 0, 1))


def _code(
    numbers: Numbers, number: int, place: Any, sure: NDArray[np.float32], frame: Frame
) -> bytes | None:
    """Encode an object in the pixels of the picture; None: it has none there."""
    if frame == Frame((numbers.shape[0], numbers.shape[1])):
        corner = place[0].start, place[1].start
        return bytes(part_to_rle(numbers[place] == number, corner, *frame.size)["counts"])
    ends, at = [], []
    for axis in (0, 1):
        scale, offset, side = frame.scale[axis], frame.offset[axis], frame.size[axis]
        start = max(int(np.floor((place[axis].start - 1 - offset) / scale)), 0)
        end = min(int(np.ceil((place[axis].stop + 1 - offset) / scale)), side)
        ends.append((start, max(end, start)))
        pixels = np.arange(start, max(end, start)) + 0.5
        at.append((pixels * scale + offset - 0.5).astype(np.float32))
    window = tuple(slice(max(part.start - 2, 0), part.stop + 2) for part in place)
    near = numbers[window]
    mine = np.where(near == number, 1, -np.sign(near))  # another's is against, the rest for none
    y, x = (p - w.start for p, w in zip(at, window, strict=True))
    part = decided([(sure[window], 0.5), (mine.astype(np.float32), 0.0)], y, x)
    if not part.any():
        return None
    return bytes(part_to_rle(part, (ends[0][0], ends[1][0]), *frame.size)["counts"])


def truth(
    masks: NDArray[np.bool_], labels: Sequence[int], ignored: NDArray[np.bool_]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.float32]]:
    """Compute what a network is to say of a picture.

    Where objects overlap, a pixel belongs to the smallest.

    Parameters
    ----------
    masks : bool array, shape (N, H, W)
    labels : sequence of int, length N
        From 0.
    ignored : bool array, shape (H, W)
        Pixels of which nothing is to be learned.

    Returns
    -------
    classes : uint8 array, shape (H, W)
        0 is the background, a class its label + 1, `IGNORE` an ignored pixel.
    border : bool array, shape (H, W)
        Pixels of an object with a neighbour that is none of it.
    distance : float32 array, shape (H, W)
        To the nearest pixel that is none of the object, over the largest of the object.
    """
    from scipy import ndimage

    size = masks.shape[1:]
    numbers, of_class = np.zeros(size, np.int32), np.zeros(size, np.uint8)
    for i in np.argsort(-masks.sum((1, 2)), kind="stable").tolist():
        numbers[masks[i]] = i + 1
        of_class[masks[i]] = labels[i] + 1
    border, distance = np.zeros(size, np.bool_), np.zeros(size, np.float32)
    for i, place in enumerate(ndimage.find_objects(numbers)):
        if place is None:
            continue
        own = np.pad(numbers[place] == i + 1, 1)
        deep = ndimage.distance_transform_edt(own)[1:-1, 1:-1]
        mine = own[1:-1, 1:-1]
        distance[place][mine] = deep[mine] / deep.max()
        border[place] |= mine & ~ndimage.binary_erosion(own, AROUND)[1:-1, 1:-1]
    of_class[ignored] = IGNORE
    return of_class, border, distance
