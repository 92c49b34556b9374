"""Read a PyTorch data set of (image, label): torchvision's, a subset, or anybody's."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sightline.data import columns, images, memory
from sightline.data.dataset import Dataset
from sightline.errors import DataError

_LABELS = ("targets", "labels", "_labels", "y")


def looks_so(data: Any) -> bool:
    """Tell whether an object is a PyTorch data set or loader; torch is not imported."""
    return any(cls.__module__.startswith("torch.utils.data") for cls in type(data).__mro__)


def read(data: Any) -> Dataset:
    """Make a data set of PyTorch's.

    Its transform stays: images are what the data set gives, each read when asked for. An
    `ImageFolder` without transform is read from its files.

    Parameters
    ----------
    data : torch.utils.data.Dataset, or dict of str to those by split
        Gives (PIL image or tensor or array, label); ``classes`` has the names by number.

    Raises
    ------
    DataError
        When it has no length, is empty, or gives something else.
    """
    splits: dict[str, Any] = {}
    for name, part in (data if isinstance(data, Mapping) else {"train": data}).items():
        split = columns.split_of(name)
        if split is None:
            raise DataError(f"{name!r} is no split; the keys of a dict are train, val and test")
        splits[split] = part
    parts = {}
    known: list[str] | None = None
    for split, part in splits.items():
        if not hasattr(part, "__len__") or not hasattr(part, "__getitem__"):
            raise DataError(
                f"{type(part).__name__} has no length and no numbers; give a map-style data set "
                "(of a DataLoader its .dataset)"
            )
        if not len(part):
            raise DataError(f"{type(part).__name__} has no image")
        names = _classes(part)
        known = known or names
        pictures = _files(part) or [functools.partial(_image, part, i) for i in range(len(part))]
        _pair(part, 0)
        labels = _labels(part, names, split)
        parts[split] = pictures, labels
    made = memory.dataset(parts, type(next(iter(splits.values()))).__name__, "torch", classes=known)
    if any(getattr(_base(part)[0], "transform", None) is not None for part in splits.values()):
        made.notes.append("images are read through the transform of the data set")
    return made


def _pair(part: Any, index: int) -> tuple[Any, Any]:
    """Return an image and its label."""
    pair = part[index]
    if not isinstance(pair, tuple | list) or len(pair) < 2:
        raise DataError(
            f"{type(part).__name__} gives {type(pair).__name__} at {index}, not (image, label)"
        )
    return pair[0], pair[1]


def _image(part: Any, index: int) -> Any:
    value = memory.image_of(_pair(part, index)[0])
    if isinstance(value, str):
        return memory.decoded(images.decode(value))
    return value() if callable(value) else value


def _base(part: Any) -> tuple[Any, Sequence[int] | None]:
    """Return the data set below any subsets, and its numbers here; None for all of them."""
    numbers: Any = None
    while type(part).__name__ == "Subset" and hasattr(part, "indices"):
        own = np.asarray(part.indices)
        numbers = own if numbers is None else own[numbers]
        part = part.dataset
    return part, numbers


def _classes(part: Any) -> list[str] | None:
    classes = getattr(_base(part)[0], "classes", None)
    return None if classes is None else [str(name) for name in classes]


def _files(part: Any) -> list[memory.Image] | None:
    """Return the files of an ImageFolder that has no transform; None of others."""
    base, numbers = _base(part)
    samples = getattr(base, "samples", None)
    plain = all(getattr(base, n, None) is None for n in ("transform", "transforms"))
    if not plain or type(base).__name__ != "ImageFolder" or not isinstance(samples, list):
        return None
    return [str(samples[i][0]) for i in (range(len(samples)) if numbers is None else numbers)]


def _labels(part: Any, names: Sequence[str] | None, split: str) -> list[str]:
    base, numbers = _base(part)
    given = next((v for n in _LABELS if (v := getattr(base, n, None)) is not None), None)
    if (
        given is not None and not callable(given) and len(given) == len(base)
        and getattr(base, "target_transform", None) is None
    ):  # fmt: skip
        values = given if numbers is None else np.asarray(given)[numbers]
    else:
        values = [_number(_pair(part, i)[1]) for i in range(len(part))]
    labels = memory.labels_of(values, len(part), f"the labels of {split}")
    if names is None:
        return labels
    if wrong := next((n for n in labels if n not in names and not _indexes(n, names)), None):
        raise DataError(f"the label {wrong!r} is none of the {len(names)} classes")
    return [n if n in names and not _indexes(n, names) else names[int(n)] for n in labels]


def _indexes(label: str, names: Sequence[str]) -> bool:
    return label.isdecimal() and int(label) < len(names)


def _number(value: Any) -> Any:
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", 0) == 0 else value
