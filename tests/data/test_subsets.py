"""Subsets of a split: each holds the smaller ones, classes keep their share, groups stay whole."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import sightline
from sightline.data import subsets

SIZES = (40, 100, 250, 777, 1000)


def unequal(n=1000):
    """Four classes: 70%, 20%, 9.7% and three images."""
    labels = np.repeat([0, 1, 2, 3], [n * 7 // 10, n * 2 // 10, n // 10 - 3, 3])
    return np.random.default_rng(5).permutation(labels)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_each_subset_holds_the_smaller_ones_and_has_its_size(seed):
    labels = unequal()
    parts = subsets.nested(labels, SIZES, seed)
    assert [len(part) for part in parts] == list(SIZES)
    for small, large in itertools.pairwise(parts):
        assert set(small) < set(large)
    assert parts[-1].tolist() == list(range(1000))


def test_classes_keep_their_share_and_none_is_lost():
    labels = unequal()
    for size, part in zip(SIZES, subsets.nested(labels, SIZES, 0), strict=True):
        counts = np.bincount(labels[part], minlength=4)
        assert counts[3] >= 2
        expected = size * np.bincount(labels) / len(labels)
        # The three rare images take up to two places of the others.
        assert np.abs(counts - expected)[:3].max() < 3, (size, counts)


def test_another_seed_is_another_draw_and_the_same_one_the_same():
    labels = unequal()
    (a,), (b,), (again,) = (subsets.nested(labels, [100], seed) for seed in (0, 1, 0))
    assert a.tolist() == again.tolist()
    assert len(set(a) & set(b)) < 40


def test_two_of_every_class_are_the_least():
    labels = np.repeat(np.arange(10), 20)
    (part,) = subsets.nested(labels, [3], 0)
    assert np.bincount(labels[part]).tolist() == [2] * 10


def test_groups_are_never_parted_even_where_they_mix_classes():
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 600)
    labels[:4] = 3  # a class that two groups alone have, beside others
    groups = np.array([f"g{i}" for i in random.integers(0, 60, 600)], object)
    groups[:2], groups[2:4], groups[-5:] = "g0", "g1", None
    parts = subsets.nested(labels, (80, 200, 600), 3, groups)
    for part, size in zip(parts, (80, 200, 600), strict=True):
        inside = np.isin(np.arange(600), part)
        for name in set(groups) - {None}:
            assert len(set(inside[groups == name])) == 1, name
        assert abs(len(part) - size) <= 10
        assert (labels[part] == 3).sum() >= 2
    assert set(parts[0]) < set(parts[1]) < set(parts[2])


def test_images_without_labels_are_one_stratum():
    assert len(subsets.nested(np.full(50, -1), [20], 0)[0]) == 20


def test_validation_shrinks_with_training_and_test_stays_whole():
    data = sightline.load_data("digits")
    small, larger = subsets.cut(data, 200, 1), subsets.cut(data, 600, 1)
    assert (len(small.train), len(larger.train)) == (200, 600)
    share = len(data.val) / len(data.train)
    assert len(small.val) == round(200 * share)
    assert set(small.val.rows) < set(larger.val.rows) < set(data.val.rows)
    assert set(small.train.rows) < set(larger.train.rows) < set(data.train.rows)
    assert small.test.rows.tolist() == data.test.rows.tolist()
    whole = subsets.cut(data, len(data.train), 1)
    assert {k: v.tolist() for k, v in whole.rows.items()} == {
        k: v.tolist() for k, v in data.rows.items()
    }


def test_a_few_images_keep_two_of_each_class_for_tuning():
    small = subsets.cut(sightline.load_data("digits"), 20, 0)
    assert set(small.train.counts().values()) == {2}
    assert set(small.val.counts().values()) == {2}
