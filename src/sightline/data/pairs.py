"""Find the file that belongs to a picture by its name: an annotation, a mask."""

from __future__ import annotations

import collections
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence

from sightline.data import images
from sightline.errors import DataError


def stem_of(path: str) -> str:
    """Return a file's name without folders and ending, NFC and in small letters."""
    name = path.rsplit("/", 1)[-1]
    stem = name[: name.rfind(".")] if name.rfind(".") > 0 else name
    stem = stem[: stem.rfind(".")] if images.is_image(stem) else stem  # photo.jpg.xml
    return unicodedata.normalize("NFC", stem).casefold()


def match(
    pictures: Sequence[str],
    others: Iterable[str],
    stems: Callable[[str], Iterable[str]] | None = None,
) -> dict[str, str]:
    """Return the file of each picture that has one of its name, the nearest folder's first.

    Near is the same folder, then one whose path differs in one folder (``images/train`` and
    ``labels/train``), then any. A file belongs to one picture only.

    Parameters
    ----------
    pictures, others : sequence of str
        Relative paths with ``/``.
    stems : callable, optional
        Returns the names under which another file may belong to a picture; default `stem_of`.

    Raises
    ------
    DataError
        When two files are equally near.
    """
    by_stem: Mapping[str, list[str]] = collections.defaultdict(list)
    for other in others:
        for stem in dict.fromkeys(stems(other)) if stems else (stem_of(other),):
            by_stem[stem].append(other)
    near: list[tuple[int, str, str]] = []
    for picture in pictures:
        near += [
            (_apart(picture, other), picture, other)
            for other in by_stem.get(stem_of(picture), ()) if other != picture
        ]  # fmt: skip
    near.sort(key=lambda entry: entry[0])
    made: dict[str, str] = {}
    distance: dict[str, int] = {}
    taken: set[str] = set()
    for apart, picture, other in near:
        if picture in made:
            if distance[picture] == apart and other not in taken:
                raise DataError(
                    f"{picture} has two files of its name, {made[picture]} and {other}; keep one"
                )
        elif other not in taken:
            made[picture], distance[picture] = other, apart
            taken.add(other)
    return made


def _apart(picture: str, other: str) -> int:
    """Count the folders in which two paths differ."""
    a, b = picture.split("/")[:-1], other.split("/")[:-1]
    if len(a) == len(b):
        return sum(x != y for x, y in zip(a, b, strict=True))
    longer, shorter = (a, b) if len(a) > len(b) else (b, a)
    inside = all(name in longer for name in shorter)
    return (len(longer) - len(shorter)) + (0 if inside else 2)
