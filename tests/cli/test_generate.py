"""``sightline generate``: what it writes, and one clear line for what it cannot make."""

import json

import numpy as np
import pytest
from PIL import Image

import sightline
from sightline.cli import main

TINY = {"epochs": 1.0, "least_steps": 1, "device": "cpu"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Runs on the embedded digits, and some of their pictures, one name in Chinese."""
    place = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIGHTLINE_HOME", str(place / "home"))
        data = sightline.load_data("digits")
        some = data.with_rows({name: rows[:120] for name, rows in data.rows.items()})
        for name, more in (("flow", {"width": 8}), ("vae", {"width": 16}), ("knn", {})):
            knobs = more if name == "knn" else TINY | more
            sightline.create_model(name, **knobs).fit(some.train).save(place / name)
    for i, name in enumerate(("一", "b", "c")):
        Image.fromarray(data.test[i].image[:, :, 0]).save(place / f"{name}.png")
    mask = np.zeros((8, 8), np.uint8)
    mask[:, 4:] = 255
    Image.fromarray(mask).save(place / "mask.png")
    (place / "text.png").write_text("no picture")
    return place


@pytest.fixture
def run(capsys, monkeypatch, folder):
    monkeypatch.chdir(folder)

    def call(*words):
        status = main.status([str(w) for w in words])
        return status, *capsys.readouterr()

    return call


def test_a_sheet_and_all_that_is_drawn_beside_it(run, folder, monkeypatch):
    from sightline.estimators import generate_judge

    monkeypatch.setattr(generate_judge, "EPOCHS", 0.2)
    status, out, err = run(
        "generate", "flow", "-n", 6, "--class", "7", "--steps", 2, "--between", "b.gif",
        "--from-noise", "n.gif", "--nearest", "near.png", "-o", "六.png", "--json",
    )  # fmt: skip
    assert status == 0, err
    said = json.loads(out)
    assert said["pictures"] == 6
    assert 0 <= said["copying"] <= 1
    assert len(said["nearest"]) == 6
    assert set(said["files"]) == {"sheet", "nearest", "between", "from noise"}
    first = Image.open("六.png")
    assert first.width > 100
    with Image.open("n.gif") as way:
        assert way.n_frames == 3  # the noise, and both steps
    with Image.open("b.gif") as way:
        assert way.n_frames > 20
    kept = np.asarray(first)
    assert run("generate", "flow", "-n", 6, "--class", "7", "--steps", 2, "-o", "again")[0] == 0
    assert np.array_equal(np.asarray(Image.open("again.png")), kept)


def test_pictures_drawn_again_mended_and_added(run):
    status, out, err = run(
        "generate", "flow", "一.png", "b.png", "c.png", "--arithmetic", "sum.gif", "-o", "g.jpg"
    )
    assert status == 0, err
    assert "drawn again: PSNR" in out
    with Image.open("sum.gif") as way:
        assert way.n_frames > 5
    status, out, err = run("generate", "flow", "一.png", "--mask", "mask.png", "--json")
    assert status == 0, err
    assert json.loads(out)["made_anew"] == 1
    assert Image.open("flow-generated.png").height > 150  # the picture, the gap and what fills it


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("nowhere",), "no such run"),
        (("knn",), "a run of knn, for the task classify: it makes no pictures"),
        (("vae", "--class", "7"), "knows no classes: train vae with --conditional"),
        (("flow", "--class", "77"), "unknown class '77'"),
        (("vae", "--steps", "3"), "makes pictures without steps"),
        (("flow", "--steps", "0"), "steps must be from 1"),
        (("flow", "-n", "0"), "n must be from 1"),
        (("flow", "--seed", "-1"), "seed must be"),
        (("flow", "no.png"), "no.png: no such file"),
        (("flow", "text.png"), "text.png"),
        (("flow", "b.png", "--between", "w.gif"), "name at least 2"),
        (("flow", "b.png", "--arithmetic", "w.gif"), "takes 3 PICTUREs"),
        (("flow", "--mask", "mask.png"), "name some"),
        (("flow", "b.png", "--mask", "no.png"), "no.png"),
        (("flow", "b.png", "-o", "b.png"), "name another file"),
        (("flow", "-o", "no/b.png"), "there is no folder"),
        (("flow", "-o", "b.tif"), "written as"),
        (("flow", "--between", "b.mp4"), "ends in .gif"),
        (("flow", "--nearest", "n.png", "--data", "no/data"), "no/data"),
    ],
)
def test_one_clear_line(run, words, line):
    status, _, err = run("generate", *words)
    assert status != 0
    last = [part for part in err.splitlines() if part.startswith("sightline:")]
    assert len(last) == 1, err
    assert line in " ".join(err.split("sightline:")[1].split())


def test_a_run_is_kept_where_its_figures_cannot_be_had(run, tmp_path):
    """Four validation pictures are too few for a distance: one line says so, after saving."""
    random = np.random.default_rng(0)
    for split, n in (("train", 12), ("val", 4), ("test", 4)):
        for i in range(n):
            place = tmp_path / "data" / split / "ab"[i % 2]
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(random.integers(0, 256, (8, 8), np.uint8)).save(place / f"{i}.png")
    status, _, err = run(
        "train", "autoencoder", tmp_path / "data", "--epochs", "1", "--least-steps", "1", "--judge",
        tmp_path / "none", "-o", tmp_path / "kept",
    )  # fmt: skip
    assert status == 2
    assert "kept, without figures" in err
    assert run("generate", tmp_path / "kept", "-n", 2, "-o", tmp_path / "a.png")[0] == 0
