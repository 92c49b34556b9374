"""Long names of methods become short in drawings and tables, and stay apart."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from rich.console import Console

from sightline.bench.results import DataEntry, MethodEntry, Results
from sightline.cli import compare, console
from sightline.data import fonts
from sightline.report import classify_plots, plots
from sightline.report.names import shorten, shortened

MODEL = "onnx:/home/someone/models/flowers.onnx,pixels=unit,classes=/home/someone/labels.txt"
NAMES = ("linear", MODEL, MODEL.replace("models", "other"), "x" * 120)
RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("name", "limit", "wanted"),
    [
        ("linear", 6, "linear"),
        (MODEL, 200, MODEL),
        (MODEL, 48, "onnx:…/flowers.onnx,pixels=unit,classes=…/label…"),
        (MODEL, 20, "onnx:…/flowers.onnx…"),
        (MODEL, 15, "onnx:…wers.onnx"),
        ("onnx:C:\\models\\flowers.onnx,pixels=unit", 22, "onnx:…/flowers.onnx,p…"),
        ("abcdefghijkl", 9, "abc…hijkl"),
    ],
)
def test_shorten(name, limit, wanted):
    assert shorten(name, limit) == wanted


@pytest.mark.parametrize("limit", range(8, 60))
def test_no_name_is_too_long_and_none_is_like_another(limit):
    shown = shortened(NAMES, limit)
    assert list(shown) == list(NAMES)
    assert len(set(shown.values())) == len(NAMES)
    assert max(map(len, shown.values())) <= limit


def entries():
    return [
        MethodEntry(
            name=name, status="ok", metric="accuracy", share=True, headline=0.5 + i / 10,
            interval=(0.4, 0.9), latency_ms=0.042 + 0.016 * i,
            images_per_second=12345.0, peak_mb=63.0,
        )
        for i, name in enumerate(NAMES)
    ]  # fmt: skip


def test_drawings_have_room_for_long_names(tmp_path):
    sure = {name: (RNG.random(80) > 0.3, RNG.random(80)) for name in NAMES}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for drawing in (
            plots.headline_against_latency(entries(), MODEL),
            classify_plots.reliability(sure),
            classify_plots.coverage(sure),
            classify_plots.per_class_recall({n: RNG.random(10) for n in NAMES}, "0123456789"),
            classify_plots.confusion_matrix(np.eye(2, dtype=np.int64), "01", MODEL),
        ):
            fonts.save(drawing, tmp_path / "a.png")
            box = drawing.get_tightbbox()
            assert box.x0 >= 0
            assert box.x1 <= drawing.get_figwidth()
            axes = drawing.axes[0].get_position()
            assert axes.width > 0.4


@pytest.mark.parametrize("width", [200, 132, 100, 80, 40])
def test_the_table_shows_every_figure_whole(width, monkeypatch, capsys):
    monkeypatch.setattr(console, "out", lambda: Console(width=width, highlight=False))
    counts = {"train": 2, "val": 2, "test": 270}
    data = DataEntry(name="d", task="classify", classes=["0"], counts=counts, fingerprint="f")
    results = Results.model_construct(task="classify", data=data, methods=entries(), pick=None)
    compare.show(results)
    said = capsys.readouterr().out
    assert all(f"{50 + 10 * i}.00%" in said for i in range(len(NAMES)))
    assert len([line for line in said.splitlines() if "0%" in line]) == len(NAMES)
    assert "accuracy" in said
    assert "accur…" not in said
    assert ("no room here for" in said) == (width < 120)


@pytest.mark.parametrize("width", [200, 120, 80, 60, 40])
def test_what_is_to_be_known_of_a_row_never_vanishes(width, monkeypatch, capsys):
    monkeypatch.setattr(console, "out", lambda: Console(width=width, highlight=False))
    counts = {"train": 2, "val": 2, "test": 1}
    data = DataEntry(name="d", task="classify", classes=["0"], counts=counts, fingerprint="f")
    methods = entries()
    methods[1].remarks = ["the training diverged in epoch 3", "it ended near chance (10.0%)"]
    results = Results.model_construct(task="classify", data=data, methods=methods, pick=None)
    compare.show(results)
    lines = capsys.readouterr().out.splitlines()
    for remark in methods[1].remarks:
        assert f"{methods[1].name}{compare.MARK}: {remark}" in lines
    (row,) = [line for line in lines if "60.00%" in line]
    assert row.split("60.00%")[0].rstrip().endswith(compare.MARK)
    assert sum(compare.MARK in line for line in lines) == 3
    assert lines[0].strip() == "d: 1 test image"
