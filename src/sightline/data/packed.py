"""Write a data set whole into a folder, and read it back: what other processes are given.

Images that are files stay where they are and are named; others are kept as one array where they
share one small size, else as PNG. Rows, labels, groups, boxes, outlines and splits stay as they
are, so that what is read back has the same fingerprint at every reading.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from sightline.data import files, place, store
from sightline.data.annotation import Annotation
from sightline.data.dataset import Dataset, Source
from sightline.data.folder import save_png
from sightline.data.item import Item
from sightline.errors import DataError
from sightline.types import Progress, Task

FORMAT = 1
_FILE, _PIXELS, _IMAGES = "sightline-data.json", "pixels.npy", "images"


def why_not(folder: Path) -> str | None:
    """Return what keeps a folder from being a packed data set; None when nothing does."""
    return None if (folder / _FILE).is_file() else f"no {_FILE}"


def write(data: Dataset, out: Path, progress: Progress | None = None) -> None:
    """Write a data set into a folder.

    Raises
    ------
    DataError
        When an image that is no file cannot be read.
    """
    source = data.source
    out.mkdir(parents=True, exist_ok=True)
    on_disk = store.on_disk(source.items)
    if not on_disk and source.size is not None:
        np.save(out / _PIXELS, source.pack().pixels)
    elif not on_disk:
        (out / _IMAGES).mkdir(exist_ok=True)
    entries = []
    for row, item in enumerate(source.items):
        image: Any = None
        if place.is_file(item.image):
            image = _written(item.image)
        elif source.size is None:
            image = f"{_IMAGES}/{row:08}.png"
            save_png(item, data, out / image)
        annotation = item.read_annotation()
        about = None if annotation is None else _plain(annotation, item)
        more = [] if item.labels is None and item.value is None else [item.labels, item.value]
        entries.append([item.id, item.label, item.group, image, about, *more])
        if progress:
            progress(row + 1, len(source.items))
    document = {
        "format": FORMAT, "name": data.name, "classes": data.classes, "tasks": data.tasks,
        "segmentation_classes": data.segmentation_classes, "seed": data.seed, "notes": data.notes,
        "mode": source.mode, "size": source.size, "category_ids": data.category_ids,
        "target": data.target,
        "rows": {split: rows.tolist() for split, rows in data.rows.items()}, "items": entries,
    }  # fmt: skip
    (out / _FILE).write_text(json.dumps(document), encoding="utf-8")


def read(folder: Path, name: str) -> Dataset:
    """Read what `write` wrote.

    Raises
    ------
    DataError
        When it is damaged, or of a newer version.
    """
    path = folder / _FILE
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["format"] > FORMAT:
            raise DataError(f"{path} was written by a newer sightline; upgrade to read it")
        pixels = np.load(folder / _PIXELS, mmap_mode="r") if (folder / _PIXELS).exists() else None
        items = [
            Item(
                id_,
                _image(folder, pixels, row, image),
                label,
                _annotation(about),
                group,
                *_known(more),
            )
            for row, (id_, label, group, image, about, *more) in enumerate(document["items"])
        ]
        source = Source(items, document["mode"])
        if document["size"] is not None:
            source.size = (int(document["size"][0]), int(document["size"][1]))
        if pixels is not None:
            source.packed[*source.size, "crop"] = store.Packed.of(pixels)  # type: ignore[misc]
        return Dataset(
            document["name"], source,
            {split: np.array(rows, np.int64) for split, rows in document["rows"].items()},
            tuple(document["classes"]), tuple(map(Task, document["tasks"])),
            tuple(document["segmentation_classes"]), document["seed"], list(document["notes"]),
            str(folder), "packed", tuple(document.get("category_ids", ())),
            document.get("target", ""),
        )  # fmt: skip
    except (OSError, LookupError, TypeError, ValueError, AttributeError, OverflowError,
            RecursionError) as error:  # fmt: skip
        raise DataError(f"{path} is damaged ({error}); write the data anew") from None


def _known(more: list[Any]) -> tuple[tuple[int, ...] | None, float | None]:
    """Return the labels and the number of an image, where it has any."""
    labels, value = more or (None, None)
    return None if labels is None else tuple(labels), value


def _written(image: place.Place) -> Any:
    if isinstance(image, place.Member):
        return [str(Path(image.path).resolve()), image.offset, image.size, image.name]
    return str(Path(image).resolve())


def _image(folder: Path, pixels: Any, row: int, image: Any) -> Any:
    if image is None:
        return pixels[row]
    if isinstance(image, list):
        return place.Member(*image)
    return image if Path(image).is_absolute() else str(folder / image)


def _plain(annotation: Annotation, item: Item) -> dict[str, Any]:
    """Return an annotation as JSON holds it; masks as run-length codes."""
    from sightline.data import outlines

    about: dict[str, Any] = {
        name: getattr(annotation, name)
        for name in (
            "width",
            "height",
            "semantic_ignore",
            "semantic_binary",
            "semantic_colours",
            "unknown",
        )
    }
    for name in ("boxes", "labels", "crowd", "difficult"):
        about[name] = getattr(annotation, name).tolist()
    about["areas"] = None if annotation.areas is None else annotation.areas.tolist()
    for name in ("semantic", "instances"):
        path = getattr(annotation, name)
        about[name] = None if path is None else str(Path(path).resolve())
    if annotation.shapes is None:
        return about
    width, height = files.size_of(item, annotation)
    about["shapes"] = []
    for shape in annotation.shapes:
        if isinstance(shape, list):
            about["shapes"].append([polygon.tolist() for polygon in shape])
        elif shape is None:
            about["shapes"].append(None)
        else:
            code = outlines.to_rle(shape, height, width)
            counts = code["counts"]
            text = counts.decode("ascii") if isinstance(counts, bytes) else counts
            about["shapes"].append({"size": list(code["size"]), "counts": text})
    return about


def _annotation(about: dict[str, Any] | None) -> Annotation | None:
    if about is None:
        return None
    shapes = about.get("shapes")
    return Annotation(
        about["width"], about["height"], np.array(about["boxes"], np.float64).reshape(-1, 4),
        np.array(about["labels"], np.int64),
        None if shapes is None else [_shape(shape) for shape in shapes],
        np.array(about["crowd"], np.bool_), np.array(about["difficult"], np.bool_),
        about["semantic"], about["instances"], tuple(about["semantic_ignore"]),
        about["semantic_binary"], tuple(about["unknown"]),
        areas=None if about.get("areas") is None else np.array(about["areas"], np.float64),
        semantic_colours=tuple(about.get("semantic_colours", ())),
    )  # fmt: skip


def _shape(shape: Any) -> Any:
    if isinstance(shape, list):
        return [np.array(polygon, np.float64).reshape(-1, 2) for polygon in shape]
    return shape
