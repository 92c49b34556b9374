"""The exact search against brute force written out in float64, and against scikit-learn."""

from __future__ import annotations

import itertools
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors

from sightline.metrics import threads
from sightline.models.classic import knn
from sightline.models.classic.search import exact, products, tiles
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


@pytest.fixture
def many(monkeypatch):
    """Let no number of queries be few."""
    monkeypatch.setattr(exact, "_FEW", 0)


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("metric", NAMES)
@pytest.mark.parametrize("way", ["vnni", "six-bit", "loop", "float32"])
def test_every_way_to_multiply_finds_what_the_definition_says(way, metric, monkeypatch):
    asked = {"vnni": tiles.exact_products, "six-bit": tiles.coarse_products}.get(way)
    if asked and not asked():
        pytest.skip("this processor has no such instruction")
    monkeypatch.setattr(products, "way", lambda: way)
    if way == "six-bit":  # tiles of int8 queries are of this processor's own way, if it has VNNI
        monkeypatch.setattr(tiles, "six_bit_products", six_bits_by_definition)
    for X, Q in cases():
        true, order = knn.nearest(X, Q, min(len(X), 6), metric)
        distances, rows = search(X, Q, metric, min(len(X), 6))
        np.testing.assert_allclose(distances, true, rtol=1e-9, atol=1e-12)
        if metric != "cosine":
            assert (rows == order).all()


def six_bits_by_definition(Q, q_shift, eighths):
    def sums(X):
        q, x = Q.astype(int) >> 2, X.astype(int) >> 2
        return (q @ x.T + q_shift[:, None] + (eighths * x.sum(1) >> 3)).astype(np.int32)

    return sums


def cases():
    """Rows and queries that tiles, vectors and 16 bits do not fit."""
    random = np.random.default_rng(6)
    for d in (1, 33, 64, 200):
        for n, m in ((1, 1), (75, 5)):
            for values in (3, 256):
                X, Q = (random.integers(0, values, (rows, d), dtype=np.uint8) for rows in (n, m))
                Q[0], X[n // 3] = X[-1], 0
                yield X, Q
            for x, q in itertools.product((0, 255), repeat=2):
                yield np.full((n, d), x, np.uint8), np.full((m, d), q, np.uint8)
    wide = random.integers(0, 256, (30, COLUMNS + 70), dtype=np.uint8)  # more than one block
    yield wide[:21], wide[20:]


BASE = "+sse,+sse2,+sse3"
OLDER = "+ssse3,+sse4.1,+sse4.2,+popcnt,+cx16,+sahf"
AVX2 = f"{BASE},{OLDER},+avx,+avx2,+bmi,+bmi2,+f16c,+fma,+lzcnt,+movbe"
AVX512 = f"{AVX2},+avx512f,+avx512bw,+avx512cd,+avx512dq,+avx512vl"
HELD_TO = {
    "any": ("", 16, None, None),
    "ssse3": (f"{BASE},{OLDER}", 16, None, 16),
    "avx2": (AVX2, 32, None, 32),
    "avx512": (AVX512, 64, None, 64),
    "avx-vnni": (f"{AVX2},+avxvnni", 32, 32, 32),
    "avx512-vnni": (f"{AVX512},+avx512vnni", 64, 64, 64),
}
"""Features of a processor, and the bytes of its instructions that `tiles` chooses."""


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="x86 instructions")
@pytest.mark.parametrize("name", HELD_TO)
def test_every_processor_finds_what_the_definition_says(name):
    held, *widths = HELD_TO[name]
    wanted = {flag[1:] for flag in held.split(",") if flag}
    if not wanted <= tiles.features() | {"sahf"}:
        pytest.skip("this processor lacks them")
    environment = os.environ | {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": held}
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import numpy as np
from sightline.models.classic import knn
from sightline.models.classic.search import exact, products, tiles
from test_neighbours import cases, search

chosen = tiles.absolute(), tiles.exact_products(), tiles.coarse_products()
assert [one and one.width for one in chosen] == {widths!r}
assert products.way() in ("float32", "vnni" if chosen[1] else "six-bit" if chosen[2] else "loop")
way = "vnni" if chosen[1] else "six-bit" if chosen[2] else "loop"
products.way = lambda: way
for few in (0, 100):
    exact._FEW = few
    for X, Q in cases():
        for metric in ("l1", "l2", "cosine"):
            true, order = knn.nearest(X, Q, min(len(X), 6), metric)
            distances, rows = search(X, Q, metric, min(len(X), 6))
            np.testing.assert_allclose(distances, true, rtol=1e-9, atol=1e-12)
            assert metric == "cosine" or (rows == order).all()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_six_bits_lose_no_neighbour_where_their_rounding_is_worst(monkeypatch, many):
    """All of a pair's residuals point apart, so that the bound is nearly reached."""
    random = np.random.default_rng(7)
    base = random.integers(1, 62, 300)
    Q = (4 * base + 3).astype(np.uint8)[None]
    near, far = (4 * base + 4), (4 * base + 3 + random.choice([-2, 2], 300))
    X = np.stack([*[far] * 40, near]).astype(np.uint8)
    monkeypatch.setattr(products, "way", lambda: "six-bit")
    monkeypatch.setattr(tiles, "six_bit_products", six_bits_by_definition)
    for metric in ("l2", "cosine"):
        true, order = knn.nearest(X, Q, 1, metric)
        distances, rows = search(X, Q, metric, 1)
        assert rows.tolist() == order.tolist() == [[40]]
        np.testing.assert_allclose(distances, true, rtol=1e-9)


@pytest.mark.parametrize("metric", NAMES)
def test_few_queries_are_answered_as_many_are(metric, monkeypatch):
    random = np.random.default_rng(8)
    X = random.integers(0, 3, (501, 40), dtype=np.uint8)
    Q = random.integers(0, 3, (exact._FEW, 40), dtype=np.uint8)
    few = search(X, Q, metric, 30)
    monkeypatch.setattr(threads, "in_use", lambda: 3)
    shared = search(X, Q, metric, 30)
    monkeypatch.setattr(exact, "_FEW", 0)
    for one, other in zip(few + few, shared + search(X, Q, metric, 30), strict=True):
        assert (one == other).all()


def test_the_fastest_way_is_measured_once(monkeypatch):
    rounds = [(1.0, 0.5)] * products._ROUNDS
    seconds = iter([*rounds, *rounds[1:], (0.5, 1.0)])
    monkeypatch.setattr(products, "_seconds", lambda *calls: next(seconds))
    products.way.cache_clear()
    assert products.way() == products.way() == "float32"
    products.way.cache_clear()
    assert products.way() in ("vnni", "six-bit", "loop")  # a busy moment or two change nothing
    products.way.cache_clear()


def test_byte_products_are_exact_by_every_way(monkeypatch):
    random = np.random.default_rng(4)
    Q, X = (random.choice(np.array([0, 127, 255], np.uint8), (7, 5000)) for _ in range(2))
    true = Q.astype(int) @ X.astype(int).T
    assert (products._by_torch(Q, X, "cpu") == true).all()
    for way in ["loop", "float32", "vnni"]:
        if way == "vnni" and not tiles.exact_products():
            continue
        monkeypatch.setattr(products, "way", lambda way=way: way)
        assert (products.byte_products(Q, "cpu")(X)[:7, :7] == true).all()


def test_sums_of_another_size_follow_in_the_same_room():
    random = np.random.default_rng(9)
    Q, X = (random.integers(0, 256, (rows, 70), dtype=np.uint8) for rows in (5, 40))
    if not tiles.absolute():
        pytest.skip("this processor has no such instruction")
    sums = tiles.absolute_sums(Q)
    for rows in (X[:9], X, X[3:5]):
        true = np.abs(Q[:, None].astype(int) - rows).sum(2)
        assert (sums(rows)[: len(Q), : len(rows)] == true).all()


def test_times_are_taken_in_turns():
    asked = []
    calls = [lambda: asked.append("a"), lambda: (asked.append("b"), time.sleep(0.002))]
    a, b = products._seconds(*calls)
    assert b > 0.002 > a
    assert asked[:4] == ["a", "b", "a", "b"]


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
