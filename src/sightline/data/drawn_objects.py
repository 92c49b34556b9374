"""Make a data set of objects that people have drawn in a program for annotating."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sightline.counting import counted
from sightline.data import files
from sightline.data.annotation import Annotation, Shape
from sightline.data.dataset import Dataset, Source
from sightline.data.folder import natural
from sightline.data.item import Item
from sightline.data.notes import Note, lost
from sightline.data.split_names import ordered
from sightline.errors import DataError
from sightline.types import Task

CORNERS_OF_CIRCLE = 64


@dataclass(slots=True)
class Picture:
    """An image with what was drawn on it.

    Parameters
    ----------
    id, path : str
        Relative and whole path of the image.
    size : (width, height)
        In pixels, as stated; 0 where it is not.
    split : str
    names : list of str
        Class of each object.
    boxes : list of (x1, y1, x2, y2)
        In pixels.
    shapes : list of Shape or None
        Outline of each object.
    label : str, optional
        Class of the whole image.
    """

    id: str
    path: str
    size: tuple[int, int] = (0, 0)
    split: str = "train"
    names: list[str] = field(default_factory=list)
    boxes: list[tuple[float, float, float, float]] = field(default_factory=list)
    shapes: list[Shape | None] = field(default_factory=list)
    label: str | None = None

    def add_box(self, name: str, x1: float, y1: float, x2: float, y2: float) -> None:
        """Add an object by two opposite corners."""
        self.names.append(name)
        self.boxes.append((min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)))
        self.shapes.append(None)

    def add_polygon(self, name: str, points: NDArray[np.float64]) -> None:
        """Add an object by its corners, shape (P, 2)."""
        self.names.append(name)
        low, high = points.min(0).tolist(), points.max(0).tolist()
        self.boxes.append((low[0], low[1], high[0], high[1]))
        self.shapes.append([points])

    def add_mask(self, name: str, mask: NDArray[np.bool_]) -> None:
        """Add an object by its pixels, shape (H, W)."""
        ys, xs = np.nonzero(mask)
        self.names.append(name)
        box = (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1) if len(xs) else (0, 0, 0, 0)
        self.boxes.append((float(box[0]), float(box[1]), float(box[2]), float(box[3])))
        self.shapes.append(mask)


class LeftOut:
    """What cannot be taken over, by kind: how often, and the first of it."""

    def __init__(self) -> None:
        self._examples: dict[str, list[str]] = {}

    def add(self, what: str, example: str) -> None:
        """Note one more of a kind, in the plural."""
        self._examples.setdefault(what, []).append(example)

    def notes(self) -> list[Note]:
        """Return a line a kind."""
        return [
            lost(f"{len(examples):,} {what}, first {examples[0]}", count=len(examples),
                 examples=examples[:5])
            for what, examples in self._examples.items()
        ]  # fmt: skip


def ellipse(cx: float, cy: float, rx: float, ry: float) -> NDArray[np.float64]:
    """Return an ellipse as a polygon, shape (64, 2); without a turn."""
    turn = np.linspace(0, 2 * np.pi, CORNERS_OF_CIRCLE, endpoint=False)
    return np.stack([cx + rx * np.cos(turn), cy + ry * np.sin(turn)], 1)


def dataset(
    name: str, root: str, pictures: Sequence[Picture], layout: str, notes: Sequence[str]
) -> Dataset:
    """Make a data set of pictures: of their objects, or where none has any, of their classes.

    Raises
    ------
    DataError
        When there is no picture, or two of one path.
    """
    if not pictures:
        raise DataError(f"{root}: no image of it is there" + "".join(f"; {n}" for n in notes))
    if len({p.path for p in pictures}) < len(pictures):
        twice = collections.Counter(p.id for p in pictures).most_common(1)[0][0]
        raise DataError(f"{root}: {twice} is annotated twice; keep one")
    drawn = any(p.names for p in pictures)
    if not drawn and any(p.label for p in pictures):
        return _of_classes(name, root, pictures, layout, notes)
    classes = tuple(sorted({n for p in pictures for n in p.names}, key=natural))
    ids = {c: i for i, c in enumerate(classes)}
    outlined = any(s is not None for p in pictures for s in p.shapes)
    items = []
    for p in pictures:
        width, height = p.size
        if not (width and height):
            width, height = files.upright_size(p.path)
        annotation = Annotation(
            width, height,
            boxes=np.array(p.boxes, np.float64).reshape(-1, 4),
            labels=np.array([ids[n] for n in p.names], np.int64),
            shapes=list(p.shapes) if outlined else None,
        )  # fmt: skip
        items.append(Item(p.id, p.path, annotation=annotation))
    return Dataset(
        name=name,
        source=Source(items, "RGB"),
        rows=_rows(pictures),
        classes=classes,
        tasks=(Task.DETECT, *((Task.INSTANCES, Task.SEGMENT) if outlined else ())),
        segmentation_classes=("background", *classes) if outlined else (),
        notes=[*notes, *_without_outline(pictures, outlined)],
        path=root,
        layout=layout,
    )


def _of_classes(
    name: str, root: str, pictures: Sequence[Picture], layout: str, notes: Sequence[str]
) -> Dataset:
    kept = [p for p in pictures if p.label]
    bare = [p.id for p in pictures if not p.label]
    said = list(notes)
    if bare:
        said.append(lost(
            counted(len(bare), "image has", "images have") + " no class and are left out",
            count=len(bare), examples=bare[:5],
        ))  # fmt: skip
    classes = tuple(sorted({p.label or "" for p in kept}, key=natural))
    items = [Item(p.id, p.path, classes.index(p.label or "")) for p in kept]
    return Dataset(
        name=name, source=Source(items, "RGB"), rows=_rows(kept), classes=classes,
        tasks=(Task.CLASSIFY,), notes=said, path=root, layout=layout,
    )  # fmt: skip


def _rows(pictures: Sequence[Picture]) -> dict[str, NDArray[np.int64]]:
    rows: dict[str, list[str]] = {}
    for i, picture in enumerate(pictures):
        rows.setdefault(picture.split, []).append(str(i))
    return {split: np.array([int(i) for i in own], np.int64)
            for split, own in ordered(rows).items()}  # fmt: skip


def _without_outline(pictures: Sequence[Picture], outlined: bool) -> list[str]:
    bare = sum(shape is None for p in pictures for shape in p.shapes) if outlined else 0
    if not bare:
        return []
    return [counted(bare, "object has no outline; masks show its box",
                    "objects have no outline; masks show their box")]  # fmt: skip
