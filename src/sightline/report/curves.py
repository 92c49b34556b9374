"""Draw how training went, epoch by epoch, and where overfitting began."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sightline.data.fonts import figure
from sightline.metrics import Metrics
from sightline.metrics.overfitting import Watched, find_overfitting, watched
from sightline.report.plots import PALETTE, per_cent
from sightline.report.words import known, say

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sightline.training.probe import LrCurve

TRAIN, VAL = PALETTE[0], PALETTE[1]
WARNING = "#e69f00"


def training_curves(
    history: Sequence[Mapping[str, Any]], title: str, metrics: Metrics | None = None, *,
    stacked: bool = False,
) -> Figure:  # fmt: skip
    """Draw loss and figure of training and validation; mark overfitting.

    Parameters
    ----------
    history : sequence of dict
        One an epoch, as `sightline.metrics.overfitting.find_overfitting` reads it, or one an
        iteration with its ``loss``; validation may be missing.
    title : str
    metrics : Metrics, optional
        Of the same task; they say the figure's unit and direction, see
        `sightline.metrics.overfitting.watched`.
    stacked : bool
        Whether the figure stands under the loss, as on a page that may be narrow, or beside it.
    """
    unit = "epoch" if "epoch" in history[0] else "iteration"
    if unit == "iteration":  # of an optimiser that sees all images at every step
        history = [
            dict(row) | {"epoch": row["iteration"], "train_loss": row["loss"]} for row in history
        ]
    judged = watched(history, metrics)
    count = 1 if judged is None else 2
    drawing = figure(5.4, 1.0 + 2.6 * count) if stacked else figure(9.6, 4.0)
    shape = (count, 1) if stacked else (1, count)
    panels = np.atleast_1d(np.asarray(drawing.subplots(*shape)))
    _curves(panels[0], history, "loss", 1)
    panels[0].set_ylabel(say("loss"))
    panels[0].set_ylim(bottom=0)
    if judged is not None:
        _curves(panels[1], history, judged.name, 100 if judged.share else 1)
        panels[1].set_ylabel(known(judged.words))
        if judged.share:
            per_cent(panels[1].yaxis)
    seen = find_overfitting(history, judged)
    for axes in panels:
        axes.set_xlabel(known(unit))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(visible=True, color="0.92")
        axes.xaxis.get_major_locator().set_params(integer=True)
        if seen:
            last = float(history[-1]["epoch"])
            axes.axvspan(seen.epoch - 0.5, last + 0.5, color=WARNING, alpha=0.13, linewidth=0)
            axes.set_xlim(right=last + 0.5)
    lines: dict[str, Any] = {}  # a figure that is judged on validation alone has one line, too
    for axes in panels:
        lines |= dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))
    names, handles = list(lines), list(lines.values())
    if seen:
        from matplotlib.patches import Patch

        handles.append(Patch(color=WARNING, alpha=0.25))
        start = f"overfitting from {unit} {{start}}"
        names.append(
            say(start, start=seen.epoch) if judged is None or seen.gap is None else
            say(f"{start}, {{figure}} gap {{gap}} at the end", start=seen.epoch,
                figure=known(judged.words), gap=_gap(judged, seen.gap))
        )  # fmt: skip
    columns = 2 if stacked else 3
    drawing.legend(handles, names, loc="outside lower center", ncols=columns, frameon=False)
    if title:
        drawing.suptitle(title)
    return drawing


def _gap(judged: Watched, gap: float) -> str:
    """Return a gap of the figure with its unit."""
    return say("{points} points", points=f"{100 * gap:.1f}") if judged.share else judged.text(gap)


def _curves(axes: Axes, history: Sequence[Mapping[str, Any]], what: str, scale: float) -> None:
    marker = "o-" if len(history) < 40 else "-"
    for name, word, colour in (
        ("train", say("training"), TRAIN),
        ("val", say("validation"), VAL),
    ):
        rows = [row for row in history if row.get(f"{name}_{what}") is not None]
        if not rows:
            continue
        values = [scale * float(row[f"{name}_{what}"]) for row in rows]
        axes.plot(
            [float(row["epoch"]) for row in rows], values, marker, label=word, color=colour,
            markersize=3.5, linewidth=1.6,
        )  # fmt: skip


def learning_rates(curve: LrCurve, title: str) -> Figure:
    """Draw the loss against a rising learning rate, the suggestion marked."""
    drawing = figure(6.4, 4.0)
    axes = drawing.add_subplot()
    axes.plot(curve.rates, curve.losses, color=PALETTE[0], linewidth=1.8)
    axes.axvline(curve.suggestion, color=PALETTE[1], linestyle="--")
    axes.annotate(
        f" {curve.suggestion:.2g}: falls fastest", (curve.suggestion, max(curve.losses)),
        color=PALETTE[1], va="top",
    )  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlabel("learning rate")
    axes.set_ylabel("loss (running mean)")
    axes.set_title(title)
    axes.grid(visible=True, color="0.92")
    return drawing
