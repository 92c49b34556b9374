"""Draw how well objects with masks are found and counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sightline.data.fonts import figure
from sightline.metrics.instances import Evaluation
from sightline.report.plots import clipped, legend, linestyle
from sightline.report.svg import CELL
from sightline.report.words import say

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 20
"""Classes of a drawing of bars: the worst."""


def by_class(e: Evaluation, classes: Sequence[str]) -> Figure:
    """Draw AP50 and panoptic quality of each class that has objects, the worst at the top.

    Parameters
    ----------
    e : Evaluation
    classes : sequence of str
    """
    figures = e.by_class
    there = np.flatnonzero(figures["objects"] > 0)
    order = there[np.argsort(figures["ap50"][there], kind="stable")][:SHOWN]
    drawing = figure(5.4, 1.2 + 0.42 * max(len(order), 1))
    axes = drawing.add_subplot()
    for place, (name, said) in enumerate((("ap50", "AP50"), ("pq", "PQ"))):
        colour = linestyle(place)["color"]
        values = 100 * np.nan_to_num(figures[name][order])
        at = np.arange(len(order)) + 0.2 * (2 * place - 1)
        axes.barh(at, values, 0.38, color=colour, label=said)
        for y, value in zip(at.tolist(), values.tolist(), strict=True):
            axes.text(value, y, f" {value:.0f}", va="center", fontsize=8)
    axes.set_yticks(range(len(order)), [clipped(classes[c]) for c in order.tolist()])
    axes.invert_yaxis()
    axes.set_xlim(0, 112)
    if len(order) < len(there):
        axes.set_title(
            say("the {count} worst of {all} classes", count=str(len(order)), all=str(len(there))),
            fontsize=10,
        )
    axes.spines[["top", "right"]].set_visible(False)
    legend(drawing, axes)
    return drawing


def counts(e: Evaluation) -> Figure:
    """Draw how many objects each picture has, against how many are answered.

    Parameters
    ----------
    e : Evaluation
    """
    true, answered = e.pictures.true.sum(1), e.pictures.answered.sum(1)
    most = max(int(true.max(initial=1)), int(answered.max(initial=1))) * 1.05
    drawing = figure(4.2, 3.9)
    axes = drawing.add_subplot()
    axes.plot((0, most), (0, most), color="0.6", linewidth=1)
    axes.scatter(true, answered, s=18, color=CELL, alpha=0.6, linewidths=0)
    axes.set_xlim(-0.03 * most, most)
    axes.set_ylim(-0.03 * most, most)
    axes.set_aspect("equal")
    axes.set_xlabel(say("objects in the picture"))
    axes.set_ylabel(say("objects that are answered"))
    axes.spines[["top", "right"]].set_visible(False)
    return drawing
