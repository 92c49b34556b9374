"""What filters look for: kernels as pictures, images that a number grows for, maps, and dreams."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from sightline.cli import explain_filters as cli
from sightline.errors import ParameterError, TrainingError, UnknownNameError
from sightline.explain import dream, filters, synthesis
from sightline.explain import feature_maps as maps
from sightline.explain.synthesis import Ascent, maximise

QUICK = Ascent(steps=12, seed=1)


class TwoColours(nn.Module):
    """A convolution whose two filters see red and blue, and a head."""

    head_names = ("head",)

    def __init__(self):
        super().__init__()
        self.see = nn.Conv2d(3, 2, 3, padding=1, bias=False)
        self.deep = nn.Conv2d(2, 8, 1)
        self.head = nn.Linear(8, 2)
        weight = torch.zeros(2, 3, 3, 3)
        weight[0, 0], weight[1, 2] = 1 / 9, 1 / 9
        self.see.weight.data = weight

    def forward(self, x):
        return self.head(self.deep(self.see(x)).mean((2, 3)))


@pytest.fixture
def opened(opened_of):
    torch.manual_seed(0)
    return opened_of(TwoColours())


def test_an_image_grows_what_a_filter_sees(opened):
    before = opened.layer("see").weight.clone()
    made = filters.favourite(opened, "see", 2, 16, Ascent(steps=40, blur=0, variation=0))
    red, blue = made.pictures.astype(float).mean((1, 2))
    assert red[0] > red[2] + 15
    assert blue[2] > blue[0] + 15
    assert made.numbers.tolist() == [0, 1]
    torch.testing.assert_close(opened.layer("see").weight, before)
    assert opened.layer("see").weight.requires_grad


def test_the_number_is_that_of_the_image_and_seeds_tell(opened):
    said = filters.maps_of(opened, "see")
    told = []
    args = opened, lambda x: said(x)[:, 0].mean((1, 2)), 1, (16, 16)
    pictures, answers = maximise(*args, QUICK, lambda *at: told.append(at))
    again, _ = maximise(*args, QUICK)
    other, _ = maximise(*args, Ascent(steps=12, seed=2))
    np.testing.assert_array_equal(pictures, again)
    assert (pictures != other).any()
    assert told == [(n, 12) for n in range(1, 13)]
    by_hand = said(opened.standardised(pictures))[:, 0].mean((1, 2))
    assert answers[0] == pytest.approx(float(by_hand[0].detach()), abs=0.02)


def test_penalties_make_images_smooth(opened):
    def difference(**weights):
        number = filters.maps_of(opened, "deep")
        pictures, _ = maximise(
            opened, lambda x: number(x)[:, 0].mean((1, 2)), 1, (16, 16),
            Ascent(steps=30, **weights),
        )  # fmt: skip
        return np.abs(np.diff(pictures.astype(float), axis=1)).mean()

    plain = difference(blur=0, variation=0)
    assert difference(blur=0, variation=20) < plain
    assert difference(blur=200, variation=0) < plain


def test_variation_and_roughness_by_hand():
    pixels = torch.zeros(1, 1, 4, 4)
    pixels[..., 2:] = 1  # an edge: of 12 neighbours along, 4 differ; none down
    assert float(synthesis.variation(pixels)) == pytest.approx(1 / 3)
    # A blur of (1, 2, 1) / 4 takes a quarter away on both sides of the edge: 8 of 16 pixels.
    assert float(synthesis.roughness(pixels)) == pytest.approx(0.5 * 0.25**2)


def test_kernels_of_three_inputs_are_colours_of_more_their_components():
    weight = torch.zeros(2, 3, 1, 2)
    weight[0, 0, 0, 0], weight[1, 2, 0, 1] = 2.0, -0.5
    made = filters.kernels("a", weight)
    assert made.pictures[0, 0, 0].tolist() == [255, 128, 128]
    assert made.pictures[1, 0, 1].tolist() == [128, 128, 0]
    assert made.pictures[1, 0, 0].tolist() == [128, 128, 128]
    assert "red, green and blue" in made.title
    deep = torch.randn(5, 7, 3, 3, generator=torch.Generator().manual_seed(0))
    made = filters.kernels("b", deep)
    assert made.pictures.shape == (5, 3, 3, 3)
    assert "3 principal components of 7 input channels" in made.title
    alone = filters.kernels("b", deep, inputs=True, most=10)
    assert alone.pictures.shape == (10, 3, 3, 1)
    assert alone.shape == (35, 1, 3, 3)
    # Two inputs that say the same are one component: all kernels are one colour and its opposite.
    twice = torch.stack([deep[:, 0], deep[:, 0]], 1)
    colours = filters.kernels("c", twice).pictures.astype(int).reshape(-1, 3) - 128
    assert np.abs(colours[:, 1:]).max() <= 1
    assert (
        filters.kernels("d", torch.zeros(2, 1, 3, 3)).pictures.tolist()
        == np.full((2, 3, 3, 1), 128).tolist()
    )


def test_the_most_active_channels_come_first(opened):
    pixels = np.zeros((12, 12, 3), np.uint8)
    pixels[:6, :, 0] = 255  # red above
    way = maps.follow(opened, opened.picture(pixels), ("see",))
    (layer,) = way.layers
    out = filters.maps_of(opened, "see")(way.picture.x)[0].detach().clamp(min=0)
    assert layer.numbers.tolist() == out.mean((1, 2)).argsort(descending=True).tolist()
    np.testing.assert_allclose(layer.maps, out[layer.numbers].numpy(), rtol=1e-5)
    assert layer.numbers[0] == 0
    assert layer.maps[0][:5].min() > layer.maps[0][7:].max()
    assert [m.layer for m in maps.follow(opened, way.picture).layers] == ["see", "deep"]


def test_dreams_grow_their_number(opened):
    noise = np.random.default_rng(0).integers(90, 160, (40, 50, 3), np.uint8)
    made = dream.dream(opened, noise, layer="deep", steps=3, octaves=2)
    assert made.answers[1] > made.answers[0]
    assert made.pixels.shape == made.before.shape == (40, 50, 3)
    again = dream.dream(opened, noise, layer="deep", steps=3, octaves=2)
    np.testing.assert_array_equal(made.pixels, again.pixels)
    of_class = dream.dream(opened, class_name=opened.outputs[1], steps=20, side=16)
    assert of_class.answers[1] > of_class.answers[0]
    assert of_class.before is None
    grey = dream.dream(opened, Image.new("LA", (9, 70), 90), steps=1, octaves=1)
    assert "9 x 70 pixels, dreamt at" in grey.notes[-1]


def test_a_segmenter_dreams_of_a_class_at_every_place(opened_of):
    model = nn.Conv2d(3, 2, 1, bias=False)
    model.weight.data = torch.tensor([[1.0, 0, 0], [0, 0, 1.0]])[..., None, None]
    opened = opened_of(nn.Sequential(model), task="segment", ignored_=np.zeros(0, np.int64))
    number = dream.class_number(opened, 1)
    x = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(number(x), x[:, 2].mean((1, 2)))  # by hand: the blue of all places
    made = dream.dream(opened, class_name="right", steps=10, side=16)
    assert made.answers[1] > made.answers[0]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda o: filters.look(o, ["sea"]), UnknownNameError, "did you mean 'see'"),
        (lambda o: filters.look(o, filters=0), ParameterError, "at least 1"),
        (lambda o: filters.look(o, ["see", "deep"], side=4), ParameterError, "at least 16"),
        (lambda o: maps.follow(o, o.picture(np.zeros((9, 9, 3), np.uint8)), ("deap",)),
         UnknownNameError, "did you mean 'deep'"),
        (lambda o: dream.dream(o), ParameterError, "name what to dream of"),
        (lambda o: dream.dream(o, class_name="nobody"), UnknownNameError, "unknown class"),
        (lambda o: dream.dream(o, class_name="a", layer="b"), ParameterError, "not of both"),
        (lambda o: dream.dream(o, np.zeros((40, 40, 3), np.uint8), steps=0), ParameterError,
         "at least 1"),
        (lambda o: Ascent(jitter=-1), ParameterError, "must not be negative"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(opened, call, error, text):
    with pytest.raises(error, match=text) as raised:
        call(opened)
    assert "\n" not in str(raised.value)


def test_damaged_weights_are_said(opened):
    opened.layer("deep").weight.data.fill_(float("nan"))
    with pytest.raises(TrainingError, match="not finite"):
        filters.favourite(opened, "deep", 2, 16, QUICK)
    with pytest.raises(TrainingError, match="not finite"):
        dream.dream(opened, np.zeros((32, 32, 3), np.uint8), layer="deep", steps=1)


@pytest.mark.parametrize("network", ["convnet", "yolo-nano"])
def test_commands_for_networks_of_any_task(network, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 70, 4), np.uint8)).save("图.png")
    assert cli.filters(network, untrained=True, filters=2, steps=1, size=32, json=True) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["kernels"]
    assert "random weights" in made["notes"][0]
    assert cli.features(network, tmp_path / "图.png", untrained=True, channels=2, json=True) == 0
    assert len(json.loads(capsys.readouterr().out)["layers"]) > 1
    named = {"untrained": True, "steps": 1, "json": True}
    assert cli.dream(network, class_name="class 3", size=32, **named) == 0
    assert cli.dream(network, tmp_path / "图.png", size=64, octaves=1, **named) == 0
    assert {"图-features.png", "图-features.html", "图-dream.png", f"dream-{network}.html"} <= {
        path.name for path in tmp_path.iterdir()
    }
