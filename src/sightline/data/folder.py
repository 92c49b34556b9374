"""Read and write ImageFolder: ``train/CLASS/*.jpg``, ``val/...``, ``test/...``, or one level."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from sightline.counting import counted
from sightline.data import images, pairs, place, scan, text
from sightline.data.dataset import Dataset, Source
from sightline.data.item import Item
from sightline.data.naming import Names
from sightline.data.notes import Note, guessed
from sightline.data.split_names import split_of
from sightline.errors import DataError
from sightline.types import Progress, Task

_PLAIN = frozenset((
    "images", "image", "img", "imgs", "pictures", "photos", "jpegimages", "labels", "label",
    "annotations", "annotation", "annots", "annot", "masks", "mask", "gt", "gts", "xml", "json",
    "txt", "obj_train_data", "img_dir", "ann_dir",
))  # fmt: skip
"""What folders of annotated sets are called, and hardly any class."""


_OBJECTS = re.compile(
    r"[\"'](?:shapes?|objects?|annotations?|bbox(?:es)?|box(?:es)?|regions?|polygons?|points|mask"
    r"|xmin|segmentation|landmarks|keypoints)[\"']", re.IGNORECASE,
)  # fmt: skip


def why_not(folder: Path) -> str | None:
    """Return what keeps a folder from being an ImageFolder; None when nothing does."""
    places, parts = _places(folder)
    if not places:
        if parts:
            return f"{parts[0]}/ has no folders of classes"
        return "no folders of classes"
    classes = {c for classes in places.values() for c in classes}
    listed = scan.tree(folder).images
    with_images = {f.split("/")[1 if parts else 0] for f in listed if "/" in f}
    if not classes & with_images:
        return "no image in any folder of a class"
    own = {c for c in classes & with_images if c.casefold() not in _PLAIN}
    if not own:
        plain = sorted(classes & with_images - own)
        return f"{'/, '.join(plain)}/ {'is' if len(plain) == 1 else 'are'} called as no class is"
    return _annotated(folder, listed)


def classes_in(folder: Path) -> int:
    """Count the folders of classes, in all splits together."""
    return len({c for classes in _places(folder)[0].values() for c in classes})


def _places(folder: Path) -> tuple[dict[str, list[str]], list[str]]:
    """Return the folders of classes in each folder of a split ("" for none), and the splits'.

    A folder that is called as a split, but has none of classes in it, is a class where others
    lie beside it: ``train`` beside ``bus`` and ``car``.
    """
    names = scan.subfolders(folder)
    parts = [name for name in names if split_of(name)]
    inside = {part: scan.subfolders(folder / part) for part in parts}
    others = [name for name in names if name not in parts]
    if parts and any(inside.values()) and not (len(others) > 1 and len(parts) == 1
                                               and _holds_images(folder, others)):  # fmt: skip
        return {part: inner for part, inner in inside.items() if inner}, parts
    if parts and not others:
        return {}, parts
    return ({"": names} if names else {}), []


def _holds_images(folder: Path, names: list[str]) -> bool:
    """Tell whether images lie directly in each of some folders."""
    return all(any(map(images.is_image, scan.names_in(folder / name))) for name in names)


def _annotated(folder: Path, listed: list[str]) -> str | None:
    """Return what speaks for annotations of single images; None when nothing does."""
    beside = scan.tree(folder).ending(".xml", ".json", ".txt")
    if 4 * len(beside) < len(listed):
        return None
    stems = {pairs.stem_of(f) for f in listed}
    sidecars = [f for f in beside if pairs.stem_of(f) in stems]
    if 2 * len({pairs.stem_of(f) for f in sidecars}) < len(stems):
        return None
    kinds = sorted({scan.ending_of(f) for f in sidecars})
    if not any(_speaks_of_objects(folder / f) for f in sidecars[:5]):
        return None  # captions, or what a camera or a shop of photographs says
    return (
        f"{counted(len(sidecars), 'file')} ({', '.join(kinds)}) called as the images speak of "
        "annotations, in none of the forms that are read"
    )


def _speaks_of_objects(path: Path) -> bool:
    """Tell whether a file beside an image has rows of numbers, or words of annotations."""
    try:
        page = text.decode(text.read_bytes(path)[: 2**16]).text
    except DataError:
        return False
    if path.suffix.lower() == ".txt":
        first = page.split()[:5]
        return len(first) > 3 and all(w.lstrip("+-").replace(".", "", 1).isdigit() for w in first)
    return path.suffix.lower() == ".xml" or _OBJECTS.search(page) is not None


def read(folder: Path, name: str) -> Dataset:
    """Read an ImageFolder; each folder's name is a class.

    Folders inside a class folder belong to that class. A class without any image is left
    out and said so.

    Raises
    ------
    DataError
        When two folders are the same split.
    """
    places, _ = _places(folder)
    if not places:
        raise DataError(f"{folder} has no folders of classes")
    by_class_of: dict[str, dict[str, list[str]]] = {
        part: {c: [] for c in classes} for part, classes in places.items()
    }
    for file in scan.tree(folder).images:
        part, _, rest = file.partition("/") if "" not in places else ("", "", file)
        class_name, inside, _ = rest.partition("/")
        if inside and class_name in by_class_of.get(part, ()):
            by_class_of[part][class_name].append(f"{folder}/{file}")
    by_split: dict[str, dict[str, list[str]]] = {}
    for part, by_class in by_class_of.items():
        split = split_of(part) or "train"
        if split in by_split:
            raise DataError(f"{folder} has two folders for the split {split!r}; keep one")
        by_split[split] = by_class
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
    said: list[str] = [
        Note(
            f"class {c!r} has no image and is left out", kind="empty-class", severity="warning",
            mend="fill or remove its folder", examples=(c,),
        )
        for c, n in sorted(counts.items()) if not n
    ]  # fmt: skip
    said += [
        guessed(f"{c}/ is read as a class, as it has no folders of classes")
        for c in (places.get("") or ()) if split_of(c)
    ]  # fmt: skip
    return Dataset(
        name=name,
        source=Source(items, "RGB"),
        rows={split: np.array(r, np.int64) for split, r in rows.items()},
        classes=classes,
        tasks=(Task.CLASSIFY,),
        notes=said,
        path=str(folder),
        layout="folder",
    )


def write(data: Dataset, out: Path, progress: Progress | None = None) -> None:
    """Write SPLIT/CLASS/FILE; files are copied as they are, arrays become PNG.

    Files that would get one name get their path in it, and after that a number.

    Raises
    ------
    DataError
        When the images have no class, or one has a name that no folder can have, or that leads
        elsewhere.
    """
    if Task.CLASSIFY not in data.tasks:
        raise DataError(f"{data.name} has no class an image, so it cannot be folders of classes")
    for name in data.classes:
        if not name or name.startswith(".") or any(sign in name for sign in "/\\\0"):
            raise DataError(f"the class {name!r} cannot be the name of a folder; rename it")
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
    return (0, int(name), name) if name.isdecimal() and len(name) < 20 else (1, 0, name)
