from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn import metrics as reference

from sightline.metrics import classify as measure


@st.composite
def answers(draw):
    n, classes = draw(st.integers(2, 60)), draw(st.integers(2, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    y, predicted = rng.integers(classes, size=(2, n))
    p = rng.random((n, classes))
    return y, predicted, p / p.sum(1, keepdims=True)


@given(answers())
def test_figures_equal_scikit_learn(case):
    y, predicted, p = case
    found = measure.evaluate(y, predicted, p)
    assert found.headline == pytest.approx(reference.accuracy_score(y, predicted))
    recalls = reference.recall_score(y, predicted, average=None, labels=np.unique(y))
    assert found["balanced_accuracy"] == pytest.approx(recalls.mean())
    expected = reference.log_loss(y, p, labels=range(p.shape[1]))
    assert found["log_loss"] == pytest.approx(expected)
    assert found.n == len(y)


@given(answers())
def test_confusion_and_recalls_equal_scikit_learn(case):
    y, predicted, p = case
    labels = range(p.shape[1])
    table = measure.confusion(y, predicted, p.shape[1])
    assert (table == reference.confusion_matrix(y, predicted, labels=labels)).all()
    ours = measure.per_class(table)
    precision, recall, f1, _ = reference.precision_recall_fscore_support(
        y, predicted, labels=labels, zero_division=np.nan
    )
    np.testing.assert_allclose(ours["recall"], recall)
    np.testing.assert_allclose(ours["precision"], precision)
    np.testing.assert_allclose(ours["f1"], f1)


def test_the_interval_and_the_f1_score_are_scipys_and_scikit_learns():
    random = np.random.default_rng(0)
    for _ in range(60):
        n = int(random.integers(1, 400))
        k = int(random.integers(0, n + 1))
        theirs = binomtest(k, n).proportion_ci(0.95, method="wilson")
        assert measure.wilson(k, n) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
        y, predicted = random.integers(0, 7, (2, n))
        score = reference.f1_score(y, predicted, average="macro", zero_division=0)
        assert measure.macro_f1(y, predicted) == pytest.approx(score, abs=1e-12)


def test_wilson_known_answer():
    # Newcombe, Statistics in Medicine 17, 1998, table I, method 3.
    assert measure.wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert measure.wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert measure.wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


def test_calibration_by_hand():
    # Two bins hold answers: 0.9 and 0.8 confident (bins 13 and 12 of 15), 0.55 (bin 8).
    right = np.array([True, False, True, True])
    confidence = np.array([0.9, 0.9, 0.8, 0.55])
    gaps = abs(0.5 - 0.9) * 2 + abs(1 - 0.8) + abs(1 - 0.55)
    assert measure.calibration_error(right, confidence) == pytest.approx(gaps / 4)


def test_top5_counts_an_answer_behind_four_others():
    p = np.array([[0.3, 0.25, 0.2, 0.1, 0.08, 0.07]])
    for label, hit in ((4, 1.0), (5, 0.0)):
        found = measure.evaluate(np.array([label]), np.array([0]), p)
        assert found["top5_accuracy"] == hit


def test_coverage_of_equal_confidences_falls_together():
    right = np.array([True, False, True, False])
    thresholds, coverage, accuracy = measure.coverage_curve(right, np.array([0.5, 0.5, 0.9, 0.1]))
    assert thresholds.tolist() == [0.9, 0.5, 0.1]
    assert coverage.tolist() == [0.25, 0.75, 1.0]
    assert accuracy.tolist() == [1.0, 2 / 3, 0.5]
