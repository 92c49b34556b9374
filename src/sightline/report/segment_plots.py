"""Draw how right the classes of pixels are: the figures, and each class with its interval."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sightline.data.fonts import figure
from sightline.metrics import figure_text
from sightline.metrics.segment import Evaluation
from sightline.report.classify_plots import NAMED, confusion_matrix
from sightline.report.names import shortened
from sightline.report.plots import (
    NAMES_AT_POINTS,
    clipped,
    legend,
    linestyle,
    per_cent,
    start_of,
)
from sightline.report.svg import CELL
from sightline.report.words import figure_name, say

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK = "#4c4c4c"  # of lines over bars; the page has its own in place of it


def figures(evaluations: Mapping[str, Evaluation]) -> Figure:
    """Draw each of the figures with its 95% interval: a mark a method.

    Parameters
    ----------
    evaluations : dict of str to Evaluation
        By method.
    """
    names = list(dict.fromkeys(name for e in evaluations.values() for name in e.metrics))
    each = 0.3 if len(evaluations) == 1 else 0.16 * len(evaluations) + 0.14
    drawing = figure(5.4, 0.9 + each * len(names))
    axes = drawing.add_subplot()
    places, ends = 0.8 * (np.arange(len(evaluations)) + 0.5) / len(evaluations) - 0.4, [100.0]
    labels = shortened(evaluations, NAMES_AT_POINTS)
    for i, (method, e) in enumerate(evaluations.items()):
        shown = [name for name in names if name in e.metrics]
        values = 100 * np.array([e.metrics[name] for name in shown])
        limits = 100 * np.array([e.intervals[name] for name in shown]).reshape(-1, 2)
        lines = np.array([names.index(name) for name in shown]) + places[i]
        axes.errorbar(
            values, lines, xerr=_around(values, limits), capsize=2.5, elinewidth=1,
            label=labels[method], **(linestyle(i) | {"linestyle": "none"}),
        )  # fmt: skip
        ends += limits.ravel().tolist()
        if len(evaluations) == 1:
            _write(axes, lines, values)
    axes.set_yticks(range(len(names)), [figure_name(name) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    _finish(axes, start_of(ends))
    if len(evaluations) > 1:
        legend(drawing, axes)
    return drawing


def by_class(e: Evaluation) -> Figure:
    """Draw the IoU of each class as a bar with its 95% interval, Dice and boundary F1 beside it.

    Parameters
    ----------
    e : Evaluation
        Classes without an IoU are left out; of very many the hardest are drawn.
    """
    iou = e.by_class["iou"]
    known = np.flatnonzero(~np.isnan(iou))
    order = known[np.argsort(iou[known], kind="stable")][:NAMED]
    drawing = figure(5.4, 1.0 + 0.28 * max(len(order), 1))
    axes = drawing.add_subplot()
    lines = np.arange(len(order))
    values = 100 * iou[order]
    limits = 100 * np.stack([e.by_class["iou_low"][order], e.by_class["iou_high"][order]], 1)
    axes.barh(
        lines, values, xerr=_around(values, limits), color=CELL, alpha=0.75, height=0.66,
        error_kw={"ecolor": _INK, "capsize": 2.5, "elinewidth": 1}, label=figure_name("iou"),
    )  # fmt: skip
    for i, name in enumerate(("dice", "boundary_f1"), start=1):
        axes.plot(
            100 * e.by_class[name][order], lines, label=figure_name(name), clip_on=False,
            **(linestyle(i, 6) | {"linestyle": "none"}),
        )  # fmt: skip
    _write(axes, lines, values)
    axes.set_yticks(lines, [clipped(e.classes[c]) for c in order])
    axes.set_ylim(len(order) - 0.5, -0.5)
    if len(order) < len(known):
        said = say("the {count} hardest classes of {all}", count=len(order), all=len(known))
        axes.set_title(said, fontsize=10)
    _finish(axes, 0.0)
    legend(drawing, axes)
    return drawing


def confusion(e: Evaluation, title: str) -> Figure:
    """Draw the pixels of each true class (row) by the class that was answered (column).

    Parameters
    ----------
    e : Evaluation
        Classes that are in neither truth nor answers are left out.
    title : str
    """
    there = np.flatnonzero(e.table.present)
    table, none = e.table.confusion[there], e.table.confusion[there, -1]
    return confusion_matrix(
        table[:, [*there, *([-1] if none.any() else [])]], [e.classes[c] for c in there], title,
        other=say("none") if none.any() else None, cell=short,
    )  # fmt: skip


def short(count: int) -> str:
    """Return a count of pixels in at most four letters.

    Examples
    --------
    >>> [short(n) for n in (7, 999, 1_000, 56_789, 999_999, 12_345_678)]
    ['7', '999', '1k', '57k', '1M', '12M']
    """
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if count >= 0.9995 * size:
            value = count / size
            return (
                f"{value:.1f}".removesuffix(".0") + unit if value < 9.95 else f"{value:.0f}{unit}"
            )
    return str(count)


def _around(values: NDArray[np.float64], limits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far intervals reach below and above their figures, shape (2, N)."""
    return np.stack([values - limits[:, 0], limits[:, 1] - values]).clip(0)


def _write(axes: Axes, lines: NDArray[np.number], values: NDArray[np.float64]) -> None:
    """Write figures at the right of the frame."""
    for line, value in zip(lines.tolist(), values.tolist(), strict=True):
        axes.annotate(
            figure_text(value / 100, True, 1), (1.02, line), xycoords=("axes fraction", "data"),
            va="center", fontsize=9, annotation_clip=False,
        )  # fmt: skip


def _finish(axes: Axes, low: float) -> None:
    """Write per cent at the axis, and draw the grid."""
    axes.set_xlim(low - (100 - low) / 50 if low else 0, 100 + (100 - low) / 50)
    per_cent(axes.xaxis)
    axes.grid(visible=True, axis="x", color="0.92")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
