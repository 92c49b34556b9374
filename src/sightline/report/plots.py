"""Draw the pictures of a report, as SVG or PNG, in colours safe for colour-blind eyes."""

from __future__ import annotations

import base64
import io
import unicodedata
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sightline.data.fonts import figure
from sightline.data.images import as_picture
from sightline.estimators.tuning import Trial, Tuned
from sightline.metrics import figure_text
from sightline.report.names import shortened
from sightline.report.svg import BACK, SERIES, svg
from sightline.report.words import figure_name, say

__all__ = [
    "PALETTE", "SERIES", "clipped", "data_uri", "far_behind", "headline_against_latency", "legend",
    "linestyle", "milliseconds", "pareto", "per_cent", "plain_log", "png_uri", "spread", "start_of",
    "svg", "time_text", "tuning_curve",
]  # fmt: skip

_NAME = 13.0  # points from one name to the next

NAMES_AT_POINTS = 22
"""Characters that a name may have beside the points, and in a legend."""

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from PIL import Image

    from sightline.bench.results import MethodEntry

PALETTE = tuple(light for light, _, _ in SERIES)
"""Colours of things that are drawn beside each other; see `SERIES`."""


def linestyle(i: int, size: float = 7) -> dict[str, Any]:
    """Return the colour and the shape of the i-th of several things, as `Axes.plot` takes them."""
    colour, _, shape = SERIES[i % len(SERIES)]
    return {
        "color": colour, "marker": shape, "markeredgecolor": BACK, "markeredgewidth": 0.6,
        "markersize": size * 1.4 if shape == "*" else size,  # its points are thin
    }  # fmt: skip


def legend(drawing: Figure, axes: Axes) -> None:
    """Write a legend under a drawing, which grows by it, in as many columns as have room."""
    handles, names = axes.get_legend_handles_labels()
    longest = max((_cells(name) for name in names), default=0)
    columns = max(1, min(4, int(drawing.get_figwidth() * 72 / (34 + 6.2 * longest))))
    lines = -(-len(names) // columns)
    drawing.set_figheight(drawing.get_figheight() + 0.22 * lines + 0.1)
    drawing.legend(
        handles, names, loc="outside lower center", ncols=columns, frameon=False, fontsize=10
    )


def _cells(text: str) -> int:
    """Return the width of a text in letters; those of East Asia count twice."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def clipped(name: str, limit: int = 18) -> str:
    """Cut a name at a width, in letters; those of East Asia count twice."""
    if _cells(name) <= limit:
        return name
    while _cells(name) > limit - 1:
        name = name[:-1]
    return f"{name}…"


def start_of(values: ArrayLike) -> float:
    """Return where an axis of per cent begins for values of it: no more is shown than tells."""
    lowest = float(np.min(values, initial=100.0))
    if lowest >= 90:
        return float(np.floor(lowest) - 1)
    return max(10 * float(np.floor((lowest - 2) / 10)), 0.0)


def per_cent(axis: Axis) -> None:
    """Write the numbers of an axis as per cent."""
    axis.set_major_formatter(lambda value, _: f"{value:.10g}%")


def milliseconds(axes: Axes) -> None:
    """Write the numbers of a logarithmic axis of milliseconds as plain times."""
    plain_log(axes, time_text)


def plain_log(axes: Axes, text: Callable[[float], str]) -> None:
    """Write few numbers beside a logarithmic x axis, each as a text."""
    from matplotlib.ticker import MaxNLocator, NullLocator

    low, high = axes.get_xlim()
    powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    for steps in (range(1, 10), (1, 2, 5), (1, 3), (1,)):
        ticks = [t for t in np.outer(powers, steps).ravel() if low <= t <= high]
        if len(ticks) <= 5:
            break
    if len(ticks) < 2:  # a small part of a decade: as on a linear axis
        ticks = [t for t in MaxNLocator(4).tick_values(low, high) if low <= t <= high]
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(ticks, [text(t) for t in ticks])


def time_text(milliseconds: float) -> str:
    """Return a time of milliseconds with its unit, as a label of an axis.

    Examples
    --------
    >>> time_text(0.02), time_text(50.0), time_text(2000.0)
    ('0.02 ms', '50 ms', '2 s')
    """
    if milliseconds < 1000:
        return f"{milliseconds:.3g} ms"
    return f"{milliseconds / 1000:,.10g} s"


def png_uri(pixels: NDArray[np.uint8], scale: int = 1, most: int = 160) -> str:
    """Return a uint8 image (H, W, C) as a data URI, enlarged without smoothing.

    Parameters
    ----------
    pixels : uint8 array, shape (H, W, C)
    scale : int
    most : int
        Pixels of the longer side, to which one that is not enlarged is shrunk.
    """
    from PIL import Image

    image = as_picture(pixels)
    if scale > 1:
        image = image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)
    elif max(image.size) > most:
        image.thumbnail((most, most))
    return data_uri(image, "PNG", optimize=True)


def data_uri(image: Image.Image, kind: str = "PNG", **options: Any) -> str:
    """Return a picture as a data URI.

    Parameters
    ----------
    image : PIL image
    kind : {"PNG", "JPEG"}
    **options
        Of `PIL.Image.Image.save`.
    """
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    encoded = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f"data:image/{kind.lower()};base64,{encoded}"


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

    The methods that no other beats in both are joined by a line. The names stand at the right, one
    under the other, each with a line to its point. A few methods that are far worse than all others
    stand at the edge, with their figure, so that the others can be told apart.
    """
    unit = 100 if methods[0].share else 1
    drawing = figure(5.4, max(3.6, 1.1 + _NAME * len(methods) / 72))
    axes = drawing.add_subplot()
    axes.set_xscale("log")
    front = pareto(methods)
    if len(front) > 1:
        axes.step(
            [m.latency_ms or 0 for m in front], [unit * (m.headline or 0) for m in front],
            where="post", color="0.6", linewidth=1.2, linestyle="--", zorder=1,
            label=say("nothing is both faster and better"),
        )  # fmt: skip
    far = far_behind(methods)
    near = [m for m in methods if m.name not in far]
    low, high = _limits([unit * end for m in near for end in (m.headline or 0.0, *_interval(m))])
    if methods[0].share:
        low, high = max(low, -2), min(high, 102)
        per_cent(axes.yaxis)
    axes.set_ylim(low, high)
    edge = low if methods[0].higher_is_better else high
    for i, m in enumerate(methods):
        style = linestyle(i, 11 if m.name == picked else 8)
        if m.name in far:
            axes.plot(m.latency_ms or 0, edge, clip_on=False, zorder=4, **style)
            continue
        y, (lowest, highest) = unit * (m.headline or 0), _interval(m)
        axes.errorbar(
            m.latency_ms or 0, y, capsize=2.5, elinewidth=1, zorder=3 if m.name == picked else 2,
            yerr=[[max(y - unit * lowest, 0)], [max(unit * highest - y, 0)]], **style,
        )  # fmt: skip
    axes.set_xlabel(say("latency of one image (log scale)"))
    name = figure_name(methods[0].metric or "")
    axes.set_ylabel(say("test {figure} (95% interval)", figure=name))
    axes.grid(visible=True, which="major", color="0.92")
    axes.spines[["top", "right"]].set_visible(False)
    times = [m.latency_ms for m in methods if m.latency_ms]
    fastest, slowest = min(times, default=1.0), max(times, default=1.0)
    pad = max((slowest / fastest) ** 0.08, 1.3)
    axes.set_xlim(fastest / pad, slowest * pad)
    milliseconds(axes)
    if len(front) > 1:
        legend(drawing, axes)
    _name_points(drawing, axes, methods, picked, far)
    return drawing


def far_behind(methods: Sequence[MethodEntry]) -> set[str]:
    """Return the names of the few that are so much worse than all others that these look alike.

    They are at most a third, and without them what is left spans less than a quarter.
    """
    worst_last = sorted(methods, key=lambda m: m.headline or 0.0)
    if methods[0].higher_is_better:
        worst_last.reverse()
    figures = [m.headline or 0.0 for m in worst_last]
    whole = abs(figures[-1] - figures[0])
    for count in range(1, len(figures) // 3 + 1):
        if abs(figures[-1 - count] - figures[0]) < whole / 4:
            return {m.name for m in worst_last[-count:]}
    return set()


def _interval(method: MethodEntry) -> tuple[float, float]:
    return method.interval or (method.headline or 0.0, method.headline or 0.0)


def _limits(values: Sequence[float]) -> tuple[float, float]:
    """Return the limits of an axis that shows the values with some room around them."""
    pad = 0.05 * (max(values) - min(values)) or 0.5
    return min(values) - pad, max(values) + pad


def _name_points(
    drawing: Figure, axes: Axes, methods: Sequence[MethodEntry], picked: str | None, far: set[str]
) -> None:
    """Write the methods' names at the right of the frame, none over another."""
    drawing.draw_without_rendering()  # settles the limits, and so where points are
    low, high = axes.get_ylim()
    share = methods[0].share
    places = np.clip([(100 if share else 1) * (m.headline or 0.0) for m in methods], low, high)
    gap = _NAME / (axes.bbox.height * 72 / drawing.dpi)
    names = shortened((m.name for m in methods), NAMES_AT_POINTS - 7 * bool(far))
    arrow = "↓" if methods[0].higher_is_better else "↑"
    for i, y in enumerate(spread(((places - low) / (high - low)).tolist(), gap)):
        m = methods[i]
        value = f" {arrow} {figure_text(m.headline, share, digits=0)}" if m.name in far else ""
        colour = linestyle(i)["color"]
        axes.annotate(
            names[m.name] + value, (m.latency_ms or 0.0, places[i]), xytext=(1.03, y),
            textcoords="axes fraction", va="center", fontsize=10, annotation_clip=False,
            color=colour, weight="bold" if m.name == picked else "normal",
            arrowprops={
                "arrowstyle": "-", "color": colour, "linewidth": 0.7, "alpha": 0.55,
                "shrinkA": 1, "shrinkB": 5, "relpos": (0, 0.5),
            },
        )  # fmt: skip


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Move heights in [0, 1] apart by at least a gap, as little as that takes, within [0, 1].

    Parameters
    ----------
    heights : sequence of float
    gap : float
        With all of them one under the other, it must not take more than 1.

    Returns
    -------
    list of float
        In the order of `heights`, and none past another.
    """
    order = np.argsort(heights, kind="stable")
    # Blocks of names that touch: the sum of where they want to begin, and how many they are.
    blocks: list[tuple[float, int]] = []
    for i in order:
        block = (heights[i], 1)
        while blocks:
            total, count = blocks[-1]
            if total / count + count * gap <= block[0] / block[1]:
                break
            blocks.pop()
            block = (total + block[0] - block[1] * count * gap, count + block[1])
        blocks.append(block)
    placed: list[float] = []
    for total, count in blocks:
        placed += [total / count + k * gap for k in range(count)]
    top, bottom = 1 - gap / 2, gap / 2
    for k in range(len(placed)):
        placed[k] = max(placed[k], bottom + k * gap)
    for k in range(len(placed)):
        placed[-1 - k] = min(placed[-1 - k], top - k * gap)
    result = [0.0] * len(placed)
    for k, i in enumerate(order):
        result[i] = placed[k]
    return result


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
        firsts = {r[:1]: r for r in lines if r}
        colour_of = {r[0]: PALETTE[i % len(PALETTE)] for i, r in enumerate(firsts)}
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
