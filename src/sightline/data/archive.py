"""Unpack a data set from a .tar, .tar.gz, .tar.xz or .zip, without trusting its contents."""

from __future__ import annotations

import collections
import errno
import hashlib
import lzma
import os
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

from sightline.counting import counted
from sightline.data import images, parts, store, text
from sightline.errors import DataError

if TYPE_CHECKING:
    from sightline.types import Progress

SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".zip")
MAX_BYTES = 64 * 2**30
MAX_FILES = 5_000_000
_MAX_DEPTH = 100
_MAX_NAME = 2000
_MAX_HEADER = 2**20
_MAX_HEADERS = 64 * 2**20
_LONG = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE,
         tarfile.SOLARIS_XHDTYPE)  # fmt: skip
_LOCAL_HEADER = 30
_UTF8 = 0x800
_NAMELESS = "left out for want of a name"
_SPECIAL = "left out, as links and devices are"
# What the libraries raise of archives that are broken or made to harm.
_BROKEN = (tarfile.TarError, zipfile.BadZipFile, EOFError, lzma.LZMAError, zlib.error, ValueError,
           IndexError, struct.error, RecursionError, OverflowError)  # fmt: skip


def is_archive(path: Path) -> bool:
    """Tell by its ending whether a file is an archive that can be read."""
    return path.name.lower().endswith(SUFFIXES)


def unpack(path: Path, progress: Progress | None = None) -> Path:
    """Unpack an archive into the cache, once, and return the folder of the data in it.

    Only regular files and folders inside the target come out. A changed archive is
    unpacked anew; an interrupted unpacking leaves nothing behind.

    Raises
    ------
    DataError
        When a name points outside the target, the archive is broken, or what is in it
        exceeds 64 GiB, 5 million files or the free disk.
    """
    key = hashlib.sha256(os.fsencode(store.file_keys([str(path.resolve())])[0])).hexdigest()[:16]
    stem = text.readable(path.name.split(".")[0])[:80]
    target = store.home() / "archives" / f"{stem}-{key}"
    notes = target.with_name(f"{target.name}.txt")
    if not os.path.exists(target):  # noqa: PTH110 - false, too, where it may not be looked at
        try:
            with parts.filling(target) as work:
                zipped = path.name.lower().endswith(".zip")
                said = (_unzip if zipped else _untar)(path, work, progress)
                if said:
                    notes.write_text("\n".join(said), encoding="utf-8")
        except _BROKEN as error:
            why = (str(error).splitlines() or [type(error).__name__])[0].rstrip(":")
            raise DataError(f"{path}: the archive is broken ({why}); fetch it again") from error
        except _TooCostly as error:
            raise DataError(f"{path}: holds {error}; it was not unpacked") from None
        except (NotImplementedError, RuntimeError) as error:
            raise DataError(f"{path}: {error}; unpack it yourself and give the folder") from error
        except OSError as error:
            why = error.strerror or str(error)
            mend = f"; set SIGHTLINE_HOME to a folder that can be written, not {store.home()}"
            refused = isinstance(error, PermissionError) or error.errno == errno.EROFS
            raise DataError(f"cannot unpack {path}: {why}{mend if refused else ''}") from error
    if notes.is_file():
        for line in text.lines(notes):
            text.say(f"{path.name}: {line}")
    return _descend(target)


class _TooCostly(Exception):  # noqa: N818 - what it says of an archive
    """An archive would take far more than it weighs."""


class _Header(tarfile.TarInfo):
    """A header of a tar whose long names, and what else it holds of a file, are of bounded size."""

    def _proc_member(self, tar: tarfile.TarFile) -> Any:
        if self.size < 0:
            raise tarfile.ReadError(f"a member that states {self.size:,} bytes")
        if self.type in _LONG:
            together = getattr(tar, "together", 0) + self.size
            tar.together = together  # type: ignore[attr-defined]
            if self.size > _MAX_HEADER or together > _MAX_HEADERS:
                raise _TooCostly(f"a header of {self.size:,} bytes for one name")
        return super()._proc_member(tar)  # type: ignore[misc]

    def _no_holes(self, *_: Any) -> Any:
        raise NotImplementedError("it holds files with holes (sparse ones)")

    _proc_sparse = _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _no_holes


def _check(path: Path, name: str, size: int, count: int, free: int) -> None:
    pure = PurePosixPath(name.replace("\\", "/"))
    if pure.is_absolute() or ".." in pure.parts or PureWindowsPath(name).drive:
        raise DataError(f"{path}: {name!r} points outside the archive; it was not unpacked")
    if len(pure.parts) > _MAX_DEPTH or len(os.fsencode(name)) > _MAX_NAME:
        raise DataError(
            f"{path}: {name[:60]!r}... lies in {len(pure.parts) - 1:,} folders, or has a name of "
            f"{len(name):,} characters; it was not unpacked"
        )
    if size > MAX_BYTES or count > MAX_FILES:
        raise DataError(
            f"{path}: holds more than {MAX_BYTES >> 30} GiB or {MAX_FILES:,} files; unpack it "
            "yourself and give the folder"
        )
    if size > free:
        raise DataError(
            f"{path}: holds over {size >> 20:,} MiB and {free >> 20:,} MiB are free in "
            f"{store.home()}; set SIGHTLINE_HOME to a larger disk"
        )


def _untar(path: Path, work: Path, progress: Progress | None) -> list[str]:
    """Unpack a tar, and return notes about it."""
    free = shutil.disk_usage(work).free
    total = path.stat().st_size
    size = 0
    left: collections.Counter[str] = collections.Counter()
    with (
        path.open("rb") as raw,
        tarfile.open(fileobj=raw, mode="r:*", tarinfo=_Header) as archive,
    ):
        for count, member in enumerate(archive, 1):
            archive.members = []  # type: ignore[attr-defined]  # else all headers are kept
            size += member.size
            _check(path, member.name, size, count, free)
            if _is_of_a_mac(member.name):
                continue
            if not member.name.strip("./"):
                left[_NAMELESS] += not member.isdir()
            elif member.isfile() or member.isdir():
                archive.extract(member, work, filter="data")
            else:
                left[_SPECIAL] += 1
            if progress and count % 64 == 0:
                progress(min(raw.tell(), total), total)
    if progress:
        progress(total, total)
    return _said(left)


def _unzip(path: Path, work: Path, progress: Progress | None) -> list[str]:
    """Unpack a zip, and return notes about it."""
    free = shutil.disk_usage(work).free
    left: collections.Counter[str] = collections.Counter()
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        _refuse_overlap(members, path.stat().st_size)
        notes = _name(members)
        size = sum(member.file_size for member in members)
        for member in members:
            _check(path, member.filename, size, len(members), free)
        seen = set[str]()
        for count, member in enumerate(members, 1):
            if member.flag_bits & 0x1:
                raise DataError(f"{path} is encrypted; unpack it yourself and give the folder")
            if _is_of_a_mac(member.filename):
                continue
            if not member.filename.strip("./"):
                left[_NAMELESS] += 1
            elif _is_special(member.external_attr):
                left[_SPECIAL] += 1
            else:
                if member.filename in seen and not member.is_dir():
                    left["in the place of an earlier one of the same name"] += 1
                seen.add(member.filename)
                archive.extract(member, work)
            if progress and (count % 64 == 0 or count == len(members)):
                progress(count, len(members))
    return notes + _said(left)


def _refuse_overlap(members: list[zipfile.ZipInfo], length: int) -> None:
    """Refuse a zip whose members share bytes: a few of them would unpack to any size.

    Raises
    ------
    BadZipFile
    """
    end = 0
    for member in sorted(members, key=lambda m: m.header_offset):
        if member.header_offset < end:
            raise zipfile.BadZipFile("entries overlap")
        end = member.header_offset + _LOCAL_HEADER + member.compress_size
    if end > length:
        raise zipfile.BadZipFile("entries are longer than the file")


def _name(members: list[zipfile.ZipInfo]) -> list[str]:
    """Decode the names that a zip does not call UTF-8, and return a note about them.

    Python takes them for CP437, as the format says; programs write what their system has.
    """
    odd = [m for m in members if not m.flag_bits & _UTF8 and not m.orig_filename.isascii()]
    notes = []
    if odd:
        raws = [m.orig_filename.encode("cp437") for m in odd]
        names, encoding = text.decode_names(raws, last="cp437")
        for member, name in zip(odd, names, strict=True):
            member.filename = name.partition("\0")[0]
        if encoding != "UTF-8":
            many = counted(len(odd), "name is", "names are")
            notes.append(f"{many} not called UTF-8, and read as {encoding}: {names[0]}")
    for member in members:
        member.filename = member.filename.replace("\\", "/")
    return notes


def _is_of_a_mac(name: str) -> bool:
    """Tell whether an entry holds what a Mac knows of a file beside its content."""
    return name.startswith("__MACOSX/") or name.rsplit("/", 1)[-1].startswith("._")


def _said(left: collections.Counter[str]) -> list[str]:
    return [counted(n, f"entry {what}", f"entries {what}") for what, n in left.items()]


def _is_special(external_attr: int) -> bool:
    """Tell whether an entry of a zip is a link, a device, a pipe or a socket."""
    return stat.S_IFMT(external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR)


def _descend(folder: Path) -> Path:
    """Return the first folder on the way down that holds more than one folder."""
    while True:
        inside = [
            p for p in folder.iterdir() if not p.name.startswith(".") and p.name != "__MACOSX"
        ]
        if len(inside) != 1 or not inside[0].is_dir():
            return folder
        if any(images.is_image(p.name) for p in inside[0].iterdir()):
            return folder  # one class, not a wrapper
        folder = inside[0]
