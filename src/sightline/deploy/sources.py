"""Read pictures for bulk prediction from folders and Parquet files, on any storage of fsspec."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sightline.data import images
from sightline.deploy.runtime import Runtime
from sightline.errors import DataError, MissingExtraError, missing
from sightline.types import Frame

if TYPE_CHECKING:
    import fsspec

COLUMNS = ("bytes", "image", "path", "url")
"""Columns of a Parquet file that may hold images, encoded or by their place; the first is taken."""


class Place(NamedTuple):
    """The place of a picture: a file, or a row of a Parquet file."""

    path: str
    row: int = -1

    @property
    def name(self) -> str:
        """Return the picture's name in the answers."""
        return self.path if self.row < 0 else f"{self.path}#{self.row}"


def listed(source: str) -> list[Place]:
    """List the pictures of a source, sorted, so that every listing cuts the same shards.

    Raises
    ------
    DataError
        When it does not exist, or holds no picture.
    """
    fs, root = storage(source)
    try:
        if fs.isdir(root):
            paths = sorted(fs.find(root))
        elif fs.exists(root):
            paths = [root]
        else:
            raise DataError(missing(str(source), "there is no such file or folder"))
    except OSError as error:
        raise DataError(f"{source} cannot be listed: {error}") from error
    tables = [p for p in paths if p.endswith(".parquet") and p.rsplit("/", 1)[-1][0] not in "._"]
    if tables:
        return [Place(p, row) for p in tables for row in range(rows(fs, p))]
    pictures = [Place(p) for p in paths if images.is_image(p)]
    if not pictures:
        raise DataError(f"{source} holds no image and no Parquet file")
    return pictures


class Reader:
    """Reads and prepares one picture; an error is returned as its text.

    Of a Parquet file one group of rows is held at a time. May be called from several threads.

    Parameters
    ----------
    fs : AbstractFileSystem
    runtime : Runtime
        The model whose size pictures are prepared for.
    """

    def __init__(self, fs: fsspec.AbstractFileSystem, runtime: Runtime) -> None:
        import pyarrow as pa

        self.fs, self.runtime = fs, runtime
        self._lock = Lock()
        self._path, self._first, self._column = "", 0, pa.chunked_array([], pa.string())

    def __call__(self, place: Place) -> tuple[NDArray[np.uint8], Frame] | str:
        """Return prepared pixels (H, W, C) and their frame, or the text of the error."""
        try:
            return self.runtime.prepare(self._bytes(place))
        except DataError as error:
            return str(error)
        except OSError as error:
            return f"cannot be read: {error.strerror or error}"

    def _bytes(self, place: Place) -> bytes:
        if place.row < 0:
            return bytes(self.fs.cat_file(place.path))
        value = self._value(place)
        if isinstance(value, dict):  # as Hugging Face's data sets keep images
            value = value.get("bytes") or value.get("path")
        if isinstance(value, str):
            fs, path = storage(value)
            return bytes(fs.cat_file(path))
        if not isinstance(value, bytes):
            raise DataError("the row has no image")
        return value

    def _value(self, place: Place) -> Any:
        import pyarrow.parquet as pq

        with self._lock:
            here = place.row - self._first
            if self._path != place.path or not 0 <= here < len(self._column):
                with self.fs.open(place.path, "rb") as file:
                    parquet = pq.ParquetFile(file)
                    first, group = 0, 0
                    while place.row >= first + parquet.metadata.row_group(group).num_rows:
                        first += parquet.metadata.row_group(group).num_rows
                        group += 1
                    name = image_column(place.path, parquet.schema_arrow.names)
                    column = parquet.read_row_group(group, [name]).column(0)
                self._path, self._first, self._column = place.path, first, column
                here = place.row - first
            return self._column[here].as_py()


def storage(url: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """Return the file system and the path of a path or URL.

    Raises
    ------
    MissingExtraError, DataError
        When fsspec, or its package for that storage, is not installed.
    """
    try:
        import fsspec
        import pyarrow  # noqa: F401
    except ImportError:
        raise MissingExtraError("bulk prediction", "bulk") from None
    try:
        fs, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise DataError(f"{url}: {error}") from None
    except ValueError as error:
        raise DataError(f"{url}: {error}") from None
    return fs, path


def image_column(path: str, names: Sequence[str]) -> str:
    """Return the name of the column that holds images; a DataError where there is none."""
    for name in COLUMNS:
        if name in names:
            return name
    raise DataError(
        f"{path} has no column of images: one of {', '.join(COLUMNS)} is needed, it has "
        f"{', '.join(names)}"
    )


def rows(fs: fsspec.AbstractFileSystem, path: str) -> int:
    """Count the rows of a Parquet file that has a column of images; else a DataError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with fs.open(path, "rb") as file:
            parquet = pq.ParquetFile(file)
            image_column(path, parquet.schema_arrow.names)
            return int(parquet.metadata.num_rows)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path} is not a readable Parquet file: {error}") from None
