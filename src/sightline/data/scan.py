"""List the files below a folder once, for all formats that want to know what lies there."""

from __future__ import annotations

import collections
import contextlib
import os
import unicodedata
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from sightline.counting import counted
from sightline.data import images
from sightline.errors import DataError

MAX_FILES = 5_000_000
MAX_DEPTH = 64
_HIDDEN = frozenset(("__macosx", "__pycache__", "thumbs.db", "desktop.ini", "ehthumbs.db"))


@dataclass(slots=True)
class Tree:
    """The files below a folder that are not hidden.

    Parameters
    ----------
    root : path
    files : list of str
        Paths relative to the root with ``/``: those of a folder by name, then its folders'.
    """

    root: Path
    files: list[str] = field(default_factory=list)
    _images: list[str] | None = None
    _others: list[str] | None = None
    _named: dict[str, list[str]] | None = None

    @property
    def images(self) -> list[str]:
        """Return the files that are images by their ending."""
        if self._images is None:
            self._images = [f for f in self.files if images.is_image(f)]
        return self._images

    @property
    def others(self) -> list[str]:
        """Return the files that are no images by their ending."""
        if self._others is None:
            self._others = [f for f in self.files if not images.is_image(f)]
        return self._others

    def ending(self, *suffixes: str) -> list[str]:
        """Return the files that are no images and have one of some endings (``.txt``)."""
        return [f for f in self.others if f.lower().endswith(suffixes)]

    def named(self) -> dict[str, list[str]]:
        """Return the whole paths of the images by their own name, composed (NFC)."""
        if self._named is None:
            self._named = {}
            for file in self.images:
                self._named.setdefault(composed(file.rsplit("/", 1)[-1]), []).append(
                    self.path(file)
                )
        return self._named

    def passing(
        self, suffix: str, test: Callable[[Path], bool], most: int = 1000
    ) -> Iterator[Path]:
        """Yield the files of an ending that pass a test, of the first so many."""
        paths = (Path(self.path(file)) for file in self.ending(suffix)[:most])
        return (path for path in paths if test(path))

    def path(self, relative: str) -> str:
        """Return the whole path of a file."""
        return f"{self.root}/{relative}"

    def summary(self) -> str:
        """Say in one line what lies there: folders at the top, and files by their ending."""
        tops = collections.Counter(f.split("/")[0] + "/" for f in self.files if "/" in f)
        kinds = collections.Counter(ending_of(f) or "files without an ending" for f in self.files)
        said = [f"{n:,} {kind}" for kind, n in kinds.most_common(6)]
        where = f" in {', '.join(list(tops)[:6])}{' ...' * (len(tops) > 6)}" if tops else ""
        return f"{', '.join(said) or 'no file'}{where}"


_KEPT: ContextVar[dict[str, Tree] | None] = ContextVar("trees", default=None)


@contextlib.contextmanager
def once() -> Iterator[None]:
    """List each folder once within this context, however many formats ask for it."""
    token = _KEPT.set({})
    try:
        yield
    finally:
        _KEPT.reset(token)


def tree(folder: Path) -> Tree:
    """Return the files below a folder.

    A link to a folder is followed, but links in it are not, so that none leads round for ever.

    Raises
    ------
    DataError
        When there are more than five million.
    """
    kept = _KEPT.get()
    key = str(folder)
    if kept is not None and key in kept:
        return kept[key]
    made = Tree(folder)
    _list(str(folder), "", made.files, linked=False, depth=0)
    if kept is not None:
        kept[key] = made
    return made


def visible(name: str) -> bool:
    """Tell whether a name is neither hidden nor one that an operating system leaves behind."""
    return not name.startswith(".") and name.lower() not in _HIDDEN


def names_in(folder: str | Path) -> list[str]:
    """Return the names in a folder, sorted; none where there is no such folder."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries)
    except OSError:
        return []


def composed(name: str) -> str:
    """Return a name in one piece (NFC), whatever the disk makes of its accents."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def subfolders(folder: Path) -> list[str]:
    """Return the names of the folders in a folder, sorted; hidden ones are passed over."""
    try:
        with os.scandir(folder) as entries:
            return sorted(e.name for e in entries if visible(e.name) and e.is_dir())
    except OSError:
        return []


def ending_of(path: str) -> str:
    """Return a file's ending in small letters with its dot; "" where it has none."""
    name = path.rsplit("/", 1)[-1]
    dot = name.rfind(".")
    return name[dot:].lower() if dot > 0 else ""


def _list(folder: str, before: str, files: list[str], *, linked: bool, depth: int) -> None:
    inner: list[tuple[str, str, bool]] = []
    names: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not visible(entry.name):
                    continue
                if not entry.is_dir():
                    names.append(entry.name)
                elif not (entry.is_symlink() and (linked or _around(entry.path))):
                    inner.append((entry.name, entry.path, linked or entry.is_symlink()))
    except OSError:
        return
    files += [before + name for name in sorted(names)]
    if len(files) > MAX_FILES:
        raise DataError(f"{folder}: more than {counted(MAX_FILES, 'file')}; name a folder below it")
    for name, path, through in sorted(inner) if depth < MAX_DEPTH else ():
        _list(path, f"{before}{name}/", files, linked=through, depth=depth + 1)


def _around(link: str) -> bool:
    """Tell whether a link to a folder leads to one that holds the link."""
    target = os.path.realpath(link)
    here = os.path.realpath(os.path.dirname(link))  # noqa: PTH120 - as it came from scandir
    return here == target or here.startswith(f"{target}/")
