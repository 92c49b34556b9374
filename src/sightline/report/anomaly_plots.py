"""Draw scores of good and odd pictures, and what each threshold finds and wrongly calls odd."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from sightline.data.fonts import figure
from sightline.metrics.anomaly import Evaluation
from sightline.report.names import shortened
from sightline.report.plots import (
    NAMES_AT_POINTS,
    clipped,
    legend,
    linestyle,
    per_cent,
)
from sightline.report.words import say
from sightline.types import ODD

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 400
"""Pictures of a kind that get a mark of their own; of more, so many that are spread evenly."""


def scores(e: Evaluation) -> Figure:
    """Draw the score of each picture: a row a kind, the good ones first, and the threshold.

    Parameters
    ----------
    e : Evaluation
    """
    kinds = sorted(set(e.kinds.tolist()))
    drawing = figure(5.4, 1.0 + 0.42 * len(kinds))
    axes = drawing.add_subplot()
    random = np.random.default_rng(0)
    for line, kind in enumerate(kinds):
        own = np.sort(e.scores[e.kinds == kind])
        shown = own[np.unique(np.linspace(0, len(own) - 1, min(len(own), SHOWN)).astype(int))]
        style = linestyle(min(kind, 1), 4) | {"linestyle": "none"}
        axes.plot(shown, line + random.uniform(-0.28, 0.28, len(shown)), alpha=0.6, **style)
    axes.axvline(ODD, color="0.4", linewidth=1, linestyle="--")
    axes.set_yticks(range(len(kinds)), [clipped(e.names[kind]) for kind in kinds])
    axes.set_ylim(len(kinds) - 0.5, -0.5)
    low, high = min(float(e.scores.min()), ODD), max(float(e.scores.max()), ODD)
    room = 0.05 * max(high - low, 0.1)
    axes.set_xlim(low - room, high + room)
    axes.set_xlabel(say("score"))
    axes.spines[["top", "right"]].set_visible(False)
    return drawing


def rates(evaluations: Mapping[str, Evaluation]) -> Figure:
    """Draw the share of defects found over that of good pictures called odd, at every threshold.

    The mark is where the run's own threshold lies.

    Parameters
    ----------
    evaluations : dict of str to Evaluation
        By method; those without good pictures or without defects have no curve.
    """
    drawing = figure(4.6, 4.2)
    axes = drawing.add_subplot()
    labels = shortened(evaluations, NAMES_AT_POINTS)
    for i, (method, e) in enumerate(evaluations.items()):
        odd = e.kinds > 0
        if odd.all() or not odd.any():
            continue
        order = np.argsort(-e.scores, kind="stable")
        last = np.append(np.diff(e.scores[order]) != 0, True)  # of equal scores all or none
        seen = np.append(0.0, np.cumsum(odd[order])[last] / odd.sum())
        false = np.append(0.0, np.cumsum(~odd[order])[last] / (~odd).sum())
        style = linestyle(i)
        at = e.at(ODD)
        axes.plot(100 * false, 100 * seen, label=labels[method], color=style["color"])
        axes.plot(100 * at[0], 100 * at[1], **(style | {"linestyle": "none"}), clip_on=False)
    axes.set_xlabel(say("good pictures called odd"))
    axes.set_ylabel(say("defects found"))
    for axis in (axes.xaxis, axes.yaxis):
        per_cent(axis)
    axes.set_xlim(-1, 101)
    axes.set_ylim(-1, 101)
    axes.grid(visible=True, color="0.92")
    axes.spines[["top", "right"]].set_visible(False)
    if len(evaluations) > 1 and axes.get_legend_handles_labels()[0]:
        legend(drawing, axes)
    return drawing
