"""Draw paths of optimisers on the contours of a function: a picture and an animation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.data.fonts import figure
from sightline.models.classic.optimize import Descent
from sightline.models.classic.surfaces import Surface
from sightline.report.plots import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

FRAMES = 60
"""Of an animation; the longest way is shown in steps that grow, as its end is slow."""


def paths(surface: Surface, ways: Mapping[str, Descent]) -> Figure:
    """Draw the paths of several methods on the contours, and how far f has come down.

    Parameters
    ----------
    surface : Surface
    ways : mapping of str to Descent
        By the method's name; the path must have been kept.
    """
    from matplotlib.patheffects import withStroke

    drawing, map_, fall = _stage(surface, ways)
    for (name, way), colour, mark in zip(ways.items(), PALETTE, "osD^vP*X", strict=False):
        path = way.path
        few = len(path) <= 60  # a mark a step would hide a path of thousands
        map_.plot(
            *path.T, color=colour, linewidth=1.6, marker=mark if few else "", markersize=3.5,
            label=_label(name, way),
        )  # fmt: skip
        map_.plot(*path[-1], mark, color=colour, markersize=8, markeredgecolor="white")
        fall.plot(_above(surface, way), color=colour, linewidth=1.6)
    map_.plot(*ways[next(iter(ways))].path[0], "o", color="black", markersize=7, zorder=5)
    map_.annotate(
        "start", ways[next(iter(ways))].path[0], textcoords="offset points", xytext=(-8, -4),
        ha="right", weight="bold", zorder=6,
        path_effects=[withStroke(linewidth=3, foreground="white")],
    )  # fmt: skip
    drawing.legend(loc="outside lower center", ncols=min(len(ways), 3), frameon=False, fontsize=9)
    return drawing


def animate(surface: Surface, ways: Mapping[str, Descent], target: Path) -> int:
    """Write the same drawing as an animated GIF, and return the number of its frames.

    Raises
    ------
    OSError
        When it cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    drawing, map_, fall = _stage(surface, ways)
    artists: list[tuple[NDArray[np.float64], NDArray[np.float64], list[Line2D]]] = []
    for (name, way), colour, mark in zip(ways.items(), PALETTE, "osD^vP*X", strict=False):
        (trail,) = map_.plot([], [], color=colour, linewidth=1.6, label=_label(name, way))
        (head,) = map_.plot([], [], mark, color=colour, markersize=9, markeredgecolor="white")
        (curve,) = fall.plot([], [], color=colour, linewidth=1.6)
        artists.append((way.path, _above(surface, way), [trail, head, curve]))
    drawing.legend(loc="outside lower center", ncols=min(len(ways), 3), frameon=False, fontsize=9)
    canvas: Any = FigureCanvasAgg(drawing)
    drawing.set_dpi(80)
    for _, _, lines in artists:
        for line in lines:
            line.set_animated(True)
    canvas.draw()  # contours and axes once; every frame adds only the lines
    empty = canvas.copy_from_bbox(drawing.bbox)
    longest = max(len(path) for path, _, _ in artists)
    ends = np.unique(np.geomspace(1, longest, FRAMES).round().astype(int))
    colours = _gif_colours()
    pictures = []
    for end in ends:
        canvas.restore_region(empty)
        for path, above, lines in artists:
            shown = min(end, len(path))
            lines[0].set_data(*path[:shown].T)
            lines[1].set_data(*path[shown - 1 : shown].T)
            lines[2].set_data(np.arange(shown), above[:shown])
            map_.draw_artist(lines[0])
            map_.draw_artist(lines[1])
            fall.draw_artist(lines[2])
        pixels = np.asarray(canvas.buffer_rgba())[:, :, :3].copy()
        pictures.append(Image.fromarray(pixels).quantize(palette=colours, dither=Image.Dither.NONE))
    durations = [90] * (len(pictures) - 1) + [2500]
    pictures[0].save(
        target, "GIF", save_all=True, append_images=pictures[1:], duration=durations, loop=0
    )
    return len(pictures)


def _gif_colours() -> Any:
    """Return a palette of 256 colours with every line's, whole and fading into white or black.

    Chosen from a picture, they would be greys: the lines cover too few of its pixels.
    """
    from matplotlib.colors import to_rgb
    from PIL import Image

    greys = [np.full(3, level) for level in np.linspace(0, 1, 64)]
    blends = [
        (1 - share) * np.array(to_rgb(colour)) + share * end
        for colour in PALETTE[:8]  # as many as there are methods
        for end, steps in ((1.0, 18), (0.0, 6))
        for share in np.arange(steps) / steps
    ]
    table = np.round(255 * np.array(greys + blends)).astype(np.uint8)
    picture = Image.new("P", (1, 1))
    picture.putpalette(table.tobytes())
    return picture


def _stage(surface: Surface, ways: Mapping[str, Descent]) -> tuple[Figure, Axes, Axes]:
    """Draw contours on the left and empty axes for the values on the right, with fixed limits."""
    drawing = figure(10.4, 5.2)
    map_, fall = drawing.subplots(1, 2, width_ratios=[1.35, 1])
    left, right, bottom, top = _window(surface, ways)
    x, y = np.meshgrid(np.linspace(left, right, 300), np.linspace(bottom, top, 300))
    z = np.asarray(surface.f(np.stack([x, y])))
    lowest = min(surface.f(np.array(m)) for m in surface.minima)
    height = np.log10(z - lowest + 1e-3)
    map_.contourf(x, y, height, levels=24, cmap="Greys_r", alpha=0.35)
    map_.contour(x, y, height, levels=12, colors="0.55", linewidths=0.6)
    map_.plot(*np.transpose(surface.minima), "*", color="black", markersize=13, zorder=4)
    map_.set_xlim(left, right)
    map_.set_ylim(bottom, top)
    map_.set_xlabel("x")
    map_.set_ylabel("y")
    map_.set_title(f"{surface.name}: f = {surface.formula}", fontsize=11)
    longest = max(len(way.values) for way in ways.values())
    fall.set_xscale("symlog", linthresh=10)
    fall.set_yscale("log")
    fall.set_xlim(0, max(longest - 1, 1))
    lines = np.concatenate([_above(surface, way) for way in ways.values()])
    fall.set_ylim(max(float(lines.min()), 1e-16) / 3, float(lines.max()) * 3)
    fall.set_xlabel("iteration")
    fall.set_ylabel("f − lowest f")
    fall.grid(visible=True, color="0.92")
    fall.set_title("how far there is still to go", fontsize=11)
    return drawing, map_, fall


def _window(surface: Surface, ways: Mapping[str, Descent]) -> tuple[float, float, float, float]:
    """Return the limits of the contours: the surface's own, widened to paths that stay near."""
    left, right, bottom, top = surface.window
    points = np.concatenate([way.path for way in ways.values()])
    width, height = right - left, top - bottom
    low, high = points.min(0), points.max(0)
    pad = 0.05
    return (
        max(min(left, low[0] - pad * width), left - width / 2),
        min(max(right, high[0] + pad * width), right + width / 2),
        max(min(bottom, low[1] - pad * height), bottom - height / 2),
        min(max(top, high[1] + pad * height), top + height / 2),
    )


def _above(surface: Surface, way: Descent) -> NDArray[np.float64]:
    """Return f less the lowest known minimum, kept above 0 for the logarithm."""
    lowest = min(surface.f(np.array(minimum)) for minimum in surface.minima)
    return np.maximum(way.values - lowest, 1e-16)


def _label(name: str, way: Descent) -> str:
    ended = "" if way.converged else ", not at the end"
    evaluations = sum(way.evaluations.values())
    return f"{name}: {way.iterations:,} iterations, {evaluations:,} evaluations{ended}"
