"""Make objects of a picture of boxes with small masks in them, free of torch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.data.pasting import paste
from sightline.metrics.instances_table import Masks
from sightline.types import Frame


def objects_of(
    boxes: NDArray[np.floating[Any]], scores: NDArray[np.floating[Any]],
    labels: NDArray[np.integer[Any]], masks: NDArray[np.floating[Any]], frame: Frame,
    classes: tuple[str, ...],
) -> Masks:  # fmt: skip
    """Return a network's answers with the masks that they have in the picture.

    Parameters
    ----------
    boxes : float array, shape (K, 4)
        xyxy in pixels of the network's image.
    scores, labels : array, shape (K,)
    masks : float array, shape (K, m, m)
        Probabilities within each box.
    frame : Frame
        The way back into the picture.
    classes : tuple of str

    Returns
    -------
    Masks
        In the order given. A mask without a pixel in the picture is no object.
    """
    codes = tuple(bytes(code["counts"]) for code in paste(masks, frame.back(boxes), frame.size))
    drawn = Masks(frame.size, codes, labels.astype(np.int64), classes,
                  np.clip(scores.astype(np.float64), 0, 1))  # fmt: skip
    return drawn.taken(np.flatnonzero(drawn.pixels > 0))
