"""Find where the classes of a data set change all at once, as when a list of classes was rewritten.

YOLO's labels are numbers whose names stand in another file. Programs for annotating rewrite that
file: labels from before mean other classes then, and nothing in the files says so. What shows is
that at some picture one class ends and another begins.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from sightline.data.annotation import Annotation
from sightline.data.dataset import Dataset

PICTURES = 10
"""With objects, on either side of a jump at least."""

SHARE = 0.2
"""Of the objects on a side that belongs to classes which the other side has not."""

OBJECTS = 8
"""Of a class at least: that all of fewer lie on one side may be chance."""

LAYOUTS = frozenset(("yolo",))
"""Formats whose labels are numbers into a list that is kept elsewhere."""


@dataclass(frozen=True, slots=True)
class Jump:
    """A place where classes end and others begin.

    Parameters
    ----------
    place : str
        The first picture behind it.
    ended, begun : tuple of str
        Classes that are before it alone, and behind it alone.
    """

    place: str
    ended: tuple[str, ...]
    begun: tuple[str, ...]

    def __str__(self) -> str:
        return f"at {self.place}: no {' and '.join(self.ended)} from it on, no " + (
            f"{' and '.join(self.begun)} before it"
        )


def jump(data: Dataset) -> Jump | None:
    """Return the largest jump in the order of the pictures' names; None: there is none.

    Where the names themselves change there (cat_01 ... dog_01), the pictures are sorted by class,
    and it is none.

    Parameters
    ----------
    data : Dataset
    """
    if data.layout not in LAYOUTS or len(data.classes) < 2:
        return None
    known = []
    for item in data.source.items:
        annotation = item.annotation
        if isinstance(annotation, Annotation) and (annotation.labels >= 0).any():
            labels = annotation.labels[annotation.labels >= 0]
            known.append((item.id, np.bincount(labels, minlength=len(data.classes))))
    if len(known) < 2 * PICTURES:
        return None
    known.sort(key=lambda one: _natural(one[0]))
    counts = np.stack([one[1] for one in known])
    enough = counts.sum(0) >= OBJECTS
    there = counts > 0
    first = np.where(there.any(0), there.argmax(0), len(counts))
    last = np.where(there.any(0), len(counts) - 1 - there[::-1].argmax(0), len(counts))
    best: tuple[float, int] = (SHARE, 0)
    for cut in np.unique(first).tolist():
        if not PICTURES <= cut <= len(counts) - PICTURES:
            continue
        before, after = counts[:cut].sum(0), counts[cut:].sum(0)
        ended = before[(last < cut) & enough].sum() / before.sum()
        begun = after[(first >= cut) & enough].sum() / after.sum()
        best = max(best, (float(min(ended, begun)), cut))
    cut = best[1]
    if not cut or _stems(known[:cut]).isdisjoint(_stems(known[cut:])):
        return None
    names = np.array(data.classes, object)
    sides = (last < cut) & enough, (first >= cut) & enough
    return Jump(known[cut][0], *(tuple(names[side]) for side in sides))


def _stems(known: list[tuple[str, np.ndarray[tuple[int], np.dtype[np.int64]]]]) -> set[str]:
    """Return what pictures are called, without folders, endings and numbers."""
    return {re.sub(r"\d+", "", name.rpartition("/")[2].rpartition(".")[0]) for name, _ in known}


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Return a key that sorts the numbers in names as numbers, whatever folder they lie in."""
    parts = re.split(r"(\d+)", name.rpartition("/")[2])
    return [(0, int(p), "") if p.isdigit() else (1, 0, p) for p in parts if p]
