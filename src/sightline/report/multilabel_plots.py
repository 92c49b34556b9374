"""Draw how well each label is told, and which labels pictures have together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.data.fonts import figure
from sightline.metrics.multilabel import Evaluation
from sightline.report.plots import clipped, legend, linestyle, per_cent
from sightline.report.svg import CELL
from sightline.report.words import figure_name, say

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 24
"""Labels that are drawn at most: of more, the hardest, or the most frequent."""


def by_label(e: Evaluation) -> Figure:
    """Draw the average precision of each label as a bar, with its F1 and its frequency beside it.

    Parameters
    ----------
    e : Evaluation
        Labels that no picture has are left out; of very many the hardest are drawn.
    """
    ap = e.precisions
    known = np.flatnonzero(~np.isnan(ap))
    order = known[np.argsort(ap[known], kind="stable")][:SHOWN]
    lines = np.arange(len(order))
    drawing = figure(5.4, 1.1 + 0.28 * max(len(order), 1))
    axes = drawing.add_subplot()
    axes.barh(
        lines, 100 * ap[order], color=CELL, alpha=0.75, height=0.66,
        label=figure_name("average_precision"),
    )  # fmt: skip
    beside: tuple[tuple[str, NDArray[Any]], ...] = (
        (say("F1 at its threshold"), e.by_label["f1"]), (say("frequency"), e.truth.mean(0)),
    )  # fmt: skip
    for i, (name, values) in enumerate(beside, start=1):
        style = linestyle(i, 6) | {"linestyle": "none"}
        axes.plot(100 * values[order], lines, label=name, clip_on=False, **style)
    axes.set_yticks(lines, [clipped(e.classes[k]) for k in order])
    axes.set_ylim(len(order) - 0.5, -0.5)
    if len(order) < len(known):
        axes.set_title(say("the {count} hardest labels of {all}", count=len(order), all=len(known)),
                       fontsize=10)  # fmt: skip
    axes.set_xlim(0, 102)
    per_cent(axes.xaxis)
    axes.grid(visible=True, axis="x", color="0.92")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    legend(drawing, axes)
    return drawing


def together(counts: NDArray[np.int64], classes: Sequence[str]) -> Figure:
    """Draw how often pictures with one label (row) have each other one (column), too.

    Parameters
    ----------
    counts : int64 array, shape (K, K)
        Pictures with both; on the diagonal, with the one.
    classes : sequence of str
    """
    from matplotlib.colors import to_rgb

    own = np.diagonal(counts)
    order = np.argsort(-own, kind="stable")[:SHOWN]
    order = np.sort(order[own[order] > 0])
    shares = counts[np.ix_(order, order)] / np.maximum(own[order], 1)[:, None]
    side = min(2.4 + 0.34 * max(len(order), 1), 9)
    drawing = figure(side + 0.6, side)
    axes = drawing.add_subplot()
    cells = np.empty((*shares.shape, 4))
    cells[..., :3] = to_rgb(CELL)
    cells[..., 3] = np.where(shares > 0, 0.08 + 0.92 * shares, 0)
    axes.imshow(cells, interpolation="nearest")
    names = [clipped(classes[k]) for k in order]
    axes.set_xticks(range(len(order)), names, rotation=90)
    axes.set_yticks(range(len(order)), names)
    axes.set_xlabel(say("have this label, too"))
    axes.set_ylabel(say("of pictures with this label"))
    if len(order) <= 12:
        for y, x in np.argwhere(shares > 0).tolist():
            colour = "white" if shares[y, x] > 0.6 else "0.25"
            axes.text(x, y, f"{100 * shares[y, x]:.0f}", ha="center", va="center", fontsize=8,
                      color=colour)  # fmt: skip
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    return drawing
