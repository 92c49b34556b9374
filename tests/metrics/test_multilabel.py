"""Figures of several labels against scikit-learn, and thresholds against trying all of them."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score

from sightline.errors import DataError
from sightline.metrics.multilabel import (
    Evaluation,
    average_precisions,
    best_thresholds,
    differ,
)

RNG = np.random.default_rng(0)
CLASSES = ("猫", "dog", "car")


def drawn(n=80, ties=False):
    truth = RNG.random((n, 3)) < (0.5, 0.2, 0.05)
    said = np.clip(RNG.normal(0.3 + 0.3 * truth, 0.2), 0, 1)
    return (np.round(said, 1) if ties else said), truth


@pytest.mark.parametrize("ties", [False, True])
def test_average_precisions_are_scikit_learns(ties):
    said, truth = drawn(ties=ties)
    expected = [average_precision_score(truth[:, k], said[:, k]) for k in range(3)]
    assert average_precisions(said, truth)[0] == pytest.approx(expected, abs=1e-12)
    rows = RNG.integers(80, size=80)  # pictures that come several times, or not at all
    counts = np.bincount(rows, minlength=80)[None]
    repeated = [average_precision_score(truth[rows, k], said[rows, k]) for k in range(3)]
    assert average_precisions(said, truth, counts)[0] == pytest.approx(repeated, abs=1e-12)


def test_f1_and_subset_accuracy_are_scikit_learns():
    said, truth = drawn()
    limits = np.array([0.4, 0.5, 0.6])
    e = Evaluation.of(said, truth, np.arange(80), CLASSES, limits)
    decided = said >= limits
    assert e.metrics["f1_macro"] == pytest.approx(f1_score(truth, decided, average="macro"))
    assert e.metrics["f1_micro"] == pytest.approx(f1_score(truth, decided, average="micro"))
    assert e.metrics["subset_accuracy"] == (decided == truth).all(1).mean()
    assert e.together.tolist() == (truth.T.astype(int) @ truth).tolist()


def test_thresholds_are_the_best_of_all():
    said, truth = drawn(ties=True)
    limits = best_thresholds(said, truth)
    for k in range(3):
        tried = [f1_score(truth[:, k], said[:, k] >= limit) for limit in np.linspace(0.05, 1, 20)]
        assert f1_score(truth[:, k], said[:, k] >= limits[k]) == pytest.approx(max(tried))
    assert best_thresholds(said, np.zeros((80, 3), bool)).tolist() == [0.5] * 3


def test_labels_without_a_picture_and_answers_without_looking_are_told():
    said, truth = drawn()
    truth[:, 2] = False
    e = Evaluation.of(np.tile(truth.mean(0), (80, 1)), truth, np.arange(80), CLASSES)
    assert "no image has it: car" in e.remarks[0]
    assert "not shown to be above that of answers without looking" in e.remarks[1]
    assert e.metrics.headline == pytest.approx(truth.mean(0)[:2].mean())
    with pytest.raises(DataError, match="no image has any label"):
        Evaluation.of(said, np.zeros((80, 3), bool), np.arange(80), CLASSES)


def test_what_a_comparison_saves_comes_back_and_is_compared():
    said, truth = drawn()
    e = Evaluation.of(said, truth, np.arange(80), CLASSES)
    again = Evaluation.restored(e.arrays())
    assert again.metrics == e.metrics
    assert again.classes == e.classes
    worse = Evaluation.of(said[:, ::-1], truth, np.arange(80), CLASSES)
    seen = differ(e, worse, 0.01)
    assert seen.difference == pytest.approx(worse.metrics.headline - e.metrics.headline, abs=1e-9)
    assert seen.high < 0
