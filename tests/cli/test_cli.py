"""The command line as a person and as a program meet it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sightline
from sightline.cli import main


@pytest.fixture
def trained(run):
    status, _, err = run("train", "knn", "digits", "--k", 3, "-o", "runs/knn")
    assert status == 0, err
    return "runs/knn"


@pytest.fixture
def picture(tmp_path):
    data = sightline.load_data("digits")
    sample = data.test[0]
    Image.fromarray(sample.image[:, :, 0]).save(tmp_path / "digit.png")
    return "digit.png", data.classes[sample.label]


def test_help_names_every_verb_and_loads_nothing_heavy():
    code = (
        "import sys\nfrom sightline.cli import main\nstatus = main.status(['--help'])\n"
        "heavy = {'torch', 'numba', 'sklearn', 'matplotlib', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy\nsys.exit(status)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    for verb in main.VERBS:
        assert f"{verb} " in found.stdout


def test_import_loads_no_library():
    code = (
        "import sys, sightline\n"
        "sys.exit(sorted({'torch', 'numpy', 'PIL', 'rich', 'cyclopts'} & set(sys.modules)) or 0)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize("verb", [*main.VERBS, "train knn", "tune knn", "data audit"])
def test_every_verb_has_help(run, verb):
    status, out, _ = run(*verb.split(), "--help")
    assert status == 0
    assert "Usage" in out
    if verb == "train knn":
        assert "--metric" in out
        assert "Number of neighbours that vote" in out


def test_train_eval_predict(run, trained, picture):
    status, out, _ = run("eval", trained, "digits", "--json")
    measured = json.loads(out)
    assert status == 0
    assert measured["metrics"]["accuracy"] > 0.97
    assert np.trace(measured["confusion"]) == round(measured["metrics"]["accuracy"] * 270)
    path, truth = picture
    status, out, _ = run("predict", trained, path, "--json", "--top", 2, "-o", "seen")
    (answer,) = json.loads(out)
    assert (status, answer["label"], len(answer["top"])) == (0, truth, 2)
    assert Image.open("seen/digit.png").height > 160
    status, out, _ = run("predict", trained, path)
    assert truth in out
    assert "next 4" in out


def test_predict_writes_no_picture_over_another(run, trained, tmp_path):
    for name, level in (("new/a/1.png", 0), ("new/b/1.png", 9), ("new/b/1.bmp", 90)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), level).save(tmp_path / name)
    status, out, _ = run("predict", trained, "new", "-o", "seen", "--json")
    assert status == 0
    places = {entry["image"]: entry["picture"] for entry in json.loads(out)}
    assert places == {
        "new/a/1.png": "seen/a/1.png", "new/b/1.bmp": "seen/b/1_bmp.png",
        "new/b/1.png": "seen/b/1_png.png",
    }  # fmt: skip
    for image, place in places.items():  # each shows its own image
        assert Image.open(place).getpixel((9, 9)) == (Image.open(image).getpixel((0, 0)),) * 3
    status, out, _ = run("predict", trained, "new/a/1.png", "new/b/1.png", "-o", "two", "--json")
    assert [e["picture"] for e in json.loads(out)] == ["two/new/a/1.png", "two/new/b/1.png"]
    assert "two/new/b/1.png" in run("predict", trained, "new/b/1.png", "-o", "two")[1]
    assert "picture" not in json.loads(run("predict", trained, "new", "--json")[1])[0]


def test_predict_writes_over_no_input(run, trained, picture):
    before = Path(picture[0]).read_bytes()
    _, out, _ = run("predict", trained, picture[0], "-o", ".", "--json")
    assert json.loads(out)[0]["picture"] == "digit-2.png"
    assert Path(picture[0]).read_bytes() == before
    status, _, err = run("explain", "neighbours", trained, picture[0], "-o", f"./{picture[0]}")
    assert status == 2
    assert "digit.png is the picture in question; name another file with -o" in err
    assert Path(picture[0]).read_bytes() == before


def test_names_that_no_font_has_are_marked_and_said_once(run, install, tmp_path):
    for name in ("\U0001f98a", "猫", "cat"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for i in range(6):
            Image.new("RGB", (8, 8), (40 * i, len(name), 99)).save(tmp_path / f"set/{name}/{i}.png")
    status, _, err = run("data", "show", "set", "-o", "a.png")
    assert status == 0
    assert err.count("no font here can draw") == 1
    assert "missing from" not in err
    assert "猫" in err
    status, _, err = run("train", "nearest-mean", "set", "-o", "r")
    assert (status, err.count("no font here can draw")) == (0, 0)
    page = Path("r/report.html").read_text(encoding="utf-8")
    assert page.count("\U0001f98a</text>") > 1  # as text, in the reader's own fonts
    install("Tiny", "\U0001f98a猫")
    for words in (
        ("data", "show", "set", "-o", "b.png"), ("train", "nearest-mean", "set", "-o", "s"),
        ("predict", "r", "set/猫", "-o", "seen"),
    ):  # fmt: skip
        status, _, err = run(*words)
        assert status == 0
        assert "font" not in err
    assert Path("a.png").read_bytes() != Path("b.png").read_bytes()


def test_predict_names_the_five_most_probable_classes(run, trained, picture):
    _, out, _ = run("predict", trained, picture[0], "--json")
    scores = [entry["score"] for entry in json.loads(out)[0]["top"]]
    assert len(scores) == 5
    assert scores == sorted(scores, reverse=True)
    assert "next 9" in run("predict", trained, picture[0], "--top", 50)[1]  # there are no more


def test_train_json_and_runs(run, trained):
    status, out, _ = run("train", "nearest-mean", "digits", "--json")
    assert status == 0
    assert json.loads(out)["run"] == "runs/nearest-mean-digits"
    status, out, _ = run("runs", "--json")
    found = {r["run"]: r for r in json.loads(out)}
    assert set(found) == {"runs/knn", "runs/nearest-mean-digits"}
    assert found["runs/knn"]["headline"] > 0.9
    assert "runs/knn" in run("runs")[1]
    assert run("eval", "runs/nearest-mean-digits", "digits")[0] == 0
    rows = {r["run"]: r for r in json.loads(run("runs", "--json")[1])}
    assert found["runs/nearest-mean-digits"]["split"] == "val"
    assert rows["runs/nearest-mean-digits"]["split"] == "test"


def test_compare_says_what_is_wrong_with_a_task(run):
    status, _, err = run("compare", "digits", "--task", "clasify")
    assert status == 2
    assert "unknown task 'clasify'; did you mean 'classify'?" in err
    status, _, err = run("compare", "digits", "--task", "detect")
    assert status == 2
    assert "digits has no annotation for detect; it serves classify" in err


def test_compare_prints_a_table_and_a_choice(run):
    status, out, _ = run("compare", "digits", "majority", "nearest-mean", "-o", "runs/c")
    assert status == 0
    assert "Take nearest-mean" in out
    assert "report.html" in out
    status, out, _ = run("runs")
    assert "comparison of 2: nearest-mean" in out
    words = ("compare", "digits", "majority", "nearest-mean", "-o", "runs/c", "--json")
    status, out, _ = run(*words, "--margin", "100", "--cost", "size")
    choice = json.loads(out)["pick"]
    assert (status, choice["name"]) == (0, "majority")
    assert (choice["margin"], choice["cost"], choice["best"]) == (1.0, "size", "nearest-mean")


def test_explain_neighbours(run, trained, picture):
    path, truth = picture
    status, out, _ = run("explain", "neighbours", trained, path, "--json")
    found = json.loads(out)
    assert (status, found["label"], len(found["neighbours"])) == (0, truth, 3)
    distances = [n["distance"] for n in found["neighbours"]]
    assert distances == sorted(distances)
    assert sum(n["votes"] for n in found["neighbours"]) == pytest.approx(1)
    image = sightline.load_data("digits").test[0].image.astype(int)
    train = sightline.load_data("digits").train
    nearest = train[found["neighbours"][0]["row"]].image.astype(int)
    assert distances[0] == pytest.approx(np.sqrt(((image - nearest) ** 2).sum()))
    assert Image.open("digit-neighbours.png").width > 300


def test_explain_needs_a_method_that_compares(run, picture):
    run("train", "majority", "digits", "-o", "m")
    status, _, err = run("explain", "neighbours", "m", picture[0])
    assert (status, err.count("\n")) == (2, 1)
    assert "knn does" in err


def test_tune(run):
    status, out, _ = run(
        "tune", "knn", "digits", "--scale", "none", "--metric", "l2", "--folds", 2, "--json"
    )
    found = json.loads(out)
    assert status == 0
    assert len(found["trials"]) == 16
    assert found["best"]["metric"] == "l2"
    assert found["test"]["accuracy"] > 0.96
    assert Image.open(found["picture"]).width > 400
    assert sightline.load_model(found["run"]).options["k"] == found["best"]["k"]


def test_models(run):
    status, out, _ = run("models", "--json")
    assert [m["name"] for m in json.loads(out)] == sightline.list_models()
    status, out, _ = run("models", "show", "knn")
    assert status == 0
    assert "--metric" in out
    assert "1967" in out


def test_data_verbs(run, tmp_path):
    status, out, _ = run("data", "show", "digits", "--count", 6, "--json")
    assert json.loads(out)["counts"]["train"] == len(sightline.load_data("digits").train)
    assert Image.open("digits.png").width > 300
    status, out, _ = run("data", "convert", "shapes:count=10,size=32", "out", "--to", "coco")
    assert (status, (tmp_path / "out/annotations").is_dir()) == (0, True)
    status, out, _ = run("data", "audit", "out", "--json")
    assert (status, json.loads(out)["errors"]) == (0, 0)
    assert "mnist" in run("data", "list")[1]


def test_audit_with_errors_has_status_one(run, tmp_path):
    for name in ("a", "b"):
        folder = tmp_path / "set" / name
        folder.mkdir(parents=True)
        for i in range(8):
            pixels = np.random.default_rng([i, name == "a"]).integers(0, 256, (20, 20, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i}.png")
    (tmp_path / "set/a/broken.jpg").write_bytes(b"no picture")
    status, out, _ = run("data", "audit", "set", "--json", "--fix", "clean")
    found = json.loads(out)
    assert (status, found["errors"]) == (1, 1)
    assert found["findings"][0]["kind"] == "unreadable"
    assert run("data", "audit", "clean")[0] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "knm", "digits"], "did you mean 'knn'"),
        (["train", "knn", "digitz"], "did you mean 'digits'"),
        (["train", "knn", "nowhere/at/all"], "no such file or folder"),
        (["train", "knn", "digits", "--k", "many"], "many"),
        (["train", "knn", "digits", "--k", "0"], "whole number from 1"),
        (["train", "knn", "digits", "--metrik", "l1"], "metri"),
        (["train", "knn"], "DATA"),
        (["frobnicate"], "frobnicate"),
        (["eval", "nowhere", "digits"], "no such run"),
        (["predict", "nowhere", "a.png"], "no such run"),
        (["compare", "digits", "--budget", "soon"], "such as 90s"),
        (["compare", "digits", "--margin", "-1"], "--margin must be a number of at least 0"),
        (["compare", "digits", "--margin", "nan"], "--margin must be a number of at least 0"),
        (["compare", "digits", "--cost", "money"], "--cost"),
        (["compare", "digits", "knm"], "did you mean 'knn'"),
        (["compare", "digits", "--task", "segment"], "no annotation for segment"),
        (["data", "show", "digits", "--count", "0"], "between 1 and 200"),
        (["data", "convert", "digits", "x", "--to", "voc"], "digits"),
        (["tune", "majority", "digits"], "no knob left"),
        (["runs", "nowhere"], "no such folder"),
        (["models", "show", "resnet"], "unknown model"),
    ],
)
def test_misuse_is_one_line_and_status_two(run, words, said):
    status, out, err = run(*words)
    assert status == 2
    assert out == ""
    assert said in err.splitlines()[-1]
    assert err.splitlines()[-1].startswith("sightline: ")


def test_a_picture_without_a_white_leaves_the_others_answered(run, trained, picture):
    import numpy as np
    from PIL import Image

    Image.fromarray(np.full((9, 9), 0.5, np.float32)).save("float.tif")
    status, out, _ = run("predict", trained, "float.tif", picture[0], "--json")
    none, good = json.loads(out)
    assert status == 2
    assert "no agreed white" in none["error"]
    assert "label" in good


def test_a_bad_image_does_not_stop_the_others(run, trained, picture, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8\xff\xe0 nothing")
    status, out, _ = run("predict", trained, "bad.jpg", picture[0], "missing.png", "--json")
    answers = json.loads(out)
    assert status == 2
    assert [bool(a.get("error")) for a in answers] == [True, False, True]
    assert "no such file" in answers[2]["error"]
    assert answers[1]["label"] == picture[1]


def test_models_lists_networks(run):
    status, out, _ = run("models", "--json")
    found = {m["name"]: m for m in json.loads(out)}
    assert status == 0
    assert found["vgg16"]["parameters"] == 138_357_544
    assert found["vgg16"]["shape"] == [3, 224, 224]
    assert found["resnet50"]["weights"] == ["imagenet"]
    assert "138,357,544" in run("models")[1]
    status, out, _ = run("models", "show", "resnet18")
    assert status == 0
    assert "--batch-size" in out


def test_models_show_prints_layers(run):
    status, out, err = run("models", "show", "vgg16", "--input", "3x32x32", "--draw", "v.png")
    assert status == 0, err
    assert "features.28" in out
    assert "15,227,688" in out
    assert Image.open("v.png").width > 800
    status, out, _ = run(
        "models", "show", "torchvision:resnet34", "--input", "1x64x64", "--classes", 4, "--json"
    )
    found = json.loads(out)
    assert status == 0
    assert found["layers"][-1]["shape"] == [4]
    assert found["layers"][-1]["receptive_field"] is None
    assert found["layers"][0]["receptive_field"] == [7, 7]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("vgg16", "--input", "32x32"), "such as 3x32x32"),
        (("vgg16", "--input", "3x16x16"), "at least 32 pixels"),
        (("knn", "--input", "3x32x32"), "is not a network"),
        (("torchvision:resnet33",), "did you mean 'resnet34'"),
        (("vgg16", "--draw", "nowhere/v.png"), "cannot write nowhere"),
    ],
)
def test_models_show_refuses_in_one_line(run, words, said):
    status, _, err = run("models", "show", *words)
    assert status == 2
    assert said in " ".join(err.split())


def test_train_writes_a_report_of_every_kind_of_method(tmp_path, capsys):
    for name in ("logistic", "linear", "knn"):
        assert main.status(["train", name, "digits", "-o", str(tmp_path / name)]) == 0
        page = (tmp_path / name / "report.html").read_text()
        assert "predict --reject" in page


def test_predict_rejects_below_a_score_and_writes_shards(tmp_path, capsys):
    run = tmp_path / "run"
    assert main.status(["train", "nearest-mean", "digits", "-o", str(run)]) == 0
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for i, sample in enumerate(sightline.load_data("digits").test[:4]):
        Image.fromarray(sample.image[:, :, 0]).save(pictures / f"{i}.png")
    capsys.readouterr()
    assert main.status(["predict", str(run), str(pictures), "--reject", "1", "--json"]) == 0
    assert all(answer["rejected"] for answer in json.loads(capsys.readouterr().out))
    output = str(tmp_path / "answers.parquet")
    assert main.status(["predict", str(run), str(pictures), "-o", output, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pictures"] == 4
    assert main.status(["predict", str(run), str(pictures), "--engine", "ray"]) == 2
    assert "-o NAME.parquet" in capsys.readouterr().err
    assert main.status(["predict", str(run), str(pictures), "--reject", "2"]) == 2
