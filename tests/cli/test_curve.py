"""The verb ``curve``: its table and sentences, its files, going on, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightline.bench import processes
from sightline.report.learning import PICTURE

WORDS = (
    "curve", "digits", "majority", "nearest-mean", "--sizes", "20,60,200,600", "--seeds", "2",
    "--threads", "1",
)  # fmt: skip


def draw(folder, counts):
    random = np.random.default_rng(0)
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for i in range(count):
            pixels = random.integers(0, 256, (8, 8, 3), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")


def test_the_table_the_answer_and_the_files(run, monkeypatch):
    status, out, err = run(*WORDS, "-o", "c")
    assert status == 0
    assert "16 fits on 20, 60, 200, 600 training images, 2 draws of each size" in err
    assert "[16/16] nearest-mean 600 #2: accuracy" in err
    assert "digits: accuracy on 270 test images, by the number of training images" in out
    assert "1,200 images (extrapolated)" in out
    assert "Twice as many training images (1,200) would bring nearest-mean about" in out
    assert "At every size nearest-mean is the best (measured)." in out
    assert "the same 270 test images, the whole split" in " ".join(out.split())
    assert {p.name for p in Path("c").iterdir()} == {
        "curve.json", "fits", "results.json", "report.html", PICTURE,
    }  # fmt: skip
    assert Image.open(Path("c", PICTURE)).width > 400
    status, listed, _ = run("runs", ".")
    assert "curves of 2: nearest-mean" in listed

    monkeypatch.setattr(processes.Processes, "run", None)  # nothing is measured anew
    status, out, _ = run(*WORDS, "-o", "c", "--json")
    assert status == 0
    assert json.loads(out) == json.loads(Path("c/results.json").read_text(encoding="utf-8"))


def test_an_interrupted_curve_goes_on(run, monkeypatch):
    first, did = processes.Processes.run, []

    def stopped(self, method, place, tell):
        if len(did) == 5:
            raise KeyboardInterrupt
        did.append(place)
        return first(self, method, place, tell)

    monkeypatch.setattr(processes.Processes, "run", stopped)
    status, _, err = run(*WORDS)
    assert status == 130
    (folder,) = Path("runs").iterdir()
    assert f"finished fits are kept in {folder}; the same command with --resume goes on" in err
    assert "curves, interrupted" in run("runs")[1]
    before = list(did)

    def counted(self, method, place, tell):
        did.append(place)
        return first(self, method, place, tell)

    monkeypatch.setattr(processes.Processes, "run", counted)
    status, _, err = run(*WORDS, "--resume")
    assert status == 0, err
    assert f"going on with {folder}" in err
    assert len(did) == len(set(did)) == 16
    assert did[:5] == before
    assert "nothing to resume" in run(*WORDS, "--resume")[2]


def test_a_fit_that_fails_is_counted_named_and_told_by_the_status(run, monkeypatch):
    first = processes.Processes.run

    def killed(self, method, place, tell):
        if method == "nearest-mean" and place.name == "60-1":
            return -9
        return first(self, method, place, tell)

    monkeypatch.setattr(processes.Processes, "run", killed)
    status, out, err = run(*WORDS, "-o", "c")
    assert status == 1
    assert "nearest-mean 60 #2: failed" in err
    assert "nearest-mean (1 fit: 60 #2) failed: killed by the system" in out
    assert "1 of 16 fits failed: nearest-mean at 60 images." in out
    assert "(1 of 2)" in out
    monkeypatch.setattr(processes.Processes, "run", first)
    assert run(*WORDS, "-o", "c")[0] == 0


def test_sizes_beyond_all_images_are_clipped_and_said(run):
    words = ("curve", "digits", "majority", "--sizes", "100,5000", "--seeds", "1")
    status, out, err = run(*words, "-o", "c")
    assert status == 0
    assert "there are 1,257 training images: the size 5,000 is taken as 1,257" in err
    assert "No extrapolation of majority: it needs 4 measured sizes." in out
    assert "5,000" in Path("c/report.html").read_text(encoding="utf-8")


def test_a_class_with_one_photograph_is_said(run, tmp_path):
    draw(tmp_path / "few", {"a": 40, "b": 40, "only": 1})
    status, _, err = run("curve", "few", "majority", "--seeds", "1", "-o", "c")
    assert status == 0, err
    assert "class 'only' has 1 training image, which is in every subset" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--sizes", "many"), "--sizes are whole numbers parted by commas"),
        (("--sizes", "10.5,20"), "--sizes are whole numbers parted by commas"),
        (("--sizes", ","), "sizes is empty"),
        (
            ("--sizes", "10"),
            "10 images are fewer than 2 for each of 10 classes; the smallest is 20",
        ),
        (("--seeds", "0"), "--seeds 0: each size is drawn at least once"),
        (("--seeds", "many"), "--seeds"),
        (("--budget", "soon"), "such as 90s"),
        (("--threads", "0"), "threads"),
        (("--device", "abacus"), "device"),
        (("knm",), "did you mean 'knn'"),
        (("--task", "clasify"), "did you mean 'classify'"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_is_one_clear_line(run, words, message):
    status, out, err = run("curve", "digits", *words)
    assert status == 2
    assert out == ""
    assert message in err.splitlines()[-1]
    assert not Path("runs").exists()


def test_data_for_another_task_or_without_a_test_split_are_one_line(run, tmp_path):
    status, _, err = run("curve", "digits", "--task", "segment")
    assert (status, "no annotation for segment" in err.splitlines()[-1]) == (2, True)
    status, _, err = run("curve", "shapes", "knn")
    assert (status, "shapes" in err.splitlines()[-1]) == (2, True)
    draw(tmp_path / "tiny", {"a": 1, "b": 1})
    status, _, err = run("curve", "tiny", "knn")
    assert status == 2
    assert len(err.splitlines()[-1]) < 300


def test_a_folder_of_something_else_is_refused(run):
    assert run("train", "nearest-mean", "digits", "-o", "c")[0] == 0
    status, _, err = run(*WORDS, "-o", "c")
    assert (status, "holds a run" in err.splitlines()[-1]) == (2, True)
    shutil.rmtree("c")
