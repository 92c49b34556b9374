"""Bring grey pixels of more than 8 bits to 8, by what their file calls black and white.

A file of 16 bits holds 12 more often than it says so. What it says is followed: bits a sample
(TIFF, 258), the samples of black and white (340, 341), the largest sample where that is a whole
number of bits (281; elsewhere it is but the largest that occurs), and which end is white (262).
Pixels that nothing is said of are 16 bits, and of 32 bits there is no agreed white at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sightline.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

_BITS, _PHOTOMETRIC, _LARGEST, _BLACK, _WHITE = 258, 262, 281, 340, 341
_WHITE_IS_ZERO = 0
_SHIFTS = {2.0**bits - 1: bits - 8 for bits in range(9, 17)}
"""White of a whole number of bits -> the lower bits that are dropped."""


def is_deep(image: Image.Image) -> bool:
    """Tell whether a file has more than 8 bits a sample; of colour, before it is decoded."""
    tiles: Any = getattr(image, "tile", None)
    raw = str(tiles[0][3]) if tiles else ""
    return image.mode.startswith("I") or image.mode == "F" or ";16" in raw


def eight_bits(image: Image.Image, name: str) -> Image.Image:
    """Bring a decoded image of a deep mode (I, I;16, F) to 8-bit grey.

    Raises
    ------
    DataError
        When it has no white; the message begins with `name`.
    """
    from PIL import Image

    pixels, (black, white) = np.asarray(image), span_of(image, name)
    if black == 0 and white in _SHIFTS:
        grey = pixels.clip(0, int(white)).astype(np.uint16) >> _SHIFTS[white]
    else:
        # Pillow's own conversion clips at 255 and would turn the picture white.
        share = (pixels.astype(np.float64) - black) / (white - black)
        grey = np.rint(np.nan_to_num(share).clip(0, 1) * 255)
    grey = grey.astype(np.uint8)
    return Image.fromarray(255 - grey if _tag(image, _PHOTOMETRIC) == _WHITE_IS_ZERO else grey)


def span_of(image: Image.Image, name: str) -> tuple[float, float]:
    """Return the values of black and white of an image of a deep mode.

    Raises
    ------
    DataError
        When none are agreed; the message begins with `name`.
    """
    span = _span(image)
    if span is None:
        raise DataError(
            f"{name}: 32-bit pixels ({image.mode}) have no agreed white, and the file names none "
            "(SMinSampleValue, SMaxSampleValue); save it with 8 or 16 bits"
        )
    return span


def _span(image: Image.Image) -> tuple[float, float] | None:
    """Return the values of black and white; None where none are agreed."""
    white = _tag(image, _WHITE)
    black = _tag(image, _BLACK) or 0.0
    if white is not None and black < white:
        return black, white
    if image.mode.startswith("I;16"):
        largest, bits = _tag(image, _LARGEST), _tag(image, _BITS) or 16
        return 0.0, largest if bits == 16 and largest in _SHIFTS else 2.0**bits - 1
    # Pillow brings a PGM of more than 8 bits to 16.
    return (0.0, 65535.0) if image.mode == "I" and image.format == "PPM" else None


def _tag(image: Image.Image, number: int) -> float | None:
    """Return a TIFF's tag, of the first sample; None where there is none, or no number."""
    try:
        value = image.tag_v2[number]  # type: ignore[attr-defined]
        value = float(value[0] if isinstance(value, tuple) else value)
    except Exception:  # noqa: BLE001 - Pillow reads it now, whatever is in it
        return None
    return value if np.isfinite(value) else None
