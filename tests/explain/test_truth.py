"""Whether a map is true: curves beside null maps, and weights drawn anew."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from sightline.explain import maps, truth
from sightline.explain.opened import evaluating


class Patch(nn.Module):
    """A network whose left class is how white one patch is."""

    head_names = ("head",)

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 1, 1), nn.Linear(1, 2)
        nn.init.constant_(self.conv.weight, 1 / 3)
        nn.init.zeros_(self.conv.bias)
        self.head.weight.data = torch.tensor([[4.0], [-4.0]])
        nn.init.zeros_(self.head.bias)

    def forward(self, x):
        return self.head(self.conv(x)[:, :, 10:14, 1:5].mean((2, 3)))


@pytest.fixture
def patch(opened_of):
    opened = opened_of(Patch())
    # Of a middle grey, as what is covered; the patch alone is white.
    pixels = np.full((16, 16, 3), 128, np.uint8)
    pixels[10:14, 1:5] = 255
    picture = opened.picture(pixels)
    return opened, picture, opened.targets(picture)


def test_the_map_of_the_pixels_that_count_beats_the_null_maps(patch):
    opened, picture, targets = patch
    right = np.zeros((16, 16), np.float32)
    right[10:14, 1:5] = 1
    with evaluating(opened.model):
        good = truth.judge(opened, picture, targets[0], maps.Map("right", right))
        bad = truth.judge(opened, picture, targets[0], maps.Map("wrong", 1 - right))
        nulls = truth.judge_nulls(opened, picture, targets[0], [])
    whole = float(targets[0].score)
    assert good.deletion[0] == pytest.approx(whole, abs=1e-5)
    assert good.insertion[-1] == pytest.approx(whole, abs=1e-5)
    assert good.deletion[2:] == pytest.approx(0.5, abs=0.02)  # 16 of 256 pixels were enough
    assert truth.unbeaten(bad, nulls) == {
        "deletion": list(truth.NULLS), "insertion": list(truth.NULLS)
    }  # fmt: skip
    assert "deletion" not in truth.unbeaten(good, [n for n in nulls if n.name != "edges"])
    flat = truth.Judged(maps.Map("flat", right * 0, evidence=False), good.deletion, good.insertion)
    assert truth.unbeaten(flat, nulls)["insertion"] == list(truth.NULLS)


def test_the_score_is_the_area_under_the_curve():
    ramp = np.linspace(1, 0, truth.STEPS + 1)
    one = truth.Judged(maps.Map("", np.zeros((2, 2), np.float32)), ramp, ramp**0)
    assert one.score("deletion") == pytest.approx(0.5)
    assert one.score("insertion") == pytest.approx(1.0)


def test_null_maps_are_what_they_are_called(patch):
    _, picture, _ = patch
    chance, middle, edges = (truth.null_map(n, picture, (4, 4), seed=1) for n in truth.NULLS)
    assert np.unravel_index(middle.values.argmax(), (16, 16)) in {(7, 7), (7, 8), (8, 7), (8, 8)}
    assert edges.values[10, 1] > 0.5
    assert edges.values[:6].max() == 0
    assert (chance.values == truth.null_map("random", picture, (4, 4), seed=1).values).all()
    assert (chance.values != truth.null_map("random", picture, (4, 4), seed=2).values).any()


def test_random_weights_change_a_map_that_depends_on_them_and_leave_the_network(
    opened_of, two_layers, noise
):
    opened = opened_of(two_layers)
    picture = opened.picture(noise)
    targets = opened.targets(picture)
    before = {k: v.clone() for k, v in two_layers.state_dict().items()}
    told = truth.explain(
        opened, picture, targets, ["grad-cam", "smoothgrad"], layer="conv", randomise=True
    )
    stages = told.randomised["grad-cam"]
    assert [stage.layer for stage in stages] == ["head", "conv"]
    assert abs(stages[-1].correlation) < 1
    assert all((before[k] == v).all() for k, v in two_layers.state_dict().items())
    rows = told.document()["maps"]
    assert [row["method"] for row in rows] == ["grad-cam", "smoothgrad"]
    assert rows[0]["beats_null_maps"] == (rows[0]["not_beaten"] == {})


def test_rank_correlation_equals_scipys(noise):
    from scipy import stats

    a, b = noise[..., 0].astype(float), noise[..., 1].astype(float)
    expected = stats.spearmanr(a.ravel(), b.ravel()).statistic
    assert truth.rank_correlation(a, b) == pytest.approx(expected)
    assert truth.rank_correlation(a, a * 0) == 0
