from __future__ import annotations

import pytest

from sightline.bench.results import MethodEntry
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
