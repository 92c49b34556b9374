"""Load a data set by its name, from a folder or from an archive."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from sightline.counting import counted
from sightline.data import archive, images, place, splits, store
from sightline.data.annotation import Annotation
from sightline.data.dataset import Dataset
from sightline.errors import DataError, ParameterError, UnknownNameError
from sightline.types import Progress, Task

LAYOUTS = ("coco", "voc", "yolo", "masks", "folder", "webdataset")
"""Formats of folders, asked in this order; each is the module of that name here."""

VAL_SHARE = 0.1
_PROBE = 512


def names() -> dict[str, str]:
    """Return every built-in and downloadable name, with a line about it."""
    from sightline.data.download import CATALOGUE

    embedded = {
        "digits": "handwritten digits, 8x8, 10 classes, 1,797 images (embedded)",
        "shapes": "drawn scenes with boxes and masks (embedded; shapes:count=400,size=128)",
    }
    return embedded | {
        name: f"{card.title} ({card.megabytes:,} MB download)" for name, card in CATALOGUE.items()
    }


def load_data(
    data: str | Path | Dataset,
    *,
    seed: int = 0,
    group: str | None = None,
    layout: str | None = None,
    verify: bool = False,
    strict: bool = True,
    progress: Progress | None = None,
) -> Dataset:
    """Load a data set by name, folder or archive.

    Parameters
    ----------
    data : str, path or Dataset
        ``"digits"``, ``"shapes"`` (also ``"shapes:count=400,size=128,objects=6"``); a
        downloadable name (`names`); a folder as ImageFolder, Pascal VOC, COCO, YOLO,
        images with masks or WebDataset's shards; or a .tar, .tar.gz, .tar.xz or .zip of one.
        A name that is also a folder is the built-in; ``./NAME`` is the folder.
    seed : int
        Of the splits that are made here because the data brings none.
    group : str, optional
        Images of one group are never parted: ``"folder"``, ``"FILE.csv:COLUMN"`` or a
        regular expression on the relative path.
    layout : {"coco", "voc", "yolo", "masks", "folder", "webdataset"}, optional
        Default: recognised by what is there.
    verify : bool
        Decode every cached image again and renew the cache where it differs.
    strict : bool
        Refuse objects whose label is none of the classes; the audit lists them instead.
    progress : callable, optional
        Called with (done, total) while unpacking and decoding.

    Returns
    -------
    Dataset
        With splits ``train``, ``val`` and ``test``: as given, the missing ones made
        (stratified by class, 70/15/15, or a tenth of the training images for validation).

    Raises
    ------
    UnknownNameError
        When it is neither a name nor a path.
    DataError
        When the folder's layout is not recognised (each format's reason is given), or a
        file is broken.

    Examples
    --------
    >>> import sightline
    >>> data = sightline.load_data("digits")
    >>> len(data.train), len(data.val), len(data.test)
    (1258, 269, 270)
    """
    if isinstance(data, Dataset):
        return data
    text = str(data)
    name, _, options = text.partition(":")
    loaded = None if isinstance(data, Path) else _by_name(name, options, seed)
    if loaded is None:
        loaded = _by_path(Path(text).expanduser(), layout, progress)
    elif layout:
        raise ParameterError(f"layout belongs to folders; {name!r} is a built-in name")
    if strict:
        _refuse_unknown_labels(loaded)
    _probe(loaded, progress, verify=verify)
    loaded = _with_splits(loaded, seed, group)
    if "train" in loaded.rows and loaded.task is Task.CLASSIFY:
        loaded.notes += _unlearnable(loaded)
    return loaded


def _by_name(name: str, options: str, seed: int) -> Dataset | None:
    if name in ("digits", "shapes"):
        from sightline.data.builtin import BUILTIN

        return BUILTIN[name](seed=seed, **_options(name, options))
    if name in names():
        from sightline.data import download

        _options(name, options)
        return download.read(name)
    return None


def _options(name: str, text: str) -> dict[str, int]:
    known = {"shapes": ("count", "size", "objects")}.get(name, ())
    values: dict[str, int] = {}
    for part in filter(None, text.split(",")):
        key, _, value = part.partition("=")
        if key not in known:
            raise UnknownNameError(f"option of {name}", key, known or ("(none)",))
        if not value.isdecimal():
            raise ParameterError(f"{name}: {key} is a whole number, not {value!r}")
        values[key] = int(value)
    return values


def _by_path(path: Path, layout: str | None, progress: Progress | None) -> Dataset:
    if not path.exists():
        if path.parent == Path() and path.suffix == "":
            raise UnknownNameError("data set", path.name.partition(":")[0], names())
        raise DataError(f"{path}: no such file or folder, and no built-in data set")
    name = path.name.split(".")[0] or path.resolve().name
    if path.is_file():
        if not archive.is_archive(path):
            raise DataError(
                f"{path} is neither a folder nor an archive ({', '.join(archive.SUFFIXES)})"
            )
        folder = archive.unpack(path, progress)
    else:
        folder = path
    module, others = _module(folder, layout)
    # The path as the user gave it must not decide over the cache, so it is made absolute.
    loaded: Dataset = module.read(folder.resolve(), name)
    if others:
        loaded.notes.append(
            f"read as {loaded.layout}; it can also be read with layout={' or '.join(others)}"
        )
    return loaded


def _module(folder: Path, layout: str | None) -> tuple[ModuleType, list[str]]:
    """Return the module of a folder's layout, and which annotation formats it has beside."""
    if layout is not None:
        if layout not in LAYOUTS:
            raise UnknownNameError("layout", layout, LAYOUTS)
        return _import(layout), []
    reasons = {name: _import(name).why_not(folder) for name in LAYOUTS}
    fitting = [name for name, why in reasons.items() if why is None]
    if fitting:
        return _import(fitting[0]), [n for n in fitting[1:] if n in ("coco", "voc", "yolo")]
    said = "; ".join(f"{name}: {why}" for name, why in reasons.items())
    raise DataError(f"{folder}: not recognised as a data set ({said})")


def _import(layout: str) -> ModuleType:
    return importlib.import_module(f"sightline.data.{layout}")


def _probe(data: Dataset, progress: Progress | None, *, verify: bool) -> None:
    """Find the colour mode, pack small images, and leave out those that cannot be read."""
    source = data.source
    if not source.items:
        raise DataError(f"{data.name}: no image in it")
    if source.packed or not store.on_disk(source.items):
        return
    step = max(1, len(source.items) // _PROBE)
    sizes, grey, opened = set(), 0, 0
    for item in source.items[::step]:
        try:
            assert place.is_file(item.image)
            with images.open_checked(item.image) as image:
                sizes.add((image.height, image.width))
                grey += images.is_grey(image)
                opened += 1
        except DataError:
            continue
    source.mode = "L" if opened and grey == opened else "RGB"
    if len(sizes) != 1 or max(next(iter(sizes))) > store.SMALL_SIDE:
        return
    source.size = next(iter(sizes))
    packed = source.pack(progress=progress)
    if source.mode == "L" and packed.grey + len(packed.unreadable) < len(source.items):
        source.mode = "RGB"
        source.packed.clear()
        packed = source.pack(progress=progress)
    if verify:
        wrong = store.verify(source.items, packed, source.mode, "crop", progress)
        if wrong:
            store.forget(packed)
            source.packed.clear()
            packed = source.pack(progress=progress)
            data.notes.append(
                f"the cache was stale for {counted(len(wrong), 'image')} and was renewed"
            )
    if packed.resized:
        height, width = source.size
        data.notes.append(
            counted(packed.resized, "image was", "images were") + f" resized to {width}x{height}"
        )
    if packed.unreadable:
        data.notes.append(unreadable_note(packed, len(source.items)))
        bad = np.array(sorted(packed.unreadable))
        data.rows = {name: np.setdiff1d(rows, bad) for name, rows in data.rows.items()}
        data.rows = {name: rows for name, rows in data.rows.items() if len(rows)}
        if not data.rows:
            raise DataError(f"{data.name}: none of the {len(source.items)} images can be read")


def unreadable_note(packed: store.Packed, total: int) -> str:
    """Describe in one line the images that cannot be read."""
    return left_out_note(list(packed.unreadable.values()), total)


def left_out_note(reasons: Sequence[str], total: int) -> str:
    """Return one line about images that cannot be read, with the first reasons."""
    more = f" and {len(reasons) - 3} more" if len(reasons) > 3 else ""
    return (
        f"{len(reasons)} of {total:,} images cannot be read and are left out: "
        f"{'; '.join(reasons[:3])}{more}"
    )


def _unlearnable(data: Dataset) -> list[str]:
    """Describe the classes that have images, but none to learn from."""
    names = [name for name, n in data.train.counts().items() if not n]
    if not names:
        return []
    more = " ..." if len(names) > 5 else ""
    return [
        f"no training image of {', '.join(map(repr, names[:5]))}{more}: a model cannot learn "
        f"{'it' if len(names) == 1 else 'them'}"
    ]


def _refuse_unknown_labels(data: Dataset) -> None:
    unknown = [
        label
        for item in data.source.items
        if isinstance(item.annotation, Annotation)
        for label in item.annotation.unknown
    ]
    if unknown:
        raise DataError(
            f"{data.name}: {len(unknown)} objects have a label that is none of the "
            f"{len(data.classes)} classes, first {unknown[0]}; `sightline data audit` lists them, "
            "and a fixed copy leaves them out"
        )


def _with_splits(data: Dataset, seed: int, group: str | None) -> Dataset:
    """Make the splits that the data does not bring."""
    items = data.source.items
    if group is not None:
        for item, name in zip(items, splits.group_of([i.id for i in items], group), strict=True):
            item.group = name
        _refuse_groups_of_classes(data, group)
        data.notes.append(f"images of one group ({group}) stay in one split")
    have = {name: rows for name, rows in data.rows.items() if len(rows)}
    if group is None and {"train", "val", "test"} <= have.keys():
        return data
    if group is not None and len(have) > 1:
        _check_groups(data, have)
    if "train" not in have:
        raise DataError(
            f"{data.name} has only the splits {', '.join(have)}; add train/, or put all "
            "classes side by side and let splits be made"
        )
    if "test" in have or "val" in have:
        if "test" in have and "val" in have:
            return data
        missing = "val" if "test" in have else "test"
        shares = {"train": 1 - VAL_SHARE, missing: VAL_SHARE}
        note = f"{missing} is a tenth of train, by class, seed {seed}"
    else:
        shares = {"train": 0.70, "val": 0.15, "test": 0.15}
        note = f"split 70/15/15 by class, seed {seed}"
    rows = have["train"]
    labels = np.array([items[i].label for i in rows], np.int64)
    groups = None if group is None else [items[i].group for i in rows]
    made = splits.make(rows, labels, shares, seed, groups)
    result = data.with_rows(have | made, note)
    result.seed = seed
    return result


def _refuse_groups_of_classes(data: Dataset, rule: str) -> None:
    """Refuse groups that are the classes: they would leave classes that are never trained on."""
    groups_of: dict[int, set[str | None]] = {}
    for item in data.source.items:
        groups_of.setdefault(item.label, set()).add(item.group)
    if len(groups_of) > 1 and all(len(g) == 1 and None not in g for g in groups_of.values()):
        raise ParameterError(
            f"group={rule!r} makes one group of every class, so that some classes would not "
            "be trained on; group by what the images of several splits must not share"
        )


def _check_groups(data: Dataset, have: dict[str, np.ndarray[Any, Any]]) -> None:
    seen: dict[str, str] = {}
    for split, rows in have.items():
        for row in rows:
            name = data.source.items[int(row)].group
            if name is not None and seen.setdefault(name, split) != split:
                raise DataError(
                    f"{data.name}: the given splits part the group {name!r} "
                    f"({seen[name]} and {split}); put it into one of them"
                )


def check_task(data: Dataset, task: str) -> None:
    """Refuse data whose annotations do not allow a task.

    Raises
    ------
    DataError
    """
    if task not in data.tasks:
        raise DataError(
            f"{data.name} has no annotation for {task}; it serves {', '.join(data.tasks)}"
        )
