"""Figures of numbers against scikit-learn, and intervals against what they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, median_absolute_error, r2_score

from sightline.errors import DataError
from sightline.metrics.regress import Evaluation, differ, r_squared, reach

RNG = np.random.default_rng(0)


def drawn(n=50):
    truth = RNG.normal(10, 3, n)
    said = truth + RNG.normal(0, 1, n)
    return said, said - 2, said + 2, truth, np.arange(n)


def test_figures_are_scikit_learns():
    said, low, high, truth, rows = drawn()
    e = Evaluation.of(said, low, high, truth, rows)
    assert e.metrics["mean_absolute_error"] == pytest.approx(mean_absolute_error(truth, said))
    assert e.metrics["median_absolute_error"] == pytest.approx(median_absolute_error(truth, said))
    assert e.metrics["r2"] == pytest.approx(r2_score(truth, said))
    assert e.metrics["coverage"] == (np.abs(said - truth) <= 2).mean()
    assert e.metrics["interval_width"] == pytest.approx(4)
    assert not e.metrics.higher_is_better
    assert e.metrics.interval[0] < e.metrics.headline < e.metrics.interval[1]


def test_numbers_that_are_all_alike_have_no_explained_variance():
    assert math.isnan(r_squared(np.ones(3), np.ones(3)))
    e = Evaluation.of(np.ones(3), np.zeros(3), np.ones(3), np.ones(3), np.arange(3))
    assert "r2" not in e.metrics
    with pytest.raises(DataError, match="no image"):
        Evaluation.of([], [], [], [], [])


def test_intervals_hold_what_they_promise():
    held = []
    for _ in range(1500):
        half = reach(np.abs(RNG.standard_t(4, size=39)), 0.9)
        held.append(abs(RNG.standard_t(4)) <= half)
    assert np.mean(held) == pytest.approx(36 / 40, abs=0.025)
    assert reach(np.arange(3.0), 0.9) == 2.0  # too few: the largest
    with pytest.raises(DataError, match="no held-back image"):
        reach(np.zeros(0), 0.9)


def test_answers_without_looking_are_told():
    truth = RNG.normal(size=60)
    zeros = np.zeros(60)
    e = Evaluation.of(zeros, zeros - 1, zeros + 1, truth, np.arange(60))
    assert "is not shown to be below that of the same number for all images" in e.remarks[0]
    assert not Evaluation.of(truth, truth, truth, truth, np.arange(60)).remarks


def test_what_a_comparison_saves_comes_back_and_is_compared():
    said, low, high, truth, rows = drawn()
    e = Evaluation.of(said, low, high, truth, rows)
    assert Evaluation.restored(e.arrays()).metrics == e.metrics
    worse = Evaluation.of(said + 3, low, high, truth, rows)
    seen = differ(e, worse, 0.5)
    expected = np.abs(said - truth).mean() - np.abs(said + 3 - truth).mean()
    assert seen.difference == pytest.approx(expected)
    assert seen.high < 0
