"""Draw annotations (polygons, run-length codes, index PNGs) as masks and label maps.

Cleaning happens here, a sample at a time: boxes are clipped to the image and those
without area dropped. The `Annotation` keeps what was written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from sightline.data import index_png
from sightline.data.annotation import Annotation, Rle, Shape
from sightline.data.outlines import check_size, part_to_rle, to_rle
from sightline.errors import DataError
from sightline.types import IGNORE, Detections, Segmentation


def detections(
    annotation: Annotation, height: int, width: int, classes: tuple[str, ...], masks: bool
) -> Detections:
    """Return the objects of one image.

    Parameters
    ----------
    annotation : Annotation
    height, width : int
        Size of the image in pixels.
    classes : tuple of str
    masks : bool
        Whether masks are wanted. An object without outline among outlined ones stands
        as its box; where no object has one, the masks are None.

    Returns
    -------
    Detections
        Boxes clipped to the image; those without area are left out.

    Raises
    ------
    DataError
        When a mask's size is not the image's, or an index PNG cannot be read.
    """
    objects = resolve(annotation, height, width, masks)
    boxes = _clipped(objects, height, width)
    keep = visible(objects, height, width)
    drawn: NDArray[np.bool_] | None = None
    if masks and (objects.shapes is not None or not keep.any()):
        drawn = _draw(objects, np.flatnonzero(keep), height, width)
    assert objects.crowd is not None
    assert objects.difficult is not None
    return Detections(
        boxes=boxes[keep],
        labels=objects.labels[keep],
        classes=classes,
        masks=drawn,
        crowd=objects.crowd[keep],
        difficult=objects.difficult[keep],
        areas=None if objects.areas is None else objects.areas[keep],
    )


def visible(objects: Annotation, height: int, width: int) -> NDArray[np.bool_]:
    """Return which objects have a box with area within the image, shape (N,)."""
    boxes = _clipped(objects, height, width)
    return np.asarray((boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1]))


def _clipped(objects: Annotation, height: int, width: int) -> NDArray[np.float32]:
    return objects.boxes.astype(np.float32).clip(0, np.array([width, height] * 2, np.float32))


def segmentation(
    annotation: Annotation, height: int, width: int, classes: tuple[str, ...]
) -> Segmentation:
    """Return the class of every pixel.

    A semantic PNG is read by its values (a palette's indices, not its colours). Without
    one, objects are painted in order of decreasing area, so that small ones stay on top:
    background 0, an object its label + 1, a crowd 255. Where nothing is known of the
    pixels (an image with boxes only), all are 255.

    Parameters
    ----------
    annotation : Annotation
    height, width : int
        Size of the image in pixels.
    classes : tuple of str
        Names by value, the background's included.

    Raises
    ------
    DataError
        When a mask's size is not the image's, a value has no name, or there are more
        than 255 classes.
    """
    if len(classes) > IGNORE:
        raise DataError(f"a label map holds at most {IGNORE} classes, not {len(classes)}")
    if annotation.semantic is not None:
        values = index_png.read(annotation.semantic, annotation.semantic_colours)
        check_size(annotation.semantic, values.shape, height, width)
        if annotation.semantic_binary:
            return Segmentation(_of_two(annotation.semantic, values), classes)
        ignored = values == IGNORE
        if annotation.semantic_ignore:
            ignored |= np.isin(values, annotation.semantic_ignore)
        label_map = np.where(ignored, IGNORE, values)
        counted = values[~ignored]
        if counted.size and counted.max() >= len(classes):
            raise DataError(
                f"{annotation.semantic}: value {counted.max()} has no name; there are "
                f"{len(classes)} classes (0 to {len(classes) - 1}): name it in classes.txt, or "
                f"mend the mask; without a name: {index_png.others(counted, range(len(classes)))}"
            )
        return Segmentation(label_map.astype(np.uint8), classes)
    label_map = np.zeros((height, width), np.uint8)
    if not annotation.masked:
        label_map[:] = IGNORE
    else:
        objects = resolve(annotation, height, width, masks=True)
        assert objects.crowd is not None
        values = np.where(objects.crowd, IGNORE, objects.labels + 1)
        _paint(label_map, _draw(objects, np.arange(len(values)), height, width), values)
        if annotation.instances is not None:
            label_map[_ignored(index_png.read(annotation.instances))] = IGNORE
    return Segmentation(label_map, classes)


def _of_two(path: str, values: NDArray[Any]) -> NDArray[np.uint8]:
    """Return a mask of 0 and 255 as classes 0 and 1."""
    if shown := index_png.others(values, TWO):
        raise DataError(
            f"{path}: the masks are black and white, 0 and {IGNORE}, and this one also has other "
            f"values: {shown}; mend the mask, or name its values in classes.txt"
        )
    return (values > 0).astype(np.uint8)


TWO = (0, 1, IGNORE)
"""Values of masks that are drawn in black and white."""


def instance_map(
    annotation: Annotation, height: int, width: int, *, wide: bool = False
) -> NDArray[np.integer[Any]]:
    """Return a map of 0 (none), 1..N (object, small ones on top) and 255 (crowd).

    Parameters
    ----------
    annotation : Annotation
    height, width : int
        Size of the image in pixels.
    wide : bool
        Whether the map of more than 254 objects may have 16 bits, in which 255 is an object.

    Returns
    -------
    int32 array, shape (H, W); uint16 where 8 bits will not do

    Raises
    ------
    DataError
        When there are more objects than numbers, crowds among more than 254 of them, or a mask's
        size is not the image's.
    """
    objects = resolve(annotation, height, width, masks=True)
    n = len(objects.boxes)
    assert objects.crowd is not None
    most = MOST if wide and not objects.crowd.any() else IGNORE - 1
    if n > most:
        crowds = ", as there are crowds, which 255 stands for" if wide and most < MOST else ""
        raise DataError(f"{n} objects in one image; an index PNG holds at most {most}{crowds}")
    values = np.where(objects.crowd, IGNORE, np.arange(1, n + 1))
    painted = np.zeros((height, width), np.uint16 if n >= IGNORE else np.int32)
    for i in _by_area(objects, height, width):
        painted[_draw(objects, np.array([i]), height, width)[0]] = values[i]
    return painted


MOST = 2**16 - 1
"""Objects that an index PNG of 16 bits can number."""


def _by_area(objects: Annotation, height: int, width: int) -> NDArray[np.intp]:
    """Return the rows of objects, the largest first."""
    rows = np.arange(len(objects.boxes))
    areas = [coco_mask.area(code) for code in codes(objects, rows, height, width)]
    return np.argsort(-np.array(areas, np.int64), kind="stable")


def resolve(annotation: Annotation, height: int, width: int, masks: bool) -> Annotation:
    """Return an annotation whose objects all have boxes, labels and shapes.

    The objects of an index PNG take the place of the boxes where masks are wanted or
    there are no boxes. Their boxes enclose their pixels (right and lower edge exclusive),
    their labels are those of most of their pixels in the semantic PNG, less one, or 0
    without one.
    """
    if annotation.instances is None or (len(annotation.boxes) and not masks):
        return annotation
    from scipy.ndimage import find_objects

    values = index_png.read(annotation.instances)
    check_size(annotation.instances, values.shape, height, width)
    values = np.where(_ignored(values), 0, values)
    objects = [(i, s) for i, s in enumerate(find_objects(values), start=1) if s is not None]
    semantic = None
    if annotation.semantic is not None:
        semantic = index_png.read(annotation.semantic, annotation.semantic_colours)
        check_size(annotation.semantic, semantic.shape, height, width)
    labels = np.zeros(len(objects), np.int64)
    shapes: list[Shape | None] = []
    for row, (value, window) in enumerate(objects):
        inside = values[window] == value
        corner = window[0].start, window[1].start
        shapes.append(part_to_rle(inside, corner, height, width))
        if semantic is not None:
            votes = semantic[window][inside]
            votes = votes[(votes > 0) & (votes != IGNORE)]
            if not votes.size:
                raise DataError(
                    f"{annotation.semantic}: no class where {annotation.instances} has object "
                    f"{value}; draw its class there"
                )
            labels[row] = int(np.bincount(votes).argmax()) - 1
    boxes = [(x.start, y.start, x.stop, y.stop) for _, (y, x) in objects]
    return replace(
        annotation,
        boxes=np.array(boxes, np.float64).reshape(-1, 4),
        labels=labels,
        shapes=shapes,
        crowd=None,
        difficult=None,
        areas=None,
        instances=None,
    )


def _draw(
    objects: Annotation, rows: NDArray[np.intp], height: int, width: int
) -> NDArray[np.bool_]:
    """Draw the masks of some objects, shape (N, H, W)."""
    shapes = objects.shapes or [None] * len(objects.boxes)
    if not len(rows):
        return np.zeros((0, height, width), np.bool_)
    drawn = [shape for i in rows if isinstance(shape := shapes[i], np.ndarray)]
    if len(drawn) == len(rows):
        for mask in drawn:
            check_size("a mask", mask.shape, height, width)
        return np.stack(drawn)
    decoded = coco_mask.decode(codes(objects, rows, height, width))
    return np.ascontiguousarray(decoded.transpose(2, 0, 1)).astype(np.bool_)


def codes(
    objects: Annotation, rows: NDArray[np.intp], height: int, width: int
) -> list[Rle]:  # fmt: skip
    """Encode the masks of some objects, those of `resolve`; one without outline is its box.

    Parameters
    ----------
    objects : Annotation
    rows : int array, shape (K,)
    height, width : int
        Size of the image in pixels.

    Raises
    ------
    DataError
        When an outline cannot be drawn.
    """
    shapes = objects.shapes or [None] * len(objects.boxes)
    return [to_rle(_shape_or_box(objects, shapes, i), height, width) for i in rows.tolist()]


def _shape_or_box(objects: Annotation, shapes: Sequence[Shape | None], i: int) -> Shape:
    shape = shapes[i]
    if shape is not None:
        return shape
    x1, y1, x2, y2 = objects.boxes[i]
    return [np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)])]


def _paint(
    canvas: NDArray[Any], masks: NDArray[np.bool_], values: NDArray[np.integer[Any]]
) -> NDArray[Any]:
    for i in np.argsort(-masks.sum(axis=(1, 2)), kind="stable"):
        canvas[masks[i]] = values[i]
    return canvas


def _ignored(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Return the pixels of an instance PNG marked as ignored; in 16 bits 255 is an object."""
    ignored: NDArray[np.bool_] = values == IGNORE
    return ignored if values.dtype == np.uint8 else np.zeros_like(ignored)
