"""Read pictures for bulk prediction from folders and Parquet files, on any storage of fsspec."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sightline.data import images, text
from sightline.data.place import MAX_BYTES, check_plain
from sightline.deploy.runtime import Runtime
from sightline.errors import DataError, MissingExtraError, TooLargeError, missing
from sightline.types import Frame

if TYPE_CHECKING:
    import fsspec

COLUMNS = ("bytes", "image", "path", "url")
"""Columns of a Parquet file that may hold images, encoded or by their place; the first is taken."""


HARMLESS = frozenset({"data"})
"""Schemes of URLs that read nothing but themselves."""

_SCHEME = re.compile(r"(data(?=:)|[a-z][a-z0-9+.-]+(?=://))", re.IGNORECASE)


class Place(NamedTuple):
    """The place of a picture: a file, or a row of a Parquet file."""

    path: str
    row: int = -1

    @property
    def name(self) -> str:
        """Return the picture's name in the answers."""
        return text.readable(self.path if self.row < 0 else f"{self.path}#{self.row}")


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
    root : str
        Folder on it that paths in rows lie below.
    runtime : Runtime
        The model whose size pictures are prepared for.
    schemes : sequence of str
        Schemes of URLs in rows that are opened, such as https; file is any path of this machine.
    """

    def __init__(
        self, fs: fsspec.AbstractFileSystem, root: str, runtime: Runtime,
        schemes: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self.fs, self.root, self.runtime = fs, root, runtime
        self.schemes = HARMLESS | {scheme.lower() for scheme in schemes}
        self._lock = Lock()
        self._rows = _Rows("", 0, 0, None)

    def __call__(self, place: Place) -> tuple[NDArray[np.uint8], Frame] | str:
        """Return prepared pixels (H, W, C) and their frame, or the text of the error."""
        try:
            return self.runtime.prepare(self._bytes(place))
        except DataError as error:
            return str(error)
        except OSError as error:
            return f"cannot be read: {error.strerror or _line(error)}"
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this row's alone
            return f"cannot be read: {type(error).__name__}: {_line(error)}"

    def _bytes(self, place: Place) -> bytes:
        if place.row < 0:
            return _fetched(self.fs, place.path)
        value = self._value(place)
        if isinstance(value, dict):  # as Hugging Face's data sets keep images
            value = value.get("bytes") or value.get("path")
        if isinstance(value, str) and value:
            fs, path = self._opened(value, place.path)
            return _fetched(fs, path)
        if not isinstance(value, bytes):
            raise DataError("the row has no image")
        return value

    def _opened(self, value: str, table: str) -> tuple[fsspec.AbstractFileSystem, str]:
        """Return the file system and path of a cell: below the source, or of an allowed scheme.

        A table may come from a stranger, and what it names is read with this machine's rights.
        """
        if "\0" in value:
            raise DataError("the path in the row holds a NUL")
        named = _schemes_in(value)
        ours = {self.fs.protocol} if isinstance(self.fs.protocol, str) else set(self.fs.protocol)
        if set(named) - ours:
            if odd := [scheme for scheme in named if scheme not in self.schemes]:
                raise DataError(
                    f"{value[:200]}: a table opens no {odd[0]}: here; "
                    f"allow_schemes={odd[0]} lets it"
                )
            return storage(value)
        path = self.fs._strip_protocol(value) if named else value.replace("\\", "/")
        if not named and not path.startswith("/"):
            path = f"{table.rpartition('/')[0]}/{path}"
        path = _normal(path)
        if not path.startswith(f"{self.root}/") and not ours & self.schemes:
            raise DataError(
                f"{value[:200]}: lies outside of the source, where a table opens nothing; "
                f"allow_schemes={min(ours)} lets it"
            )
        return self.fs, path

    def _value(self, place: Place) -> Any:
        with self._lock:
            if self._rows.path != place.path or not self._rows.first <= place.row < self._rows.end:
                self._rows = self._group(place)
            held = self._rows
        if isinstance(held.column, str):
            raise DataError(held.column)
        return held.column[place.row - held.first].as_py()

    def _group(self, place: Place) -> _Rows:
        """Read the group of rows that a row lies in; its error, where it cannot be read."""
        import pyarrow.parquet as pq

        first = end = place.row
        try:
            with self.fs.open(place.path, "rb") as file:
                parquet = pq.ParquetFile(file)
                first = end = group = 0
                while True:
                    end += parquet.metadata.row_group(group).num_rows
                    if place.row < end:
                        break
                    first, group = end, group + 1
                name = image_column(place.path, parquet.schema_arrow.names)
                column = parquet.read_row_group(group, [name]).column(0)
        except Exception as error:  # noqa: BLE001 - the rows of other groups may be whole
            return _Rows(place.path, first, max(end, first + 1), f"the table: {_line(error)}")
        return _Rows(place.path, first, end, column)


class _Rows(NamedTuple):
    """A group of rows of a Parquet file: its column of images, or why it cannot be read."""

    path: str
    first: int
    end: int
    column: Any


def _fetched(fs: fsspec.AbstractFileSystem, path: str) -> bytes:
    """Return the bytes of a picture's file."""
    if "file" in fs.protocol:
        check_plain(str(path))
        if (size := os.stat(path).st_size) > MAX_BYTES:  # noqa: PTH116
            raise TooLargeError(f"{path}: {size:,} bytes; at most {MAX_BYTES:,} are read")
    return bytes(fs.cat_file(path))


def root_of(source: str) -> str:
    """Return the folder of a source on its file system: itself, or the one that its table is in."""
    fs, path = storage(source)
    folder: str = path if fs.isdir(path) else path.rpartition("/")[0]
    return folder.rstrip("/")


def _normal(path: str) -> str:
    """Return a path without ``..``; of one that is a URL, too."""
    scheme, mark, rest = path.rpartition("://")
    return scheme + mark + posixpath.normpath(rest)


def _schemes_in(value: str) -> list[str]:
    """Return the schemes that a path or URL names, as ``simplecache::https://...`` names two."""
    parts = value.split("::")
    named = [_SCHEME.match(part) for part in parts]
    if len(parts) == 1:
        return [named[0][1].lower()] if named[0] else []
    return [(n[1] if n else part).lower() for n, part in zip(named, parts, strict=True)]


def _line(error: BaseException) -> str:
    """Return the first line of an error's text."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


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
