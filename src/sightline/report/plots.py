"""Draw the pictures of a report, as SVG or PNG, in colours safe for colour-blind eyes."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sightline.bench.results import MethodEntry
from sightline.data import fonts
from sightline.data.fonts import figure
from sightline.data.images import as_picture
from sightline.estimators.tuning import Trial, Tuned
from sightline.report.names import shortened

_LABEL = 11.0  # points from one name to the next

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#5B5B5B", "#8C6D31")
"""Okabe & Ito's colours, without the yellow that vanishes on white."""


def svg(drawing: Figure) -> str:
    """Return a drawing as SVG text to stand inside a page."""
    import matplotlib as mpl

    buffer = io.StringIO()
    # No metadata: it would carry a date, and addresses that a page need not have.
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with mpl.rc_context({"svg.hashsalt": "sightline"}):
        fonts.save(drawing, buffer, format="svg", metadata=nothing, transparent=True)
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def png_uri(pixels: NDArray[np.uint8], scale: int = 1) -> str:
    """Return a uint8 image (H, W, C) as a data URI, enlarged without smoothing."""
    from PIL import Image

    image = as_picture(pixels)
    if scale > 1:
        image = image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)
    elif max(image.size) > 160:
        image.thumbnail((160, 160))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def pareto(methods: Sequence[MethodEntry]) -> list[MethodEntry]:
    """Find the methods that no other beats in both headline and latency, the fastest first."""

    def worse(m: MethodEntry) -> float:
        return (m.headline or 0.0) * (-1 if m.higher_is_better else 1)

    front: list[MethodEntry] = []
    for m in sorted(methods, key=lambda m: (m.latency_ms or 0.0, worse(m))):
        if not front or worse(m) < worse(front[-1]):
            front.append(m)
    return front


def headline_against_latency(methods: Sequence[MethodEntry], picked: str | None) -> Figure:
    """Draw each method's headline, with its interval, against its latency.

    The methods that no other beats in both are joined by a line.
    """
    unit = 100 if methods[0].share else 1
    drawing = figure(7.2, 4.0)
    axes = drawing.add_subplot()
    axes.set_xscale("log")
    front = pareto(methods)
    if len(front) > 1:
        axes.step(
            [m.latency_ms or 0 for m in front], [unit * (m.headline or 0) for m in front],
            where="post", color="0.6", linewidth=1.2, linestyle="--", zorder=1,
            label="nothing is both faster and better",
        )  # fmt: skip
    for m in methods:
        chosen = m.name == picked
        colour = PALETTE[2] if chosen else PALETTE[0]
        y, (low, high) = unit * (m.headline or 0), m.interval or (0.0, 0.0)
        axes.errorbar(
            m.latency_ms or 0, y, yerr=[[max(y - unit * low, 0)], [max(unit * high - y, 0)]],
            fmt="o", color=colour, capsize=3, markersize=7, zorder=2,
        )  # fmt: skip
    axes.set_xlabel("latency of one image, ms (log scale)")
    name = (methods[0].metric or "").replace("_", " ")
    axes.set_ylabel(f"test {name}{', %' if unit == 100 else ''} (95% interval)")
    axes.grid(visible=True, which="major", color="0.92")
    axes.margins(x=0.25, y=0.12)
    if len(front) > 1:
        axes.legend(loc="lower right", frameon=False)
    _name_points(drawing, axes, methods, picked, unit)
    return drawing


def _name_points(
    drawing: Figure, axes: Axes, methods: Sequence[MethodEntry], picked: str | None, unit: int
) -> None:
    """Write each method's name beside its point, moved up where two would overlap."""
    drawing.draw_without_rendering()  # settles the limits, and so where points are
    points = [(m.latency_ms or 0.0, unit * (m.headline or 0.0)) for m in methods]
    pixels = axes.transData.transform(points) * 72 / drawing.dpi
    names = shortened(m.name for m in methods)
    taken: list[tuple[float, float, float]] = []
    for i in np.argsort(pixels[:, 1], kind="stable"):
        x, y = pixels[i]
        name = names[methods[i].name]
        chosen = methods[i].name == picked
        wide = (6.2 if chosen else 5.5) * len(name) + 10
        # A name that would run out of the picture on the right ends at its point instead.
        before = x + wide > axes.bbox.x1 * 72 / drawing.dpi
        x -= wide if before else 0
        for left, width, height in sorted(taken, key=lambda t: t[2]):
            if abs(height - y) < _LABEL and left - wide < x < left + width:
                y = height + _LABEL
        taken.append((x, wide, y))
        axes.annotate(
            name, points[i], textcoords="offset points", ha="right" if before else "left",
            xytext=(-6 if before else 6, 4 + y - pixels[i, 1]),
            weight="bold" if chosen else "normal", fontsize=9,
            color=PALETTE[2] if chosen else PALETTE[0],
        )  # fmt: skip


def tuning_curve(tuned: Tuned, knob: str, title: str) -> Figure:
    """Draw the mean figure of the folds against one knob: a panel for each preprocessing.

    The other knobs tell the lines apart; the best setting is marked, with the deviation
    over the folds.
    """
    groups: dict[str, dict[tuple[str, ...], list[Trial]]] = {}
    for trial in tuned.trials:
        rest = tuple(f"{v}" for k, v in trial.options.items() if k != knob)
        groups.setdefault(trial.preprocess.scale, {}).setdefault(rest, []).append(trial)
    drawing = figure(max(4.2 * len(groups), 6), 4.4)
    panels = np.atleast_1d(np.asarray(drawing.subplots(1, len(groups), sharey=True)))
    best, unit = tuned.best, 100 if tuned.share else 1
    for axes, (scale, lines) in zip(panels, groups.items(), strict=True):
        colour_of = {r[0]: PALETTE[i] for i, r in enumerate({r[:1]: r for r in lines}) if r}
        for rest, trials in lines.items():
            values = [t.options[knob] for t in trials]
            solid = len(rest) < 2 or rest[1] == next(r[1] for r in lines if len(r) > 1)
            axes.plot(
                values, [unit * t.figure for t in trials], "o-" if solid else "s--",
                color=colour_of.get(rest[0] if rest else "", PALETTE[0]), markersize=4,
                label=", ".join(rest), linewidth=1.4,
            )  # fmt: skip
        if best.preprocess.scale == scale:
            axes.errorbar(
                best.options[knob], unit * best.figure, yerr=unit * float(np.std(best.figures)),
                fmt="*", color="black", markersize=15, capsize=4, zorder=5, label="best",
            )  # fmt: skip
        axes.set_title(f"pixels: {scale}", fontsize=10)
        axes.set_xlabel(knob)
        axes.grid(visible=True, color="0.92")
    name = tuned.metric.replace("_", " ") + (", %" if tuned.share else "")
    panels[0].set_ylabel(f"{name} (mean of {len(best.figures)} folds)")
    handles, names = panels[0].get_legend_handles_labels()
    drawing.legend(handles, names, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    drawing.suptitle(title)
    return drawing
