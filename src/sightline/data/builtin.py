"""Provide data sets that need no download: `digits` (real, tiny), `shapes`, `textures` (drawn)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from sightline.data import shapes as drawing
from sightline.data import splits, store
from sightline.data import textures as surfaces
from sightline.data.annotation import Annotation
from sightline.data.dataset import Dataset, Source
from sightline.data.item import Item
from sightline.errors import ParameterError
from sightline.types import Task

DIGITS = Path(__file__).parent / "digits.npz"

SHARES = {"train": 0.70, "val": 0.15, "test": 0.15}


def digits(seed: int = 0) -> Dataset:
    """Return scikit-learn's 1,797 handwritten digits, 8x8 grey.

    Their ink scale 0..16 is stored as 0..240 (times 15), which keeps every comparison of
    distances exact.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI
    Machine Learning Repository, 1998 (the test part), CC BY 4.0; the file beside this module
    holds what scikit-learn's ``load_digits`` gives.
    """
    with np.load(DIGITS) as file:
        pixels, labels = file["images"][..., None] * np.uint8(15), file["labels"].astype(np.int64)
    items = [Item(f"{i:04d}", pixels[i], int(label)) for i, label in enumerate(labels)]
    source = Source(items, "L", (8, 8), {(8, 8, "crop"): store.Packed.of(pixels)})
    return Dataset(
        name="digits",
        source=source,
        rows=splits.make(np.arange(len(items)), labels, SHARES, seed),
        classes=tuple(str(d) for d in range(10)),
        seed=seed,
        notes=["the ink scale 0..16 is stored as 0..240", _split_note(seed)],
        layout="builtin",
    )


def shapes(seed: int = 0, count: int = 400, size: int = 128, objects: int = 6) -> Dataset:
    """Return drawn scenes with exact boxes, instance masks and label maps.

    Parameters
    ----------
    seed : int
        Scene i of a seed is always the same picture.
    count : int
        Number of images.
    size : int
        Height and width in pixels, 16 to 2048.
    objects : int
        Each image holds 1 to this many shapes; with 1, the shape's class is also the
        image's label, and the set serves classification.

    Raises
    ------
    ParameterError
        When a parameter is out of range.
    """
    for name, value, low, high in (
        ("count", count, 10, 10_000_000),
        ("size", size, 16, 2048),
        ("objects", objects, 1, 6),
    ):
        if not low <= value <= high:
            raise ParameterError(f"shapes: {name} must be between {low} and {high:,}, not {value}")
    items = []
    for i in range(count):
        scene = functools.partial(drawing.scene, seed, i, size, objects)
        label = drawing.first_label(seed, i, size, objects) if objects == 1 else -1
        image = functools.partial(_image_of, scene)  # which processes can be given, unlike a lambda
        items.append(Item(f"{i:06d}", image, label, functools.partial(_annotation_of, scene)))
    detect = (Task.DETECT, Task.INSTANCES, Task.SEGMENT)
    labels = np.array([item.label for item in items])
    return Dataset(
        name="shapes",
        source=Source(
            items,
            "RGB",
            (size, size) if size <= store.SMALL_SIDE else None,
            recipe=f"shapes {drawing.VERSION}: seed {seed}, size {size}, objects {objects}",
        ),
        rows=splits.make(np.arange(count), labels, SHARES, seed),
        classes=drawing.CLASSES,
        tasks=(Task.CLASSIFY, *detect) if objects == 1 else detect,
        segmentation_classes=("background", *drawing.CLASSES),
        seed=seed,
        notes=[_split_note(seed)],
        layout="builtin",
    )


def textures(seed: int = 0, count: int = 320, size: int = 128) -> Dataset:
    """Return pictures of a drawn surface: good ones, and ones with defects and their exact masks.

    Half of them are good ones to learn from; an eighth good and a sixteenth with defects are for
    validation, and the rest, half of them with defects, for the test.

    Parameters
    ----------
    seed : int
        The product: its colours and its lattice; picture i of it is always the same.
    count : int
        Number of images.
    size : int
        Height and width in pixels, 32 to 2048.

    Raises
    ------
    ParameterError
        When a parameter is out of range.
    """
    for name, value, low, high in (("count", count, 32, 1_000_000), ("size", size, 32, 2048)):
        if not low <= value <= high:
            raise ParameterError(
                f"textures: {name} must be between {low} and {high:,}, not {value}"
            )
    kinds = (surfaces.GOOD, *surfaces.DEFECTS)
    ends = (count // 2, count // 2 + count // 8 + count // 16)
    labels = np.zeros(count, np.int64)
    defects = [*range(count // 2 + count // 8, ends[1]), *range((ends[1] + count) // 2, count)]
    labels[defects] = np.arange(len(defects)) % len(surfaces.DEFECTS) + 1
    items = []
    for i, label in enumerate(labels.tolist()):
        drawn = functools.partial(surfaces.surface, seed, i, size, kinds[label])
        image = functools.partial(_image_of, drawn)
        annotation = functools.partial(_defect_of, drawn)
        items.append(Item(f"{i:06d}", image, label, annotation))
    rows = np.arange(count)
    return Dataset(
        name="textures",
        source=Source(
            items, "RGB", (size, size) if size <= store.SMALL_SIDE else None,
            recipe=f"textures {surfaces.VERSION}: seed {seed}, size {size}",
        ),
        rows={"train": rows[: ends[0]], "val": rows[ends[0] : ends[1]], "test": rows[ends[1] :]},
        classes=kinds,
        tasks=(Task.ANOMALY,),
        segmentation_classes=(surfaces.GOOD, "defect"),
        seed=seed,
        notes=["train has good pictures alone; the defects are in val and test"],
        layout="builtin",
    )  # fmt: skip


BUILTIN: dict[str, Callable[..., Dataset]] = {
    "digits": digits, "shapes": shapes, "textures": textures
}  # fmt: skip


def _defect_of(drawn: Callable[[], surfaces.Surface]) -> Annotation:
    """Return the changed pixels as an object without a box of its own."""
    defect = drawn().defect
    height, width = defect.shape
    if not defect.any():
        return Annotation(width, height, shapes=[])
    ys, xs = np.flatnonzero(defect.any(1)), np.flatnonzero(defect.any(0))
    box = np.array([[xs[0], ys[0], xs[-1] + 1, ys[-1] + 1]], np.float64)
    return Annotation(width, height, box, np.zeros(1, np.int64), [defect])


def _image_of(scene: Callable[[], drawing.Scene | surfaces.Surface]) -> Any:
    return scene().image


def _annotation_of(scene: Callable[[], drawing.Scene]) -> Any:
    return scene().annotation


def _split_note(seed: int) -> str:
    return f"split 70/15/15 by class, seed {seed}"
