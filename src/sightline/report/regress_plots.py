"""Draw what is said of numbers over what is true, with the interval's reach."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sightline.data.fonts import figure
from sightline.metrics.regress import Evaluation
from sightline.report.plots import linestyle
from sightline.report.words import say

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 1000
"""Pictures that get a mark of their own; of more, so many that are drawn at random."""


def against(e: Evaluation, name: str) -> Figure:
    """Draw the answer of each picture over its true number; the band is the interval's reach.

    Parameters
    ----------
    e : Evaluation
    name : str
        What the number is called.
    """
    drawing = figure(4.6, 4.2)
    axes = drawing.add_subplot()
    some = np.arange(len(e.truth))
    if len(some) > SHOWN:
        some = np.sort(np.random.default_rng(0).choice(len(some), SHOWN, replace=False))
    low = float(min(e.truth.min(), e.said.min()))
    high = float(max(e.truth.max(), e.said.max()))
    room = 0.04 * max(high - low, 1e-9)
    ends = np.array([low - room, high + room])
    reach = float(np.median(e.high - e.low)) / 2
    axes.fill_between(ends, ends - reach, ends + reach, color="0.5", alpha=0.15, linewidth=0)
    axes.plot(ends, ends, color="0.5", linewidth=1)
    style = linestyle(0, 4.5) | {"linestyle": "none"}
    axes.plot(e.truth[some], e.said[some], alpha=0.6, **style)
    axes.set_xlim(*ends)
    axes.set_ylim(*ends)
    axes.set_xlabel(say("true: {name}", name=name))
    axes.set_ylabel(say("answered: {name}", name=name))
    axes.grid(visible=True, color="0.92")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return drawing
