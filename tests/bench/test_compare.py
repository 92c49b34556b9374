from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import numpy as np
import psutil
import pytest

import sightline
from sightline.bench import compare, processes, results, worker
from sightline.errors import DataError, ParameterError, RunError, UnknownNameError
from sightline.metrics import duration
from sightline.metrics.paired import label_difference
from sightline.report import html
from sightline.types import Task


@pytest.fixture(scope="module")
def digits():
    return sightline.load_data("digits")


@pytest.fixture(scope="module")
def done(digits, tmp_path_factory):
    """One whole comparison, shared: it starts three processes."""
    folder = tmp_path_factory.mktemp("compare")
    said = []
    request = compare.Request("digits", ("majority", "nearest-mean", "knn"))
    found = compare.compare(digits, request, folder, lambda *a: said.append(a))
    html.comparison(folder, digits)
    return folder, found, said


def test_the_document_follows_its_schema(done):
    folder, _, _ = done
    document = json.loads((folder / "results.json").read_text())
    jsonschema.validate(document, results.schema())
    assert document["schema_version"] == 1
    assert set(document) == {"schema_version", "task", "data", "environment", "methods", "pick"}
    assert set(document["data"]) == {"name", "task", "classes", "counts", "fingerprint"}
    assert set(document["environment"]) == {"device", "threads", "versions", "seed"}
    assert set(document["pick"]) == {
        "name", "reason", "result", "sure", "apart", "gain", "advice", "margin", "cost", "best",
        "candidates",
    }  # fmt: skip
    for candidate in document["pick"]["candidates"]:
        assert list(candidate) == [
            "name", "verdict", "difference", "low", "high", "images", "needed", "p",
        ]  # fmt: skip
    for method in document["methods"]:
        assert list(method) == [
            "name", "status", "metric", "higher_is_better", "share", "headline", "interval",
            "validation", "metrics", "remarks", "startup_seconds", "threads", "tune_seconds",
            "fit_seconds", "latency_ms", "latency_spread_ms", "images_per_second", "batch",
            "peak_mb", "parameters", "device", "bytes", "error",
        ]  # fmt: skip


def test_the_shipped_schema_is_the_codes():
    shipped = Path(__file__).parents[2] / "docs/results.schema.json"
    assert json.loads(shipped.read_text(encoding="utf-8")) == results.schema()


def test_results_of_before_the_margin_are_still_read(done, tmp_path):
    document = json.loads((done[0] / "results.json").read_text())
    document["pick"] = {"name": "knn", "reason": "knn: the cheapest"}
    for method in document["methods"]:
        del method["latency_spread_ms"]
    jsonschema.validate(document, results.schema())
    (tmp_path / "results.json").write_text(json.dumps(document))
    found = results.read(tmp_path / "results.json")
    assert (found.pick.margin, found.pick.candidates) == (None, [])


def test_what_was_measured_is_what_the_saved_run_does(done, digits):
    folder, found, _ = done
    for entry in found.methods:
        assert entry.status == "ok"
        model = sightline.load_model(folder / "methods" / entry.name)
        assert model.score(digits.test).headline == entry.headline
        assert model.score(digits.val).headline == entry.validation
        assert entry.interval[0] <= entry.headline <= entry.interval[1]
        size = sum((folder / "methods" / entry.name / n).stat().st_size
                   for n in ("model.safetensors", "config.json"))  # fmt: skip
        assert entry.bytes == size
        assert entry.peak_mb > 50
        assert entry.latency_ms > 0
        assert entry.latency_spread_ms >= 0


def test_known_answers_on_digits(done):
    _, found, _ = done
    by_name = {m.name: m for m in found.methods}
    assert by_name["majority"].headline == pytest.approx(0.1, abs=0.02)
    assert by_name["majority"].parameters == 20  # classes and their frequencies
    assert by_name["knn"].headline >= 0.97
    assert by_name["knn"].parameters >= 1257 * 64
    assert (found.pick.name, found.pick.best) == ("knn", "knn")
    # Both others answer faster, and err far more often.
    assert {c.name: c.verdict for c in found.pick.candidates} == {
        "majority": "worse", "nearest-mean": "worse",
    }  # fmt: skip
    right = [
        worker.read_evaluation(done[0] / "methods" / n, "classify", "val").right
        for n in ("knn", "nearest-mean")
    ]
    expected = label_difference(*right, 0.01)
    assert found.pick.candidates[0].low == expected.low


def test_progress_names_every_stage(done):
    _, found, said = done
    stages = {m.name: [s for n, s, *_ in said if n == m.name] for m in found.methods}
    for name, seen in stages.items():
        assert {"load", "fit", "validate", "test", "time", "done"} <= set(seen), name
    assert "tune" in stages["knn"]


def test_the_page_is_one_file_with_everything(done):
    folder, found, _ = done
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    assert page.count("<svg") == 4 + 2 * len(found.methods)
    assert "data:image/png;base64," in page
    for method in found.methods:
        assert f"{100 * method.headline:.2f}%" in page
    assert found.pick.reason[len(found.pick.name) :][:30] in page


def test_test_images_play_no_part_in_the_choice(done, digits, tmp_path):
    """With every test label made wrong, the same method is picked with the same figures."""
    folder, found, _ = done
    knobs = json.loads((folder / "methods/knn/config.json").read_text())
    again = sightline.load_data("digits")
    for row in again.rows["test"]:
        item = again.source.items[int(row)]
        item.label = (item.label + 1) % 10
    model = sightline.create_model("knn", again, **knobs["options"]).fit(again.train)
    assert model.score(again.val).headline == next(
        m.validation for m in found.methods if m.name == "knn"
    )
    best = max(knobs["comparison"]["tuning"]["trials"], key=lambda t: t["accuracy"])
    assert {k: best[k] for k in knobs["options"]} == knobs["options"]


def run_worker(folder, **changes):
    data = sightline.load_data("digits")
    job = worker.Job("majority", "digits", None, None, 0, None, data.fingerprint())
    folder.mkdir(parents=True, exist_ok=True)
    (folder / worker.JOB).write_text(json.dumps(worker.orders(job) | changes))
    worker.main(folder, time.monotonic())
    return json.loads((folder / worker.RESULT).read_text())


def test_a_slow_method_is_asked_about_fewer_images_at_once(tmp_path, monkeypatch):
    assert run_worker(tmp_path)["batch"] == worker.BATCH
    monkeypatch.setattr(worker, "LONGEST", 1e-9)
    assert run_worker(tmp_path)["batch"] == 1


def test_a_failing_method_is_a_row(tmp_path, monkeypatch, capsys):
    def broken(*args):
        raise MemoryError

    monkeypatch.setattr("sightline.models.classic.baselines.MajorityClassifier.fit", broken)
    found = run_worker(tmp_path)
    assert found["status"] == "failed"
    assert "out of memory" in found["error"]
    assert found["headline"] is None


def test_changed_data_is_noticed(tmp_path):
    assert "changed since the comparison" in run_worker(tmp_path, fingerprint="other")["error"]


def test_a_killed_method_is_a_row_and_the_rest_go_on(tmp_path, digits, monkeypatch):
    real = subprocess.Popen

    def popen(command, **kwargs):
        if command[-1].endswith("majority"):
            command = [sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"]
        elif command[-1].endswith("knn"):
            command = [sys.executable, "-c", "raise SystemExit('no luck')"]
        return real(command, **kwargs)

    monkeypatch.setattr(subprocess, "Popen", popen)
    monkeypatch.setattr(processes, "can_fork", lambda: False)
    request = compare.Request("digits", ("majority", "knn", "nearest-mean"))
    found = compare.compare(digits, request, tmp_path)
    status = {m.name: (m.status, m.error) for m in found.methods}
    assert status["majority"] == ("failed", "killed by the system, most likely out of memory")
    assert status["knn"] == ("failed", "stopped with status 1: no luck")
    assert status["nearest-mean"] == ("ok", None)
    assert found.pick.name == "nearest-mean"
    html.comparison(tmp_path, digits)
    assert "killed by the system" in (tmp_path / "report.html").read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="methods are forked on Linux alone")
def test_a_killed_fork_is_a_row_and_the_rest_go_on(tmp_path, digits, monkeypatch):
    monkeypatch.setattr(processes, "may_have_graphics", lambda: False)
    victims = []

    def kill(method, stage, done, total):
        if (method, stage) == ("knn", "start"):
            below = psutil.Process().children(recursive=True)
            victims.append(max(below, key=lambda p: p.create_time()))
            victims[-1].kill()

    request = compare.Request("digits", ("majority", "knn", "nearest-mean"))
    seen = compare.compare(digits, request, tmp_path, kill)
    assert [m.status for m in seen.methods] == ["ok", "failed", "ok"]
    assert seen.methods[1].error == "killed by the system, most likely out of memory"
    assert len(victims) == 1
    # Two methods of one parent: neither saw the libraries or the memory of the other.
    assert not psutil.Process().children(recursive=True)


@pytest.mark.skipif(sys.platform != "linux", reason="methods are forked on Linux alone")
def test_a_parent_of_forks_that_dies_is_said_and_replaced(tmp_path, digits, monkeypatch):
    monkeypatch.setattr(processes, "may_have_graphics", lambda: False)

    def kill(method, stage, done, total):
        if (method, stage) == ("knn", "start"):
            for process in psutil.Process().children(recursive=True):
                process.kill()

    request = compare.Request("digits", ("knn", "majority"))
    seen = compare.compare(digits, request, tmp_path, kill)
    assert [m.status for m in seen.methods] == ["failed", "ok"]


def test_a_method_costs_the_same_alone_and_forked(tmp_path, digits, monkeypatch):
    rows = []
    for fork in (True, False):
        monkeypatch.setattr(processes, "can_fork", lambda fork=fork: fork)
        request = compare.Request("digits", ("convnet-numpy", "linear"))
        rows.append(compare.compare(digits, request, tmp_path / str(fork)).methods)
    for forked, alone in zip(*rows, strict=True):
        assert forked.metrics == alone.metrics
        assert forked.peak_mb == pytest.approx(alone.peak_mb, rel=0.2)
        assert forked.threads == alone.threads == 1
    # Start-up is what the method would have waited for by itself, and no part of its fit.
    assert all(row.startup_seconds > 0.2 for pair in rows for row in pair)
    assert rows[0][1].peak_mb < 120  # neither torch nor the libraries of another method


def test_clocks_start_after_everything_that_is_done_once(tmp_path, digits):
    """Libraries are imported, and their first calls made, in the start-up alone."""
    request = compare.Request("digits", ("linear", "knn"))
    linear, knn = compare.compare(digits, request, tmp_path).methods
    assert linear.fit_seconds + linear.tune_seconds < linear.startup_seconds
    assert knn.tune_seconds < knn.startup_seconds


def test_threads_are_a_knob_and_recorded(tmp_path, digits):
    request = compare.Request("digits", ("majority",), threads=2)
    seen = compare.compare(digits, request, tmp_path)
    assert seen.methods[0].threads == 2
    assert json.loads((tmp_path / "methods/majority/config.json").read_text())["environment"][
        "threads"
    ] == 2  # fmt: skip
    with pytest.raises(ParameterError, match="threads=0 must be at least 1"):
        compare.Request("digits", ("majority",), threads=0)


def test_finished_methods_are_kept_on_resume(tmp_path, digits):
    request = compare.Request("digits", ("majority", "nearest-mean"))
    folder = tmp_path / "compare-digits-1"
    compare.compare(digits, request, folder)
    (folder / "results.json").unlink()
    kept = (folder / "methods/majority/result.json").stat().st_mtime_ns
    (folder / "methods/nearest-mean/result.json").unlink()
    assert compare.interrupted(tmp_path, request, digits.fingerprint()) == folder
    other = compare.Request("digits", ("majority",))
    assert compare.interrupted(tmp_path, other, digits.fingerprint()) is None
    again = compare.compare(digits, request, folder)
    assert (folder / "methods/majority/result.json").stat().st_mtime_ns == kept
    assert [m.status for m in again.methods] == ["ok", "ok"]
    with pytest.raises(RunError, match="other data or methods"):
        compare.compare(digits, other, folder)


def test_another_margin_or_cost_chooses_anew_from_what_is_kept(done, tmp_path, digits, monkeypatch):
    shutil.copytree(done[0], tmp_path / "kept")
    asked = json.loads((tmp_path / "kept/compare.json").read_text())["request"]
    assert set(asked) == {
        "data", "methods", "group", "layout", "seed", "budget", "fingerprint",
    }  # fmt: skip

    def run(*_):
        raise AssertionError("nothing is to be trained again")

    monkeypatch.setattr(processes.Processes, "run", run)
    names = ("majority", "nearest-mean", "knn")
    wide = compare.Request("digits", names, margin=0.5, cost="size")
    found = compare.compare(digits, wide, tmp_path / "kept")
    assert found.pick.name == "nearest-mean"
    assert (found.pick.margin, found.pick.cost) == (0.5, "size")
    assert found.methods == done[1].methods
    assert results.read(tmp_path / "kept/results.json").pick == found.pick
    best = compare.Request("digits", names, margin=0.0)
    assert compare.compare(digits, best, tmp_path / "kept").pick.name == "knn"


def test_a_choice_that_cannot_be_made_is_refused_before_anything_is_trained():
    with pytest.raises(ParameterError, match="margin must be a number of at least 0, not -1"):
        compare.Request("digits", ("knn",), margin=-1)
    with pytest.raises(ParameterError, match="one of latency, size, training"):
        compare.Request("digits", ("knn",), cost="money")


def test_control_c_keeps_what_is_done(tmp_path):
    """A real process, interrupted while it compares, then resumed."""
    command = [sys.executable, "-m", "sightline", "compare", "digits", "majority", "knn"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
        # A job started in the background ignores Ctrl-C, and hands that down.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    end = time.monotonic() + 120
    while not list(tmp_path.glob("runs/*/methods/knn/job.json")):
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in out + errors
    assert "--resume" in errors
    (folder,) = tmp_path.glob("runs/*")
    assert (folder / "methods/majority/result.json").exists()
    assert not (folder / "results.json").exists()
    again = subprocess.run(
        [*command, "--resume", "--json"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert [m["status"] for m in json.loads(again.stdout)["methods"]] == ["ok", "ok"]
    assert [p.name for p in tmp_path.glob("runs/*")] == [folder.name]


def test_a_network_goes_on_from_its_checkpoint(tmp_path, digits):
    """A real comparison, killed in the middle of a training, then run again."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sightline", "compare", "digits", "convnet", "-o", "c"],
        cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    place = tmp_path / "c" / "methods" / "convnet"
    end = time.monotonic() + 120
    while not (place / "checkpoints/last.safetensors").exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    said = []
    request = compare.Request("digits", ("convnet",))
    found = compare.compare(digits, request, tmp_path / "c", lambda *a: said.append(a))
    assert found.methods[0].status == "ok", found.methods[0].error
    steps = [(done, total) for _, stage, done, total in said if stage == "fit" and total > 1]
    total = steps[-1][1]
    epochs = [json.loads(line) for line in (place / "history.jsonl").open()]
    first = min(done for done, t in steps if t == total)
    assert first > epochs[0]["step"]  # not from the beginning
    assert epochs[-1]["step"] == total
    assert found.methods[0].fit_seconds > epochs[-1]["seconds"]
    assert not (place / "checkpoints").exists()


def test_unknown_method_starts_nothing(tmp_path, digits):
    request = compare.Request("digits", ("majority", "knm"))
    with pytest.raises(UnknownNameError, match="did you mean 'knn'"):
        compare.compare(digits, request, tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_data_for_which_no_method_is_here_yet():
    unserved = dataclasses.replace(sightline.load_data("digits"), tasks=(Task.LOCALIZE,))
    with pytest.raises(DataError, match=r"annotated for localize; methods here are for .*classify"):
        compare.ladder(unserved)


@pytest.mark.parametrize(
    ("text", "value"), [("90s", 90), ("10m", 600), ("1.5h", 5400), ("45", 45), (" 2 M ", 120)]
)
def test_budgets_are_read(text, value):
    assert duration.seconds(text) == value


@pytest.mark.parametrize("text", ["", "0", "-3m", "ten", "5d", "1e3s", "nan"])
def test_wrong_budgets_are_refused(text):
    with pytest.raises(ParameterError, match="such as 90s"):
        duration.seconds(text)


def test_a_budget_is_written_into_the_configuration(tmp_path, digits):
    request = compare.Request("digits", ("knn",), budget=1e-3)
    compare.compare(digits, request, tmp_path)
    config = json.loads((tmp_path / "methods/knn/config.json").read_text())
    assert config["comparison"]["budget_seconds"] == 1e-3
    assert config["comparison"]["tuning"]["images"] == 64


def test_validation_rights_are_those_of_the_model(done, digits):
    folder, _, _ = done
    right = worker.read_evaluation(folder / "methods/knn", "classify", "val").right
    model = sightline.load_model(folder / "methods/knn")
    found = model.evaluate(digits.val)
    assert (right == (found.labels == found.predicted)).all()
    assert right.mean() == pytest.approx(np.mean(found.labels == found.predicted))


def test_the_ladder_suits_the_size_and_the_machine(digits, monkeypatch):
    monkeypatch.setattr(compare, "_trains_on_graphics", lambda: False)
    names, notes = compare.ladder(digits)
    classic = ("majority", "nearest-mean", "linear", "logistic", "knn", "mlp-numpy")
    assert names[:6] == classic
    assert "resnet9" not in names
    assert "images of 8 pixels are small: resnet9" in notes[-1]
    monkeypatch.setattr(type(digits), "size", property(lambda self: (32, 32)))
    names, notes = compare.ladder(digits)
    assert "resnet9" not in names
    assert "give budget=..." in notes[0]
    names, notes = compare.ladder(digits, budget=60)
    assert "resnet9" in names
    assert notes == []
    monkeypatch.setattr(compare, "_trains_on_graphics", lambda: True)
    assert "resnet9" in compare.ladder(digits)[0]


def test_a_comparison_of_classic_methods_never_loads_torch(tmp_path):
    """Neither to choose the methods nor to draw the report: the first row would wait for it."""
    code = f"""
import sys
from pathlib import Path
from sightline.bench import compare, processes
from sightline.models import device
import sightline
from sightline.report import html
from sightline.types import Task
folder = Path({str(tmp_path)!r})
processes.may_have_graphics = device.may_have_graphics = lambda: False
data = sightline.load_data("digits")
compare.ladder(data)
request = compare.Request("digits", ("majority", "linear"))
compare.compare(data, request, folder)
html.comparison(folder, data)
print(sorted({{"torch", "torchvision", "sklearn", "numba"}} & sys.modules.keys()))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("content", ["", "[]", "{}", "[" * 200_000, '{"name": 1}'])
def test_a_damaged_entry_of_a_method_is_measured_anew(tmp_path, content):
    place = compare.place_of(tmp_path, "knn")
    place.mkdir(parents=True)
    assert compare.finished(tmp_path, "knn") is None
    (place / "result.json").write_text(content)
    assert compare.finished(tmp_path, "knn") is None
