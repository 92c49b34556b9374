"""Decode the outputs of an exported detector: into typed answers, JSON and table rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from sightline.types import Detections, Frame, Instances

if TYPE_CHECKING:
    import pyarrow as pa
    from PIL import Image

    from sightline.deploy.runtime import About
    from sightline.types import Progress

OUTPUTS = ("boxes", "scores", "labels")
"""What a detector's graph gives: of each image as many rows, the best first; without an object a
score of 0."""

DIFFERENCE = "of a score, or of a hundredth of a box's corner in pixels"
"""What `agreement` measures the difference of."""

TOLERANCE = MappingProxyType({"fp32": 1e-3, "fp16": 5e-2})
"""Largest difference from the run that an export may have; int8 is judged by its headline."""

PIXELS = 100.0
"""Pixels of a corner that count as much as a score's whole range."""

SURE = 0.05
"""Score above which answers are compared: below it stand hundreds that are none."""


def decode(
    outputs: Mapping[str, NDArray[Any]], about: About, frames: Sequence[Frame]
) -> list[Detections]:
    """Decode the graph's outputs into the answers of a batch.

    Parameters
    ----------
    outputs : mapping
        The graph's outputs by name: ``boxes`` (N, K, 4), ``scores`` (N, K), ``labels`` (N, K).
    about : About
    frames : sequence of Frame
        The way back into each picture.
    """
    answers = []
    for boxes, scores, labels, frame in zip(
        *(outputs[name] for name in OUTPUTS), frames, strict=True
    ):
        moved = frame.out(boxes)
        real = (scores > 0) & (moved[:, 2] > moved[:, 0]) & (moved[:, 3] > moved[:, 1])
        sure = np.clip(scores[real], 0, 1)
        answers.append(Detections(moved[real], labels[real], about.classes, sure))
    return answers


def agreement(said: Sequence[Detections], got: Sequence[Detections]) -> tuple[float, float]:
    """Return the largest difference of two detectors' answers, and the share of alike pictures.

    Each answer is compared with the one of its class that differs least, so that the order of two
    which are as sure does not matter; pictures are alike where they have as many of each class.
    """
    worst, same = 0.0, []
    for a, b in zip(map(_surer, said), map(_surer, got), strict=True):
        alike = True
        for label in np.union1d(a.labels, b.labels):
            one, other = (d.labels == label for d in (a, b))
            if one.sum() == other.sum():
                worst = max(worst, _difference(a, one, b, other))
                continue
            alike = False
            few, many = sorted(
                (np.sort(a.scores[one])[::-1], np.sort(b.scores[other])[::-1]), key=len
            )
            worst = max(worst, float(many[len(few)]) - SURE)
        same.append(alike)
    return worst, float(np.mean(same)) if same else 1.0


def _surer(answer: Detections) -> Detections:
    """Return the answers that are compared."""
    rows = np.flatnonzero(answer.scores >= SURE)
    return Detections(answer.boxes[rows], answer.labels[rows], answer.classes, answer.scores[rows])


def _difference(
    a: Detections, one: NDArray[np.bool_], b: Detections, other: NDArray[np.bool_]
) -> float:
    """Return the largest difference of as many answers of two detectors, paired one to one."""
    from scipy.optimize import linear_sum_assignment

    scores = np.abs(a.scores[one][:, None] - b.scores[other])
    corners = np.abs(a.boxes[one][:, None] - b.boxes[other]).max(2) / PIXELS
    each = np.maximum(scores, corners)
    return float(each[linear_sum_assignment(each)].max(initial=0.0))


class Box(BaseModel):
    """An object: its class, how sure it is, and where it is."""

    label: str
    score: float = Field(ge=0, le=1)
    box: tuple[float, float, float, float] = Field(
        description="x1, y1, x2, y2 in pixels of the picture from its upper left corner; the right "
        "and the lower edge are exclusive"
    )


class Answer(BaseModel):
    """The answer for one image: the objects in it, the surest first."""

    objects: list[Box]
    more: int = Field(0, ge=0, description="objects that are left out, as `top` asks for fewer")


EXAMPLE = MappingProxyType(
    {"objects": [{"label": "cat", "score": 0.97, "box": [12.0, 8.5, 140.2, 120.0]}], "more": 0}
)
"""An answer, for the documentation of the server."""

LEAST = 0.3
"""Score below which an object is not told, where no threshold is given."""


MANY = True
"""An answer is any number of objects. How many are told is none of how many classes there are, and
where no threshold is asked for, they are told from the run's own of their class on."""


def document(
    answer: Detections, *, top: int = 5, threshold: float | Sequence[float] = 0.0
) -> Answer:
    """Return an answer as the JSON model that the server, the command line and bulk share.

    Parameters
    ----------
    answer : Detections
    top : int
        How many objects to tell at most; 5, the default of all tasks, tells all.
    threshold : float, or one a class
        Objects with a lower score are not told; 0, the default of all tasks, is 0.3.
    """
    rows = shown(answer, threshold)
    kept = rows if top == 5 else rows[:top]
    return Answer(
        objects=[
            Box(
                label=answer.classes[answer.labels[i]], score=float(answer.scores[i]),
                box=tuple(float(v) for v in answer.boxes[i]),
            )
            for i in kept
        ],
        more=len(rows) - len(kept),
    )  # fmt: skip


def shown(answer: Detections | Instances, threshold: float | Sequence[float]) -> list[int]:
    """Return which objects to tell, the surest first; see `document`."""
    limits = np.asarray(threshold, np.float64)
    least = limits[answer.labels] if limits.ndim else np.full(len(answer), limits)
    least = np.where(least > 0, least, LEAST)
    order = np.argsort(-answer.scores, kind="stable")
    return [int(i) for i in order if answer.scores[i] >= least[i]]


def told(answer: Detections, threshold: float | Sequence[float]) -> Detections:
    """Return the objects to tell alone, the surest first; see `document`."""
    rows = shown(answer, threshold)
    return Detections(
        answer.boxes[rows], answer.labels[rows], answer.classes, answer.scores[rows]
    )  # fmt: skip


def tiled(
    predict: Callable[[list[Image.Image]], Sequence[Any]], picture: Image.Image, side: int,
    progress: Progress | None = None,
) -> Detections:  # fmt: skip
    """Detect objects in a large picture tile by tile; see `detect_tiles.detect`."""
    from sightline.deploy.detect_tiles import detect

    return detect(predict, picture, side, progress)


def boxed(answer: Detections) -> Detections:
    """Return an answer as boxes, by which objects are followed through a video."""
    return answer


FILES = ("json", "coco", "yolo", "csv")
"""Formats that answers can be written in; see `write_files`."""


def write_files(
    folder: Path, pictures: Sequence[tuple[str, tuple[int, int], Detections]],
    kinds: Sequence[str] = FILES, categories: Sequence[int] = (),
) -> list[Path]:  # fmt: skip
    """Write the answers for pictures in some formats; see `detect_files.write`."""
    from sightline.deploy import detect_files

    made = [
        detect_files.Answered(
            name, size, answer, document(answer, threshold=1e-9).model_dump(exclude_none=True)
        )
        for name, size, answer in pictures
    ]
    return detect_files.write(folder, made, kinds, categories)


def columns() -> list[tuple[str, pa.DataType]]:
    """Return the names and types of the columns of a bulk prediction."""
    import pyarrow as pa

    return [
        ("count", pa.int32()), ("labels", pa.list_(pa.string())),
        ("scores", pa.list_(pa.float32())), ("boxes", pa.list_(pa.list_(pa.float32()))),
    ]  # fmt: skip


def row(answer: Answer) -> dict[str, Any]:
    """Return an answer as a row of a bulk prediction."""
    return {
        "count": len(answer.objects) + answer.more,
        "labels": [one.label for one in answer.objects],
        "scores": [one.score for one in answer.objects],
        "boxes": [list(one.box) for one in answer.objects],
    }
