from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
from matplotlib.text import Text

from sightline.bench.results import MethodEntry
from sightline.data import fonts
from sightline.data.transforms import Preprocess
from sightline.estimators.tuning import Trial, Tuned
from sightline.report import plots


@pytest.mark.parametrize(
    ("higher", "figures"), [(True, (0.9, 0.8, 0.95, 0.95)), (False, (2.0, 3.0, 1.0, 1.0))]
)
def test_the_front_is_what_nothing_beats(higher, figures):
    names, times = ("fast", "poor", "good", "slow"), (1.0, 2.0, 3.0, 4.0)
    methods = [
        MethodEntry(name=n, status="ok", headline=h, latency_ms=t, higher_is_better=higher)
        for n, h, t in zip(names, figures, times, strict=True)
    ]
    assert [m.name for m in plots.pareto(methods[::-1])] == ["fast", "good"]


@pytest.mark.parametrize(
    ("metric", "share", "unit", "label"),
    [
        ("accuracy", True, 100, "accuracy, % (mean of 2 folds)"),
        ("mean_absolute_error", False, 1, "mean absolute error (mean of 2 folds)"),
    ],
)
def test_the_curve_of_tuning_has_its_figure_in_its_unit(metric, share, unit, label):
    trials = [Trial({"k": k}, Preprocess(), (f, f + 0.25)) for k, f in ((1, 0.5), (2, 0.25))]
    tuned = Tuned(trials, 1.0, 10, metric, share, higher_is_better=share)
    (axes,) = plots.tuning_curve(tuned, "k", "t").axes
    assert list(axes.lines[0].get_ydata()) == [unit * 0.625, unit * 0.375]
    assert axes.get_ylabel() == label
    best = axes.containers[0].lines[0]
    assert list(best.get_xdata()) == [1 if share else 2]


@pytest.mark.parametrize("heights", [
    [0.5] * 14, [0.0] * 5, [1.0] * 5, [0.1, 0.12, 0.9, 0.91, 0.5], [0.5],
    list(np.random.default_rng(0).random(14)),
])  # fmt: skip
def test_names_beside_points_never_overlap_nor_leave_the_frame(heights):
    gap = 0.06
    placed = plots.spread(heights, gap)
    ordered = sorted(placed)
    assert all(b - a >= gap - 1e-9 for a, b in itertools.pairwise(ordered))
    assert ordered[0] >= gap / 2 - 1e-9
    assert ordered[-1] <= 1 - gap / 2 + 1e-9
    order = np.argsort(heights, kind="stable")
    assert list(np.array(placed)[order]) == ordered  # none past another


def test_names_that_have_room_stand_at_their_points():
    assert plots.spread([0.2, 0.8, 0.5], 0.1) == [0.2, 0.8, 0.5]


def many(n, low=0.0, high=1.0):
    figures = np.linspace(low, high, n)
    return [
        MethodEntry(name=f"a method of a long name, {i}", status="ok", metric="accuracy",
                    headline=float(f), interval=(max(f - 0.01, 0), min(f + 0.01, 1)),
                    latency_ms=0.02 * 1.7**i)
        for i, f in enumerate(figures)
    ]  # fmt: skip


@pytest.mark.parametrize("n", [1, 2, 9, 14, 30])
@pytest.mark.parametrize(("low", "high"), [(0.1, 0.99), (0.95, 0.96), (0.999, 1.0)])
def test_the_names_of_the_scatter_are_apart_and_inside_the_picture(n, low, high, tmp_path):
    drawing = plots.headline_against_latency(many(n, low, high), "a method of a long name, 0")
    fonts.save(drawing, tmp_path / "a.png")
    (axes,) = drawing.axes
    boxes = [Text.get_window_extent(text) for text in axes.texts]  # without their lines
    assert len(boxes) == n
    for a, b in itertools.combinations(boxes, 2):
        assert not a.overlaps(b)
    for box in boxes:
        assert box.x0 > axes.bbox.x1  # beside the frame, over no point
        assert box.x1 <= drawing.bbox.x1 + 1
        assert drawing.bbox.y0 <= box.y0
        assert box.y1 <= drawing.bbox.y1
    marks = [(c.lines[0].get_color(), c.lines[0].get_marker()) for c in axes.containers]
    assert len(set(marks)) == min(n, len(plots.SERIES))


def test_the_axis_of_the_scatter_begins_where_the_figures_do():
    (axes,) = plots.headline_against_latency(many(9, 0.95, 0.99), None).axes
    assert 93 < axes.get_ylim()[0] < 94.5
    assert 99.9 < axes.get_ylim()[1] < 103


def test_ticks_of_the_scatter_are_plain_numbers_with_units(tmp_path):
    drawing = plots.headline_against_latency(many(9, 0.1, 0.9), None)
    fonts.save(drawing, tmp_path / "a.png")
    (axes,) = drawing.axes
    along = [t.get_text() for t in axes.get_xticklabels()]
    up = [t.get_text() for t in axes.get_yticklabels()]
    assert along == ["0.03 ms", "0.1 ms", "0.3 ms", "1 ms"]
    assert all(re.fullmatch(r"\d+%", text) for text in up)


@pytest.mark.parametrize(
    ("lowest", "start"), [(0.0, 0.0), (55.0, 50.0), (51.0, 40.0), (91.5, 90.0), (99.9, 98.0)]
)
def test_an_axis_of_per_cent_shows_no_more_than_tells(lowest, start):
    assert plots.start_of([100.0, lowest]) == start


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("short", "short"), ("x" * 19, "x" * 17 + "…"), ("猫" * 10, "猫" * 8 + "…")],
)
def test_names_are_cut_by_their_width(name, wanted):
    assert plots.clipped(name) == wanted


def entries_of(figures, higher=True):
    return [
        MethodEntry(name=f"m{i}", status="ok", metric="accuracy", headline=f, latency_ms=1.0 + i,
                    higher_is_better=higher, share=higher)
        for i, f in enumerate(figures)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("figures", "higher", "far"),
    [
        ((0.1, 0.9, 0.94, 0.95, 0.99), True, {"m0"}),
        ((0.1, 0.15, 0.94, 0.95, 0.97, 0.99), True, {"m0", "m1"}),
        ((0.1, 0.5, 0.9, 0.95, 0.99), True, set()),
        ((0.9, 0.91, 0.95, 0.99), True, set()),
        ((0.1, 0.99), True, set()),
        ((90.0, 3.0, 2.0, 2.5), False, {"m0"}),
        ((0.5, 0.5, 0.5), True, set()),
    ],
)
def test_a_few_that_are_far_behind(figures, higher, far):
    assert plots.far_behind(entries_of(figures, higher)) == far


@pytest.mark.parametrize("higher", [True, False])
def test_who_is_far_behind_stands_at_the_edge_with_its_figure(higher, tmp_path):
    figures = (0.1, 0.9, 0.94, 0.95, 0.99) if higher else (90.0, 3.0, 2.0, 2.5)
    drawing = plots.headline_against_latency(entries_of(figures, higher), "m2")
    fonts.save(drawing, tmp_path / "a.png")
    (axes,) = drawing.axes
    low, high = axes.get_ylim()
    assert (low > 80) if higher else (high < 5)
    names = [text.get_text() for text in axes.texts]
    assert names[0] == ("m0 ↓ 10%" if higher else "m0 ↑ 90")
    assert names[1:] == [f"m{i}" for i in range(1, len(figures))]
    at_the_edge = [
        line for line in axes.lines if list(line.get_ydata()) == [low if higher else high]
    ]
    assert len(at_the_edge) == 1
    assert not at_the_edge[0].get_clip_on()
