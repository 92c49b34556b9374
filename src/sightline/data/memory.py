"""Take images and labels that a program holds: arrays, tensors, PIL images, bytes and paths."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.data import images, store
from sightline.data.dataset import Dataset, Source
from sightline.data.folder import natural
from sightline.data.item import Item
from sightline.data.place import Place
from sightline.errors import DataError
from sightline.types import Task

Image = Place | NDArray[np.uint8] | Callable[[], NDArray[np.uint8]]
"""What an `Item` holds: a place on disk, pixels, or a function that gives them."""

EMPTY = frozenset(("", "nan", "na", "n/a", "null", "<na>"))
"""Text, in small letters, by which tables say that a cell has no value."""


def image_of(value: Any) -> Image:
    """Return an image of any form as an `Item` holds it; nothing is decoded.

    Parameters
    ----------
    value : path, bytes, PIL image, array, tensor, or dict with ``bytes`` and ``path``
        The last is what a Hugging Face image column holds when it is not decoded.

    Raises
    ------
    DataError
        When it is none of these.
    """
    if isinstance(value, str | Path):
        return str(value)
    if isinstance(value, dict) and {"bytes", "path"} <= value.keys():
        inside = value["bytes"]
        return str(value["path"]) if inside is None else functools.partial(decoded, inside)
    if isinstance(value, bytes):
        return functools.partial(decoded, value)
    if hasattr(value, "convert") and hasattr(value, "size"):
        return functools.partial(decoded, value)
    return images.as_array(value, "L" if _channels(value) == 1 else "RGB")


def decoded(value: Any) -> NDArray[np.uint8]:
    """Decode bytes or a PIL image to (H, W, 1) where it is grey, else to (H, W, 3)."""
    picture = images.decode(value) if isinstance(value, bytes) else value
    return images.as_array(picture, "L" if images.is_grey(picture) else "RGB")


def dataset(
    parts: Mapping[str, tuple[Any, Sequence[str]]],
    name: str,
    layout: str,
    *,
    ids: Mapping[str, Sequence[str]] | None = None,
    classes: Sequence[str] | None = None,
) -> Dataset:
    """Make a data set of images with a class each.

    Parameters
    ----------
    parts : dict of str to (images, labels)
        By split: an array (N, H, W, C) or a sequence of what an `Item` holds, and N names of
        classes.
    name, layout : str
        See `Dataset`.
    ids : dict of str to sequence of str, optional
        Names of the images, unique in all; default: the split with a number.
    classes : sequence of str, optional
        In their order; default: those that occur, numbers by value, then names.

    Returns
    -------
    Dataset
        Pixels of one small size as one array, as a folder of small images has them.
    """
    named = {label for _, labels in parts.values() for label in labels}
    known = tuple(classes or sorted(named, key=natural))
    numbers = {label: i for i, label in enumerate(known)}
    items: list[Item] = []
    rows: dict[str, NDArray[np.int64]] = {}
    for split, (pictures, labels) in parts.items():
        first = len(items)
        own = ids[split] if ids else [f"{split}/{i:06}" for i in range(len(labels))]
        items += [
            Item(i, picture, numbers[label])
            for i, picture, label in zip(own, pictures, labels, strict=True)
        ]
        rows[split] = np.arange(first, len(items))
    source = Source(items, "RGB")
    blocks = [pictures for pictures, _ in parts.values()]
    if all(isinstance(block, np.ndarray) and block.ndim == 4 for block in blocks):
        shapes = {block.shape[1:] for block in blocks}
        source.mode = "L" if all(shape[2] == 1 for shape in shapes) else "RGB"
        height, width, channels = next(iter(shapes))
        if len(shapes) == 1 and max(height, width) <= store.SMALL_SIDE and channels != 4:
            source.size = (height, width)
            whole = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
            source.packed[height, width, "crop"] = store.Packed.of(whole)
    return Dataset(name, source, rows, known, (Task.CLASSIFY,), layout=layout)


def text_of(value: Any) -> str:
    """Return a cell of a table as text, without blanks around it; empty where it has no value.

    A number that is whole is written so, even where a table has made it a float.
    """
    if value is None or value is not value or type(value).__name__ in ("NAType", "NaTType"):
        return ""
    if isinstance(value, float | np.floating):
        number = float(value)
        if math.isnan(number):
            return ""
        return str(int(number)) if number.is_integer() else str(number)
    text = str(value).strip()
    return "" if text.casefold() in EMPTY else text


def labels_of(y: Any, count: int, what: str = "y") -> list[str]:
    """Return one label an image as the name of its class.

    Parameters
    ----------
    y : sequence, array, tensor or column, of whole numbers, names or one-hot rows
    count : int
        Of the images.
    what : str
        Begins the message of an error.

    Raises
    ------
    DataError
        When they are not one label an image, or one is empty or a fraction.
    """
    if isinstance(y, str | bytes) or not isinstance(y, Iterable):
        raise DataError(f"{what} is one label an image, not {_kind(y)}")
    values = _array_of(y, what)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 2 and values.dtype.kind in "biuf":
        if not (((values == 0) | (values == 1)).all() and (values.sum(1) == 1).all()):
            raise DataError(f"{what} has shape {values.shape}, but its rows are not one-hot")
        values = values.argmax(1)
    if values.ndim != 1:
        raise DataError(f"{what} is one label an image, of shape (N,), not {values.shape}")
    if len(values) != count:
        raise DataError(f"{count} images but {len(values)} labels in {what}")
    cells = values.tolist()
    for row, value in enumerate(cells):
        if isinstance(value, float) and not math.isnan(value) and not value.is_integer():
            raise DataError(f"{what}[{row}] is {value}: a label is a whole number or a name")
        if not isinstance(value, str | int | float | bool | type(None)):
            raise DataError(f"{what}[{row}] is {_kind(value)}: a label is a whole number or a name")
    names = [value.strip() if isinstance(value, str) else text_of(value) for value in cells]
    blank = [row for row, text in enumerate(names) if not text]
    if blank:
        raise DataError(
            f"{len(blank)} of {count} labels are empty, first {what}[{blank[0]}]; leave these "
            "images out"
        )
    return names


def pixels_of(X: Any, what: str = "X") -> NDArray[np.uint8]:
    """Return a batch of images as uint8 (N, H, W, C).

    Parameters
    ----------
    X : array or tensor, shape (N, H, W) or (N, H, W, C); of a tensor (N, C, H, W)
        uint8, or floats in [0, 1].
    what : str
        Begins the message of an error.

    Raises
    ------
    DataError
        When the shape or the type is another one.
    """
    if type(X).__module__.startswith("torch"):
        X = X.detach().cpu().numpy()
        if X.ndim == 4 and X.shape[1] in (1, 3):
            X = X.transpose(0, 2, 3, 1)
    X = np.asarray(X)
    if X.ndim == 2:
        raise DataError(
            f"{what} has shape {X.shape}: images are (N, H, W) or (N, H, W, C); bring rows of "
            f"pixels to it with {what}.reshape(-1, height, width)"
        )
    if X.ndim == 4 and X.shape[3] not in (1, 3, 4) and X.shape[1] in (1, 3, 4):
        raise DataError(
            f"{what} has shape {X.shape}, channels first: give {what}.transpose(0, 2, 3, 1)"
        )
    if X.ndim not in (3, 4) or (X.ndim == 4 and X.shape[3] not in (1, 3, 4)):
        raise DataError(
            f"{what} has shape {X.shape}: images are (N, H, W) or (N, H, W, C), C 1, 3 or 4"
        )
    if not X.size:
        raise DataError(f"{what} of shape {X.shape} has no image")
    pixels = images.as_bytes(X, what)
    return pixels[..., None] if pixels.ndim == 3 else pixels


def _array_of(y: Any, what: str) -> NDArray[Any]:
    if type(y).__module__.startswith("torch"):
        y = y.detach().cpu().numpy()
    if not isinstance(y, np.ndarray):
        y = y.to_numpy() if hasattr(y, "to_numpy") else list(y)
    try:
        if isinstance(y, list) and any(isinstance(value, str) for value in y):
            return np.array(y, object)  # else NumPy makes text of the numbers among names
        return np.asarray(y)
    except ValueError:
        raise DataError(f"{what} is one label an image; some have several, or none") from None


def _channels(value: Any) -> int:
    shape = tuple(getattr(value, "shape", ()))
    if type(value).__module__.startswith("torch"):
        return int(shape[0]) if len(shape) == 3 else 3
    return 1 if len(shape) == 2 or (len(shape) == 3 and shape[2] == 1) else 3


def _kind(value: Any) -> str:
    return f"{value!r} ({type(value).__name__})" if isinstance(value, str) else type(value).__name__
