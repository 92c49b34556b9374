"""Unpack a data set from a .tar, .tar.gz, .tar.xz or .zip, without trusting its contents."""

from __future__ import annotations

import hashlib
import lzma
import os
import shutil
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING

from sightline.data import images, store
from sightline.errors import DataError

if TYPE_CHECKING:
    from sightline.types import Progress

SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".zip")
MAX_BYTES = 64 * 2**30
MAX_FILES = 5_000_000


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
    stem = path.name.split(".")[0]
    target = store.home() / "archives" / f"{stem}-{key}"
    if not target.exists():
        work = target.with_name(f"{target.name}.{os.getpid()}.part")
        try:
            work.mkdir(parents=True)
            (_unzip if path.name.lower().endswith(".zip") else _untar)(path, work, progress)
            work.rename(target)
        except (
            tarfile.TarError,
            zipfile.BadZipFile,
            EOFError,
            lzma.LZMAError,
            zlib.error,
        ) as error:
            why = (str(error).splitlines() or [type(error).__name__])[0].rstrip(":")
            raise DataError(f"{path}: the archive is broken ({why}); fetch it again") from error
        except NotImplementedError as error:
            raise DataError(f"{path}: {error}; unpack it yourself and give the folder") from error
        except OSError as error:
            raise DataError(f"cannot unpack {path}: {error.strerror or error}") from error
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return _descend(target)


def _check(path: Path, name: str, size: int, count: int, free: int) -> None:
    pure = PurePosixPath(name.replace("\\", "/"))
    if pure.is_absolute() or ".." in pure.parts or PureWindowsPath(name).drive:
        raise DataError(f"{path}: {name!r} points outside the archive; it was not unpacked")
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


def _untar(path: Path, work: Path, progress: Progress | None) -> None:
    free = shutil.disk_usage(work).free
    total = path.stat().st_size
    size = 0
    with path.open("rb") as raw, tarfile.open(fileobj=raw, mode="r:*") as archive:
        for count, member in enumerate(archive, 1):
            size += member.size
            _check(path, member.name, size, count, free)
            if member.isfile() or member.isdir():
                archive.extract(member, work, filter="data")
            if progress and count % 64 == 0:
                progress(min(raw.tell(), total), total)
    if progress:
        progress(total, total)


def _unzip(path: Path, work: Path, progress: Progress | None) -> None:
    free = shutil.disk_usage(work).free
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        size = sum(member.file_size for member in members)
        for member in members:
            _check(path, member.filename, size, len(members), free)
        for count, member in enumerate(members, 1):
            if member.flag_bits & 0x1:
                raise DataError(f"{path} is encrypted; unpack it yourself and give the folder")
            if _is_link(member.external_attr):
                continue
            archive.extract(member, work)
            if progress and (count % 64 == 0 or count == len(members)):
                progress(count, len(members))


def _is_link(external_attr: int) -> bool:
    return (external_attr >> 16) & 0o170000 == 0o120000


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
