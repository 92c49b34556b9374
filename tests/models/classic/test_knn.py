from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from sightline.errors import DataError, NotFittedError, ParameterError, UnknownNameError
from sightline.models.classic import knn
from sightline.models.classic.knn import KNNClassifier, sweep, vote

METRICS = {"l1": "manhattan", "l2": "euclidean", "cosine": "cosine"}


def test_a_tied_vote_goes_to_the_class_with_the_nearer_neighbour():
    X = np.array([[0], [3], [4], [9]], np.uint8)
    model = KNNClassifier(k=2).fit(X, np.array([5, 2, 5, 2]))
    assert model.predict(np.array([[1]], np.uint8)).tolist() == [5]  # 5 at 1, 2 at 2
    assert model.predict(np.array([[7]], np.uint8)).tolist() == [2]  # 2 at 2, 5 at 3


def test_of_equal_distances_the_lower_index_is_the_nearer():
    X = np.array([[10], [30], [10]], np.uint8)
    model = KNNClassifier(k=1).fit(X, np.array([2, 1, 0]))
    assert model.predict(np.array([[20], [10]], np.uint8)).tolist() == [2, 2]
    distances, rows = model.kneighbors(np.array([[20]], np.uint8), k=3)
    assert rows.tolist() == [[0, 1, 2]]
    assert distances.tolist() == [[10, 10, 10]]


def test_weighted_votes_by_hand():
    near, labels = np.array([[1.0, 2.0, 4.0]]), np.array([[1, 0, 0]])
    shares, winner = vote(near, labels, 2, "distance")  # 1 against 1/2 + 1/4
    np.testing.assert_allclose(shares, [[0.75 / 1.75, 1 / 1.75]])
    assert winner.tolist() == [1]
    shares, winner = vote(near, labels, 2, "uniform")
    np.testing.assert_allclose(shares, [[2 / 3, 1 / 3]])
    assert winner.tolist() == [0]


def test_neighbours_at_no_distance_outvote_all_others():
    shares, winner = vote(np.array([[0.0, 0.0, 1.0]]), np.array([[2, 1, 0]]), 3, "distance")
    assert shares.tolist() == [[0, 0.5, 0.5]]
    assert winner.tolist() == [2]  # tied; the first is the nearer


def test_what_each_neighbour_adds_to_the_vote():
    X = np.array([[0], [1], [3], [200]], np.uint8)
    model = KNNClassifier(k=3, weights="distance").fit(X, np.array([0, 1, 1, 0]))
    distances, rows = model.kneighbors(np.array([[2]], np.uint8))
    labels, shares, votes = model.answer(distances, rows)
    assert rows.tolist() == [[1, 2, 0]]
    np.testing.assert_allclose(votes, [[0.4, 0.4, 0.2]])  # 1, 1, 1/2
    np.testing.assert_allclose(shares, [[0.2, 0.8]])
    assert labels.tolist() == [1]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("weights", ["uniform", "distance"])
def test_equal_to_scikit_learn_wherever_no_tie_decides(metric, weights):
    digits = load_digits()
    X, y = digits.data.astype(np.uint8), digits.target
    theirs = KNeighborsClassifier(
        5, weights=weights, metric=METRICS[metric], algorithm="brute"
    ).fit(X[:1200].astype(float), y[:1200])
    ours = KNNClassifier(5, metric, weights).fit(X[:1200], y[:1200])
    probabilities = theirs.predict_proba(X[1200:].astype(float))
    top = np.sort(probabilities, 1)
    distances, _ = theirs.kneighbors(X[1200:].astype(float), 6)
    clear = (top[:, -1] > top[:, -2] + 1e-9) & (distances[:, 5] > distances[:, 4] + 1e-9)
    assert clear.mean() > 0.8
    labels, shares = ours.decide(X[1200:])
    assert (labels[clear] == theirs.classes_[probabilities.argmax(1)][clear]).all()
    np.testing.assert_allclose(shares[clear], probabilities[clear], atol=1e-6)


@given(st.integers(0, 2**32))
@settings(max_examples=20, deadline=None)
def test_the_sweep_equals_each_setting_alone(seed):
    random = np.random.default_rng(seed)
    X, Q = random.integers(0, 9, (60, 6), np.uint8), random.integers(0, 9, (15, 6), np.uint8)
    y = random.integers(0, 4, 60)
    grid = [
        {"k": k, "metric": metric, "weights": weights}
        for k in (1, 4, 9)
        for metric in METRICS
        for weights in ("uniform", "distance")
    ]
    for setting, found in zip(grid, sweep(X, y, Q, grid), strict=True):
        assert (found == KNNClassifier(**setting).fit(X, y).predict(Q)).all()


def test_labels_need_not_be_contiguous():
    X = np.array([[0], [100]], np.uint8)
    model = KNNClassifier(k=1).fit(X, np.array([-3, 40]))
    assert model.predict(X).tolist() == [-3, 40]
    assert model.predict_proba(X).tolist() == [[1, 0], [0, 1]]


def test_images_of_any_shape_are_rows():
    random = np.random.default_rng(0)
    X, y = random.integers(0, 256, (30, 4, 4, 3), dtype=np.uint8), np.arange(30) % 3
    flat = KNNClassifier().fit(X.reshape(30, -1), y).predict(X.reshape(30, -1))
    assert (KNNClassifier().fit(X, y).predict(X) == flat).all()


def test_an_image_of_zeros_has_cosine_distance_one():
    X = np.array([[0, 0], [0, 9], [5, 0]], np.uint8)
    model = KNNClassifier(k=3, metric="cosine").fit(X, np.array([0, 1, 1]))
    distances, rows = model.kneighbors(np.array([[0, 0], [0, 1]], np.uint8))
    assert distances[0].tolist() == [1, 1, 1]
    np.testing.assert_allclose(distances[1], [0, 1, 1], atol=1e-15)
    assert rows.tolist() == [[0, 1, 2], [1, 0, 2]]


@pytest.mark.parametrize(
    ("options", "X", "y", "error", "said"),
    [
        ({"k": 4}, np.zeros((3, 2)), [0, 1, 1], ParameterError, "more than the 3 training images"),
        ({"k": 0}, np.zeros((3, 2)), [0, 1, 1], ParameterError, "whole number from 1"),
        ({"metric": "l3"}, np.zeros((9, 2)), [0] * 9, UnknownNameError, "did you mean"),
        ({"weights": "x"}, np.zeros((9, 2)), [0] * 9, UnknownNameError, "known"),
        ({"device": "cuda:x"}, np.zeros((9, 2)), [0] * 9, ParameterError, "cuda:x"),
        ({"chunk_mb": 0}, np.zeros((9, 2)), [0] * 9, ParameterError, "at least 1"),
        ({"k": 1}, np.zeros((0, 2)), [], DataError, "empty"),
        ({"k": 1}, np.zeros((3, 2)), [0, 1], DataError, "need labels of shape"),
        ({"k": 1}, np.zeros((2, 2)), [0.5, 1.5], DataError, "must be integers"),
        ({"k": 1}, np.array([[0, 1], [0, np.nan]]), [0, 1], DataError, "row 1"),
        ({"k": 1}, np.array([[0, 1e200], [0, 1]]), [0, 1], DataError, "row 0"),
        ({"k": 1}, np.array([["a"]]), [0], DataError, "numeric"),
        ({"k": 1, "index": "faiss-flat", "metric": "l1"}, np.zeros((2, 2)), [0, 1],
         ParameterError, "no metric 'l1'"),
    ],
)  # fmt: skip
def test_bad_input_is_said(options, X, y, error, said):
    with pytest.raises(error, match=said):
        KNNClassifier(**options).fit(X, y)


def test_a_query_of_another_size_is_said():
    model = KNNClassifier(k=1).fit(np.zeros((2, 4), np.uint8), [0, 1])
    with pytest.raises(DataError, match="2 values an image"):
        model.predict(np.zeros((1, 2), np.uint8))
    with pytest.raises(NotFittedError):
        KNNClassifier().predict(np.zeros((1, 2)))


def test_progress_ends_at_the_last_query():
    said = []
    X = np.zeros((20, 4), np.uint8)
    KNNClassifier(k=1).fit(X, np.arange(20)).predict(X, lambda *a: said.append(a))
    assert said[-1] == (20, 20)


@pytest.mark.parametrize("metric", ["l1", "l2", "cosine"])
def test_the_search_finds_what_the_definition_says(metric):
    random = np.random.default_rng(3)
    X, queries = (random.integers(0, 256, (n, 40), dtype=np.uint8) for n in (300, 25))
    X[7] = 0
    distances, rows = knn.nearest(X, queries, 9, metric)
    model = knn.KNNClassifier(9, metric).fit(X, np.arange(300) % 4)
    found, where = model.kneighbors(queries)
    np.testing.assert_allclose(found, distances, atol=1e-12)
    assert (where == rows).all()
    names = {"l1": "cityblock", "l2": "euclidean", "cosine": "cosine"}
    with np.errstate(invalid="ignore"):
        theirs = cdist(queries, X, names[metric])
    theirs[np.isnan(theirs)] = 1  # scipy's cosine to a row of zeros is nan
    np.testing.assert_allclose(knn.distances_to(X, queries, metric), theirs, atol=1e-9)
