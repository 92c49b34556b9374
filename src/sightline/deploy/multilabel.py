"""Decode the outputs of an exported method that says several labels: answers, JSON, table rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from sightline.types import Frame, Labels

if TYPE_CHECKING:
    import pyarrow as pa

    from sightline.deploy.runtime import About

OUTPUTS = ("probabilities",)

DIFFERENCE = "of a probability"
"""What `agreement` measures the difference of."""

TOLERANCE = MappingProxyType({"fp32": 1e-3, "fp16": 2e-2})
"""Largest difference from the run that an export may have; int8 is judged by its headline."""

MANY = True
"""An answer is any number of labels, each by its own threshold."""


def decode(
    outputs: Mapping[str, NDArray[Any]], about: About, frames: Sequence[Frame]
) -> list[Labels]:
    """Decode the graph's outputs into the answers of a batch.

    Parameters
    ----------
    outputs : mapping
        ``probabilities``, float32 (N, K).
    about : About
    frames : sequence of Frame
        Not looked at.
    """
    limits = about.thresholds or None
    return [Labels(p, about.classes, limits) for p in np.clip(outputs["probabilities"], 0, 1)]


def agreement(said: Sequence[Labels], got: Sequence[Labels]) -> tuple[float, float]:
    """Return the largest difference of a probability, and the share of pictures told alike."""
    off = [
        float(np.abs(a.probabilities - b.probabilities).max())
        for a, b in zip(said, got, strict=True)
    ]
    alike = [
        {n for n, _ in a.told()} == {n for n, _ in b.told()} for a, b in zip(said, got, strict=True)
    ]
    return max(off, default=0.0), float(np.mean(alike)) if alike else 1.0


class Scored(BaseModel):
    """A label and its probability."""

    label: str
    score: float = Field(ge=0, le=1)


class Answer(BaseModel):
    """The labels of one picture."""

    labels: list[Scored] = Field(description="those that reach their threshold, likeliest first")
    top: list[Scored] = Field(description="the likeliest labels, whether they reach it or not")


EXAMPLE = MappingProxyType(
    {
        "labels": [{"label": "person", "score": 0.97}, {"label": "dog", "score": 0.61}],
        "top": [
            {"label": "person", "score": 0.97}, {"label": "dog", "score": 0.61},
            {"label": "car", "score": 0.08},
        ],
    }
)  # fmt: skip
"""An answer, for the documentation of the server."""


def document(answer: Labels, *, top: int = 5, threshold: float | Sequence[float] = 0.0) -> Answer:
    """Return an answer as the JSON model that the server, the command line and bulk share.

    Parameters
    ----------
    answer : Labels
    top : int
        How many of the likeliest labels to name, beside those that are told.
    threshold : float or sequence of float
        From which probability on a label is told, for all or for each; 0: the run's own.
    """
    return Answer(labels=_scored(answer.told(threshold)), top=_scored(answer.top(top)))


def _scored(pairs: Sequence[tuple[str, float]]) -> list[Scored]:
    return [Scored(label=name, score=score) for name, score in pairs]


def columns() -> list[tuple[str, pa.DataType]]:
    """Return the names and types of the columns of a bulk prediction."""
    import pyarrow as pa

    return [
        ("labels", pa.list_(pa.string())), ("scores", pa.list_(pa.float32())),
        ("top", pa.list_(pa.string())), ("top_scores", pa.list_(pa.float32())),
    ]  # fmt: skip


def row(answer: Answer) -> dict[str, Any]:
    """Return an answer as a row of a bulk prediction."""
    return {
        "labels": [one.label for one in answer.labels],
        "scores": [one.score for one in answer.labels],
        "top": [one.label for one in answer.top],
        "top_scores": [one.score for one in answer.top],
    }
