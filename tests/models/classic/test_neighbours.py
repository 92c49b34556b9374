"""The exact search against brute force written out in float64, and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors

from sightline.models.classic.search import kernels, manhattan, products
from sightline.models.classic.search.exact import ExactSearch
from sightline.models.classic.search.sieve import COLUMNS

NAMES = {"l1": "cityblock", "l2": "euclidean", "cosine": "cosine"}


def search(X, Q, metric, k, chunk_mb=1):
    return ExactSearch(np.ascontiguousarray(X), metric, "cpu", chunk_mb)(np.ascontiguousarray(Q), k)


def by_definition(X, Q, metric):
    """All distances, shape (m, n), by differences in float64."""
    X, Q = X.astype(np.float64), Q.astype(np.float64)
    if metric == "cosine":
        norms = [np.linalg.norm(a, axis=1, keepdims=True) for a in (Q, X)]
        q, x = (a / np.where(n > 0, n, 1) for a, n in zip((Q, X), norms, strict=True))
        found = ((q[:, None] - x[None]) ** 2).sum(2) / 2
        found[(norms[0] == 0) | (norms[1].T == 0)] = 1
        return found
    difference = np.abs(Q[:, None] - X[None])
    return difference.sum(2) if metric == "l1" else np.sqrt((difference**2).sum(2))


@st.composite
def problems(draw):
    n, m, d = draw(st.integers(1, 90)), draw(st.integers(1, 12)), draw(st.integers(1, 150))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    few = draw(st.booleans())  # few values: many equal distances and equal rows
    X, Q = (random.integers(0, 3 if few else 256, (rows, d)).astype(np.uint8) for rows in (n, m))
    if draw(st.booleans()):
        Q[0] = X[random.integers(n)]
    return X, Q, draw(st.integers(1, n))


@pytest.mark.parametrize("metric", NAMES)
@given(problems())
@settings(max_examples=60, deadline=None)
def test_bytes_are_compared_exactly(metric, problem):
    X, Q, k = problem
    distances, rows = search(X, Q, metric, k)
    true = by_definition(X, Q, metric)
    order = np.lexsort((np.broadcast_to(np.arange(len(X)), true.shape), true), axis=1)[:, :k]
    np.testing.assert_allclose(
        distances, np.take_along_axis(true, order, 1), rtol=1e-12, atol=1e-12
    )
    if metric != "cosine":  # whole numbers (squared): equal distances are equal to the bit
        assert (rows == order).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("metric", NAMES)
@given(problems(), st.sampled_from([1e-30, 1.0, 1e6, 1e30]), st.sampled_from([0.0, 1e4]))
@settings(max_examples=40, deadline=None)
def test_floats_of_any_size_are_compared_exactly(metric, dtype, problem, scale, offset):
    X, Q, k = problem
    X, Q = ((a.astype(dtype) / 7 + offset) * dtype(scale) for a in (X, Q))
    distances, _ = search(X, Q, metric, k)
    true = np.sort(by_definition(X, Q, metric), 1)[:, :k]
    np.testing.assert_allclose(distances, true, rtol=1e-9, atol=1e-12 if metric == "cosine" else 0)


def test_near_duplicates_far_from_the_origin_keep_their_order():
    """What ``|q|² + |x|² - 2qx`` in float32 gets wrong: all of it cancels."""
    random = np.random.default_rng(0)
    base = random.normal(1e4, 1, 512)
    steps = random.permutation(40) * 1e-3
    X = base + steps[:, None] * np.eye(512)[3]
    distances, rows = search(X, base[None], "l2", 40)
    assert (rows[0] == np.argsort(steps)).all()
    np.testing.assert_allclose(distances[0], np.sort(steps), atol=1e-9)
    expansion = (X.astype("f4") ** 2).sum(1) - 2 * X.astype("f4") @ base.astype("f4")
    assert (np.argsort(expansion) != np.argsort(steps)).any()


@pytest.mark.parametrize("metric", NAMES)
def test_distances_equal_scikit_learns_brute_force(metric):
    random = np.random.default_rng(1)
    X = random.integers(0, 256, (3000, 300), dtype=np.uint8)
    X[1000:1100] = np.clip(X[:100].astype(int) + random.integers(-1, 2, (100, 300)), 0, 255)
    Q = np.concatenate([X[:60], random.integers(0, 256, (60, 300), dtype=np.uint8)])
    reference = NearestNeighbors(n_neighbors=10, algorithm="brute", metric=NAMES[metric])
    theirs, _ = reference.fit(X.astype(float)).kneighbors(Q.astype(float))
    ours, _ = search(X, Q, metric, 10)
    # scikit-learn's own Euclidean and cosine distances of equal rows are off by 1e-6 or so.
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-5)
    np.testing.assert_allclose(
        ours, np.sort(cdist(Q.astype(float), X.astype(float), NAMES[metric]), 1)[:, :10],
        rtol=1e-9, atol=1e-12,
    )  # fmt: skip


def test_nothing_wraps():
    X = np.array([[0, 0, 0], [255, 255, 255]], np.uint8)
    Q = np.array([[1, 1, 1]], np.uint8)
    assert search(X, Q, "l1", 2)[0].tolist() == [[3.0, 762.0]]
    np.testing.assert_allclose(search(X, Q, "l2", 2)[0], [[np.sqrt(3), np.sqrt(3 * 254**2)]])


@pytest.mark.parametrize("metric", NAMES)
def test_rows_wider_than_a_block_of_columns(metric):
    random = np.random.default_rng(2)
    X = random.integers(0, 256, (9, 2 * COLUMNS + 5), dtype=np.uint8)
    Q = random.integers(0, 256, (3, X.shape[1]), dtype=np.uint8)
    for cast in (np.uint8, np.float32):
        distances, _ = search(X.astype(cast), Q.astype(cast), metric, 9)
        true = np.sort(by_definition(X, Q, metric), 1)
        np.testing.assert_allclose(distances, true, rtol=1e-9)


@pytest.mark.parametrize("metric", NAMES)
def test_the_size_of_a_chunk_changes_nothing(metric, monkeypatch):
    random = np.random.default_rng(3)
    X = random.integers(0, 4, (500, 40), dtype=np.uint8)
    Q = random.integers(0, 4, (70, 40), dtype=np.uint8)
    whole = search(X, Q, metric, 20)
    monkeypatch.setattr(ExactSearch, "_rows", lambda self: 33)
    parts = search(X, Q, metric, 20)
    assert (whole[0] == parts[0]).all()
    assert (whole[1] == parts[1]).all()


def test_a_chunk_keeps_to_its_memory():
    for columns in (1, 784, 3072, 10**6):
        for megabytes in (1, 64, 1024):
            search_ = ExactSearch(np.zeros((1, columns), np.uint8), "l2", "cpu", megabytes)
            rows, block = search_._rows(), min(columns, COLUMNS)
            assert 8 * rows**2 + 8 * rows * block <= megabytes * 2**20 or rows == 1


@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 300), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_both_byte_kernels_sum_alike(m, n, d, seed):
    random = np.random.default_rng(seed)
    Q, X = (random.integers(0, 256, (rows, d), dtype=np.uint8) for rows in (m, n))
    true = np.abs(Q[:, None].astype(int) - X[None]).sum(2)
    assert (manhattan.absolute_sums(Q, X) == true).all()
    plain = np.empty((m, n), np.int32)
    kernels.over_rows(kernels.absolute_sums_u8, m, Q, X, plain)
    assert (plain == true).all()


def test_a_processor_without_the_instruction_has_the_plain_loop(monkeypatch):
    monkeypatch.setattr(manhattan, "width", lambda: 0)
    Q, X = np.array([[0, 255]], np.uint8), np.array([[255, 0], [1, 1]], np.uint8)
    assert manhattan.absolute_sums(Q, X).tolist() == [[510, 255]]


def test_byte_products_are_exact_by_either_way(monkeypatch):
    random = np.random.default_rng(4)
    A, B = (random.choice(np.array([-128, -1, 127], np.int8), (7, 5000)) for _ in range(2))
    true = A.astype(int) @ B.astype(int).T
    for faster in (True, False):
        monkeypatch.setattr(products, "_int8_is_faster", lambda faster=faster: faster)
        assert (products.byte_products(A, B, "cpu") == true).all()


@pytest.mark.gpu
@pytest.mark.parametrize("metric", NAMES)
def test_a_graphics_card_finds_the_same(metric):
    random = np.random.default_rng(5)
    X = random.integers(0, 256, (5000, 3072), dtype=np.uint8)
    for cast in (np.uint8, np.float32):
        rows, Q = X.astype(cast), X[:50].astype(cast)
        here = ExactSearch(rows, metric, "cpu", 64)(Q, 9)
        there = ExactSearch(rows, metric, "cuda", 64)(Q, 9)
        assert (here[1] == there[1]).all()
        np.testing.assert_allclose(here[0], there[0], rtol=1e-12)
