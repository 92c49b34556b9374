from __future__ import annotations

import sys

import numpy as np
import pytest

from sightline.errors import MissingExtraError
from sightline.models.classic.knn import KNNClassifier
from sightline.models.classic.search.ann import recall

pytest.importorskip("faiss")


@pytest.fixture(scope="module")
def clouds():
    """Forty clusters in 48 dimensions: what an index for images meets."""
    random = np.random.default_rng(0)
    centres = random.uniform(0, 255, (40, 48))
    rows = centres[random.integers(40, size=4100)] + random.normal(0, 20, (4100, 48))
    rows = np.clip(rows, 0, 255).astype(np.uint8)
    return rows[:4000], rows[4000:]


def found(clouds, index, metric="l2"):
    X, Q = clouds
    return KNNClassifier(10, metric, index=index).fit(X, np.zeros(len(X), int)).kneighbors(Q)


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_the_flat_index_finds_what_exact_search_finds(clouds, metric):
    ours, rows = found(clouds, "exact", metric)
    theirs, flat = found(clouds, "faiss-flat", metric)
    np.testing.assert_allclose(theirs, ours, rtol=1e-12, atol=1e-12)
    assert recall(flat, rows) > 0.999


@pytest.mark.parametrize(
    ("index", "metric"),
    [("faiss-hnsw", "l2"), ("faiss-hnsw", "l1"), ("faiss-hnsw", "cosine"), ("faiss-ivf", "l2")],
)
def test_recall_against_exact(clouds, index, metric):
    exact, rows = found(clouds, "exact", metric)
    distances, near = found(clouds, index, metric)
    assert recall(near, rows) > 0.95
    assert (distances >= exact - 1e-9).all()  # measured again: never nearer than the nearest


def test_the_same_rows_make_the_same_index(clouds):
    for index in ("faiss-hnsw", "faiss-ivf"):
        first, second = found(clouds, index), found(clouds, index)
        assert (first[1] == second[1]).all()


def test_dry_lists_are_filled_by_exact_search():
    X = np.arange(100, dtype=np.uint8)[:, None] * np.ones((1, 4), np.uint8)
    model = KNNClassifier(90, index="faiss-ivf").fit(X, np.zeros(100, int))
    distances, rows = model.kneighbors(X[:1])
    assert sorted(rows[0]) == list(range(90))
    assert (np.diff(distances[0]) >= 0).all()


def test_without_faiss_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingExtraError, match=r"sightline\[ann\]"):
        KNNClassifier(1, index="faiss-hnsw").fit(np.zeros((2, 2)), [0, 1])


def test_recall_counts_shared_rows():
    assert recall(np.array([[1, 2], [3, 4]]), np.array([[2, 5], [4, 3]])) == 0.75
