"""Draw made pictures: sheets of them, beside what they are like, and their figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.data.fonts import figure
from sightline.metrics.generate import Evaluation
from sightline.report.plots import SERIES
from sightline.report.words import say

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEAST = 56
"""Pixels a side that tiny pictures are enlarged to on a sheet, each pixel a square."""

GAP = 2
"""Pixels between the pictures of a sheet."""


def enlarged(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return pictures (N, H, W, C) that can be looked at: tiny ones with each pixel a square."""
    factor = max(1, -(-LEAST // max(pictures.shape[1:3])))
    return pictures.repeat(factor, 1).repeat(factor, 2)


def sheet(pictures: NDArray[np.uint8], columns: int = 0) -> NDArray[np.uint8]:
    """Return pictures (N, H, W, C) side by side, row by row, as one picture.

    Parameters
    ----------
    pictures : uint8 array
    columns : int
        0: about as many as rows.
    """
    large = enlarged(pictures)
    n, h, w, channels = large.shape
    columns = min(columns or max(1, round(np.sqrt(n * h / w))), n)
    rows = -(-n // columns)
    whole = np.full((rows * (h + GAP) + GAP, columns * (w + GAP) + GAP, channels), 255, np.uint8)
    for i, one in enumerate(large):
        y, x = GAP + i // columns * (h + GAP), GAP + i % columns * (w + GAP)
        whole[y : y + h, x : x + w] = one
    return whole


def pairs(*rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return sets of pictures under each other, each (N, H, W, C), as one picture."""
    return sheet(np.concatenate(rows), len(rows[0]))


def figures(evaluations: Mapping[str, Evaluation]) -> Figure:
    """Draw the figures of methods that lie between 0 and 1, with what real pictures reach.

    Parameters
    ----------
    evaluations : mapping of str to Evaluation
        By method.
    """
    names = {
        "precision": say("precision"), "recall": say("recall"), "coverage": say("coverage"),
        "confidence": say("confidence"), "copying": say("copying"),
    }  # fmt: skip
    drawing = figure(7, 3)
    axes = drawing.subplots()
    width = 0.8 / len(evaluations)
    for i, (method, e) in enumerate(evaluations.items()):
        places = [x + (i - (len(evaluations) - 1) / 2) * width for x in range(len(names))]
        values = [e.metrics.get(name, 0.0) for name in names]
        axes.bar(places, values, width * 0.9, label=method, color=SERIES[i % len(SERIES)][0])
    first = next(iter(evaluations.values()))
    floors = {"coverage": first.metrics["coverage_floor"], "copying": 0.5}
    for name, value in floors.items():
        x = list(names).index(name)
        axes.plot([x - 0.45, x + 0.45], [value, value], color="0.3", linewidth=1)
    axes.set_xticks(range(len(names)), list(names.values()))
    axes.set_ylim(0, 1.3)  # room for the legend
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
    axes.set_title(say("Lines: what real pictures reach"), fontsize=9)
    axes.legend(fontsize=8, loc="upper right", ncols=2)
    return drawing


def neighbours(
    made: NDArray[np.uint8], near: NDArray[np.uint8], distances: NDArray[np.float64], title: str
) -> Figure:
    """Draw made pictures, each with the training pictures that are nearest to it.

    Parameters
    ----------
    made : uint8 array, shape (N, H, W, C)
    near : uint8 array, shape (N, k, H, W, C)
    distances : float array, shape (N, k)
    title : str
    """
    n, k = near.shape[:2]
    blocks = min(4, n)
    rows = -(-n // blocks)
    drawing = figure(1.0 * blocks * (k + 1) + 0.5, 1.15 * rows + 0.6)
    drawing.suptitle(title, fontsize=9, wrap=True)
    axes = drawing.subplots(rows, blocks * (k + 1), squeeze=False)
    for one in axes.flat:
        one.set_axis_off()
    for i in range(n):
        row, block = divmod(i, blocks)
        first = block * (k + 1)
        _show(axes[row][first], made[i])
        axes[row][first].set_title(say("made"), fontsize=7, fontweight="bold")
        for j in range(k):
            _show(axes[row][first + 1 + j], near[i, j])
            axes[row][first + 1 + j].set_title(f"{distances[i, j]:.3g}", fontsize=7)
    return drawing


def _show(axes: Any, pixels: NDArray[np.uint8]) -> None:
    grey = pixels.shape[2] == 1
    axes.imshow(
        pixels[:, :, 0] if grey else pixels, cmap="gray" if grey else None, vmin=0, vmax=255
    )
