"""Read and write COCO JSON: images, annotations and categories in one file a split.

Boxes are ``x, y, width, height`` in pixels from 0; outlines are polygons or run-length
codes; ``iscrowd`` marks a region of many objects. Category ids may have gaps: they become
labels 0, 1, 2, ... in the order of the ids, and are written as 1, 2, 3, ...

Source: cocodataset.org/#format-data.
"""

from __future__ import annotations

import gc
import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import UnionType
from typing import Any, NamedTuple

import numpy as np
from pycocotools import mask as coco_mask

from sightline.counting import counted
from sightline.data import coco_layout, documents, draw_masks, files, outlines
from sightline.data.annotation import Annotation, Shape
from sightline.data.bounds import Bounds
from sightline.data.dataset import Dataset, Source
from sightline.data.item import Item
from sightline.data.notes import guessed, lost
from sightline.errors import DataError
from sightline.types import Progress, Task

_KEYS: dict[str, dict[str, type | UnionType]] = {
    "images": {"id": int | str, "file_name": str},
    "annotations": {"image_id": int | str, "category_id": int, "bbox": list},
    "categories": {"id": int, "name": str},
}


class _Page(NamedTuple):
    """One JSON file, parsed and checked for its three lists."""

    path: Path
    images: list[dict[str, Any]]
    annotations: list[dict[str, Any]]
    categories: dict[int, str]


def why_not(folder: Path) -> str | None:
    """Return what keeps a folder from being a COCO set; None when nothing does."""
    return None if coco_layout.json_files(folder) else "no JSON with 'images' and 'annotations'"


def why_not_file(path: Path) -> str | None:
    """Return what keeps a file from being COCO JSON."""
    return None if coco_layout.is_coco(path) else "no 'images' and 'annotations'"


def read(
    folder: Path, name: str, *, bounds: Bounds | None = None, described: Path | None = None
) -> Dataset:
    """Read a COCO set.

    The JSON files lie anywhere below the folder, whatever they are called (``instances_*.json``
    alone where there are any). Their name or folder tells the split; a lone one is ``train``, and
    so are several of which none tells a split. Images are looked for as ``file_name`` below the
    JSON's folder, the data set's folder, ``images/``, ``JPEGImages/`` and the folders of the
    split (``train``, ``train2017``, also below ``images/``), then anywhere by their own name.

    Parameters
    ----------
    folder : path
    name : str
    bounds : Bounds, optional
        Where the images may lie.
    described : path, optional
        The one JSON file to read.

    Raises
    ------
    DataError
        When a JSON is malformed or lacks a list or a key, two list the same image,
        categories contradict each other, or images are missing.
    """
    folder = folder.resolve()
    pages = [described] if described else coco_layout.json_files(folder)
    if not pages:
        raise DataError(f"{folder}: no JSON with 'images' and 'annotations'")
    with _no_collection():
        return _read(name, coco_layout.by_split(folder, pages), bounds or Bounds(folder))


def write(data: Dataset, out: Path, progress: Progress | None = None) -> None:
    """Write ``annotations/instances_SPLIT.json`` and ``images/SPLIT``.

    Outlines are written as they were read: polygons as polygons, masks as compressed
    run-length codes. ``area`` is as it was stated, else the outline's, or the box's where there is
    none; numbers of categories are those that were read. COCO has no mark for difficult objects.

    Raises
    ------
    DataError
        When the data has no boxes.
    """
    if Task.DETECT not in data.tasks and Task.INSTANCES not in data.tasks:
        raise DataError(f"{data.name} has no boxes, so it cannot be a COCO set")
    stems = files.stems(data.source.items)
    known = len(data.category_ids) == len(data.classes)
    numbers_of = list(data.category_ids if known else range(1, len(data.classes) + 1))
    done, total = 0, sum(len(rows) for rows in data.rows.values())
    (out / "annotations").mkdir(parents=True, exist_ok=True)
    for split, rows in data.rows.items():
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for image_id, row in enumerate(rows.tolist(), start=1):
            item = data.source.items[row]
            annotation = item.read_annotation() or Annotation()
            width, height = files.size_of(item, annotation)
            path = files.put(item, data, out / "images" / split, stems[row], files.WIDELY_READ)
            images.append(
                {"id": image_id, "file_name": path.name, "width": width, "height": height}
            )
            objects = draw_masks.resolve(annotation, height, width, data.task is Task.INSTANCES)
            for thing in _objects(objects, height, width, numbers_of):
                numbers = {"id": len(annotations) + 1, "image_id": image_id}
                annotations.append(numbers | thing)
            done += 1
            if progress:
                progress(done, total)
        categories = [{"id": i, "name": n} for i, n in zip(numbers_of, data.classes, strict=True)]
        page = {"images": images, "annotations": annotations, "categories": categories}
        target = out / "annotations" / f"instances_{split}.json"
        target.write_text(json.dumps(page), encoding="utf-8")


def _read(name: str, documents: dict[str, list[Path]], bounds: Bounds) -> Dataset:
    folder = bounds.root
    pages = [(split, _parse(path)) for split, paths in documents.items() for path in paths]
    categories: dict[int, str] = {}
    for _, page in pages:
        for key, title in page.categories.items():
            if categories.setdefault(key, title) != title:
                raise DataError(
                    f"{page.path}: category {key} is {title!r}, but {categories[key]!r} in another "
                    "split; give both the same list of categories"
                )
    labels = {key: i for i, key in enumerate(sorted(categories))}
    classes = tuple(categories[key] for key in labels)
    items: list[Item] = []
    rows: dict[str, list[int]] = {}
    notes: list[str] = []
    listed: dict[str, Path] = {}
    for split, page in pages:
        names = [image["file_name"] for image in page.images]
        paths = coco_layout.image_paths(page.path, names, split, bounds)
        for path in paths if len(documents[split]) > 1 else ():
            if listed.setdefault(path, page.path) != page.path:
                raise DataError(
                    f"{page.path} and {listed[path]} both list {Path(path).name}; keep it in one"
                )
        annotations = _annotations(page, labels, notes)
        rows.setdefault(split, []).extend(range(len(items), len(items) + len(paths)))
        items += [
            Item(path.removeprefix(f"{folder}/"), path, annotation=annotation)
            for path, annotation in zip(paths, annotations, strict=True)
        ]
    outlined = {s for s, page in pages if any(a.get("segmentation") for a in page.annotations)}
    if outlined:
        notes += [f"{s}: boxes only, its pixels are ignored" for s in rows if s not in outlined]
    if len(pages) > 1 and len(documents) == 1:
        notes.append(guessed(f"{len(pages)} JSON files are read together, all as train"))
    return Dataset(
        name=name,
        source=Source(items, "RGB"),
        rows={split: np.array(own, np.int64) for split, own in rows.items()},
        classes=classes,
        tasks=(Task.DETECT, *((Task.INSTANCES, Task.SEGMENT) if outlined else ())),
        segmentation_classes=("background", *classes) if outlined else (),
        notes=notes,
        path=str(folder),
        layout="coco",
        category_ids=tuple(labels),
    )


@contextmanager
def _no_collection() -> Iterator[None]:
    """Pause the collector of reference cycles, which would double the time on large files."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _parse(path: Path) -> _Page:
    page = documents.read_json(path)
    for key, fields in _KEYS.items():
        if not isinstance(page, dict) or not isinstance(page.get(key), list):
            raise DataError(f"{path}: no list {key!r}; a COCO file has one")
        for i, entry in enumerate(page[key]):
            for field, kind in fields.items():
                if not isinstance(entry, dict) or not isinstance(entry.get(field), kind):
                    raise DataError(f"{path}: {key}[{i}] has no usable {field!r}; mend it")
    categories = {entry["id"]: entry["name"] for entry in page["categories"]}
    return _Page(path, page["images"], page["annotations"], categories)


def _annotations(page: _Page, labels: dict[int, int], notes: list[str]) -> list[Annotation]:
    """Return an annotation for each image: arrays of the whole file are made once and cut."""
    row = {image["id"]: i for i, image in enumerate(page.images)}
    if len(row) != len(page.images):
        raise DataError(f"{page.path}: two images have the same id; make the ids unique")
    kept = [a for a in page.annotations if a["image_id"] in row]
    if len(kept) < len(page.annotations):
        count = len(page.annotations) - len(kept)
        alone = [a for a in page.annotations if a["image_id"] not in row]
        notes.append(lost(
            f"{page.path.name}: " + counted(
                count, "annotation of an image not listed is left out",
                "annotations of images not listed are left out",
            ),
            count=count, kind="annotation-without-image",
            examples=[f"annotation {a.get('id')} of image {a['image_id']!r}" for a in alone[:5]],
            mend="list the image, or make its id and the annotation's the same in kind too",
        ))  # fmt: skip
    for a in kept:
        box = a["bbox"]
        if len(box) != 4 or not all(map(_is_number, box)):
            raise DataError(
                f"{page.path}: annotation {a.get('id')} has bbox {box!r}; it must be "
                "[x, y, width, height] in pixels"
            )
    kept.sort(key=lambda a: row[a["image_id"]])
    boxes = np.array([a["bbox"] for a in kept], np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    ids = np.array([labels.get(a["category_id"], -1) for a in kept], np.int64)
    crowd = np.array([bool(a.get("iscrowd")) for a in kept], np.bool_)
    stated = [a.get("area") for a in kept]
    areas = np.array([_area(value) for value in stated], np.float64)
    outlined = any(a.get("segmentation") for a in kept)
    counts = np.bincount([row[a["image_id"]] for a in kept], minlength=len(row))
    ends = np.cumsum(counts).tolist()
    made = []
    for image, count, end in zip(page.images, counts.tolist(), ends, strict=True):
        cut = slice(end - count, end)
        width, height = _pixels(image.get("width")), _pixels(image.get("height"))
        broken: list[str] = []
        shapes = [_shape(page.path, a, (height, width), broken) for a in kept[cut]]
        made.append(
            Annotation(
                width,
                height,
                boxes=boxes[cut],
                labels=ids[cut],
                shapes=shapes if outlined else None,
                crowd=crowd[cut],
                areas=None if np.isnan(areas[cut]).all() else areas[cut],
                broken=tuple(broken),
                unknown=tuple(
                    f"{kept[i]['category_id']} ({page.path}: annotation {kept[i].get('id')})"
                    for i in np.flatnonzero(ids[cut] < 0) + cut.start
                ),
            )
        )
    bare = sum(not a.get("segmentation") for a in kept) if outlined else 0
    if bare:
        notes.append(
            f"{page.path.name}: "
            + counted(
                bare,
                "object has no outline; masks show its box",
                "objects have no outline; masks show their box",
            )
        )
    return made


def _shape(
    path: Path, annotation: dict[str, Any], size: tuple[int, int], broken: list[str]
) -> Shape | None:
    """Return an outline; None where there is none, or one that cannot be used, which is noted."""
    outline = annotation.get("segmentation")
    if not outline:
        return None
    try:
        shape: Shape
        if isinstance(outline, dict):
            height, width = outline["size"]
            shape = {"size": [int(height), int(width)], "counts": outline["counts"]}
            size = size if size[0] and size[1] else (int(height), int(width))
        else:
            shape = [np.array(part, np.float64).reshape(-1, 2) for part in outline]
        why = outlines.why_broken(shape, *size)
    except (KeyError, TypeError, ValueError, OverflowError):
        why = (
            "its 'segmentation' is neither a list of polygons [x1, y1, x2, y2, ...] nor a "
            "run-length code"
        )
    if why is None:
        return shape
    broken.append(f"annotation {annotation.get('id')} ({path}): {why}")
    return None


def _is_number(value: object) -> bool:
    """Tell whether a value is a number of pixels; NaN, which Python writes as JSON, is none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -1e9 < value < 1e9


def _area(value: object) -> float:
    """Return a stated area; nan where none is stated."""
    return float(value) if isinstance(value, int | float) and 0 <= value < 1e18 else math.nan


def _pixels(value: object) -> int:
    """Return a stated width or height; 0 where none is stated."""
    return int(value) if isinstance(value, int | float) and 0 < value < 1e9 else 0


def _objects(
    objects: Annotation, height: int, width: int, categories: Sequence[int]
) -> Iterator[dict[str, Any]]:
    assert objects.crowd is not None
    shapes = objects.shapes or [None] * len(objects.boxes)
    areas = [math.nan] * len(shapes) if objects.areas is None else objects.areas.tolist()
    for box, label, shape, crowd, area in zip(
        objects.boxes.tolist(), objects.labels.tolist(), shapes, objects.crowd.tolist(), areas,
        strict=True,
    ):  # fmt: skip
        x1, y1, x2, y2 = box
        thing: dict[str, Any] = {
            "category_id": categories[label],
            "bbox": [round(v, 4) for v in (x1, y1, x2 - x1, y2 - y1)],
            "area": round((x2 - x1) * (y2 - y1), 4),
            "iscrowd": int(crowd),
        }
        if shape is not None:
            code = outlines.to_rle(shape, height, width)
            thing["area"] = float(coco_mask.area(code))
            if isinstance(shape, list):
                thing["segmentation"] = [part.ravel().round(4).tolist() for part in shape]
            else:
                counts = code["counts"]
                text = counts if isinstance(counts, str) else counts.decode("ascii")
                thing["segmentation"] = {"size": [height, width], "counts": text}
        if not math.isnan(area):
            thing["area"] = area
        yield thing
