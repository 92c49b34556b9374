"""Boxes: encoding and its inverse, and overlaps that stay within their bounds."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision import ops
from torchvision.models.detection._utils import BoxCoder

from sightline.models.detect import boxes as own

COORDINATE = st.floats(0, 1000, width=32)


@st.composite
def some_boxes(draw, least=1, side=0.0):
    """Boxes of 0 to 500 pixels a side; with `side` 0 also such without an area."""
    sides = st.floats(side, 500, width=32)
    rows = draw(st.lists(st.tuples(COORDINATE, COORDINATE, sides, sides), min_size=least,
                         max_size=6))  # fmt: skip
    corners = torch.tensor(rows, dtype=torch.float32).reshape(-1, 4)
    return torch.cat((corners[:, :2], corners[:, :2] + corners[:, 2:]), 1)


WEIGHTS = st.sampled_from((own.SSD_WEIGHTS, own.RPN_WEIGHTS, (2.0, 3.0, 4.0, 5.0)))


@settings(max_examples=100, deadline=None)
@given(some_boxes(side=8), some_boxes(side=8), WEIGHTS)
def test_decode_inverts_encode(boxes, anchors, weights):
    n = min(len(boxes), len(anchors))
    back = own.decode(own.encode(boxes[:n], anchors[:n], weights), anchors[:n], weights)
    assert torch.allclose(back, boxes[:n], rtol=1e-4, atol=1e-2)


@settings(max_examples=50, deadline=None)
@given(some_boxes(side=1), some_boxes(side=1), WEIGHTS)
def test_codes_equal_torchvisions(boxes, anchors, weights):
    n = min(len(boxes), len(anchors))
    boxes, anchors, coder = boxes[:n], anchors[:n], BoxCoder(weights)
    codes = own.encode(boxes, anchors, weights)
    assert torch.allclose(codes, coder.encode_single(boxes, anchors), rtol=1e-5, atol=1e-4)
    far = codes * 50  # beyond what a side is stretched by at most
    assert torch.allclose(
        own.decode(far, anchors, weights), coder.decode_single(far, anchors), rtol=1e-5, atol=1e-2
    )


@settings(max_examples=150, deadline=None)
@given(some_boxes(), some_boxes())
def test_overlaps_are_symmetric_and_bounded(a, b):
    for measure, least in ((own.iou, 0), (own.giou, -1), (own.diou, -1)):
        values = measure(a, b)
        assert torch.isfinite(values).all()
        assert (values >= least - 1e-5).all()
        assert (values <= 1 + 1e-6).all()
        assert torch.allclose(values, measure(b, a).T, atol=1e-5)
    assert (own.iou(a, b) <= 1).all()
    assert (own.giou(a, b) <= own.iou(a, b) + 1e-6).all()


@given(some_boxes(side=1))
@settings(deadline=None, max_examples=30)
def test_a_box_overlaps_itself_wholly(a):
    for measure in (own.iou, own.giou, own.diou):
        assert torch.allclose(measure(a, a).diagonal(), torch.ones(len(a)), atol=1e-5)


@pytest.mark.parametrize(
    ("own_measure", "theirs"),
    [
        (own.iou, ops.box_iou),
        (own.giou, ops.generalized_box_iou),
        (own.diou, ops.distance_box_iou),
    ],
)
def test_overlaps_of_boxes_with_an_area_are_torchvisions(own_measure, theirs):
    random = torch.Generator().manual_seed(0)
    a, b = (torch.rand(7, 4, generator=random).sort(1).values[:, [0, 1, 2, 3]] for _ in "ab")
    assert torch.equal(own_measure(a, b), theirs(a, b))


def test_boxes_without_area_give_numbers():
    """x1 = x2 is found in annotations; one such box must not make a loss undefined."""
    flat = torch.tensor([[5.0, 5, 5, 9], [5, 5, 5, 5], [90, 90, 90, 90]])
    anchors = torch.tensor([[0.0, 0, 10, 10]]).expand(3, 4)
    for a, b in ((flat, anchors), (anchors, flat), (flat, flat)):
        assert torch.isfinite(own.encode(a, b)).all()
        assert torch.isfinite(own.decode(own.encode(a, b), b)).all()
    assert own.with_area(torch.cat((flat, anchors))).tolist() == [False] * 3 + [True] * 3
    assert (own.iou(flat, flat) == 0).all()
    assert own.giou(flat[1:2], flat[2:3]).item() == pytest.approx(-1, abs=1e-6)
    assert own.diou(flat[1:2], flat[2:3]).item() == pytest.approx(-1, abs=1e-6)


def test_one_image_of_anchors_serves_a_batch_and_no_box_is_no_error():
    anchors = torch.tensor([[0.0, 0, 10, 10], [0, 0, 20, 40]])
    deltas = torch.randn(3, 2, 4, generator=torch.Generator().manual_seed(0))
    together = own.decode(deltas, anchors)
    assert together.shape == (3, 2, 4)
    assert torch.equal(together[1], own.decode(deltas[1], anchors))
    nothing = torch.zeros(0, 4)
    assert own.encode(nothing, nothing).shape == (0, 4)
    assert own.iou(nothing, anchors).shape == (0, 2)
    assert own.giou(anchors, nothing).shape == (2, 0)
