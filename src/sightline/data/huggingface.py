"""Read a Hugging Face ``Dataset`` or ``DatasetDict``; pictures are decoded when asked for."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sightline.data import columns, memory
from sightline.data.annotation import Annotation
from sightline.data.dataset import Dataset, Source
from sightline.data.folder import natural
from sightline.data.image_table import as_corners
from sightline.data.item import Item
from sightline.errors import DataError, UnknownNameError
from sightline.types import Task


def looks_so(data: Any) -> bool:
    """Tell whether an object is one of theirs; the library is not imported."""
    return any(cls.__module__.partition(".")[0] == "datasets" for cls in type(data).__mro__)


def read(data: Any, named: Mapping[str, str] | None = None) -> Dataset:
    """Make a data set of a Hugging Face one.

    The column of images is the first with the feature ``Image``; that of labels the first
    ``ClassLabel``, whose names become the classes; ``objects`` with ``bbox`` (x, y, width, height)
    and ``category`` makes boxes. Splits are those of a ``DatasetDict``.

    Parameters
    ----------
    data : datasets.Dataset or datasets.DatasetDict
    named : mapping of str to str, optional
        The columns ``image`` and ``label``, and ``form`` of boxes.

    Raises
    ------
    DataError
        When it is streamed, has no images or no labels, or has several labels an image.
    """
    named = dict(named or {})
    parts = dict(data) if isinstance(data, dict) else {"train": data}
    if any(type(part).__name__.startswith("Iterable") for part in parts.values()):
        raise DataError("a streamed Hugging Face data set has no length; load it without streaming")
    splits: dict[str, Any] = {}
    other: list[str] = []
    for name, part in parts.items():
        split = columns.split_of(str(name)) or ("train" if len(parts) == 1 else None)
        if split is None or split in splits:
            other.append(str(name))
        else:
            splits[split] = part
    if not splits:
        raise DataError(f"none of the splits {', '.join(other)} is train, validation or test")
    first = next(iter(splits.values()))
    for role in named:
        if role not in ("image", "label", "form"):
            raise UnknownNameError("role of a column", role, ("image", "label", "form"))
    image = named.get("image") or _image_in(first)
    _check(first, image)
    notes = [f"splits not used: {', '.join(other)}"] if other else []
    if "label" not in named and _has_boxes(first):
        return _with_boxes(splits, image, named.get("form", "xywh"), _name_of(first), notes)
    label = named.get("label") or _label_in(first, image)
    _check(first, label)
    return _with_labels(splits, image, label, _name_of(first), notes)


def _with_labels(
    splits: Mapping[str, Any], image: str, label: str, name: str, notes: list[str]
) -> Dataset:
    feature = next(iter(splits.values())).features[label]
    names = getattr(feature, "names", None)
    if type(feature).__name__ in ("List", "Sequence", "LargeList"):
        raise DataError(f"the column {label!r} has several labels an image; an image has one here")
    parts, ids = {}, {}
    for split, part in splits.items():
        raw = part[label][:]
        said = [_label(value, names) for value in raw]
        keep = [row for row, text in enumerate(said) if text]
        if len(keep) < len(said):
            notes.append(f"{len(said) - len(keep):,} of {len(said):,} {split} images have no label "
                         "and are left out")  # fmt: skip
        if keep:
            parts[split] = _pictures(part, image, keep), [said[row] for row in keep]
            ids[split] = [f"{split}/{row:06}" for row in keep]
    if not parts:
        raise DataError(f"{name}: no image has a label in {label!r}")
    data = memory.dataset(parts, name, "huggingface", ids=ids, classes=names)
    data.notes += notes
    return data


def _label(value: Any, names: Sequence[str] | None) -> str:
    if names is None:
        return memory.text_of(value)
    return "" if value is None or int(value) < 0 else names[int(value)]


def _with_boxes(
    splits: Mapping[str, Any], image: str, form: str, name: str, notes: list[str]
) -> Dataset:
    names = _categories(next(iter(splits.values())))
    objects = {split: part["objects"][:] for split, part in splits.items()}
    if names is None:
        said = {memory.text_of(c) for part in objects.values() for o in part for c in _of(o)[1]}
        names = sorted(said, key=natural)
    numbers: dict[Any, int] = {name: i for i, name in enumerate(names)}
    items: list[Item] = []
    rows = {}
    for split, part in splits.items():
        start = len(items)
        pictures = _pictures(part, image, range(len(part)))
        for row, (picture, own) in enumerate(zip(pictures, objects[split], strict=True)):
            boxes, category = _of(own)
            labels = [c if isinstance(c, int) and c < len(names) and c not in numbers
                      else numbers[memory.text_of(c)] for c in category]  # fmt: skip
            corners = as_corners(np.array(boxes, np.float64).reshape(-1, 4), form)
            annotation = Annotation(boxes=corners, labels=np.array(labels, np.int64))
            items.append(Item(f"{split}/{row:06}", picture, annotation=annotation))
        rows[split] = np.arange(start, len(items))
    return Dataset(name, Source(items, "RGB"), rows, tuple(names), (Task.DETECT,), notes=notes,
                   layout="huggingface")  # fmt: skip


def _of(objects: Any) -> tuple[list[Any], list[Any]]:
    """Return boxes and categories of an image: a dict of lists, or a list of dicts."""
    if isinstance(objects, Mapping):
        return list(objects["bbox"]), list(objects[_category_key(objects)])
    return [one["bbox"] for one in objects], [one[_category_key(one)] for one in objects]


def _category_key(objects: Mapping[str, Any]) -> str:
    return next(
        (key for key in ("category", "label", "labels", "categories") if key in objects), ""
    )


def _has_boxes(part: Any) -> bool:
    feature = part.features.get("objects")
    inner = getattr(feature, "feature", feature)
    return isinstance(inner, Mapping) and "bbox" in inner and bool(_category_key(inner))


def _categories(part: Any) -> list[str] | None:
    """Return the names of the categories, where their feature has them."""
    feature = part.features["objects"]
    inner = getattr(feature, "feature", feature)
    category = inner[_category_key(inner)]
    return getattr(getattr(category, "feature", category), "names", None)


def _pictures(part: Any, image: str, rows: Sequence[int]) -> list[memory.Image]:
    """Return images as paths where the set has them as files, else as functions that decode."""
    import datasets

    raw = part.select_columns([image])
    if type(part.features[image]).__name__ == "Image":
        raw = raw.cast_column(image, datasets.Image(decode=False))
    return [functools.partial(_decoded, raw, image, row) for row in rows]


def _decoded(raw: Any, image: str, row: int) -> Any:
    value = memory.image_of(raw[row][image])
    if isinstance(value, str):
        with open(value, "rb") as file:  # noqa: PTH123
            return memory.decoded(file.read())
    return value() if callable(value) else value


def _image_in(part: Any) -> str:
    for name, feature in part.features.items():
        if type(feature).__name__ == "Image":
            return str(name)
    raise DataError(
        f"no column of images among {', '.join(part.features)}; cast one to datasets.Image(), or "
        "name it: columns={'image': ...}"
    )


def _label_in(part: Any, image: str) -> str:
    for name, feature in part.features.items():
        if type(feature).__name__ == "ClassLabel":
            return str(name)
    label = columns.label_in([name for name in part.features if name != image])
    if label is None:
        raise DataError(
            f"no column of labels among {', '.join(part.features)}; name it: "
            "columns={'label': ...}"
        )
    return label


def _check(part: Any, column: str) -> None:
    if column not in part.features:
        raise UnknownNameError("column of the data set", column, part.features)


def _name_of(part: Any) -> str:
    return str(getattr(part.info, "dataset_name", None) or "huggingface")
