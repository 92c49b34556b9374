"""Read a folder of pictures of which nothing is known: for what learns from pictures alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sightline.data import scan
from sightline.data.dataset import Dataset, Source
from sightline.data.item import Item
from sightline.data.split_names import split_of
from sightline.errors import DataError
from sightline.types import Task


def why_not(folder: Path) -> str | None:
    """Return what keeps a folder from being read; None when nothing does."""
    return None if scan.tree(folder).images else "no image"


def read(folder: Path, name: str) -> Dataset:
    """Read every picture in a folder and below it.

    Folders called as splits, train and test for example, are these; else there is one split.

    Raises
    ------
    DataError
        When there is no picture.
    """
    files = scan.tree(folder).images
    if not files:
        raise DataError(f"{folder} holds no image")
    parts = [split_of(file.partition("/")[0]) if "/" in file else None for file in files]
    named = all(parts)
    rows: dict[str, list[int]] = {}
    for row, part in enumerate(parts):
        rows.setdefault(part if named and part else "train", []).append(row)
    return Dataset(
        name=name,
        source=Source([Item(file, f"{folder}/{file}") for file in files], "RGB"),
        rows={split: np.array(r, np.int64) for split, r in rows.items()},
        classes=(),
        tasks=(Task.STYLE,),
        path=str(folder),
        layout="photographs",
    )
