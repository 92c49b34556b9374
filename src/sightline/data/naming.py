"""Choose names of new files that no other has, so that none is written over another."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath, PurePosixPath


class Names:
    """Names that were given out: each once, whatever its case and however it is composed.

    Parameters
    ----------
    taken : iterable of str
        Relative paths that must not be given.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = {_key(name) for name in taken}

    @staticmethod
    def differ(names: Sequence[str]) -> bool:
        """Tell whether no two names are the same file's."""
        return len({_key(name) for name in names}) == len(names)

    def give(self, *choices: str) -> str:
        """Return the first choice that is free, else the last one with the first free number.

        The number stands before the ending: ``a/b-2.png``.
        """
        stem, ending = os.path.splitext(choices[-1])  # noqa: PTH122 - a string stays one
        number = 2
        name = next((c for c in choices if _key(c) not in self._taken), "")
        while not name:
            if _key(f"{stem}-{number}{ending}") not in self._taken:
                name = f"{stem}-{number}{ending}"
            number += 1
        self._taken.add(_key(name))
        return name

    def beside(self, picture: str, ending: str) -> str:
        """Return a free name for what belongs to a picture, with its ending where two need it.

        Parameters
        ----------
        picture : str
            Relative path, with ``/``.
        ending : str
            Such as ``.txt``.

        Examples
        --------
        >>> names = Names()
        >>> names.beside("x/a.jpg", ".txt"), names.beside("x/a.png", ".txt")
        ('x/a.txt', 'x/a_png.txt')
        """
        path = PurePosixPath(picture)
        stem = path.with_suffix("")
        return self.give(f"{stem}{ending}", f"{stem}{path.suffix.replace('.', '_')}{ending}")


def pictures(
    files: Sequence[Path], out: Path, ending: str = ".png", given: Sequence[Path] = ()
) -> list[Path]:
    """Name a picture in a new folder for each file, with the folders that tell files apart.

    Files of one folder that is `given` alone keep their path in it; files in the working folder
    keep their path from there; where one lies outside, all keep theirs from the deepest folder
    that they share. Files that differ only in their ending or case keep the ending in the name,
    and after that get a number. No name is that of one of the files.

    Parameters
    ----------
    files : sequence of path
        The inputs, in an order that decides who gets a number.
    out : path
    ending : str
        Of the pictures.
    given : sequence of path
        What the files were found by; default the files themselves.

    Returns
    -------
    list of path
        One a file, in `out`.
    """
    inside = _inside(files, given or files)
    folders = {str(parent) for path in inside for parent in path.parents}
    inputs = {os.path.realpath(file) for file in files}
    names = Names(folders)
    stems = [str(path.with_suffix("")) for path in inside]
    count = Counter(map(_key, stems))
    clash = [count[_key(stem)] > 1 for stem in stems]
    places: dict[int, Path] = {}
    for i in sorted(range(len(files)), key=clash.__getitem__):  # those that clash give way
        kept = inside[i].suffix.replace(".", "_") if clash[i] else ""
        wanted = f"{stems[i]}{kept}{ending}"
        place = out / names.give(wanted)
        while os.path.realpath(place) in inputs:
            place = out / names.give(wanted)
        places[i] = place
    return [places[i] for i in range(len(files))]


def _inside(files: Sequence[Path], given: Sequence[Path]) -> list[PurePath]:
    """Return the paths of files from the folder where their names begin to differ."""
    whole = [PurePath(os.path.abspath(file)) for file in files]  # noqa: PTH100 - links are kept
    paths = [PurePath(os.path.abspath(path)) for path in given]  # noqa: PTH100
    here = Path.cwd()
    if len(given) == 1 and given[0].is_dir():
        base = paths[0]
    elif all(path.is_relative_to(here) for path in paths):
        base = here
    elif len({path.anchor for path in paths}) > 1:  # on several drives
        return [path.relative_to(path.anchor) for path in whole]
    else:
        places = (p if g.is_dir() else p.parent for p, g in zip(paths, given, strict=True))
        base = PurePath(os.path.commonpath([*map(str, places)]))
    return [path.relative_to(base) for path in whole]


def _key(name: str) -> str:
    """Return a name's key: equal for names that the least exact of file systems confuses."""
    return unicodedata.normalize("NFC", name).casefold()
