"""The localiser's loss by hand, what it learns of a picture, and the classifiers it stands on."""

from __future__ import annotations

import math

import pytest
import torch
from torchvision.models import resnet18

from sightline.errors import ParameterError, UnknownNameError
from sightline.models import registry
from sightline.models.detect.localizer import Outputs, learned, localizer
from sightline.models.weights import fit_in

NOTHING = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return localizer(2, 1, 32, backbone="convnet").eval()


def test_the_loss_is_the_class_and_three_times_the_relative_box(model):
    """An image 20 wide and 10 high; the box begins as its middle half."""
    said = Outputs(torch.zeros(2, 3), torch.full((2, 4), 0.5), (10, 20))
    target = {
        "boxes": torch.tensor([[0.0, 0, 2, 2], [0, 0, 10, 10]]), "labels": torch.tensor([0, 1])
    }  # fmt: skip
    losses = model.losses(said, [target, NOTHING])
    # (0.25, 0.5, 0.5, 1) is asked for: off by 0.25, 0, 0 and 0.5, each less half of 0.1.
    assert float(losses["bbox_regression"]) == pytest.approx(3 * (0.2 + 0.45) / 2)
    assert float(losses["classification"]) == pytest.approx(math.log(3))
    sure = Outputs(torch.tensor([[0.0, 0, 50], [50, 0, 0]]), said.boxes, said.size)
    assert float(model.losses(sure, [target, NOTHING])["classification"]) < 1e-6


def test_pictures_without_an_object_teach_the_background_and_no_box(model):
    said = Outputs(torch.zeros(2, 3, requires_grad=True), torch.zeros(2, 4), (10, 20))
    flat = {"boxes": torch.tensor([[3.0, 3, 3, 9]]), "labels": torch.tensor([1])}
    losses = model.losses(said, [NOTHING, flat])
    assert float(losses["bbox_regression"]) == 0
    losses["classification"].backward()
    assert (said.logits.grad.argmin(1) == 0).all()


def test_the_largest_object_with_an_area_is_learned():
    boxes = torch.tensor([[0.0, 0, 5, 5], [0, 0, 9, 9], [0, 0, 99, 0], [1, 1, 10, 10]])
    assert learned(boxes).tolist() == [False, True, False, False]
    assert learned(boxes[2:3]).tolist() == [False]
    assert learned(boxes[:0]).tolist() == []


def test_an_answer_is_one_object_in_the_image(model):
    said = Outputs(
        torch.tensor([[0.0, 2, 1], [9, 0, 0]]), torch.tensor([[0.25, 0.5, 0.5, 1], [2, 2, 9, -1]]),
        (10, 20),
    )  # fmt: skip
    one, none = model.answers(said)
    assert one["boxes"].tolist() == [[0, 0, 10, 10]]
    assert one["labels"].tolist() == [0]
    assert float(one["scores"]) == pytest.approx(math.exp(2) / (1 + math.exp(2) + math.e))
    assert len(none["scores"]) == 0


@pytest.mark.parametrize(
    ("backbone", "side"),
    [("mlp", 8), ("convnet", 16), ("resnet9", 32), ("googlenet", 32), ("alexnet", 64)],
)
def test_it_stands_on_any_classifier(backbone, side):
    built = localizer(3, 3, side, backbone=backbone)
    images, target = torch.randn(2, 3, side, side), {
        "boxes": torch.tensor([[1.0, 2, 6, 7]]), "labels": torch.tensor([2])
    }  # fmt: skip
    losses = built(images, [target, NOTHING])
    sum(losses.values()).backward()
    assert built.box_head.weight.grad.abs().sum() > 0
    assert built.head_names[0].startswith("backbone.")
    assert built.get_submodule(built.head_names[0]).out_features == 4
    assert not [m for m in built.backbone.modules() if m._forward_hooks]
    with torch.no_grad():
        assert len(built.eval()(images)) == 2


@pytest.mark.parametrize("side", [32, 96])
def test_a_trained_classifier_is_taken_but_for_its_head(side):
    state = resnet18(weights=None).state_dict()
    built = localizer(3, 3, side, backbone="resnet18")
    fresh = fit_in(state, built, 4, 1000, "resnet18")
    own = built.state_dict()
    assert torch.equal(own["backbone.layer4.1.conv2.weight"], state["layer4.1.conv2.weight"])
    stem = {"backbone.conv1.weight"} if side == 32 else set()
    head = {
        f"{layer}.{kind}" for layer in ("backbone.fc", "box_head") for kind in ("weight", "bias")
    }
    assert set(fresh) == head | stem


def test_its_cards_are_named_after_the_classifier():
    card = registry.card("localizer:resnet18")
    assert (card.task, card.pretrained, card.weights) == ("detect", "resnet18", ("imagenet",))
    assert registry.card("localizer:finetune").pretrained == "efficientnet_lite0"
    assert registry.card("localizer:convnet").weights == ()
    with pytest.raises(ParameterError, match="knn is no network that classifies"):
        registry.card("localizer:knn")
    with pytest.raises(ParameterError, match="ssd300 is no network that classifies"):
        registry.card("localizer:ssd300")
    with pytest.raises(UnknownNameError, match="did you mean 'resnet18'"):
        registry.card("localizer:resnet81")
