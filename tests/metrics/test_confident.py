"""Confident learning: a table worked out by hand from the paper's equations, and a brute force."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.errors import DataError
from sightline.metrics.confident import confident

# Labels 0, 0, 0, 1, 1, 1. Thresholds (equation 2), the mean of the own column over the own rows:
# t0 = (0.9 + 0.8 + 0.1) / 3 = 0.6, t1 = (0.7 + 0.5 + 0.3) / 3 = 0.5.
P = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.3, 0.7], [0.5, 0.5], [0.7, 0.3]])
Y = np.array([0, 0, 0, 1, 1, 1])


def test_a_table_worked_out_by_hand():
    learned = confident(Y, P)
    np.testing.assert_allclose(learned.thresholds, [0.6, 0.5])
    # Row 4 has 0.5 of class 1, which is its threshold: counted. Row 2 is counted as 1, row 5 as 0.
    assert learned.believed.tolist() == [0, 0, 1, 1, 1, 0]
    assert learned.counts.tolist() == [[2, 1], [1, 2]]
    # Equation 3: rows already sum to the three images of each label; then the whole to 1.
    np.testing.assert_allclose(learned.joint, [[2 / 6, 1 / 6], [1 / 6, 2 / 6]])
    assert learned.share == pytest.approx(1 / 3)
    assert learned.suspects(Y).tolist() == [2, 5]  # of which 0.1 is less than 0.3


def test_rows_of_the_joint_are_scaled_to_the_images_of_the_label():
    # t0 = 0.55, t1 = 0.8: row 0 reaches neither and is not counted, row 1 is counted as 0.
    p = np.array([[0.5, 0.5], [0.6, 0.4], [0.2, 0.8], [0.2, 0.8]])
    learned = confident(np.array([0, 0, 1, 1]), p)
    assert learned.believed.tolist() == [-1, 0, 1, 1]
    assert learned.counts.tolist() == [[1, 0], [0, 2]]
    np.testing.assert_allclose(learned.joint, [[0.5, 0], [0, 0.5]])


def brute(labels, p):
    """The definitions, one image and one class at a time."""
    n, classes = p.shape
    t = []
    for c in range(classes):
        mine = [p[i, c] for i in range(n) if labels[i] == c]
        t.append(sum(mine) / len(mine) if mine else float("inf"))
    counts = [[0] * classes for _ in range(classes)]
    doubted = []
    for i in range(n):
        reached = [c for c in range(classes) if p[i, c] >= t[c]]
        if not reached:
            continue
        best = max(reached, key=lambda c: p[i, c])
        counts[labels[i]][best] += 1
        if best != labels[i]:
            doubted.append(i)
    total = 0.0
    q = np.zeros((classes, classes))
    for a in range(classes):
        size, row = int((labels == a).sum()), sum(counts[a])
        for b in range(classes):
            q[a, b] = size * (counts[a][b] / row if row else float(a == b))
            total += q[a, b]
    return counts, q / total, sorted(doubted, key=lambda i: p[i, labels[i]])


@pytest.mark.parametrize("seed", range(4))
def test_as_by_brute_force(seed):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(5, 0.7), 60)
    labels = rng.integers(0, 5 - seed % 2, 60)  # in every other case a class has no image
    learned = confident(labels, p)
    counts, joint, doubted = brute(labels, p)
    assert learned.counts.tolist() == counts
    np.testing.assert_allclose(learned.joint, joint)
    assert learned.suspects(labels).tolist() == doubted


def test_what_cannot_be_judged_is_refused():
    with pytest.raises(DataError, match="not finite"):
        confident(Y, np.where(P == 0.9, np.nan, P))
    with pytest.raises(DataError, match="0 images"):
        confident(Y[:0], P[:0])
