"""Draw learning curves: what was measured, and where a power law would lead."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sightline.bench.curve_results import CurveEntry, CurveResults
from sightline.data.fonts import figure
from sightline.report.names import shortened
from sightline.report.plots import (
    NAMES_AT_POINTS,
    legend,
    linestyle,
    per_cent,
    plain_log,
    spread,
    start_of,
)
from sightline.report.words import figure_name, say

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NAME = 13.0  # points from one name to the next


def learning_curves(results: CurveResults, title: str = "") -> Figure:
    """Draw the headline of each method against the number of training images.

    Lines and points are measured, the dashed continuation is an extrapolation. The names stand at
    the right, each with a line to the end of its curve.

    Parameters
    ----------
    results : CurveResults
        With at least one method that was measured.
    title : str, optional
    """
    drawn = [m for m in results.methods if m.measured]
    drawing = figure(6.4, max(4.2, 1.2 + _NAME * len(drawn) / 72))
    axes = drawing.add_subplot()
    axes.set_xscale("log")
    ends = [_draw(axes, m, i, results) for i, m in enumerate(results.methods) if m.measured]
    last = max(m.measured[-1].images for m in drawn)
    if any(m.trend for m in drawn):
        axes.axvline(last, color="0.6", linewidth=1, linestyle=":", zorder=1,
                     label=say("largest size measured"))  # fmt: skip
    _limit(axes, drawn, results)
    axes.set_xlabel(say("training images (log scale)"))
    axes.set_ylabel(say("test {figure}", figure=figure_name(results.metric or "headline")))
    axes.grid(visible=True, which="major", color="0.92")
    axes.spines[["top", "right"]].set_visible(False)
    if title:
        axes.set_title(title, fontsize=11)
    _explain(axes, drawn, results)
    legend(drawing, axes)
    _name_curves(drawing, axes, results, ends)
    return drawing


def _unit(results: CurveResults) -> int:
    return 100 if results.share else 1


def _draw(
    axes: Axes, method: CurveEntry, i: int, results: CurveResults
) -> tuple[int, float, float]:
    """Draw a curve; return its number and where it ends."""
    unit, style = _unit(results), linestyle(i, 6)
    colour, points = style["color"], method.measured
    places = [p.images for p in points]
    axes.plot(places, [unit * (p.mean or 0.0) for p in points], linewidth=1.7, zorder=3, **style)
    axes.fill_between(
        places, [unit * (p.low or 0.0) for p in points], [unit * (p.high or 0.0) for p in points],
        color=colour, alpha=0.22, linewidth=0,
    )  # fmt: skip
    end = places[-1], unit * (points[-1].mean or 0.0)
    if method.trend is not None:
        ahead = method.trend.curve
        beyond = [a.images for a in ahead]
        axes.plot(
            beyond, [unit * a.figure for a in ahead], color=colour, linewidth=1.3, linestyle="--",
            zorder=2,
        )  # fmt: skip
        axes.fill_between(
            beyond, [unit * a.low for a in ahead], [unit * a.high for a in ahead], color=colour,
            alpha=0.09, linewidth=0,
        )  # fmt: skip
        end = beyond[-1], unit * ahead[-1].figure
    return i, *end


def _limit(axes: Axes, drawn: list[CurveEntry], results: CurveResults) -> None:
    """Set the limits: of a share no more is shown than tells, and never more than there is."""
    ends = [
        _unit(results) * value
        for m in drawn
        for value in (
            *(v for p in m.measured for v in (p.low, p.high) if v is not None),
            *(a.figure for a in (m.trend.curve if m.trend else ())),
        )
    ]
    low, high = min(ends), max(ends)
    pad = 0.06 * (high - low) or 0.5
    if results.share:
        per_cent(axes.yaxis)
        axes.set_ylim(min(start_of(ends), low - pad), min(high + pad, 100 + pad))
    else:
        axes.set_ylim(low - pad, high + pad)
    left, right = axes.get_xlim()
    if right / left < 2:  # one size alone
        axes.set_xlim(left / 2, right * 2)
    plain_log(axes, lambda count: f"{count:,.10g}")


def _explain(axes: Axes, drawn: list[CurveEntry], results: CurveResults) -> None:
    """Add to the legend what bands and dashes are."""
    if results.seeds > 1:
        label = say("lowest to highest of {seeds} draws", seeds=results.seeds)
        axes.fill_between([], [], [], color="0.3", alpha=0.3, linewidth=0, label=label)
    if any(m.trend for m in drawn):
        axes.plot([], [], color="0.3", linestyle="--", linewidth=1.3,
                  label=say("extrapolated, with its 95% band"))  # fmt: skip


def _name_curves(
    drawing: Figure, axes: Axes, results: CurveResults, ends: list[tuple[int, float, float]]
) -> None:
    """Write the names at the right of the frame, none over another."""
    drawing.draw_without_rendering()  # settles the limits, and so where points are
    low, high = axes.get_ylim()
    gap = _NAME / (axes.bbox.height * 72 / drawing.dpi)
    names = list(shortened((m.name for m in results.methods), NAMES_AT_POINTS).values())
    heights = np.clip([(y - low) / (high - low) for _, _, y in ends], 0, 1).tolist()
    for (i, x, y), height in zip(ends, spread(heights, gap), strict=True):
        colour = linestyle(i)["color"]
        axes.annotate(
            names[i], (x, y), xytext=(1.04, height), textcoords="axes fraction", va="center",
            fontsize=10, annotation_clip=False, color=colour,
            arrowprops={
                "arrowstyle": "-", "color": colour, "linewidth": 0.7, "alpha": 0.55,
                "shrinkA": 1, "shrinkB": 3, "relpos": (0, 0.5),
            },
        )  # fmt: skip
