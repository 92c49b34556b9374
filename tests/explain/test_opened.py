"""Opening a network to look into it, by a run's folder or by its name."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import sightline
from sightline.data.images import as_array
from sightline.errors import ParameterError, UnknownNameError
from sightline.explain.opened import evaluating, open_network


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    data = sightline.load_data("digits")
    model = sightline.create_model("convnet", epochs=0.1).fit(data.train)
    return model.save(tmp_path_factory.mktemp("runs") / "convnet")


def test_a_run_says_what_its_model_says(run):
    opened = open_network(run)
    image = np.random.default_rng(1).integers(0, 256, (40, 20, 3), np.uint8)
    picture = opened.picture(image)
    said = sightline.load_model(run).predict(image)[0]
    targets = opened.targets(picture)
    assert picture.frame.size == (40, 20)
    assert targets[0].name == said.name
    assert targets[0].score == pytest.approx(said.score, abs=1e-5)
    assert (opened.as_bytes(picture.x)[0] == picture.seen).all()
    assert opened.default_layer(picture, targets[0]) == "features"
    assert list(opened.convolutions()) == ["features.0", "features.4"]


def test_names_are_mended(run):
    opened = open_network(run)
    with pytest.raises(UnknownNameError, match=r"did you mean 'features\.4'"):
        opened.convolution("feature.4")
    with pytest.raises(UnknownNameError, match="layer of"):
        opened.layer("features.40")
    with pytest.raises(UnknownNameError, match="class"):
        opened.output_of("eleven")
    with pytest.raises(ParameterError, match="is a classifier, whose answer has no boxes"):
        opened.targets(opened.picture(np.zeros((9, 9), np.uint8)), box=1)


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("knn", "no neural network"),
        ("mlp-numpy", "written out in NumPy"),
        ("convnet", "random weights with untrained=True"),
    ],
)
def test_what_cannot_be_looked_into_says_why(what, why):
    with pytest.raises(ParameterError, match=why):
        open_network(what)


def test_random_weights_are_said_to_be_random(run):
    opened = open_network("torchvision:squeezenet1_1", untrained=True)
    assert "learned nothing" in opened.note
    picture = opened.picture(np.zeros((70, 90, 3), np.uint8))
    target = opened.targets(picture, "class 3")[0]
    assert target.label == 3
    assert opened.default_layer(picture, target).startswith("features")
    with pytest.raises(ParameterError, match="for a network by name"):
        open_network(run, untrained=True)


def test_imagenet_classes_go_by_either_name():
    opened = open_network("imagenet:efficientnet-lite0")
    assert opened.output_of("zebra") == opened.output_of("斑马") == 340
    with pytest.raises(UnknownNameError, match="did you mean 'zebra'"):
        opened.output_of("zebro")


def test_modes_and_gradients_come_back_one_by_one(two_layers):
    model = nn.Sequential(nn.BatchNorm2d(3), two_layers).train()
    model[0].eval()
    model[1].conv.weight.requires_grad_(False)
    before = model[0].running_mean.clone()

    def interrupted():
        with evaluating(model):
            assert not any(m.training for m in model.modules())
            assert not any(p.requires_grad for p in model.parameters())
            model(torch.randn(2, 3, 8, 8))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        interrupted()
    assert (model.training, model[0].training, model[1].training) == (True, False, True)
    assert not model[1].conv.weight.requires_grad
    assert model[1].head.weight.requires_grad
    assert (model[0].running_mean == before).all()


def test_a_network_without_convolutions_has_no_layer_to_look_at(opened_of):
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 2))
    opened = opened_of(model)
    picture = opened.picture(as_array(np.zeros((5, 5, 3), np.uint8)))
    with pytest.raises(ParameterError, match="has no convolution"):
        opened.default_layer(picture, opened.targets(picture)[0])


class Grid(nn.Module):
    """A detector of one box in each corner, whose score is what its corner says."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 2, 1), nn.AvgPool2d(8), nn.Conv2d(2, 2, 1))

    def outputs(self, x):
        return self.backbone(x)

    def candidates(self, said):
        corners = torch.tensor([[0.0, 0, 8, 8], [8, 0, 16, 8], [0, 8, 8, 16], [8, 8, 16, 16]])
        boxes = corners.expand(len(said), -1, -1)
        return boxes, said.flatten(2).transpose(1, 2).sigmoid()

    def forward(self, x):
        boxes, scores = self.candidates(self.outputs(x))
        best, labels = scores.max(2)
        return [
            {"boxes": b, "scores": s, "labels": c}
            for b, s, c in zip(boxes, best, labels, strict=True)
        ]


def test_a_box_is_followed_by_where_it_is(opened_of):
    torch.manual_seed(0)
    opened = opened_of(Grid(), task="detect")
    picture = opened.picture(np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8))
    targets = opened.targets(picture)
    assert [t.score for t in targets] == sorted((t.score for t in targets), reverse=True)
    assert [t.name.partition(":")[0] for t in targets] == [f"box {i}" for i in (1, 2, 3, 4)]
    said = opened.said(torch.cat((picture.x, picture.x * 0)))
    for target in targets:
        assert target.value(said)[0].item() == pytest.approx(target.score)
    assert opened.targets(picture, box=2)[0].score == targets[1].score
    with pytest.raises(ParameterError, match="there is no box 5: mine finds 4 objects"):
        opened.targets(picture, box=5)
    assert opened.default_layer(picture, targets[0]) == "backbone"


def test_a_class_of_pixels_is_the_sum_over_those_answered_as_it(opened_of):
    torch.manual_seed(0)
    model = nn.Conv2d(3, 2, 3, padding=1)
    opened = opened_of(model, task="segment", ignored_=np.zeros(0, np.int64))
    picture = opened.picture(np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8))
    logits = model(picture.x)
    for target in opened.targets(picture):
        region = logits.argmax(1)[0].numpy() == target.label
        assert (target.region == region).all()
        own = logits[0, target.label][torch.from_numpy(region)].sum()
        assert target.value(logits).item() == pytest.approx(own.item(), rel=1e-5)
