"""Choose the size at which a network sees pictures, in their own proportions."""

from __future__ import annotations

import contextlib

import numpy as np

from sightline.data import files
from sightline.data.annotation import Annotation
from sightline.data.dataset import Split
from sightline.errors import SightlineError
from sightline.models.card import ModelCard

LOOKED_AT = 64
"""Pictures whose sizes are looked at."""

ALIKE = 1.1
"""Times that one picture may be wider, for its height, than another."""


def size(train: Split, asked: int, card: ModelCard) -> tuple[int, int]:
    """Choose the size (height, width) of a network's images.

    Parameters
    ----------
    train : Split
    asked : int
        Pixels of the longer side; 0: those of the pictures, the card's at most.
    card : ModelCard
        Its ``step`` divides both sides.
    """
    common = train.data.size or common_size(train)
    most = min(max(common), card.largest_side) if common else card.largest_side
    return in_proportion(common, asked or most, card)


def common_size(train: Split) -> tuple[int, int] | None:
    """Return the middle size (height, width) of pictures whose proportions are nearly alike.

    Sizes are those that annotations state, or the heads of files, of up to `LOOKED_AT` pictures,
    evenly spread. None: proportions differ by more than a tenth, or nothing can be read.
    """
    rows = np.unique(np.linspace(0, len(train) - 1, LOOKED_AT).astype(np.int64))
    sizes = []
    for item in train.take(rows).items:
        with contextlib.suppress(SightlineError):
            sizes.append(files.size_of(item, item.read_annotation() or Annotation()))
    if not sizes:
        return None
    sides = np.array(sizes, np.float64)
    ratios = sides[:, 0] / sides[:, 1]
    if ratios.max() > ALIKE * ratios.min():
        return None
    width, height = np.median(sides, 0).round().astype(int).tolist()
    return height, width


def in_proportion(own: tuple[int, int] | None, longer: int, card: ModelCard) -> tuple[int, int]:
    """Return the size that a network takes which keeps the proportions of pictures.

    Parameters
    ----------
    own : (height, width), optional
        That all pictures share; None: they differ, and the network's image is a square.
    longer : int
        Pixels of the longer side at most, or nearest to it.
    card : ModelCard
        Its ``step`` divides both sides.
    """
    height, width = own or (longer, longer)
    by, least = longer / max(height, width), -(-card.smallest_side // card.step) * card.step
    sides = (max(round(side * by / card.step) * card.step, least) for side in (height, width))
    first, second = sides
    return first, second
