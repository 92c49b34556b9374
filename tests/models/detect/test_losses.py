"""Losses equal formulas by hand, and stay finite where boxes collapse."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional
from torchvision import ops

from sightline.models.detect import losses


def test_cross_entropy_is_summed_over_objects_and_the_hardest_background():
    logits = torch.zeros(1, 5, 2)
    logits[0, :, 1] = torch.tensor([0.0, 3.0, 1.0, 2.0, -9.0])
    classes = torch.tensor([[1, 0, 0, 0, 0]])
    loss, n = losses.mined_cross_entropy(logits, classes, ratio=2, least=0)
    # Background answered with logits 3 and 2 for an object costs most.
    expected = math.log(2) + math.log1p(math.exp(3)) + math.log1p(math.exp(2))
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    assert n.item() == 1


def test_an_image_without_an_object_teaches_background():
    logits = torch.zeros(2, 8, 3, requires_grad=True)
    nothing = torch.zeros(2, 8, dtype=torch.long)
    loss, n = losses.mined_cross_entropy(logits, nothing)
    assert loss.item() == pytest.approx(6 * math.log(3), rel=1e-5)
    assert n.item() == 2
    loss.backward()
    assert (logits.grad[..., 0].sum(1) < 0).all()  # descending raises the background
    silent, one = losses.mined_cross_entropy(logits, nothing, least=0)
    assert (silent.item(), one.item()) == (0, 1)


def test_half_of_the_images_without_an_object_weigh_no_more_than_one_box_each():
    logits = torch.zeros(2, 8, 3)
    classes = torch.zeros(2, 8, dtype=torch.long)
    classes[0, :2] = 1
    loss, n = losses.mined_cross_entropy(logits, classes)
    assert n.item() == 3
    assert loss.item() == pytest.approx((2 + 6 + 3) * math.log(3), rel=1e-5)


def test_smooth_l1_and_focal_by_hand():
    deltas = torch.tensor([[0.5, 2.0, 0.0, -3.0]])
    assert losses.smooth_l1(deltas, torch.zeros(1, 4)).item() == pytest.approx(0.125 + 1.5 + 2.5)
    assert losses.smooth_l1(torch.zeros(0, 4), torch.zeros(0, 4)).item() == 0
    p = 1 / (1 + math.exp(-1))
    expected = -0.25 * (1 - p) ** 2 * math.log(p) - 0.75 * p**2 * math.log(1 - p)
    both = losses.focal(torch.tensor([1.0, 1.0]), torch.tensor([1.0, 0.0]))
    assert both.item() == pytest.approx(expected, rel=1e-5)
    flat = losses.focal(torch.tensor([1.0]), torch.tensor([1.0]), gamma=0, alpha=1)
    entropy = functional.binary_cross_entropy_with_logits(torch.tensor([1.0]), torch.tensor([1.0]))
    assert flat.item() == pytest.approx(entropy.item())


@pytest.mark.parametrize("kind", ["iou", "giou", "diou", "ciou"])
def test_losses_by_overlap(kind):
    a = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 20]])
    b = torch.tensor([[0.0, 5, 10, 15], [40, 40, 60, 50]])
    value = losses.overlap_loss(a, b, kind)
    assert losses.overlap_loss(a, a, kind).abs().max() < 1e-5
    measures = {"giou": ops.generalized_box_iou, "diou": ops.distance_box_iou,
                "ciou": ops.complete_box_iou}  # fmt: skip
    expected = (
        1 - ops.box_iou(a, b).diagonal() ** 2
        if kind == "iou"
        else 1 - measures[kind](a, b).diagonal()
    )
    assert torch.allclose(value, expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["iou", "giou", "diou", "ciou"])
def test_collapsed_boxes_have_finite_losses_and_gradients(kind):
    boxes = torch.tensor([[5.0, 5, 5, 5], [5, 5, 5, 9], [0, 0, 4, 4]], requires_grad=True)
    wanted = torch.tensor([[5.0, 5, 5, 5], [5, 5, 9, 5], [3, 3, 3, 3]])
    loss = losses.overlap_loss(boxes, wanted, kind).sum()
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(boxes.grad).all()
