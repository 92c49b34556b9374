"""Hold the masks of objects as run-length codes, and match answers with objects by them.

No mask is drawn: areas, and what two masks have in common, are counted on the codes, so that
hundreds of objects on a large picture take kilobytes. The matching is detection's (`detect_table`).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from sightline.counting import counted
from sightline.data import draw_masks
from sightline.data.annotation import Annotation, Shape
from sightline.data.outlines import part_to_rle, to_rle
from sightline.errors import DataError
from sightline.metrics.detect_table import Answers, Floats, Objects, Rows, Table, iou
from sightline.types import Detections, Instances


@dataclass(frozen=True, slots=True, repr=False)
class Masks(Instances):
    """Objects of one picture, detected or annotated, as codes that are made of any form.

    Parameters
    ----------
    size, codes, labels, classes, scores, crowd, difficult, areas
        See `sightline.types.Instances`.
    """

    @classmethod
    def of(cls, objects: Detections, size: tuple[int, int] | None = None) -> Self:
        """Encode the masks of objects.

        Parameters
        ----------
        objects : Detections
            With masks, perhaps of shape (0, H, W).
        size : (height, width), optional
            Of the picture, where there is neither an object nor a mask to tell it.

        Raises
        ------
        DataError
            When there are objects without masks, or masks of another size.
        """
        if objects.masks is None and len(objects):
            raise _no_masks(len(objects))
        masks = np.zeros((0, 0, 0), np.bool_) if objects.masks is None else objects.masks
        height, width = masks.shape[1:] if size is None else size
        codes = tuple(to_rle(mask, height, width)["counts"] for mask in masks)
        return cls((height, width), codes, objects.labels, objects.classes,
                   objects.scores.astype(np.float64), objects.crowd, objects.difficult,
                   objects.areas)  # fmt: skip

    @classmethod
    def of_annotation(
        cls, annotation: Annotation, size: tuple[int, int], classes: tuple[str, ...]
    ) -> Self:
        """Encode the annotated objects of a picture, without drawing them.

        Parameters
        ----------
        annotation : Annotation
        size : (height, width)
            Of the picture, upright.
        classes : tuple of str

        Raises
        ------
        DataError
            When objects have boxes alone, or an outline cannot be drawn on such a picture.
        """
        objects = draw_masks.resolve(annotation, *size, masks=True)
        kept = np.flatnonzero(draw_masks.visible(objects, *size))
        if len(kept) and objects.shapes is None:
            raise _no_masks(len(kept))
        codes = (_as_bytes(c["counts"]) for c in draw_masks.codes(objects, kept, *size))
        marks: dict[str, Any] = {
            name: values[kept] for name in ("crowd", "difficult", "areas")
            if (values := getattr(objects, name)) is not None
        }  # fmt: skip
        return cls(size, tuple(codes), objects.labels[kept], classes, **marks)

    @classmethod
    def of_shapes(
        cls, shapes: Sequence[Shape], size: tuple[int, int], labels: Any,
        classes: tuple[str, ...], **more: Any,
    ) -> Self:  # fmt: skip
        """Encode outlines of any form: polygons, run-length codes or masks.

        Parameters
        ----------
        shapes : sequence of Shape, length N
        size : (height, width)
        labels : sequence of int, length N
        classes : tuple of str
        **more
            ``scores``, ``crowd``, ``difficult`` and ``areas``.

        Raises
        ------
        DataError
            When an outline cannot be drawn on a picture of this size.
        """
        codes = tuple(_as_bytes(to_rle(shape, *size)["counts"]) for shape in shapes)
        return cls(size, codes, np.asarray(labels, np.int64), classes, **more)

    @classmethod
    def of_map(
        cls, numbers: NDArray[np.integer[Any]], classes: tuple[str, ...], labels: Any = 0,
        scores: Any = 1.0,
    ) -> Self:  # fmt: skip
        """Encode a map of object numbers, looking at each object within its box alone.

        Parameters
        ----------
        numbers : integer array, shape (H, W)
            0 is the background, n the n-th object; numbers may be left out.
        classes : tuple of str
        labels : int, or one for each number
            That of number n at n - 1.
        scores : float, or one for each number

        Raises
        ------
        DataError
            When the map is not (H, W) of whole numbers from 0, or an object has no label or score.
        """
        from scipy.ndimage import find_objects

        if numbers.ndim != 2 or numbers.dtype.kind not in "iu" or numbers.min(initial=0) < 0:
            raise DataError(
                "a map of object numbers must have shape (H, W) and whole numbers from 0, not "
                f"{numbers.shape} and {numbers.dtype}"
            )
        height, width = numbers.shape
        codes, kept = [], []
        for i, place in enumerate(find_objects(numbers)):
            if place is not None:
                corner = place[0].start, place[1].start
                code = part_to_rle(numbers[place] == i + 1, corner, height, width)
                codes.append(code["counts"])
                kept.append(i)
        own, sure = (_of_numbers(kept, *given) for given in (("label", labels), ("score", scores)))
        return cls((height, width), tuple(codes), own, classes, sure)


def _no_masks(n: int) -> DataError:
    have = counted(n, "object has a box", "objects have boxes")
    return DataError(f"{have} but no mask; instances are measured by masks: annotate outlines")


def _of_numbers(kept: list[int], what: str, values: Any) -> NDArray[Any]:
    """Return what some object numbers, less 1, have: each its own, or all the same."""
    given = np.asarray(values)
    if given.ndim == 0:
        return np.full(len(kept), given)
    if kept and kept[-1] >= len(given):
        raise DataError(
            f"the object of number {kept[-1] + 1} has no {what}: there are {len(given)}"
        )
    return given[np.array(kept, np.int64)]


def _as_bytes(counts: Any) -> bytes:
    return counts.encode() if isinstance(counts, str) else bytes(counts)


def in_common(answers: Masks, objects: Masks) -> NDArray[np.int32]:
    """Count the pixels that each answer and object have in common, shape (D, G).

    Parameters
    ----------
    answers, objects : Masks
        On one picture.
    """
    if not len(answers) or not len(objects):
        return np.zeros((len(answers), len(objects)), np.int32)
    # Of crowds pycocotools divides by the answer's area alone: multiplied by it, whole numbers.
    shares = coco_mask.iou(answers.rle, objects.rle, [1] * len(objects))
    return np.asarray(np.rint(shares * answers.pixels[:, None]), np.int32)


@dataclass(frozen=True)
class MaskTable(Table):
    """The overlaps of all answers' and objects' masks, and who is matched with whom.

    Parameters
    ----------
    shared : list of int32 array, shape (D_i, G_i)
        Pixels in common, of each image.
    pixels : float64 array, shape (G,)
        Of the objects' masks; the answers' are their areas.
    codes : tuple of bytes, length D
        The answers' masks.
    sizes : int64 array, shape (N, 2)
        Height and width of each picture.
    """

    shared: list[NDArray[np.int32]]
    pixels: Floats
    codes: tuple[bytes, ...]
    sizes: Rows

    @classmethod
    def of(
        cls, truth: Sequence[Masks], answers: Sequence[Masks], names: Sequence[str] = ()
    ) -> Self:
        """Match answers with objects.

        Parameters
        ----------
        truth, answers : sequence of Masks
            Of each picture, in one order and of the same classes.
        names : sequence of str, optional
            What an error calls the pictures.

        Raises
        ------
        DataError
            When truth and answer of a picture are of different sizes.
        """
        for i, (true, said) in enumerate(zip(truth, answers, strict=True)):
            if len(true) and len(said) and true.size != said.size:
                name = names[i] if names else f"image {i}"
                raise DataError(
                    f"{name}: the true masks are {true.size[1]} x {true.size[0]} pixels (width x "
                    f"height), the answered ones {said.size[1]} x {said.size[0]}; make them alike"
                )
        own = _join([t.pixels for t in truth])
        stated = _join([_filled(t.areas) for t in truth])
        objects = Objects(
            _boxes(truth), _join([t.labels for t in truth]).astype(np.int64), _images(truth),
            _join([_filled(t.crowd) for t in truth]).astype(np.bool_),
            _join([_filled(t.difficult) for t in truth]).astype(np.bool_),
            np.where(np.isnan(stated), own, stated),
        )  # fmt: skip
        given = Answers(
            _boxes(answers), _join([a.labels for a in answers]).astype(np.int64), _images(answers),
            _join([a.scores for a in answers]), _join([a.pixels for a in answers]),
        )  # fmt: skip
        return cls(
            objects, given, len(truth), len(truth[0].classes),
            [in_common(a, t) for a, t in zip(answers, truth, strict=True)], own,
            tuple(code for a in answers for code in a.codes),
            np.array([a.size if len(a) else t.size for a, t in zip(answers, truth, strict=True)]),
        )  # fmt: skip

    @functools.cached_property
    def overlaps(self) -> list[Floats]:
        """Return the IoU of the answers (rows) and objects (columns) of each image, any class."""
        return [
            iou(shared.astype(np.float64), self.answers.sizes[d], self.pixels[g],
                self.objects.crowd[g])
            for (d, g), shared in zip(self.parts(), self.shared, strict=True)
        ]  # fmt: skip

    def answer(self, image: int, classes: tuple[str, ...]) -> Masks:
        """Return the answers on an image, by its position."""
        d, _ = list(self.parts())[image]
        height, width = self.sizes[image].tolist()
        return Masks((height, width), self.codes[d], self.answers.labels[d], classes,
                     self.answers.scores[d])  # fmt: skip


def _filled(values: NDArray[Any] | None) -> NDArray[Any]:
    assert values is not None  # filled in when the masks were made
    return values


def _join(parts: Sequence[NDArray[Any]]) -> Floats:
    return np.concatenate([np.zeros(0), *parts])


def _boxes(masks: Sequence[Masks]) -> Floats:
    return np.concatenate([np.zeros((0, 4)), *(m.boxes for m in masks)])


def _images(masks: Sequence[Masks]) -> Rows:
    return np.repeat(np.arange(len(masks)), [len(m) for m in masks])
