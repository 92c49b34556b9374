"""Classification, deployed: from a graph's outputs to typed answers, and from those to JSON.

A task that is to be served is one file like this and one line in `runtime.TASKS`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from sightline.types import Classification, Neighbours

OUTPUTS = ("probabilities", "label")
"""What every classifier's graph gives, in this order."""

COMPARING = ("neighbours", "distances", "neighbour_labels", "votes")
"""What the graph of a method that answers by comparing gives besides."""


def decode(
    outputs: Mapping[str, NDArray[Any]], classes: Sequence[str], size: tuple[int, int]
) -> list[Classification]:
    """Make the answers of a batch.

    Parameters
    ----------
    outputs : mapping
        Of the graph, by name; arrays with one row an image.
    classes : sequence of str
    size : (height, width)
        Of the images, for tasks that answer in pixels.
    """
    probabilities, labels = (outputs[name] for name in OUTPUTS)
    near: list[Neighbours | None] = [None] * len(labels)
    if COMPARING[0] in outputs:
        rows = zip(*(outputs[name] for name in COMPARING), strict=True)
        near = [Neighbours(*row) for row in rows]
    names = tuple(classes)
    return [
        Classification(np.clip(p, 0, 1), names, int(label), n)
        for p, label, n in zip(probabilities, labels, near, strict=True)
    ]


class Score(BaseModel):
    """A class and how probable it is."""

    label: str
    score: float = Field(ge=0, le=1)


class Neighbour(BaseModel):
    """A training image that had a vote."""

    index: int = Field(ge=0, description="row of the training set")
    label: str
    distance: float = Field(ge=0)
    vote: float = Field(ge=0, le=1, description="share of the votes")


class Answer(BaseModel):
    """What is in one image."""

    label: str = Field(description="the class decided for")
    score: float = Field(ge=0, le=1, description="its probability")
    rejected: bool = Field(False, description="whether the score is below the threshold asked for")
    top: list[Score] = Field(description="the most probable classes, best first")
    neighbours: list[Neighbour] | None = Field(
        None, description="nearest first, of methods that answer by comparing"
    )


def document(answer: Classification, *, top: int = 5, threshold: float = 0.0) -> Answer:
    """Give an answer as JSON would have it.

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
