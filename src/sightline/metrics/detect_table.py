"""Match the answers of a detector with the objects of the images: one table for every figure.

Each measure of detection asks which answers are right, and all of them are read from one table of
overlaps here, so that they cannot contradict each other. An answer is matched with an object of its
class, the best answers first, by one of two rules that differ where objects are crowded:

- COCO's (`Table.matched`): the object that it overlaps most among those that are still free, at
  each threshold. Objects that are not to count (a crowd, a difficult one, one of another size) come
  last: an answer that is matched with one of them is neither right nor wrong.
- VOC's (`Table.nearest`): the object that it overlaps most, free or not; if it is not free, the
  answer is wrong.

Sources: T.-Y. Lin et al., Microsoft COCO, ECCV 2014, and its evaluation code; M. Everingham et al.,
The Pascal visual object classes challenge, IJCV 111, 2015, section 4.1, and its development kit.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataError
from sightline.types import Detections

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Marks = NDArray[np.bool_]

THRESHOLDS: Floats = np.linspace(0.5, 0.95, 10)
"""IoU from which on COCO calls an answer right: ten of them."""

AREAS: dict[str, tuple[float, float]] = {
    "all": (0.0, 1e10),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e10),
}
"""COCO's sizes of objects: areas in square pixels, both ends included."""

_ALMOST_ONE = 1 - 1e-10  # COCO's code asks no more of an overlap


@dataclass(frozen=True, slots=True)
class Objects:
    """Objects of some images, those of an image side by side, in the order of the images.

    Parameters
    ----------
    boxes : float64 array, shape (G, 4)
        xyxy, pixels.
    labels : int64 array, shape (G,)
    images : int64 array, shape (G,)
        Position of each one's image, rising.
    crowd, difficult : bool array, shape (G,)
        Neither counts for or against anybody. Of a crowd the overlap is the share of the answer
        that lies in it, as many answers may.
    areas : float64 array, shape (G,)
        Square pixels, by which they are small, medium or large.
    """

    boxes: Floats
    labels: Rows
    images: Rows
    crowd: Marks
    difficult: Marks
    areas: Floats

    @classmethod
    def of(cls, truth: Sequence[Detections], areas: Sequence[Floats] | None = None) -> Objects:
        """Collect the objects of images.

        Parameters
        ----------
        truth : sequence of Detections
            Of each image, in order.
        areas : sequence of float64 array, optional
            Of each image's objects. Default: as stated in the annotation (COCO's files state that
            of the outline), else of the mask where there is one, else of the box.
        """
        boxes, labels, images = _flat(truth)
        sized = [_areas(t) for t in truth] if areas is None else areas
        return cls(boxes, labels, images, _marks(truth, "crowd"), _marks(truth, "difficult"),
                   np.concatenate([np.zeros(0), *sized]))  # fmt: skip

    @property
    def passed_over(self) -> Marks:
        """Return which objects do not count: shape (G,). Any number of answers may be there."""
        return np.asarray(self.crowd | self.difficult)


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers on some images, those of an image side by side, in the order of the images.

    Parameters
    ----------
    boxes : float64 array, shape (D, 4)
    labels, images : int64 array, shape (D,)
    scores : float64 array, shape (D,)
    areas : float64 array, shape (D,), optional
        Square pixels, by which they are small, medium or large; default: of the boxes.
    """

    boxes: Floats
    labels: Rows
    images: Rows
    scores: Floats
    areas: Floats | None = None

    @property
    def sizes(self) -> Floats:
        """Return the area of each answer in square pixels, shape (D,)."""
        return box_areas(self.boxes) if self.areas is None else self.areas

    @classmethod
    def of(cls, answers: Sequence[Detections]) -> Answers:
        """Collect the answers on images, in order."""
        scores = np.concatenate([np.zeros(0), *(a.scores for a in answers)]).astype(np.float64)
        return cls(*_flat(answers), scores)


def _flat(detections: Sequence[Detections]) -> tuple[Floats, Rows, Rows]:
    """Return boxes, labels and positions of the images, side by side."""
    boxes = np.concatenate([np.zeros((0, 4)), *(d.boxes for d in detections)]).astype(np.float64)
    labels = np.concatenate([np.zeros(0, np.int64), *(d.labels for d in detections)])
    return boxes, labels, np.repeat(np.arange(len(detections)), [len(d) for d in detections])


def _marks(truth: Sequence[Detections], name: str) -> Marks:
    marks = [getattr(t, name) for t in truth]
    given = [
        np.zeros(len(t), np.bool_) if m is None else m for t, m in zip(truth, marks, strict=True)
    ]
    return np.concatenate([np.zeros(0, np.bool_), *given])


def _areas(truth: Detections) -> Floats:
    if truth.masks is not None:
        own = np.asarray(truth.masks.sum((1, 2)), np.float64)
    else:
        own = box_areas(truth.boxes.astype(np.float64))
    return own if truth.areas is None else np.where(np.isnan(truth.areas), own, truth.areas)


def box_areas(boxes: Floats) -> Floats:
    """Compute the areas of boxes (N, 4) in square pixels, shape (N,)."""
    return np.asarray((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))


def overlap(answers: Floats, objects: Floats, crowd: Marks) -> Floats:
    """Compute the IoU of answers (D, 4) and objects (G, 4), shape (D, G).

    Parameters
    ----------
    answers, objects : float64 array, xyxy
    crowd : bool array, shape (G,)
        Where the area shared is divided by that of the answer alone.

    Returns
    -------
    float64 array, shape (D, G)
        0 where nothing is shared, boxes without area included.
    """
    corner = np.maximum(answers[:, None, :2], objects[None, :, :2])
    sides = (np.minimum(answers[:, None, 2:], objects[None, :, 2:]) - corner).clip(0)
    shared = sides[..., 0] * sides[..., 1]
    return iou(shared, box_areas(answers), box_areas(objects), crowd)


def iou(shared: Floats, answers: Floats, objects: Floats, crowd: Marks) -> Floats:
    """Compute the IoU of answers and objects of any form from their areas.

    Parameters
    ----------
    shared : float64 array, shape (D, G)
        Area that each answer and object have in common.
    answers, objects : float64 array, shape (D,) and (G,)
        Their own areas.
    crowd : bool array, shape (G,)
        Where the area shared is divided by that of the answer alone.

    Returns
    -------
    float64 array, shape (D, G)
        0 where nothing is shared.
    """
    own = answers[:, None]
    whole = np.where(crowd, own, own + objects - shared)
    return np.divide(shared, whole, out=np.zeros(shared.shape), where=shared > 0)


@dataclass(frozen=True)
class Table:
    """The overlaps of all answers and objects, and who is matched with whom.

    Parameters
    ----------
    objects : Objects
    answers : Answers
    images, classes : int
        How many there are.

    Raises
    ------
    DataError
        When a label or a position is not below their number.
    """

    objects: Objects
    answers: Answers
    images: int
    classes: int

    def __post_init__(self) -> None:
        for what in (self.objects, self.answers):
            for values, n, name in ((what.labels, self.classes, "classes"),
                                    (what.images, self.images, "images")):  # fmt: skip
                if len(values) and not 0 <= values.min() <= values.max() < n:
                    raise DataError(f"a box is of number {values.max()} of {n} {name}, from 0")

    @functools.cached_property
    def overlaps(self) -> list[Floats]:
        """Return the IoU of the answers (rows) and objects (columns) of each image, any class."""
        objects, answers = self.objects, self.answers
        return [
            overlap(answers.boxes[d], objects.boxes[g], objects.crowd[g])
            for d, g in self.parts()
        ]  # fmt: skip

    def parts(self) -> Iterator[tuple[slice, slice]]:
        """Yield where the answers and the objects of each image lie."""
        ends = np.arange(self.images + 1)
        d = np.searchsorted(self.answers.images, ends).tolist()
        g = np.searchsorted(self.objects.images, ends).tolist()
        for i in range(self.images):
            yield slice(d[i], d[i + 1]), slice(g[i], g[i + 1])

    @functools.cached_property
    def ranks(self) -> Rows:
        """Return the place of each answer among those of its image and class, the best 0."""
        answers = self.answers
        order = np.lexsort((-answers.scores, answers.labels, answers.images))
        group = answers.images[order] * self.classes + answers.labels[order]
        starts = np.flatnonzero(np.append(True, group[1:] != group[:-1])) if len(group) else group
        lengths = np.diff(np.append(starts, len(group)))
        ranks = np.empty(len(order), np.int64)
        ranks[order] = np.arange(len(order)) - np.repeat(starts, lengths)
        return ranks

    @functools.cached_property
    def out_of_range(self) -> Marks:
        """Return which objects do not count by size, shape (4, G): crowds, or not of that size."""
        sized = _outside(self.objects.areas)
        return np.asarray(sized | self.objects.passed_over)

    @functools.cached_property
    def matched(self) -> Rows:
        """Return the object of each answer by COCO's rule.

        Returns
        -------
        int64 array, shape (4, 10, D)
            By size of `AREAS` and threshold; -1 where there is none.
        """
        matched = np.full((len(AREAS), len(THRESHOLDS), len(self.answers.labels)), -1)
        for (d, g), shared in zip(self.parts(), self.overlaps, strict=True):
            if not shared.size or shared.max() < THRESHOLDS[0]:
                continue
            said, true = self.answers.labels[d], self.objects.labels[g]
            for label in np.intersect1d(said, true):
                mine, theirs = np.flatnonzero(said == label), np.flatnonzero(true == label)
                mine = mine[np.argsort(self.ranks[d][mine])]
                rows = g.start + theirs
                local = _match(
                    shared[np.ix_(mine, theirs)],
                    self.out_of_range[:, rows],
                    self.objects.passed_over[rows],
                )
                matched[:, :, d.start + mine] = np.where(local < 0, -1, rows[local])
        return matched

    @functools.cached_property
    def counted(self) -> Marks:
        """Return which answers are right or wrong at all, shape (4, 10, D), by COCO's rule.

        One is neither when its object does not count, or when it has none and is not of the size.
        """
        matched = self.matched
        sized = _outside(self.answers.sizes)[:, None]
        if not len(self.objects.labels):
            return np.broadcast_to(~sized, matched.shape)
        of_object = np.stack(
            [out[rows] for out, rows in zip(self.out_of_range, matched, strict=True)]
        )
        return ~np.where(matched < 0, sized, of_object)

    @functools.cached_property
    def nearest(self) -> tuple[Rows, Floats]:
        """Return the object of its class that each answer overlaps most, or -1, and the IoU."""
        rows, values = np.full(len(self.answers.labels), -1), np.zeros(len(self.answers.labels))
        for (d, g), shared in zip(self.parts(), self.overlaps, strict=True):
            if not shared.size:
                continue
            same = self.answers.labels[d][:, None] == self.objects.labels[g]
            of_class = np.where(same, shared, 0)
            best = of_class.argmax(1)
            values[d] = of_class[np.arange(len(best)), best]
            rows[d] = np.where(values[d] > 0, g.start + best, -1)
        return rows, values

    @functools.cached_property
    def by_score(self) -> list[Rows]:
        """Return the answers of each class, the best first; equals in the order of the images."""
        return [
            of_class[np.argsort(-self.answers.scores[of_class], kind="stable")]
            for of_class in (np.flatnonzero(self.answers.labels == c) for c in range(self.classes))
        ]

    @functools.cached_property
    def numbers(self) -> Rows:
        """Return how many objects of each class count: shape (C,)."""
        counting = self.objects.labels[~self.objects.passed_over]
        return np.bincount(counting, minlength=self.classes).astype(np.int64)


def _outside(areas: Floats) -> Marks:
    """Return which areas lie outside each size, shape (4, N)."""
    return np.stack([(areas < low) | (areas > high) for low, high in AREAS.values()])


def _match(shared: Floats, out: Marks, reusable: Marks) -> Rows:
    """Match the answers of an image and class, the best first.

    Parameters
    ----------
    shared : float64 array, shape (D, G)
    out : bool array, shape (4, G)
        Objects that do not count, by size: taken where no other will do.
    reusable : bool array, shape (G,)
        Objects that stay free.

    Returns
    -------
    int64 array, shape (4, 10, D)
        Columns of `shared`; -1 for none. Of equal overlaps the last, as in COCO's code.
    """
    objects = shared.shape[1]
    enough = np.minimum(THRESHOLDS, _ALMOST_ONE)[:, None]
    matched = np.full((len(out), len(enough), len(shared)), -1)
    free = np.ones((len(out), len(enough), objects), np.bool_)
    for d in np.flatnonzero(shared.max(1) >= enough[0]):
        near = free & (shared[d] >= enough)
        full = near & ~out[:, None]
        usable = np.where(full.any(-1, keepdims=True), full, near)
        best = objects - 1 - np.where(usable, shared[d], -1)[..., ::-1].argmax(-1)
        taken = usable.any(-1)
        matched[..., d] = np.where(taken, best, -1)
        sizes, levels = np.nonzero(taken & ~reusable[best])
        free[sizes, levels, best[sizes, levels]] = False
    return matched
