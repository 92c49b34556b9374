"""Read images and labels as arrays: ``(X, y)``, by split, and the ``.npz`` files of them."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sightline.data import memory
from sightline.data.dataset import Dataset
from sightline.data.split_names import split_of
from sightline.errors import DataError

SUFFIX = ".npz"

_X = ("x", "images", "image", "data", "pixels", "arr_0")
_Y = ("y", "labels", "label", "targets", "target", "arr_1")
_CLASSES = ("classes", "class_names", "label_names", "target_names")


def read(data: Any, name: str = "arrays", classes: list[str] | None = None) -> Dataset:
    """Make a data set of arrays.

    Parameters
    ----------
    data : (X, y), ((X, y), (X, y)) or dict of str to (X, y)
        X: uint8, or floats in [0, 1], of shape (N, H, W) or (N, H, W, C), or a list of paths,
        PIL images and arrays; y: N whole numbers or names. Of two pairs the second is the test
        split, as Keras gives them; a dict has them by split.
    name : str
    classes : list of str, optional
        Names by number, where y has numbers.

    Raises
    ------
    DataError
        When shapes, types or lengths do not fit.
    """
    pairs = _pairs(data)
    parts: dict[str, tuple[Any, list[str]]] = {}
    for split, (X, y) in pairs.items():
        own = "" if len(pairs) == 1 else f"{split} "
        if isinstance(X, list | tuple) or str(getattr(X, "dtype", "")) == "object":
            pictures: Any = [memory.image_of(value) for value in X]
        else:
            pictures = memory.pixels_of(X, f"{own}X")
        parts[split] = pictures, memory.labels_of(y, len(pictures), f"{own}y")
    if classes is not None:
        parts = {split: (X, _named(y, classes)) for split, (X, y) in parts.items()}
    return memory.dataset(parts, name, "arrays", classes=classes)


def why_not(path: Path) -> str | None:
    """Return what keeps a file from being a set of arrays; None when nothing does."""
    return None if path.suffix.lower() == SUFFIX else f"no {SUFFIX} file"


def read_npz(path: Path, name: str) -> Dataset:
    """Read a ``.npz`` file: ``x_train``, ``y_train``, ``x_test`` ... as Keras writes, or X and y.

    Also ``train_images`` and ``train_labels`` by split, and ``images`` with ``labels``. Names of
    the classes by number may stand in it as ``classes``.

    Raises
    ------
    DataError
        When it is damaged, holds Python objects, or has no such arrays.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            held = {key: file[key] for key in file.files}
    except (OSError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is not a readable .npz file ({error})") from None
    except ValueError:
        raise DataError(
            f"{path} holds Python objects, which reading would execute; write its arrays as "
            "numbers and text (dtype=str)"
        ) from None
    named = next((held.pop(key) for key in list(held) if key.lower() in _CLASSES), None)
    pairs: dict[str, dict[str, Any]] = {}
    for key, array in held.items():
        split, kind = _role(key.lower())
        if kind:
            pairs.setdefault(split, {})[kind] = array
    whole = {split: (p["X"], p["y"]) for split, p in pairs.items() if len(p) == 2}
    if not whole:
        raise DataError(
            f"{path} holds {', '.join(held) or 'nothing'}; it needs x_train and y_train (x_test, "
            "y_test, ...), or X and y"
        )
    try:
        data = read(whole, name, None if named is None else [str(n) for n in named.tolist()])
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    data.path = str(path)
    left = [key for key in held if _role(key.lower())[0] not in whole or not _role(key.lower())[1]]
    if left:
        data.notes.append(f"not used of {path.name}: {', '.join(left)}")
    return data


def looks_so(data: Any) -> bool:
    """Tell whether an object is arrays with labels, in one of the forms that `read` takes."""
    if isinstance(data, Mapping):
        values = list(data.values())
        return bool(values) and all(map(_is_pair, values))
    return _is_pair(data) or (
        isinstance(data, tuple) and len(data) == 3
        and all(isinstance(part, tuple) and _is_pair(part) for part in data)
    )  # fmt: skip


def _is_pair(value: Any) -> bool:
    return (
        isinstance(value, tuple | list) and len(value) == 2
        and all(_is_sequence(part) for part in value)
    )  # fmt: skip


def _is_sequence(value: Any) -> bool:
    return isinstance(value, list | tuple) or (
        hasattr(value, "__len__") and hasattr(value, "dtype") and hasattr(value, "shape")
    )


def _pairs(data: Any) -> dict[str, tuple[Any, Any]]:
    if isinstance(data, Mapping):
        unknown = [key for key in data if split_of(str(key)) is None]
        if unknown:
            raise DataError(
                f"{unknown[0]!r} is no split; the keys of a dict of (X, y) are train, val and test"
            )
        return {split_of(str(key)) or "": pair for key, pair in data.items()}
    if all(isinstance(part, tuple) and _is_pair(part) for part in data):
        return dict(zip(("train", "test") if len(data) == 2 else ("train", "val", "test"), data,
                        strict=True))  # fmt: skip
    return {"train": (data[0], data[1])}


def _role(key: str) -> tuple[str, str]:
    """Return split and kind, "X" or "y", of an array's name; the kind is empty for others."""
    if key in (*_X, *_Y):
        return "train", "X" if key in _X else "y"
    first, _, second = key.partition("_")
    for split, kind in ((second, first), (first, second)):
        if (named := split_of(split)) and kind in (*_X, *_Y):
            return named, "X" if kind in _X else "y"
    return key, ""


def _named(labels: list[str], classes: list[str]) -> list[str]:
    if set(labels) <= set(classes):
        return labels
    wrong = next((n for n in labels if not (n.isdecimal() and int(n) < len(classes))), None)
    if wrong is not None:
        raise DataError(f"the label {wrong!r} is none of the {len(classes)} classes")
    return [classes[int(n)] for n in labels]
