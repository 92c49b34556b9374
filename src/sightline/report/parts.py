"""Define the parts of pages and tables that each task fills; see ``report/<task>.py``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sightline.metrics import figure_text
from sightline.report import plots
from sightline.report.words import say

if TYPE_CHECKING:
    from PIL import Image

    from sightline.bench.results import MethodEntry


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table of a comparison.

    Parameters
    ----------
    heading : str
    cell : callable
        Text for a method that ran to the end.
    page_only : bool
        Whether the terminal, which is narrow, leaves it out.
    rank : int
        How early a narrow terminal leaves it out: the highest first, 0 never.
    """

    heading: str
    cell: Callable[[MethodEntry], str]
    page_only: bool = False
    rank: int = 4


@dataclass(frozen=True, slots=True)
class Picture:
    """An image of a page, with the lines of text under it; the first is set in bold.

    Parameters
    ----------
    uri : str
    lines : tuple of str
    broad : bool
        Whether it is several pictures side by side, which need room.
    """

    uri: str
    lines: tuple[str, ...]
    broad: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """Images of a page that are looked at side by side, with the lines of text above them.

    Parameters
    ----------
    lines : tuple of str
        The first is set in bold.
    pictures : tuple of Picture
    """

    lines: tuple[str, ...]
    pictures: tuple[Picture, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """The part of a section that belongs to one method; it can be folded away.

    Parameters
    ----------
    summary : str
    drawing : str
        SVG.
    note : str
        A line above the pictures.
    pictures : list of Picture
    rows : list of Row
        Under the pictures.
    legend : list of (str, str)
        What colours mean: how CSS paints it, and its name.
    """

    summary: str
    drawing: str = ""
    note: str = ""
    pictures: list[Picture] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    legend: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Section:
    """A section of a page.

    Parameters
    ----------
    title : str
    text : str
        A paragraph under the title; plain text.
    drawing : str
        SVG.
    parts : list of Part
    """

    title: str
    text: str = ""
    drawing: str = ""
    parts: list[Part] = field(default_factory=list)


SMALLEST = 160
"""Pixels to which the shorter side of a smaller picture is enlarged before it is written on."""


def enlarged(pixels: Image.Image) -> Image.Image:
    """Return a picture as it is, or a small one enlarged by whole pixels, to be written on."""
    from PIL import Image

    if min(pixels.size) >= SMALLEST:
        return pixels
    factor = -(-SMALLEST // min(pixels.size))
    size = pixels.width * factor, pixels.height * factor
    return pixels.resize(size, Image.Resampling.NEAREST)


def thumbnail(image: NDArray[np.uint8]) -> str:
    """Return an image (H, W, C) as a data URI; a tiny one is enlarged without smoothing."""
    return plots.png_uri(image, scale=max(1, 96 // max(image.shape[:2])))


def figure_of(name: str, share: bool = True) -> Callable[[MethodEntry], str]:
    """Return the cell of a column that tells a figure of each method, a share unless told."""
    return lambda entry: figure_text(entry.metrics.get(name), share)


def interval_text(entry: MethodEntry) -> str:
    """Return the 95% interval of a method's headline as text."""
    if entry.interval is None:
        return "-"
    low, high = entry.interval
    ends = (f"{100 * e:.1f}" if entry.share else f"{e:.4g}" for e in (low, high))
    return say("{low} to {high}", **dict(zip(("low", "high"), ends, strict=True)))
