"""Decode the outputs of an exported detector of anomalies: into answers, JSON and table rows."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from sightline.types import ODD, Anomaly, Frame

if TYPE_CHECKING:
    import pyarrow as pa

    from sightline.deploy.runtime import About

OUTPUTS = ("score", "heat")
"""What the graph gives of each image; the second is missing where a method knows no places."""

DIFFERENCE = "of a score"
"""What `agreement` measures the difference of."""

TOLERANCE = MappingProxyType({"fp32": 2e-3, "fp16": 2e-2})
"""Largest difference from the run that an export may have; int8 is judged by its headline."""

PREFIX = "data:image/png;base64,"

SIDE = 256
"""Pixels of the longer side of a map that is told, at most."""


def decode(
    outputs: Mapping[str, NDArray[Any]], about: About, frames: Sequence[Frame]
) -> list[Anomaly]:
    """Decode the graph's outputs into the answers of a batch.

    Parameters
    ----------
    outputs : mapping
        ``score``, float32 (N,), and perhaps ``heat``, float32 (N, H, W).
    about : About
    frames : sequence of Frame
        The way back into each picture.
    """
    scores = np.clip(outputs["score"], 0, 1).tolist()
    maps = outputs.get("heat")
    return [
        Anomaly(score, None if maps is None else maps[i], frame)
        for i, (score, frame) in enumerate(zip(scores, frames, strict=True))
    ]


def agreement(said: Sequence[Anomaly], got: Sequence[Anomaly]) -> tuple[float, float]:
    """Return the largest difference of scores, and the share of pictures judged alike."""
    off = [_difference(a, b) for a, b in zip(said, got, strict=True)]
    alike = [(a.score >= ODD) == (b.score >= ODD) for a, b in zip(said, got, strict=True)]
    return max(off, default=0.0), float(np.mean(alike)) if alike else 1.0


def _difference(a: Anomaly, b: Anomaly) -> float:
    off = abs(a.score - b.score)
    if (a.heat is None) != (b.heat is None):
        return 1.0
    if a.heat is None or b.heat is None:
        return off
    return max(off, float(np.abs(a.heat - b.heat).max()))


class Answer(BaseModel):
    """How odd one picture is, and where."""

    score: float = Field(ge=0, le=1, description="0.5 at the run's own threshold")
    anomaly: bool = Field(description="whether the score reaches the threshold")
    share: float | None = Field(
        None, ge=0, le=1, description="of the picture's area that reaches the threshold"
    )
    size: tuple[int, int] = Field(description="height and width of the picture in pixels")
    heat: str | None = Field(
        None, description="scores of its places as a grey PNG in a data URI, 255 for 1, of the "
        "picture's proportions; null where the method knows no places",
    )  # fmt: skip


EXAMPLE = MappingProxyType(
    {"score": 0.71, "anomaly": True, "share": 0.02, "size": [480, 640],
     "heat": f"{PREFIX}iVBORw0KGgo="}
)  # fmt: skip
"""An answer, for the documentation of the server."""


def document(answer: Anomaly, *, top: int = 5, threshold: float | Sequence[float] = 0.0) -> Answer:
    """Return an answer as the JSON model that the server, the command line and bulk share.

    Parameters
    ----------
    answer : Anomaly
    top : int
        Not looked at.
    threshold : float
        Score from which on a picture is an anomaly; 0: the run's own, 0.5.
    """
    from sightline.data import images

    limit, heat, share = limit_of(threshold), None, None
    if answer.heat is not None:
        small = answer.heat_out(told_size(answer.frame.size))
        share = float((small >= limit).mean())
        grey = np.round(255 * small.clip(0, 1)).astype(np.uint8)[..., None]
        heat = PREFIX + base64.b64encode(images.png(grey)).decode()
    return Answer(
        score=answer.score, anomaly=answer.score >= limit, share=share, size=answer.frame.size,
        heat=heat,
    )  # fmt: skip


def limit_of(threshold: float | Sequence[float]) -> float:
    """Return the score from which on a picture is an anomaly."""
    return threshold if isinstance(threshold, int | float) and threshold else ODD


def told_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return the (height, width) of the map that is told of a picture of a size."""
    scale = min(1.0, SIDE / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def columns() -> list[tuple[str, pa.DataType]]:
    """Return the names and types of the columns of a bulk prediction."""
    import pyarrow as pa

    return [
        ("score", pa.float32()), ("anomaly", pa.bool_()), ("share", pa.float32()),
        ("heat", pa.binary()),
    ]  # fmt: skip


def row(answer: Answer) -> dict[str, Any]:
    """Return an answer as a row of a bulk prediction; ``heat`` is a PNG."""
    coded = None if answer.heat is None else base64.b64decode(answer.heat.removeprefix(PREFIX))
    return {
        "score": answer.score, "anomaly": answer.anomaly, "share": answer.share, "heat": coded
    }  # fmt: skip
