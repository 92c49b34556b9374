"""Define an image's annotation as a file states it, before any mask is drawn.

Reading a data set keeps one `Annotation` an image: numbers and references only, so that
118,000 images of COCO fit in memory; masks are drawn when a sample is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Polygons = list[NDArray[np.float64]]
"""One object as polygons, each of shape (P, 2): x, y in absolute pixels."""

Rle = dict[str, Any]
"""COCO's run-length code: ``{"size": [H, W], "counts": str | bytes | list[int]}``."""

Shape = Polygons | Rle | NDArray[np.bool_]


@dataclass(slots=True)
class Annotation:
    """Everything that an annotation file says of one image.

    Parameters
    ----------
    width, height : int
        Size of the image in pixels as the annotation states it; 0 when it does not.
    boxes : float64 array, shape (N, 4)
        ``xyxy``, absolute pixels, right and lower edge exclusive. As written: a box
        without area or outside the image is kept here, so that the audit can report it.
    labels : int64 array, shape (N,)
    shapes : list of Shape or None, length N, optional
        Outline of each object.
    crowd, difficult : bool array, shape (N,)
    semantic : str, optional
        Path of a PNG of class ids.
    instances : str, optional
        Path of a PNG with one value an object (0 = background, 255 = ignored); the
        objects' boxes then follow from the masks.
    semantic_ignore : tuple of int
        Values of `semantic` that mean *ignore*, beside 255.
    unknown : tuple of str
        Labels, as written, that are none of the classes; such an object has the label -1.
    broken : tuple of str
        Outlines that cannot be used, with the reason; such an object has none.
    areas : float64 array, shape (N,), optional
        Square pixels of each object, where the file states them (COCO: of its outline); nan where
        it does not.
    semantic_binary : bool
        `semantic` is drawn as 0 and 255 (or 1): class 0 and class 1.
    semantic_colours : tuple of int
        Where `semantic` is to be read by its colours: that of each class, ``0xRRGGBB``.
    """

    width: int = 0
    height: int = 0
    boxes: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 4)))
    labels: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    shapes: list[Shape | None] | None = None
    crowd: NDArray[np.bool_] | None = None
    difficult: NDArray[np.bool_] | None = None
    semantic: str | None = None
    instances: str | None = None
    semantic_ignore: tuple[int, ...] = ()
    semantic_binary: bool = False
    unknown: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    areas: NDArray[np.float64] | None = None
    semantic_colours: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        n = len(self.boxes)
        if self.crowd is None:
            self.crowd = np.zeros(n, np.bool_)
        if self.difficult is None:
            self.difficult = np.zeros(n, np.bool_)

    def __repr__(self) -> str:
        size = f", {self.width}x{self.height}" if self.width else ""
        return f"Annotation({len(self.boxes):,} objects{size}{', masked' * self.masked})"

    @property
    def masked(self) -> bool:
        """Tell whether anything is known of single pixels (that there is no object, too)."""
        return self.semantic is not None or self.instances is not None or self.shapes is not None
