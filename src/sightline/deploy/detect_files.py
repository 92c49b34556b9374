"""Write detected objects as files that other programs read: JSON, COCO, YOLO text and CSV.

COCO and YOLO are whole data sets apart from the pictures, so that a program for annotating, or
`sightline.load_data`, opens them: answers become a beginning of labels that a person mends.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from sightline.data import cells, naming


class Answered(NamedTuple):
    """A picture that was answered for.

    Attributes
    ----------
    name : str
        Relative path of the picture.
    size : (height, width)
    answer : Detections or Instances
        The objects that are told alone.
    page : mapping
        The same as JSON.
    """

    name: str
    size: tuple[int, int]
    answer: Any
    page: Mapping[str, Any]


Format = Callable[[Path, Sequence[Answered], Sequence[int]], Path]
"""Writes a format into a folder; returns the file, or the folder of several."""


def write(
    folder: Path, pictures: Sequence[Answered], kinds: Sequence[str],
    categories: Sequence[int] = (), formats: Mapping[str, Format] | None = None,
) -> list[Path]:  # fmt: skip
    """Write the answers for pictures in some formats.

    Parameters
    ----------
    folder : path
        Made where it is not there; files of these names in it are written anew.
    pictures : sequence of Answered
    kinds : sequence of str
        Names in `FORMATS`.
    categories : sequence of int, optional
        COCO's number of each class; default 1, 2, ...
    formats : mapping of str to callable
        What writes each format; default: `FORMATS`.

    Returns
    -------
    list of path
        Files, and the folder of YOLO's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    writers = FORMATS if formats is None else formats
    return [writers[kind](folder, pictures, categories) for kind in kinds]


def coco_page(pictures: Sequence[Answered], categories: Sequence[int] = ()) -> dict[str, Any]:
    """Return answers as the JSON of a COCO set; each annotation has its ``score`` too.

    Parameters
    ----------
    pictures : sequence of Answered
    categories : sequence of int, optional
        See `write`.
    """
    classes = pictures[0].answer.classes if pictures else ()
    ids = list(categories) if len(categories) == len(classes) else list(range(1, len(classes) + 1))
    images, annotations = [], list[dict[str, Any]]()
    for number, (name, (height, width), answer, _) in enumerate(pictures, start=1):
        images.append({"id": number, "file_name": name, "width": width, "height": height})
        for row in answer.to_coco(number, categories=ids):
            sides = row["bbox"][2] * row["bbox"][3]
            more = {"area": round(sides, 4), "iscrowd": 0}
            annotations.append(more | row | {"id": len(annotations) + 1})
    return {
        "images": images, "annotations": annotations,
        "categories": [{"id": i, "name": name} for i, name in zip(ids, classes, strict=True)],
    }  # fmt: skip


def _json(folder: Path, pictures: Sequence[Answered], categories: Sequence[int]) -> Path:
    page = [
        {"image": one.name, "width": one.size[1], "height": one.size[0], **one.page}
        for one in pictures
    ]
    return _saved(folder / "objects.json", json.dumps(page, ensure_ascii=False, indent=1))


def _coco(folder: Path, pictures: Sequence[Answered], categories: Sequence[int]) -> Path:
    page = coco_page(pictures, categories)
    return _saved(folder / "coco.json", json.dumps(page, ensure_ascii=False))


def _yolo(folder: Path, pictures: Sequence[Answered], categories: Sequence[int]) -> Path:
    labels, names = folder / "labels", naming.Names()
    for name, (height, width), answer, _ in pictures:
        lines = []
        for label, (x1, y1, x2, y2) in zip(
            answer.labels.tolist(), answer.boxes.astype(float).tolist(), strict=True
        ):
            shares = (x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (
                (y2 - y1) / height
            )  # fmt: skip
            lines.append(" ".join([str(label), *(f"{share:.6g}" for share in shares)]) + "\n")
        _saved(labels / names.beside(name, ".txt"), "".join(lines))
    classes = pictures[0].answer.classes if pictures else ()
    _saved(folder / "classes.txt", "".join(f"{name}\n" for name in classes))
    return labels


def _csv(folder: Path, pictures: Sequence[Answered], categories: Sequence[int]) -> Path:
    path = folder / "objects.csv"
    with path.open("w", encoding="utf-8-sig", newline="") as file:  # Excel asks for the mark
        rows = csv.writer(file)
        rows.writerow(("image", "label", "score", "xmin", "ymin", "xmax", "ymax"))
        for name, _, answer, _ in pictures:
            for own, score, box in zip(answer.names, answer.scores, answer.boxes, strict=True):
                corners = (f"{v:.2f}" for v in box.tolist())
                named = cells.quoted(name), cells.quoted(own)
                rows.writerow((*named, f"{score:.4f}", *corners))
    return path


def _saved(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


FORMATS: Mapping[str, Format] = MappingProxyType(
    {"json": _json, "coco": _coco, "yolo": _yolo, "csv": _csv}
)
"""What writes each format into a folder; it returns the file, or the folder of several."""
