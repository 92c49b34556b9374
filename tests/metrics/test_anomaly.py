"""Figures of anomalies against scikit-learn, by hand, and by the definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from sightline.errors import DataError
from sightline.metrics import anomaly_curves as curves
from sightline.metrics.anomaly import Evaluation, Judged, differ
from sightline.metrics.anomaly_threshold import limit_of
from sightline.types import Anomaly, Frame

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("ties", [False, True])
def test_areas_and_precision_are_scikit_learns(ties):
    odd = RNG.random(200) < 0.3
    scores = RNG.normal(odd * 0.8, 1)
    scores = np.round(scores) if ties else scores
    assert curves.auroc(scores, odd) == pytest.approx(roc_auc_score(odd, scores), abs=1e-12)
    assert curves.average_precision(scores, odd) == pytest.approx(
        average_precision_score(odd, scores), abs=1e-12
    )


def test_pixels_that_are_counted_by_level_have_scikit_learns_figures():
    odd = RNG.random(5000) < 0.05
    scores = np.clip(RNG.normal(0.4 + 0.2 * odd, 0.1), 0, 1)
    levels = np.minimum((scores * curves.LEVELS).astype(int), curves.LEVELS - 1)
    good, bad = curves.counted(scores[~odd]), curves.counted(scores[odd])
    assert curves.pixel_auroc(good, bad) == pytest.approx(roc_auc_score(odd, levels), abs=1e-12)
    assert curves.pixel_average_precision(good, bad) == pytest.approx(
        average_precision_score(odd, levels), abs=1e-12
    )


def test_what_is_undefined_is_no_number():
    none, all_ = np.zeros(3, bool), np.ones(3, bool)
    scores = np.arange(3.0)
    assert math.isnan(curves.auroc(scores, none))
    assert math.isnan(curves.auroc(scores, all_))
    assert math.isnan(curves.average_precision(scores, none))
    empty = np.zeros(curves.LEVELS, np.int64)
    assert math.isnan(curves.pixel_auroc(empty, empty))
    assert math.isnan(curves.region_overlap(empty, np.zeros((0, curves.LEVELS))))


def test_the_overlap_of_regions_by_hand():
    """100 good pixels; a region of 2 pixels and one of 10, seen at different thresholds."""
    good, regions = np.zeros(curves.LEVELS, int), np.zeros((2, curves.LEVELS), int)
    good[[100, 800]] = 80, 20  # 20% of the good ones score high
    regions[0, 900] = 2  # seen before any good pixel is
    regions[1, [700, 50]] = 5, 5  # half of it after 20% of them, half after all
    # The overlap is 0.5 up to 20% of false pixels, then 0.75 at 20% and 1 at 100%.
    x = np.array([0, 0, 0.2, 0.2, 0.3])
    y = np.array([0, 0.5, 0.5, 0.75, 0.75])  # until 100% the second region's half stays
    assert curves.region_overlap(good, regions) == pytest.approx(
        float(np.trapezoid(y, x)) / 0.3, abs=1e-12
    )


def test_the_overlap_of_regions_by_its_definition():
    """Threshold after threshold over the maps themselves, as the paper says it."""
    from scipy.ndimage import label

    masks, maps = np.zeros((3, 20, 20), bool), np.round(RNG.random((3, 20, 20)), 2) * 0.6
    masks[0, 2:6, 2:6] = masks[0, 10:12, 10:18] = masks[1, 5:9, 5:6] = True
    maps[masks] += np.round(RNG.random(int(masks.sum())), 2) * 0.39
    judged = [
        Judged(i, int(m.any()), Anomaly(float(h.max()), h.astype(np.float32), Frame((20, 20))), m)
        for i, (m, h) in enumerate(zip(masks, maps, strict=True))
    ]
    measured = Evaluation.of(judged, ("good", "bad"))
    steps = np.minimum((maps.astype(np.float32) * curves.LEVELS).astype(int), curves.LEVELS - 1)
    parts = [label(m, np.ones((3, 3))) for m in masks]
    points = [(0.0, 0.0)]
    for limit in np.unique(steps)[::-1]:
        over = steps >= limit
        seen = [
            over[i][part == n].mean() for i, (part, k) in enumerate(parts) for n in range(1, k + 1)
        ]
        points.append((float(over[~masks].mean()), float(np.mean(seen))))
    x, y = np.array(points).T
    inside = x <= 0.3
    x, y = np.append(x[inside], 0.3), np.append(y[inside], np.interp(0.3, x, y))
    assert measured.metrics["pro"] == pytest.approx(float(np.trapezoid(y, x)) / 0.3, abs=1e-9)
    assert len(measured.regions) == 3


def test_newcombes_interval_holds_what_it_says():
    assert curves.auroc_interval(1.0, 20, 20)[1] == 1.0
    low, high = curves.auroc_interval(0.8, 30, 40)
    assert low < 0.8 < high
    held = 0
    for _ in range(400):  # two normal distributions whose true area is known
        odd = np.repeat([False, True], (30, 30))
        scores = RNG.normal(np.where(odd, 1.19, 0.0), 1)
        low, high = curves.auroc_interval(curves.auroc(scores, odd), 30, 30)
        held += low <= 0.8 <= high  # Phi(1.19 / sqrt 2) = 0.80
    assert 0.91 <= held / 400 <= 0.99


def test_thresholds_keep_the_rate_of_false_alarms_that_was_wished():
    rates = []
    for _ in range(2000):
        limit = limit_of(RNG.exponential(size=39), 0.05)
        rates.append(np.exp(-limit.distance))  # share of the distribution above it
    assert np.mean(rates) == pytest.approx(2 / 40, rel=0.1)
    assert limit.expected == pytest.approx(0.05)
    inside = np.mean([(limit.low <= rate <= limit.high) for rate in rates])
    assert inside == pytest.approx(0.95, abs=0.02)


def test_too_few_pictures_are_told():
    few = limit_of(np.arange(5.0), 0.01)
    assert (few.distance, few.expected, few.needed, few.reached) == (4.0, 1 / 6, 99, False)
    assert limit_of(np.arange(99.0), 0.01).reached
    with pytest.raises(DataError, match="no good picture"):
        limit_of(np.zeros(0), 0.05)


def evaluation(scores, kinds):
    answers = [Judged(i, k, Anomaly(s, None, Frame((4, 4))), None)
               for i, (s, k) in enumerate(zip(scores, kinds, strict=True))]  # fmt: skip
    return Evaluation.of(answers, ("good", "scratch", "spot"))


def test_rates_kinds_and_remarks_by_hand():
    e = evaluation([0.2, 0.6, 0.4, 0.9, 0.45, 0.7], [0, 0, 0, 1, 2, 2])
    assert e.metrics["false_alarm_rate"] == pytest.approx(1 / 3)
    assert e.metrics["detection_rate"] == pytest.approx(2 / 3)
    assert e.metrics["auroc"] == pytest.approx(8 / 9)
    assert e.by_kind() == [("scratch", 1, 1.0, 1.0), ("spot", 2, pytest.approx(5 / 6), 0.5)]
    assert e.at(0.65) == (0.0, pytest.approx(2 / 3))
    assert "pixel_auroc" not in e.metrics


def test_where_one_kind_is_missing_a_rate_is_the_headline():
    good = evaluation([0.2, 0.6, 0.4], [0, 0, 0])
    assert (good.metrics.headline_name, good.metrics.headline) == (
        "false_alarm_rate", pytest.approx(1 / 3),
    )  # fmt: skip
    assert not good.metrics.higher_is_better
    assert "all pictures are good ones" in good.remarks[0]
    odd = evaluation([0.2, 0.6], [1, 2])
    assert (odd.metrics.headline_name, odd.metrics.headline) == ("detection_rate", 0.5)


def test_what_a_comparison_saves_comes_back_and_is_compared():
    heat = RNG.random((8, 8)).astype(np.float32)
    mask = heat > 0.7
    judged = [
        Judged(3, 1, Anomaly(0.8, heat, Frame((8, 8))), mask),
        Judged(5, 0, Anomaly(0.3, heat / 3, Frame((8, 8))), np.zeros((8, 8), bool)),
        Judged(6, 0, Anomaly(0.4, heat / 3, Frame((8, 8))), np.zeros((8, 8), bool)),
    ]
    e = Evaluation.of(judged, ("good", "悪い"))
    again = Evaluation.restored(e.arrays())
    assert again.metrics == e.metrics
    assert again.names == e.names
    assert {k: v.tolist() for k, v in again.heats.items()} == {
        k: v.tolist() for k, v in e.heats.items()
    }
    assert differ(e, again, 0.0).difference == 0
