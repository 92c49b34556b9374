r"""Propose regions without learning: selective search.

A detector that classifies regions needs some that hold the objects, of every size, and few enough
to look at each. Selective search (Uijlings et al., Selective search for object recognition, IJCV
2013) begins with many small regions and merges the two neighbours that are most alike until the
picture is one; the box of every region on the way is a proposal.

**The small regions** (`segment`) are those of Felzenszwalb & Huttenlocher (Efficient graph-based
image segmentation, IJCV 2004). Pixels are joined along edges of rising weight, the distance of
their colours, as long as the edge is no heavier than what holds both regions together,

.. math:: w(a, b) \le \min\left(\mathrm{Int}(A) + \frac{k}{|A|}, \mathrm{Int}(B) +
    \frac{k}{|B|}\right)

(equations 2 to 5), Int being the heaviest edge inside; a larger k prefers larger regions. Regions
of less than some pixels are joined to a neighbour.

**How alike** two regions are is a sum of four numbers in [0, 1] (section 3.2): the intersection of
their histograms of colour (25 bins a channel; equation 1) and of texture (derivatives of a Gaussian
in 8 orientations, 10 bins a channel; equation 3), how small they are (equation 5), and how well
they fit into each other (equation 6):

.. math:: s = \sum_k \min(c_a^k, c_b^k) + \sum_k \min(t_a^k, t_b^k) + \left(1 -
    \frac{|A| + |B|}{|I|}\right) + \left(1 - \frac{|BB_{ab}| - |A| - |B|}{|I|}\right)

**Diversity** (sections 3.3 and 4.2, the *fast* set): all of it in two colour spaces, HSV and Lab,
with two k, with and without the colours. Proposals of all eight are ordered by how late they were
merged, times a number drawn by chance, so that no way of searching comes first (section 3.4); the
draw is the same for every picture.

Distances are taken in 1/128 of a grey level, which fits 16 bits. Edges of pixels lie between all
eight neighbours.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sightline.errors import DataError, ParameterError

Space = Literal["hsv", "lab"]

SIGMA = 0.8
"""Pixels by which a picture is smoothed before it is segmented."""

LONGEST = 500
"""Pixels of the longer side up to which a picture is searched as it is; larger ones are shrunk."""


def selective_search(
    image: NDArray[np.uint8], most: int = 2000, *, scales: Sequence[float] = (50.0, 100.0),
    spaces: Sequence[Space] = ("hsv", "lab"), smallest: int = 6,
) -> NDArray[np.float32]:  # fmt: skip
    """Propose boxes that may hold an object.

    Parameters
    ----------
    image : uint8 array, shape (H, W, 1) or (H, W, 3)
    most : int
        Boxes at most.
    scales : sequence of float
        k of the segmentations.
    spaces : sequence of {"hsv", "lab"}
        Colours that the search is made in.
    smallest : int
        Pixels a side that a box has at least.

    Returns
    -------
    float32 array, shape (K, 4)
        xyxy in pixels of the image, the most promising first, none twice; at least one: the whole
        image.

    Raises
    ------
    DataError
        When it is no such array.
    ParameterError
        When `most` is below 1.

    Examples
    --------
    >>> image = np.zeros((60, 80, 3), np.uint8)
    >>> image[20:50, 10:40] = 255
    >>> [10.0, 20.0, 40.0, 50.0] in selective_search(image).tolist()
    True
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (1, 3) or not image.size:
        raise DataError(
            f"selective search needs bytes of shape (H, W, 1) or (H, W, 3), not {image.dtype} of "
            f"{image.shape}"
        )
    if most < 1:
        raise ParameterError(f"the number of proposals must be at least 1, not {most}")
    height, width = image.shape[:2]
    shrunk = _shrunk(image)
    ranked, chance = [], np.random.default_rng(0)
    for space, scale in itertools.product(spaces, scales):
        coloured = in_space(shrunk, space)
        labels = segment(coloured, scale)
        for with_colour in (True, False):
            boxes = hierarchy(coloured, labels, with_colour=with_colour)[::-1]
            ranks = np.arange(1, len(boxes) + 1) * chance.random(len(boxes))
            ranked.append((ranks, boxes))
    order = np.argsort(np.concatenate([ranks for ranks, _ in ranked]), kind="stable")
    boxes = np.concatenate([boxes for _, boxes in ranked])[order]
    factors = width / shrunk.shape[1], height / shrunk.shape[0]
    sides = (boxes[:, 2:] - boxes[:, :2]) * factors
    boxes = np.concatenate((boxes[(sides >= smallest).all(1)], [[0, 0, *shrunk.shape[1::-1]]]))
    _, first = np.unique(boxes, axis=0, return_index=True)
    return np.asarray(boxes[np.sort(first)[:most]] * (factors * 2), np.float32)


def segment(
    image: NDArray[np.float32], scale: float = 100.0, least: int | None = None
) -> NDArray[np.int32]:
    """Segment an image into regions of like colour (Felzenszwalb & Huttenlocher, 2004).

    Parameters
    ----------
    image : float32 array, shape (H, W, 3)
        Of values in [0, 256).
    scale : float
        k: the larger, the larger are regions.
    least : int, optional
        Pixels of a region at least. Default: 20, and more in images of more than 40,000 pixels.

    Returns
    -------
    int32 array, shape (H, W)
        The number of each pixel's region, from 0 on in the order of their first pixels.
    """
    from scipy import ndimage

    from sightline.models.detect import proposal_kernels as kernels

    height, width = image.shape[:2]
    pixels = height * width
    smooth = ndimage.gaussian_filter(image, (SIGMA, SIGMA, 0), mode="nearest", truncate=3.0)
    count = 4 * pixels - 3 * (height + width) + 2
    weights, ends = np.empty(count, np.uint16), np.empty((count, 2), np.int32)
    kernels.edges(smooth, weights, ends)
    parent, labels = np.arange(pixels, dtype=np.int32), np.empty(pixels, np.int32)
    kernels.merge(
        np.argsort(weights, kind="stable"), weights, ends, float(scale),
        max(20, pixels // 2000) if least is None else least, parent, np.ones(pixels, np.int32),
        np.empty(pixels), labels,
    )  # fmt: skip
    return labels.reshape(height, width)


def hierarchy(
    image: NDArray[np.float32], labels: NDArray[np.int32], *, with_colour: bool = True
) -> NDArray[np.int32]:
    """Merge the regions of an image until they are one, the two that are most alike first.

    Parameters
    ----------
    image : float32 array, shape (H, W, 3)
        Of values in [0, 256).
    labels : int32 array, shape (H, W)
        See `segment`.
    with_colour : bool
        Whether colours count.

    Returns
    -------
    int32 array, shape (2 R - 1, 4)
        Boxes, xyxy: of the R regions, then of what each merging gave.
    """
    from scipy import ndimage

    from sightline.models.detect import proposal_kernels as kernels

    count = int(labels.max()) + 1
    across, down = (
        ndimage.gaussian_filter(
            image, (1.0, 1.0, 0), order=(*order, 0), mode="nearest", truncate=3.0
        )
        for order in ((0, 1), (1, 0))
    )
    angles = np.arange(kernels.ORIENTATIONS) * (2 * np.pi / kernels.ORIENTATIONS)
    sizes, boxes = np.zeros(2 * count), np.zeros((2 * count, 4), np.int32)
    colours = np.zeros((2 * count, 3 * kernels.COLOUR_BINS), np.float32)
    textures = np.zeros(
        (2 * count, 3 * kernels.ORIENTATIONS * kernels.TEXTURE_BINS), np.float32
    )  # fmt: skip
    kernels.describe(
        labels, image, across, down, np.stack((np.cos(angles), np.sin(angles)), 1), sizes, boxes,
        colours, textures,
    )  # fmt: skip
    pairs = np.empty((2 * labels.size, 2), np.int32)
    n = kernels.neighbours(labels, np.zeros((count, count), np.bool_), pairs)
    made = kernels.group(
        pairs[:n], sizes, boxes, colours, textures, float(labels.size), with_colour
    )
    return boxes[:made]


def in_space(image: NDArray[np.uint8], space: Space) -> NDArray[np.float32]:
    """Convert RGB to another space of colours, every channel in [0, 256).

    Parameters
    ----------
    image : uint8 array, shape (H, W, 3)
    space : {"hsv", "lab"}
        Hue, saturation and value, or CIE L*a*b* of sRGB under D65.

    Returns
    -------
    float32 array, shape (H, W, 3)
    """
    if space == "hsv":
        return _hsv(np.asarray(image, np.float32) / np.float32(255))
    table = np.arange(256, dtype=np.float32) / 255
    linear = np.where(table > 0.04045, ((table + 0.055) / 1.055) ** 2.4, table / 12.92)[image]
    to_xyz = np.array(
        [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169],
         [0.019334, 0.119193, 0.950227]]
    )  # fmt: skip
    xyz = linear.astype(np.float32) @ (to_xyz / to_xyz.sum(1, keepdims=True)).T.astype(np.float32)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    lab = np.stack(((116 * y - 16) * 2.55, 500 * (x - y) + 128, 200 * (y - z) + 128), -1)
    return np.asarray(np.clip(lab, 0, 255.9), np.float32)


def _hsv(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    """Convert RGB in [0, 1] to hue, saturation and value in [0, 256)."""
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    value, least = rgb.max(-1), rgb.min(-1)
    spread = value - least
    safe = np.where(spread > 0, spread, 1)
    hue = np.where(
        value == red, (green - blue) / safe % 6,
        np.where(value == green, (blue - red) / safe + 2, (red - green) / safe + 4),
    ) / 6  # fmt: skip
    saturation = spread / np.where(value > 0, value, 1)
    return np.asarray(np.stack((hue, saturation, value), -1) * 255.9, np.float32)


def _shrunk(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an image of three channels that is no longer than `LONGEST`."""
    coloured = np.repeat(image, 3, 2) if image.shape[2] == 1 else image
    height, width = image.shape[:2]
    factor = LONGEST / max(height, width)
    if factor >= 1:
        return np.ascontiguousarray(coloured)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return np.asarray(Image.fromarray(coloured).resize(size, Image.Resampling.BOX))
