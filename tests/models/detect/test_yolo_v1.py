"""YOLO's loss by hand, its cells, and what it makes of numbers."""

from __future__ import annotations

import math

import pytest
import torch

from sightline.models.detect import yolo_v1
from sightline.models.detect.yolo_v1 import Outputs, Weighting

OBJECT = {"boxes": torch.tensor([[10.0, 60, 50, 96]]), "labels": torch.tensor([0])}
NOTHING = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    built = yolo_v1.yolo_v1(2, 3, 32)
    built.cells = 2
    return built


def said(images=1):
    """2 x 2 cells of 2 boxes and 2 classes, of images of 100 x 100 pixels; all numbers 0."""
    return Outputs(torch.zeros(images, 2, 2, 2, 5), torch.zeros(images, 2, 2, 2), (100, 100))


def test_the_loss_is_that_of_equation_3(model):
    """The object's centre lies at (0.6, 1.56) cells, its sides are 0.4 and 0.36 of the image."""
    numbers = said(2)
    cell = numbers.boxes[0, 1, 0]
    cell[0] = torch.tensor([0.5, 0.5, 0.5, 0.5, 0.3])
    cell[1] = torch.tensor([0.6, 0.46, 0.6, 0.6, 0.8])
    numbers.boxes[0, 0, 0, 0, 4] = 0.2
    numbers.boxes[1, 1, 1, 1, 4] = 0.4
    numbers.classes[0, 1, 0] = torch.tensor([0.7, 0.1])
    numbers.classes[0, 0, 1] = 9  # a cell without an object has no class to be wrong about
    losses = model.losses(numbers, [OBJECT, NOTHING])
    # The second box is responsible: 0.36 wide and high, 0.05 of the image too high.
    shared, both = 0.36 * 0.31, 0.36 * 0.36 + 0.4 * 0.36
    overlap = shared / (both - shared)
    coord = 5 * (0.1**2 + (math.sqrt(0.4) - 0.6) ** 2)
    objectness = (0.8 - overlap) ** 2 + 0.5 * (0.3**2 + 0.2**2 + 0.4**2)
    torch.testing.assert_close(losses["bbox_regression"], torch.tensor(coord / 2))
    torch.testing.assert_close(losses["objectness"], torch.tensor(objectness / 2))
    torch.testing.assert_close(losses["classification"], torch.tensor((0.3**2 + 0.1**2) / 2))
    heavy = yolo_v1.YoloV1(
        model.backbone, 256, 2, weighting=Weighting(coord=1, noobj=0)
    ).losses(numbers, [OBJECT, NOTHING])  # fmt: skip
    torch.testing.assert_close(heavy["bbox_regression"], torch.tensor(coord / 10))
    torch.testing.assert_close(heavy["objectness"], torch.tensor((0.8 - overlap) ** 2 / 2))


def test_a_negative_root_is_a_side_and_the_nearest_box_answers_where_none_meets(model):
    numbers = said()
    numbers.boxes[0, 1, 0, 0] = torch.tensor([-3.0, 0.5, -0.1, 0.1, 0.0])
    numbers.boxes[0, 1, 0, 1] = torch.tensor([-9.0, 0.5, 0.1, 0.1, 0.0])
    numbers.boxes.requires_grad_()
    losses = model.losses(numbers, [OBJECT])
    sum(losses.values()).backward()
    grad = numbers.boxes.grad[0, 1, 0]
    assert torch.isfinite(numbers.boxes.grad).all()
    assert (grad[0, :4] != 0).all()
    assert (grad[1] == 0).all()


def test_a_cell_teaches_its_largest_object_and_one_without_area_none(model):
    boxes = torch.tensor([
        [0.0, 0, 20, 20], [0, 0, 40, 40], [60, 0, 60, 40], [50, 50, 100, 100], [99, 99, 100, 100]
    ])  # fmt: skip
    assert model.learned(boxes, (100, 100)).tolist() == [False, True, False, True, False]
    assert model.learned(boxes[:0], (100, 100)).tolist() == []
    outside = torch.tensor([[90.0, 90, 110, 110]])  # its centre lies on the last edge
    assert model.learned(outside, (100, 100)).tolist() == [True]
    losses = model.losses(said(), [{"boxes": boxes, "labels": torch.arange(5) % 2}])
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_numbers_become_boxes_and_scores_and_teach_themselves_nothing(model):
    numbers = said()
    numbers.boxes[0, 1, 0, 1] = torch.tensor([0.6, 0.56, math.sqrt(0.4), -0.6, 1.0])
    numbers.classes[0, 1, 0] = torch.tensor([1.0, 0.0])
    boxes, scores = model.candidates(numbers)
    assert boxes.shape == (1, 8, 4)
    assert scores.shape == (1, 8, 2)
    torch.testing.assert_close(boxes[0, 5], OBJECT["boxes"][0])
    assert scores[0, 5].tolist() == [1.0, 0.0]
    (answer,) = model.answers(numbers)
    assert len(answer["boxes"]) == 1
    right = said()
    right.boxes[0, 1, 0, 1] = torch.tensor([0.6, 0.56, math.sqrt(0.4), 0.6, 1.0])
    right.classes[0, 1, 0, 0] = 1
    losses = model.losses(right, [OBJECT])
    assert sum(losses.values()) == pytest.approx(0, abs=1e-6)
    wild = Outputs(numbers.boxes * 1e3, numbers.classes * 1e3, (100, 100))
    boxes, scores = model.candidates(wild)
    assert ((boxes >= 0) & (boxes <= 100)).all()
    assert ((scores >= 0) & (scores <= 1)).all()


@pytest.mark.parametrize(("side", "cells"), [(32, 8), (64, 8), (128, 8), (224, 7), (448, 7)])
def test_cells_follow_the_size(side, cells):
    with torch.device("meta"):
        built = yolo_v1.yolo_v1(4, 1, side).eval()
        numbers = built.outputs(torch.zeros(2, 1, side, side))
    assert built.grid == (cells, cells)
    assert numbers.boxes.shape == (2, cells, cells, 2, 5)
    assert numbers.classes.shape == (2, cells, cells, 4)


def test_it_learns_one_picture_by_heart():
    torch.manual_seed(0)
    model = yolo_v1.yolo_v1(2, 1, 32)
    image = torch.randn(1, 1, 32, 32)
    target = [{"boxes": torch.tensor([[4.0, 6, 20, 28]]), "labels": torch.tensor([1])}]
    steps = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(60):
        loss = sum(model(image, target).values())
        steps.zero_grad()
        loss.backward()
        steps.step()
    model.train(False)
    for layer in model.modules():  # the batch's own mean, as there is one image
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.train()
    with torch.no_grad():
        (answer,) = model(image)
    assert answer["labels"][0] == 1
    torch.testing.assert_close(answer["boxes"][0], target[0]["boxes"][0], atol=1.5, rtol=0)
