"""Logistic regression on MNIST, where SIGHTLINE_MNIST names a folder or archive of it."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import sightline
from sightline.models.classic.logistic import LogisticClassifier

MNIST = os.environ.get("SIGHTLINE_MNIST")
pytestmark = pytest.mark.skipif(not MNIST, reason="SIGHTLINE_MNIST is not set")


@pytest.fixture(scope="module")
def mnist():
    data = sightline.load_data(MNIST)
    return {name: data.split(name).arrays() for name in data.rows}


def test_equal_to_scikit_learn_on_5000_images(mnist):
    X = mnist["train"].X[::10][:5000].reshape(-1, 784) / 255
    y = mnist["train"].y[::10][:5000]
    l2 = 1e-3
    reference = LogisticRegression(C=1 / (l2 * len(y)), tol=1e-8, max_iter=5000).fit(X, y)
    p = reference.predict_proba(X)
    theirs = -np.log(p[np.arange(len(y)), y]).mean() + l2 / 2 * (reference.coef_**2).sum()
    ours = LogisticClassifier(l2=l2, tol=1e-7, max_iter=5000).fit(X, y)
    assert ours.objective_ == pytest.approx(theirs, abs=1e-8)
    assert np.abs(ours.predict_proba(X) - p).max() < 1e-4


@pytest.mark.slow
def test_92_percent_in_a_minute(mnist):
    learn = [mnist[name] for name in mnist if name != "test"]
    X = np.concatenate([part.X for part in learn]).astype(np.float32) / 255
    y = np.concatenate([part.y for part in learn])
    start = time.perf_counter()
    model = LogisticClassifier().fit(X, y)
    seconds = time.perf_counter() - start
    accuracy = model.score(mnist["test"].X.astype(np.float32) / 255, mnist["test"].y)
    assert len(y) == 60_000
    assert accuracy >= 0.92
    assert seconds < 60
