"""Check outlines and masks of a data set, and boxes that are there twice."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from sightline.data import draw_masks
from sightline.data.annotation import Annotation
from sightline.data.dataset import Dataset
from sightline.data.notes import Severity
from sightline.data.outlines import check_size
from sightline.errors import DataError
from sightline.types import IGNORE


class Fault(NamedTuple):
    """Faults of one kind: what a finding of the audit says."""

    kind: str
    severity: Severity
    cases: list[str]
    text: str
    mend: str


def faults(data: Dataset) -> list[Fault]:
    """Return the faults of outlines, masks and boxes; kinds without a case are left out."""
    known = [
        (i.id, i.annotation) for i in data.source.items if isinstance(i.annotation, Annotation)
    ]
    outlines = [why for _, a in known for why in a.broken]
    twice = [where for id_, a in known for where in _twice(id_, a)]
    broken, extra = _masks(known, data.segmentation_classes)
    checks = [
        Fault("broken-outline", "error", outlines, "outlines that cannot be used",
              "export the annotations again (a fixed copy has the boxes alone)"),
        Fault("broken-mask", "error", broken, "masks that cannot be read, or of another size",
              "draw them anew"),
        Fault("unknown-mask-value", "error", extra,
              f"masks with values that are none of the {len(data.segmentation_classes)} classes",
              "name the values in classes.txt, or mend the masks"),
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


def _masks(
    known: Sequence[tuple[str, Annotation]], classes: tuple[str, ...]
) -> tuple[list[str], list[str]]:
    """Return the masks that cannot be used, and those with values that have no name."""

    def look(entry: tuple[str, Annotation]) -> tuple[list[str], list[str]]:
        _, annotation = entry
        broken, extra = [], []
        for path, of_classes in ((annotation.semantic, True), (annotation.instances, False)):
            if path is None:
                continue
            try:
                values = draw_masks.read_index_png(path)
                size = (annotation.height, annotation.width)
                if annotation.width:
                    check_size(path, values.shape, *size)
            except DataError as error:
                broken.append(str(error))
                continue
            if of_classes and not annotation.semantic_binary:
                named = (*range(len(classes)), *annotation.semantic_ignore, IGNORE)
                wrong = np.setdiff1d(values, named)
                if wrong.size:
                    shown = ", ".join(map(str, wrong[:5].tolist())) + " ..." * (wrong.size > 5)
                    extra.append(f"{path} ({shown})")
        return broken, extra

    drawn = [entry for entry in known if entry[1].semantic or entry[1].instances]
    with ThreadPoolExecutor(4) as pool:
        looks = list(pool.map(look, drawn))
    return [b for broken, _ in looks for b in broken], [e for _, extra in looks for e in extra]
