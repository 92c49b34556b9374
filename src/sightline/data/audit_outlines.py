"""Check outlines of a data set, and boxes that are there twice."""

from __future__ import annotations

import collections
from typing import NamedTuple

import numpy as np

from sightline.data.annotation import Annotation
from sightline.data.dataset import Dataset
from sightline.data.notes import Severity


class Fault(NamedTuple):
    """Faults of one kind: what a finding of the audit says.

    Parameters
    ----------
    kind : str
    severity : {"error", "warning", "note"}
    cases : list of str
    text : str
    mend : str
    many : int, optional
        How many there are, where a case holds several.
    rows : tuple of int
        Rows of the images that have them, where a fixed copy asks for them.
    """

    kind: str
    severity: Severity
    cases: list[str]
    text: str
    mend: str
    many: int | None = None
    rows: tuple[int, ...] = ()


def faults(data: Dataset) -> list[Fault]:
    """Return the faults of outlines and boxes; kinds without a case are left out."""
    known = [
        (i.id, i.annotation) for i in data.source.items if isinstance(i.annotation, Annotation)
    ]
    outlines = [why for _, a in known for why in a.broken]
    twice = [where for id_, a in known for where in _twice(id_, a)]
    checks = [
        Fault("broken-outline", "error", outlines, "outlines that cannot be used",
              "export the annotations again (a fixed copy has the boxes alone)"),
        Fault("duplicate-box", "warning", twice, "boxes that are there twice, of one class",
              "keep one"),
    ]  # fmt: skip
    return [fault for fault in checks if fault.cases]


def _twice(id_: str, annotation: Annotation) -> list[str]:
    if len(annotation.boxes) < 2:
        return []
    rows = np.column_stack([annotation.boxes.round(3), annotation.labels]).tolist()
    counts = collections.Counter(map(tuple, rows))
    return [f"{id_} ({', '.join(f'{v:g}' for v in row[:4])})"
            for row, count in counts.items() for _ in range(count - 1)]  # fmt: skip
