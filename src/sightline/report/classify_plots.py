"""Draw what classifiers get right: confidence, coverage, confusion, and recall of each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sightline.data.fonts import figure
from sightline.metrics.classify import average_precision, calibration_error, coverage_curve
from sightline.metrics.classify import precision_recall as curve
from sightline.report.names import LONGEST, shorten, shortened
from sightline.report.plots import PALETTE

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
    drawing = figure(7.2, 4.6)
    axes = drawing.add_subplot()
    names = shortened(answers)
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
            100 * said[shown], 100 * true[shown], "o-", color=PALETTE[i % len(PALETTE)],
            markersize=5, linewidth=1.3, label=f"{names[name]} (error {100 * error:.1f})",
        )  # fmt: skip
    axes.set_xlim(0, 102)
    axes.set_ylim(0, 102)
    axes.set_xlabel("confidence, %")
    axes.set_ylabel("right, %")
    axes.grid(visible=True, color="0.92")
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9)
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
    drawing = figure(7.2, 4.2)
    axes = drawing.add_subplot()
    names = shortened(answers)
    lowest = 100.0
    for i, (name, (right, confidence)) in enumerate(answers.items()):
        thresholds, share, accuracy = coverage_curve(right, confidence)
        shown = share * len(right) >= min(least, len(right))
        colour = PALETTE[i % len(PALETTE)]
        axes.plot(100 * share[shown], 100 * accuracy[shown], color=colour, label=names[name])
        for threshold in (0.5, 0.9) if len(answers) == 1 else ():
            above = np.flatnonzero((thresholds >= threshold) & shown)
            if len(above):
                x, y = 100 * share[above[-1]], 100 * accuracy[above[-1]]
                axes.plot(x, y, "o", color=colour, markersize=5)
                axes.annotate(
                    f"--reject {threshold:g}", (x, y), xytext=(-6, -12), fontsize=9,
                    textcoords="offset points", ha="right", va="top",
                )  # fmt: skip
        lowest = min(lowest, float(100 * accuracy[shown].min(initial=1)))
    axes.set_xlim(0, 102)
    axes.set_ylim(max(0, lowest - 5), 101)
    axes.set_xlabel("answered, % of the images")
    axes.set_ylabel("right among them, %")
    axes.grid(visible=True, color="0.92")
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9)
    return drawing


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
    drawing = figure(7.2, 4.2)
    axes = drawing.add_subplot()
    for place, c in reversed(list(enumerate(order))):
        _, precision, recall = curve(labels == c, probabilities[:, c])
        whole = int(np.argmax(recall >= 1)) + 1  # beyond it there is nothing left to find
        precision, recall = precision[:whole], recall[:whole]
        named = place < SHOWN
        axes.step(
            100 * np.append(0, recall), 100 * np.append(precision[0], precision), where="pre",
            color=PALETTE[place % len(PALETTE)] if named else "0.85",
            linestyle="--" if named and place >= len(PALETTE) else "-", linewidth=1.4,
            label=f"{_short(classes[c])} ({100 * scores[c]:.1f})" if named else None,
        )  # fmt: skip
    axes.set_xlim(0, 102)
    axes.set_ylim(0, 102)
    axes.set_xlabel("of the class found (recall), %")
    axes.set_ylabel("right among those taken for it (precision), %")
    axes.grid(visible=True, color="0.92")
    title = "class (average precision)" + (", the hardest" if len(order) > SHOWN else "")
    handles, names = axes.get_legend_handles_labels()
    axes.legend(
        handles[::-1], names[::-1], loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False,
        fontsize=9, title=title, title_fontsize=9,
    )  # fmt: skip
    return drawing


def confusion_matrix(table: NDArray[np.int64], classes: Sequence[str], title: str) -> Figure:
    """Draw the shares of each true class (row) by decided class (column)."""
    n = len(classes)
    shares = table / np.maximum(table.sum(1, keepdims=True), 1)
    side = min(2.2 + 0.36 * n, 12)
    drawing = figure(side + 0.6, side)
    axes = drawing.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_title(shorten(title, max(LONGEST, int(8 * side))))
    axes.set_xlabel("decided")
    axes.set_ylabel("true")
    if n <= 40:
        axes.set_xticks(range(n), [_short(c) for c in classes], rotation=60, ha="right")
        axes.set_yticks(range(n), [_short(c) for c in classes])
    if n <= 15:
        for i in range(n):
            for j in range(n):
                if table[i, j]:
                    axes.text(
                        j, i, str(table[i, j]), ha="center", va="center", fontsize=7,
                        color="white" if shares[i, j] > 0.5 else "black",
                    )  # fmt: skip
    return drawing


def per_class_recall(recalls: Mapping[str, NDArray[np.float64]], classes: Sequence[str]) -> Figure:
    """Draw the share of each class that each method gets right: one dot a method."""
    order = np.argsort(np.nanmean(np.stack(list(recalls.values())), axis=0))
    if len(order) > 40:  # the hardest classes tell most
        order = order[:40]
    drawing = figure(7.2, 1.2 + 0.26 * len(order))
    axes = drawing.add_subplot()
    y = np.arange(len(order))
    names = shortened(recalls)
    for i, (name, recall) in enumerate(recalls.items()):
        axes.plot(
            100 * recall[order], y, "o", label=names[name], color=PALETTE[i % len(PALETTE)],
            markersize=6, alpha=0.85,
        )  # fmt: skip
    axes.set_yticks(y, [_short(classes[i]) for i in order])
    axes.set_xlim(-2, 102)
    axes.set_xlabel("share of the class that is recognised (recall), %; hardest below")
    axes.grid(visible=True, axis="both", color="0.92")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12 - 0.6 / len(order)),
                ncols=2 if max(map(len, names.values())) > 14 else 4, frameon=False)  # fmt: skip
    return drawing


def _short(name: str, limit: int = 18) -> str:
    return name if len(name) <= limit else name[: limit - 1] + "…"
