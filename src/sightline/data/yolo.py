"""Read and write YOLO text labels: one ``.txt`` an image, one object a line, sizes as shares.

A line is ``class cx cy w h`` (a box by its centre) or ``class x1 y1 x2 y2 x3 y3 ...`` (a
polygon). ``data.yaml`` names the classes and the folders or lists of images; the labels
of ``.../images/a.jpg`` are ``.../labels/a.txt``, and no such file means no objects.

Boxes here are in pixels, so the header of every image is read once (about 0.1 ms each
from a local disk, sixteen at a time).

Source: the format of Ultralytics' data sets, docs.ultralytics.com/datasets.
"""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from sightline.counting import counted
from sightline.data import documents, draw_masks, files, images, outlines, place, text
from sightline.data.annotation import Annotation, Shape
from sightline.data.dataset import Dataset, Source
from sightline.data.folder import SPLIT_NAMES
from sightline.data.item import Item
from sightline.errors import DataError
from sightline.types import Progress, Task


class _Layout(NamedTuple):
    """What a data set says of itself: class names, and the image files of each split."""

    classes: tuple[str, ...]
    splits: dict[str, list[str]]


def why_not(folder: Path) -> str | None:
    """Return what keeps a folder from being a YOLO set; None when nothing does."""
    if _yaml(folder) is not None:
        return None
    for part in ("images", "labels"):
        if not (folder / part).is_dir():
            return f"no data.yaml and no {part}/"
    if not (folder / "classes.txt").is_file():
        return "no data.yaml and no classes.txt"
    return None


def read(folder: Path, name: str) -> Dataset:
    """Read a YOLO set: by its ``data.yaml``, else ``images/``, ``labels/``, ``classes.txt``.

    Without ``data.yaml``, the folders ``images/train``, ``images/val`` and ``images/test``
    are the splits; else all images are ``train``.

    Images that cannot be opened are left out, and `Dataset.notes` says so.

    Raises
    ------
    DataError
        When ``data.yaml`` cannot be used, or a label line is
        neither a box nor a polygon (file and line are named).
    """
    folder = folder.resolve()
    described = _yaml(folder)
    layout = _by_folders(folder) if described is None else _by_yaml(described)
    paths = list(dict.fromkeys(p for listed in layout.splits.values() for p in listed))
    with ThreadPoolExecutor(16, initializer=text.join()) as pool:
        made = list(pool.map(lambda p: _annotation(p, len(layout.classes)), paths))
    readable = {p: a for p, a in zip(paths, made, strict=True) if isinstance(a, Annotation)}
    broken = [reason for reason in made if isinstance(reason, str)]
    notes = (
        [
            counted(
                len(broken),
                "image cannot be opened and is left out",
                "images cannot be opened and are left out",
            )
            + f": {broken[0]}"
        ]
        if broken
        else []
    )
    outlined = any(a.shapes is not None for a in readable.values())
    for split, listed in layout.splits.items() if outlined else ():
        members = [readable[p] for p in listed if p in readable]
        if all(a.shapes is None for a in members):
            notes.append(f"{split}: boxes only, its pixels are ignored")
            continue
        for a in members:
            a.shapes = a.shapes or [None] * len(a.boxes)
        bare = sum(shape is None for a in members for shape in a.shapes or ())
        if bare:
            notes.append(
                f"{split}: "
                + counted(
                    bare,
                    "object has no outline; masks show its box",
                    "objects have no outline; masks show their box",
                )
            )
    row = {p: i for i, p in enumerate(readable)}
    items = [
        Item(Path(os.path.relpath(p, folder)).as_posix(), p, annotation=a)
        for p, a in readable.items()
    ]
    return Dataset(
        name=name,
        source=Source(items, "RGB"),
        rows={
            s: np.array([row[p] for p in listed if p in row], np.int64)
            for s, listed in layout.splits.items()
        },
        classes=layout.classes,
        tasks=(Task.DETECT, *((Task.INSTANCES, Task.SEGMENT) if outlined else ())),
        segmentation_classes=("background", *layout.classes) if outlined else (),
        notes=notes,
        path=str(folder),
        layout="yolo",
    )


def write(data: Dataset, out: Path, progress: Progress | None = None) -> None:
    """Write ``data.yaml``, ``images/SPLIT`` and ``labels/SPLIT``.

    Where the objects have outlines these are written, as one polygon each: parts and
    holes are joined by seams without width, masks traced along their pixels. YOLO has no
    mark for crowds or difficult objects: crowds are left out, as training on them as
    plain objects would be wrong, difficult ones are kept.

    Raises
    ------
    DataError
        When the data has no boxes.
    """
    if Task.DETECT not in data.tasks and Task.INSTANCES not in data.tasks:
        raise DataError(f"{data.name} has no boxes, so it cannot be a YOLO set")
    stems = files.stems(data.source.items)
    done, total = 0, sum(len(rows) for rows in data.rows.values())
    for split, rows in data.rows.items():
        labels = out / "labels" / split
        labels.mkdir(parents=True, exist_ok=True)
        for row in rows:
            item = data.source.items[row]
            annotation = item.read_annotation() or Annotation()
            width, height = files.size_of(item, annotation)
            suffixes = files.WIDELY_READ
            if place.is_file(item.image) and files.upright_size(item.image) == (height, width):
                # Boxes of the unrotated image: readers would rotate it, so it is saved anew.
                suffixes = suffixes if width == height else frozenset()
            files.put(item, data, out / "images" / split, stems[row], suffixes)
            objects = draw_masks.resolve(annotation, height, width, data.task is Task.INSTANCES)
            written = "".join(_lines(objects, height, width))
            (labels / f"{stems[row]}.txt").write_text(written, encoding="ascii")
            done += 1
            if progress:
                progress(done, total)
    page = {s: f"images/{s}" for s in data.rows} | {"names": dict(enumerate(data.classes))}
    described = yaml.safe_dump(page, sort_keys=False, allow_unicode=True)
    (out / "data.yaml").write_text(described, encoding="utf-8")


def _yaml(folder: Path) -> Path | None:
    for name in ("data.yaml", "data.yml", "dataset.yaml"):
        if (folder / name).is_file():
            return folder / name
    return None


def _by_folders(folder: Path) -> _Layout:
    classes = tuple(files.lines(folder / "classes.txt"))
    place = folder / "images"
    splits: dict[str, list[str]] = {}
    for inner in sorted(place.iterdir()) if place.is_dir() else ():
        if inner.is_dir() and inner.name.lower() in SPLIT_NAMES:
            splits.setdefault(SPLIT_NAMES[inner.name.lower()], []).extend(_images(str(inner)))
    return _Layout(classes, splits or {"train": _images(str(place))})


def _by_yaml(path: Path) -> _Layout:
    page = documents.read_yaml(path)
    if not isinstance(page, dict):
        raise DataError(f"{path}: holds no 'names:' and 'train:'; see {__name__}")
    classes = _names(path, page.get("names"))
    root = path.parent
    if isinstance(page.get("path"), str) and (root / page["path"]).is_dir():
        root = root / page["path"]
    splits: dict[str, list[str]] = {}
    for key, split in SPLIT_NAMES.items():
        entry = page.get(key)
        if not documents.is_nothing(entry):
            for place in entry if isinstance(entry, list) else [entry]:
                splits.setdefault(split, []).extend(_expand(path, root, str(place)))
    if not splits:
        raise DataError(f"{path}: names no images; add 'train: images/train'")
    return _Layout(classes, splits)


def _names(path: Path, names: Any) -> tuple[str, ...]:
    if isinstance(names, dict) and set(names) == {str(i) for i in range(len(names))}:
        names = [names[str(i)] for i in range(len(names))]
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        raise DataError(f"{path}: 'names' must be a list of classes, or a mapping 0: name, 1: ...")
    return tuple(names)


def _expand(path: Path, root: Path, place: str) -> list[str]:
    """Return the image files of one entry: a folder, or a text file with one image a line."""
    # Exports exist whose entries lead out of their own folder ("../train/images").
    tries = [root / place, path.parent / place, path.parent / place.lstrip("./")]
    source = next((p for p in tries if p.exists()), None)
    if source is None:
        raise DataError(f"{path}: {place!r} is no folder or list at {tries[0]}; mend the entry")
    if source.is_dir():
        return _images(str(source))
    listed = []
    for line in files.lines(source):
        image = next((p for p in (source.parent / line, root / line) if p.is_file()), None)
        if image is None:
            raise DataError(f"{source} lists {line}, but there is no such file")
        listed.append(os.path.normpath(image))
    return listed


def _images(folder: str) -> list[str]:
    paths: list[str] = []
    for under, inner, names in os.walk(os.path.normpath(folder)):
        inner.sort()
        paths += [f"{under}/{n}" for n in sorted(names) if images.is_image(n)]
    return paths


def _label_file(image: str) -> str:
    """Replace the last folder ``images`` of a path by ``labels``."""
    head, _, tail = image.rpartition("/images/")
    base = f"{head}/labels/{tail}" if tail and head else image
    return str(Path(base).with_suffix(".txt"))


def _annotation(image: str, num_classes: int) -> Annotation | str:
    """Return the annotation of an image, or why the image cannot be opened."""
    try:
        width, height = files.upright_size(image)
    except DataError as error:
        return str(error)
    label_file = _label_file(image)
    if not os.path.lexists(label_file):
        return Annotation(width, height)
    rows = text.read(Path(label_file)).splitlines()
    labels: list[int] = []
    unknown: list[str] = []
    boxes: list[tuple[float, float, float, float]] = []
    shapes: list[Shape | None] = []
    for number, line in enumerate(rows, start=1):
        numbers = _parse(line)
        if not numbers and not line.strip():
            continue
        if len(numbers) < 5 or len(numbers) == 6 or len(numbers) % 2 == 0:
            raise DataError(
                f"{label_file}:{number}: neither 'class cx cy w h' nor 'class x1 y1 x2 y2 x3 y3 "
                f"...', but {line[:60]!r}"
            )
        if numbers[0] in range(num_classes):
            labels.append(int(numbers[0]))
        else:
            labels.append(-1)
            unknown.append(f"{line.split()[0]} ({label_file}:{number})")
        if len(numbers) == 5:
            _, cx, cy, w, h = numbers
            x1, y1, x2, y2 = cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2
            boxes.append((x1 * width, y1 * height, x2 * width, y2 * height))
            shapes.append(None)
        else:
            points = np.array(numbers[1:]).reshape(-1, 2) * (width, height)
            boxes.append((*points.min(axis=0).tolist(), *points.max(axis=0).tolist()))
            shapes.append([points])
    return Annotation(
        width,
        height,
        boxes=np.array(boxes, np.float64).reshape(-1, 4),
        labels=np.array(labels, np.int64),
        shapes=shapes if any(s is not None for s in shapes) else None,
        unknown=tuple(unknown),
    )


def _parse(line: str) -> list[float]:
    """Parse the numbers of a line; empty when one of them is no number."""
    try:
        numbers = [float(part) for part in line.split()]
    except ValueError:
        return []
    return numbers if all(map(math.isfinite, numbers)) else []


def _lines(objects: Annotation, height: int, width: int) -> list[str]:
    assert objects.crowd is not None
    shapes = objects.shapes or [None] * len(objects.boxes)
    written = []
    for box, label, shape, crowd in zip(
        objects.boxes, objects.labels, shapes, objects.crowd, strict=True
    ):
        if crowd:
            continue
        points = None if shape is None else outlines.to_polygon(shape, height, width)
        if points is None:
            x1, y1, x2, y2 = box / (width, height, width, height)
            values = np.array([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1])
        else:
            values = (points / (width, height)).ravel()
        written.append(" ".join([str(label), *(f"{v:.9g}" for v in values)]) + "\n")
    return written
