"""Methods that know good pictures alone, against their definitions computed another way."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sightline.errors import ParameterError
from sightline.models.anomaly.autoencoder import autoencoder
from sightline.models.anomaly.coreset import greedy_coreset, projection
from sightline.models.anomaly.knn_features import KNNFeatures
from sightline.models.anomaly.padim import REGULARISED, PaDiM
from sightline.models.anomaly.patchcore import PatchCore, around
from sightline.models.anomaly.pixel_mean import LEAST_STD, PixelMean

RNG = np.random.default_rng(0)


def parts(X, n=3):
    return [X[i : i + n] for i in range(0, len(X), n)]


def farthest_first(rows, size):
    """The greedy choice as Gonzalez says it, with all distances at once."""
    away = np.linalg.norm(rows[:, None] - rows, axis=2)
    chosen = [int(np.linalg.norm(rows - rows.mean(0), axis=1).argmax())]
    while len(chosen) < size:
        chosen.append(int(away[:, chosen].min(1).argmax()))
    return chosen


def test_the_coreset_takes_the_furthest_row_each_time():
    rows = RNG.normal(size=(120, 5)).astype(np.float32)
    told = []
    chosen = greedy_coreset(rows, 20, lambda done, of: told.append((done, of)))
    assert chosen.tolist() == farthest_first(rows, 20)
    assert told[-1] == (20, 20)


def test_the_coreset_is_at_most_twice_as_far_as_the_best():
    """Of small sets, the best choice is found by trying all."""
    from itertools import combinations

    for _ in range(10):
        rows = RNG.normal(size=(9, 2)).astype(np.float32)
        away = np.linalg.norm(rows[:, None] - rows, axis=2)
        best = min(away[:, list(some)].min(1).max() for some in combinations(range(9), 3))
        assert away[:, greedy_coreset(rows, 3)].min(1).max() <= 2 * best + 1e-6


def test_the_coreset_of_few_rows_is_all_of_them():
    assert sorted(greedy_coreset(np.zeros((4, 3), np.float32), 9).tolist()) == [0, 1, 2, 3]


def test_a_projection_nearly_keeps_distances():
    rows = RNG.normal(size=(60, 1000)).astype(np.float32)
    made = rows @ projection(1000, 128, 0)
    before, after = (np.linalg.norm(r[:, None] - r, axis=2)[np.triu_indices(60, 1)]
                     for r in (rows, made))  # fmt: skip
    assert np.abs(after / before - 1).max() < 0.35
    assert np.mean(after / before) == pytest.approx(1, abs=0.05)


def test_a_patch_is_averaged_with_those_beside_it():
    maps = RNG.random((2, 4, 5, 3)).astype(np.float32)
    mean = around(maps)
    np.testing.assert_allclose(mean[0, 1, 2], maps[0, 0:3, 1:4].mean((0, 1)), rtol=1e-5)
    np.testing.assert_allclose(mean[1, 0, 0], maps[1, :2, :2].mean((0, 1)), rtol=1e-5)


def test_patchcore_is_the_distance_to_the_nearest_kept_patch():
    maps = RNG.normal(size=(6, 4, 4, 5)).astype(np.float32)
    method = PatchCore(bank=20, share=1.0).fit(parts(maps), 6)
    assert method.bank_.shape == (20, 5)
    new = RNG.normal(size=(2, 4, 4, 5)).astype(np.float32)
    rows = (around(new).reshape(-1, 5) - method.mean_) / method.std_
    slow = np.linalg.norm(rows[:, None] - method.bank_, axis=2).min(1).reshape(2, 4, 4)
    np.testing.assert_allclose(method.distances(new), slow, rtol=1e-4, atol=1e-5)
    whole = PatchCore(bank=10**6, share=1.0).fit(parts(maps), 6)
    assert whole.distances(maps).max() < 1e-3  # each patch is its own nearest


def test_patchcore_bounds_what_it_keeps_and_says_so():
    maps = RNG.normal(size=(10, 8, 8, 200)).astype(np.float32)
    method = PatchCore(bank=30, pool=100, dims=16).fit(parts(maps), 10)
    assert method.bank_.shape == (30, 16)
    assert method.projection_.shape == (200, 16)
    assert method.remarks == [
        "30 patches of 640 are kept, chosen from 100 (pool=...); bank=... allows more than 30"
    ]
    again = PatchCore(bank=30, pool=100, dims=16).fit(parts(maps), 10)
    assert np.array_equal(again.bank_, method.bank_)


def test_padim_is_the_mahalanobis_distance_of_each_place():
    maps = RNG.normal(size=(40, 2, 3, 4)).astype(np.float32) * (1, 2, 3, 4) + 5
    maps[..., 1] += maps[..., 0]
    method = PaDiM(dims=3).fit(parts(maps.astype(np.float32), 7), 40)
    new = RNG.normal(size=(5, 2, 3, 4)).astype(np.float32)
    covariances = {
        (y, x): np.cov(maps[:, y, x][:, method.chosen_].T) for y in range(2) for x in range(3)
    }
    ridge = REGULARISED * np.mean([np.diagonal(c).mean() for c in covariances.values()])
    for (y, x), covariance in covariances.items():
        off = new[:, y, x][:, method.chosen_] - maps[:, y, x][:, method.chosen_].mean(0)
        inverse = np.linalg.inv(covariance + ridge * np.eye(3))
        slow = np.sqrt(np.einsum("nd,de,ne->n", off, inverse, off))
        np.testing.assert_allclose(method.distances(new)[:, y, x], slow, rtol=1e-3)


def test_pixel_mean_and_knn_by_their_definitions():
    X = RNG.integers(0, 256, (9, 8, 8, 3), np.uint8)
    method = PixelMean().fit(parts(X), 9)
    off = np.abs(X[:2] - X.mean(0)) / (X.std(0) + LEAST_STD)
    slow = off.mean(-1).reshape(2, 2, 4, 2, 4).mean((2, 4))
    np.testing.assert_allclose(method.distances(X[:2]), slow, rtol=1e-4)
    rows = RNG.normal(size=(30, 6)).astype(np.float32)
    near = KNNFeatures(k=3).fit(parts(rows), 30)
    new = RNG.normal(size=(4, 6)).astype(np.float32)
    slow = np.sort(np.linalg.norm(new[:, None] - rows, axis=2), 1)[:, :3].mean(1)
    np.testing.assert_allclose(near.distances(new), slow, rtol=1e-5)
    few = KNNFeatures(most=10).fit(parts(rows), 30)
    assert len(few.bank_) == 10
    assert few.remarks == ["of 30 good pictures 10 are kept (most=...)"]


def test_scores_are_one_half_at_the_threshold():
    method = PixelMean(false_alarms=0.5)
    method.decide_by(np.array([3.0, 1.0, 2.0]))
    assert method.limit_.tolist() == [2.0]
    assert method.graded(np.array([0.0, 2.0, 6.0])).tolist() == pytest.approx([0.0, 0.5, 81 / 82])
    method.decide_by(np.zeros(3))
    assert method.graded(np.array([0.0, 1.0])).tolist() == [0.0, 1.0]


def test_an_autoencoder_gives_back_what_it_takes():
    network = autoencoder(0, in_channels=1, width=4)
    assert network(torch.rand(2, 1, 48, 32)).shape == (2, 1, 48, 32)
    assert network.encoder(torch.rand(1, 1, 48, 32)).shape == (1, 16, 3, 2)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: PatchCore(share=0),
        lambda: PatchCore(bank=0),
        lambda: KNNFeatures(k=0),
        lambda: PaDiM(dims=0),
        lambda: PixelMean(false_alarms=1),
    ],
)
def test_knobs_that_cannot_be(wrong):
    with pytest.raises(ParameterError):
        wrong()
