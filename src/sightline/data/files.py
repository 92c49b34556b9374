"""Find, measure and copy the files of a data set."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.data import images, place, scan
from sightline.data.annotation import Annotation
from sightline.data.dataset import Dataset
from sightline.data.folder import save_png
from sightline.data.item import Item
from sightline.data.naming import Names
from sightline.errors import DataError

WIDELY_READ = frozenset((".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"))
"""Endings of image files that the tools of every annotation format open."""

names_in = scan.names_in


def below(path: str, folder: Path) -> str:
    """Return the path of a file relative to a folder, with ``/``."""
    return Path(os.path.relpath(path, folder)).as_posix()


def by_stem(folder: Path, suffixes: Collection[str] = images.SUFFIXES) -> dict[str, str]:
    """Return a folder's files by their name without its ending, composed, in order of name.

    Hidden files are none.

    Raises
    ------
    DataError
        When two files differ only in their ending.
    """
    paths: dict[str, str] = {}
    for name in names_in(folder):
        stem, suffix = unicodedata.normalize("NFC", Path(name).stem), Path(name).suffix
        if suffix.lower() not in suffixes or name.startswith("."):
            continue
        if stem in paths:
            first = Path(paths[stem]).name
            raise DataError(f"{folder}: {first} and {name} differ only in their ending; keep one")
        paths[stem] = f"{folder}/{name}"
    return paths


def upright_size(path: place.Place) -> tuple[int, int]:
    """Return (width, height) in pixels after EXIF rotation; only the file's header is read."""
    with images.open_checked(path) as image:
        width, height = image.size
        try:
            quarter_turn = image.getexif().get(images.ORIENTATION, 1) >= 5
        except (OSError, SyntaxError, ValueError):
            quarter_turn = False  # broken further on, which reading its pixels will tell
    return (height, width) if quarter_turn else (width, height)


def upright_sizes(paths: Iterable[str]) -> list[tuple[int, int]]:
    """Return (width, height) of many files; see `upright_size`.

    Sixteen threads, so that a slow disk is waited for once rather than file by file.
    """
    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(upright_size, paths))


def size_of(item: Item, annotation: Annotation) -> tuple[int, int]:
    """Return (width, height): as the annotation states it, else as the image has it."""
    if annotation.width and annotation.height:
        return annotation.width, annotation.height
    if place.is_file(item.image):
        return upright_size(item.image)
    height, width = item.read_image("RGB").shape[:2]
    return width, height


def stems(items: Sequence[Item]) -> list[str]:
    """Return a unique file name without ending for each image, whatever the case.

    The image's own name where all differ, else its path with ``_`` for ``/``, else that
    with its ending too, and with a number where even those are alike.
    """
    paths = [item.id.replace("\\", "/") for item in items]
    whole = [p.strip("/").replace("/", "_") for p in paths]
    bare = [Path(p).stem for p in whole]
    own = [Path(p).stem for p in paths]
    for names in (own, bare):
        if Names.differ(names):
            return names
    given = Names()
    return [given.give(n.replace(".", "_")) for n in whole]


def put(item: Item, data: Dataset, folder: Path, stem: str, suffixes: Collection[str]) -> Path:
    """Copy an image file as it is where its ending is in `suffixes`, else save it as PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    if place.is_file(item.image):
        suffix = place.suffix_of(item.image)
        if suffix in suffixes:
            target = folder / f"{stem}{suffix}"
            place.copy(item.image, target)
            return target
    target = folder / f"{stem}.png"
    save_png(item, data, target)
    return target


def save_index_png(values: NDArray[Any], path: Path) -> None:
    """Save a map of small integers as PNG: in VOC's colours up to 255, else with 16 bits.

    One of uint16 has 16 bits in any case, so that 255 is an object in it.
    """
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    if values.dtype == np.uint16 or values.max(initial=0) > 255:
        Image.fromarray(values.astype(np.uint16)).save(path)
        return
    image = Image.fromarray(values.astype(np.uint8))
    image.putpalette(_voc_colours())
    image.save(path)


def _voc_colours() -> list[int]:
    """Return the colours of VOC's development kit: the value's bits, dealt to red, green, blue."""
    values = np.arange(256)
    channels = [sum(((values >> (3 * j + c)) & 1) << (7 - j) for j in range(3)) for c in range(3)]
    return [int(v) for v in np.stack(channels, axis=1).ravel()]
