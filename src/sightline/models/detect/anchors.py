r"""Place anchors: the boxes of every place and shape that a detector begins from.

SSD has *default boxes* on each of its m maps (Liu et al., SSD, ECCV 2016, section 2.2). Map k has
the scale

.. math:: s_k = s_{\min} + \frac{s_{\max} - s_{\min}}{m - 1} (k - 1), \quad k \in [1, m]

(equation 4), and at each place a square of it, one of :math:`s'_k = \sqrt{s_k s_{k+1}}`, and for
each aspect ratio a the boxes of width :math:`s_k \sqrt a` and height :math:`s_k / \sqrt a` and the
reverse. The paper's code sets the first scale apart, so that the scales in use are not those of the
equation: `SCALES` has them by the data set they were chosen for.

Faster R-CNN has *anchors* of some areas and ratios at each place of each map (Ren et al., NeurIPS
2015, section 3.1.1). YOLO has the cells of a grid, each of which answers for the objects whose
centre lies in it (Redmon et al., CVPR 2016, section 2; so again in YOLOX, Ge et al., 2021).

Boxes are ``xyxy`` in pixels of the model's image, ordered by map, row, column and shape.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sightline.errors import ParameterError

Size = tuple[int, int]
"""Height and width: of an image in pixels, of a map in places."""

SCALES = {
    "voc": (30, 60, 111, 162, 213, 264, 315),
    "coco": (21, 45, 99, 153, 207, 261, 315),
}
"""Scales of SSD300's six maps in pixels of 300, and the next one, by data set."""


def spaced_scales(maps: int, smallest: float = 0.2, largest: float = 0.9) -> tuple[float, ...]:
    """Compute scales of maps that are spaced evenly: equation 4.

    Parameters
    ----------
    maps : int
    smallest, largest : float
        Scales of the first and the last map, as shares of the image's side.

    Returns
    -------
    tuple of float, length maps + 1
        The last one is the whole image, for the larger square of the last map.

    Examples
    --------
    >>> [round(scale, 2) for scale in spaced_scales(6)]
    [0.2, 0.34, 0.48, 0.62, 0.76, 0.9, 1.0]
    """
    if maps == 1:
        return smallest, largest
    return (*(smallest + (largest - smallest) * k / (maps - 1) for k in range(maps)), 1.0)


@dataclass(frozen=True)
class DefaultBoxes:
    """SSD's default boxes on maps of any size.

    Parameters
    ----------
    ratios : sequence of sequence of float
        Aspect ratios of each map beside 1; each gives a lying and a standing box.
    scales : sequence of float
        Of each map, and one more; shares of the image's side.
    steps : sequence of int, optional
        Pixels between the places of each map, where that is not the image's side over the map's.

    Raises
    ------
    ParameterError
        When the lengths do not fit together.
    """

    ratios: Sequence[Sequence[float]]
    scales: Sequence[float]
    steps: Sequence[int] | None = None

    def __post_init__(self) -> None:
        maps, steps = len(self.ratios), self.ratios if self.steps is None else self.steps
        if len(self.scales) != maps + 1 or len(steps) != maps:
            raise ParameterError(
                f"{maps} maps need {maps + 1} scales and as many steps as maps, not "
                f"{len(self.scales)} and {len(steps)}"
            )

    @property
    def counts(self) -> list[int]:
        """Return the number of boxes at each place of each map."""
        return [2 + 2 * len(ratios) for ratios in self.ratios]

    def shapes(self, k: int) -> Tensor:
        """Return the widths and heights of map k's boxes, as shares of the side: shape (B, 2)."""
        scale, between = self.scales[k], math.sqrt(self.scales[k] * self.scales[k + 1])
        pairs = [(scale, scale), (between, between)]
        for ratio in self.ratios[k]:
            w, h = scale * math.sqrt(ratio), scale / math.sqrt(ratio)
            pairs += [(w, h), (h, w)]
        return torch.tensor(pairs)

    def __call__(
        self, maps: Sequence[Size], image: Size, device: torch.device | None = None
    ) -> Tensor:
        """Place the boxes of all maps.

        Parameters
        ----------
        maps : sequence of (height, width)
        image : (height, width)
        device : torch.device, optional

        Returns
        -------
        float32 Tensor, shape (A, 4)
            No side is longer than the image's; corners may lie outside it.
        """
        side = torch.tensor([image[1], image[0]], dtype=torch.float32)
        placed = []
        for k, (rows, columns) in enumerate(maps):
            ways = (rows, columns) if self.steps is None else [s / self.steps[k] for s in image]
            y = ((torch.arange(rows) + 0.5) / ways[0]).float()
            x = ((torch.arange(columns) + 0.5) / ways[1]).float()
            centres = _points(y, x)[:, None]
            half = 0.5 * self.shapes(k).clamp(max=1)
            corners = (centres - half) * side, (centres + half) * side
            placed.append(torch.cat(corners, -1).view(-1, 4))
        return torch.cat(placed).to(device)


@dataclass(frozen=True)
class RegionAnchors:
    """The anchors of a region proposal network on maps of any size.

    Parameters
    ----------
    sizes : sequence of sequence of float
        Roots of the areas of each map's anchors, in pixels.
    ratios : sequence of float
        Height over width.
    strides : sequence of int, optional
        Pixels between the places of each map, where that is not the image's side over the map's,
        rounded down, as in torchvision: so images may have any side.

    Notes
    -----
    Sides are rounded to whole pixels and the first place lies in the corner of the image, as in
    torchvision and in the paper's code.
    """

    sizes: Sequence[Sequence[float]]
    ratios: Sequence[float] = (0.5, 1.0, 2.0)
    strides: Sequence[int] | None = None

    @property
    def counts(self) -> list[int]:
        """Return the number of anchors at each place of each map."""
        return [len(sizes) * len(self.ratios) for sizes in self.sizes]

    def shapes(self, k: int) -> Tensor:
        """Return map k's anchors around the origin, shape (B, 4)."""
        sizes = torch.tensor(self.sizes[k], dtype=torch.float32)
        high = torch.tensor(self.ratios, dtype=torch.float32).sqrt()
        h, w = (high[:, None] * sizes).flatten(), ((1 / high)[:, None] * sizes).flatten()
        return (torch.stack((-w, -h, w, h), 1) / 2).round()

    def __call__(
        self, maps: Sequence[Size], image: Size, device: torch.device | None = None
    ) -> Tensor:
        """Place the anchors of all maps.

        Parameters
        ----------
        maps : sequence of (height, width)
        image : (height, width)
        device : torch.device, optional

        Returns
        -------
        float32 Tensor, shape (A, 4)
            Corners may lie outside the image.
        """
        placed = []
        for k, (rows, columns) in enumerate(maps):
            down, across = image[0] // rows, image[1] // columns
            if self.strides is not None:
                down = across = self.strides[k]
            y, x = torch.arange(rows) * down, torch.arange(columns) * across
            places = _points(y, x)[:, None]
            placed.append((torch.cat((places, places), -1) + self.shapes(k)).view(-1, 4))
        return torch.cat(placed).to(device)


def grid(
    maps: Sequence[Size], strides: Sequence[int], device: torch.device | None = None
) -> tuple[Tensor, Tensor]:
    """Place the cells of a grid for each map.

    Parameters
    ----------
    maps : sequence of (height, width)
    strides : sequence of int
        Pixels a cell of each map.
    device : torch.device, optional

    Returns
    -------
    corners : float32 Tensor, shape (A, 2)
        x and y of each cell's upper left corner, in pixels; its centre lies half a stride further.
    strides : float32 Tensor, shape (A,)
        Of each cell.

    Examples
    --------
    >>> corners, strides = grid([(1, 2), (1, 1)], [8, 16])
    >>> corners.tolist(), strides.tolist()
    ([[0.0, 0.0], [8.0, 0.0], [0.0, 0.0]], [8.0, 8.0, 16.0])
    """
    corners = [
        _points(torch.arange(h), torch.arange(w)) * stride
        for (h, w), stride in zip(maps, strides, strict=True)
    ]
    of_each = [torch.full((len(c),), float(s)) for c, s in zip(corners, strides, strict=True)]
    return torch.cat(corners).float().to(device), torch.cat(of_each).to(device)


def _points(y: Tensor, x: Tensor) -> Tensor:
    """Return x and y of all points of a grid, row by row: shape (rows * columns, 2)."""
    return torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], -1).view(-1, 2)
