"""Compile the inner loops of selective search by Numba; `proposals` says what they are for."""

from __future__ import annotations

from typing import Any

import numpy as np

from sightline.models.classic.search.kernels import compiled

ORIENTATIONS, TEXTURE_BINS, COLOUR_BINS = 8, 10, 25
STEP = 5.0
"""Grey levels a pixel of a texture's bin."""

WEIGHT = 128.0
"""Steps of an edge's weight in a grey level: so 441 grey levels fit 16 bits, and sort fast."""


@compiled
def edges(image: Any, weights: Any, ends: Any) -> None:
    """Weigh the edges between neighbouring pixels, eight a pixel, each once.

    Parameters
    ----------
    image : float32 array, shape (H, W, 3)
    weights : uint16 array, shape (E,)
        Is filled: distances of colours, in `WEIGHT`.
    ends : int32 array, shape (E, 2)
        Is filled: the two pixels.
    """
    height, width = image.shape[0], image.shape[1]
    n = 0
    for y in range(height):
        for x in range(width):
            for k in range(4):  # right, and the three below
                v = y + (0 if k == 0 else 1)
                u = x + (1 if k == 0 else k - 2)
                if v >= height or u < 0 or u >= width:
                    continue
                total = 0.0
                for c in range(3):
                    d = image[y, x, c] - image[v, u, c]
                    total += d * d
                weights[n] = np.uint16(np.sqrt(total) * WEIGHT)
                ends[n, 0] = y * width + x
                ends[n, 1] = v * width + u
                n += 1


@compiled
def _root(parent: Any, i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@compiled
def merge(
    order: Any, weights: Any, ends: Any, scale: float, least: int, parent: Any, sizes: Any,
    limits: Any, labels: Any,
) -> int:  # fmt: skip
    """Merge pixels into regions; see `proposals.segment`.

    Parameters
    ----------
    order : int array, shape (E,)
        Edges by rising weight.
    weights, ends
        See `edges`.
    scale : float
    least : int
        Pixels of a region at least.
    parent, sizes : int32 array, shape (P,)
        Room for the forest: each pixel its own parent, each of size 1.
    limits : float64 array, shape (P,)
        Room for the weight up to which each tree's root still merges.
    labels : int32 array, shape (P,)
        Is filled: numbers of regions, in the order of their first pixels.

    Returns
    -------
    int
        The number of regions.
    """
    limits[:] = scale
    for i in range(order.shape[0]):
        e = order[i]
        a, b = _root(parent, ends[e, 0]), _root(parent, ends[e, 1])
        weight = weights[e] / WEIGHT
        if a != b and weight <= limits[a] and weight <= limits[b]:
            parent[b] = a
            sizes[a] += sizes[b]
            limits[a] = weight + scale / sizes[a]
    for i in range(order.shape[0]):
        e = order[i]
        a, b = _root(parent, ends[e, 0]), _root(parent, ends[e, 1])
        if a != b and (sizes[a] < least or sizes[b] < least):
            parent[b] = a
            sizes[a] += sizes[b]
    number = sizes  # the sizes are not needed any more
    number[:] = -1
    count = 0
    for p in range(labels.shape[0]):
        root = _root(parent, p)
        if number[root] < 0:
            number[root] = count
            count += 1
        labels[p] = number[root]
    return count


@compiled
def describe(
    labels: Any, image: Any, across: Any, down: Any, turns: Any, sizes: Any, boxes: Any,
    colours: Any, textures: Any,
) -> None:  # fmt: skip
    """Describe regions: their size, box, and histograms of colour and texture.

    Parameters
    ----------
    labels : int32 array, shape (H, W)
    image, across, down : float32 array, shape (H, W, 3)
        Colours in [0, 256), and their derivatives along both axes.
    turns : float64 array, shape (`ORIENTATIONS`, 2)
        Cosine and sine of each orientation.
    sizes : float64 array, shape (2 R,)
    boxes : int32 array, shape (2 R, 4)
        xyxy, the lower right corner exclusive.
    colours : float32 array, shape (2 R, 75)
    textures : float32 array, shape (2 R, 240)
        Are filled in their first R rows, histograms so that each sums to 1.
    """
    height, width = labels.shape
    regions = sizes.shape[0] // 2
    for r in range(regions):
        boxes[r, 0], boxes[r, 1] = width, height
    for y in range(height):
        for x in range(width):
            r = labels[y, x]
            sizes[r] += 1
            boxes[r, 0] = min(boxes[r, 0], x)
            boxes[r, 1] = min(boxes[r, 1], y)
            boxes[r, 2] = max(boxes[r, 2], x + 1)
            boxes[r, 3] = max(boxes[r, 3], y + 1)
            for c in range(3):
                colours[r, c * COLOUR_BINS + int(image[y, x, c] * COLOUR_BINS / 256.0)] += 1
                for k in range(ORIENTATIONS):
                    rise = turns[k, 0] * across[y, x, c] + turns[k, 1] * down[y, x, c]
                    place = min(TEXTURE_BINS - 1, int(max(rise, 0.0) / STEP))
                    textures[r, (c * ORIENTATIONS + k) * TEXTURE_BINS + place] += 1
    for r in range(regions):
        for k in range(colours.shape[1]):
            colours[r, k] /= 3 * sizes[r]
        for k in range(textures.shape[1]):
            textures[r, k] /= 3 * ORIENTATIONS * sizes[r]


@compiled
def _alike(
    i: int, j: int, sizes: Any, boxes: Any, colours: Any, textures: Any, pixels: float,
    with_colour: bool,
) -> Any:  # fmt: skip
    """Compute how alike two regions are: equations 1 to 6 of Uijlings et al."""
    total = 1.0 - (sizes[i] + sizes[j]) / pixels
    width = max(boxes[i, 2], boxes[j, 2]) - min(boxes[i, 0], boxes[j, 0])
    height = max(boxes[i, 3], boxes[j, 3]) - min(boxes[i, 1], boxes[j, 1])
    total += 1.0 - (width * height - sizes[i] - sizes[j]) / pixels
    for k in range(textures.shape[1]):
        total += min(textures[i, k], textures[j, k])
    if with_colour:
        for k in range(colours.shape[1]):
            total += min(colours[i, k], colours[j, k])
    return total


@compiled
def neighbours(labels: Any, met: Any, pairs: Any) -> int:
    """List the pairs of regions that touch, each once; return their number.

    Parameters
    ----------
    labels : int32 array, shape (H, W)
    met : bool array, shape (R, R)
        Room, all False.
    pairs : int32 array, shape (P, 2)
        Is filled as far as there are pairs.
    """
    height, width = labels.shape
    n = 0
    for y in range(height):
        for x in range(width):
            for k in range(2):
                v, u = y + k, x + 1 - k
                if v >= height or u >= width:
                    continue
                i, j = labels[y, x], labels[v, u]
                if i > j:
                    i, j = j, i
                if i != j and not met[i, j] and n < pairs.shape[0]:
                    met[i, j] = True
                    pairs[n, 0], pairs[n, 1] = i, j
                    n += 1
    return n


@compiled
def group(
    pairs: Any, sizes: Any, boxes: Any, colours: Any, textures: Any, pixels: float,
    with_colour: bool,
) -> Any:  # fmt: skip
    """Merge the two neighbours that are most alike, until all are one; return the regions in all.

    Parameters
    ----------
    pairs : int32 array, shape (P, 2)
    sizes, boxes, colours, textures
        See `describe`; rows from R on are filled with what each merging gave.
    pixels : float
        Of the image.
    with_colour : bool
        Whether colours count.
    """
    regions = sizes.shape[0] // 2
    first, second = pairs[:, 0].copy(), pairs[:, 1].copy()
    alike = np.empty(first.shape[0], np.float64)
    for p in range(first.shape[0]):
        alike[p] = _alike(first[p], second[p], sizes, boxes, colours, textures, pixels, with_colour)
    seen = np.full(2 * regions, -1, np.int32)
    live, made = first.shape[0], regions
    while live > 0:
        best = 0
        for p in range(1, live):
            if alike[p] > alike[best]:
                best = p
        i, j = first[best], second[best]
        total = sizes[i] + sizes[j]
        a, b = sizes[i] / total, sizes[j] / total
        for k in range(colours.shape[1]):
            colours[made, k] = a * colours[i, k] + b * colours[j, k]
        for k in range(textures.shape[1]):
            textures[made, k] = a * textures[i, k] + b * textures[j, k]
        sizes[made] = total
        boxes[made, 0] = min(boxes[i, 0], boxes[j, 0])
        boxes[made, 1] = min(boxes[i, 1], boxes[j, 1])
        boxes[made, 2] = max(boxes[i, 2], boxes[j, 2])
        boxes[made, 3] = max(boxes[i, 3], boxes[j, 3])
        left = 0
        for p in range(live):
            u, v = first[p], second[p]
            if u in (i, j) or v in (i, j):
                other = v if u in (i, j) else u
                if other in (i, j) or seen[other] == made:
                    continue  # the pair itself, or a neighbour of both
                seen[other] = made
                first[left], second[left] = other, made
                alike[left] = _alike(
                    other, made, sizes, boxes, colours, textures, pixels, with_colour
                )
            else:
                first[left], second[left], alike[left] = u, v, alike[p]
            left += 1
        live = left
        made += 1
    return made
