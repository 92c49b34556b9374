"""Convert a data set from one annotation format to another, whole or not at all."""

from __future__ import annotations

import importlib
import os
import shutil
from pathlib import Path
from types import ModuleType
from typing import Literal, get_args

from sightline.counting import counted
from sightline.data import folder, masks, mvtec
from sightline.data.dataset import Dataset
from sightline.errors import DataError, ParameterError, UnknownNameError
from sightline.types import Progress, Task

Target = Literal["coco", "voc", "yolo", "folder", "webdataset", "csv", "parquet"]
TARGETS: tuple[Target, ...] = get_args(Target)
"""What can be written; each is the module of that name here."""


def convert(
    data: Dataset, out: str | Path, to: Target, progress: Progress | None = None, *,
    raw: bool = False,
) -> list[str]:  # fmt: skip
    """Write a data set in another format.

    Parameters
    ----------
    data : Dataset
    out : path
        A folder that does not exist or is empty. It appears when all is written: until
        then the files lie in a folder beside it, which is removed when anything fails.
    to : {"coco", "voc", "yolo", "folder", "webdataset", "csv", "parquet"}
        ``folder`` is SPLIT/CLASS/FILE for classes of images, of defects with ``ground_truth/KIND``
        for their masks, and ``images/SPLIT`` with ``masks/SPLIT`` for masks; ``webdataset`` is
        shards SPLIT-000000.tar of classes; ``csv`` and ``parquet`` are a table of paths with labels
        or boxes, and its images.
    progress : callable, optional
        Called with (images done, images in all).
    raw : bool
        Of csv and parquet: leave cells as they are that a spreadsheet would compute, as ``=1+1``;
        else an apostrophe stands before them, which reading takes away again.

    Returns
    -------
    list of str
        What the format could not hold.

    Raises
    ------
    UnknownNameError
        When there is no such format.
    ParameterError
        When `raw` is asked for a format that has no cells.
    DataError
        When `out` is not empty, or the format cannot hold what the data is annotated with.
    """
    if to not in TARGETS:
        raise UnknownNameError("format", to, TARGETS)
    if raw and to not in ("csv", "parquet"):
        raise ParameterError(f"raw=True is for csv and parquet, not for {to}")
    out = Path(out)
    if out.suffix.lower() == f".{to}":
        raise DataError(
            f"{out} is to be a folder, with labels.{to} and the images in it; name it without .{to}"
        )
    check_target(out)
    module = importlib.import_module(f"sightline.data.{to}")
    if to == "folder":
        module = _folder_kind(data)
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    partial.mkdir(parents=True)
    try:
        module.write(data, partial, progress, **({"raw": True} if raw else {}))
        if out.exists():
            out.rmdir()
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return lost(data, to)


def check_target(out: Path) -> None:
    """Refuse a target folder that is not empty, before anything is read.

    Raises
    ------
    DataError
        When it is not empty, or is a file.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out} is not an empty folder; give a new one")


def target_of(data: Dataset) -> Target:
    """Return the format to write a data set in so that it stays what it is: its own, where it is
    one that is written, else one that holds its annotations.
    """
    plain: Target = "coco" if data.task in (Task.DETECT, Task.INSTANCES) else "folder"
    return next((target for target in TARGETS if target == data.layout), plain)


def lost(data: Dataset, to: Target) -> list[str]:
    """List what the target format cannot hold of the annotations."""
    read = [item.read_annotation() for split in data.splits.values() for item in split.items]
    annotations = [a for a in read if a is not None]
    crowd = sum(int(a.crowd.sum()) for a in annotations if a.crowd is not None)
    difficult = sum(int(a.difficult.sum()) for a in annotations if a.difficult is not None)
    beside = sum(a.instances is not None and len(a.boxes) > 0 for a in annotations)
    said = []
    if to == "folder" and Task.SEGMENT in data.tasks and Task.CLASSIFY not in data.tasks:
        if Task.DETECT in data.tasks and not _is_numbers(data):
            said.append("the boxes, and which object a pixel belongs to")
        return said
    if to == "webdataset" and annotations:
        return ["the boxes and masks"]
    if to in ("csv", "parquet"):
        if data.task is Task.CLASSIFY:
            return ["the boxes and masks"] if annotations else []
        said += ["the outlines"] if any(a.masked for a in annotations) else []
        said += [f"the crowd mark of {crowd} objects, written as plain ones"] if crowd else []
    if crowd and to == "voc":
        said.append(f"the crowd mark of {counted(crowd, 'object')}, written as plain")
    if crowd and to == "yolo":
        said.append(f"{counted(crowd, 'crowd')}, left out")
    if difficult and to != "voc":
        said.append(f"the mark of {difficult} difficult objects, written as plain ones")
    if beside and to in ("coco", "yolo") and data.task is not Task.INSTANCES:
        said.append(f"the index PNGs of {counted(beside, 'image')}, as boxes stand apart from them")
    return said


def _is_numbers(data: Dataset) -> bool:
    return data.task is Task.INSTANCES and len(data.classes) == 1


def _folder_kind(data: Dataset) -> ModuleType:
    if Task.CLASSIFY in data.tasks:
        return folder
    if Task.ANOMALY in data.tasks:
        return mvtec
    if Task.SEGMENT in data.tasks:
        return masks
    if not data.classes or Task.MULTILABEL in data.tasks:
        raise DataError(
            f"{data.name} has no one class an image, so it cannot be folders; its table stays "
            "what it is"
        )
    raise DataError(
        f"{data.name} has boxes, and folders of classes have no place for them: every box "
        "would be lost; convert to coco, voc, yolo or csv"
    )
