"""Say where the bytes of an image lie: in a file of their own, or at a place inside a tar."""

from __future__ import annotations

import os
import stat
import unicodedata
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeGuard, final

from sightline.errors import DataError, TooLargeError

MAX_BYTES = 2**30
"""An image inside a tar is read whole, so that a larger one is refused."""


@final
@dataclass(frozen=True, slots=True)
class Member:
    """A file inside a tar, which stays packed.

    Parameters
    ----------
    path : str
        Of the tar.
    offset, size : int
        Where its bytes begin, and how many they are.
    name : str
        What the tar calls it; nothing is ever written there.
    """

    path: str
    offset: int
    size: int
    name: str

    def __str__(self) -> str:
        return f"{self.path}:{self.name}"

    def read(self) -> bytes:
        """Return its bytes.

        Raises
        ------
        DataError
            When the tar ends before they do.
        TooLargeError
            When there are more than 1 GiB of them.
        OSError
            When the tar cannot be read.
        """
        if self.size > MAX_BYTES:
            raise TooLargeError(f"{self}: {self.size:,} bytes; at most {MAX_BYTES:,} are read")
        with open(self.path, "rb") as file:  # noqa: PTH123 - a Path object a file takes longer
            file.seek(self.offset)
            content = file.read(self.size)
        if len(content) < self.size:
            raise DataError(f"{self}: the tar was cut short")
        return content


Place = str | Member
"""Path of a file, or a place inside one."""


def is_file(image: Any) -> TypeGuard[Place]:
    """Tell whether an image lies in a file, to be decoded, whether it is all of it or a part."""
    return isinstance(image, str | Member)


def locate(folder: str | Path, name: str) -> str | None:
    """Return the path by which the disk has what a text names below a folder; None: there is none.

    Backslashes are slashes, and a name with accents may be there in one piece or in parts, as a Mac
    writes it.
    """
    slashed = name.replace("\\", "/")
    for form in (name, slashed, *(unicodedata.normalize(f, slashed) for f in ("NFC", "NFD"))):
        path = os.path.join(folder, form)  # noqa: PTH118 - a Path object a file takes longer
        if os.path.exists(path):  # noqa: PTH110
            return path
        if slashed == name and name.isascii():
            return None
    return None


def check_plain(path: str) -> None:
    """Refuse a pipe, a device or a socket, which would be waited for.

    Raises
    ------
    DataError
    """
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - a Path object a file takes longer
    except (OSError, ValueError):
        return  # said when it is opened
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise DataError(f"{path}: is no file, but a pipe or a device")


def name_of(place: Place) -> str:
    """Return the name of a file without its folders."""
    return PurePosixPath(place.name).name if isinstance(place, Member) else Path(place).name


def suffix_of(place: Place) -> str:
    """Return the ending of a file's name, in small letters."""
    return Path(name_of(place)).suffix.lower()


def size_of(place: Place | Path) -> int:
    """Return the bytes of a file; those of a file that is missing are an OSError."""
    return place.size if isinstance(place, Member) else os.stat(place).st_size  # noqa: PTH116


def read(place: Place) -> bytes:
    """Return the bytes of a file; see `Member.read`."""
    return place.read() if isinstance(place, Member) else Path(place).read_bytes()


def copy(place: Place, target: Path) -> None:
    """Copy a file as it is, without its rights and times."""
    if isinstance(place, Member):
        target.write_bytes(place.read())
    else:
        import shutil

        shutil.copyfile(place, target)
