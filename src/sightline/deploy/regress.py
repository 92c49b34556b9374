"""Decode the outputs of an exported method that says a number: answers, JSON, table rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from sightline.types import Estimate, Frame

if TYPE_CHECKING:
    import pyarrow as pa

    from sightline.deploy.runtime import About

OUTPUTS = ("value", "reach")
"""The number of each image, and half the width of its interval."""

DIFFERENCE = "of a number, as a share of its interval"
"""What `agreement` measures the difference of."""

TOLERANCE = MappingProxyType({"fp32": 5e-3, "fp16": 5e-2})
"""Largest difference from the run that an export may have; int8 is judged by its headline."""

ALIKE = 1e-2
"""Share of the interval by which numbers that count as alike may differ."""

SCORED = False
"""A number has no score: no threshold leaves it out."""


def decode(
    outputs: Mapping[str, NDArray[Any]], about: About, frames: Sequence[Frame]
) -> list[Estimate]:
    """Decode the graph's outputs into the answers of a batch.

    Parameters
    ----------
    outputs : mapping
        ``value`` and ``reach``, float32 (N,).
    about : About
    frames : sequence of Frame
        Not looked at.
    """
    name = about.classes[0] if about.classes else ""
    return [
        Estimate(value, value - reach, value + reach, name)
        for value, reach in zip(
            outputs["value"].tolist(), np.abs(outputs["reach"]).tolist(), strict=True
        )
    ]


def agreement(said: Sequence[Estimate], got: Sequence[Estimate]) -> tuple[float, float]:
    """Return the largest difference, as a share of the interval, and the share of alike numbers."""
    off = [
        max(abs(a.value - b.value), abs(a.low - b.low), abs(a.high - b.high))
        / max(a.high - a.low, 1e-3 * abs(a.value), 1e-9)
        for a, b in zip(said, got, strict=True)
    ]
    return max(off, default=0.0), float(np.mean([one <= ALIKE for one in off])) if off else 1.0


class Answer(BaseModel):
    """The number of one picture."""

    name: str = Field(description="what the number is")
    value: float
    low: float = Field(description="lower end of the interval")
    high: float = Field(description="upper end of the interval")


EXAMPLE = MappingProxyType({"name": "age", "value": 41.5, "low": 33.0, "high": 50.0})
"""An answer, for the documentation of the server."""


def document(answer: Estimate, *, top: int = 5, threshold: float | Sequence[float] = 0.0) -> Answer:
    """Return an answer as the JSON model that the server, the command line and bulk share.

    Parameters
    ----------
    answer : Estimate
    top, threshold
        Not looked at: there is one number, and it has no score.
    """
    return Answer(name=answer.name, value=answer.value, low=answer.low, high=answer.high)


def columns() -> list[tuple[str, pa.DataType]]:
    """Return the names and types of the columns of a bulk prediction."""
    import pyarrow as pa

    return [("value", pa.float64()), ("low", pa.float64()), ("high", pa.float64())]


def row(answer: Answer) -> dict[str, Any]:
    """Return an answer as a row of a bulk prediction."""
    return {"value": answer.value, "low": answer.low, "high": answer.high}
