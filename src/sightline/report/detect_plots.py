"""Draw what detectors get right: precision against recall, and what their errors cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sightline.data.fonts import figure
from sightline.metrics import detect_precision as precision_
from sightline.metrics.detect_errors import Errors
from sightline.metrics.detect_table import Table
from sightline.report.classify_plots import SHOWN, finish
from sightline.report.plots import clipped, linestyle
from sightline.report.svg import CELL
from sightline.report.words import say

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CAUSES = {
    "classification": say("wrong class"), "localisation": say("wrong place"),
    "both": say("class and place wrong"), "duplicate": say("a second answer"),
    "background": say("nothing is there"), "missed": say("missed"),
}  # fmt: skip


def precision_recall(table: Table, classes: Sequence[str]) -> Figure:
    """Draw precision against recall of each class at an overlap of 0.5.

    Parameters
    ----------
    table : Table
    classes : sequence of str
        Those without an object are left out; of more than ten the others than the hardest are grey.
    """
    scores = {
        c: precision_.voc2010(precision_.voc_outcomes(table, c))
        for c in np.flatnonzero(table.numbers).tolist()
    }
    order = sorted(scores, key=lambda c: scores[c])
    drawing = figure(5.4, 4.2)
    axes = drawing.add_subplot()
    for place, c in reversed(list(enumerate(order))):
        _, precision, recall = precision_.curve(table, c)
        named = place < SHOWN
        style = linestyle(place, 6) if named else {"color": CELL, "alpha": 0.25}
        first = precision[:1] if len(precision) else np.zeros(1)
        axes.step(
            100 * np.append(0, recall), 100 * np.append(first, precision), where="pre",
            linewidth=1.3, markevery=(0.05 + 0.02 * place, 0.25) if named else None,
            label=f"{clipped(classes[c])} ({100 * scores[c]:.1f})" if named else None, **style,
        )  # fmt: skip
    axes.set_xlim(0, 102)
    axes.set_ylim(0, 102)
    axes.set_xlabel(say("share of the objects that is detected (recall)"))
    axes.set_ylabel(say("right among the answers (precision)"))
    if order:
        finish(drawing, axes)
    return drawing


def costs(errors: Errors) -> Figure:
    """Draw what each cause of errors costs, in points of AP50.

    Parameters
    ----------
    errors : Errors
    """
    drawing = figure(5.4, 2.6)
    axes = drawing.add_subplot()
    names = list(errors.costs)
    values = [100 * errors.costs[name] for name in names]
    axes.barh(range(len(names)), values, color=CELL, height=0.7)
    axes.set_yticks(range(len(names)), [_CAUSES[name] for name in names])
    axes.invert_yaxis()
    for place, (name, value) in enumerate(zip(names, values, strict=True)):
        axes.text(value, place, f" {value:.1f} ({errors.counts[name]:,})", va="center", fontsize=9)
    axes.set_xlim(0, max(*values, 1) * 1.3)
    axes.set_xlabel(say("points of AP50 (how many errors)"))
    axes.spines[["top", "right"]].set_visible(False)
    return drawing
