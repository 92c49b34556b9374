"""Choose a method: the cheapest that is shown to be as good as the best, within a margin.

That two methods cannot be told apart shows nothing where images are few, so it does not make a
cheaper one good enough: the lower end of its paired difference to the best must lie within a margin
that the user names. Where images are too few for that, the best is taken, and the reason says how
many more would tell.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import get_args

from sightline.bench.results import CandidateEntry, Cost, MethodEntry, PickEntry, Verdict
from sightline.counting import counted
from sightline.errors import ParameterError
from sightline.metrics import figure_text
from sightline.metrics.duration import human
from sightline.metrics.paired import Difference, check_margin, holm

MARGIN = 0.01
"""Of a share, one point; of other headlines there is none that would do for all."""

ONE_MEASUREMENT = 0.1
"""Noise of a time that was measured once, as a share of it: a supposition, for want of repeats."""

CHANCE = 0.05
"""Corrected p-value below which two methods are told apart."""

Differences = Callable[[str, str], Difference | None]
"""Given the names of the best and of another method: their difference on validation, turned so that
positive means that the other is better; None where there is no paired test."""

_CHEAPER: Mapping[Cost, tuple[str, str]] = {
    "latency": ("takes less time an image", "take less time an image"),
    "size": ("is smaller on disk", "are smaller on disk"),
    "training": ("trains faster", "train faster"),
}


def pick(
    methods: Sequence[MethodEntry],
    differences: Differences,
    *,
    margin: float | None = None,
    cost: Cost = "latency",
) -> PickEntry | None:
    """Choose the cheapest method that is as good on validation as the best, within a margin.

    A method is as good when the lower end of the 95% interval of its difference to the best is not
    below ``-margin``, and cheaper when its cost is less by more than the noise of both. Of those
    that are both, the cheapest is taken; of those that cost the same within noise, the best.

    Parameters
    ----------
    methods : sequence of MethodEntry
        Those that ran to the end; one without a figure on validation is left out.
    differences : callable
        See `Differences`; asked once for every method but the best.
    margin : float, optional
        By how much a cheaper method may be worse, in the unit of the headline; 0 takes the best.
        Default: see `margin_of`.
    cost : "latency", "size" or "training"
        Median time of one image, whose noise is half the interquartile range; bytes on disk,
        without noise; seconds of tuning and fitting, which are measured once, and of whose value
        10% is taken for noise.

    Returns
    -------
    PickEntry, or None when no method has a figure on validation

    Raises
    ------
    ParameterError
        When the margin is not a number of at least 0, or the cost is none of the three.

    Notes
    -----
    Each method is held to the 95% interval by itself: with m cheaper methods that all are just
    worse than the margin allows, the chance that one passes is up to 2.5% each. Against that
    stands that the best was chosen for its figure, which so is rather too high.
    """
    given, margin = margin, margin_of(methods, margin)
    check_cost(cost)
    ranked = _ranked(methods, cost)
    if not ranked:
        return None
    best, others = ranked[0], ranked[1:]
    compared = {m.name: differences(best.name, m.name) for m in others}
    verdicts = {
        m.name: _verdict(compared[m.name], margin, is_cheaper(m, best, cost)) for m in others
    }
    good = [m for m in others if verdicts[m.name] == "as good"]
    taken = best
    if good:
        taken = _cheapest(good, cost)
        verdicts[taken.name] = "picked"
    words = _Words(ranked, compared, verdicts, margin, cost)
    if taken is not best:
        reason = words.cheaper_one(taken)
    elif others:
        reason = words.best_one(unnamed=given is None and not best.share)
    else:
        ran = "that ran" if len(methods) == 1 else "with a figure on validation"
        reason = f"{best.name}: the only method {ran}"
    candidates = _candidates(compared, verdicts)
    tested = [c for c in candidates if c.p is not None]
    apart = sum(c.p < CHANCE for c in tested if c.p is not None) if tested else None
    return PickEntry(
        name=taken.name, reason=reason, result=result_of(taken), apart=apart,
        sure=None if apart is None else words.how_sure(apart, len(tested)), margin=margin,
        cost=cost, best=best.name, candidates=candidates,
    )  # fmt: skip


def margin_of(methods: Sequence[MethodEntry], margin: float | None) -> float:
    """Return the margin for methods that were measured, in the unit of their headline.

    Parameters
    ----------
    methods : sequence of MethodEntry
        Of one task.
    margin : float, optional
        Default: `MARGIN` of a share; 0 of any other headline, which takes the best.

    Raises
    ------
    ParameterError
        When it is not a number of at least 0.
    """
    if margin is not None:
        return check_margin(margin)
    return MARGIN if all(m.share for m in methods) else 0.0


def check_cost(cost: str) -> None:
    """Refuse a kind of cost that is not known.

    Parameters
    ----------
    cost : str

    Raises
    ------
    ParameterError
        When it is none of "latency", "size" and "training".
    """
    if cost not in get_args(Cost):
        raise ParameterError(f"cost must be one of {', '.join(get_args(Cost))}, not {cost!r}")


def is_cheaper(one: MethodEntry, other: MethodEntry, cost: Cost) -> bool:
    """Tell whether one method costs less than another by more than the noise of both.

    Parameters
    ----------
    one, other : MethodEntry
        Where a cost is unknown, neither is cheaper.
    cost : "latency", "size" or "training"
    """
    a, b = _cost(one, cost), _cost(other, cost)
    if a is None or b is None:
        return False
    noise = _noise(one, cost, a) + _noise(other, cost, b)
    return b - a > noise


def _cost(method: MethodEntry, cost: Cost) -> float | None:
    """Return what a method costs: milliseconds, bytes or seconds."""
    if cost == "latency":
        return method.latency_ms
    if cost == "size":
        return method.bytes
    if method.fit_seconds is None:
        return None
    return (method.tune_seconds or 0.0) + method.fit_seconds


def _noise(method: MethodEntry, cost: Cost, value: float) -> float:
    """Return by how much that cost may differ when it is measured again."""
    if cost == "size":
        return 0.0
    if cost == "latency" and method.latency_spread_ms is not None:
        return method.latency_spread_ms
    # Training runs once, and results of before the spread was kept have the median alone.
    return ONE_MEASUREMENT * value


def result_of(method: MethodEntry) -> str | None:
    """Return what a method gets on the test split, with its interval, as a sentence's beginning.

    None where it was not measured there.
    """
    if method.headline is None or method.interval is None:
        return None
    low, high = (figure_text(end, method.share, 1) for end in method.interval)
    metric = (method.metric or "headline").replace("_", " ")
    figure = figure_text(method.headline, method.share, 1)
    return f"{metric} {figure} on test images (95% interval {low} to {high})"


def _ranked(methods: Sequence[MethodEntry], cost: Cost) -> list[MethodEntry]:
    """Return the methods with a figure on validation, the best first; of equals the cheapest."""

    def order(m: MethodEntry) -> tuple[float, float]:
        figure, price = m.validation or 0.0, _cost(m, cost)
        return -figure if m.higher_is_better else figure, math.inf if price is None else price

    known = [m for m in methods if m.validation is not None and math.isfinite(m.validation)]
    return sorted(known, key=order)


def _verdict(difference: Difference | None, margin: float, cheaper: bool) -> Verdict:
    if not cheaper:
        return "dearer"
    if difference is None:
        return "untested"
    if margin > 0 and difference.low >= -margin:
        return "as good"
    return "worse" if difference.needed is None else "may be as good"


def _cheapest(ranked: Sequence[MethodEntry], cost: Cost) -> MethodEntry:
    """Return the best of the methods that no other is cheaper than."""
    least = min(ranked, key=lambda m: _cost(m, cost) or 0.0)
    return next(m for m in ranked if not is_cheaper(least, m, cost))


def _candidates(
    differences: Mapping[str, Difference | None], verdicts: Mapping[str, Verdict]
) -> list[CandidateEntry]:
    tested = {name: d.p for name, d in differences.items() if d is not None and d.p is not None}
    p_values = dict(zip(tested, holm(list(tested.values())), strict=True))
    return [
        CandidateEntry(name=name, verdict=verdicts[name])
        if d is None
        else CandidateEntry(
            name=name, verdict=verdicts[name], difference=d.difference, low=d.low, high=d.high,
            images=d.images, needed=d.needed, p=p_values.get(name),
        )
        for name, d in differences.items()
    ]  # fmt: skip


class _Words:
    """Writes the reason for a choice, in one or several sentences."""

    def __init__(
        self,
        ranked: Sequence[MethodEntry],
        differences: Mapping[str, Difference | None],
        verdicts: Mapping[str, Verdict],
        margin: float,
        cost: Cost,
    ) -> None:
        self.best, self.others = ranked[0], ranked[1:]
        self.differences, self.verdicts = differences, verdicts
        self.margin, self.cost = margin, cost
        self.share = self.best.share

    def cheaper_one(self, taken: MethodEntry) -> str:
        """Say why a cheaper method is taken."""
        d = self.differences[taken.name]
        assert d is not None
        turned = d if self.best.higher_is_better else _turned(d)
        unit = " points" if self.share else ""
        return (
            f"{taken.name}: {self._figure(taken)} on validation is within {self._margin()} of "
            f"{self.best.name}'s {self._figure(self.best)} (difference "
            f"{self._points(turned.difference)}{unit}, 95% interval {self._points(turned.low)} to "
            f"{self._points(turned.high)}, {counted(d.images, 'image')}), and it "
            f"{_instead(taken, self.best, self.cost)}"
            + self._maybe([m for m in self.others if is_cheaper(m, taken, self.cost)])
        )

    def best_one(self, unnamed: bool) -> str:
        """Say why the best method is taken; `unnamed`: for want of a margin in its unit."""
        tested = any(d is not None for d in self.differences.values())
        figure = self._figure(self.best) + ("" if tested else "; ranked without a test")
        reason = f"{self.best.name}: best on validation ({figure})"
        cheaper = [m for m in self.others if self.verdicts[m.name] != "dearer"]
        if not cheaper:
            return f"{reason}, and no other {_CHEAPER[self.cost][0]}"
        if unnamed:
            metric = (self.best.metric or "headline").replace("_", " ")
            one = len(cheaper) == 1
            return (
                f"{reason}. {_and([m.name for m in cheaper])} {_CHEAPER[self.cost][not one]}: a "
                f"margin, in the unit of the {metric}, would say by how much "
                f"{'it' if one else 'they'} may be worse and still be taken"
            )
        if self.margin == 0:
            return f"{reason}, and a margin of 0 takes the best"
        reason += self._maybe(cheaper)
        worse = [m.name for m in cheaper if self.verdicts[m.name] == "worse"]
        if worse:
            reason += (
                f". At these rates {_and(worse)} {'is' if len(worse) == 1 else 'are'} worse by "
                f"{self._margin()} or more, however many the images"
            )
        untested = [m.name for m in cheaper if self.verdicts[m.name] == "untested"]
        if untested:
            one = len(untested) == 1
            reason += (
                f". {_and(untested)} {_CHEAPER[self.cost][not one]}, but there is no test here of "
                f"whether {'it is' if one else 'they are'} as good"
            )
        return reason

    def how_sure(self, apart: int, tested: int) -> str:
        """Say from how many of the others the images of validation tell the best apart."""
        images = max(d.images for d in self.differences.values() if d is not None)
        which = "the other method" if tested == 1 else f"{apart or 'none'} of {tested} others"
        verb = "cannot tell" if tested == 1 and not apart else "tell"
        return f"{images:,} images of validation {verb} {self.best.name} from {which}"

    def _maybe(self, methods: Sequence[MethodEntry]) -> str:
        """Say which of the methods may be as good, and how many more images would tell."""
        open_ones = {
            m.name: d
            for m in methods
            if (d := self.differences[m.name])
            and d.needed
            and self.verdicts[m.name] == "may be as good"
        }
        if not open_ones:
            return ""
        one = len(open_ones) == 1
        more = [about(max((d.needed or 0) - d.images, 1)) for d in open_ones.values()]
        images = max(d.images for d in open_ones.values())
        return (
            f". {_and(list(open_ones))} may be as good and {_CHEAPER[self.cost][not one]}, but "
            f"{counted(images, 'image')} cannot show that {'it is' if one else 'they are'} within "
            f"{self._margin()}: about {_and(more)} more would"
        )

    def _figure(self, method: MethodEntry) -> str:
        return figure_text(method.validation or 0.0, self.share, digits=1)

    def _points(self, value: float) -> str:
        # Adding 0 makes a rounded -0.0 a 0.0.
        return f"{round(100 * value, 2) + 0:.2f}" if self.share else f"{value + 0:.3g}"

    def _margin(self) -> str:
        if not self.share:
            return f"{self.margin:g}"
        points = f"{100 * self.margin:g}"
        return f"{points} point{'' if points == '1' else 's'}"


def _turned(d: Difference) -> Difference:
    """Return a difference with the sign of the figures, where lower ones are better."""
    return Difference(-d.difference, -d.high, -d.low, d.images, d.needed, d.p)


def _instead(taken: MethodEntry, best: MethodEntry, cost: Cost) -> str:
    a, b = _cost(taken, cost) or 0.0, _cost(best, cost) or 0.0
    if cost == "latency":
        return f"takes {short(a)} ms an image instead of {short(b)} ms"
    if cost == "size":
        return f"is {short(a / 2**10)} KiB on disk instead of {short(b / 2**10)} KiB"
    return f"was tuned and fitted in {human(a)} instead of {human(b)}"


def short(value: float) -> str:
    """Return a figure as text of three digits, or of as many as a large one has."""
    return f"{value:.3g}" if value < 999.5 else f"{value:,.0f}"


def about(count: int) -> str:
    """Return a count as text, rounded up to two digits, as it is an estimate."""
    step: int = 10 ** max(len(str(count)) - 2, 0)
    return f"{-(-count // step) * step:,}"


def _and(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
