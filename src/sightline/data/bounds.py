"""Keep what a data set names inside its folder: entries of lists, YAML, JSON and tables."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from sightline.data.place import locate
from sightline.errors import DataError

_DRIVE = re.compile(r"[A-Za-z]:[\\/]|\\\\")


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where the files that a data set names may lie.

    Below its folder; of a folder that the user has unpacked also beside it (``../images``);
    elsewhere only where the user allows it.

    Parameters
    ----------
    root : path
        Folder of the data set.
    packed : bool
        Whether it came out of an archive: then nothing leads out of it.
    allowed : bool
        Whether files elsewhere may be read.
    """

    root: Path
    packed: bool = False
    allowed: bool = False

    def find(self, entry: str, places: Iterable[Path | str], said: str) -> str | None:
        """Return the path that an entry names, seen from one of some places; None if none is there.

        Of an absolute path, such as another computer's, the longest end that lies below the
        folder is taken.

        Parameters
        ----------
        entry : str
            As written, with slashes or backslashes.
        places : iterable of path
        said : str
            File (and line) that names it, for the error.

        Raises
        ------
        DataError
            When it leads outside.
        """
        near = [str(place) for place in places]
        for text in dict.fromkeys((entry, entry.replace("\\", "/"))):
            if text.startswith("/") or _DRIVE.match(text):
                path = self._absolute(text, near, said)
            else:
                path = self._relative(text, near, said)
            if path is not None:
                return path
        return None

    def _relative(self, text: str, places: list[str], said: str) -> str | None:
        outside = False
        for place in places:
            there = _there(place, text)
            if there is not None:
                if self._holds(there):
                    return there
                outside = True
        if outside:
            raise self._refused(text, said)
        return None

    def _absolute(self, text: str, places: list[str], said: str) -> str | None:
        parts = [p for p in text.replace("\\", "/").split("/") if p and p not in (".", "..")]
        for first in range(0 if text.startswith("/") else 1, len(parts)):
            tail = "/".join(parts[first:])
            for place in (*places, str(self.root)):
                there = _there(place, tail)
                if there is not None and self._below(there, self.root):
                    return there
        if not _exists(text):
            return None
        if self.allowed or self._below(os.path.normpath(text), self.root):
            return os.path.normpath(text)
        raise self._refused(text, said)

    def _holds(self, path: str) -> bool:
        beside = self.root if self.packed else self.root.parent
        return self.allowed or self._below(path, beside)

    @staticmethod
    def _below(path: str, folder: Path) -> bool:
        return PurePosixPath(path).is_relative_to(PurePosixPath(str(folder)))

    def _refused(self, text: str, said: str) -> DataError:
        if self.packed:
            return DataError(f"{said} names {text!r}, which lies outside the archive")
        return DataError(
            f"{said} names {text!r}, which lies outside {self.root}; move it there, or read it "
            "from where it is with allow_outside=True"
        )


def _there(place: str, text: str) -> str | None:
    """Return the path that a text names below a place, in either form of its accents."""
    try:
        path = locate(place, text)
    except ValueError:  # a zero byte
        return None
    return None if path is None else os.path.normpath(path)


def _exists(path: str) -> bool:
    try:
        return os.path.exists(path)  # noqa: PTH110 - a Path object a file takes longer
    except ValueError:  # a zero byte
        return False
