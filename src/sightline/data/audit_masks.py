"""Check masks of a data set: their sizes, values and edges, and what becomes of small objects."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from sightline.counting import counted
from sightline.data import draw_masks, images, index_png
from sightline.data.annotation import Annotation, Rle
from sightline.data.audit_outlines import Fault
from sightline.data.dataset import Dataset
from sightline.data.notes import Severity
from sightline.data.outlines import check_size
from sightline.errors import DataError
from sightline.types import IGNORE

SIDE = 320
"""Pixels of the longer side that many networks of the bench are trained at."""

_MOST = IGNORE - 1
"""Objects that can be numbered in 8 bits, as 255 is ignored."""

_NAMED = 5
_FINDINGS: dict[str, tuple[Severity, str, str]] = {
    "broken-mask": (
        "error", "masks that cannot be read, or of another size than their image",
        "draw them anew (a fixed copy does without)",
    ),
    "colour-mask": (
        "error", "masks in colours that no file maps to classes",
        "save class or object numbers as a grey or palette PNG, or name the colours in "
        "class_dict.csv, a line name,r,g,b for each class (a fixed copy does without)",
    ),
    "jpeg-mask": (
        "error", "masks saved with loss, whose values are smeared",
        "save masks as PNG (a fixed copy does without)",
    ),
    "soft-mask": (
        "error", "masks with soft (anti-aliased) edges, whose values are no classes",
        "save masks without smoothing (resize by nearest neighbour), or set a threshold (a fixed "
        "copy does without)",
    ),
    "unknown-mask-value": (
        "error", "masks with values or colours that are none of the {classes} classes",
        "name them in classes.txt (colours in class_dict.csv), or mend the masks (a fixed copy "
        "does without)",
    ),
    "ignored-mask": (
        "warning", "masks of which every pixel is ignored: nothing is learned or measured there",
        "draw their classes, or leave the images out",
    ),
    "eight-bits": (
        "error", "masks of 8 bits in which the numbers of objects have run out, so that some share "
        "one or are ignored as 255", "save numbers of objects with 16 bits",
    ),
    "one-pixel": (
        "warning", "objects of a single pixel", "look at them: often slips of the mouse",
    ),
    "vanishing": (
        "warning", "objects that have no pixel left where images are brought to {side} pixels "
        "(the longer side)",
        "train at a larger size, or on parts of the pictures; size=... asks for another size",
    ),
}  # fmt: skip
"""By kind: severity, what is wrong, and what to do about it."""

UNUSABLE = ("broken-mask", "colour-mask", "jpeg-mask", "soft-mask", "unknown-mask-value")
"""Kinds of masks that a fixed copy does without."""


class _Case(NamedTuple):
    """A fault of one mask, or of some objects of one image."""

    kind: str
    text: str
    many: int = 1


def faults(data: Dataset, sizes: Sequence[tuple[int, int]], side: int = SIDE) -> list[Fault]:
    """Return the faults of masks and of small objects; kinds without a case are left out.

    Parameters
    ----------
    data : Dataset
    sizes : sequence of (width, height)
        Of each image; 0 where unknown.
    side : int
        Pixels of the longer side that images are brought to.
    """
    known = [
        (row, item.id, item.annotation, size)
        for row, (item, size) in enumerate(zip(data.source.items, sizes, strict=True))
        if isinstance(item.annotation, Annotation)
    ]
    look = functools.partial(_look, data=data, side=side)
    with ThreadPoolExecutor(4) as pool:
        looks = pool.map(look, (entry[1:] for entry in known))
        cases = [(row, case) for (row, *_), some in zip(known, looks, strict=True) for case in some]
    words = {"classes": len(data.segmentation_classes), "side": side}
    made = []
    for kind, (severity, text, mend) in _FINDINGS.items():
        own = [(row, case) for row, case in cases if case.kind == kind]
        if own:
            made.append(Fault(
                kind, severity, [case.text for _, case in own], text.format(**words), mend,
                sum(case.many for _, case in own), tuple(row for row, _ in own),
            ))  # fmt: skip
    return made


def drawn_alone(annotation: Any) -> bool:
    """Tell whether an annotation is nothing but a mask, whose size it states as its own."""
    if not isinstance(annotation, Annotation):
        return False
    masks = annotation.semantic is not None or annotation.instances is not None
    return masks and not len(annotation.boxes)


def _look(entry: tuple[str, Annotation, tuple[int, int]], data: Dataset, side: int) -> list[_Case]:
    name, annotation, (width, height) = entry
    size = (height, width) if width else (annotation.height, annotation.width)
    cases = [
        *_file(annotation.semantic, annotation, size, data.segmentation_classes),
        *_file(annotation.instances, annotation, size, None),
    ]
    if size[0]:
        cases += _objects(name, annotation, size, data.classes, side)
    return cases


def _file(
    path: str | None, annotation: Annotation, size: tuple[int, int],
    classes: tuple[str, ...] | None,
) -> Iterator[_Case]:  # fmt: skip
    """Say what is wrong with the file of a mask: of classes, or of numbers of objects."""
    if path is None:
        return
    try:
        values = index_png.read(path, () if classes is None else annotation.semantic_colours)
    except DataError as error:
        yield _Case(getattr(error, "kind", "broken-mask"), str(error).partition("; ")[0])
        return
    try:
        if size[0]:
            check_size(path, values.shape, *size)
    except DataError as error:
        yield _Case("broken-mask", str(error))
    if classes is None:
        yield from _numbers(path, values)
    else:
        yield from _classes(path, values, annotation, classes)


def _classes(
    path: str, values: NDArray[Any], annotation: Annotation, classes: tuple[str, ...]
) -> Iterator[_Case]:
    """Say which values of a mask are no classes, and whether all of them are ignored."""
    ignored = (*annotation.semantic_ignore, IGNORE)
    named = draw_masks.TWO if annotation.semantic_binary else (*range(len(classes)), *ignored)
    odd = index_png.others(values, named)
    by_number = all(name == f"class {i}" for i, name in enumerate(classes))  # whatever is there
    soft: list[int] = index_png.soft(values).tolist() if odd or by_number else []
    if soft:
        pixels = int(np.isin(values, soft).sum())
        said = f"{counted(len(soft), 'value')} in {counted(pixels, 'pixel')}"
        yield _Case("soft-mask", f"{path}: {said} between {soft[0]} and {soft[-1]}")
    elif odd:
        yield _Case("unknown-mask-value", f"{path}: {odd}")
    if not annotation.semantic_binary and np.isin(values, ignored).all():
        yield _Case("ignored-mask", path)


def _numbers(path: str, values: NDArray[Any]) -> Iterator[_Case]:
    """Say where the numbers of objects have run out."""
    if values.dtype != np.uint8 or len(np.setdiff1d(values, (0, IGNORE))) < _MOST:
        return
    from scipy.ndimage import label

    parts = sum(label(values == v, np.ones((3, 3)))[1] for v in range(1, IGNORE + 1))
    yield _Case(
        "eight-bits", f"{path}: all of the numbers 1 to {_MOST} are there, in {parts:,} parts"
    )


def _objects(
    name: str, annotation: Annotation, size: tuple[int, int], classes: tuple[str, ...], side: int
) -> Iterator[_Case]:
    """Say which objects of an image are of one pixel, and which have none at a smaller size."""
    try:
        objects = draw_masks.resolve(annotation, *size, masks=True)
        small = _small(objects, size, side)
        codes = draw_masks.codes(objects, small, *size)
        numbers = _numbered(annotation) if len(small) else None
    except DataError:
        return  # what cannot be drawn is another finding
    single, gone = [], []
    for row, code in zip(small.tolist(), codes, strict=True):
        label = objects.labels[row]
        of = classes[label] if 0 <= label < len(classes) else "object"
        said = f"{of} {row if numbers is None else numbers[row]}"
        if objects.shapes is not None and coco_mask.area(code) == 1:
            single.append(said)
        if _vanishes(objects.boxes[row], code, size, side):
            gone.append(said)
    for kind, some in (("one-pixel", single), ("vanishing", gone)):
        if some:
            more = f" and {len(some) - _NAMED:,} more" if len(some) > _NAMED else ""
            of = f"{len(some):,} of {counted(len(objects.boxes), 'object')}"
            yield _Case(kind, f"{name}: {of} ({', '.join(some[:_NAMED])}{more})", len(some))


def _numbered(annotation: Annotation) -> NDArray[Any] | None:
    """Return the numbers that the file of a mask has for its objects; None where there is none."""
    if annotation.instances is None:
        return None
    values = index_png.read(annotation.instances)
    return np.setdiff1d(values, (0, IGNORE) if values.dtype == np.uint8 else 0)


def _small(objects: Annotation, size: tuple[int, int], side: int) -> NDArray[np.intp]:
    """Return the rows of objects that may vanish or be of one pixel; no crowds."""
    edges = objects.boxes[:, 2:] - objects.boxes[:, :2]
    scale = min(1.0, side / max(size))
    assert objects.crowd is not None
    with np.errstate(invalid="ignore"):
        small = (edges.min(1, initial=np.inf) * scale < 2) & (edges > 0).all(1)
    return np.flatnonzero(small & ~objects.crowd & draw_masks.visible(objects, *size))


def _vanishes(box: NDArray[np.float64], code: Rle, size: tuple[int, int], side: int) -> bool:
    """Tell whether training leaves an object out at a smaller size, as `Sample.resized` does."""
    if max(size) <= side:
        return False
    frame = images.frame_of(size, (side, side), "pad")
    x1, y1, x2, y2 = frame.into(box[None])[0].tolist()
    if min(x2 - x1, y2 - y1) < 1:
        return True
    mask = np.ascontiguousarray(coco_mask.decode(code), np.uint8)
    return not frame.map_into(mask, (side, side)).any()
