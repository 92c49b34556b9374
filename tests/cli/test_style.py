"""``sightline style``: what it writes, and one clear line for what it cannot draw."""

import json

import numpy as np
import pytest
from PIL import Image

from sightline.estimators import style_transfer
from sightline.estimators.style_transfer import Wanted, plan, transfer

RNG = np.random.default_rng(0)
FAST = ("--size", 64, "--steps", 3)


@pytest.fixture
def pictures(tmp_path):
    """A content, two styles and a mask, one name in Chinese."""
    made = {}
    for name, shape in (("猫", (60, 80, 3)), ("一", (50, 50, 3)), ("b", (70, 40, 3))):
        coarse = RNG.integers(0, 256, (6, 8, 3), np.uint8)
        made[name] = tmp_path / f"{name}.png"
        Image.fromarray(coarse).resize(shape[1::-1]).save(made[name])
    mask = np.zeros((60, 80), np.uint8)
    mask[:, :40] = 255
    made["mask"] = tmp_path / "mask.png"
    Image.fromarray(mask).save(made["mask"])
    return made


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def test_everything_that_can_be_asked_for_at_once(run, pictures, tmp_path):
    status, out, err = run(
        "style", pictures["猫"], pictures["一"], pictures["b"], "--weights", "2,1", "--mask",
        pictures["mask"], "--gif", "way.gif", "--losses", "loss.png", "--preview", "--json",
        "--size", 64, "--steps", 12,
    )  # fmt: skip
    assert status == 0, err
    said = json.loads(out)
    assert said["picture"] == "猫-一-b.png"
    assert Image.open("猫-一-b.png").size == (64, 48)
    with Image.open("way.gif") as way:
        assert way.n_frames > 2
    assert Image.open("loss.png").width > 300
    assert "%E7%8C%AB" in (tmp_path / "猫-一-b.html").read_text()  # the name as a URL
    assert said["network"].startswith("imagenet:")
    assert said["last"]["style"] < said["first"]["style"]
    # Where the mask is black the photograph stays.
    drawn = pixels("猫-一-b.png")
    whole = Image.open(pictures["猫"]).resize((64, 48), Image.Resampling.BILINEAR)
    kept = np.abs(drawn - np.asarray(whole).astype(int)).max(2)
    assert kept[:, 34:].max() <= 2
    assert kept[:, :30].max() > 10


def test_text_says_what_was_scaled_and_how_it_went(run, pictures):
    status, out, err = run("style", pictures["猫"], pictures["b"], *FAST, "-o", "x.jpg")
    assert status == 0
    assert "80 x 60 to 64 x 48" in err.replace("\n", " ")
    assert "3 steps at 64 x 48" in out
    assert Image.open("x.jpg").format == "JPEG"


def test_the_figure_of_layers_and_balances(run, pictures):
    status, out, err = run("plot", "style", pictures["猫"], pictures["b"], *FAST[:3], 1, "--json")
    assert status == 0, err
    said = json.loads(out)
    assert said["picture"] == "style-猫.png"
    layers = said["rows"]["content of one layer, from noise"]
    assert layers[0] == "act"
    up_to = [f"... {name}" for name in layers[1:]]
    assert said["rows"]["style up to a layer, from noise"] == ["act", *up_to]
    assert Image.open("style-猫.png").width > 800


def test_grey_and_transparent_pictures(run, pictures, tmp_path):
    Image.open(pictures["猫"]).convert("L").save(tmp_path / "grey.png")
    Image.open(pictures["b"]).convert("RGBA").save(tmp_path / "clear.png")
    status, _, err = run("style", "grey.png", "clear.png", "--preserve-color", *FAST)
    assert status == 0, err
    drawn = pixels("grey-clear.png")
    assert np.ptp(drawn, axis=2).max() <= 2  # the colours of a grey picture are grey


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("猫.png", "猫.png"), "same picture"),
        (("猫.png", "no.png"), "no.png: no such file"),
        (("猫.png", "text.png"), "text.png"),
        (("tiny.png", "b.png"), "too few"),
        (("猫.png", "tiny.png"), "too few"),
        (("猫.png", "b.png", "--mask", "b.png"), "size of the content"),
        (("猫.png", "b.png", "--mask", "mask.png", "--mask", "mask.png"), "2 masks for 1 style"),
        (("猫.png", "b.png", "--weights", "1,2"), "2 weights for 1 style"),
        (("猫.png", "b.png", "--weights", "a"), "are numbers"),
        (("猫.png", "b.png", "--size", "32"), "from 64 to 4096"),
        (("猫.png", "b.png", "--alpha", "0", "--beta", "0"), "nothing to draw"),
        (("猫.png", "b.png", "--beta", "nan"), "beta must be a number"),
        (("猫.png", "b.png", "--steps", "0"), "steps must be"),
        (("猫.png", "b.png", "--layers", "blocks.99"), "did you mean"),
        (("猫.png", "b.png", "--network", "imagenet:efficientnet_lite9"), "did you mean"),
        (("猫.png", "b.png", "--network", "nowhere"), "no such run"),
        (("猫.png", "b.png", "-o", "b.png"), "one of the pictures"),
        (("猫.png", "b.png", "-o", "no/b.png"), "there is no folder"),
        (("猫.png", "b.png", "-o", "b.tif"), "written as"),
        (("猫.png", "b.png", "--gif", "b.mp4"), "ends in .gif"),
        (("猫.png", "b.png", "--beta", "1e39", *FAST), "no finite number"),
    ],
)
def test_one_clear_line(run, pictures, tmp_path, words, line):
    Image.fromarray(np.zeros((3, 4, 3), np.uint8)).save(tmp_path / "tiny.png")
    (tmp_path / "text.png").write_text("no picture")
    status, _, err = run("style", *words)
    assert status != 0
    last = [part for part in err.splitlines() if part.startswith("sightline:")]
    assert len(last) == 1, err
    assert line in " ".join(err.split("sightline:")[1].split())


def test_without_any_weights_the_remedy_is_said(pictures, monkeypatch):
    monkeypatch.setattr("sightline.models.weights.at_hand", lambda name: False)
    with pytest.raises(style_transfer.WeightsError, match=r"sightline\[pretrained\]"):
        transfer(pictures["猫"], [pictures["b"]])


def test_sizes_go_from_coarse_to_fine():
    stages = plan((300, 400), Wanted(size=1500, steps=200))
    assert [max(stage.size) for stage in stages] == [188, 375, 750, 1500]
    assert [stage.steps for stage in stages] == [200, 100, 50, 25]
    assert all(abs(s.size[0] / s.size[1] - 0.75) < 0.01 for s in stages)
    large = plan((10, 10), Wanted(size=1500, optimizer="lbfgs"))
    assert [stage.optimizer for stage in large] == ["lbfgs", "lbfgs", "adam", "adam"]


def test_the_same_seed_gives_the_same_picture(pictures):
    wanted = Wanted(size=64, steps=2, start="noise")
    a, b = (transfer(pictures["猫"], [pictures["b"]], wanted).pixels for _ in range(2))
    assert np.array_equal(a, b)
    other = transfer(
        pictures["猫"], [pictures["b"]], Wanted(size=64, steps=2, start="noise", seed=1)
    )
    assert not np.array_equal(a, other.pixels)
