"""Read images of class or object numbers: by their values, a palette's indices, or their colours.

What cannot be numbers is refused with its values and how many pixels have them, so that the file
can be mended: colours without a map, a map's unknown colours, what JPEG made of values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.counting import counted
from sightline.errors import DataError

FEW = 0.02
"""Share of a mask's pixels below which a value of a JPEG was not meant."""

_SHOWN = 5
_LOSSY = frozenset(("JPEG", "MPO", "WEBP"))


class MaskError(DataError):
    """A mask that cannot be read as numbers of classes or objects.

    Parameters
    ----------
    kind : str
        Stable name of the audit's finding.
    message : str
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.kind, str(self))


def read(path: str, colours: Sequence[int] = ()) -> NDArray[Any]:
    """Read an image of class or object numbers, shape (H, W).

    Parameters
    ----------
    path : str
    colours : sequence of int, optional
        Of each number, ``0xRRGGBB``: the image is read by its colours. Default: by its raw values,
        those of a palette being its indices.

    Raises
    ------
    MaskError
        When it is a JPEG, a colour image and no colours are given, or has a colour that is none of
        them.
    DataError
        When it cannot be read.
    """
    values, kind = raw(path, as_colours=bool(colours))
    if kind in _LOSSY:
        raise MaskError("jpeg-mask", f"{path}: {smeared(values, kind)}")
    if colours:
        return _by_colour(path, packed(values), colours)
    if values.ndim == 3:
        shown = values[..., :3] if values.shape[2] > 2 else values[..., :1]  # the rest is opacity
        values = shown[..., 0] if (shown == shown[..., :1]).all() else shown
    if values.ndim == 3:
        tints, counts = np.unique(packed(values), return_counts=True)
        raise MaskError(
            "colour-mask",
            f"{path}: a colour image without a map from colours to classes, which has "
            f"{counted(len(tints), 'colour')}: {told(tints, counts, colour_text)}; class or object "
            "numbers need a grey or palette image, or a file class_dict.csv beside the folders "
            "with a line name,r,g,b for each class",
        )
    if values.ndim != 2 or values.dtype.kind == "f":
        raise DataError(
            f"{path}: pixels of the kind {values.dtype}; class or object numbers need a grey or "
            "palette image of whole numbers"
        )
    return values.astype(np.uint8) if values.dtype == np.bool_ else values


def raw(path: str, *, as_colours: bool = False) -> tuple[NDArray[Any], str | None]:
    """Return an image's pixels as they are stored, and its format.

    Raises
    ------
    DataError
        When it cannot be read.
    """
    from sightline.data import door, images

    with images.open_checked(path) as image:
        door.check(image, str(path))
        try:
            return np.asarray(image.convert("RGB") if as_colours else image), image.format
        except (OSError, SyntaxError, ValueError) as error:
            raise DataError(f"{path}: the image data is broken ({error})") from None


def packed(values: NDArray[Any]) -> NDArray[np.int32]:
    """Return colours, shape (H, W, 3) or more, as ``0xRRGGBB``; grey values as they are."""
    if values.ndim == 2:
        return np.asarray(values, np.int32)
    red, green, blue = (values[..., i].astype(np.int32) for i in range(3))
    return (red << 16) | (green << 8) | blue


def _by_colour(
    path: str, values: NDArray[np.int32], colours: Sequence[int]
) -> NDArray[np.integer[Any]]:
    """Return the number of each pixel's colour."""
    table = np.array(colours, np.int32)
    order = np.argsort(table)
    places = np.searchsorted(table[order], values).clip(max=len(table) - 1)
    unknown = table[order][places] != values
    if unknown.any():
        shown, counts = np.unique(values[unknown], return_counts=True)
        raise MaskError(
            "unknown-mask-value",
            f"{path}: {counted(len(shown), 'colour')} without a name: "
            f"{told(shown, counts, colour_text)}; name {'it' if len(shown) == 1 else 'them'} in "
            "the file of colours, or mend the mask",
        )
    return np.asarray(order[places], np.uint8 if len(table) <= 256 else np.int32)


def smeared(values: NDArray[Any], kind: str) -> str:
    """Say of a mask that was saved with loss how many of its values were not meant.

    Parameters
    ----------
    values : integer array, shape (H, W) or (H, W, 3)
    kind : str
        Format of the file, such as ``"JPEG"``.
    """
    counts = np.unique(packed(values), return_counts=True)[1]
    few = counts < FEW * counts.sum()
    pixels = f"{counts[few].sum():,} of its {counted(int(counts.sum()), 'pixel')}"
    return (
        f"a mask as {kind}, whose values are smeared when it is saved: "
        f"{counted(int(few.sum()), 'stray value')} in {pixels}; save masks as PNG"
    )


def told(
    values: NDArray[Any], counts: NDArray[np.integer[Any]], text: Callable[[int], str] = str
) -> str:
    """Name values with how many pixels have them, the most frequent first.

    Examples
    --------
    >>> told(np.array([3, 9]), np.array([1, 20]))
    '9 (20 pixels), 3 (1 pixel)'
    """
    order = np.argsort(-counts, kind="stable")
    said = [f"{text(int(values[i]))} ({counted(int(counts[i]), 'pixel')})" for i in order[:_SHOWN]]
    more = len(order) - _SHOWN
    return ", ".join(said) + (f" and {more:,} more" if more > 0 else "")


def others(values: NDArray[Any], named: Iterable[int]) -> str:
    """Name the values that are none of those given, with how many pixels have them; "" if none.

    Examples
    --------
    >>> others(np.array([[0, 1], [7, 7]]), (0, 1))
    '7 (2 pixels)'
    """
    shown, counts = np.unique(values, return_counts=True)
    odd = ~np.isin(shown, list(named))
    return told(shown[odd], counts[odd])


def colour_text(colour: int) -> str:
    """Return a colour, ``0xRRGGBB``, as pages and editors write it."""
    return f"#{colour:06x}"


def soft(values: NDArray[Any]) -> NDArray[np.integer[Any]]:
    """Return the values that only soft edges have: rare ones, each between its neighbours' values.

    Parameters
    ----------
    values : integer array, shape (H, W)

    Returns
    -------
    integer array
        Sorted; empty where the edges are hard.
    """
    from scipy.ndimage import maximum_filter, minimum_filter

    shown, counts = np.unique(values, return_counts=True)
    often, rare = (shown[counts >= FEW * values.size], shown[counts < FEW * values.size])
    if len(often) < 2:
        return shown[:0]
    between = rare[(rare > often[0]) & (rare < often[-1])]
    if len(between) < _STEPS:
        return shown[:0]
    odd = np.isin(values, between)
    step = (minimum_filter(values, 3) < values) & (values < maximum_filter(values, 3))
    return between if step[odd].mean() >= _MOSTLY else shown[:0]


_STEPS = 5
"""Rare values that a mask has between others, at least, where its edges are soft."""

_MOSTLY = 0.8
