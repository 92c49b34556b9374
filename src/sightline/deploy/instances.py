"""Decode the outputs of an exported network that finds objects with masks.

A graph gives either boxes with small masks in them, or maps of whole images, which are split into
objects here. Neither needs torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from pydantic import BaseModel, Field

from sightline.deploy.detect import LEAST, MANY, shown
from sightline.metrics.instances_table import Masks, in_common
from sightline.models.instances import flooding, pasted
from sightline.types import Detections, Frame

if TYPE_CHECKING:
    import pyarrow as pa
    from PIL import Image

    from sightline.deploy.runtime import About
    from sightline.deploy.units import PixelSize
    from sightline.types import Progress

__all__ = ["LEAST", "MANY", "shown"]

OUTPUTS = ("boxes", "scores", "labels", "masks")
"""What the graph of boxes with masks gives: of each image as many rows, the best first; without an
object a score of 0. That of maps gives `MAPS` alone."""

MAPS = "maps"

DIFFERENCE = "of a score, or of the pixels of all objects"
"""What `agreement` measures the difference of."""

TOLERANCE = MappingProxyType({"fp32": 1e-2, "fp16": 5e-2})
"""Largest difference from the run that an export may have; int8 is judged by its headline. A single
pixel near its threshold may fall on either side."""

SURE = 0.05
"""Score above which answers are compared."""


def decode(
    outputs: Mapping[str, NDArray[Any]], about: About, frames: Sequence[Frame]
) -> list[Masks]:
    """Decode the graph's outputs into the answers of a batch.

    Parameters
    ----------
    outputs : mapping
        The graph's outputs by name: ``boxes`` (N, K, 4), ``scores`` (N, K), ``labels`` (N, K) and
        ``masks`` (N, K, 28, 28); or ``maps`` (N, C + 3, H, W), see `flooding.objects_of`.
    about : About
    frames : sequence of Frame
        The way back into each picture.
    """
    if MAPS in outputs:
        pairs = zip(outputs[MAPS], frames, strict=True)
        return [flooding.objects_of(maps, frame, about.classes) for maps, frame in pairs]
    answers = []
    rows = zip(*(outputs[name] for name in OUTPUTS), frames, strict=True)
    for boxes, scores, labels, masks, frame in rows:
        real = scores > 0
        answers.append(
            pasted.objects_of(
                boxes[real], scores[real], labels[real], masks[real], frame, about.classes
            )
        )
    return answers


def agreement(said: Sequence[Masks], got: Sequence[Masks]) -> tuple[float, float]:
    """Return the difference of two models' answers, and the share of alike pictures.

    Each answer is compared with the one of its class on the other side that has most pixels in
    common. The difference is the largest of a score, or the share of the pixels of all such pairs
    that only one of the two has; an answer without a partner has all of its own. Pictures are alike
    where each has a partner with an IoU above a half.
    """
    worst, same, apart, together = 0.0, [], 0.0, 0.0
    for a, b in zip(said, got, strict=True):
        shared, alike, (own_a, own_b) = in_common(a, b), True, (a.pixels, b.pixels)
        for one, other, common, own, others in (
            (a, b, shared, own_a, own_b), (b, a, shared.T, own_b, own_a),
        ):  # fmt: skip
            for i in np.flatnonzero(one.scores >= SURE).tolist():
                mates = np.flatnonzero((other.labels == one.labels[i]) & (common[i] > 0))
                if not len(mates):
                    alike, apart, together = False, apart + own[i], together + own[i]
                    continue
                both = common[i, mates]
                union = own[i] + others[mates] - both
                best = int((both / union).argmax())
                alike &= bool(both[best] > union[best] / 2)
                apart, together = apart + union[best] - both[best], together + union[best]
                worst = max(worst, abs(float(one.scores[i] - other.scores[mates[best]])))
        same.append(alike)
    pixels = float(apart / together) if together else 0.0
    return max(worst, pixels), float(np.mean(same)) if same else 1.0


class Code(BaseModel):
    """A mask as COCO's compressed run-length code."""

    size: tuple[int, int] = Field(description="height and width of the picture")
    counts: str = Field(description="lengths of the runs, down the columns, as pycocotools has it")


class Instance(BaseModel):
    """An object: its class, how sure it is, where it is, and its pixels."""

    label: str
    score: float = Field(ge=0, le=1)
    box: tuple[float, float, float, float] = Field(
        description="x1, y1, x2, y2: the smallest box around the mask, in pixels of the picture; "
        "the right and the lower edge are exclusive"
    )
    area: int = Field(ge=0, description="pixels of the mask")
    mask: Code


class Answer(BaseModel):
    """The answer for one image: the objects in it, the surest first."""

    objects: list[Instance]
    more: int = Field(0, ge=0, description="objects that are left out, as `top` asks for fewer")


EXAMPLE = MappingProxyType(
    {
        "objects": [
            {"label": "nucleus", "score": 0.97, "box": [2.0, 1.0, 3.0, 3.0], "area": 2,
             "mask": {"size": [3, 4], "counts": "723"}},
        ],
        "more": 0,
    }
)  # fmt: skip
"""An answer, for the documentation of the server."""


def document(answer: Masks, *, top: int = 5, threshold: float | Sequence[float] = 0.0) -> Answer:
    """Return an answer as the JSON model that the server, the command line and bulk share.

    Parameters
    ----------
    answer : Masks
    top : int
        How many objects to tell at most; 5, the default of all tasks, tells all.
    threshold : float, or one a class
        Objects with a lower score are not told; 0, the default of all tasks, is 0.3.
    """
    kept = told(answer, threshold)
    some = kept if top == 5 else kept.taken(range(min(top, len(kept))))
    codes = [Code(size=answer.size, counts=code.decode("ascii")) for code in some.codes]
    return Answer(
        objects=[
            Instance(label=name, score=float(score), box=(x1, y1, x2, y2), area=int(area),
                     mask=code)
            for name, score, (x1, y1, x2, y2), area, code in zip(
                some.names, some.scores, some.boxes.tolist(), some.pixels, codes, strict=True
            )
        ],
        more=len(kept) - len(some),
    )  # fmt: skip


def told(answer: Masks, threshold: float | Sequence[float]) -> Masks:
    """Return the objects to tell alone, the surest first; see `document`."""
    return answer.taken(shown(answer, threshold))


def tiled(
    predict: Callable[[list[Image.Image]], Sequence[Any]], picture: Image.Image, side: int,
    progress: Progress | None = None,
) -> Masks:  # fmt: skip
    """Find objects in a large picture tile by tile; see `instances_tiles.find`."""
    from sightline.deploy.instances_tiles import find

    return find(predict, picture, side, progress)


def why_not_alone(method: str) -> str:
    """Return why a method's answers cannot be decoded without this package; ``""``: they can.

    Parameters
    ----------
    method : str
        Name in the registry.
    """
    if "watershed" not in method:
        return ""
    return (
        "its objects come out of the network's maps by a watershed of SciPy's, which is neither in "
        "a browser nor in a bundle: serve it (sightline serve), or train mask-rcnn-small"
    )


AREAS = True
"""Files tell how large things are, in units where the size of a pixel is given."""


def boxed(answer: Masks) -> Detections:
    """Return an answer as the boxes around its masks, by which objects are followed."""
    boxes = np.zeros((0, 4), np.float32)
    if len(answer):
        boxes = np.asarray(coco_mask.toBbox(answer.rle), np.float32)
        boxes[:, 2:] += boxes[:, :2]
    return Detections(boxes, answer.labels, answer.classes, answer.scores.astype(np.float32))


FILES = ("json", "coco", "csv", "png")
"""Formats that answers can be written in; see `write_files`."""


def write_files(
    folder: Path, pictures: Sequence[tuple[str, tuple[int, int], Masks]],
    kinds: Sequence[str] = FILES, categories: Sequence[int] = (), *,
    scale: PixelSize | None = None,
) -> list[Path]:  # fmt: skip
    """Write the answers for pictures in some formats; see `instances_files.write`."""
    from sightline.deploy.detect_files import Answered
    from sightline.deploy.instances_files import write

    made = [
        Answered(name, size, answer, document(answer, threshold=1e-9).model_dump(exclude_none=True))
        for name, size, answer in pictures
    ]
    return write(folder, made, kinds, categories, scale)


def columns() -> list[tuple[str, pa.DataType]]:
    """Return the names and types of the columns of a bulk prediction."""
    import pyarrow as pa

    return [
        ("count", pa.int32()), ("height", pa.int32()), ("width", pa.int32()),
        ("labels", pa.list_(pa.string())), ("scores", pa.list_(pa.float32())),
        ("boxes", pa.list_(pa.list_(pa.float32()))), ("areas", pa.list_(pa.int64())),
        ("masks", pa.list_(pa.string())),
    ]  # fmt: skip


def row(answer: Answer) -> dict[str, Any]:
    """Return an answer as a row of a bulk prediction; ``masks`` are COCO's compressed counts."""
    size = answer.objects[0].mask.size if answer.objects else (None, None)
    return {
        "count": len(answer.objects) + answer.more, "height": size[0], "width": size[1],
        "labels": [one.label for one in answer.objects],
        "scores": [one.score for one in answer.objects],
        "boxes": [list(one.box) for one in answer.objects],
        "areas": [one.area for one in answer.objects],
        "masks": [one.mask.counts for one in answer.objects],
    }  # fmt: skip
