"""Read and write tables of images as Parquet: of paths, or with the pictures inside."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sightline.data import cells, columns, image_table
from sightline.data.bounds import Bounds
from sightline.data.dataset import Dataset
from sightline.errors import DataError, MissingExtraError
from sightline.types import Progress

SUFFIXES = (".parquet", ".pq")
_TARGET = "labels.parquet"


def why_not(folder_: Path) -> str | None:
    """Return what keeps a folder from being Parquet files of images; None when nothing does."""
    if not (tables := image_table.tables_in(folder_, SUFFIXES)):
        return "no .parquet file"
    try:
        return image_table.why_unfit(folder_, tables, _lists_images)
    except MissingExtraError as error:
        return str(error)


def read(
    path: Path,
    name: str,
    *,
    root: Path | None = None,
    named: Mapping[str, str] | None = None,
    bounds: Bounds | None = None,
) -> Dataset:
    """Read a file, or a folder of them: their names may hold a split; see `sightline.data.csv`.

    Raises
    ------
    DataError
        When it is no table of images, or none of its images is there.
    MissingExtraError
        When pyarrow is not installed.
    """
    if not path.is_dir():
        table = read_columns(path)
        return image_table.read(
            table, name, str(path), root or path.parent, named or {}, "parquet", bounds
        )
    parts: dict[str, dict[str, list[Any]]] = {}
    for one in image_table.tables_in(path, SUFFIXES):
        if not _lists_images(one):
            continue
        split = next(iter(image_table.by_name([one])))
        own = read_columns(one)
        before = parts.setdefault(split if split in ("train", "val", "test") else "train", own)
        if before is not own:  # several shards of one split
            for column in before:
                before[column] += own[column]
    table = image_table.together(parts, str(path)) if len(parts) > 1 else next(iter(parts.values()))
    return image_table.read(table, name, str(path), root or path, named or {}, "parquet", bounds)


def write(data: Dataset, out: Path, progress: Progress | None = None, *, raw: bool = False) -> None:
    """Write ``labels.parquet`` and ``images/SPLIT``.

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
    MissingExtraError
        When pyarrow is not installed.
    """
    arrow = _parquet()
    import pyarrow

    table = image_table.rows_of(data, out, progress)
    if not raw:
        table = {name: cells.quoted(values) for name, values in table.items()}
    numbers = {name: pyarrow.float64() for name in ("xmin", "ymin", "xmax", "ymax")}
    made = {
        name: pyarrow.array(
            values if name in numbers or name in ("width", "height") else [v or "" for v in values],
            numbers.get(name),
        )
        for name, values in table.items()
    }
    arrow.write_table(pyarrow.table(made), out / _TARGET)


def read_columns(path: Path) -> dict[str, list[Any]]:
    """Return the columns of a Parquet file by name.

    Raises
    ------
    DataError
        When it cannot be read.
    MissingExtraError
        When pyarrow is not installed.
    """
    arrow = _parquet()
    try:
        table: dict[str, list[Any]] = arrow.read_table(path).to_pydict()
    except (OSError, ValueError, KeyError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path} is no readable Parquet file ({first})") from None
    return {
        name: [cells.unquoted(value) for value in values]
        for name, values in table.items()
        if not name.startswith("__index_level")
    }


def _lists_images(path: Path) -> bool:
    arrow = _parquet()
    try:
        names = arrow.read_schema(path).names
    except (OSError, ValueError):
        return False
    return columns.looks_like_images(dict.fromkeys(names, ()), strictly=True)


def _parquet() -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("a Parquet file", "tables") from error
    return pyarrow.parquet
