"""The boundary F1 by hand, and equal to a slow one that measures every distance."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.metrics.segment_boundary import TOLERANCE, boundary_f1


def figure(truth, answer, classes=2, ignored=None):
    truth, answer = np.asarray(truth), np.asarray(answer)
    judged = np.ones(truth.shape, bool) if ignored is None else ~ignored
    return boundary_f1(truth, answer, judged, classes)


def square(top, left, side=40, size=(300, 400)):
    values = np.zeros(size, np.int64)
    values[top : top + side, left : left + side] = 1
    return values


def by_distances(truth, answer, judged, c):
    """Every boundary pixel against every other."""
    theta = TOLERANCE * np.hypot(*truth.shape)

    def points(values):
        rows = []
        for y, x in np.argwhere((values == c) & judged):
            for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                inside = 0 <= v < values.shape[0] and 0 <= u < values.shape[1]
                if inside and judged[v, u] and values[v, u] != c:
                    rows.append((y, x))
                    break
        return np.array(rows).reshape(-1, 2)

    def near(some, others):
        if not len(others):
            return np.zeros(len(some), bool)
        return np.sqrt(((some[:, None] - others[None]) ** 2).sum(2)).min(1) < theta

    has = [(values[judged] == c).any() for values in (truth, answer)]
    if not all(has):
        return 0.0 if any(has) else np.nan
    t, a, hidden = points(truth), points(answer), np.argwhere(~judged)
    asked_a, asked_t = a[~near(a, hidden)], t[~near(t, hidden)]
    shares = [near(s, o).mean() for s, o in ((asked_a, t), (asked_t, a)) if len(s)]
    if len(shares) < 2:
        return shares[0] if shares else np.nan
    return 2 * np.prod(shares) / sum(shares) if sum(shares) else 0.0


def test_a_shift_within_the_tolerance_is_right_and_one_beyond_it_is_not():
    """The diagonal is 500, the tolerance 3.75 pixels."""
    truth = square(100, 100)
    assert figure(truth, truth).tolist() == [1, 1]
    assert figure(truth, square(100, 103)).tolist() == [1, 1]
    assert figure(truth, square(200, 300)).tolist() == [0, 0]
    # Moved by four, of the 156 pixels around the square those of the left and the right side are
    # too far (but for the ends, which have the upper and lower side near them).
    moved = figure(truth, square(100, 104))
    assert 0.4 < moved[1] < 0.75


def test_a_boundary_at_the_tolerance_is_not_within_it():
    """The diagonal is 400, the tolerance 3 pixels: a line moved by 3 is off, by 2 it is not."""
    lines = [np.where(np.arange(320) < x, 0, 1)[None].repeat(240, 0) for x in (100, 102, 103)]
    assert figure(lines[0], lines[1]).tolist() == [1, 1]
    assert figure(lines[0], lines[2]).tolist() == [0, 0]


@pytest.mark.parametrize("seed", range(25))
def test_it_equals_the_measure_of_all_distances(seed):
    random = np.random.default_rng(seed)
    shape = (20, 150) if seed % 2 else (33, 47)
    coarse = random.integers(4, size=(2, 4, 5))
    truth, answer = (np.kron(c, np.ones((9, 30), int))[: shape[0], : shape[1]] for c in coarse)
    truth, answer = (np.pad(v, [(0, s - n) for s, n in zip(shape, v.shape, strict=True)], "edge")
                     for v in (truth, answer))  # fmt: skip
    answer = np.where(random.random(shape) < 0.8, np.roll(truth, seed % 3, 1), answer)
    judged = np.ones(shape, bool)
    if seed % 3 == 0:
        judged[3:9, 10:30] = False
    own = boundary_f1(truth, answer, judged, 5)
    expected = [by_distances(truth, answer, judged, c) for c in range(5)]
    assert own.tolist() == pytest.approx(expected, nan_ok=True)


def test_the_edge_of_the_picture_is_no_boundary():
    whole = np.zeros((30, 40), int)
    assert np.isnan(figure(whole, whole)).all()
    hole = whole.copy()
    hole[10:14, 10:14] = 1
    assert figure(hole, whole).tolist() == figure(whole, hole).tolist() == [0, 0]


def test_nothing_is_asked_for_beside_what_is_ignored():
    """The truth's contour is ignored, as VOC draws it: where the boundary is nobody knows."""
    truth = square(100, 100)
    contour = square(98, 98, 44) - square(102, 102, 36) > 0
    for answer in (truth, square(101, 100)):
        assert np.isnan(figure(truth, answer, ignored=contour)).all()
    stray = truth.copy()
    stray[200:220, 200:220] = 1
    assert figure(truth, stray, ignored=contour)[1] == 0
    # Only a corner of the square is hidden; the rest is measured.
    corner = np.zeros_like(contour)
    corner[90:110, 90:110] = True
    assert figure(truth, truth, ignored=corner).tolist() == [1, 1]
