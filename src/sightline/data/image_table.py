"""Make a data set of a table that lists images with labels, splits, groups and boxes."""

from __future__ import annotations

import collections
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.counting import counted
from sightline.data import columns, files, memory
from sightline.data.annotation import Annotation
from sightline.data.bounds import Bounds
from sightline.data.columns import Roles, Table
from sightline.data.dataset import Dataset, Source
from sightline.data.folder import classes_in, natural
from sightline.data.folder import why_not as why_no_classes
from sightline.data.item import Item
from sightline.data.notes import Note, guessed, lost
from sightline.errors import DataError
from sightline.types import Progress, Task

ONLY = "object"
"""Class of boxes that have none."""

_SEPARATORS = ("|", ";", ",", " ")
_LISTING = ("|", ";")
"""Signs that part labels where most cells have one; commas and blanks are parts of names, too."""
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


@dataclass(slots=True)
class _Picture:
    """The rows of one image."""

    id: str
    image: Any
    rows: list[int] = field(default_factory=list)


class _Left:
    """What is left out, by reason: how often, and the first of it."""

    def __init__(self, where: str) -> None:
        self.where = where
        self._first: dict[str, list[str]] = {}

    def add(self, reason: str, example: str) -> None:
        """Note one more of a reason."""
        self._first.setdefault(reason, []).append(example)

    def notes(self, total: int) -> list[Note]:
        """Return a line a reason."""
        return [
            lost(
                f"{self.where}: {len(examples):,} of {total:,} {reason}, first "
                f"{', '.join(examples[:3])}", count=len(examples), examples=examples[:5],
            )
            for reason, examples in self._first.items()
        ]  # fmt: skip


def read(
    table: Table, name: str, where: str, root: Path, named: Mapping[str, str], layout: str,
    bounds: Bounds | None = None,
) -> Dataset:  # fmt: skip
    """Make a data set of a table.

    Parameters
    ----------
    table : mapping of str to sequence
        Columns of equal length.
    name, layout : str
        See `Dataset`.
    where : str
        What errors and notes call the table.
    root : path
        What relative paths are relative to.
    named : mapping of str to str
        Columns that the user has named; see `sightline.data.columns.ROLES`.
    bounds : Bounds, optional
        Where images may lie; default: anywhere.

    Returns
    -------
    Dataset
        With classes of images, with several labels where most have several, or with boxes where
        the table has any.

    Raises
    ------
    DataError
        When the table is empty, no image is there, or a box or a split is none.
    """
    count = len(next(iter(table.values()), ()))
    if not count:
        raise DataError(f"{where} has no row")
    meant = columns.roles(table, named, where, root)
    left = _Left(where)
    pictures = _pictures(table[meant.image], left, root, where, bounds)
    numbers_of = _values(table, meant, pictures, left, where) if meant.value else None
    plain = not meant.box and numbers_of is None
    sets = _label_sets(table, meant, pictures, where) if plain else None
    labels: dict[str, int] = {}
    annotations: dict[str, Annotation] = {}
    if numbers_of is not None:
        classes: tuple[str, ...] = ()
    elif sets is not None:
        classes = tuple(sorted(set().union(*sets.values()), key=natural))
    else:
        made = _boxes if meant.box else _labels
        labels, annotations, classes = made(table, meant, pictures, left, where)
    numbers = {name: i for i, name in enumerate(classes)}
    splits = _splits(table, meant, pictures, left, where)
    items: list[Item] = []
    rows: dict[str, list[int]] = collections.defaultdict(list)
    for picture, split in zip(pictures, splits, strict=True):
        label = labels.get(picture.id, -1)
        value = None if numbers_of is None else numbers_of.get(picture.id)
        if split is None or (plain and sets is None and label < 0):
            continue
        if numbers_of is not None and value is None:
            continue
        group = memory.text_of(table[meant.group][picture.rows[0]]) if meant.group else ""
        rows[split].append(len(items))
        own = None if sets is None else tuple(sorted(numbers[one] for one in sets[picture.id]))
        items.append(
            Item(
                picture.id,
                picture.image,
                label,
                annotations.get(picture.id),
                group or None,
                own,
                value,
            )
        )
    notes: list[str] = [*left.notes(count), *_again(table, meant, pictures, where)]
    if sets is not None and (bare := sum(not own for own in sets.values())):
        notes.append(
            guessed(f"{where}: {counted(bare, 'image')} without a label: none of them applies")
        )
    if not items:
        raise DataError("; ".join(notes) or f"{where} has no image")
    return Dataset(
        name=name,
        source=Source(items, "RGB"),
        rows={
            split: np.array(rows[split], np.int64)
            for split in ("train", "val", "test") if split in rows
        },
        classes=classes,
        tasks=(_task(meant, sets),),
        notes=[*notes, *_said(table, meant)],
        path=str(root),
        layout=layout,
        target=meant.value or "",
    )  # fmt: skip


def _task(meant: Roles, sets: Mapping[str, set[str]] | None) -> Task:
    """Return what a table allows to be asked."""
    if meant.box:
        return Task.DETECT
    if meant.value:
        return Task.REGRESS
    return Task.CLASSIFY if sets is None else Task.MULTILABEL


def _values(
    table: Table, meant: Roles, pictures: Sequence[_Picture], left: _Left, where: str
) -> dict[str, float]:
    """Return the number of each image by its id.

    Raises
    ------
    DataError
        When a cell is no number, or the rows of an image say different ones.
    """
    column = str(meant.value)
    numbers: dict[str, float] = {}
    for picture in pictures:
        own = set[float]()
        for row in picture.rows:
            text = memory.text_of(table[column][row])
            if text and not _NUMBER.fullmatch(text):
                raise DataError(f"{where}, row {row + 1}: {text!r} in {column!r} is no number")
            own |= {float(text)} if text else set()
        if len(own) > 1:
            said = ", ".join(f"{number:g}" for number in sorted(own))
            raise DataError(f"{where}: {picture.id} has several numbers in {column!r}: {said}")
        if own:
            numbers[picture.id] = own.pop()
        else:
            left.add("images have no number and are left out", picture.id)
    return numbers


def _again(table: Table, meant: Roles, pictures: list[_Picture], where: str) -> list[Note]:
    """Return a line about rows that say again what another has said."""
    seen = [
        [tuple(memory.text_of(table[column][row]) for column in table) for row in picture.rows]
        for picture in pictures
        if len(picture.rows) > 1
    ]
    again = [rows[0] for rows in seen if len(set(rows)) < len(rows)]
    count = sum(len(rows) - len(set(rows)) for rows in seen)
    if not count:
        return []
    return [Note(
        f"{where}: " + counted(count, "row says again what another says",
                               "rows say again what another says"),
        kind="duplicate-row", severity="warning", count=count, mend="keep one of each",
        examples=[", ".join(row)[:80] for row in again[:5]],
    )]  # fmt: skip


def _said(table: Table, meant: Roles) -> list[Note]:
    """Return a line that says how the columns were read."""
    parts = [f"images {meant.image!r}"]
    parts += [f"labels {meant.label!r}"] * (meant.label is not None)
    parts += [f"numbers {meant.value!r}"] * (meant.value is not None)
    parts += [f"labels in the {len(meant.one_hot)} columns of 0 and 1"] * bool(meant.one_hot)
    parts += [f"boxes {'+'.join(meant.box)!r} as {meant.form}"] * bool(meant.box)
    parts += [f"splits {meant.split!r}"] * (meant.split is not None)
    parts += [f"groups {meant.group!r}"] * (meant.group is not None)
    named = {meant.image, meant.label, meant.value, meant.split, meant.group, *meant.one_hot,
             *meant.box, *(meant.size or ())}  # fmt: skip
    unused = [repr(column) for column in table if column not in named]
    more = f"; not used: {', '.join(unused[:8])}{' ...' * (len(unused) > 8)}" if unused else ""
    return [guessed(f"columns: {', '.join(parts)}{more}")]


def _pictures(
    cells: Sequence[Any], left: _Left, root: Path, where: str, bounds: Bounds | None
) -> list[_Picture]:
    """Return each image once, with its rows, in the order of the table."""
    finder = columns.Files(root, bounds, where)
    pictures: dict[str, _Picture] = {}
    missing: set[str] = set()
    for row, cell in enumerate(cells):
        if not isinstance(cell, str | Path | int | np.integer | float) and cell is not None:
            key = f"{row:06}"
            pictures[key] = _Picture(key, memory.image_of(cell), [row])
            continue
        written = memory.text_of(cell)
        if not written:
            left.add("rows name no image and are left out", f"row {row + 1}")
        elif written in pictures:
            pictures[written].rows.append(row)
        elif written not in missing:
            path = finder.find(written)
            if path is None:
                missing.add(written)
                if written not in finder.ambiguous:
                    left.add(f"images are missing below {root} and are left out", written)
                else:
                    left.add("images are left out, as several files have their name", written)
            else:
                pictures[written] = _Picture(written, path, [row])
    if not pictures:
        urls = any(re.match(r"\w+://", one) for one in missing)
        help_ = (
            "download them first" if urls else "name their folder: root=..., or FILE:root=FOLDER"
        )
        raise DataError("; ".join(left.notes(len(cells))) + f"; {help_}")
    return list(pictures.values())


def _labels(
    table: Table, meant: Roles, pictures: Sequence[_Picture], left: _Left, where: str
) -> tuple[dict[str, int], dict[str, Annotation], tuple[str, ...]]:
    """Return the class of each image by its id, no annotation, and the classes."""
    said = _said_of(table, meant, pictures, where)
    for key, own in said.items():
        if not own:
            left.add("images have no label and are left out", key)
        elif len(own) > 1:
            example = f"{key} ({', '.join(sorted(own))})"
            left.add("images have several labels and are left out", example)
    plain = {key: next(iter(own)) for key, own in said.items() if len(own) == 1}
    if plain and all(re.fullmatch(r"-?\d+\.0+", name) for name in plain.values()):
        plain = {key: name.partition(".")[0] for key, name in plain.items()}
    classes = tuple(sorted(set(plain.values()), key=natural))
    numbers = {name: i for i, name in enumerate(classes)}
    return {key: numbers[name] for key, name in plain.items()}, {}, classes


def _said_of(
    table: Table, meant: Roles, pictures: Sequence[_Picture], where: str
) -> dict[str, set[str]]:
    """Return the labels that the rows of each image name, by its id."""
    cells = _label_cells(table, meant)
    for row, cell in enumerate(cells):
        if isinstance(cell, float) and cell == cell and not cell.is_integer():
            raise DataError(
                f"{where}, row {row + 1}: {cell} in {meant.label!r} is no class: a label is a "
                "whole number or a name"
            )
    alone = {text for cell in cells if (text := _whole(cell)) is not None}
    listed = _separator(cells)
    return {
        picture.id: {
            one for row in picture.rows for one in _parts_of(cells[row], alone, listed)
        }
        for picture in pictures
    }  # fmt: skip


def _label_sets(
    table: Table, meant: Roles, pictures: Sequence[_Picture], where: str
) -> dict[str, set[str]] | None:
    """Return the labels of each image by its id, where images have several; None: they have one.

    They do where most that have any have several; of columns of 0 and 1 also where a tenth has
    several or none.
    """
    said = _said_of(table, meant, pictures, where)
    several, labelled = (sum(len(own) > n for own in said.values()) for n in (1, 0))
    none = len(said) - labelled if meant.one_hot else 0
    mixed = bool(several and meant.one_hot) and (several + none) * 10 > len(said)
    return said if several * 2 > labelled or mixed else None


def _separator(cells: Sequence[Any]) -> str:
    """Return the sign that parts the labels of most cells; empty where there is none."""
    texts = [memory.text_of(cell) for cell in cells if isinstance(cell, str)]
    known = [text for text in texts if text]
    return next(
        (sign for sign in _LISTING if known and 2 * sum(sign in t for t in known) > len(known)), ""
    )


def _label_cells(table: Table, meant: Roles) -> Sequence[Any]:
    if meant.label is not None:
        return table[meant.label]
    flags = {name: [memory.text_of(v) in ("1", "True") for v in table[name]]
             for name in meant.one_hot}  # fmt: skip
    count = len(table[meant.image])
    return [[name for name in meant.one_hot if flags[name][row]] for row in range(count)]


def _whole(cell: Any) -> str | None:
    """Return a label that is certainly one: of text without separators, or no text at all."""
    if isinstance(cell, list | tuple | np.ndarray):
        return memory.text_of(cell[0]) if len(cell) == 1 else None
    text = memory.text_of(cell)
    return text if text and not any(s in text for s in _SEPARATORS) else None


def _parts_of(cell: Any, alone: set[str], listed: str = "") -> list[str]:
    """Return the labels of a cell: several where each of its parts is also a label alone.

    Where `listed` parts most cells, it parts this one whatever its parts are.
    """
    if isinstance(cell, list | tuple | np.ndarray):
        return [text for one in cell if (text := memory.text_of(one))]
    text = memory.text_of(cell)
    if listed:
        return [part.strip() for part in text.split(listed) if part.strip()]
    for separator in _SEPARATORS:
        parts = [part.strip() for part in text.split(separator) if part.strip()]
        if len(parts) > 1 and set(parts) <= alone:
            return parts
    return [text] if text else []


def _boxes(
    table: Table, meant: Roles, pictures: Sequence[_Picture], left: _Left, where: str
) -> tuple[dict[str, int], dict[str, Annotation], tuple[str, ...]]:
    """Return no class of an image, the annotation of each by its id, and the classes."""
    by_row = [_box_of(table, meant, row, where) for row in range(len(table[meant.image]))]
    size = _size_reader(table, meant)
    values = [box for boxes in by_row for box in boxes]
    if not values:
        raise DataError(f"{where}: the column of boxes {'+'.join(meant.box)} is empty")
    shares = bool(np.min(values) >= 0 and np.max(values) <= 1.0001)
    names: dict[str, list[tuple[str, Sequence[float]]]] = {}
    for picture in pictures:
        names[picture.id] = []
        for row in picture.rows:
            text = memory.text_of(table[meant.label][row]) if meant.label else ONLY
            if by_row[row] and not text:
                left.add("boxes have no label and are left out", f"{picture.id}, row {row + 1}")
            elif by_row[row]:
                names[picture.id] += [(text, box) for box in by_row[row]]
    classes = tuple(sorted({text for own in names.values() for text, _ in own}, key=natural))
    numbers = {text: i for i, text in enumerate(classes)}
    annotations = {}
    for picture in pictures:
        own = names[picture.id]
        width, height = size(picture, shares)
        boxes = np.array([box for _, box in own], np.float64).reshape(-1, 4)
        if shares:
            boxes *= (width, height, width, height)
        annotations[picture.id] = Annotation(
            width, height, as_corners(boxes, meant.form),
            np.array([numbers[text] for text, _ in own], np.int64),
        )  # fmt: skip
    return {}, annotations, classes


def as_corners(boxes: NDArray[np.float64], form: str) -> NDArray[np.float64]:
    """Return boxes of a form, shape (N, 4), as ``xyxy``.

    Examples
    --------
    >>> as_corners(np.array([[10.0, 20, 30, 40]]), "xywh").tolist()
    [[10.0, 20.0, 40.0, 60.0]]
    """
    corners = boxes.copy()
    if form == "cxcywh":
        corners[:, :2] -= corners[:, 2:] / 2
    if form != "xyxy":
        corners[:, 2:] += corners[:, :2]
    return corners


def _box_of(table: Table, meant: Roles, row: int, where: str) -> list[list[float]]:
    """Return the boxes of a row, four numbers each; none where its cells are empty."""
    cells = [table[column][row] for column in meant.box]
    if len(cells) == 4:
        texts = [memory.text_of(cell) for cell in cells]
        if not any(texts):
            return []
        numbers = [float(text) for text in texts if _NUMBER.fullmatch(text)]
    else:
        cell = cells[0]
        if isinstance(cell, str):
            text = memory.text_of(cell)
            numbers = [float(n) for n in _NUMBER.findall(re.sub(r"['\"]\w+['\"]\s*:", "", text))]
        elif cell is None or not len(np.shape(cell)):
            text, numbers = memory.text_of(cell), []
        else:
            flat = np.concatenate([np.ravel(part) for part in cell]) if len(cell) else cell
            text, numbers = str(cell), [float(n) for n in np.ravel(flat)]
        if text in ("", "[]") or (not numbers and text == "[]"):
            return []
    if not numbers or len(numbers) % 4 or not np.isfinite(numbers).all():
        raise DataError(
            f"{where}, row {row + 1}: {', '.join(map(repr, map(str, cells)))} in "
            f"{'+'.join(meant.box)} is no box of four numbers"
        )
    return [numbers[i : i + 4] for i in range(0, len(numbers), 4)]


def _size_reader(table: Table, meant: Roles) -> Callable[[_Picture, bool], tuple[int, int]]:
    """Return a function that says an image's (width, height): as stated, else read where needed."""

    def size(picture: _Picture, needed: bool) -> tuple[int, int]:
        if meant.size is not None:
            stated = [memory.text_of(table[column][picture.rows[0]]) for column in meant.size]
            if all(re.fullmatch(r"\d+(\.0+)?", text) for text in stated):
                return int(float(stated[0])), int(float(stated[1]))
        return files.size_of(Item(picture.id, picture.image), Annotation()) if needed else (0, 0)

    return size


def _splits(
    table: Table, meant: Roles, pictures: Sequence[_Picture], left: _Left, where: str
) -> list[str | None]:
    """Return the split of each image; None where it is to be left out.

    Raises
    ------
    DataError
        When a cell names no split, or the rows of an image name several.
    """
    if meant.split is None:
        return ["train"] * len(pictures)
    cells = table[meant.split]
    splits: list[str | None] = []
    for picture in pictures:
        texts = {memory.text_of(cells[row]) for row in picture.rows}
        own = {columns.split_of(text) for text in texts}
        if texts == {""}:
            left.add("images name no split and are left out", picture.id)
            splits.append(None)
        elif None in own:
            wrong = next(t for t in sorted(texts) if columns.split_of(t) is None)
            raise DataError(
                f"{where}: {picture.id} has {wrong!r} in {meant.split!r}, which is no split; known "
                "are train, val, valid, validation and test"
            )
        elif len(own) > 1:
            raise DataError(f"{where}: {picture.id} is in several splits; keep it in one")
        else:
            splits.append(own.pop())
    return splits


def rows_of(data: Dataset, out: Path, progress: Progress | None = None) -> dict[str, list[Any]]:
    """Write the images of a data set below a folder; return the table that lists them.

    Parameters
    ----------
    data : Dataset
        With classes of images, or boxes.
    out : path
        Images go to ``images/SPLIT``; files are copied as they are, arrays become PNG.

    Returns
    -------
    dict of str to list
        ``path``, ``label``, ``split``, ``group`` where there are any, and of boxes ``xmin``,
        ``ymin``, ``xmax``, ``ymax``, ``width`` and ``height``: one row a box, and one without a
        box for an image that has none.

    Raises
    ------
    DataError
        When the data has neither classes nor boxes.
    """
    detect = data.task is not Task.CLASSIFY
    if detect and Task.DETECT not in data.tasks and Task.INSTANCES not in data.tasks:
        raise DataError(f"{data.name} has neither classes nor boxes, so it cannot be a table")
    names = ("path", "label", "split", *(("xmin", "ymin", "xmax", "ymax", "width", "height")
             if detect else ()))  # fmt: skip
    table: dict[str, list[Any]] = {name: [] for name in names}
    grouped = any(item.group is not None for item in data.source.items)
    if grouped:
        table["group"] = []
    stems = files.stems(data.source.items)
    done, total = 0, sum(len(rows) for rows in data.rows.values())
    for split, rows in data.rows.items():
        for row in rows.tolist():
            item = data.source.items[row]
            path = files.put(item, data, out / "images" / split, stems[row], files.WIDELY_READ)
            about = {"path": path.relative_to(out).as_posix(), "split": split}
            if grouped:
                about["group"] = item.group or ""
            for own in _objects(data, item) if detect else [{"label": _name(data, item.label)}]:
                for name in table:
                    table[name].append((about | own).get(name))
            done += 1
            if progress:
                progress(done, total)
    return table


def _objects(data: Dataset, item: Item) -> list[dict[str, Any]]:
    from sightline.data import draw_masks

    annotation = item.read_annotation() or Annotation()
    width, height = files.size_of(item, annotation)
    objects = draw_masks.resolve(annotation, height, width, data.task is Task.INSTANCES)
    size = {"width": width, "height": height}
    made = [
        {"label": _name(data, label), **size,
         **dict(zip(("xmin", "ymin", "xmax", "ymax"), map(_short, box), strict=True))}
        for box, label in zip(objects.boxes.tolist(), objects.labels.tolist(), strict=True)
    ]  # fmt: skip
    return made or [size]


def _short(value: float) -> float | int:
    """Return a coordinate to four decimals, whole ones as whole numbers."""
    rounded = round(value, 4)
    return int(rounded) if rounded == int(rounded) else rounded


def _name(data: Dataset, label: int) -> str:
    return data.classes[label] if label >= 0 else ""


def why_unfit(
    folder: Path, tables: Sequence[Path], lists_images: Callable[[Path], bool]
) -> str | None:
    """Return what keeps the tables of a folder from being its data; None when nothing does."""
    if tables and not any(lists_images(path) for path in tables):
        return f"{tables[0].name} has no columns of images and labels"
    if why_no_classes(folder) is None and classes_in(folder) > 1:
        return "folders of classes lie beside its table"
    return None


def tables_in(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """Return the tables of some endings in a folder, sorted; not those below it."""
    return [
        folder / name for name in files.names_in(folder)
        if name.lower().endswith(tuple(suffixes)) and not name.startswith((".", "~"))
    ]  # fmt: skip


def together(tables: Mapping[str, Table], where: str) -> dict[str, list[Any]]:
    """Return several tables, each of one split, as one with a column ``split``.

    Raises
    ------
    DataError
        When their columns differ.
    """
    first = next(iter(tables.values()))
    whole: dict[str, list[Any]] = {name: [] for name in (*first, "split")}
    for split, table in tables.items():
        if set(table) - {"split"} != set(first) - {"split"}:
            raise DataError(f"{where}: the tables of its splits have other columns than each other")
        count = len(next(iter(table.values()), ()))
        for name in first:
            whole[name] += table[name]
        if "split" not in first:
            whole["split"] += [split] * count
    return whole


def by_name(paths: Sequence[Path]) -> dict[str, Path]:
    """Return tables by the split that their name holds, such as ``train.csv`` or ``train_labels``.

    Those of no split are called by their path.
    """
    named: dict[str, Path] = {}
    for path in paths:
        words = re.split(r"[-_. ]", path.name.casefold())
        split = next((s for word in words if (s := columns.split_of(word))), str(path))
        named.setdefault(split, path)
    return named


def parsed(text: str) -> dict[str, str]:
    """Return the options behind a table's name: ``image=file,label=species,root=DIR``.

    Raises
    ------
    DataError
        When a part is not NAME=VALUE.
    """
    options: dict[str, str] = {}
    for part in filter(None, text.split(",")):
        key, equals, value = part.partition("=")
        if not equals or not value:
            raise DataError(
                f"{part!r} is not NAME=COLUMN; names are {', '.join(columns.ROLES)}, root"
            )
        options[key.strip()] = value.strip()
    return options
