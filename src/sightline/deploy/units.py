"""Read how large a pixel is, so that areas can be told in units."""

from __future__ import annotations

import re
from typing import NamedTuple, Self

from sightline.errors import ParameterError

_SCALE = re.compile(r"\s*([0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)\s*([^\W\d_]+)\s*")


class PixelSize(NamedTuple):
    """How long the side of a pixel is.

    Attributes
    ----------
    length : float
    unit : str
        Such as um, mm or m.
    """

    length: float
    unit: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a length with its unit, such as 0.5um.

        Raises
        ------
        ParameterError
            When it is none, or not above 0.

        Examples
        --------
        >>> PixelSize.parse("0.5um")
        PixelSize(length=0.5, unit='um')
        """
        fits = _SCALE.fullmatch(text)
        if not fits or not 0 < float(fits[1]) < float("inf"):
            raise ParameterError(
                f"--scale is the length of a pixel's side with its unit, such as 0.5um, not {text}"
            )
        return cls(float(fits[1]), fits[2])

    @property
    def name(self) -> str:
        """Return the name of a column of areas, such as ``area_um2``."""
        return f"area_{self.unit}2"

    def area(self, pixels: float) -> float:
        """Return how large so many pixels are, in the unit's squares.

        Examples
        --------
        >>> PixelSize(0.5, "um").area(8)
        2.0
        """
        return pixels * self.length**2
