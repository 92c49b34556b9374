"""Define an image of a data set that is not yet read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.data import images, place
from sightline.data.annotation import Annotation


@dataclass(slots=True)
class Item:
    """An image that is not yet read, with its annotation.

    Parameters
    ----------
    id : str
        Relative path or number; unique, and the same at every reading.
    image : str, Member, uint8 array (H, W, C), or a function that gives such an array
        A path, or a place inside a tar, is decoded when asked for.
    label : int
        Class id for classification; -1 when there is none.
    annotation : Annotation, or a function that gives one, optional
    group : str, optional
        Images of one group (a patient, a video) never part ways in a split.
    labels : tuple of int, optional
        Ids of its labels, where it may have several; None: nothing is said of them.
    value : float, optional
        A number that is known of it, such as an age.
    """

    id: str
    image: place.Place | NDArray[np.uint8] | Callable[[], NDArray[np.uint8]]
    label: int = -1
    annotation: Annotation | Callable[[], Annotation] | None = None
    group: str | None = None
    labels: tuple[int, ...] | None = None
    value: float | None = None

    def __repr__(self) -> str:
        known = "" if self.annotation is None else ", annotated"
        group = "" if self.group is None else f", group={self.group!r}"
        return f"Item({self.id!r}, label={self.label}{group}{known})"

    def read_annotation(self) -> Annotation | None:
        """Return the annotation, made now if it is made on demand."""
        return self.annotation() if callable(self.annotation) else self.annotation

    def read_image(self, mode: images.Mode) -> NDArray[np.uint8]:
        """Decode the image: uint8 (H, W, C), C = 1 for ``"L"`` and 3 for ``"RGB"``."""
        if isinstance(self.image, np.ndarray):
            return images.as_mode(self.image, mode)
        if callable(self.image):
            return images.as_mode(self.image(), mode)
        stated = self.annotation if isinstance(self.annotation, Annotation) else None
        frame = (stated.width, stated.height) if stated and stated.width else None
        return images.read(self.image, mode, frame=frame)
