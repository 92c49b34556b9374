"""Say of learning curves whether more training images would help, and with which method most."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from sightline.bench import trend
from sightline.bench.curve_results import CurveEntry, CurveResults, GainEntry, PointEntry
from sightline.bench.curve_summary import FACTORS, wrong_of
from sightline.metrics import figure_text
from sightline.report.names import shortened
from sightline.report.words import Said, figure_name, in_chinese, joined, say

WORTH = 0.005
"""A gain that is worth more images: half a point of a share, or as much of any other figure."""

NAMED = 3
"""Methods that the answer names; the table has all."""


def answer(results: CurveResults) -> str:
    """Return whether twice the images would help, and which method most, in both languages.

    What is said of more images than were measured is marked as an extrapolation.
    """
    told = carried_on(results)
    if not told:
        return say("Nothing can be said of more training images.")
    twice = {name: entry.trend.gains[0] for name, entry in told.items() if entry.trend}
    named = _ordered(results, twice)[:NAMED]
    short = shortened(twice)
    first, *others = named
    gains = [
        say("{name} about {gain} (extrapolated, {low} to {high})", name=short[first],
            **_gain(twice[first], results)),
        *(say("{name} {gain} ({low} to {high})", name=short[n], **_gain(twice[n], results))
          for n in others),
    ]  # fmt: skip
    sentence = say(
        "{verdict} Twice as many training images ({images}) would bring {gains}{most}.",
        verdict=_verdict(results, told, twice), images=f"{round(twice[first].images):,}",
        gains=_listed(gains), most=_most(twice, short),
    )  # fmt: skip
    return joined([sentence, *_left_out(twice, named)])


def carried_on(results: CurveResults) -> dict[str, CurveEntry]:
    """Return the methods that were measured at the largest size and have a trend."""
    return {
        m.name: m for m in results.methods
        if m.trend is not None and m.points[-1].mean is not None
    }  # fmt: skip


def lines(results: CurveResults) -> list[str]:
    """Return what else is to be known, a sentence each, in both languages."""
    said = [*_leads(results), *_passes(results)]
    for entry in results.methods:
        if (fall := _fall(entry, results)) is not None:
            before, after = fall
            said.append(
                say("{name} falls from {high} with {few} images to {low} with {many}: its curve "
                    "does not rise steadily, and its extrapolation says little.",
                    name=entry.name, high=_figure(before.mean, results), few=f"{before.size:,}",
                    low=_figure(after.mean, results), many=f"{after.size:,}")
            )  # fmt: skip
    untold = [m.name for m in results.methods if m.trend is None and m.measured]
    if untold:
        said.append(
            say("No extrapolation of {names}: it needs {count} measured sizes.",
                names=_listed(untold), count=trend.FEWEST)
        )  # fmt: skip
    failed = [m for m in results.methods if m.failed]
    if failed:
        said.append(
            say("{failed} of {all} fits failed: {names}.",
                failed=sum(len(m.failed) for m in failed),
                all=sum(len(p.fits) for m in results.methods for p in m.points),
                names=_listed([_failures(m) for m in failed]))
        )  # fmt: skip
    return said


def protocol(results: CurveResults) -> Said:
    """Return what every figure was measured on."""
    if results.seeds == 1:
        return say(
            "Every fit is measured on the same {tested} test images, the whole split; the "
            "validation images that it is tuned on shrink along with the training images. Each "
            "size was drawn once, so that no spread is known.", tested=f"{results.tested:,}",
        )  # fmt: skip
    return say(
        "Every fit is measured on the same {tested} test images, the whole split; the validation "
        "images that it is tuned on shrink along with the training images. Each size was drawn "
        "{seeds} times, each draw within the next larger one; ± is the standard deviation over the "
        "draws. Of all training images there is one draw, to which a method without chance is "
        "fitted once.", tested=f"{results.tested:,}", seeds=results.seeds,
    )  # fmt: skip


def _verdict(
    results: CurveResults, told: dict[str, CurveEntry], twice: dict[str, GainEntry]
) -> Said:
    """Return whether more images would help, by the method that would then be the best."""

    def then(name: str) -> float:
        now = wrong_of(told[name].points[-1].mean or 0.0, results)
        return now - twice[name].gain

    best = min(told, key=then)
    worth = WORTH * (1 if results.share else abs(told[best].points[-1].mean or 0.0))
    if twice[best].gain_low >= worth:
        return say("More training images would help.")
    if twice[best].gain_high < worth:
        return say("More training images would hardly help.")
    return say("More training images may help.")


def _ordered(results: CurveResults, twice: dict[str, GainEntry]) -> list[str]:
    """Return the best method first, then the others by what they gain."""
    best = results.leads[-1].method if results.leads else None
    return sorted(twice, key=lambda name: (name != best, -twice[name].gain))


def _most(twice: dict[str, GainEntry], short: dict[str, str]) -> str:
    """Return which method gains most, as surely as the intervals tell."""
    first, *others = sorted(twice, key=lambda name: -twice[name].gain)
    if not others or twice[first].gain <= 0:
        return ""
    if twice[first].gain_low > max(twice[name].gain_high for name in others):
        return say(": more images help most with {name}", name=short[first])
    return say(": more images seem to help most with {name}", name=short[first])


def _left_out(twice: dict[str, GainEntry], named: Sequence[str]) -> list[str]:
    return [say("The table has the others.")] if len(twice) > len(named) else []


def _leads(results: CurveResults) -> list[str]:
    """Return which method was the best at which size."""
    leads = results.leads
    if len(results.sizes) < 2 or not leads or sum(bool(m.measured) for m in results.methods) < 2:
        return []
    if len(equal := _equal(results)) > 1:
        return [
            say("With {size} images {names} are equally good (measured).",
                size=f"{results.sizes[-1]:,}", names=_listed(equal))
        ]  # fmt: skip
    if len(leads) == 1:
        return [say("At every size {name} is the best (measured).", name=leads[0].method)]
    later = [
        say("from {size} images on {name}", size=f"{lead.size:,}", name=lead.method)
        for lead in leads[1:]
    ]
    return [
        say("With few images {name} is the best, {later} (measured).", name=leads[0].method,
            later=_listed(later))
    ]  # fmt: skip


def _equal(results: CurveResults) -> list[str]:
    """Return the methods that are as good as the best at the largest size."""
    last = {m.name: m.points[-1].mean for m in results.methods}
    best = last.get(results.leads[-1].method) if results.leads else None
    return [name for name, mean in last.items() if mean is not None and mean == best]


def _passes(results: CurveResults) -> list[str]:
    """Return which methods would get ahead of the best, and that nobody would."""
    told = carried_on(results)
    best = results.leads[-1].method if results.leads else None
    if best not in told or len(told) < 2 or len(_equal(results)) > 1:
        return []
    if not results.passes:
        return [
            say("{name} would stay ahead up to {factor} times as many images (extrapolated).",
                name=best, factor=max(FACTORS))
        ]  # fmt: skip
    return [
        say("{over} would stay ahead of {name} until about {images} images (extrapolated).",
            name=one.method, over=one.over, images=f"{one.images:,}")
        for one in results.passes if one.method in told
    ]  # fmt: skip


def _fall(entry: CurveEntry, results: CurveResults) -> tuple[PointEntry, PointEntry] | None:
    """Return two sizes of which the larger is worse by more than chance does; None: there are none.

    Chance is twice the standard error of their difference, or one test image.
    """
    points = entry.measured
    for before, after in itertools.pairwise(points):
        worse = wrong_of(after.mean or 0.0, results) - wrong_of(before.mean or 0.0, results)
        chance = sum(((p.deviation or 0.0) ** 2) / len(p.fits) for p in (before, after)) ** 0.5
        if worse > max(2 * chance, 1.5 / results.tested if results.share else 0.0):
            return before, after
    return None


def _failures(entry: CurveEntry) -> Said:
    sizes = [p.size for p in entry.points if any(f.status == "failed" for f in p.fits)]
    return say(
        "{name} at {sizes} images", name=entry.name, sizes=", ".join(f"{n:,}" for n in sizes)
    )


def difference(value: float, results: CurveResults) -> str:
    """Return a difference or a deviation as text: of a share in points, else as fine as figures."""
    if results.share:
        return f"{100 * value + 0.0:.1f}"
    largest = max((abs(p.mean or 0.0) for m in results.methods for p in m.measured), default=1.0)
    finest = 3 - math.floor(math.log10(largest or 1.0))  # figures have four digits
    return f"{value + 0.0:.{max(finest, 0)}f}"


def _gain(gain: GainEntry, results: CurveResults) -> dict[str, str]:
    """Return a gain and the ends of its interval as text, the gain with its unit."""
    low, value, high = (difference(v, results) for v in (gain.gain_low, gain.gain, gain.gain_high))
    figure = figure_name(results.metric or "headline")
    if results.share:
        unit = say("{points} points", points=value)
    elif results.higher_is_better:
        unit = say("{value} more {figure}", value=value, figure=figure)
    else:
        unit = say("{value} less {figure}", value=value, figure=figure)
    return {"gain": unit, "low": low, "high": high}


def _figure(value: float | None, results: CurveResults) -> str:
    return figure_text(value, results.share, digits=1)


def _listed(texts: Sequence[str]) -> Said:
    """Return texts as a list in a sentence, in both languages."""
    *most, last = texts
    chinese = "、".join(str(in_chinese(text)) for text in texts)
    english = f"{', '.join(map(str, most))} and {last}" if most else str(last)
    return Said(str.__str__(english), chinese)
