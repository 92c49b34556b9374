from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from sightline.errors import ParameterError
from sightline.metrics import paired


def answers(only_best: int, only_other: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Which of n images the best and the other got right; on the rest both were."""
    best, other = np.ones(n, bool), np.ones(n, bool)
    other[:only_best] = False
    best[only_best : only_best + only_other] = False
    return best, other


@st.composite
def counts(draw):
    n = draw(st.integers(1, 400))
    b = draw(st.integers(0, n))
    return b, draw(st.integers(0, n - b)), n


def test_the_interval_is_that_of_another_program():
    # 161 patients before and after therapy, 6 and 16 discordant (Cavo et al. 2012): Fagerland,
    # Lydersen & Laake, Statistical analysis of contingency tables, 2017, chapter 8; the figures are
    # those of their R package contingencytables.
    found = paired.label_difference(*answers(16, 6, 161), 0.01)
    assert found.difference == pytest.approx(-0.0621, abs=5e-5)
    assert (found.low, found.high) == pytest.approx((-0.1240, -0.0054), abs=5e-5)
    assert found.p == pytest.approx(0.052479, abs=5e-7)


@given(counts(), st.floats(-0.98, 0.98))
def test_the_restricted_rate_is_the_likeliest(case, difference):
    b, c, n = case
    low, high = max(0.0, -difference), (1 - difference) / 2

    def unlikely(q):
        terms = zip((b, c, n - b - c), (q + difference, q, 1 - 2 * q - difference), strict=True)
        return -sum(k * math.log(max(p, 1e-300)) for k, p in terms if k)

    found = optimize.minimize_scalar(
        unlikely, bounds=(low, high), method="bounded", options={"xatol": 1e-10}
    )
    ours = paired.restricted_rate(b, c, n, difference)
    assert low - 1e-12 <= ours <= high + 1e-12
    assert unlikely(ours) <= found.fun + 1e-6 * (1 + abs(found.fun))


@given(counts())
def test_at_no_difference_the_statistic_is_mcnemars(case):
    b, c, n = case
    expected = (b - c) / math.sqrt(b + c) if b + c else 0.0
    assert paired.tango_score(b, c, n, 0.0) == pytest.approx(expected)


@given(counts())
def test_swapping_the_two_swaps_the_interval(case):
    b, c, n = case
    one = paired.label_difference(*answers(c, b, n), 0.01)
    two = paired.label_difference(*answers(b, c, n), 0.01)
    assert (one.difference, one.low, one.high) == pytest.approx(
        (-two.difference, -two.high, -two.low), abs=1e-9
    )
    assert -1 <= one.low <= one.difference <= one.high <= 1
    assert one.p == two.p


def test_the_ends_are_where_the_statistic_is_1_96():
    found = paired.label_difference(*answers(9, 4, 250), 0.01)
    assert found.difference == -5 / 250  # the other is worse
    assert paired.tango_score(4, 9, 250, found.low) == pytest.approx(stats.norm.ppf(0.975))
    assert paired.tango_score(4, 9, 250, found.high) == pytest.approx(-stats.norm.ppf(0.975))


@pytest.mark.parametrize("n", [1, 20, 270, 5000])
def test_without_a_discordant_pair_the_bound_is_known(n):
    z2 = stats.norm.ppf(0.975) ** 2
    found = paired.label_difference(*answers(0, 0, n), 0.01)
    assert found.low == pytest.approx(-z2 / (n + z2))
    assert found.high == pytest.approx(z2 / (n + z2))
    assert found.needed == math.ceil(z2 * 0.99 / 0.01) == 381


def test_the_extremes():
    assert paired.label_difference(*answers(30, 0, 30), 0.01).low == -1
    assert paired.label_difference(*answers(0, 30, 30), 0.01).high == 1
    assert paired.label_difference(*answers(0, 0, 30), 1.0).needed == 1
    assert paired.label_difference(*answers(0, 0, 30), 0.0).needed is None


@pytest.mark.parametrize(
    ("only_other", "only_best"), [(0.02, 0.03), (0.05, 0.05), (0.1, 0.02), (0.01, 0.01), (0.3, 0.2)]
)
def test_the_interval_holds_the_truth_as_often_as_it_says(only_other, only_best):
    n, draws = 200, 4000
    rng = np.random.default_rng(11)
    seen = rng.multinomial(n, [only_other, only_best, 1 - only_other - only_best], size=draws)
    truth, kept, held = only_other - only_best, {}, 0
    for b, c, _ in seen:
        if (b, c) not in kept:
            found = paired.label_difference(*answers(c, b, n), 0.01)
            kept[b, c] = found.low <= truth <= found.high
        held += kept[b, c]
    assert 0.94 <= held / draws <= 0.98


@pytest.mark.parametrize(("only_best", "only_other", "n"), [(3, 1, 270), (10, 10, 500), (2, 8, 90)])
def test_needed_is_the_smallest_number_that_shows_it(only_best, only_other, n):
    margin = 0.02
    needed = paired.label_difference(*answers(only_best, only_other, n), margin).needed

    def shows(images):  # the same rates on another number of images
        k = images / n
        ask = lambda d: paired.tango_score(k * only_other, k * only_best, images, d)  # noqa: E731
        return optimize.brentq(lambda d: ask(d) - stats.norm.ppf(0.975), -0.999, 0.5) >= -margin

    assert shows(needed)
    assert not shows(needed - 1)


def test_no_number_shows_what_is_worse_by_the_margin():
    assert paired.label_difference(*answers(10, 0, 1000), 0.01).needed is None
    assert paired.label_difference(*answers(10, 1, 1000), 0.01).needed > 1000


@pytest.mark.parametrize("margin", [-0.01, math.nan, math.inf])
def test_a_margin_that_is_none_is_refused(margin):
    with pytest.raises(ParameterError, match="margin must be a number of at least 0"):
        paired.label_difference(*answers(0, 0, 9), margin)
    with pytest.raises(ParameterError, match="--margin must"):
        paired.check_margin(margin, "--margin")


def test_other_images_are_refused():
    with pytest.raises(ParameterError, match="of 9 and 8"):
        paired.label_difference(np.ones(9, bool), np.ones(8, bool), 0.01)
    with pytest.raises(ParameterError, match="of 0 and 0"):
        paired.label_difference(np.ones(0, bool), np.ones(0, bool), 0.01)


def scores(seed: int, n: int = 600) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    best = rng.normal(0.7, 0.1, n)
    return best, best - 0.01 + rng.normal(0, 0.08, n)


def test_the_bootstrap_of_a_mean_is_the_interval_of_the_mean():
    best, other = scores(5)
    found = paired.bootstrap_difference(
        lambda rows: best[rows].mean(), lambda rows: other[rows].mean(), 600, 0.01,
        higher_is_better=True, draws=4000,
    )  # fmt: skip
    mean, error = (other - best).mean(), (other - best).std() / math.sqrt(600)
    assert found.difference == pytest.approx(mean)
    # The error of a 2.5% percentile of 4,000 draws is 0.042 deviations.
    assert found.low == pytest.approx(mean - 1.96 * error, abs=0.15 * error)
    assert found.high == pytest.approx(mean + 1.96 * error, abs=0.15 * error)
    assert found.images == 600
    assert found.p is None


def test_the_bootstrap_turns_what_should_be_low():
    best, other = scores(6)
    ask = [lambda rows: best[rows].mean(), lambda rows: other[rows].mean()]
    up = paired.bootstrap_difference(*ask, 600, 0.02, higher_is_better=True, draws=200)
    down = paired.bootstrap_difference(*ask, 600, 0.02, higher_is_better=False, draws=200)
    assert up.difference < 0 < down.difference
    assert (down.low, down.high) == pytest.approx((-up.high, -up.low))
    again = paired.bootstrap_difference(*ask, 600, 0.02, higher_is_better=True, draws=200)
    assert again == up  # seeded


def test_the_bootstraps_needed_is_the_law_of_the_root():
    best, other = scores(7)
    found = paired.bootstrap_difference(
        lambda rows: best[rows].mean(), lambda rows: other[rows].mean(), 600, 0.015,
        higher_is_better=True,
    )  # fmt: skip
    arm, room = found.difference - found.low, found.difference + 0.015
    assert arm * math.sqrt(600 / found.needed) <= room
    assert arm * math.sqrt(600 / (found.needed - 1)) > room
    worse = paired.bootstrap_difference(
        lambda rows: best[rows].mean(), lambda rows: other[rows].mean() - 0.1, 600, 0.015,
        higher_is_better=True, draws=50,
    )  # fmt: skip
    assert worse.needed is None


def test_the_bootstrap_leaves_out_draws_without_a_figure():
    values = np.r_[np.zeros(3), np.ones(3)]

    def rare(rows):  # undefined where none of the last three is drawn
        return values[rows].sum() / values[rows].sum() if values[rows].any() else math.nan

    found = paired.bootstrap_difference(rare, rare, 6, 0.1, higher_is_better=True, draws=300)
    assert (found.low, found.high) == (0, 0)
    with pytest.raises(ParameterError, match="undefined"):
        paired.bootstrap_difference(
            rare, lambda rows: math.nan, 6, 0.1, higher_is_better=True, draws=9
        )
    with pytest.raises(ParameterError, match="0 images"):
        paired.bootstrap_difference(rare, rare, 0, 0.1, higher_is_better=True)


def test_mcnemar_by_hand():
    # Ten images only a gets right, two only b: 2 * P(X <= 2), X ~ Binomial(12, 1/2).
    a = np.array([True] * 10 + [False] * 2 + [True] * 30 + [False] * 5)
    b = np.array([False] * 10 + [True] * 2 + [True] * 30 + [False] * 5)
    assert paired.mcnemar(a, b) == pytest.approx(2 * (1 + 12 + 66) / 2**12)
    assert paired.mcnemar(a, a) == 1.0


def test_holm_known_answer():
    # Holm's step-down of 0.01, 0.04, 0.03, 0.005 with four hypotheses.
    assert paired.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert paired.holm([0.9, 0.8]) == [1.0, 1.0]
    assert paired.holm([]) == []
