"""Decode the outputs of an exported semantic network: into typed answers, JSON and table rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from sightline.types import Frame, Segmentation

if TYPE_CHECKING:
    import pyarrow as pa
    from PIL import Image

    from sightline.deploy.runtime import About
    from sightline.deploy.units import PixelSize
    from sightline.types import Progress

OUTPUTS = ("labels", "scores")
"""What the graph gives of each image: the class of every pixel, for whoever needs no more, and the
scores that it was decided by, which are enlarged to the picture before they are compared."""

DIFFERENCE = "of the share of a picture's pixels that have another class"
"""What `agreement` measures the difference of."""

TOLERANCE = MappingProxyType({"fp32": 2e-3, "fp16": 2e-2})
"""Largest difference from the run that an export may have; int8 is judged by its headline."""

ALIKE = 2e-3
"""Share of the pixels that may differ in answers that count as alike."""

MANY = True
"""An answer is any number of classes, each with its pixels."""

SCORED = False
"""A pixel has its best class, whatever the score: no threshold leaves any out."""

AREAS = True
"""Files tell how large things are, in units where the size of a pixel is given."""


def decode(
    outputs: Mapping[str, NDArray[Any]], about: About, frames: Sequence[Frame]
) -> list[Segmentation]:
    """Decode the graph's outputs into the answers of a batch.

    Parameters
    ----------
    outputs : mapping
        The graph's outputs by name; ``scores`` (N, K, H, W) is looked at.
    about : About
    frames : sequence of Frame
        The way back into each picture.
    """
    return [
        Segmentation(frame.classes_out(scores), about.classes)
        for scores, frame in zip(outputs["scores"], frames, strict=True)
    ]


def agreement(said: Sequence[Segmentation], got: Sequence[Segmentation]) -> tuple[float, float]:
    """Return the largest share of pixels in which two answers differ, and the share of alike ones.

    Pixels whose two best classes score alike may fall to either side, so that a few may differ.
    """
    shares = [
        float((a.label_map != b.label_map).mean())
        if a.label_map.shape == b.label_map.shape
        else 1.0
        for a, b in zip(said, got, strict=True)
    ]
    return max(shares, default=0.0), float(
        np.mean([share <= ALIKE for share in shares])
    ) if shares else 1.0


class Covered(BaseModel):
    """A class, how much of the picture it covers, and where."""

    label: str
    pixels: int = Field(ge=0)
    share: float = Field(ge=0, le=1)
    counts: str = Field(
        description="its pixels as COCO's compressed run-length code: with the answer's `size` it "
        "is what pycocotools.mask.decode takes"
    )


class Answer(BaseModel):
    """The answer for one image: the classes of its pixels, those that cover most first."""

    size: tuple[int, int] = Field(description="height and width of the picture in pixels")
    objects: list[Covered]
    more: int = Field(0, ge=0, description="classes that are left out, as `top` asks for fewer")


EXAMPLE = MappingProxyType(
    {
        "size": [2, 3],
        "objects": [
            {"label": "background", "pixels": 5, "share": 0.8333, "counts": "041M"},
            {"label": "cat", "pixels": 1, "share": 0.1667, "counts": "41"},
        ],
        "more": 0,
    }
)
"""An answer, for the documentation of the server."""


def document(
    answer: Segmentation, *, top: int = 5, threshold: float | Sequence[float] = 0.0
) -> Answer:
    """Return an answer as the JSON model that the server, the command line and bulk share.

    Parameters
    ----------
    answer : Segmentation
    top : int
        How many classes to tell at most; 5, the default of all tasks, tells all.
    threshold : float
        Not looked at: the class of a pixel is the best one.
    """
    from sightline.data.outlines import codes_of

    height, width = answer.label_map.shape
    covering = covers(answer)
    kept = covering if top == 5 else covering[:top]
    codes = codes_of(answer.label_map)
    objects = [
        Covered(label=answer.classes[value], pixels=pixels, share=pixels / (height * width),
                counts=codes[value]["counts"].decode())
        for value, pixels in kept
    ]  # fmt: skip
    return Answer(size=(height, width), objects=objects, more=len(covering) - len(kept))


def covers(answer: Segmentation) -> list[tuple[int, int]]:
    """Return the classes that cover any pixel with the number of these, the largest first."""
    counts = answer.pixels
    order = np.argsort(-counts, kind="stable")
    return [(int(c), int(counts[c])) for c in order if counts[c]]


def told(answer: Segmentation, threshold: float | Sequence[float]) -> Segmentation:
    """Return what is told of an answer: all of it."""
    return answer


def tiled(
    predict: Callable[[list[Image.Image]], Sequence[Any]], picture: Image.Image, side: int,
    progress: Progress | None = None,
) -> Segmentation:  # fmt: skip
    """Say the classes of a large picture window by window; see `segment_tiles.segment`."""
    from sightline.deploy.segment_tiles import segment

    return segment(predict, picture, side, progress)


FILES = ("json", "png", "coco", "csv")
"""Formats that answers can be written in; see `write_files`."""


def write_files(
    folder: Path, pictures: Sequence[tuple[str, tuple[int, int], Segmentation]],
    kinds: Sequence[str] = FILES, categories: Sequence[int] = (), *,
    scale: PixelSize | None = None,
) -> list[Path]:  # fmt: skip
    """Write the answers for pictures in some formats; see `segment_files.write`."""
    from sightline.deploy import segment_files

    made = [
        segment_files.Answered(name, size, answer, document(answer).model_dump())
        for name, size, answer in pictures
    ]
    return segment_files.write(folder, made, kinds, scale)


def columns() -> list[tuple[str, pa.DataType]]:
    """Return the names and types of the columns of a bulk prediction."""
    import pyarrow as pa

    return [
        ("height", pa.int32()), ("width", pa.int32()), ("labels", pa.list_(pa.string())),
        ("pixels", pa.list_(pa.int64())), ("shares", pa.list_(pa.float32())),
        ("rle", pa.list_(pa.string())),
    ]  # fmt: skip


def row(answer: Answer) -> dict[str, Any]:
    """Return an answer as a row of a bulk prediction; ``rle`` is COCO's code of each class."""
    height, width = answer.size
    return {
        "height": height, "width": width,
        "labels": [one.label for one in answer.objects],
        "pixels": [one.pixels for one in answer.objects],
        "shares": [one.share for one in answer.objects],
        "rle": [one.counts for one in answer.objects],
    }  # fmt: skip
