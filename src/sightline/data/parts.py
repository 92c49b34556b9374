"""Fill folders that appear whole or not at all, and remove what killed processes have left.

A folder is filled beside its place under a name that ends in ``.part``, and is locked meanwhile:
the system lets go of the lock however a process ends, so that a part without a lock is nobody's.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

_DAY = 86_400


@contextlib.contextmanager
def filling(target: Path) -> Iterator[Path]:
    """Yield a new folder to fill, which is `target` in the end; several processes may at once.

    Who comes second leaves what the first one made, which is the same. After an error nothing is
    left.

    Raises
    ------
    OSError
        When the place cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    sweep(target.parent)
    work, lock = _locked(target)
    try:
        yield work
        try:
            work.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def sweep(place: Path) -> None:
    """Remove the parts in a folder that no process is filling.

    Where the disk knows no locks, one that has not been written to for a day.
    """
    for part in place.glob("*.part"):
        with contextlib.suppress(OSError):
            lock = os.open(part, os.O_RDONLY)
            try:
                if _take(lock, wait=False) or time.time() - part.stat().st_mtime > _DAY:
                    shutil.rmtree(part, ignore_errors=True)
            except BlockingIOError:
                continue
            finally:
                os.close(lock)


def _locked(target: Path) -> tuple[Path, int | None]:
    """Make a folder beside a target, and lock it; None where the disk knows no locks."""
    while True:
        work = target.with_name(f"{target.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
        work.mkdir()
        try:
            lock = os.open(work, os.O_RDONLY)
        except FileNotFoundError:  # somebody swept it before it was opened
            continue
        if not _take(lock, wait=True):
            os.close(lock)
            return work, None
        if work.exists():  # else somebody swept it before it was locked
            return work, lock
        os.close(lock)


def _take(descriptor: int, *, wait: bool) -> bool:
    """Lock an open folder; False where that is not possible on its disk.

    Raises
    ------
    BlockingIOError
        When another process holds it, and is not waited for.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        raise
    except OSError:
        return False
    return True
