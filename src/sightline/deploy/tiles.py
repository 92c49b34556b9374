"""Cut large pictures into tiles that overlap and leave nothing out."""

from __future__ import annotations

from dataclasses import dataclass

from sightline.errors import ParameterError

OVERLAP = 0.2
"""Share of a tile's side that it has in common with the next one."""

SMALLEST = 32
"""Pixels a side that a tile has at least."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A part of a picture: its corners in pixels, right and lower exclusive."""

    x1: int
    y1: int
    x2: int
    y2: int

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Return the corners as one tuple, xyxy."""
        return self.x1, self.y1, self.x2, self.y2


def tiles(size: tuple[int, int], side: int, overlap: float = OVERLAP) -> list[Tile]:
    """Cut a picture into tiles of one size that overlap and leave nothing out.

    Parameters
    ----------
    size : (height, width)
    side : int
        Pixels; smaller pictures are one tile.
    overlap : float
        Share of the side, at least.

    Returns
    -------
    list of Tile
        By rows, spaced evenly.

    Raises
    ------
    ParameterError
        When tiles would be smaller than `SMALLEST`.

    Examples
    --------
    >>> [tile.box for tile in tiles((100, 250), 100)]
    [(0, 0, 100, 100), (75, 0, 175, 100), (150, 0, 250, 100)]
    """
    if side < SMALLEST:
        raise ParameterError(f"tile must be at least {SMALLEST} pixels, not {side}")
    rows, columns = (starts(length, side, overlap) for length in size)
    return [
        Tile(x, y, min(x + side, size[1]), min(y + side, size[0])) for y in rows for x in columns
    ]


def starts(length: int, side: int, overlap: float = OVERLAP) -> list[int]:
    """Return where tiles begin along one side of a picture, spaced evenly.

    Parameters
    ----------
    length, side : int
        Pixels of the picture and of a tile.
    overlap : float
        Share of a tile's side, at least.

    Examples
    --------
    >>> starts(250, 100)
    [0, 75, 150]
    """
    if length <= side:
        return [0]
    step = max(round(side * (1 - overlap)), 1)
    count = -(-(length - side) // step) + 1
    return [round(i * (length - side) / (count - 1)) for i in range(count)]
