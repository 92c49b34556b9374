from __future__ import annotations

import math

import numpy as np
import pytest

from sightline.bench.compare import Request
from sightline.bench.pick import is_cheaper, margin_of, pick, result_of
from sightline.bench.results import MethodEntry, PickEntry
from sightline.errors import ParameterError
from sightline.metrics import figure_text
from sightline.metrics.paired import Difference, bootstrap_difference, label_difference


def entry(name: str, validation: float | None, latency: float = 1.0, **more) -> MethodEntry:
    more = {"latency_spread_ms": 0.0} | more
    return MethodEntry(name=name, status="ok", validation=validation, latency_ms=latency, **more)


def right(n: int, *wrong: int) -> np.ndarray:
    out = np.ones(n, bool)
    out[list(wrong)] = False
    return out


def by_labels(answers: dict[str, np.ndarray], margin: float = 0.01):
    return lambda best, other: label_difference(answers[best], answers[other], margin)


def given(**found: tuple[float, float] | None):
    """Differences by hand: (difference, low) of each method that is not the best."""

    def between(best: str, other: str) -> Difference | None:
        if found[other] is None:
            return None
        difference, low = found[other]
        needed = None if difference <= -0.01 else 2_340
        return Difference(difference, low, difference + 0.01, 1000, needed)

    return between


def verdicts(found: PickEntry) -> dict[str, str]:
    return {c.name: c.verdict for c in found.candidates}


def test_a_cheaper_one_within_the_margin_is_taken():
    # Of 5,000 images slow errs on 50, fast on 25 of them and 30 others: 0.1 points worse.
    answers = {"slow": right(5000, *range(50)), "fast": right(5000, *range(25, 80))}
    methods = [entry("slow", 0.99, 3.4), entry("fast", 0.989, 0.9)]
    found = pick(methods, by_labels(answers))
    low = label_difference(answers["slow"], answers["fast"], 0.01).low
    assert -0.01 < low < -0.001
    assert (found.name, found.best, found.margin, found.cost) == ("fast", "slow", 0.01, "latency")
    assert found.reason == (
        "fast: 98.9% on validation is within 1 point of slow's 99.0% (difference -0.10 points, "
        "95% interval -0.40 to 0.20, 5,000 images), and it takes 0.9 ms an image instead of 3.4 ms"
    )
    (candidate,) = found.candidates
    assert candidate.verdict == "picked"
    assert (candidate.difference, candidate.low) == (pytest.approx(-0.001), low)
    assert candidate.images == 5000
    assert candidate.needed < 5000


def test_few_images_give_no_point_away():
    # They err on 2 and 3 of 270: they cannot be told apart, but fast may be 2.5 points worse.
    answers = {"slow": right(270, 0, 1), "fast": right(270, 2, 3, 4)}
    methods = [entry("slow", 268 / 270, 1.0), entry("fast", 267 / 270, 0.8)]
    found = pick(methods, by_labels(answers))
    difference = label_difference(answers["slow"], answers["fast"], 0.01)
    assert difference.p == 1.0
    assert difference.low < -0.02
    assert found.name == "slow"
    assert difference.needed == 2065
    assert found.reason == (
        "slow: best on validation (99.3%). fast may be as good and takes less time an image, but "
        "270 images cannot show that it is within 1 point: about 1,800 more would"
    )
    assert verdicts(found) == {"fast": "may be as good"}
    assert found.candidates[0].needed == 2065


def test_even_equal_answers_of_few_images_show_nothing():
    # Without a discordant pair it takes 381 images to come within a point; the one is put before
    # the other here by a hair, as of equals the cheaper is the best.
    for n, taken in ((380, "mid"), (381, "fast")):
        answers = {"mid": right(n), "fast": right(n)}
        found = pick([entry("mid", 1.0, 3.0), entry("fast", 0.999, 1.0)], by_labels(answers))
        assert found.name == taken


def test_of_equals_the_cheapest_is_the_best():
    methods = [entry("slow", 1.0, 5.0), entry("fast", 1.0, 1.0), entry("mid", 0.99, 3.0)]
    answers = {"slow": right(90), "fast": right(90), "mid": right(90, 0)}
    found = pick(methods, by_labels(answers))
    assert (found.name, found.best) == ("fast", "fast")
    assert found.reason == (
        "fast: best on validation (100.0%), and no other takes less time an image"
    )
    assert verdicts(found) == {"slow": "dearer", "mid": "dearer"}


def test_a_worse_one_is_not_taken_however_many_the_images():
    answers = {"slow": right(5000), "a": right(5000, *range(50)), "b": right(5000, *range(400))}
    methods = [entry("a", 0.99, 0.5), entry("b", 0.92, 0.1), entry("slow", 1.0, 5.0)]
    found = pick(methods, by_labels(answers))
    assert found.reason == (
        "slow: best on validation (100.0%). At these rates a and b are worse by 1 point or more, "
        "however many the images"
    )
    assert verdicts(found) == {"a": "worse", "b": "worse"}
    assert [c.needed for c in found.candidates] == [None, None]
    # With a wider margin the first will do.
    wide = pick(methods, by_labels(answers, 0.02), margin=0.02)
    assert wide.name == "a"
    assert "is within 2 points of slow's 100.0%" in wide.reason
    assert verdicts(wide) == {"a": "picked", "b": "worse"}


def test_several_that_may_be_as_good_are_named_with_their_numbers():
    between = given(a=(-0.002, -0.012), b=(-0.004, -0.014), c=(-0.05, -0.08))
    methods = [entry("best", 0.95, 5.0), entry("a", 0.948), entry("b", 0.946), entry("c", 0.9)]
    found = pick(methods, between)
    assert found.reason == (
        "best: best on validation (95.0%). a and b may be as good and take less time an image, but "
        "1,000 images cannot show that they are within 1 point: about 1,400 and 1,400 more would. "
        "At these rates c is worse by 1 point or more, however many the images"
    )


def test_a_margin_of_0_takes_the_best():
    answers = {"slow": right(5000), "fast": right(5000, 0)}
    methods = [entry("slow", 1.0, 5.0), entry("fast", 0.9998, 0.1)]
    assert pick(methods, by_labels(answers)).name == "fast"
    found = pick(methods, by_labels(answers, 0.0), margin=0.0)
    assert found.reason == "slow: best on validation (100.0%), and a margin of 0 takes the best"
    assert verdicts(found) == {"fast": "worse"}


@pytest.mark.parametrize(("spread", "taken"), [(0.04, "fast"), (0.06, "slow"), (None, "slow")])
def test_a_difference_within_the_timers_noise_is_none(spread, taken):
    # 0.1 ms less; the sum of the spreads is 0.08 or 0.12. Without a spread 10% of each stand in.
    methods = [
        entry("slow", 0.99, 1.0, latency_spread_ms=spread),
        entry("fast", 0.989, 0.9, latency_spread_ms=spread),
    ]
    found = pick(methods, given(fast=(-0.001, -0.002)))
    assert found.name == taken
    assert verdicts(found) == {"fast": "picked" if taken == "fast" else "dearer"}


def test_of_the_cheap_the_better_is_taken_when_they_cost_the_same_within_noise():
    methods = [
        entry("best", 0.99, 5.0),
        entry("good", 0.989, 1.05, latency_spread_ms=0.1),
        entry("less", 0.988, 1.0, latency_spread_ms=0.1),
    ]
    between = given(good=(-0.001, -0.005), less=(-0.002, -0.006))
    found = pick(methods, between)
    assert found.name == "good"
    assert verdicts(found) == {"good": "picked", "less": "as good"}
    methods[2].latency_ms = 0.8  # now less by more than the noise
    assert pick(methods, between).name == "less"


def test_one_that_is_cheaper_still_and_may_be_as_good_is_said():
    between = given(good=(-0.001, -0.005), open=(-0.002, -0.02))
    methods = [entry("best", 0.99, 5.0), entry("good", 0.989, 1.0), entry("open", 0.988, 0.1)]
    found = pick(methods, between)
    assert found.name == "good"
    assert found.reason.endswith(
        "instead of 5 ms. open may be as good and takes less time an image, but 1,000 images "
        "cannot show that it is within 1 point: about 1,400 more would"
    )


def test_cost_may_be_the_size():
    methods = [entry("big", 0.99, 1.0, bytes=3 * 2**20), entry("small", 0.989, 9.0, bytes=2**11)]
    between = given(small=(-0.001, -0.005))
    assert pick(methods, between).name == "big"
    found = pick(methods, between, cost="size")
    assert (found.name, found.cost) == ("small", "size")
    assert found.reason.endswith("and it is 2 KiB on disk instead of 3,072 KiB")
    methods[1].bytes = methods[0].bytes - 1  # a byte is a difference: sizes have no noise
    assert pick(methods, between, cost="size").name == "small"
    methods[1].bytes += 1
    assert "no other is smaller on disk" in pick(methods, between, cost="size").reason


def test_cost_may_be_the_training():
    methods = [
        entry("net", 0.99, 1.0, tune_seconds=0.0, fit_seconds=100.0),
        entry("knn", 0.989, 9.0, tune_seconds=60.0, fit_seconds=22.0),
    ]
    between = given(knn=(-0.001, -0.005))
    assert pick(methods, between, cost="training").name == "net"  # 82 s and 100 s, each +-10%
    methods[1].tune_seconds = 50.0
    found = pick(methods, between, cost="training")
    assert found.reason.endswith("was tuned and fitted in 1 m 12 s instead of 1 m 40 s")
    methods[1].tune_seconds = None  # a method without knobs
    assert pick(methods, between, cost="training").name == "knn"


def test_an_unknown_cost_makes_nothing_cheaper():
    one, other = entry("one", 0.9, fit_seconds=None, bytes=None), entry("two", 0.9, bytes=5)
    for cost in ("size", "training"):
        assert not is_cheaper(one, other, cost)
        assert not is_cheaper(other, one, cost)


def test_lower_may_be_better():
    methods = [
        entry("poor", 3.0, 0.1, higher_is_better=False, share=False),
        entry("best", 1.25, 5.0, higher_is_better=False, share=False),
        entry("near", 1.5, 1.0, higher_is_better=False, share=False),
    ]
    rng = np.random.default_rng(3)
    errors = {"best": rng.normal(1.25, 0.1, 400)}
    errors["near"] = errors["best"] + rng.normal(0.25, 0.1, 400)
    errors["poor"] = errors["best"] + rng.normal(1.75, 0.1, 400)

    def between(best, other):
        a, b = (lambda rows, e=errors[n]: float(e[rows].mean()) for n in (best, other))
        return bootstrap_difference(a, b, 400, 0.5, higher_is_better=False, draws=200)

    found = pick(methods, between, margin=0.5)
    assert (found.name, found.best) == ("near", "best")
    assert verdicts(found) == {"near": "picked", "poor": "worse"}
    assert found.candidates[0].difference == pytest.approx(-0.25, abs=0.02)
    # Plain numbers, with the sign of the figures.
    assert found.reason.startswith(
        "near: 1.5 on validation is within 0.5 of best's 1.25 (difference 0.2"
    )
    assert "%" not in found.reason.replace("95% interval", "")
    assert "points" not in found.reason


def test_without_a_margin_in_its_unit_the_best_is_taken_and_the_unit_said():
    more = {"higher_is_better": False, "share": False, "metric": "mean_absolute_error"}
    methods = [entry("near", 1.26, 1.0, **more), entry("best", 1.25, 5.0, **more)]
    between = given(near=(-0.01, -0.02))
    found = pick(methods, between)
    assert (found.name, found.margin, verdicts(found)) == ("best", 0.0, {"near": "worse"})
    assert found.reason == (
        "best: best on validation (1.25). near takes less time an image: a margin, in the unit of "
        "the mean absolute error, would say by how much it may be worse and still be taken"
    )
    third = entry("third", 1.3, 1.0, **more)
    both = pick([*methods, third], given(near=(-0.01, -0.02), third=(-0.05, -0.06)))
    assert "near and third take less time an image: a margin" in both.reason
    assert "how much they may be worse" in both.reason
    # None is cheaper: there is nothing to be said of a margin.
    dear = pick([entry("near", 1.26, 9.0, **more), methods[1]], between)
    assert dear.reason == "best: best on validation (1.25), and no other takes less time an image"
    # Of a share a point is meant, of any other figure what is given; 0 is a margin that is given.
    assert margin_of([entry("a", 0.5)], None) == 0.01
    assert margin_of(methods, 0.5) == 0.5
    assert pick(methods, between, margin=0.5).name == "near"
    assert pick(methods, between, margin=0.0).reason.endswith("and a margin of 0 takes the best")


@pytest.mark.parametrize(("share", "asked"), [(True, 0.025), (False, 2.5)])
def test_points_are_hundredths_of_a_share_only(share, asked):
    request = Request("digits", ("a",), margin=2.5, in_points=True)
    assert request.margin_for([entry("a", 0.5, share=share)]) == asked
    assert Request("digits", ("a",), margin=2.5).margin_for([entry("a", 0.5)]) == 2.5
    assert Request("digits", ("a",), in_points=True).margin_for([entry("a", 0.5)]) is None


def test_one_method_alone():
    found = pick([entry("only", 0.5)], given())
    assert found.reason == "only: the only method that ran"
    assert found.candidates == []


def test_without_a_paired_test_the_best_is_taken_and_said_to_be_ranked():
    methods = [entry("best", 0.483, 5.0), entry("other", 0.482, 1.0), entry("third", 0.4, 9.0)]
    found = pick(methods, given(other=None, third=None))
    assert found.reason == (
        "best: best on validation (48.3%; ranked without a test). other takes less time an image, "
        "but there is no test here of whether it is as good"
    )
    assert verdicts(found) == {"other": "untested", "third": "dearer"}
    assert found.candidates[0].difference is None


def test_a_method_without_a_figure_on_validation_is_left_out():
    methods = [entry("none", None, 0.1), entry("nan", math.nan, 0.1), entry("best", 0.9, 5.0)]
    found = pick(methods, given())
    assert found.reason == "best: the only method with a figure on validation"
    assert pick(methods[:2], given()) is None
    assert pick([], given()) is None


def test_the_p_values_are_holms():
    # Each of two errs on 6 images more: McNemar's p is 2 / 2**6, and twice that corrected.
    methods = [entry("best", 1.0, 9.0), entry("a", 0.94, 1.0), entry("b", 0.94, 2.0)]
    answers = {"best": right(100), "a": right(100, *range(6)), "b": right(100, *range(6, 12))}
    found = pick(methods, by_labels(answers))
    assert [c.p for c in found.candidates] == pytest.approx([0.0625, 0.0625])


@pytest.mark.parametrize("margin", [-0.01, math.nan, math.inf])
def test_a_margin_that_is_none_is_refused(margin):
    with pytest.raises(ParameterError, match="margin must be a number of at least 0"):
        pick([entry("a", 0.5)], given(), margin=margin)


def test_an_unknown_kind_of_cost_is_refused():
    with pytest.raises(ParameterError, match="one of latency, size, training, not 'money'"):
        pick([entry("a", 0.5)], given(), cost="money")


def test_headlines():
    assert figure_text(1.0, share=True, digits=1) == "100.0%"
    assert figure_text(0.5, share=False, digits=1) == "0.5"


def test_a_figure_that_is_no_share_is_a_plain_number():
    methods = [entry("best", 31.25, 5.0, share=False), entry("near", 31.2, 1.0, share=False)]
    found = pick(methods, given(near=(-0.05, -0.08)), margin=0.1)
    assert found.reason == (
        "near: 31.2 on validation is within 0.1 of best's 31.25 (difference -0.05, 95% interval "
        "-0.08 to -0.04, 1,000 images), and it takes 1 ms an image instead of 5 ms"
    )


def test_the_result_is_the_test_splits_with_its_interval():
    """71.1% of 90 validation images chose it; what to expect is what the test images say."""
    one = entry("net", 0.711, 5.0).model_copy(
        update={"headline": 0.589, "interval": (0.486, 0.685), "metric": "accuracy"}
    )
    assert result_of(one) == "accuracy 58.9% on test images (95% interval 48.6% to 68.5%)"
    assert result_of(one.model_copy(update={"headline": None})) is None


def test_how_sure_the_choice_is_counts_whom_it_is_told_from():
    def first(n):
        return np.arange(500) < n

    answers = {"best": first(400), "near": first(399), "far": first(100)}
    methods = [entry("best", 0.8, 0.1), entry("near", 0.798, 1.0), entry("far", 0.2, 2.0)]
    seen = pick(methods, by_labels(answers))
    assert seen.apart == 1
    assert seen.sure == "500 images of validation tell best from 1 of 2 others"
    alone = pick(methods[:2], by_labels(answers))
    assert alone.sure == "500 images of validation cannot tell best from the other method"
