"""Learning curves: what is fitted on what, what is kept, and what is said of who leads."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest

import sightline
from sightline.bench import curve, curve_results, processes, worker
from sightline.data import subsets
from sightline.data.dataset import Dataset, Source
from sightline.data.item import Item
from sightline.errors import DataError, ParameterError, RunError, UnknownNameError
from sightline.types import Task

SIZES = (20, 60, 200, 600)
METHODS = ("majority", "nearest-mean")


@pytest.fixture(scope="module")
def digits():
    return sightline.load_data("digits")


def asked(**changes):
    given = {"data": "digits", "methods": METHODS, "sizes": SIZES, "seeds": 2, "threads": 1}
    return curve.Request(**(given | changes))


@pytest.fixture(scope="module")
def done(digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("curve")
    said = []
    results = curve.curve(digits, asked(), folder, lambda *a: said.append(a))
    return folder, results, said


def test_a_point_is_what_the_method_reaches_on_that_subset(done, digits):
    _, results, _ = done
    points = results.named("nearest-mean").points
    assert [p.size for p in points] == list(SIZES)
    for point in (points[0], points[2]):
        for fit in point.fits:
            part = subsets.cut(digits, point.size, fit.draw)
            model = sightline.create_model("nearest-mean", part, seed=fit.draw).fit(part.train)
            assert model.score(digits.test).headline == fit.figure
            assert (fit.images, fit.validation) == (len(part.train), len(part.val))
        figures = [fit.figure for fit in point.fits]
        assert point.mean == pytest.approx(np.mean(figures))
        assert point.deviation == pytest.approx(np.std(figures, ddof=1))
        assert (point.low, point.high) == (min(figures), max(figures))
    assert results.tested == len(digits.test)


def test_the_document_follows_its_schema_and_is_read_back(done):
    folder, results, _ = done
    document = json.loads((folder / curve.RESULTS).read_text())
    jsonschema.validate(document, curve_results.schema())
    assert curve_results.read(folder / curve.RESULTS) == results
    shipped = Path(__file__).parents[2] / "docs/curve.schema.json"
    assert json.loads(shipped.read_text(encoding="utf-8")) == curve_results.schema()


def test_more_images_help_one_method_and_not_the_floor(done):
    _, results, _ = done
    flat, rising = (results.named(name).trend for name in METHODS)
    assert flat.gains[0].gain == pytest.approx(0, abs=1e-9)
    assert rising.gains[0].gain > 0
    assert [g.images for g in rising.gains] == [1200, 6000]
    assert results.leads == [curve_results.LeadEntry(method="nearest-mean", size=20)]


def test_fits_keep_their_figures_and_no_model(done):
    folder, _, said = done
    kept = {p.name for p in (folder / curve.FITS / "nearest-mean/20-0").iterdir()}
    assert kept == {worker.JOB, worker.RESULT, processes.LOG}
    ends = [name for name, stage, *_ in said if stage == "done"]
    assert ends[:3] == ["majority 20 #1", "nearest-mean 20 #1", "majority 60 #1"]
    assert len(ends) == 16
    assert "time" not in {stage for _, stage, *_ in said}


def test_going_on_does_only_what_is_missing(done, digits, monkeypatch):
    folder, results, _ = done
    lost = curve.Fit("nearest-mean", 200, 1)
    (lost.place(folder) / worker.RESULT).unlink()
    (folder / curve.RESULTS).unlink()
    assert curve.interrupted(folder.parent, asked(), digits.fingerprint()) in (folder, None)
    ran, run = [], processes.Processes.run

    def counted(self, method, place, tell):
        ran.append(place)
        return run(self, method, place, tell)

    monkeypatch.setattr(processes.Processes, "run", counted)
    again = curve.curve(digits, asked(), folder)
    assert ran == [lost.place(folder)]
    assert [m.points[2].mean for m in again.methods] == [m.points[2].mean for m in results.methods]
    with pytest.raises(RunError, match="holds learning curves of other data or methods"):
        curve.curve(digits, asked(seeds=3), folder)


def test_an_interrupted_curve_is_found_by_its_request(digits, tmp_path):
    folder = tmp_path / "curve-digits-1"
    folder.mkdir()
    plain = asked().plain(digits.fingerprint())
    (folder / curve.REQUEST).write_text(json.dumps({"request": plain}))
    assert curve.interrupted(tmp_path, asked(), digits.fingerprint()) == folder
    assert curve.interrupted(tmp_path, asked(seeds=3), digits.fingerprint()) is None
    (folder / curve.RESULTS).write_text("{}")
    assert curve.interrupted(tmp_path, asked(), digits.fingerprint()) is None


def test_a_fit_that_is_killed_costs_one_point(digits, tmp_path, monkeypatch):
    run = processes.Processes.run

    def killed(self, method, place, tell):
        if method == "nearest-mean" and place.name.startswith("60-"):
            return -9
        return run(self, method, place, tell)

    monkeypatch.setattr(processes.Processes, "run", killed)
    said = []
    results = curve.curve(digits, asked(), tmp_path, lambda *a: said.append(a))
    entry = results.named("nearest-mean")
    assert [len(m.failed) for m in results.methods] == [0, 2]
    assert "killed by the system" in entry.failed[0].error
    assert entry.points[1].mean is None
    assert entry.trend is None
    assert "3 sizes measured" in entry.untold
    assert results.named("majority").trend is not None
    assert ("nearest-mean 60 #2", "failed", 1, 1) in said


def test_all_images_have_one_draw_and_a_method_without_chance_one_fit():
    request = asked(methods=("knn", "convnet"), sizes=(50, 100), seeds=3)
    fits = curve.fits_of(request, 100)
    count = {(f.method, f.size): 0 for f in fits}
    for f in fits:
        count[f.method, f.size] += 1
    assert count == {
        ("knn", 50): 3, ("convnet", 50): 3, ("knn", 100): 1, ("convnet", 100): 3,
    }  # fmt: skip
    assert len({f.name for f in fits}) == len(fits)


def made(counts, groups=False, split="train"):
    """Data with so many images of each class, and a test split with one of each."""
    labels = [label for label, n in enumerate(counts) for _ in range(n)] + list(range(len(counts)))
    items = [
        Item(f"{i}", np.full((4, 4, 1), i % 250, np.uint8), label,
             group=f"g{i // 7}" if groups else None)
        for i, label in enumerate(labels)
    ]  # fmt: skip
    total = sum(counts)
    rows = {split: np.arange(total), "val": np.arange(total, len(items)),
            "test": np.arange(total, len(items))}  # fmt: skip
    return Dataset("made", Source(items, "L", (4, 4)), rows, tuple("abcdefghij"[: len(counts)]))


def test_default_sizes_go_by_equal_ratios_from_a_few_a_class_to_all(digits):
    sizes, notes = curve.sizes_of(digits.train)
    assert (sizes[0], sizes[-1], len(sizes)) == (50, len(digits.train), 6)
    ratios = np.array(sizes[1:]) / sizes[:-1]
    assert ratios.max() / ratios.min() < 1.1
    assert notes == []


@pytest.mark.parametrize(
    ("counts", "expected"), [([2, 2], (4,)), ([6, 6], (4, 6, 8, 12)), ([1, 1], (2,))]
)
def test_few_images_have_few_sizes(counts, expected):
    sizes, _ = curve.sizes_of(made(counts).train)
    assert sizes[-1] == expected[-1]
    assert sizes[0] >= min(4, sum(counts))
    assert all(b / a >= 1.2 for a, b in itertools.pairwise(sizes))


def test_sizes_beyond_all_images_are_clipped_and_said():
    sizes, notes = curve.sizes_of(made([30, 30]).train, [1000, 20, 100])
    assert sizes == (20, 60)
    there = "there are 60 training images: the size"
    assert notes == [f"{there} 1,000 is taken as 60", f"{there} 100 is taken as 60"]


@pytest.mark.parametrize(
    ("size", "message"),
    [(3, "3 images are fewer than 2 for each of 2 classes; the smallest is 4"),
     (1, "1 image is fewer"), (0, "0 images are fewer"), (-5, "fewer"), (2.5, "whole numbers"),
     (True, "whole numbers")],
)  # fmt: skip
def test_sizes_that_cannot_be_are_one_clear_line(size, message):
    with pytest.raises(ParameterError, match=message) as raised:
        curve.sizes_of(made([30, 30]).train, [size])
    assert "\n" not in str(raised.value)


def test_a_class_with_one_image_is_said_and_bounds_nothing():
    sizes, notes = curve.sizes_of(made([30, 1]).train, [3, 20])
    assert sizes == (3, 20)
    assert notes == [
        "class 'b' has 1 training image, which is in every subset: the curve tells nothing of it"
    ]


@pytest.mark.parametrize(("seeds", "message"), [(0, "seeds=0"), (-1, "seeds=-1"), ("3", "whole")])
def test_no_draws_are_refused(seeds, message):
    with pytest.raises(ParameterError, match=message):
        asked(seeds=seeds)


def test_data_without_a_test_split_and_unknown_methods_start_nothing(digits):
    data = made([30, 30])
    lacking = data.with_rows({k: v for k, v in data.rows.items() if k != "test"})
    with pytest.raises(DataError, match="no split 'test'"):
        curve.check(lacking, METHODS)
    with pytest.raises(DataError, match="no image in its split 'test'"):
        curve.check(data.with_rows(data.rows | {"test": np.array([], np.int64)}), METHODS)
    with pytest.raises(UnknownNameError, match="did you mean 'knn'"):
        curve.check(digits, ("knnn",))
    detect = made([30, 30])
    detect.tasks = (Task.LOCALIZE,)
    with pytest.raises(DataError, match="localize"):
        curve.check(detect, METHODS)
    with pytest.raises(DataError, match="localize"):
        curve.ladder(detect)


def test_the_ladder_is_that_of_compare_without_the_floor(digits):
    names, _ = curve.ladder(digits, 60.0)
    assert "majority" not in names
    assert {"nearest-mean", "knn", "logistic"} <= set(names)


def test_who_leads_changes_only_beyond_chance(curve_of):
    a = [[0.5, 0.5], [0.6, 0.6], [0.7, 0.70], [0.75, 0.75]]
    b = [[0.4, 0.4], [0.65, 0.56], [0.8, 0.79], [0.9, 0.90]]
    leads = curve_of({"a": a, "b": b}).leads
    assert [(one.method, one.size) for one in leads] == [("a", 50), ("b", 200)]


def test_a_method_that_catches_up_passes_where_the_laws_cross(curve_of):
    sizes = np.array([50, 100, 200, 400])
    slow, fast = 0.2 + 0 * sizes, 3.0 * sizes**-0.4
    figures = {n: [[1 - w] * 2 for w in wrong] for n, wrong in (("slow", slow), ("fast", fast))}
    (one,) = curve_of(figures).passes
    assert (one.method, one.over) == ("fast", "slow")
    assert one.images == pytest.approx((3.0 / 0.2) ** 2.5, rel=0.06)


def test_a_figure_of_which_less_is_better_gains_when_it_falls(curve_of):
    sizes = np.array([50, 100, 200, 400])
    error = 2.0 + 40 * sizes**-0.5
    results = curve_of({"a": [[e] for e in error]}, share=False, higher=False)
    trend = results.methods[0].trend
    assert trend.gains[0].gain == pytest.approx(40 * (400**-0.5 - 800**-0.5), rel=0.01)
    assert trend.gains[0].figure < error[-1]
    assert trend.gains[0].low <= trend.gains[0].figure <= trend.gains[0].high


def test_everything_right_at_every_size_gains_nothing_and_stays_a_share(curve_of):
    results = curve_of({"a": [[1.0, 1.0]] * 4})
    assert results.methods[0].trend.gains[1].gain == pytest.approx(0, abs=1e-9)
    assert all(0.99 < one.low <= one.high <= 1 for one in results.methods[0].trend.curve)


def test_with_one_draw_the_best_of_each_size_leads(curve_of):
    a, b = [[0.5], [0.6], [0.7], [0.71]], [[0.4], [0.65], [0.69], [0.75]]
    leads = curve_of({"a": a, "b": b}).leads
    assert [(one.method, one.size) for one in leads] == [
        ("a", 50), ("b", 100), ("a", 200), ("b", 400),
    ]  # fmt: skip
