"""Assignments equal torchvision's and the papers' rules, and no object goes without an anchor."""

from __future__ import annotations

import pytest
import torch
from torchvision.models.detection import _utils as theirs

from sightline.models.detect.anchors import grid
from sightline.models.detect.assign import (
    BACKGROUND,
    NEITHER,
    SimOTA,
    hard_negatives,
    match_default_boxes,
    match_regions,
    sample_regions,
)
from sightline.models.detect.boxes import iou


def overlaps_of(seed, objects=6, anchors=200):
    random = torch.Generator().manual_seed(seed)

    def boxes(n):
        corners = torch.rand(n, 2, generator=random) * 80
        return torch.cat((corners, corners + 4 + torch.rand(n, 2, generator=random) * 40), 1)

    return iou(boxes(objects), boxes(anchors))


@pytest.mark.parametrize("seed", range(5))
def test_torchvisions_matching(seed):
    overlaps = overlaps_of(seed)
    own = match_default_boxes(overlaps, 0.5, each=False)
    assert torch.equal(own, theirs.SSDMatcher(0.5)(overlaps.clone()))


@pytest.mark.parametrize("seed", range(5))
def test_both_rules_agree_where_no_anchor_is_shared(seed):
    overlaps = overlaps_of(seed, objects=3)
    assert len(overlaps.argmax(1).unique()) == 3
    assert torch.equal(*(match_default_boxes(overlaps, each=each) for each in (True, False)))


def test_two_objects_that_share_a_best_anchor_get_one_each():
    overlaps = torch.tensor([[0.8, 0.3, 0.1], [0.7, 0.0, 0.2], [0.0, 0.1, 0.0]])
    assert match_default_boxes(overlaps).tolist() == [0, 2, 1]
    assert match_default_boxes(overlaps, each=False).tolist() == [1, 2, BACKGROUND]


def test_an_object_that_meets_no_anchor_takes_none():
    overlaps = torch.tensor([[0.0, 0.0], [0.0, 0.6]])
    assert match_default_boxes(overlaps).tolist() == [BACKGROUND, 1]
    assert match_default_boxes(overlaps, each=False).tolist() == [0, 1]


def test_more_objects_than_anchors_and_none_at_all():
    overlaps = torch.tensor([[0.6, 0.5], [0.9, 0.8], [0.7, 0.7]])
    assert sorted(match_default_boxes(overlaps).tolist()) == [1, 2]
    assert match_default_boxes(torch.zeros(0, 4)).tolist() == [BACKGROUND] * 4
    assert match_regions(torch.zeros(0, 4)).tolist() == [BACKGROUND] * 4


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("best_too", [True, False])
@pytest.mark.parametrize(("upper", "lower"), [(0.7, 0.3), (0.5, 0.5)])
def test_region_matching_equals_torchvisions(seed, best_too, upper, lower):
    overlaps = overlaps_of(seed)
    overlaps[:, 7] = overlaps[:, 9]  # ties
    own = match_regions(overlaps, upper, lower, best_too=best_too)
    assert torch.equal(own, theirs.Matcher(upper, lower, best_too)(overlaps.clone()))
    assert upper == lower or (own == NEITHER).any()


@pytest.mark.parametrize(("size", "share"), [(64, 0.5), (64, 0.02), (1000, 0.25)])
def test_sampling_equals_torchvisions(size, share):
    assigned = match_regions(overlaps_of(0), 0.4, 0.3)
    # There 0 is background, negative is left out and an object counts from 1 on.
    labels = torch.where(assigned >= 0, 1, torch.where(assigned == BACKGROUND, 0, -1))
    torch.manual_seed(3)
    objects, background = sample_regions(assigned, size, share)
    torch.manual_seed(3)
    [positive], [negative] = theirs.BalancedPositiveNegativeSampler(size, share)([labels])
    assert torch.equal(objects, positive.nonzero().flatten())
    assert torch.equal(background, negative.nonzero().flatten())


def test_hardest_background_is_chosen_and_never_an_object():
    loss = torch.tensor([[5.0, 1.0, 3.0, 2.0], [1.0, 2.0, 3.0, 4.0]])
    positive = torch.tensor([[True, False, False, False], [False, False, False, False]])
    chosen = hard_negatives(loss, positive, torch.tensor([2, 1]))
    assert chosen.tolist() == [[False, False, True, True], [False, False, False, True]]
    assert hard_negatives(loss, positive, torch.tensor([9, 9])).sum(1).tolist() == [3, 4]
    assert not hard_negatives(loss, positive, torch.tensor([0, 0])).any()


def simota_by_loops(centres, strides, boxes, scores, objects, labels):
    """The paper's algorithm cell by cell, without a tensor operation."""
    G, A = len(objects), len(centres)
    shared = iou(objects, boxes).tolist()
    near = [
        [
            all(
                abs(float(centres[a][d] - (objects[g][d] + objects[g][d + 2]) / 2))
                < 1.5 * float(strides[a])
                for d in (0, 1)
            )
            for a in range(A)
        ]
        for g in range(G)
    ]
    cells = [a for a in range(A) if any(near[g][a] for g in range(G))]
    cost = {}
    for g in range(G):
        for a in cells:
            p = scores[a].clamp(1e-30, 1)
            wanted = torch.zeros(len(p))
            wanted[labels[g]] = 1
            entropy = -(wanted * p.log() + (1 - wanted) * (1 - p).log()).sum()
            far = 0 if near[g][a] else 1e6
            cost[g, a] = float(entropy) - 3 * float(torch.tensor(shared[g][a] + 1e-8).log()) + far
    takers = {a: [] for a in cells}
    for g in range(G):
        count = max(1, int(sum(sorted((shared[g][a] for a in cells), reverse=True)[:10])))
        for a in sorted(cells, key=lambda a: cost[g, a])[:count]:
            takers[a].append(g)
    assigned = [BACKGROUND] * A
    for a, gs in takers.items():
        if len(gs) == 1:
            assigned[a] = gs[0]
        elif gs:
            assigned[a] = min(range(G), key=lambda g: cost[g, a])
    return assigned  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_simota_is_the_papers_algorithm(seed):
    random = torch.Generator().manual_seed(seed)
    corners, strides = grid([(8, 8), (4, 4)], [8, 16])
    centres = corners + strides[:, None] / 2
    objects = torch.tensor([[4.0, 4, 30, 28], [8, 6, 28, 30], [40, 40, 60, 63], [0, 50, 9, 60]])
    labels = torch.tensor([0, 2, 1, 1])
    half = strides[:, None] * (0.5 + 1.5 * torch.rand(len(centres), 2, generator=random))
    boxes = torch.cat((centres - half, centres + half), 1)
    scores = torch.rand(len(centres), 3, generator=random) * 0.9 + 0.05
    assigned, shared = SimOTA()(centres, strides, boxes, scores, objects, labels)
    expected = simota_by_loops(centres, strides, boxes, scores, objects, labels)
    assert assigned.tolist() == expected
    assert set(expected) == {BACKGROUND, 0, 1, 2, 3}
    chosen = assigned >= 0
    assert (shared[~chosen] == 0).all()
    assert torch.equal(
        shared[chosen], iou(objects, boxes)[assigned[chosen], chosen.nonzero()[:, 0]]
    )


def test_simota_without_objects_and_of_one_beyond_the_picture():
    corners, strides = grid([(4, 4)], [8])
    boxes = torch.cat((corners, corners + 8), 1)
    scores = torch.full((16, 2), 0.5)
    for objects in (torch.zeros(0, 4), torch.tensor([[500.0, 500, 520, 520]])):
        labels = torch.zeros(len(objects), dtype=torch.long)
        assigned, shared = SimOTA()(corners + 4, strides, boxes, scores, objects, labels)
        assert (assigned == BACKGROUND).all()
        assert (shared == 0).all()


def test_an_object_that_meets_no_anchor_takes_none_of_the_regions():
    overlaps = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.8, 0.4]])
    assert match_regions(overlaps, 0.7, 0.3).tolist() == [BACKGROUND, 1, NEITHER]
