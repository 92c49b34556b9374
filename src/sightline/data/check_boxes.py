"""Look at the boxes of a data set: put swapped corners right, and say which have no area."""

from __future__ import annotations

import numpy as np

from sightline.counting import counted
from sightline.data.annotation import Annotation
from sightline.data.dataset import Dataset
from sightline.data.notes import Note

_EXAMPLES = 5


def check(data: Dataset) -> list[Note]:
    """Swap corners that were written the wrong way round, and return what is to be said of boxes.

    A box without area stays in its annotation, for the audit; no method sees it.

    Parameters
    ----------
    data : Dataset
        Its annotations are changed.
    """
    known = [
        (item, item.annotation)
        for item in data.source.items
        if isinstance(item.annotation, Annotation) and len(item.annotation.boxes)
    ]
    if not known:
        return []
    boxes = np.concatenate([annotation.boxes for _, annotation in known])
    places = np.repeat(np.arange(len(known)), [len(a.boxes) for _, a in known])
    swapped = np.flatnonzero((boxes[:, 2:] < boxes[:, :2]).any(1))
    for place in np.unique(places[swapped]).tolist():
        annotation = known[place][1]
        corners = annotation.boxes.reshape(-1, 2, 2)
        annotation.boxes = np.concatenate((corners.min(1), corners.max(1)), 1)
    empty = np.flatnonzero((boxes[:, 2:] == boxes[:, :2]).any(1))

    def told(rows: np.ndarray[tuple[int], np.dtype[np.intp]]) -> list[str]:
        return [
            f"{known[places[row]][0].id} ({', '.join(f'{v:g}' for v in boxes[row])})"
            for row in rows[:_EXAMPLES].tolist()
        ]

    notes = []
    if len(swapped):
        some = told(swapped)
        notes.append(Note(
            counted(len(swapped), "box has its corners swapped and is",
                    "boxes have their corners swapped and are")
            + f" read the right way round, first {some[0]}", kind="swapped-corners",
            severity="warning", count=len(swapped), examples=some,
            mend="write the upper left corner first, widths and heights above 0",
        ))  # fmt: skip
    if len(empty):
        some = told(empty)
        notes.append(Note(
            counted(len(empty), "object has no area and plays no part",
                    "objects have no area and play no part") + f", first {some[0]}",
            kind="box-without-area", severity="error", count=len(empty), examples=some, seen=True,
            mend="draw them anew, or remove them (a fixed copy does)",
        ))  # fmt: skip
    return notes
