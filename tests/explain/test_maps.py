"""Maps of an answer: by hand, against other people's code, and where there is nothing to see."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from sightline.errors import ParameterError, UnknownNameError
from sightline.explain import maps
from sightline.explain.methods import METHODS
from sightline.explain.opened import evaluating


class Small(nn.Module):
    """Three convolutions with batch normalisation, some of whose maps are dead."""

    head_names = ("head",)

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(inplace=True),
            nn.Conv2d(6, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(inplace=True),
        )  # fmt: skip
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        return self.head(self.body(x).mean((2, 3)))


@pytest.fixture
def small(opened_of, noise):
    torch.manual_seed(3)
    model = Small()
    model(torch.randn(64, 3, 16, 16))  # statistics of batch normalisation
    opened = opened_of(model.eval(), classes="abcd")
    picture = opened.picture(noise)
    return opened, picture, opened.targets(picture, "c")[0]


def test_grad_cam_is_what_one_computes_by_hand(opened_of, two_layers, noise):
    """With a mean over places the gradient of a class is its weight over the number of places."""
    opened = opened_of(two_layers)
    picture = opened.picture(noise)
    target = opened.targets(picture, "right")[0]
    (made,) = maps.explain(opened, picture, target, layer="conv")
    with torch.no_grad():
        out = two_layers.conv(picture.x)[0].numpy()
    # A relu follows: the gradient of each place is w / 256 where the map is positive.
    weights = two_layers.head.weight[1].detach().numpy() * (out > 0).mean((1, 2)) / 256
    expected = np.maximum((weights[:, None, None] * out).sum(0), 0)
    expected = (expected - expected.min()) / (expected.max() - expected.min())
    assert made.values == pytest.approx(expected, abs=1e-5)
    assert made.evidence


@pytest.mark.parametrize("name", ["GradCAM", "GradCAMPlusPlus", "LayerCAM", "ScoreCAM"])
def test_maps_equal_those_of_the_package_grad_cam(small, name, monkeypatch):
    package = pytest.importorskip("pytorch_grad_cam")
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    # The package enlarges Score-CAM's masks with aligned corners, unlike its maps and OpenCV.
    monkeypatch.setattr(
        torch.nn, "UpsamplingBilinear2d",
        lambda size: lambda x: functional.interpolate(x, size, mode="bilinear"),
    )  # fmt: skip
    opened, picture, target = small
    if name == "GradCAMPlusPlus":  # the package adds 1e-6 to a sum of squared gradients
        opened.model.head.weight.data *= 100
    method = {"GradCAM": "grad-cam", "GradCAMPlusPlus": "grad-cam++", "LayerCAM": "layer-cam",
              "ScoreCAM": "score-cam"}[name]  # fmt: skip
    (ours,) = maps.explain(opened, picture, target, [method], layer="body.5")
    with getattr(package, name)(model=opened.model, target_layers=[opened.model.body[5]]) as cam:
        theirs = cam(input_tensor=picture.x, targets=[ClassifierOutputTarget(2)])[0]
    assert ours.values == pytest.approx(theirs, abs=1e-4)


def test_eigen_cam_is_the_first_singular_vector(small):
    """Not the package's: that subtracts each map's mean first, and leaves the sign to chance."""
    opened, picture, target = small
    (ours,) = maps.explain(opened, picture, target, ["eigen-cam"], layer="body.5")
    with evaluating(opened.model), torch.no_grad():
        A = opened.model.body(picture.x)[0].numpy()
    u, s, _ = np.linalg.svd(A.reshape(len(A), -1).T, full_matrices=False)
    raw = np.abs(u[:, 0] * s[0]).reshape(A.shape[1:])  # of one sign, as the maps are
    raw = (raw - raw.min()) / (raw.max() - raw.min())
    size = (16, 16)
    large = functional.interpolate(torch.from_numpy(raw)[None, None], size, mode="bilinear")[0, 0]
    large = (large - large.min()) / (large.max() - large.min())
    assert ours.values == pytest.approx(large.numpy(), abs=1e-4)


def test_score_cam_asks_about_one_map_after_the_other(small):
    opened, picture, target = small
    opened.model.body[4].bias.data[:2] = -50  # two maps that are zero everywhere
    with evaluating(opened.model), torch.no_grad():
        A = opened.model.body(picture.x)
        ours = maps.score_cam(opened, picture.x, A, target.value)[0]
        said = []
        for one in A[0]:
            mask = functional.interpolate(one[None, None], (16, 16), mode="bilinear")
            mask = (mask - mask.min()) / (mask.max() - mask.min()).clamp(min=1e-8)
            said.append(opened.model(picture.x * mask)[0, 2])
        weights = torch.stack(said).softmax(0)
    assert ours.numpy() == pytest.approx((weights[:, None, None] * A[0]).sum(0).numpy(), abs=1e-5)


def test_integrated_gradients_add_up_and_equal_captums(small):
    opened, picture, target = small
    with evaluating(opened.model):
        ours, missed = maps.integrated_gradients(opened, picture.x, target.value)
        black = opened.bounds()[0].expand_as(picture.x)
        with torch.no_grad():
            change = target.value(opened.said(picture.x)) - target.value(opened.said(black))
    assert missed <= 0.01
    assert float(ours.sum()) == pytest.approx(float(change), rel=0.01)
    captum = pytest.importorskip("captum.attr")
    theirs = captum.IntegratedGradients(opened.model).attribute(
        picture.x, black, target=2, n_steps=41, method="riemann_trapezoid"
    )
    with evaluating(opened.model):
        ours, _ = maps.integrated_gradients(opened, picture.x, target.value, steps=40)
    # The weights of captum's trapezoidal rule add up to (n - 1) / n.
    assert ours.numpy() == pytest.approx(41 / 40 * theirs.detach().numpy(), abs=1e-6)


def test_one_pass_forward_serves_all_classes_and_images(small):
    opened, picture, _ = small
    x = torch.cat((picture.x, picture.x.flip(3)))
    passes = []
    handle = opened.model.register_forward_hook(lambda *_: passes.append(1))
    with evaluating(opened.model):
        values = [lambda said, c=c: said[:, c] for c in range(4)]
        A, slopes = maps.activations(opened, x, "body.5", values)
        assert len(passes) == 1
        for c, G in enumerate(slopes):
            target = opened.targets(picture, "abcd"[c])[0]
            _, (alone,) = maps.activations(opened, x[1:], "body.5", [target.value])
            assert G[1].numpy() == pytest.approx(alone[0].numpy(), abs=1e-6)
    handle.remove()
    assert A.shape == (2, 8, 8, 8)


@pytest.mark.parametrize("method", METHODS)
def test_a_network_that_says_the_same_of_everything_gives_no_evidence(opened_of, method, noise):
    model = Small()
    nn.init.zeros_(model.head.weight)
    nn.init.zeros_(model.body[4].weight)
    opened = opened_of(model.train(), classes="abcd")
    picture = opened.picture(noise)
    (made,) = maps.explain(opened, picture, opened.targets(picture)[0], [method], layer="body.5")
    assert not made.evidence
    assert (made.values == 0).all()
    assert model.training
    assert all(p.requires_grad for p in model.parameters())


def test_occlusion_finds_the_place_that_counts(opened_of):
    class Corner(nn.Module):
        def forward(self, x):
            return torch.stack((x[:, :, 2:4, 10:12].mean((1, 2, 3)), x[:, 0, 0, 0] * 0), 1)

    model = nn.Sequential(Corner(), nn.Linear(2, 2, bias=False))
    model[1].weight.data = torch.eye(2)
    opened = opened_of(model)
    picture = opened.picture(np.full((16, 16, 3), 255, np.uint8))
    (made,) = maps.explain(opened, picture, opened.targets(picture, "left")[0], ["occlusion"])
    assert made.values[2:4, 10:12].min() == 1
    assert made.values[6:].max() == 0


def test_wrong_layers_and_methods_are_named(small, opened_of):
    opened, picture, target = small
    with pytest.raises(UnknownNameError, match=r"did you mean 'body\.5'"):
        maps.explain(opened, picture, target, layer="bodi.5")
    with pytest.raises(UnknownNameError, match="did you mean 'grad-cam'"):
        maps.explain(opened, picture, target, ["gradcam"])
    with pytest.raises(ParameterError, match="head of mine puts out no maps of several"):
        maps.explain(opened, picture, target, layer="head")
    flat = opened_of(nn.Sequential(nn.Flatten(), nn.Linear(768, 2)))
    seen = flat.picture(np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(ParameterError, match="has no convolution"):
        maps.explain(flat, seen, flat.targets(seen)[0])


def test_tokens_of_a_transformer_are_places(opened_of, noise):
    class Tokens(nn.Module):
        head_names = ("head",)

        def __init__(self):
            super().__init__()
            self.patches, self.norm = nn.Conv2d(3, 4, 4, 4), nn.LayerNorm(4)
            self.mix, self.head = nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x):
            x = self.patches(x).flatten(2).transpose(1, 2)
            x = self.norm(torch.cat((x.mean(1, keepdim=True), x), 1))
            return self.head(self.mix(x).mean(1))

    torch.manual_seed(0)
    opened = opened_of(Tokens())
    picture = opened.picture(noise)
    target = opened.targets(picture)[0]
    assert opened.default_layer(picture, target) == "mix"
    (made,) = maps.explain(opened, picture, target)
    assert made.grid == (4, 4)
    assert made.evidence
