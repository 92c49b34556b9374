"""Precision, recall and thresholds of classes, against scikit-learn and against trying them all."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, precision_recall_curve

from sightline.metrics.classify import (
    Evaluation,
    average_precision,
    best_thresholds,
    precision_recall,
)


@pytest.fixture(params=["fine", "ties", "few"])
def answers(request):
    rng = np.random.default_rng(len(request.param))
    n, classes = (12, 3) if request.param == "few" else (300, 5)
    p = rng.dirichlet(np.ones(classes), n).astype(np.float32)
    if request.param == "ties":
        p = (np.round(p * 4) / 4).astype(np.float32)
    labels = np.where(rng.random(n) < 0.6, p.argmax(1), rng.integers(0, classes, n))
    return labels.astype(np.int64), p


def test_curves_equal_scikit_learns(answers):
    labels, p = answers
    for c in range(p.shape[1]):
        theirs = precision_recall_curve(labels == c, p[:, c])
        thresholds, precision, recall = precision_recall(labels == c, p[:, c])
        np.testing.assert_allclose(precision[::-1], theirs[0][:-1])
        np.testing.assert_allclose(recall[::-1], theirs[1][:-1])
        np.testing.assert_allclose(thresholds[::-1], theirs[2])
        assert average_precision(labels == c, p[:, c]) == pytest.approx(
            average_precision_score(labels == c, p[:, c])
        )


def test_no_positive_image_is_undefined():
    assert np.isnan(average_precision(np.zeros(3, np.bool_), np.array([0.1, 0.2, 0.3])))


def test_thresholds_are_the_best_of_all(answers):
    labels, p = answers
    predicted, confidence = p.argmax(1), p.max(1)
    limits = best_thresholds(labels, predicted, confidence, p.shape[1])

    def f1(c, limit):
        said = (predicted == c) & (confidence >= limit)
        return f1_score(labels == c, said, zero_division=0)

    for c in range(p.shape[1]):
        tries = [0.0, *np.unique(confidence), 1.1]
        assert f1(c, limits[c]) == pytest.approx(max(f1(c, t) for t in tries))
        if limits[c]:  # the next lower answer of the class would make it worse
            below = confidence[(predicted == c) & (confidence < limits[c])]
            assert f1(c, below.max()) < f1(c, limits[c])


def test_classes_without_answers_or_images_have_none():
    labels, predicted = np.array([0, 0, 2]), np.array([0, 1, 0])
    assert best_thresholds(labels, predicted, np.array([0.9, 0.8, 0.7]), 4)[1:].tolist() == [0] * 3


def test_what_is_answered(answers):
    labels, p = answers
    limits = np.full(p.shape[1], 0.5)
    e = Evaluation.of(labels, p.argmax(1), p, np.arange(len(p)), limits)
    assert np.array_equal(e.answered, p.max(1) >= 0.5)
    again = Evaluation.restored(e.arrays())
    assert np.array_equal(again.thresholds, limits)
    plain = Evaluation.of(labels, p.argmax(1), p, np.arange(len(p)))
    assert plain.answered.all()
    assert "thresholds" not in plain.arrays()
