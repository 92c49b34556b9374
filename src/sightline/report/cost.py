"""Draw what deployment costs: the price of a month against volume, with the crossing points."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sightline.data.fonts import figure
from sightline.deploy import cost
from sightline.report.plots import PALETTE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VOLUMES = np.geomspace(1e3, 1e9, 241)
"""Pictures a month."""


def cost_against_volume(
    measured: cost.Measured, prices: cost.Prices, target_ms: float, volume: float
) -> Figure:
    """Draw the price of each way to deploy against volume, with its crossing points.

    Parameters
    ----------
    measured, prices, target_ms
        See `sightline.deploy.cost.rows`.
    volume : float
        Pictures a month.
    """
    drawing = figure(8.4, 4.8)
    axes = drawing.add_subplot()
    lowest = np.inf
    for i, (key, mode) in enumerate(prices.modes.items()):
        money = np.array([cost.month(measured, prices, key, v, target_ms) for v in VOLUMES])
        if np.isnan(money).all():
            axes.plot([], [], color="0.7", label=f"{mode.title} (too slow)")
            continue
        shown = np.where(money > 0, money, np.nan)
        lowest = min(lowest, float(np.nanmin(shown)))
        axes.plot(VOLUMES, shown, color=PALETTE[i % len(PALETTE)], linewidth=1.8, label=mode.title)
    for at, _, after in cost.crossings(measured, prices, target_ms, VOLUMES.tolist()):
        money_there = cost.month(measured, prices, after, at, target_ms)
        axes.plot(at, money_there, "o", color="black", markersize=5, zorder=5)
        axes.annotate(
            f"{at:,.0f}", (at, money_there), xytext=(0, -15), textcoords="offset points",
            ha="center", fontsize=9,
        )  # fmt: skip
    axes.axvline(volume, color="0.6", linestyle="--", linewidth=1)
    axes.annotate(
        " asked for", (volume, 1), xycoords=("data", "axes fraction"), va="top", fontsize=9,
        color="0.35", xytext=(0, -4), textcoords="offset points",
    )  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("pictures a month")
    axes.set_ylabel(f"{prices.currency} a month")
    if np.isfinite(lowest):
        axes.set_ylim(bottom=max(lowest, 0.01))
    word = "example prices" if prices.example else f"prices of {prices.date}"
    axes.set_title(f"{word}; 99 of 100 answers within {target_ms:g} ms", fontsize=10)
    axes.grid(visible=True, color="0.92")
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9)
    return drawing
