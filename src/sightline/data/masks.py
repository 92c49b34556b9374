"""Read and write images with index PNGs: a class or an object's number for every pixel.

Three layouts: ``images/`` and ``masks/``; ``images/SPLIT`` and ``masks/SPLIT``; ``SPLIT/``
and ``SPLITannot/`` (CamVid's). A mask has its image's stem, or that and ``_mask``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sightline.counting import counted
from sightline.data import draw_masks, files
from sightline.data.annotation import Annotation
from sightline.data.dataset import Dataset, Source
from sightline.data.folder import SPLIT_NAMES
from sightline.data.item import Item
from sightline.errors import DataError
from sightline.types import IGNORE, Progress, Task

Kind = Literal["semantic", "instances"]
IGNORED_NAMES = frozenset(("void", "unlabelled", "unlabeled", "ignore"))
_MASKS = frozenset((".png", ".bmp", ".gif", ".tif", ".tiff"))
_SAMPLE = 16
_NEARLY_ALL = 0.9


class _Pair(NamedTuple):
    image: str
    mask: str


class _Values(NamedTuple):
    """The kind of the masks' values, and what follows from it."""

    kind: Kind
    why: str
    binary: bool


def why_not(folder: Path) -> str | None:
    """Return what keeps a folder from being images with masks; None when nothing does."""
    places = list(_places(folder))
    if not places:
        return "no images/ with masks/, no SPLIT/ with SPLITannot/"
    if not any(files.by_stem(masks, _MASKS) for _, _, masks in places):
        return f"no {places[0][2].relative_to(folder)}/*.png"
    return None


def read(folder: Path, name: str, kind: Kind | None = None) -> Dataset:
    """Read images with masks.

    Where ``images/`` has no folders of splits, the stems in ``train.txt``, ``val.txt`` and
    ``test.txt`` tell them. ``classes.txt`` names the values, a line each from 0, or as
    ``11 unlabelled``; a value named void, unlabelled, unlabeled or ignore is ignored, and
    so is 255. Without it, all masks are read once to find the values.

    Parameters
    ----------
    folder : Path
    name : str
    kind : {"semantic", "instances"}, optional
        What the values are: classes, or numbers of objects. Default: decided by up to
        sixteen masks, and said in `Dataset.notes`. They number objects when in nearly all
        masks the values run 1..n, n differs between masks, and nearly every value is one
        connected part.

    Raises
    ------
    DataError
        When a listed image is missing, an image has no mask, or a mask cannot be read.
    """
    folder = folder.resolve()
    splits, notes = _pairs(folder)
    pairs = list(dict.fromkeys(pair for listed in splits.values() for pair in listed))
    values = _decide([p.mask for p in pairs], kind)
    notes.append(f"mask values are read as {_MEANING[values.kind]}: {values.why}")
    names = _names(folder / "classes.txt")
    ignored: tuple[int, ...] = ()
    if values.kind == "semantic":
        if names is None:
            names, values = _unnamed([p.mask for p in pairs], values, notes)
        ignored = tuple(v for v, n in names.items() if n.lower() in IGNORED_NAMES)
        counted = [v for v in names if v not in ignored]
        classes = tuple(names.get(v, f"class {v}") for v in range(max(counted, default=-1) + 1))
        segmentation = classes
        tasks: tuple[Task, ...] = (Task.SEGMENT,)
    else:
        named = [n for v, n in (names or {}).items() if v or n.lower() != "background"]
        classes = (named[0],) if len(named) == 1 else ("object",)
        segmentation = ("background", *classes)
        tasks = (Task.INSTANCES, Task.DETECT, Task.SEGMENT)
    sizes = files.upright_sizes(p.mask for p in pairs)
    items = []
    for pair, (width, height) in zip(pairs, sizes, strict=True):
        if values.kind == "semantic":
            annotation = Annotation(
                width,
                height,
                semantic=pair.mask,
                semantic_ignore=ignored,
                semantic_binary=values.binary,
            )
        else:
            annotation = Annotation(width, height, instances=pair.mask)
        items.append(Item(pair.image[len(str(folder)) + 1 :], pair.image, annotation=annotation))
    row = {pair: i for i, pair in enumerate(pairs)}
    return Dataset(
        name=name,
        source=Source(items, "RGB"),
        rows={s: np.array([row[p] for p in listed], np.int64) for s, listed in splits.items()},
        classes=classes,
        tasks=tasks,
        segmentation_classes=segmentation,
        notes=notes,
        path=str(folder),
        layout="masks",
    )


def write(data: Dataset, out: Path, progress: Progress | None = None) -> None:
    """Write ``images/SPLIT``, ``masks/SPLIT`` and ``classes.txt``.

    The masks hold the objects' numbers where those are the main task and there is one
    class, else the classes.

    Raises
    ------
    DataError
        When the data has no masks.
    """
    objects = data.task is Task.INSTANCES and len(data.classes) == 1
    if not objects and Task.SEGMENT not in data.tasks:
        raise DataError(f"{data.name} has no masks, so it cannot be images with masks")
    stems = files.stems(data.source.items)
    done, total = 0, sum(len(rows) for rows in data.rows.values())
    for split, rows in data.rows.items():
        for row in rows:
            item = data.source.items[row]
            annotation = item.read_annotation() or Annotation()
            width, height = files.size_of(item, annotation)
            files.put(item, data, out / "images" / split, stems[row], files.WIDELY_READ)
            drawn: NDArray[Any]
            if objects:
                drawn = draw_masks.instance_map(annotation, height, width)
            else:
                names = data.segmentation_classes
                drawn = draw_masks.segmentation(annotation, height, width, names).label_map
            files.save_index_png(drawn, out / "masks" / split / f"{stems[row]}.png")
            done += 1
            if progress:
                progress(done, total)
    text = "".join(f"{v} {name}\n" for v, name in enumerate(data.segmentation_classes))
    (out / "classes.txt").write_text(text, encoding="utf-8")


_MEANING = {"semantic": "classes", "instances": "numbers of objects"}


def _places(folder: Path) -> Iterator[tuple[str | None, Path, Path]]:
    """Yield (split or None, folder of images, folder of masks), in the order of the splits."""
    for pattern, masks_of in (("images/*", "masks/{}"), ("*", "{}annot")):
        folders = {
            SPLIT_NAMES[p.name.lower()]: p
            for p in sorted(folder.glob(pattern))
            if p.name.lower() in SPLIT_NAMES and (folder / masks_of.format(p.name)).is_dir()
        }
        if folders:
            for split in ("train", "val", "test"):
                if split in folders:
                    yield split, folders[split], folder / masks_of.format(folders[split].name)
            return
    if (folder / "images").is_dir() and (folder / "masks").is_dir():
        yield None, folder / "images", folder / "masks"


def _pairs(folder: Path) -> tuple[dict[str, list[_Pair]], list[str]]:
    splits: dict[str, list[_Pair]] = {}
    notes: list[str] = []
    for split, images_folder, masks_folder in _places(folder):
        images = files.by_stem(images_folder)
        masks = files.by_stem(masks_folder, _MASKS)
        paired = {s: masks.get(s) or masks.get(f"{s}_mask") for s in images}
        lists = {split: list(images)} if split else _lists(folder, images)
        for part, stems in lists.items():
            bare = [s for s in stems if paired[s] is None]
            if bare:
                raise DataError(
                    f"{masks_folder}: {len(bare)} of {len(stems)} images have no mask, the first "
                    f"{bare[0]}; add {bare[0]}.png or {bare[0]}_mask.png"
                )
            splits[part] = [_Pair(images[s], str(paired[s])) for s in stems]
        unlisted = len(images.keys() - {s for stems in lists.values() for s in stems})
        if unlisted:
            notes.append(
                counted(
                    unlisted,
                    "image is in no list of a split and is left out",
                    "images are in no list of a split and are left out",
                )
            )
        alone = len(masks) - sum(m is not None for m in paired.values())
        if alone:
            notes.append(
                f"{masks_folder.relative_to(folder)}: "
                + counted(alone, "mask has no image", "masks have no image")
            )
    return {s: kept for s, kept in splits.items() if kept}, notes


def _lists(folder: Path, images: dict[str, str]) -> dict[str, list[str]]:
    paths = {s: folder / f"{s}.txt" for s in ("train", "val", "test")}
    lists = {s: files.lines(path) for s, path in paths.items() if path.is_file()}
    for split, stems in lists.items():
        for number, stem in enumerate(stems, start=1):
            if stem not in images:
                raise DataError(f"{paths[split]}:{number}: no image images/{stem}.*; add it")
    return lists or {"train": list(images)}


def _names(path: Path) -> dict[int, str] | None:
    if not path.is_file():
        return None
    rows = files.lines(path)
    numbered = [re.fullmatch(r"(\d+)[\s:,]+(.+)", row) for row in rows]
    if all(numbered):
        return {int(m[1]): m[2] for m in numbered if m}
    return dict(enumerate(rows))


def _decide(masks: list[str], kind: Kind | None) -> _Values:
    """Decide from some masks whether their values are classes or numbers of objects."""
    step = max(1, len(masks) // _SAMPLE)
    sample = masks[::step][:_SAMPLE]
    with ThreadPoolExecutor(4) as pool:
        looks = list(pool.map(_look, sample))
    seen = frozenset().union(*(values for values, _, _ in looks))
    binary = seen <= {0, IGNORE} and IGNORE in seen
    if kind is not None:
        return _Values(kind, "as was asked for", binary)
    if seen <= {0, 1} or binary:
        return _Values("semantic", f"there are only 0 and {max(seen, default=1)}", binary)
    runs = [v - {0} for v, _, _ in looks]
    running = [len(v) for v in runs if v == set(range(1, len(v) + 1))]
    parts, whole = sum(p for _, p, _ in looks), sum(w for _, _, w in looks)
    look = f"in {len(looks)} masks {whole} of {parts} values are one connected part"
    if (
        len(running) >= _NEARLY_ALL * len(looks)
        and whole >= _NEARLY_ALL * parts
        and (len(set(running)) > 1 or len(looks) == 1)
    ):
        return _Values("instances", f"{look}, and they run from 1 to a number that differs", False)
    return _Values("semantic", f"{look}, and they run from 1 in {len(running)}", False)


def _look(path: str) -> tuple[frozenset[int], int, int]:
    """Return a mask's values; how many are above 0 and not 255; how many of these are one part."""
    from scipy.ndimage import find_objects, label

    values = draw_masks.read_index_png(path)
    objects = np.where(values == IGNORE, 0, values) if values.dtype == np.uint8 else values
    windows = [(v, w) for v, w in enumerate(find_objects(objects), start=1) if w is not None]
    eight = np.ones((3, 3))
    whole = sum(label(objects[w] == v, eight)[1] == 1 for v, w in windows)
    return frozenset(np.unique(values).tolist()), len(windows), whole


def _unnamed(masks: list[str], values: _Values, notes: list[str]) -> tuple[dict[int, str], _Values]:
    """Name the values of all masks by their number."""
    with ThreadPoolExecutor(4) as pool:
        numbers = pool.map(lambda p: np.unique(draw_masks.read_index_png(p)).tolist(), masks)
        seen = {int(v) for some in numbers for v in some}
    binary = seen <= {0, IGNORE} and IGNORE in seen
    if binary or seen <= {0, 1}:
        return {0: "background", 1: "object"}, values._replace(binary=binary)
    largest = max(seen - {IGNORE}, default=0)
    notes.append(
        f"no classes.txt: the values 0 to {largest} are called 'class 0' to 'class {largest}'; "
        "a classes.txt names them, and ignores one that it calls void or unlabelled"
    )
    return {v: f"class {v}" for v in range(largest + 1)}, values._replace(binary=False)
