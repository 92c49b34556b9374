from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.dummy import DummyClassifier
from sklearn.neighbors import NearestCentroid

from sightline.errors import DataError, NotFittedError
from sightline.models.classic.baselines import MajorityClassifier, NearestMeanClassifier


def test_majority_equals_scikit_learns_dummy():
    y = np.array([3, 1, 1, 3, 8])
    X = np.zeros((5, 2), np.uint8)
    theirs = DummyClassifier(strategy="prior").fit(X, y)
    ours = MajorityClassifier().fit(X, y)
    assert (ours.predict(X) == theirs.predict(X)).all()  # of equals the lower: 1
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X))


def test_nearest_mean_equals_scikit_learns_centroids():
    digits = load_digits()
    X, y = digits.data.astype(np.uint8), digits.target
    theirs = NearestCentroid().fit(X[:1000].astype(float), y[:1000])
    ours = NearestMeanClassifier().fit(X[:1000].reshape(-1, 8, 8, 1), y[:1000])
    assert (ours.predict(X[1000:]) == theirs.predict(X[1000:].astype(float))).all()
    probabilities = ours.predict_proba(X[1000:])
    np.testing.assert_allclose(probabilities.sum(1), 1)
    assert (ours.classes_[probabilities.argmax(1)] == ours.predict(X[1000:])).all()


@pytest.mark.parametrize("method", [MajorityClassifier, NearestMeanClassifier])
def test_bad_input_is_said(method):
    with pytest.raises(NotFittedError):
        method().predict(np.zeros((1, 2)))
    with pytest.raises(DataError):
        method().fit(np.zeros((0, 2)), np.zeros(0, int))
    with pytest.raises(DataError):
        method().fit(np.zeros((2, 2)), np.zeros(3, int))
