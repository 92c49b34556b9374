"""Read and write tables of images as CSV: a file, or a folder that holds it with its images.

Comma, semicolon, tab or bar part columns; any encoding is read. A table without a
line of names has image and label, or, as RetinaNet's, image, x1, y1, x2, y2 and label.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sightline.data import cells, columns, files, image_table, images, text
from sightline.data.bounds import Bounds
from sightline.data.dataset import Dataset
from sightline.data.notes import Note
from sightline.data.split_names import split_of
from sightline.errors import DataError
from sightline.types import Progress

SUFFIXES = (".csv", ".tsv")
_TARGET = "labels.csv"
_BARE = {
    2: ("image", "label"),
    3: ("image", "label", "split"),
    6: ("image", "x1", "y1", "x2", "y2", "label"),
}


def why_not(folder_: Path) -> str | None:
    """Return what keeps a folder from being a table with images; None when nothing does."""
    tables = image_table.tables_in(folder_, SUFFIXES)
    if not tables and not _by_folder(folder_):
        return "no .csv file"
    return image_table.why_unfit(folder_, tables, _lists_images)


def read(
    path: Path,
    name: str,
    *,
    root: Path | None = None,
    named: Mapping[str, str] | None = None,
    bounds: Bounds | None = None,
) -> Dataset:
    """Read a table, or those of a folder: one, or one a split (``train.csv``, ``train/NAME.csv``).

    Parameters
    ----------
    path : path
        Of the file or the folder.
    name : str
    root : path, optional
        What paths of images are relative to; default: the table's folder.
    named : mapping of str to str, optional
        Columns; see `sightline.data.columns.ROLES`.
    bounds : Bounds, optional
        Where images may lie; default: anywhere.

    Raises
    ------
    DataError
        When a table is no table of images, or none of its images is there.
    """
    if not path.is_dir():
        return image_table.read(
            read_columns(path), name, str(path), root or path.parent, named or {}, "csv", bounds
        )
    if within := _by_folder(path):
        table = image_table.together({s: _moved(p) for s, p in within.items()}, str(path))
        return image_table.read(table, name, str(path), root or path, named or {}, "csv", bounds)
    every = image_table.tables_in(path, SUFFIXES)
    usable = [p for p in every if _lists_images(p)]
    tables = image_table.by_name(usable)
    splits = {split: p for split, p in tables.items() if split in ("train", "val", "test")}
    where, left = str(path), [p.name for p in every if p not in usable]
    if len(usable) == 1 or not splits:
        if len(usable) > 1:
            names = ", ".join(p.name for p in usable)
            raise DataError(f"{path} has several tables of images ({names}); name one of them")
        where, table = str(usable[0]), read_columns(usable[0])
    else:
        left += [p.name for p in usable if p not in splits.values()]
        table = image_table.together({s: read_columns(p) for s, p in splits.items()}, where)
    data = image_table.read(table, name, where, root or path, named or {}, "csv", bounds)
    if left:
        data.notes.append(
            Note(f"not used: {', '.join(left)}", kind="unused-table", count=len(left))
        )
    return data


def write(data: Dataset, out: Path, progress: Progress | None = None, *, raw: bool = False) -> None:
    """Write ``labels.csv`` (UTF-8 with its mark, which Excel needs) and ``images/SPLIT``.

    Parameters
    ----------
    data : Dataset
    out : path
    progress : callable, optional
    raw : bool
        Leave cells as they are that a spreadsheet would compute; see `cells.quoted`.

    Raises
    ------
    DataError
        When the data has neither classes nor boxes.
    """
    table = image_table.rows_of(data, out, progress)
    with (out / _TARGET).open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(table)
        keep = (lambda cell: cell) if raw else cells.quoted
        writer.writerows(map(keep, row) for row in zip(*table.values(), strict=True))


def read_columns(path: Path) -> dict[str, list[Any]]:
    """Return the columns of a CSV file by name, as text.

    Raises
    ------
    DataError
        When it is empty, a line has other columns than the first, or it is no text.
    """
    page = text.read(path)
    first = next((line for line in page.splitlines() if line.strip()), "")
    delimiter = max(",;\t|", key=first.count)
    try:
        reader = csv.reader(io.StringIO(page, newline=""), delimiter=delimiter)
        rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise DataError(f"{path} is no CSV ({error})") from None
    if not rows:
        raise DataError(f"{path} is empty")
    names = [cell.strip() for cell in rows[0][1]]
    if images.is_image(names[0]) and len(names) in _BARE:
        names = list(_BARE[len(names)])
    else:
        rows = rows[1:]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{path} has the column {twice!r} twice; rename one")
    for number, row in rows:
        if len(row) != len(names):
            raise DataError(f"{path}, line {number}: {len(row)} values for {len(names)} columns")
    return {name: [cells.unquoted(row[i]) for _, row in rows] for i, name in enumerate(names)}


def _by_folder(folder_: Path) -> dict[str, Path]:
    """Return the table in each folder of a split, as Roboflow's ``train/_annotations.csv``.

    None where the folder itself has tables.
    """
    if image_table.tables_in(folder_, SUFFIXES):
        return {}
    inside: dict[str, list[Path]] = {}
    for name in files.names_in(folder_):
        if split := split_of(name):
            tables = image_table.tables_in(folder_ / name, SUFFIXES)
            inside.setdefault(split, []).extend(p for p in tables if _lists_images(p))
    return {split: tables[0] for split, tables in inside.items() if len(tables) == 1}


def _moved(path: Path) -> dict[str, list[Any]]:
    """Return a table that lies beside its images, with their paths from the folder above it."""
    table = read_columns(path)
    image = columns.roles(table, {}, str(path), path.parent).image
    return table | {image: [f"{path.parent.name}/{cell.strip()}" for cell in table[image]]}


def _lists_images(path: Path) -> bool:
    if path.name.lower().startswith("sample_submission"):  # Kaggle's form for answers
        return False
    try:
        return columns.looks_like_images(read_columns(path), strictly=True)
    except DataError:
        return False
