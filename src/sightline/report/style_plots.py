"""Draw how a picture took a style on: its losses, step by step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from sightline.data.fonts import figure
from sightline.report.plots import PALETTE
from sightline.report.words import say

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def losses(history: Sequence[Mapping[str, float]]) -> Figure:
    """Draw the distance from content and style at each step, and the style's at each layer.

    Parameters
    ----------
    history : sequence of dict
        As `sightline.estimators.style_transfer.Drawn` has it.
    """
    drawing = figure(9.6, 4.0)
    whole, layers = drawing.subplots(1, 2, sharex=True)
    steps = [row["step"] for row in history]
    for name, label, colour in (
        ("content", say("content"), PALETTE[0]), ("style", say("style"), PALETTE[1]),
        ("variation", say("total variation"), PALETTE[2]),
    ):  # fmt: skip
        values = [row[name] or math.nan for row in history]  # 0 has no place on a log axis
        if not all(map(math.isnan, values)):
            whole.plot(steps, values, label=label, color=colour)
    names = [name for name in history[-1] if name.startswith("style ")]
    for number, name in enumerate(names):
        values = [row[name] for row in history]
        layers.plot(
            steps, values, label=name.removeprefix("style "), color=PALETTE[number % len(PALETTE)]
        )
    for axes, title in ((whole, say("how far it is")), (layers, say("style, layer by layer"))):
        axes.set_yscale("log")
        axes.set_title(title)
        axes.set_xlabel(say("step"))
        # Each finer size begins anew.
        for before, after in pairwise(history):
            if before["side"] != after["side"]:
                axes.axvline(before["step"] + 0.5, color="#888888", linewidth=0.8, linestyle=":")
                axes.annotate(
                    f" {after['side']:.0f} px", (before["step"] + 0.5, 1),
                    xycoords=("data", "axes fraction"), va="top", fontsize=8, color="#666666",
                )  # fmt: skip
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=8)
    return drawing
