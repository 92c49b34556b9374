"""Load a data set by its name, from files, or from what a program holds."""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sightline.counting import counted
from sightline.data import check_boxes, images, place, recognise, splits, store
from sightline.data import text as texts
from sightline.data.annotation import Annotation
from sightline.data.dataset import UNSPLIT, Dataset
from sightline.data.item import Item
from sightline.data.notes import UNUSABLE, Note, guessed, lost
from sightline.errors import (
    DataError,
    ParameterError,
    UnknownNameError,
    wrong_kind,
)
from sightline.types import Progress, Task

VAL_SHARE = 0.1
_PROBE = 512
_NEARLY_ALL = 0.99
"""Share of images of one small size from which on the others are brought to it."""


def load_data(
    data: Any,
    *,
    seed: int = 0,
    group: str | None = None,
    layout: str | None = None,
    root: str | Path | None = None,
    columns: Mapping[str, str] | None = None,
    verify: bool = False,
    strict: bool = True,
    allow_outside: bool = False,
    progress: Progress | None = None,
) -> Dataset:
    """Load a data set by name, from files, or from arrays, tables and other libraries' sets.

    Parameters
    ----------
    data : str, path, Dataset, arrays, table or data set of another library
        ``"digits"``, ``"shapes"`` (also ``"shapes:count=400,size=128,objects=6"``),
        ``"textures"`` (also ``"textures:count=320,size=128"``); a
        downloadable name (`names`); a folder as ImageFolder, Pascal VOC, COCO, YOLO, CVAT,
        LabelMe, Label Studio, images with masks, WebDataset's shards or with a table; or a
        .tar, .tar.gz, .tar.xz or .zip of one; the file that describes it (``data.yaml``,
        COCO's, LabelMe's or Label Studio's ``.json``, CVAT's ``.xml``); a table of paths and
        labels or boxes as ``.csv``, ``.tsv`` or ``.parquet`` (also
        ``"FILE.csv:image=COLUMN,label=COLUMN,root=FOLDER"``); a ``.npz`` file.
        A name that is also a folder is the built-in; ``./NAME`` is the folder.

        In memory: ``(X, y)``, ``((X, y), (X_test, y_test))`` or a dict of them by split, X
        uint8 or float in [0, 1] of shape (N, H, W) or (N, H, W, C), or a list of paths or PIL
        images; a pandas, Polars or PyArrow table; a Hugging Face ``Dataset`` or
        ``DatasetDict``; a PyTorch data set, or a dict of them by split.
    seed : int
        Of the splits that are made here because the data brings none.
    group : str, optional
        Images of one group are never parted: ``"folder"``, ``"FILE.csv:COLUMN"`` or a
        regular expression on the relative path; of a table also one of its columns.
    layout : str, optional
        Of a folder: ``coco``, ``voc``, ``cvat``, ``labelme``, ``label_studio``, ``yolo``,
        ``mvtec``, ``masks``, ``csv``, ``parquet``, ``folder`` or ``webdataset``; default:
        recognised by what is there.
    root : path, optional
        Folder of a table's images; default: that of its file.
    columns : dict of str to str, optional
        Columns of a table that are not called as usual: ``image``, ``label``, ``split``,
        ``group``, ``box`` (one, or four joined by ``+``) and ``form`` (``xyxy``, ``xywh`` or
        ``cxcywh``).
    verify : bool
        Decode every cached image again and renew the cache where it differs.
    strict : bool
        Refuse objects whose label is none of the classes or whose outline is broken; the audit
        lists them instead.
    allow_outside : bool
        Read files that the data names outside its folder. Without it, those of a folder may
        lie below it or beside it (``../images``), those of an archive only in it.
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
    ParameterError
        When it is an object of another kind, or an option does not belong to it.
    DataError
        When the folder's layout is not recognised (each format's reason is given), or a
        file is broken.

    Examples
    --------
    >>> import sightline
    >>> data = sightline.load_data("digits")
    >>> len(data.train), len(data.val), len(data.test)
    (1257, 270, 270)
    """
    if isinstance(data, Dataset):
        return data
    _check_kinds(
        seed=(seed, int | np.integer, "a whole number"), group=(group, str, "text"),
        layout=(layout, str, "a name"), root=(root, str | Path, "a folder"),
        columns=(columns, Mapping, "a dict of names"),
    )  # fmt: skip
    table = recognise.Table(root, columns, group)
    if isinstance(data, str | Path):
        text = str(data)
        name, _, options = text.partition(":")
        loaded = None if isinstance(data, Path) else _by_name(name, options, seed)
        if loaded is not None and layout:
            raise ParameterError(f"layout belongs to folders; {name!r} is a built-in name")
        if loaded is None:
            with texts.noticing() as noticed:
                loaded = recognise.by_path(text, layout, table, progress, allow_outside)
                _spell(loaded)
            loaded.notes += [guessed(line, kind="encoding") for line in noticed]
    else:
        loaded = _from_memory(data, table)
        if layout:
            raise ParameterError("layout belongs to folders; this is data in memory")
    table.refuse_unused(loaded)
    group = table.group
    if strict:
        _refuse_broken(loaded)
    loaded.notes += [*_objects_note(loaded), *check_boxes.check(loaded)]
    _probe(loaded, progress, verify=verify)
    loaded = _with_splits(loaded, seed, group)
    if "train" in loaded.rows and loaded.task is Task.CLASSIFY:
        loaded.notes += _unlearnable(loaded)
    return loaded


def _spell(data: Dataset) -> None:
    """Make names of files text that can be written, and one form of each; classes, too."""
    items = data.source.items
    data.name = texts.readable(texts.names([data.name]).get(data.name, data.name))
    if all(t.isascii() and t.isprintable() for t in (*(item.id for item in items), *data.classes)):
        return
    written = texts.names(part for item in items for part in item.id.split("/"))
    used = set[str]()
    for item in items:
        own = "/".join(texts.readable(written.get(part, part)) for part in item.id.split("/"))
        item.id = texts.readable(item.id) if own in used else own
        used.add(item.id)
    classes = [texts.readable(written.get(name, name)) for name in data.classes]
    data.classes = tuple(dict.fromkeys(classes))
    if len(data.classes) < len(classes):  # folders of one name in two forms
        number = {name: i for i, name in enumerate(data.classes)}
        for item in items:
            item.label = number[classes[item.label]] if item.label >= 0 else item.label
    if data.segmentation_classes:
        data.segmentation_classes = tuple(
            texts.readable(written.get(name, name)) for name in data.segmentation_classes
        )


def _by_name(name: str, options: str, seed: int) -> Dataset | None:
    if name in ("digits", "shapes", "textures"):
        from sightline.data.builtin import BUILTIN

        return BUILTIN[name](seed=seed, **_options(name, options))
    if name in recognise.names():
        from sightline.data import download

        _options(name, options)
        return download.read(name)
    return None


def _options(name: str, text: str) -> dict[str, int]:
    known = {"shapes": ("count", "size", "objects"), "textures": ("count", "size")}.get(name, ())
    values: dict[str, int] = {}
    for part in filter(None, text.split(",")):
        key, _, value = part.partition("=")
        if key not in known:
            raise UnknownNameError(f"option of {name}", key, known or ("(none)",))
        if not value.isdecimal():
            raise ParameterError(f"{name}: {key} is a whole number, not {value!r}")
        values[key] = int(value)
    return values


def _from_memory(data: Any, table: recognise.Table) -> Dataset:
    """Make a data set of what a program holds, whatever library made it.

    Raises
    ------
    ParameterError
        When it is of no kind that is known.
    """
    from sightline.data import arrays, frames, huggingface, torch_data

    if frames.looks_so(data):
        table.take_group(list(getattr(data, "column_names", ())) or list(data.columns))
        return frames.read(data, **table.options())
    if huggingface.looks_so(data):
        return huggingface.read(data, table.options()["named"])
    parts = list(data.values()) if isinstance(data, Mapping) else [data]
    if parts and all(map(torch_data.looks_so, parts)):
        return torch_data.read(data)
    if parts and isinstance(data, Mapping) and all(map(huggingface.looks_so, parts)):
        return huggingface.read(data, table.options()["named"])
    if arrays.looks_so(data):
        return arrays.read(data)
    if hasattr(data, "shape") and hasattr(data, "dtype"):
        raise ParameterError("data is an array without labels; give (X, y)")
    raise wrong_kind(
        "data is a name, a path, (X, y) arrays, a pandas, Polars or PyArrow table, or a data set "
        "of Hugging Face or PyTorch", data,
    )  # fmt: skip


def _check_kinds(**given: tuple[Any, Any, str]) -> None:
    """Refuse an option of another kind than its own; None stands for its default."""
    for name, (value, kinds, words) in given.items():
        if value is not None and (not isinstance(value, kinds) or isinstance(value, bool)):
            raise wrong_kind(f"{name} is {words}", value)


def _probe(data: Dataset, progress: Progress | None, *, verify: bool) -> None:
    """Find the colour mode, pack small images, and leave out those that cannot be read."""
    source = data.source
    if not source.items:
        raise DataError(f"{data.name}: no image in it")
    if source.packed or source.recipe or data.layout == "packed":
        return
    sizes, grey, opened, why = collections.Counter[tuple[int, int]](), 0, 0, ""
    for row in _sampled(len(source.items)):
        item = source.items[row]
        try:
            size, has_no_colour = _look(item)
        except DataError as error:
            why = why or str(error)
            continue
        sizes[size] += 1
        grey += has_no_colour
        opened += 1
    if not opened and not store.on_disk(source.items):
        raise DataError(f"{data.name}: no image of it can be read ({why})")
    source.mode = "L" if opened and grey == opened else "RGB"
    usual, many = sizes.most_common(1)[0] if sizes else ((0, 0), 0)
    if many < _NEARLY_ALL * opened or not 0 < max(usual) <= store.SMALL_SIDE:
        return
    source.size = usual
    packed = source.pack(progress=progress)
    if source.mode == "L" and packed.grey + len(packed.unreadable) < len(source.items):
        source.mode = "RGB"
        source.packed.clear()
        packed = source.pack(progress=progress)
    data.notes += packed.damage_note()
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
        data.notes.append(Note(
            counted(packed.resized, "image was", "images were") + f" resized to {width}x{height}",
            kind="resized", severity="warning", count=packed.resized,
            mend=f"save all images at {width}x{height} pixels, or take the odd ones away",
        ))  # fmt: skip
    if packed.unreadable:
        data.notes.append(unreadable_note(packed, len(source.items)))
        bad = np.array(sorted(packed.unreadable))
        data.rows = {name: np.setdiff1d(rows, bad) for name, rows in data.rows.items()}
        data.rows = {name: rows for name, rows in data.rows.items() if len(rows)}
        if not data.rows:
            first = next(iter(packed.unreadable.values()))
            raise DataError(
                f"{data.name}: none of the {len(source.items)} images can be read, first {first}"
            )


def _sampled(count: int) -> list[int]:
    """Return rows to look at: some at random, as files may alternate in kind; always the same."""
    random = np.random.default_rng(0)
    return sorted(random.choice(count, min(count, _PROBE), replace=False).tolist())


def _look(item: Item) -> tuple[tuple[int, int], bool]:
    """Return the (height, width) of an image, and whether it has no colour."""
    if place.is_file(item.image):
        with images.open_checked(item.image) as image:
            return (image.height, image.width), images.is_grey(image)
    pixels = item.image() if callable(item.image) else np.asarray(item.image)
    return (pixels.shape[0], pixels.shape[1]), pixels.shape[2] == 1


def unreadable_note(packed: store.Packed, total: int) -> str:
    """Describe in one line the images that cannot be read."""
    return left_out_note(list(packed.unreadable.values()), total)


def left_out_note(reasons: Sequence[str], total: int) -> str:
    """Return one line about images that cannot be read, with the first reasons."""
    more = f" and {len(reasons) - 3} more" if len(reasons) > 3 else ""
    return lost(
        f"{len(reasons)} of {total:,} images cannot be read and are left out: "
        f"{'; '.join(reasons[:3])}{more}",
        count=len(reasons), examples=reasons[:5], kind="unreadable", seen=True,
    )  # fmt: skip


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


def _refuse_broken(data: Dataset) -> None:
    """Refuse objects that cannot be used, which the audit would list."""
    for note in data.notes:
        if getattr(note, "kind", "") == UNUSABLE:
            raise DataError(f"{data.name}: {note}; `sightline data audit` names them all")
    annotations = [i.annotation for i in data.source.items if isinstance(i.annotation, Annotation)]
    for said, broken in (
        (f"have a label that is none of the {len(data.classes)} classes",
         [label for a in annotations for label in a.unknown]),
        ("have an outline that cannot be used", [why for a in annotations for why in a.broken]),
    ):  # fmt: skip
        if broken:
            raise DataError(
                f"{data.name}: {len(broken)} objects {said}, first {broken[0]}; `sightline data "
                "audit` lists them, and a fixed copy leaves them out"
            )


def _objects_note(data: Dataset) -> list[Note]:
    """Say that no image has an object, as of a data set whose annotations were not met."""
    if data.task not in (Task.DETECT, Task.INSTANCES) or not data.source.items:
        return []
    if any(getattr(note, "kind", "") == "no-object" for note in data.notes):
        return []
    known = [item.annotation for item in data.source.items]
    if any(callable(a) or (a is not None and (len(a.boxes) or a.instances)) for a in known):
        return []
    return [lost(
        f"no object in any of {counted(len(known), 'image')}", count=len(known), kind="no-object",
        mend="look whether the annotations lie where they are looked for, and name these images",
    )]  # fmt: skip


def _with_splits(data: Dataset, seed: int, group: str | None) -> Dataset:
    """Make the splits that the data does not bring."""
    items = data.source.items
    if group is not None:
        for item, name in zip(items, splits.group_of([i.id for i in items], group), strict=True):
            item.group = name
        _refuse_groups_of_classes(data, group)
        data.notes.append(f"images of one group ({group}) stay in one split")
    grouped = group is not None or any(item.group is not None for item in items)
    have = {name: rows for name, rows in data.rows.items() if len(rows)}
    if not have:
        raise DataError(f"{data.name}: no split has an image")
    data.rows = have
    if grouped and len(have) > 1:
        _check_groups(data, have)
    if {"train", "val", "test"} <= have.keys():
        return data
    if "train" not in have:
        data.notes.append(Note(
            f"there are only the splits {', '.join(have)}, so that nothing can be learned; add "
            "train/, or put all classes side by side and let splits be made", kind=UNSPLIT,
        ))  # fmt: skip
        return data
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
    groups = [items[i].group for i in rows] if grouped else None
    try:
        made = splits.make(rows, labels, shares, seed, groups)
    except DataError as error:  # it can be looked at, checked and converted all the same
        data.notes.append(Note(str(error), kind=UNSPLIT, mend="add images to train on them"))
        return data
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
        if data.layout == recognise.BARE and data.path is not None:
            raise DataError(
                f"{data.path}: nothing is known of its pictures, so that they do not teach {task}; "
                f"{recognise.unrecognised(Path(data.path))}"
            )
        raise DataError(
            f"{data.name} has no annotation for {task}; it serves {', '.join(data.tasks)}"
        )
