"""Comparing from Python: data that only memory holds reaches the methods' processes."""

import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import sightline
from sightline.errors import MissingExtraError, RunError, SightlineError

FAST = ["majority", "nearest-mean"]


def arrays(n=90, side=8):
    """Images whose mean says their class."""
    rng = np.random.default_rng(0)
    y = np.arange(n) % 3
    X = (rng.integers(0, 60, (n, side, side)) + 90 * y[:, None, None]).astype(np.uint8)
    return X, np.array(["猫", "dog", "c"])[y]


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("compared") / "c"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIGHTLINE_HOME", str(home))
        return sightline.compare(arrays(), FAST, folder=folder, budget="30s")


def test_arrays_reach_the_processes(compared):
    by_name = {m.name: m for m in compared.methods}
    assert [m.status for m in compared.methods] == ["ok", "ok"]
    assert by_name["nearest-mean"].headline == 1.0
    assert by_name["majority"].headline == pytest.approx(1 / 3, abs=0.1)
    assert compared.pick.name == "nearest-mean"
    assert compared.results.data.classes == ["c", "dog", "猫"]
    assert compared.report.is_file()


def test_results_as_table_drawing_text_and_model(compared):
    frame = compared.to_frame()
    assert list(frame.index) == FAST
    assert frame.loc["nearest-mean", "headline"] == 1.0
    low, high = compared.methods[0].interval
    assert tuple(frame.loc["majority", ["low", "high"]]) == (low, high)
    assert "log_loss" in frame
    drawing = compared.plot()
    assert {text.get_text() for axes in drawing.axes for text in axes.texts} >= set(FAST)
    assert "Take nearest-mean" in compared._repr_html_()
    assert repr(compared).endswith("take nearest-mean)")
    assert len(repr(compared)) < 200
    X, y = arrays()
    assert [a.name for a in compared.load().predict(X[:6])] == y[:6].tolist()
    assert compared.load("majority").name == "majority"
    with pytest.raises(SightlineError, match="unknown method of the comparison 'knn'"):
        compared.load("knn")
    again = sightline.Comparison(compared.folder)
    assert again.results == compared.results


def test_the_same_folder_goes_on_and_other_data_is_refused(compared, monkeypatch):
    from sightline.bench import processes

    monkeypatch.setattr(processes.Processes, "run", None)  # nothing is measured anew
    again = sightline.compare(arrays(), FAST, folder=compared.folder, budget=30)
    assert again.results.methods == compared.results.methods
    X, y = arrays()
    X[3] += 1
    with pytest.raises(RunError, match="other data"):
        sightline.compare((X, y), FAST, folder=compared.folder, budget=30)


def test_without_pandas_one_line_names_the_extra(compared, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match=r"sightline\[tables\]"):
        compared.to_frame()


def test_a_table_with_splits_of_its_own(tmp_path):
    X, y = arrays(60, 70)
    for i, pixels in enumerate(X):
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    split = [("train", "train", "val", "test")[i // 3 % 4] for i in range(60)]
    frame = pd.DataFrame({"id": range(60), "label": y, "split": split})
    data = sightline.load_data(frame, root=tmp_path)
    results = sightline.compare(data, "nearest-mean", folder=tmp_path / "c")
    assert [m.status for m in results.methods] == ["ok"]
    assert results.results.data.counts == {"train": 30, "val": 15, "test": 15}


def test_a_name_is_handed_on_as_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results = sightline.compare("digits", ["majority"])
    assert results.folder.parts[0] == "runs"
    assert results.folder.name.startswith("compare-digits-")
    assert not (results.folder / "data").exists()


WRONG = [3, 2.5, True, {}, {"a": 1}, "no such", b"x", object(), len, [None], [3],
         pd.DataFrame({"a": [1]})]  # fmt: skip


@pytest.mark.parametrize("value", WRONG, ids=lambda v: type(v).__name__)
def test_other_kinds_are_refused_in_one_line(value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    X = arrays()
    calls = {
        "data": lambda v: sightline.compare(v, FAST),
        "methods": lambda v: sightline.compare(X, v),
        "budget": lambda v: sightline.compare(X, FAST, budget=v),
        "margin": lambda v: sightline.compare(X, FAST, margin=v),
        "cost": lambda v: sightline.compare(X, FAST, cost=v),
        "task": lambda v: sightline.compare(X, task=v),
        "Comparison": sightline.Comparison,
    }
    if not isinstance(value, str):
        calls["folder"] = lambda v: sightline.compare(X, FAST, folder=v)
        calls["seed"] = lambda v: sightline.compare(X, FAST, seed=v)
    if isinstance(value, int | float) and not isinstance(value, bool):
        for name in (
            ("budget", "margin", "seed") if isinstance(value, int) else ("budget", "margin")
        ):
            calls.pop(name)
    for name, call in calls.items():
        with pytest.raises(SightlineError) as caught:
            call(value)
        assert "\n" not in str(caught.value), name
    assert not list(tmp_path.iterdir())
