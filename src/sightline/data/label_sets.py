"""Tell which labels the pictures of a split have: as they were listed, or by their objects."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sightline.data.dataset import Dataset, Split
from sightline.data.item import Item
from sightline.types import Task

_OBJECTS = (Task.DETECT, Task.INSTANCES)


def serves(data: Dataset) -> bool:
    """Tell whether data says of each picture which labels it has; objects say it by their class."""
    return Task.MULTILABEL in data.tasks or any(task in data.tasks for task in _OBJECTS)


def label_table(split: Split) -> NDArray[np.bool_]:
    """Return which labels each picture has, shape (N, K), in the order of the data's classes.

    Parameters
    ----------
    split : Split
        Of data that `serves`.
    """
    table = np.zeros((len(split), len(split.data.classes)), np.bool_)
    for own, item in zip(table, split.items, strict=True):
        own[list(labels_of(item))] = True
    return table


def labels_of(item: Item) -> tuple[int, ...]:
    """Return the numbers of a picture's labels: those listed, else those of its objects."""
    if item.labels is not None:
        return item.labels
    annotation = item.read_annotation()
    if annotation is None:
        return ()
    return tuple(sorted({int(label) for label in annotation.labels if label >= 0}))
