"""Small data sets drawn on the spot, shared by the tests of the formats."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sightline.data.annotation import Annotation
from sightline.data.dataset import Dataset, Source
from sightline.data.item import Item
from sightline.types import Task


def save_photo(path: Path, size: tuple[int, int] = (40, 30), *, seed: int = 0) -> Path:
    """Save noise of (width, height) as an image file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    width, height = size
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def save_index(path: Path, values: NDArray[Any], *, palette: bool = False) -> Path:
    """Save an index PNG, with grey values or with a palette."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(values)
    if palette:
        image.putpalette([(7 * i + 91) % 256 for i in range(768)])
    image.save(path)
    return path


def voc_page(objects: str = "", size: str = "<width>40</width><height>30</height>") -> str:
    """Give the text of a VOC annotation."""
    return f"<annotation><size>{size}</size>{objects}</annotation>"


def voc_object(name: str = "cat", box: Sequence[float] = (1, 1, 10, 20), extra: str = "") -> str:
    """Give one object of a VOC annotation; the box is (xmin, ymin, xmax, ymax)."""
    corners = zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    frame = "".join(f"<{tag}>{value}</{tag}>" for tag, value in corners)
    return f"<object><name>{name}</name>{extra}<bndbox>{frame}</bndbox></object>"


def make_dataset(
    annotations: Sequence[Annotation],
    folder: Path,
    *,
    classes: tuple[str, ...] = ("cat", "dog", "red fox"),
    tasks: tuple[Task, ...] = (Task.DETECT,),
    splits: dict[str, list[int]] | None = None,
) -> Dataset:
    """Make a data set of one drawn image an annotation."""
    items = []
    for i, annotation in enumerate(annotations):
        size = annotation.width, annotation.height
        path = folder / f"{size[0]}x{size[1]}.png"
        if not path.exists():
            save_photo(path, size)
        items.append(Item(f"pictures/{i:03}.png", str(path), annotation=annotation))
    return Dataset(
        name="drawn",
        source=Source(items, "RGB"),
        rows={s: np.array(r) for s, r in (splits or {"train": range(len(items))}).items()},
        classes=classes,
        tasks=tasks,
        segmentation_classes=("background", *classes) if Task.SEGMENT in tasks else (),
    )


class Draw:
    """What tests draw with."""

    photo = staticmethod(save_photo)
    index = staticmethod(save_index)
    page = staticmethod(voc_page)
    object = staticmethod(voc_object)
    dataset = staticmethod(make_dataset)


@pytest.fixture(scope="session")
def draw() -> type[Draw]:
    return Draw


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """Write a text file below tmp_path."""

    def save(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return save
