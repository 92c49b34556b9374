"""Make a cleaned copy of a data set by its audit; the original is never touched."""

from __future__ import annotations

import collections
from dataclasses import replace
from typing import Any

import numpy as np

from sightline.counting import counted
from sightline.data import files, images, place
from sightline.data.annotation import Annotation
from sightline.data.audit import SLIVER, Audit
from sightline.data.audit_masks import UNUSABLE, drawn_alone
from sightline.data.dataset import Dataset, Source
from sightline.data.item import Item
from sightline.errors import DataError


def fixed(data: Dataset, audited: Audit) -> tuple[Dataset, list[str]]:
    """Return a cleaned data set, to be written elsewhere, and what was done.

    Unreadable images go, masks that cannot be used too, with their images where nothing else is
    annotated; of exact duplicates one stays, the one in test before that in validation before that
    in training, so that the measure stays whole, and none of them where their labels disagree;
    boxes are cut to the image, and those without area go; rotation by EXIF is applied; 16 bits,
    CMYK and transparency become plain 8-bit images; wrong endings are corrected.

    Raises
    ------
    DataError
        When nothing is left.
    """
    drop, done = _drops(data, audited)
    if not any(int(row) not in drop for rows in data.rows.values() for row in rows):
        raise DataError(f"{data.name}: a fixed copy would hold no image; {', '.join(done)}")
    again = {
        row
        for kind in ("exif-rotation", "unusual-mode", "animation", "wrong-extension", "alpha")
        if (f := audited.find(kind))
        for row in f.rows
    } - drop
    if again:
        done.append(f"{counted(len(again), 'file')} decoded and written anew as PNG")
    faulty = _faulty_masks(audited)
    items = list(data.source.items)
    clipped = outlines = 0
    for row, item in enumerate(items):
        if row in drop:
            continue
        image: Any = item.image
        if row in again and place.is_file(item.image):
            image = _decoder(item, data.mode)
        annotation = item.annotation
        if isinstance(annotation, Annotation):
            annotation, cut = _clean_boxes(annotation, *files.size_of(item, annotation))
            clipped += cut
            outlines += len(annotation.broken)
            annotation = replace(annotation, broken=())
            if row in faulty:
                annotation = replace(annotation, semantic=None, instances=None)
        items[row] = Item(
            item.id, image, item.label, annotation, item.group, item.labels, item.value
        )
    if clipped:
        done.append(
            counted(
                clipped,
                "box cut to its image or removed for having no area",
                "boxes cut to their image or removed for having no area",
            )
        )
    if outlines:
        done.append(
            counted(outlines, "outline", "outlines") + " that cannot be used left out, their "
            "boxes kept"
        )
    rows = {
        name: np.array([r for r in part if int(r) not in drop], np.int64)
        for name, part in data.rows.items()
    }
    clean = Dataset(
        data.name, Source(items, data.mode), {n: r for n, r in rows.items() if len(r)},
        data.classes, data.tasks, data.segmentation_classes, data.seed, [], None, data.layout,
        data.category_ids, data.target,
    )  # fmt: skip
    return clean, done or ["nothing needed mending"]


def _drops(data: Dataset, audited: Audit) -> tuple[set[int], list[str]]:
    drop: set[int] = set()
    done = []
    broken = audited.find("unreadable")
    if broken:
        drop |= set(broken.rows)
        done.append(f"{counted(len(broken.rows), 'unreadable file')} left out")
    if faulty := _faulty_masks(audited) - drop:
        done.append(f"{counted(len(faulty), 'mask')} that cannot be used left out")
        alone = {row for row in faulty if drawn_alone(data.source.items[row].annotation)}
        if alone:
            pictures = counted(len(alone), "image that has", "images that have")
            done.append(f"with them {pictures} nothing else")
        drop |= alone
    rank = {"test": 0, "val": 1, "train": 2}
    split_of = {int(row): name for name, rows in data.rows.items() for row in rows}
    copies: dict[int, list[int]] = collections.defaultdict(list)
    for pair in audited.pairs:
        if pair.exact:
            copies[pair.first].append(pair.second)
    conflicts = extra = 0
    for first, others in copies.items():
        rows = [row for row in (first, *others) if row not in drop]
        if len({data.source.items[r].label for r in rows}) > 1:
            drop |= set(rows)
            conflicts += len(rows)
            continue
        if not rows:
            continue
        keep = min(rows, key=lambda r: (rank.get(split_of.get(r, ""), 3), r))
        drop |= set(rows) - {keep}
        extra += len(rows) - 1
    if extra:
        done.append(f"{counted(extra, 'exact duplicate')} left out")
    if conflicts:
        done.append(f"{conflicts} identical images with different labels left out")
    return drop, done


def _faulty_masks(audited: Audit) -> set[int]:
    """Return the rows of images whose mask cannot be used."""
    return {row for kind in UNUSABLE if (f := audited.find(kind)) for row in f.rows}


def _clean_boxes(annotation: Annotation, width: int, height: int) -> tuple[Annotation, int]:
    """Cut boxes to the image and leave out those without area or label; count the changes."""
    boxes = annotation.boxes.copy()
    boxes[:, 0::2] = boxes[:, 0::2].clip(0, width)
    boxes[:, 1::2] = boxes[:, 1::2].clip(0, height)
    keep = ((boxes[:, 2:] - boxes[:, :2]) > SLIVER).all(1) & (annotation.labels >= 0)
    changed = int((~keep | (boxes != annotation.boxes).any(1)).sum())
    if not changed:
        return annotation, 0
    shapes = annotation.shapes
    if shapes is not None:
        shapes = [s for s, k in zip(shapes, keep, strict=True) if k]
    assert annotation.crowd is not None
    assert annotation.difficult is not None
    clean = replace(
        annotation,
        boxes=boxes[keep],
        labels=annotation.labels[keep],
        shapes=shapes,
        crowd=annotation.crowd[keep],
        difficult=annotation.difficult[keep],
        areas=None if annotation.areas is None else annotation.areas[keep],
        unknown=(),
    )
    return clean, changed


def _decoder(item: Item, mode: images.Mode) -> Any:
    return lambda: item.read_image(mode)
