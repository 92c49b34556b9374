"""Draw what classifiers get right: confidence, coverage, confusion, and recall of each class."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sightline.data.fonts import figure
from sightline.metrics.calibration import calibration_error
from sightline.metrics.classify import average_precision, coverage_curve
from sightline.metrics.classify import precision_recall as curve
from sightline.report.names import LONGEST, shorten, shortened
from sightline.report.plots import NAMES_AT_POINTS, clipped, legend, linestyle, per_cent, start_of
from sightline.report.svg import CELL
from sightline.report.words import say

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMED = 40
"""Classes that a drawing has room to name."""


def reliability(
    answers: Mapping[str, tuple[NDArray[np.bool_], NDArray[np.floating]]], bins: int = 10
) -> Figure:
    """Draw accuracy against confidence: on the diagonal, a 70% is right seven times of ten.

    Parameters
    ----------
    answers : dict of str to (right, confidence)
        By method: bool and float arrays, shape (N,).
    bins : int
        Of equal width; one with fewer than 10 answers is left out.
    """
    drawing = figure(5.4, 4.2)
    axes = drawing.add_subplot()
    names = shortened(answers, NAMES_AT_POINTS)
    ends = [100.0]
    axes.plot([0, 100], [0, 100], color="0.7", linewidth=1, linestyle="--")
    for i, (name, (right, confidence)) in enumerate(answers.items()):
        which = np.minimum((confidence * bins).astype(int), bins - 1)
        counts = np.bincount(which, minlength=bins)
        shown = counts >= 10
        total = np.maximum(counts, 1)
        said = np.bincount(which, confidence, bins) / total
        true = np.bincount(which, right, bins) / total
        error = calibration_error(right, confidence)
        axes.plot(
            100 * said[shown], 100 * true[shown], **linestyle(i, 7),
            linewidth=1.3,
            label=say("{method} (error {error})", method=names[name], error=f"{100 * error:.1f}"),
        )  # fmt: skip
        ends += [*(100 * said[shown]), *(100 * true[shown])]
    low = start_of(ends)
    axes.set_xlim(low, 100 + (100 - low) / 50)
    axes.set_ylim(low, 100 + (100 - low) / 50)
    axes.set_xlabel(say("confidence"))
    axes.set_ylabel(say("share that is right"))
    finish(drawing, axes)
    return drawing


def coverage(
    answers: Mapping[str, tuple[NDArray[np.bool_], NDArray[np.floating]]], least: int = 20
) -> Figure:
    """Draw accuracy against the share of images that are answered, as the threshold falls.

    Parameters
    ----------
    answers : dict of str to (right, confidence)
        By method: bool and float arrays, shape (N,).
    least : int
        Answers without which a point says nothing; a threshold that leaves fewer is left out.
    """
    drawing = figure(5.4, 3.6)
    axes = drawing.add_subplot()
    names = shortened(answers, NAMES_AT_POINTS)
    widths, heights = [100.0], [100.0]
    for i, (name, (right, confidence)) in enumerate(answers.items()):
        thresholds, share, accuracy = coverage_curve(right, confidence)
        shown = share * len(right) >= min(least, len(right))
        style = linestyle(i, 6)
        axes.plot(
            100 * share[shown], 100 * accuracy[shown], label=names[name], **style,
            markevery=(0.05 + 0.013 * i, 0.2), linewidth=1.4,
        )  # fmt: skip
        for threshold in (0.5, 0.9) if len(answers) == 1 else ():
            above = np.flatnonzero((thresholds >= threshold) & shown)
            if len(above):
                x, y = 100 * share[above[-1]], 100 * accuracy[above[-1]]
                axes.plot(x, y, "o", color=style["color"], markersize=6)
                axes.annotate(
                    f"--reject {threshold:g}", (x, y), xytext=(-6, -12), fontsize=9,
                    textcoords="offset points", ha="right", va="top",
                )  # fmt: skip
        widths += [*(100 * share[shown])]
        heights += [*(100 * accuracy[shown])]
    left, low = start_of(widths), start_of(heights)
    axes.set_xlim(left, 100 + (100 - left) / 50)
    axes.set_ylim(low, 100 + (100 - low) / 40)
    axes.set_xlabel(say("share of the images that is answered"))
    axes.set_ylabel(say("right among those"))
    finish(drawing, axes)
    return drawing


def finish(drawing: Figure, axes: Axes) -> None:
    """Write per cent at both axes, draw the grid, and the legend underneath."""
    per_cent(axes.xaxis)
    per_cent(axes.yaxis)
    axes.grid(visible=True, color="0.92")
    axes.spines[["top", "right"]].set_visible(False)
    legend(drawing, axes)


SHOWN = 10
"""Classes with a colour and a name in a drawing of curves: the hardest."""


def precision_recall(
    labels: NDArray[np.int64], probabilities: NDArray[np.floating], classes: Sequence[str]
) -> Figure:
    """Draw precision against recall of each class, with its average precision.

    Parameters
    ----------
    labels : int64 array, shape (N,)
    probabilities : float array, shape (N, C)
    classes : sequence of str
        Those without an image are left out; of more than ten the others than the hardest are grey.
    """
    scores = {
        c: average_precision(labels == c, probabilities[:, c]) for c in np.unique(labels).tolist()
    }
    order = sorted(scores, key=lambda c: scores[c])
    drawing = figure(5.4, 4.2)
    axes = drawing.add_subplot()
    for place, c in reversed(list(enumerate(order))):
        _, precision, recall = curve(labels == c, probabilities[:, c])
        whole = int(np.argmax(recall >= 1)) + 1  # beyond it there is nothing left to find
        precision, recall = precision[:whole], recall[:whole]
        named = place < SHOWN
        style = linestyle(place, 6) if named else {"color": CELL, "alpha": 0.25}
        axes.step(
            100 * np.append(0, recall), 100 * np.append(precision[0], precision), where="pre",
            linewidth=1.3, markevery=(0.05 + 0.02 * place, 0.25) if named else None,
            label=f"{clipped(classes[c])} ({100 * scores[c]:.1f})" if named else None, **style,
        )  # fmt: skip
    axes.set_xlim(0, 102)
    axes.set_ylim(0, 102)
    axes.set_xlabel(say("share of the class that is found (recall)"))
    axes.set_ylabel(say("right among those taken for it (precision)"))
    if len(order) > SHOWN:
        shown, count = str(SHOWN), f"{len(order):,}"
        axes.set_title(
            say("the {count} hardest classes of {all}", count=shown, all=count), fontsize=10
        )
    finish(drawing, axes)
    return drawing


def confusion_matrix(
    table: NDArray[np.int64], classes: Sequence[str], title: str, *, other: str | None = None,
    cell: Callable[[int], str] = str,
) -> Figure:  # fmt: skip
    """Draw the shares of each true class (row) by decided class (column).

    Parameters
    ----------
    table : int64 array, shape (C, C); (C, C + 1) with `other`
        Counts.
    classes : sequence of str
    title : str
    other : str, optional
        What the last column is called, where it is none of the classes.
    cell : callable
        Writes a count; there is room for about four letters.
    """
    from matplotlib.colors import to_rgb

    n, decided = len(classes), [*classes, *([] if other is None else [other])]
    shares = table / np.maximum(table.sum(1, keepdims=True), 1)
    side = min(2.2 + 0.36 * n, 10)
    drawing = figure(side + 0.6, side)
    axes = drawing.add_subplot()
    # Where there is nothing the page shows through, so that it may be light or dark.
    cells = np.empty((*table.shape, 4))
    cells[..., :3] = to_rgb(CELL)
    cells[..., 3] = np.where(shares > 0, 0.12 + 0.88 * shares, 0)  # a single mistake is seen too
    axes.imshow(cells, interpolation="nearest")
    axes.set_title(shorten(title, max(LONGEST, int(8 * side))))
    axes.set_xlabel(say("decided"))
    axes.set_ylabel(say("true"))
    if n <= NAMED:
        names = [clipped(c) for c in decided]
        axes.set_xticks(range(len(names)), names, rotation=60, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(n), names[:n])
    else:  # numbers of classes would say nothing
        axes.set_xticks([])
        axes.set_yticks([])
    if n <= 15:
        for i, j in np.argwhere(table).tolist():
            axes.text(
                j, i, cell(int(table[i, j])), ha="center", va="center", fontsize=8,
                color="white" if cells[i, j, 3] > 0.5 else "black",
            )  # fmt: skip
    return drawing


def per_class_recall(recalls: Mapping[str, NDArray[np.float64]], classes: Sequence[str]) -> Figure:
    """Draw the share of each class that each method gets right: one mark a method."""
    mean = np.nanmean(np.stack(list(recalls.values())), axis=0)
    order = np.argsort(mean)[:NAMED]  # the hardest classes tell most
    drawing = figure(5.4, 0.9 + 0.28 * len(order))
    axes = drawing.add_subplot()
    y = np.arange(len(order))
    names = shortened(recalls, NAMES_AT_POINTS)
    for i, (name, recall) in enumerate(recalls.items()):
        axes.plot(
            100 * recall[order], y, label=names[name], linestyle="none", alpha=0.9,
            **linestyle(i, 8),
        )  # fmt: skip
    axes.set_yticks(y, [clipped(classes[i]) for i in order])
    axes.set_ylim(len(order) - 0.4, -0.6)
    low = start_of([100 * r[order][~np.isnan(r[order])].min(initial=1) for r in recalls.values()])
    axes.set_xlim(low - (100 - low) / 50, 100 + (100 - low) / 50)
    per_cent(axes.xaxis)
    axes.set_xlabel(say("share of the class that is recognised (recall); hardest at the top"))
    if len(order) < len(classes):
        said = say("the {count} hardest classes of {all}", count=len(order), all=len(classes))
        axes.set_title(said, fontsize=10)
    axes.grid(visible=True, axis="both", color="0.92")
    axes.spines[["top", "right"]].set_visible(False)
    legend(drawing, axes)
    return drawing
