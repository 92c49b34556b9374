"""Decode the outputs of an exported network that draws: into pictures, JSON and table rows."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from sightline.types import Frame, Generated

if TYPE_CHECKING:
    import pyarrow as pa

    from sightline.deploy.runtime import About

OUTPUTS = ("picture",)

DIFFERENCE = "of a pixel's colours, as a share of the brightest"
"""What `agreement` measures the difference of."""

TOLERANCE = MappingProxyType({"fp32": 0.02, "fp16": 0.1})
"""Largest difference from the run that an export may have; int8 is judged by its headline."""

ALIKE = 0.02
"""Largest difference of drawings that count as alike: five steps of 255."""

SCORED = False
"""A drawing has no score: no threshold leaves it out."""

PREFIX = "data:image/png;base64,"


def decode(
    outputs: Mapping[str, NDArray[Any]], about: About, frames: Sequence[Frame]
) -> list[Generated]:
    """Decode the graph's outputs into the drawings of a batch, at the size of their pictures.

    Parameters
    ----------
    outputs : mapping
        ``picture``, uint8 (N, H, W, 3).
    about : About
    frames : sequence of Frame
        The way back into each picture.
    """
    return [
        Generated(frame.picture_out(drawn)[None])
        for drawn, frame in zip(outputs["picture"], frames, strict=True)
    ]


def agreement(said: Sequence[Generated], got: Sequence[Generated]) -> tuple[float, float]:
    """Return the largest difference of a colour between drawings, and the share of alike ones."""
    off = [
        float(np.abs(a.images.astype(int) - b.images.astype(int)).max()) / 255
        if a.images.shape == b.images.shape
        else 1.0
        for a, b in zip(said, got, strict=True)
    ]
    return max(off, default=0.0), float(np.mean([one <= ALIKE for one in off])) if off else 1.0


class Answer(BaseModel):
    """The drawing of one picture."""

    size: tuple[int, int] = Field(description="height and width of the picture in pixels")
    picture: str = Field(description="the drawing, of that size, as a PNG in a data URI")


EXAMPLE = MappingProxyType({"size": [2, 3], "picture": f"{PREFIX}iVBORw0KGgo="})
"""An answer, for the documentation of the server."""


def document(
    answer: Generated, *, top: int = 5, threshold: float | Sequence[float] = 0.0
) -> Answer:
    """Return an answer as the JSON model that the server, the command line and bulk share.

    Parameters
    ----------
    answer : Generated
        Of one picture.
    top, threshold
        Not looked at: there is one drawing, and it has no score.
    """
    from sightline.data import images

    pixels = answer.images[0]
    coded = base64.b64encode(images.png(pixels)).decode()
    return Answer(size=(pixels.shape[0], pixels.shape[1]), picture=PREFIX + coded)


def columns() -> list[tuple[str, pa.DataType]]:
    """Return the names and types of the columns of a bulk prediction."""
    import pyarrow as pa

    return [("height", pa.int32()), ("width", pa.int32()), ("picture", pa.binary())]


def row(answer: Answer) -> dict[str, Any]:
    """Return an answer as a row of a bulk prediction; ``picture`` is a PNG."""
    height, width = answer.size
    coded = base64.b64decode(answer.picture.removeprefix(PREFIX))
    return {"height": height, "width": width, "picture": coded}
