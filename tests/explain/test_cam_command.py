"""`sightline explain cam`: a PNG, a page and figures; one clear line where it cannot be."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch
from PIL import Image

import sightline
from sightline.cli.main import status
from sightline.explain import truth
from sightline.explain.opened import open_network


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cam")
    data = sightline.load_data("digits")
    sightline.create_model("convnet", epochs=0.1).fit(data.train).save(folder / "run")
    sightline.create_model("knn").fit(data.train).save(folder / "knn")
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (30, 50, 4), np.uint8)
    for name, mode in (("grey", "L"), ("alpha", "RGBA"), ("colour", "RGB")):
        Image.fromarray(colours, "RGBA").convert(mode).save(folder / f"{name}.png")
    (folder / "cut.png").write_bytes((folder / "colour.png").read_bytes()[:500])
    return folder


def test_a_picture_and_a_page_say_whether_the_maps_are_true(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(truth, "STAGES", 2)
    words = ["explain", "cam", f"{run}/run", f"{run}/colour.png", "--method", "all", "--json"]
    assert status([*words, "--randomise"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["picture"], told["page"]) == ("colour-cam.png", "colour-cam.html")
    assert Image.open("colour-cam.png").size[0] > 900
    said = sightline.load_model(run / "run").predict(run / "colour.png")[0]
    assert told["class"] == said.name
    assert [row["method"] for row in told["null_maps"]] == ["random", "gaussian", "edges"]
    for row in told["maps"]:
        assert 0 <= row["deletion"] <= 1
        assert row["beats_null_maps"] == (not row["not_beaten"])
        assert len(row["randomised"]) == 2
    page = (tmp_path / "colour-cam.html").read_text(encoding="utf-8")
    assert "未胜过" in page or "胜过所有零图" in page
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", page)
    assert page.count("data:image/jpeg") == 1 + 8 + 3


@pytest.mark.parametrize("name", ["grey", "alpha"])
def test_any_picture_is_explained(run, tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    assert status(["explain", "cam", f"{run}/run", f"{run}/{name}.png", "--class", "3"]) == 0
    out = capsys.readouterr().out
    assert f"{name}.png: 3" in out
    assert "null maps" in out or "does not beat" in out or "no positive evidence" in out


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("run", "cut.png"), "cut.png"),
        (("run", "none.png"), "none.png"),
        (("run", "grey.png", "--layer", "feature.4"), "did you mean 'features.4'?"),
        (
            ("run", "grey.png", "--layer", "classifier"),
            "no maps of several places; one that does is --layer features",
        ),
        (("run", "grey.png", "--class", "eleven"), "unknown class 'eleven'"),
        (("run", "grey.png", "--box", "1"), "whose answer has no boxes"),
        (("run", "grey.png", "-o", "{run}/grey.png"), "is the picture in question"),
        (("knn", "grey.png"), "no neural network"),
        (("mlp", "grey.png", "--untrained"), "has no convolution"),
        (("convnet", "grey.png"), "look at random weights with --untrained"),
    ],
)
def test_what_cannot_be_is_one_clear_line(run, tmp_path, monkeypatch, capsys, words, why):
    monkeypatch.chdir(tmp_path)
    what, image, *more = (word.format(run=run) for word in words)
    network = what if more[-1:] == ["--untrained"] or what == "convnet" else f"{run}/{what}"
    assert status(["explain", "cam", network, f"{run}/{image}", *more]) == 2
    err = capsys.readouterr().err
    assert why in err
    assert len(err.strip().splitlines()) == 1


def test_a_page_of_a_segmenter_outlines_the_class(tmp_path):
    from sightline.report import maps as shown

    torch.manual_seed(0)
    opened = open_network("unet-lite", untrained=True)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    opened.estimator.fitted_.size = (48, 48)
    picture = opened.picture(pixels)
    targets = opened.targets(picture)
    told = truth.explain(opened, picture, targets, ["grad-cam"])
    page = shown.write(told, tmp_path / "a.html", language="zh").read_text(encoding="utf-8")
    assert "random weights: it has learned nothing" in page
    drawn = shown.curves(told).axes
    tops = [line.get_ydata().max() for axes in drawn for line in axes.lines]
    assert drawn[0].get_ylim()[1] >= max(tops)
    mark = shown._marked(shown.shrunk(pixels), told)
    assert (mark == (0x3A, 0xD6, 0xA8)).all(-1).any()
