"""The power law of a learning curve: known curves are met, and few sizes say nothing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import curve_fit

from sightline.bench import trend
from sightline.bench.trend import PowerLaw
from sightline.errors import ParameterError

SIZES = np.array([50, 100, 200, 400, 800, 1600], np.float64)


@pytest.mark.parametrize("law", [(0.05, 2.0, 0.5), (0.0, 1.5, 0.2), (0.3, 0.9, 0.35)])
def test_a_curve_without_noise_gives_its_own_numbers_back(law):
    fitted = PowerLaw.fitted(SIZES, PowerLaw(*law)(SIZES), np.full(6, 0.01))
    assert (fitted.a, fitted.b, fitted.c) == pytest.approx(law, rel=1e-3, abs=1e-4)


def test_the_fit_is_that_of_scipys_curve_fit():
    random = np.random.default_rng(3)
    errors = np.linspace(0.02, 0.002, 6)
    wrong = PowerLaw(0.08, 1.4, 0.45)(SIZES) + errors * random.standard_normal(6)
    ours = PowerLaw.fitted(SIZES, wrong, errors)
    (a, b, c), _ = curve_fit(
        lambda n, a, b, c: a + b * n**-c, SIZES, wrong, (0.05, 1, 0.4), errors,
        bounds=([0, 0, trend.SLOWEST], [1, np.inf, trend.FASTEST]),
    )  # fmt: skip
    assert (ours.a, ours.b, ours.c) == pytest.approx((a, b, c), rel=0.02)


def measured(law, noise, draws=3, seed=0):
    random = np.random.default_rng(seed)
    return [list(law(n) + noise * random.standard_normal(draws)) for n in SIZES]


def test_the_band_holds_the_truth_about_as_often_as_it_says():
    law = PowerLaw(0.06, 1.6, 0.5)
    truth = float(law(1600) - law(3200))
    inside = 0
    for seed in range(20):
        _, low, high = trend.extrapolate(SIZES, measured(law, 0.008, seed=seed)).gain(3200)
        inside += low <= truth <= high
    assert inside >= 16


def test_more_noise_is_a_wider_band():
    law = PowerLaw(0.06, 1.6, 0.5)
    widths = []
    for noise in (0.001, 0.01):
        low, high = trend.extrapolate(SIZES, measured(law, noise)).band([3200.0])
        widths.append(float(high[0] - low[0]))
    assert widths[1] > 3 * widths[0] > 0


def test_a_flat_curve_and_one_that_gets_worse_gain_nothing():
    for wrong in ([[0.2]] * 6, [[0.1], [0.12], [0.13], [0.15], [0.16], [0.2]], [[0.0, 0.0]] * 6):
        gained, low, _ = trend.extrapolate(SIZES, wrong).gain(3200)
        assert gained == pytest.approx(0, abs=1e-12)
        assert low == pytest.approx(0, abs=1e-6)


def test_the_law_stays_within_its_bounds():
    for seed in range(5):
        fits = trend.extrapolate(SIZES, measured(PowerLaw(0.0, 3.0, 0.6), 0.02, seed=seed)).draws
        assert min(law.a for law in fits) >= 0
        assert min(law.b for law in fits) >= 0
        assert all(trend.SLOWEST <= law.c <= trend.FASTEST for law in fits)


def test_a_figure_that_is_no_share_may_have_any_end():
    law = PowerLaw(-30.0, 40.0, 0.3)
    fitted = PowerLaw.fitted(SIZES, law(SIZES), np.full(6, 0.1), None)
    assert (fitted.a, fitted.c) == pytest.approx((-30, 0.3), rel=1e-2)


def test_one_draw_of_each_size_has_the_distance_to_the_law_as_its_noise():
    rough = [[w] for w in PowerLaw(0.1, 1, 0.4)(SIZES) + 0.02 * (-1.0) ** np.arange(6)]
    low, high = trend.extrapolate(SIZES, rough, step=0.001).band([3200.0])
    assert high[0] - low[0] > 0.01


def test_three_sizes_are_refused():
    with pytest.raises(ParameterError, match="take 4"):
        trend.extrapolate([10, 20, 40, 40], [[0.3], [0.2], [0.1], [0.1]])


def test_the_same_seed_gives_the_same_band():
    data = measured(PowerLaw(0.06, 1.6, 0.5), 0.01)
    one, other = (trend.extrapolate(SIZES, data, seed=7).gain(3200) for _ in range(2))
    assert one == other


def test_sizes_before_the_law_sets_in_are_left_out():
    law = PowerLaw(0.1, 3.0, 0.5)
    wrong = [[w - 0.001, w + 0.001] for w in law(SIZES)]
    wrong[0] = [0.35, 0.352]  # with few images it is hardly better than guessing: flat
    wrong[1] = [0.345, 0.347]
    fitted = trend.extrapolate(SIZES, wrong, step=0.001)
    assert fitted.since == 200
    assert fitted.gain(3200)[0] == pytest.approx(float(law(1600) - law(3200)), rel=0.05)


def test_the_extrapolation_sets_out_from_what_was_measured():
    wrong = [[w] for w in (0.5, 0.45, 0.43, 0.37, 0.36, 0.29)]
    fitted = trend.extrapolate(SIZES, wrong, step=0.001)
    assert fitted(1600.0) == pytest.approx(0.29)
    assert fitted(3200.0) == pytest.approx(0.29 - fitted.gain(3200)[0])
    low, high = fitted.band([1600.0, 3200.0])
    assert (low[0] < 0.29 < high[0], low[1] < fitted(3200.0) < high[1]) == (True, True)


def test_one_draw_of_each_size_is_as_unsure_as_its_test_images():
    wrong = [[w] for w in PowerLaw(0.06, 1.6, 0.5)(SIZES)]
    widths = []
    for images in (100, 10_000):
        low, high = trend.extrapolate(SIZES, wrong, step=1 / images).band([1600.0])
        widths.append(float(high[0] - low[0]))
    spread = np.mean([w[0] * (1 - w[0]) for w in wrong])
    assert widths[0] == pytest.approx(2 * 1.96 * (spread / 100) ** 0.5, rel=0.15)
    assert widths[0] == pytest.approx(10 * widths[1], rel=0.05)
