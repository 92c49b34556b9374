"""Decode the outputs of an exported classifier: into typed answers, JSON and table rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from sightline.types import Classification, Frame, Neighbours

if TYPE_CHECKING:
    import pyarrow as pa

    from sightline.deploy.runtime import About

COMPARING = ("neighbours", "distances", "neighbour_labels", "votes")
"""What the graph of a method that answers by comparing gives besides."""

OUTPUTS = ("probabilities", "label", *COMPARING)
"""What a classifier's graph gives, in this order; the last four may be missing."""

DIFFERENCE = "of a probability"
"""What `agreement` measures the difference of."""

TOLERANCE = MappingProxyType({"fp32": 1e-4, "fp16": 2e-2})
"""Largest difference from the run that an export may have; int8 is judged by its headline."""


def decode(
    outputs: Mapping[str, NDArray[Any]], about: About, frames: Sequence[Frame]
) -> list[Classification]:
    """Decode the graph's outputs into the answers of a batch.

    Parameters
    ----------
    outputs : mapping
        The graph's outputs by name: arrays with one row an image.
    about : About
    frames : sequence of Frame
        The images' frames, for tasks that answer in pixels.
    """
    probabilities, labels = (outputs[name] for name in OUTPUTS[:2])
    probabilities = np.clip(probabilities, 0, 1)
    near: list[Neighbours | None] = [None] * len(labels)
    if COMPARING[0] in outputs:
        rows = zip(*(outputs[name] for name in COMPARING), strict=True)
        near = [Neighbours(*row) for row in rows]
    return [
        Classification(p, about.classes, int(label), n)
        for p, label, n in zip(probabilities, labels, near, strict=True)
    ]


def agreement(said: Sequence[Classification], got: Sequence[Classification]) -> tuple[float, float]:
    """Return the largest difference of a probability, and the share of equal labels."""
    wanted, given = (np.stack([one.probabilities for one in many]) for many in (said, got))
    same = [a.label == b.label for a, b in zip(said, got, strict=True)]
    return float(np.abs(wanted - given).max()), float(np.mean(same))


class Score(BaseModel):
    """A class and its probability."""

    label: str
    score: float = Field(ge=0, le=1)


class Neighbour(BaseModel):
    """A training image that voted for an answer."""

    index: int = Field(ge=0, description="row of the training set")
    label: str
    distance: float = Field(ge=0)
    vote: float = Field(ge=0, le=1, description="share of the votes")


class Answer(BaseModel):
    """The answer for one image: its class, the most probable classes and the neighbours."""

    label: str = Field(description="the class decided for")
    score: float = Field(ge=0, le=1, description="its probability")
    rejected: bool = Field(False, description="whether the score is below the threshold asked for")
    top: list[Score] = Field(description="the most probable classes, best first")
    neighbours: list[Neighbour] | None = Field(
        None, description="nearest first, of methods that answer by comparing"
    )


EXAMPLE = MappingProxyType(
    {
        "label": "7", "score": 0.98, "rejected": False,
        "top": [{"label": "7", "score": 0.98}, {"label": "1", "score": 0.01}], "neighbours": None,
    }
)  # fmt: skip
"""An answer, for the documentation of the server."""


def document(answer: Classification, *, top: int = 5, threshold: float = 0.0) -> Answer:
    """Return an answer as the JSON model that the server, the command line and bulk share.

    Parameters
    ----------
    answer : Classification
    top : int
        How many classes to name.
    threshold : float
        Below this score the answer is none of the classes.
    """
    near = answer.neighbours
    return Answer(
        label=answer.name,
        score=answer.score,
        rejected=answer.score < threshold,
        top=[Score(label=name, score=score) for name, score in answer.top(top)],
        neighbours=None
        if near is None
        else [
            Neighbour(index=int(i), label=answer.classes[int(c)], distance=float(d), vote=float(v))
            for i, d, c, v in zip(
                near.indices, near.distances, near.labels, near.votes, strict=True
            )
        ],
    )


def columns() -> list[tuple[str, pa.DataType]]:
    """Return the names and types of the columns of a bulk prediction."""
    import pyarrow as pa

    return [
        ("label", pa.string()), ("score", pa.float32()),
        ("top_labels", pa.list_(pa.string())), ("top_scores", pa.list_(pa.float32())),
    ]  # fmt: skip


def row(answer: Answer) -> dict[str, Any]:
    """Return an answer as a row of a bulk prediction; a rejected one has no label."""
    return {
        "label": None if answer.rejected else answer.label,
        "score": answer.score,
        "top_labels": [one.label for one in answer.top],
        "top_scores": [one.score for one in answer.top],
    }
