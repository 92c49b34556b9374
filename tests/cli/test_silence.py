"""Nothing is dropped or replaced in silence: what the verbs say of it, and where they write."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def pictures(tmp_path):
    """Make folders of small pictures: ``pictures(NAME, "ab")`` of two classes."""

    def make(root, classes, n=12):
        for number, name in enumerate(classes):
            for k in range(n):
                path = tmp_path / root / name / f"{k}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                noise = np.random.default_rng(97 * number + k).integers(0, 99, (12, 12, 3))
                Image.fromarray((noise + 70 * number).astype(np.uint8)).save(path)
        return tmp_path / root

    return make


def test_a_run_of_other_data_keeps_its_folder(run, pictures, tmp_path):
    for root in ("photos.v1", "photos.v2", "deep/photos.v1"):
        pictures(root, "ab")
        assert run("train", "nearest-mean", root)[0] == 0
    assert run("train", "nearest-mean", "photos.v1")[0] == 0  # the same data: replaced
    made = {p.name: json.loads((p / "config.json").read_text())["data"]["path"]
            for p in (tmp_path / "runs").iterdir()}  # fmt: skip
    assert made == {
        "nearest-mean-photos.v1": str(tmp_path / "photos.v1"),
        "nearest-mean-photos.v2": str(tmp_path / "photos.v2"),
        "nearest-mean-photos.v1-2": str(tmp_path / "deep/photos.v1"),
    }


def test_few_images_are_audited_shown_and_converted_but_not_trained(run, pictures):
    pictures("few", "ab", n=1)
    assert run("data", "audit", "few")[0] == 0
    status, out, _ = run("data", "show", "few", "-o", "show")
    assert (status, out) == (0, "contact sheet: show.png\n")
    assert run("data", "convert", "--to", "csv", "few", "few-csv")[0] == 0
    status, _, said = run("compare", "few", "knn")
    assert status == 2
    assert "no split 'val'" in said
    assert "too few images (2 images)" in said


def test_a_drawing_without_an_ending_is_png_and_said_so(run, pictures, tmp_path):
    pictures("d", "ab")
    (tmp_path / "x").mkdir()
    assert "contact sheet: x/show.png" in run("data", "show", "d", "-o", "x/show")[1]
    assert (tmp_path / "x/show.png").read_bytes().startswith(b"\x89PNG")
    assert not (tmp_path / "x/show").exists()


def test_predict_names_what_it_does_not_read(run, pictures, tmp_path):
    pictures("d", "ab")
    pictures("new", "a")
    for k in range(3):
        (tmp_path / f"new/IMG_{k}.CR2").write_text("x")
    assert run("train", "nearest-mean", "d", "-o", "r")[0] == 0
    status, _, said = run("predict", "r", "new")
    assert status == 0
    assert "new: 3 .cr2: pictures of these kinds are not read" in said


def test_what_is_left_out_is_a_line_of_the_verbs_and_an_error_of_the_audit(run, pictures):
    pictures("d/train", "ab")
    pictures("d", ("test",), n=9)
    status, out, _ = run("data", "audit", "d", "--json")
    kinds = {f["kind"]: f for f in json.loads(out)["findings"]}
    assert status == 1
    assert (kinds["unused-image"]["severity"], kinds["unused-image"]["count"]) == ("error", 9)
    assert "9 images are not used: test/ (9)" in run("train", "nearest-mean", "d", "-o", "r")[2]


def test_groups_by_a_table_in_capitals(run, pictures, tmp_path):
    pictures("d", "ab")
    rows = "".join(f"{c}/{k}.png,{k}\n" for c in "ab" for k in range(12))
    (tmp_path / "g.CSV").write_text("file,p\n" + rows)
    assert run("data", "audit", "d", "--group", "g.CSV:p")[0] == 0


def test_a_list_that_leads_outside_is_read_when_asked(run, pictures, tmp_path):
    pictures("far/away", "ab")
    rows = "".join(f"{tmp_path}/far/away/{c}/{k}.png,{c}\n" for c in "ab" for k in range(12))
    (tmp_path / "in").mkdir()
    (tmp_path / "in/t.csv").write_text("path,label\n" + rows)
    status, _, said = run("data", "convert", "--to", "folder", "in/t.csv", "out")
    assert (status, said.strip().splitlines()[-1].endswith("--allow-outside")) == (2, True)
    words = ("compare", "in/t.csv", "nearest-mean", "knn", "--allow-outside", "-o", "c")
    assert run(*words)[0] == 0
