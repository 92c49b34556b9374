"""Resamples draw every image equally, and the interval is that of their deviation."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.metrics import bootstrap


def test_each_draw_has_as_many_images_as_there_are():
    drawn = bootstrap.weights(7, 50)
    assert drawn.shape == (50, 7)
    assert (drawn.sum(1) == 7).all()
    assert len(np.unique(drawn, axis=0)) > 40
    assert (bootstrap.weights(7, 50) == drawn).all()
    assert (bootstrap.weights(7, 50, seed=1) != drawn).any()


def test_the_interval_of_a_mean_is_nearly_the_normal_one():
    values = np.random.default_rng(0).random(400)
    drawn = bootstrap.mean(values, counts=bootstrap.weights(400, 2000))
    low, high = bootstrap.interval(float(values.mean()), drawn)
    half = 1.96 * values.std() / 20
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.003)


def test_an_interval_stays_on_the_scale_and_is_all_of_it_where_nothing_is_known():
    assert bootstrap.interval(0.9, np.array([0.5, 0.9, np.nan])) == (
        pytest.approx(0.508, abs=1e-4),
        1.0,
    )
    assert bootstrap.interval(float("nan"), np.array([0.5])) == (0, 1)
    assert bootstrap.interval(0.5, np.array([np.nan]), (-1, 1)) == (-1, 1)


def test_the_mean_leaves_out_what_is_unknown():
    values = np.array([[1.0, np.nan], [np.nan, np.nan], [0.5, 1.0]])
    assert bootstrap.mean(values).tolist() == pytest.approx([1, np.nan, 0.75], nan_ok=True)
    counts = np.array([[2, 0, 1], [0, 3, 0]])
    drawn = bootstrap.mean(values[:, 0], counts=counts)
    assert drawn.tolist() == pytest.approx([2.5 / 3, np.nan], nan_ok=True)
