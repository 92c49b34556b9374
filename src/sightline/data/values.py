"""Tell which number each picture of a split has: as it was listed, or how many objects it shows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sightline.data.dataset import Dataset, Split
from sightline.data.item import Item
from sightline.types import Task

_OBJECTS = (Task.DETECT, Task.INSTANCES)

COUNT = "objects"
"""What the number is called that says how many objects a picture shows."""


def serves(data: Dataset) -> bool:
    """Tell whether data say a number of each picture; those with objects say how many they are."""
    return Task.REGRESS in data.tasks or any(task in data.tasks for task in _OBJECTS)


def name_of(data: Dataset) -> str:
    """Return what the number is called."""
    return data.target or COUNT


def values_of(split: Split) -> NDArray[np.float64]:
    """Return the number of each picture, shape (N,); nan where nothing is said.

    Parameters
    ----------
    split : Split
        Of data that `serves`.
    """
    listed = Task.REGRESS in split.data.tasks
    return np.array([_value(item, listed=listed) for item in split.items], np.float64)


def _value(item: Item, *, listed: bool) -> float:
    if listed:
        return np.nan if item.value is None else item.value
    annotation = item.read_annotation()
    return 0.0 if annotation is None else float(len(annotation.labels))
