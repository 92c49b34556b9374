"""Say of measured learning curves where they would go, who leads, and who would get ahead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sightline.bench import trend
from sightline.bench.curve_results import (
    AheadEntry,
    CurveEntry,
    CurveResults,
    GainEntry,
    LeadEntry,
    PassEntry,
    PointEntry,
    TrendEntry,
)
from sightline.counting import counted

FACTORS = (2, 10)
"""How many times the largest size a curve is carried on to."""

STEPS = 40
"""Points of the drawn extrapolation."""


def complete(results: CurveResults) -> None:
    """Write into a document what its figures say: trends, who leads, and who would get ahead."""
    trends = {m.name: _carry_on(m, results) for m in results.methods}
    results.leads = _leads(results)
    results.passes = _passes(results, {name: one for name, one in trends.items() if one})


def _carry_on(method: CurveEntry, results: CurveResults) -> trend.Trend | None:
    """Fit a method's law and write what it says of more images; say why where there is none."""
    points = method.measured
    places = [point.images for point in points]
    if len(set(places)) < trend.FEWEST:
        sizes = counted(len(set(places)), "size")
        method.untold = f"{sizes} measured; an extrapolation needs {trend.FEWEST}"
        return None
    wrong = [
        [wrong_of(f.figure, results) for f in point.fits if f.figure is not None]
        for point in points
    ]  # fmt: skip
    step, bounded = (1 / results.tested if results.share else 0.0), not _is_open(results)
    fitted = trend.extrapolate(places, wrong, step=step, lowest=0.0 if bounded else None)
    last = places[-1]
    path = np.geomspace(last, max(FACTORS) * last, STEPS)
    ahead = _ahead([*path, *(factor * last for factor in FACTORS)], fitted, results)
    gains = [
        GainEntry(**dict(there), factor=factor, gain=gain, gain_low=low, gain_high=high)
        for there, factor in zip(ahead[STEPS:], FACTORS, strict=True)
        for gain, low, high in [fitted.gain(factor * last)]
    ]
    law = fitted.law
    method.trend = TrendEntry(
        a=law.a, b=law.b, c=law.c, since=fitted.since, gains=gains, curve=ahead[:STEPS]
    )  # fmt: skip
    return fitted


def _ahead(images: Sequence[float], fitted: trend.Trend, results: CurveResults) -> list[AheadEntry]:
    """Return where a law leads with so many images, and its band."""
    places = np.array(images)
    bands = zip(places, fitted(places), *fitted.band(places), strict=True)
    entries = []
    for n, *ends in bands:
        figure, one, other = (figure_of(float(end), results) for end in ends)
        low, high = min(one, other), max(one, other)
        entries.append(AheadEntry(images=float(n), figure=figure, low=low, high=high))
    return entries


def wrong_of(figure: float, results: CurveResults) -> float:
    """Return what is wrong where a headline is a figure: what falls when a method gets better."""
    if not results.higher_is_better:
        return figure
    return 1 - figure if results.share else -figure


def figure_of(wrong: float, results: CurveResults) -> float:
    """Return the headline where so much is wrong; a share stays one."""
    figure = wrong_of(wrong, results)  # it is its own inverse
    return min(max(figure, 0.0), 1.0) if results.share else figure


def _is_open(results: CurveResults) -> bool:
    """Tell whether a headline has no best value that it cannot pass."""
    return results.higher_is_better and not results.share


def _leads(results: CurveResults) -> list[LeadEntry]:
    """Return which method was the best from which size on, as measured.

    A method takes the lead when it is ahead by more than the standard error of their difference,
    draw by draw, or at all where there is one draw; at the largest size the best mean leads.
    """
    changes: list[LeadEntry] = []
    for i, size in enumerate(results.sizes):
        here = {m.name: m.points[i] for m in results.methods if m.points[i].mean is not None}
        if not here:
            continue
        best = min(here, key=lambda name: wrong_of(here[name].mean or 0.0, results))
        before = changes[-1].method if changes else None
        if best == before:
            continue
        if before in here and i < len(results.sizes) - 1:
            ahead = _paired(here[best], here[before], results)
            if len(ahead) > 1 and ahead.mean() <= ahead.std(ddof=1) / len(ahead) ** 0.5:
                continue
        changes.append(LeadEntry(method=best, size=size))
    return changes


def _paired(best: PointEntry, other: PointEntry, results: CurveResults) -> NDArray[np.float64]:
    """Return by how much less is wrong with one method than another, in the draws of both."""
    own = {fit.draw: fit.figure for fit in other.fits if fit.figure is not None}
    return np.array([
        wrong_of(own[fit.draw], results) - wrong_of(fit.figure, results)
        for fit in best.fits if fit.figure is not None and fit.draw in own
    ])  # fmt: skip


def _passes(results: CurveResults, trends: Mapping[str, trend.Trend]) -> list[PassEntry]:
    """Return which methods would get ahead of the best, as the trends have it, and where."""
    best = results.leads[-1].method if results.leads else ""
    if best not in trends:
        return []
    last = max(point.images for point in results.named(best).measured)
    ahead = np.geomspace(last, max(FACTORS) * last, 200)
    crossings = []
    for name, one in trends.items():
        before: NDArray[np.float64] = one(ahead) - trends[best](ahead)  # above 0: it is behind
        if name != best and before[0] > 0 and before[-1] < 0:
            images = two_digits(float(ahead[np.argmax(before < 0)]))
            crossings.append(PassEntry(method=name, over=best, images=images))
    return sorted(crossings, key=lambda one: one.images)


def two_digits(value: float) -> int:
    """Round a number to two digits.

    Examples
    --------
    >>> two_digits(1257.0), two_digits(84.4)
    (1300, 84)
    """
    return round(float(f"{value:.1e}"))
