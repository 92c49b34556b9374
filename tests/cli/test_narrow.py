"""Tables of the verbs, in terminals of several widths: no number is cut, nothing runs out."""

from __future__ import annotations

import functools
import json
import re

import pytest
from PIL import Image

import sightline
from sightline.deploy import cost

measure = cost.measure

WIDTHS = (60, 80, 120, 200)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Make a folder of runs once; every verb below prints a table of them or of the methods."""
    from sightline.cli import main

    folder = tmp_path_factory.mktemp("narrow")
    for words in (
        ("train", "knn", "digits", "-o", f"{folder}/knn"),
        ("compare", "digits", "majority", "nearest-mean", "linear", "-o", f"{folder}/compare"),
    ):
        assert main.status(list(words)) == 0
    pixels = sightline.load_data("digits").test[0].image[:, :, 0]
    Image.fromarray(pixels).save(folder / "digit.png")
    return folder


VERBS = (
    ("compare", "digits", "majority", "nearest-mean", "linear", "-o", "{runs}/compare"),
    ("runs", "{runs}"), ("models",), ("models", "show", "resnet18"),
    ("models", "show", "resnet18", "--input", "3x32x32"), ("eval", "{runs}/knn", "digits"),
    ("data", "list"), ("data", "audit", "digits"), ("predict", "{runs}/knn", "{runs}/digit.png"),
    ("explain", "neighbours", "{runs}/knn", "{runs}/digit.png"), ("cost", "{runs}/knn"),
    ("tune", "knn", "digits", "--folds", "2", "--scale", "none", "-o", "tuned"),
)  # fmt: skip


@pytest.mark.parametrize("verb", VERBS, ids=lambda words: " ".join(words[:3]))
def test_figures_stay_whole_at_any_width(run, runs, verb, monkeypatch):
    words = [word.replace("{runs}", str(runs)) for word in verb]
    measured = functools.cache(lambda model, pictures: measure(model, list(pictures), seconds=0.3))
    monkeypatch.setattr(cost, "measure", lambda model, given: measured(model, tuple(given)))
    figures = {}
    for width in WIDTHS:
        monkeypatch.setenv("COLUMNS", str(width))
        status, out, err = run(*words)
        assert status == 0, err
        assert "…" not in out
        table = [line for line in out.splitlines() if "───" in line]
        assert all(len(line) <= width for line in table)
        lasting = re.sub(r"[\d.,]+ (ms|s|min|h)\b", "", out)  # seconds are measured anew
        figures[width] = re.findall(r"(?<!\S)[\d,]+\.\d+%?(?!\S)", lasting)
    widest = set(figures.get(200, ()))
    for width in figures:
        assert set(figures[width]) <= widest, "a figure was cut"


@pytest.mark.parametrize("width", WIDTHS)
def test_what_is_left_out_of_runs_is_named(run, runs, width, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    _, out, _ = run("runs", runs)
    entries = json.loads(run("runs", runs, "--json")[1])
    for entry in entries:
        assert f"{100 * entry['headline']:.2f}%" in out
    for heading in ("run", "what", "data", "figure", "value", "written"):
        assert heading in out  # at the head of its column, or among those left out


@pytest.mark.parametrize("name", ["compare.json", "config.json"])
@pytest.mark.parametrize(
    "content", ["{}", "[]", "null", "[" * 200_000, '{"request": 1}', '{"model": 1, "data": [1]}']
)
def test_a_damaged_comparison_or_run_is_named_among_the_others(run, tmp_path, name, content):
    (tmp_path / "runs/bad").mkdir(parents=True)
    (tmp_path / "runs/bad" / name).write_text(content)
    status, out, _ = run("runs")
    assert status == 0
    assert "unreadable" in out
