"""Write the classes of pixels as files that other programs read: JSON, index PNG, COCO and CSV.

The index PNGs with ``classes.txt`` beside them are masks as `sightline.load_data` reads them, so
that answers become a beginning of labels that a person mends.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from pycocotools import mask as coco_mask

from sightline.data import cells, files, naming
from sightline.data.draw import is_background
from sightline.data.outlines import codes_of
from sightline.deploy.units import PixelSize
from sightline.types import IGNORE, Segmentation


class Answered(NamedTuple):
    """A picture that was answered for.

    Attributes
    ----------
    name : str
        Relative path of the picture.
    size : (height, width)
    answer : Segmentation
    page : mapping
        The same as JSON.
    """

    name: str
    size: tuple[int, int]
    answer: Segmentation
    page: Mapping[str, Any]


def write(
    folder: Path, pictures: Sequence[Answered], kinds: Sequence[str],
    scale: PixelSize | None = None,
) -> list[Path]:  # fmt: skip
    """Write the answers for pictures in some formats.

    Parameters
    ----------
    folder : path
        Made where it is not there; files of these names in it are written anew.
    pictures : sequence of Answered
    kinds : sequence of str
        Names in `FORMATS`.
    scale : PixelSize, optional
        Areas are told in its unit beside the pixels.

    Returns
    -------
    list of path
        Files, and the folder of the PNGs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return [FORMATS[kind](folder, pictures, scale) for kind in kinds]


def _json(folder: Path, pictures: Sequence[Answered], scale: PixelSize | None) -> Path:
    page = [{"image": one.name, **one.page} for one in pictures]
    return _saved(folder / "classes.json", json.dumps(page, ensure_ascii=False, indent=1))


def _png(folder: Path, pictures: Sequence[Answered], scale: PixelSize | None) -> Path:
    """Write an index PNG for each picture: its values are the classes."""
    masks, names = folder / "masks", naming.Names()
    for name, _, answer, _ in pictures:
        path = masks / names.beside(name, ".png")
        wide = len(answer.classes) > IGNORE  # in 8 bits 255 is none of the classes
        files.save_index_png(answer.label_map.astype(np.uint16 if wide else np.uint8), path)
    classes = pictures[0].answer.classes if pictures else ()
    (folder / "classes.txt").write_text("".join(f"{name}\n" for name in classes), "utf-8")
    return masks


def _coco(folder: Path, pictures: Sequence[Answered], scale: PixelSize | None) -> Path:
    """Write one run-length code for each class of each picture; the background is none, as COCO's.

    The number of a class is that of its pixels in the PNGs, and one.
    """
    classes = pictures[0].answer.classes if pictures else ()
    behind = {i for i, name in enumerate(classes[:1]) if is_background(name)}
    images, annotations = list[object](), list[object]()
    for number, (name, (height, width), answer, _) in enumerate(pictures, start=1):
        images.append({"id": number, "file_name": name, "width": width, "height": height})
        for value, code in codes_of(answer.label_map).items():
            if value in behind:
                continue
            annotations.append({
                "id": len(annotations) + 1, "image_id": number, "category_id": value + 1,
                "segmentation": {"size": [height, width], "counts": code["counts"].decode()},
                "area": int(coco_mask.area(code)), "iscrowd": 0,
                "bbox": [int(side) for side in coco_mask.toBbox(code)],
            })  # fmt: skip
    page = {
        "images": images, "annotations": annotations,
        "categories": [
            {"id": i + 1, "name": name} for i, name in enumerate(classes) if i not in behind
        ],
    }  # fmt: skip
    return _saved(folder / "coco.json", json.dumps(page, ensure_ascii=False))


def _csv(folder: Path, pictures: Sequence[Answered], scale: PixelSize | None) -> Path:
    path = folder / "areas.csv"
    with path.open("w", encoding="utf-8-sig", newline="") as file:  # Excel asks for the mark
        rows = csv.writer(file)
        rows.writerow(("image", "label", "pixels", "share", *([scale.name] if scale else [])))
        for one in pictures:
            for known in one.page["objects"]:
                named = cells.quoted(one.name), cells.quoted(known["label"])
                area = [f"{scale.area(known['pixels']):.6g}"] if scale else []
                rows.writerow((*named, known["pixels"], f"{known['share']:.6f}", *area))
    return path


def _saved(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


FORMATS: Mapping[str, Callable[[Path, Sequence[Answered], PixelSize | None], Path]] = (
    MappingProxyType({"json": _json, "png": _png, "coco": _coco, "csv": _csv})
)
"""What writes each format into a folder; it returns the file, or the folder of several."""
