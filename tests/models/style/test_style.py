"""Style transfer on pictures: losses against their equations, and what the extremes give."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from sightline.errors import ParameterError, TrainingError, UnknownNameError
from sightline.models.classify.resnet import resnet
from sightline.models.style import colors, losses
from sightline.models.style.optimise import Objective, Style, optimise, stalled
from sightline.models.style.perception import Layers, Perception, averaging, usual_layers

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)


@pytest.fixture
def perception():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 12, 3, padding=1), nn.Softplus(), nn.AvgPool2d(2),
        nn.Conv2d(12, 16, 3, padding=1), nn.Softplus(),
    )  # fmt: skip
    return Perception(net, MEAN, STD, Layers(("1",), ("1", "4")))


def picture(seed, size=(24, 20)):
    chance = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 5, 4, generator=chance)
    return nn.functional.interpolate(coarse, size, mode="bilinear")


def psnr(a, b):
    return -10 * math.log10(float((a - b).square().mean()))


def last(steps):
    return list(steps)[-1]


def test_gram_matrix_by_hand():
    """Two channels at three places; equation 3, divided by the three."""
    maps = torch.tensor([[[[1.0, 2, 3]], [[0.0, 1, -1]]]])
    assert torch.equal(losses.gram(maps) * 3, torch.tensor([[[14.0, -1], [-1, 2]]]))


def test_gram_matrix_of_the_guided_places_is_that_of_those_places_alone():
    maps = torch.randn(1, 4, 6, 5)
    guide = torch.zeros(1, 1, 6, 5)
    guide[..., :2] = 1
    torch.testing.assert_close(losses.gram(maps, guide), losses.gram(maps[..., :2]))


def test_distances_by_the_equations_of_the_paper():
    F, P = torch.randn(2, 1, 3, 4, 5).unbind(0)
    torch.testing.assert_close(
        losses.content_distance(F, P, "paper"), sum((F - P).flatten() ** 2) / 2
    )
    G, A = (20 * losses.gram(x) for x in (F, P))  # the paper's, which are sums over the places
    expected = ((G - A) ** 2).sum() / (4 * 3**2 * 20**2)
    torch.testing.assert_close(
        losses.style_distance(losses.gram(F), losses.gram(P), "paper"), expected
    )


@pytest.mark.parametrize("balance", losses.BALANCES)
def test_gradients_against_finite_differences(balance):
    maps, target = torch.rand(2, 1, 3, 4, 2, dtype=torch.float64).unbind(0)
    aim = losses.gram(target)
    guide = torch.rand(1, 1, 4, 2, dtype=torch.float64)
    for loss in (
        lambda x: losses.style_distance(losses.gram(x), aim, balance),
        lambda x: losses.style_distance(losses.gram(x, guide), aim, balance),
        lambda x: losses.content_distance(x, target, balance),
        losses.total_variation,
    ):
        assert torch.autograd.gradcheck(loss, (maps.clone().requires_grad_(True),))


def test_total_variation_by_hand():
    x = torch.tensor([[[[0.0, 1], [1, 3]]]])
    assert float(losses.total_variation(x)) == (1 + 4) / 2 + (1 + 4) / 2


@pytest.mark.parametrize(("optimizer", "steps"), [("adam", 200), ("lbfgs", 60)])
def test_the_content_alone_is_drawn_again_from_noise(perception, optimizer, steps):
    aim = picture(1)
    start = torch.rand(aim.shape, generator=torch.Generator().manual_seed(0))
    objective = Objective(perception, aim, [Style(picture(2))], alpha=1, beta=0)
    end = last(optimise(objective, start, steps, optimizer=optimizer))
    assert psnr(start, aim) < 12
    assert psnr(end.picture, aim) > 30


def test_the_style_alone_is_met_to_one_per_cent(perception):
    style = picture(2, (16, 28))
    start = picture(3)
    objective = Objective(perception, picture(1), [Style(style)], alpha=0, beta=1)
    end = last(optimise(objective, start, 300))
    seen, aim = perception(end.picture), perception(style)
    for name in perception.layers.style:
        wanted = losses.gram(aim[name])
        off = (losses.gram(seen[name]) - wanted).norm() / wanted.norm()
        assert off < 0.01
    assert psnr(end.picture, picture(1)) < 20  # and the content is not drawn


def test_more_beta_gives_less_content_and_more_style(perception):
    ends = []
    for beta in (0.0, 1.0, 100.0):
        objective = Objective(perception, picture(1), [Style(picture(2))], alpha=1, beta=beta)
        x = last(optimise(objective, picture(1), 60)).picture
        both = Objective(perception, picture(1), [Style(picture(2))], alpha=1, beta=1)(x)
        ends.append((float(both.content), float(both.style)))
    assert ends[0][0] < 1e-6
    assert [c for c, _ in ends] == sorted(c for c, _ in ends)
    assert [s for _, s in ends] == sorted((s for _, s in ends), reverse=True)


def test_the_weights_of_styles_are_shares(perception):
    one, two = Style(picture(2), 1.0), Style(picture(3), 3.0)
    x = picture(4)

    def style(*styles):
        return float(Objective(perception, picture(1), styles)(x).style)

    assert style(one, two) == pytest.approx(style(one) / 4 + 3 * style(two) / 4, rel=1e-5)


def test_nothing_moves_where_nothing_is_asked_for(perception):
    where = torch.zeros(1, 1, 24, 20)
    where[..., :10] = 1
    content = picture(1)
    objective = Objective(perception, content, [Style(picture(2), 1.0, where)])
    end = last(optimise(objective, content, 10, kept=where)).picture
    assert torch.equal(end[..., 10:], content[..., 10:])
    assert not torch.allclose(end[..., :10], content[..., :10], atol=0.02)


def test_the_same_start_gives_the_same_picture(perception):
    objective = Objective(perception, picture(1), [Style(picture(2))])
    a, b = (last(optimise(objective, picture(3), 5)).picture for _ in range(2))
    assert torch.equal(a, b)


def test_a_loss_that_is_no_number_is_said(perception):
    objective = Objective(perception, picture(1), [Style(picture(2))], beta=1e39)
    with pytest.raises(TrainingError, match="no finite number at step 1"):
        list(optimise(objective, picture(3), 3))


def test_a_loss_that_does_not_fall_is_noticed():
    falling = [1 / (n + 1) for n in range(60)]
    assert not stalled(falling)
    assert stalled(falling[:20] + [falling[19]] * 60)
    assert not stalled([1.0] * 10)  # too few to tell


def test_colours_are_those_of_the_content():
    """With the luminance of the picture, where no colour leaves the range."""
    content, drawn = 0.4 + 0.2 * picture(1), 0.4 + 0.2 * picture(2)
    made = colors.coloured(drawn, content)
    torch.testing.assert_close(colors.luminance(made), colors.luminance(drawn), atol=2e-4, rtol=0)
    chroma = [x - colors.luminance(x) for x in (made, content)]
    torch.testing.assert_close(*chroma, atol=2e-4, rtol=0)


def test_a_style_takes_on_the_brightness_of_the_content():
    style = colors.like(picture(1), content := 0.3 + 0.3 * picture(2))
    grey = colors.luminance(content)
    torch.testing.assert_close(style.mean(), grey.mean(), atol=0.02, rtol=0)
    torch.testing.assert_close(style.std(), grey.std(), atol=0.02, rtol=0)


def test_the_network_is_frozen_and_averages():
    model = averaging(resnet(3, depth=18))
    assert not any(isinstance(layer, nn.MaxPool2d) for layer in model.modules())
    seen = Perception(model, MEAN, STD, Layers(("layer1",), ("layer1",)))
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    x = torch.rand(1, 3, 40, 30, requires_grad=True)
    seen(x)["layer1"].sum().backward()
    assert x.grad.abs().sum() > 0


def test_usual_layers_are_one_for_each_size_of_maps():
    """Of any network with convolutions: the last layer before each halving."""
    chosen = usual_layers("other", resnet(3, depth=18))
    assert chosen.style == ("relu", "layer1", "layer2", "layer3", "layer4")
    assert chosen.content == ("layer2",)


def test_layers_that_cannot_be_looked_at():
    model = resnet(3, depth=18)
    with pytest.raises(UnknownNameError, match="layer1"):
        Perception(model, MEAN, STD, Layers(("layer1",), ("leyer1",)))
    with pytest.raises(ParameterError, match="no map"):
        Perception(model, MEAN, STD, Layers(("fc",), ("fc",)))(torch.rand(1, 3, 32, 32))
    with pytest.raises(ParameterError, match="no convolutions"):
        usual_layers("mlp", nn.Sequential(nn.Flatten(), nn.Linear(12, 3)))


def test_a_style_may_have_any_size(perception):
    """Pictures of any size serve as a style."""
    small, large = picture(2, (9, 9)), picture(2, (64, 70))
    a, b = (
        float(Objective(perception, picture(1), [Style(s)])(picture(1)).style)
        for s in (small, large)
    )
    assert np.isfinite([a, b]).all()
