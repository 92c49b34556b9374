"""Read a pandas, Polars or PyArrow table of images as a data set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sightline.data import image_table
from sightline.data.dataset import Dataset


def looks_so(data: Any) -> bool:
    """Tell whether an object is such a table; none of the libraries is imported."""
    library = type(data).__module__.partition(".")[0]
    return (library == "pandas" and type(data).__name__ == "DataFrame") or (
        library in ("polars", "pyarrow")
        and type(data).__name__ in ("DataFrame", "LazyFrame", "Table")
    )


def read(data: Any, *, root: Path | None = None, named: Mapping[str, str] | None = None) -> Dataset:
    """Make a data set of a table.

    Parameters
    ----------
    data : pandas.DataFrame, polars.DataFrame or pyarrow.Table
        An index that has a name is a column, too.
    root : path, optional
        What paths of images are relative to; default: the working folder.
    named : mapping of str to str, optional
        Columns; see `sightline.data.columns.ROLES`.

    Raises
    ------
    DataError
        When it is no table of images, or none of its images is there.
    """
    return image_table.read(
        columns_of(data), "table", "the table", root or Path.cwd(), named or {}, "table"
    )


def columns_of(data: Any) -> dict[str, list[Any]]:
    """Return the columns of a table by name; cells without a value are None."""
    library = type(data).__module__.partition(".")[0]
    if library == "pyarrow":
        return dict(data.to_pydict())
    if library == "polars":
        whole = data.collect() if type(data).__name__ == "LazyFrame" else data
        return dict(whole.to_dict(as_series=False))
    if any(name is not None for name in data.index.names):
        data = data.reset_index()
    plain = data.astype(object).where(data.notna(), None)
    return {str(name): list(plain[name]) for name in plain.columns}
