"""Write counts with their nouns: 1 image, 2 images, 1 class, 1,000 classes."""

from __future__ import annotations


def counted(count: int, one: str, several: str | None = None) -> str:
    """Return a count with its noun, or with the rest of its sentence.

    Parameters
    ----------
    count : int
    one : str
        What follows a count of 1.
    several : str, optional
        What follows any other; default: the usual plural of `one`.

    Examples
    --------
    >>> counted(1, "image"), counted(1200, "image"), counted(3, "class")
    ('1 image', '1,200 images', '3 classes')
    >>> counted(1, "file is left out", "files are left out")
    '1 file is left out'
    """
    if count == 1:
        return f"1 {one}"
    ending = "es" if one.endswith(("s", "x", "ch", "sh")) else "s"
    return f"{count:,} {several or one + ending}"
