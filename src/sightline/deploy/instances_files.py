"""Write objects with masks as files that other programs read: JSON, COCO, CSV and index PNGs."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightline.data import cells, files, naming
from sightline.deploy import detect_files
from sightline.deploy.detect_files import FORMATS, Answered, Format
from sightline.deploy.units import PixelSize
from sightline.types import IGNORE, Instances


def write(
    folder: Path, pictures: Sequence[Answered], kinds: Sequence[str],
    categories: Sequence[int] = (), scale: PixelSize | None = None,
) -> list[Path]:  # fmt: skip
    """Write the answers for pictures in some formats.

    Parameters
    ----------
    folder : path
        Made where it is not there; files of these names in it are written anew.
    pictures : sequence of Answered
    kinds : sequence of str
        json; coco, with run-length codes; csv, a row an object with its area; png, for each picture
        the number of the object of every pixel.
    categories : sequence of int, optional
        COCO's number of each class; default 1, 2, ...
    scale : PixelSize, optional
        Areas are told in its unit beside the pixels.

    Returns
    -------
    list of path
        Files, and the folder of the PNGs.
    """
    formats: dict[str, Format] = {**FORMATS, "csv": partial(_csv, scale=scale), "png": _png}
    return detect_files.write(folder, pictures, kinds, categories, formats)


def _csv(
    folder: Path,
    pictures: Sequence[Answered],
    categories: Sequence[int],
    scale: PixelSize | None,
) -> Path:
    path = folder / "objects.csv"
    with path.open("w", encoding="utf-8-sig", newline="") as file:  # Excel asks for the mark
        rows = csv.writer(file)
        more = (scale.name,) if scale else ()
        rows.writerow(("image", "number", "label", "score", "area_px", *more,
                       "xmin", "ymin", "xmax", "ymax"))  # fmt: skip
        for name, _, answer, _ in pictures:
            for number, (own, score, area, box) in enumerate(
                zip(answer.names, answer.scores, answer.pixels, answer.boxes, strict=True), 1
            ):
                wide = (f"{scale.area(area):.6g}",) if scale else ()
                rows.writerow((
                    cells.quoted(name), number, cells.quoted(own), f"{score:.4f}", int(area), *wide,
                    *(int(v) for v in box.tolist()),
                ))  # fmt: skip
    return path


def _png(folder: Path, pictures: Sequence[Answered], categories: Sequence[int]) -> Path:
    place, names = folder / "masks", naming.Names()
    for name, _, answer, _ in pictures:
        path = place / names.beside(name, ".png")
        values = numbered(answer)
        files.save_index_png(values.astype(np.uint16) if len(answer) >= IGNORE else values, path)
    return place


def numbered(answer: Instances) -> NDArray[np.int32]:
    """Return the number of the object of every pixel, shape (H, W); 0 where there is none.

    Numbers are those of the answer, from 1; where objects overlap, a pixel is the smallest one's.

    Parameters
    ----------
    answer : Instances
    """
    drawn = np.zeros(answer.size, np.int32)
    for i in np.argsort(-answer.pixels, kind="stable").tolist():
        drawn[answer.mask(i)] = i + 1
    return drawn
