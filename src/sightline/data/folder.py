"""Read and write ImageFolder: ``train/CLASS/*.jpg``, ``val/...``, ``test/...``, or one level."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from sightline.data import images, place
from sightline.data.dataset import Dataset, Source
from sightline.data.item import Item
from sightline.data.naming import Names
from sightline.errors import DataError
from sightline.types import Progress, Task

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


def why_not(folder: Path) -> str | None:
    """Return what keeps a folder from being an ImageFolder; None when nothing does."""
    subfolders = _subfolders(folder)
    if not subfolders:
        return "no folders of classes"
    parts = [name for name in subfolders if name.lower() in SPLIT_NAMES]
    if parts and not any(_subfolders(folder / part) for part in parts):
        return f"{parts[0]}/ has no folders of classes"
    places = [folder / part for part in parts] if parts else [folder]
    if not any(_files(p / c) for p in places for c in _subfolders(p)):
        return "no image in any folder of a class"
    return None


def classes_in(folder: Path) -> int:
    """Count the folders of classes, in all splits together."""
    subfolders = _subfolders(folder)
    parts = [name for name in subfolders if name.lower() in SPLIT_NAMES]
    return len({c for part in parts for c in _subfolders(folder / part)} if parts else subfolders)


def read(folder: Path, name: str) -> Dataset:
    """Read an ImageFolder; each folder's name is a class.

    Folders inside a class folder belong to that class. A class without any image is left
    out and said so.

    Raises
    ------
    DataError
        When two folders are the same split.
    """
    parts = [p for p in _subfolders(folder) if p.lower() in SPLIT_NAMES]
    by_split: dict[str, dict[str, list[str]]] = {}
    for part in parts or [""]:
        split = SPLIT_NAMES.get(part.lower(), "train")
        if split in by_split:
            raise DataError(f"{folder} has two folders for the split {split!r}; keep one")
        place = folder / part if part else folder
        by_split[split] = {c: _files(place / c) for c in _subfolders(place)}
    counts: dict[str, int] = {}
    for by_class in by_split.values():
        for class_name, files in by_class.items():
            counts[class_name] = counts.get(class_name, 0) + len(files)
    classes = tuple(sorted((c for c, n in counts.items() if n), key=natural))
    ids = {c: i for i, c in enumerate(classes)}
    base = len(str(folder)) + 1
    items: list[Item] = []
    rows: dict[str, list[int]] = {}
    for split, by_class in by_split.items():
        first = len(items)
        for class_name in classes:
            label = ids[class_name]
            items += [Item(f[base:], f, label) for f in by_class.get(class_name, ())]
        if len(items) > first:
            rows[split] = list(range(first, len(items)))
    notes = [
        f"class {c!r} has no image and is left out" for c, n in sorted(counts.items()) if not n
    ]
    return Dataset(
        name=name,
        source=Source(items, "RGB"),
        rows={split: np.array(r, np.int64) for split, r in rows.items()},
        classes=classes,
        tasks=(Task.CLASSIFY,),
        notes=notes,
        path=str(folder),
        layout="folder",
    )


def write(data: Dataset, out: Path, progress: Progress | None = None) -> None:
    """Write SPLIT/CLASS/FILE; files are copied as they are, arrays become PNG.

    Files that would get one name get their path in it, and after that a number.

    Raises
    ------
    DataError
        When the images have no class.
    """
    if Task.CLASSIFY not in data.tasks:
        raise DataError(f"{data.name} has no class an image, so it cannot be folders of classes")
    names = Names()
    done, total = 0, sum(len(r) for r in data.rows.values())
    for split, rows in data.rows.items():
        for row in rows:
            item = data.source.items[row]
            under = f"{split}/{data.classes[item.label]}"
            whole = item.id.replace("/", "_")  # where two folders of a class have the same name
            copied = place.is_file(item.image)
            name = (
                place.name_of(item.image)
                if place.is_file(item.image)
                else f"{Path(item.id).stem}.png"
            )
            target = out / names.give(
                f"{under}/{name}", f"{under}/{whole}" if copied else f"{under}/{whole}.png"
            )
            target.parent.mkdir(parents=True, exist_ok=True)
            if place.is_file(item.image):
                place.copy(item.image, target)
            else:
                save_png(item, data, target)
            done += 1
            if progress:
                progress(done, total)


def save_png(item: Item, data: Dataset, path: Path) -> None:
    """Save an image that has no file of its own as PNG."""
    images.as_picture(item.read_image(data.mode)).save(path)


def natural(name: str) -> tuple[int, int, str]:
    """Return a sort key by which numbers come by value, before names: 2 before 10."""
    return (0, int(name), name) if name.isdecimal() else (1, 0, name)


def _subfolders(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(
                e.name for e in entries if e.is_dir() and not e.name.startswith((".", "__"))
            )
    except OSError:
        return []


def _files(folder: Path) -> list[str]:
    paths: list[str] = []
    for under, inner, names in os.walk(folder, followlinks=False):
        inner.sort()
        paths += [f"{under}/{n}" for n in sorted(names) if images.is_image(n) and n[0] != "."]
    return paths
