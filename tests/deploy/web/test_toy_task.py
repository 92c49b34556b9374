"""A task that is not in the package goes through every verb: nothing knows tasks by name.

The files under ``toy/`` are six files of the task, one in each room, and its methods.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

TOY = Path(__file__).parents[2] / "toy"
SIX = {
    "metrics/bright.py", "estimators/bright.py", "deploy/bright.py", "deploy/graphs/bright.py",
    "report/bright.py", "deploy/web/bright.js",
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a run of the toy task, and pictures of other sizes than it was trained on."""
    folder = tmp_path_factory.mktemp("toy")
    random = np.random.default_rng(0)
    (folder / "pictures").mkdir()
    for i, size in enumerate([(16, 16), (24, 24), (8, 8)]):
        pixels = (random.random((*size, 1)) < 0.3 + 0.2 * i).astype(np.uint8) * 255
        Image.fromarray(pixels[:, :, 0]).save(folder / f"pictures/{i}.png")
    said = run(folder, "train", "linear-share", "digits", "-o", "run")
    assert re.search(r"validation: mean_absolute_error \d", said)
    return folder


def environment(folder):
    path = os.pathsep.join([str(TOY), os.environ.get("PYTHONPATH", "")])
    home = str(folder / "home")
    return os.environ | {"PYTHONPATH": path, "SIGHTLINE_HOME": home, "OMP_NUM_THREADS": "1"}


def run(folder, *words, code=0):
    done = subprocess.run(
        [sys.executable, "-m", "sightline", *map(str, words)], cwd=folder, env=environment(folder),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done.stdout


def bright(path):
    pixels = np.asarray(Image.open(path).convert("L"))
    return int((pixels >= 128).sum()), pixels.size


def test_it_is_six_files_and_its_methods():
    files = {p.relative_to(TOY / "sightline").as_posix() for p in TOY.rglob("*.*") if p.is_file()}
    files = {name for name in files if not name.endswith(".pyc")}
    assert files - {"models/bright/cards.py", "deploy/bright_edge.py"} == SIX


def test_its_learning_curves_are_drawn(place):
    words = ("--sizes", "40,90,200,450", "--seeds", "2", "--threads", "1", "-o", "curve")
    said = run(place, "curve", "digits", "mean-share", "linear-share", *words)
    assert re.search(
        r"linear-share about -?\d\.\d{3} less mean absolute error \(extrapolated", said
    )
    assert "At every size linear-share is the best (measured)." in said
    document = json.loads((place / "curve/results.json").read_text())
    assert (document["task"], document["share"], document["higher_is_better"]) == (
        "bright", False, False,
    )  # fmt: skip


def test_its_methods_are_listed_and_shown(place):
    listed = json.loads(run(place, "models", "--task", "bright", "--json"))
    assert [card["name"] for card in listed] == ["mean-share", "linear-share"]
    assert "--ridge" in run(place, "models", "show", "linear-share")
    assert "--ridge" in run(place, "train", "linear-share", "--help")


def test_train_writes_a_page_and_figures_with_their_split(place):
    metrics = json.loads((place / "run/metrics.json").read_text())
    assert (metrics["split"], metrics["headline"], metrics["share"]) == (
        "val", "mean_absolute_error", False,
    )  # fmt: skip
    assert "How far off it is (val)" in (place / "run/report.html").read_text()
    assert json.loads((place / "run/config.json").read_text())["task"] == "bright"


def test_eval_measures_it(place):
    document = json.loads(run(place, "eval", "run", "digits", "--json"))
    assert document["headline"] == "mean_absolute_error"
    assert 0 < document["metrics"]["mean_absolute_error"] < document["worst"]
    assert "worst" in run(place, "eval", "run", "digits")


def test_predict_answers_in_the_pictures_own_pixels(place):
    said = json.loads(run(place, "predict", "run", "pictures", "-o", "drawn", "--json"))
    for one in said:
        true, pixels = bright(one["image"] if Path(one["image"]).is_absolute()
                              else place / one["image"])  # fmt: skip
        assert one["pixels"] == pixels
        assert abs(one["count"] - true) < 0.15 * pixels
        drawn = np.asarray(Image.open(place / one["picture"]).convert("L"))
        assert (drawn >= 128).sum() == true
    assert "bright pixels" in run(place, "predict", "run", "pictures")


def test_compare_tunes_it_ranks_lower_as_better_and_picks_by_a_paired_test(place):
    found = json.loads(
        run(place, "compare", "digits", "mean-share", "linear-share", "-o", "cmp", "--json")
    )
    mean, line = found["methods"]
    assert found["task"] == "bright"
    assert line["headline"] < mean["headline"]
    assert not line["higher_is_better"]
    assert found["pick"]["name"] == "linear-share"
    config = json.loads((place / "cmp/methods/linear-share/config.json").read_text())
    trials = config["comparison"]["tuning"]["trials"]
    assert [sorted(trial) for trial in trials] == [["mean_absolute_error", "ridge"]] * 2
    assert config["options"] == {"ridge": 0.0}  # the better of the grid, by the lower error
    page = (place / "cmp/report.html").read_text()
    assert "pixels off" in page
    assert "What mean absolute error costs" in page
    assert "how many bright" not in page
    assert found["pick"]["margin"] == 0  # of pixels nobody can say how many are few
    words = ("compare", "digits", "mean-share", "linear-share", "-o", "cmp", "--json")
    assert json.loads(run(place, *words, "--margin", "2.5"))["pick"]["margin"] == 2.5
    refused = subprocess.run(
        [sys.executable, "-m", "sightline", "compare", "digits", "knn", "mean-share"], cwd=place,
        env=environment(place), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert refused.returncode == 2
    assert "methods of one task can be compared" in refused.stderr


def test_tune_folds_it(place):
    found = json.loads(
        run(place, "tune", "linear-share", "digits", "--folds", "2", "-o", "tuned", "--json")
    )
    assert found["best"]["ridge"] == 0.0
    assert found["metric"] == "mean_absolute_error"
    for trial in json.loads((place / "tuned/tuning.json").read_text()):
        assert trial["mean_absolute_error"] == np.mean(trial["folds"])
        assert "accuracy" not in trial


def test_the_table_of_tune_has_its_figure_and_its_worst_fold_is_the_highest(place):
    said = run(place, "tune", "linear-share", "digits", "--folds", "2", "-o", "told")
    assert "accuracy" not in said
    assert {"mean", "absolute", "error", "worst", "best"} <= set(re.findall(r"\w+", said))
    ends = re.findall(r"(\d+\.?\d*) +(\d+\.?\d*) +(\d+\.?\d*)$", said, flags=re.MULTILINE)
    rows = [[float(n) for n in row] for row in ends]
    assert len(rows) == 6
    for mean, worst, best in rows:
        assert worst >= mean >= best
    assert any(worst > best for _, worst, best in rows)


def test_export_bulk_cost_and_edge(place):
    done = json.loads(run(place, "export", "run", "-o", "count.onnx", "--json"))
    assert done["largest_difference"] < 1e-2
    assert done["mean_absolute_error_before"] is None  # as fp32 is not measured anew
    assert "accuracy_before" not in done
    from_file = json.loads(run(place, "predict", "count.onnx", "pictures", "--json"))
    from_run = json.loads(run(place, "predict", "run", "pictures", "--json"))
    assert [a["count"] for a in from_file] == [a["count"] for a in from_run]
    run(place, "predict", "run", "pictures", "-o", "all.parquet")
    import pyarrow.parquet as pq

    rows = pq.read_table(place / "all.parquet/part-000000.parquet").to_pylist()
    assert [row["count"] for row in rows] == [a["count"] for a in from_run]
    assert {row["pixels"] for row in rows} == {256, 576, 64}
    run(place, "export", "run", "--to", "edge", "-o", "edge")
    pictures = [str(place / f"pictures/{i}.png") for i in range(3)]
    said = subprocess.run(
        [sys.executable, "-I", str(place / "edge/predict.py"), *pictures], capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    from_bundle = [json.loads(line) for line in said.stdout.splitlines()]
    assert [(a["count"], a["pixels"]) for a in from_bundle] == [
        (a["count"], a["pixels"]) for a in from_run
    ]
    readme = (place / "edge/README.md").read_text()
    assert "how many of its pixels are bright" in readme
    assert not re.search("label|score|class", readme)
    assert "Take the" in json.loads(run(place, "cost", "run", "--json"))["advice"]


@pytest.fixture(scope="module")
def server(place):
    """The server on the toy run, whose test split was measured; gives its address."""
    run(place, "eval", "run", "digits", "--json")
    log = (place / "log").open("w")
    process = subprocess.Popen(
        [sys.executable, "-m", "sightline", "serve", "run", "--port", "0"], cwd=place,
        env=environment(place), stderr=log, stdout=log,
    )  # fmt: skip
    try:
        for _ in range(1200):
            lines = [json.loads(x) for x in (place / "log").read_text().splitlines() if x[0] == "{"]
            ready = [line for line in lines if line["event"] == "ready"]
            if ready or process.poll() is not None:
                break
            time.sleep(0.05)
        assert ready, (place / "log").read_text()
        yield f"http://127.0.0.1:{ready[0]['port']}"
    finally:
        process.kill()
        process.wait()


def asked(address, body=None, kind="image/png"):
    request = urllib.request.Request(address, body, {"Content-Type": kind} if body else {})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read()


def test_the_server_answers_documents_and_serves_its_script(place, server):
    picture = (place / "pictures/1.png").read_bytes()
    [result] = json.loads(asked(f"{server}/v1/predict", picture))["results"]
    true, pixels = bright(place / "pictures/1.png")
    assert result["pixels"] == pixels == 576
    assert abs(result["count"] - true) < 0.15 * pixels
    [model] = json.loads(asked(f"{server}/v1/models"))["models"]
    assert (model["task"], model["metric"], model["split"]) == (
        "bright", "mean_absolute_error", "test",
    )  # fmt: skip
    schemas = json.loads(asked(f"{server}/openapi.json"))["components"]["schemas"]
    assert {"BrightAnswer", "ClassifyAnswer", "ClassifyScore"} <= schemas.keys()
    assert b"export function draw" in asked(f"{server}/static/bright.js")


def test_the_page_draws_it(place, server, page):
    page.open(server)
    page.drop((place / "pictures/2.png").read_bytes(), "2.png", "image/png")
    shown = page.wait(lambda: page.texts(".count"))
    true, pixels = bright(place / "pictures/2.png")
    count, of = re.fullmatch(r"(\d+) of (\d+)", shown[0]).groups()
    assert int(of) == pixels
    assert abs(int(count) - true) < 0.15 * pixels
