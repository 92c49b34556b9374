"""``sightline plot``: figures that are right, pictures that are there, misuse that is said."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

import sightline
from sightline.cli import main, plot
from sightline.data import fonts
from sightline.report import textbook


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def call(*words):
        status = main.status(["plot", *(str(w) for w in words)])
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return status, out, err

    return call


def coloured(path):
    """Share of pixels that are no grey."""
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    return (np.ptp(pixels, axis=2) > 40).mean()


def test_line_of_the_textbook(run):
    status, out, _ = run("line", "--json", "-o", "a.png")
    assert status == 0
    found = json.loads(out)
    assert found["slope"] == pytest.approx(0.9085366, abs=5e-8)
    assert found["intercept"] == pytest.approx(2.3841463, abs=5e-8)
    assert found["picture"] == "a.png"
    assert coloured("a.png") > 0.002


def test_line_and_plane_of_a_csv(run, tmp_path):
    rng = np.random.default_rng(0)
    a, b = rng.random(20), rng.random(20)
    rows = np.column_stack([a, b, 3 * a - 2 * b + 1])
    np.savetxt("t.csv", rows, delimiter=",", header="a,b,c", comments="")
    status, out, _ = run("plane", "t.csv", "--json")
    assert status == 0
    found = json.loads(out)
    assert found["coefficients"] == pytest.approx([3, -2])
    assert found["intercept"] == pytest.approx(1)
    assert found["r_squared"] == pytest.approx(1)
    assert coloured("plane.png") > 0.01
    status, out, _ = run("line", "t.csv", "--x", "c", "--y", "a", "--json")
    assert json.loads(out)["slope"] == pytest.approx(np.polyfit(rows[:, 2], a, 1)[0])


def test_chinese_labels_are_drawn_or_the_mend_is_said(run, monkeypatch):
    status, _, err = run("line", "--language", "zh")
    if status:
        assert "apt install fonts-noto-cjk" in err or "install one" in err
        assert len(err.splitlines()) == 1
    monkeypatch.setattr(fonts, "_family_with", lambda character, properties: None)
    status, _, err = run("plane", "--language", "zh", "-o", "none.png")
    assert status == 2
    assert "no font here can draw" in err


def test_sigmoid(run):
    status, out, _ = run("sigmoid", "--weight", 2, "--bias", -3, "--json")
    assert status == 0
    assert json.loads(out)["boundary"] == 1.5
    assert coloured("sigmoid.png") > 0.002


def test_descent(run):
    status, out, _ = run("descent", "--methods", "newton,cg,lbfgs", "--json", "-o", "d.png")
    assert status == 0
    found = json.loads(out)
    by_name = {row["method"]: row for row in found["methods"]}
    assert list(by_name) == ["newton", "cg", "lbfgs"]
    assert all(row["converged"] for row in by_name.values())
    assert by_name["newton"]["evaluations"]["hess"] == by_name["newton"]["iterations"]
    assert coloured("d.png") > 0.002
    moving = Image.open(found["animation"])
    assert (found["animation"], moving.format) == ("d.gif", "GIF")
    assert moving.n_frames > 10
    first = np.asarray(moving.convert("RGB")).astype(int)
    moving.seek(moving.n_frames - 1)
    assert np.abs(first - np.asarray(moving.convert("RGB"))).max() > 100
    status, out, _ = run("descent", "--function", "quadratic", "--methods", "cg-linear", "--no-gif")
    assert status == 0
    assert "cg-linear" in out


def test_the_animation_is_not_written_over_the_still(run, tmp_path):
    status, _, err = run("descent", "--methods", "newton", "-o", "d.gif")
    assert status == 2
    assert "d.gif is the animation; name the still picture, such as -o d.png" in err
    assert not list(tmp_path.iterdir())


def test_weights_of_a_run(run):
    data = sightline.load_data("digits")
    sightline.create_model("linear", data).fit(data.train).save("run")
    status, out, _ = run("weights", "run", "--json")
    assert status == 0
    assert json.loads(out)["classes"] == list(data.classes)
    assert coloured("weights.png") > 0.03
    model = sightline.load_model("run")
    drawing = textbook.weight_images(model.method_.coef_, (8, 8), data.classes, plot._named(model))
    assert "What linear, trained on digits, looks for in each class" in drawing.get_suptitle()
    sightline.create_model("majority", data).fit(data.train).save("other")
    status, _, err = run("weights", "other")
    assert status == 2
    assert "majority does not have one weight image a class; linear and logistic do" in err


def test_weights_of_two_classes_are_opposite_and_colours_stay():
    coef = np.random.default_rng(0).normal(size=(1, 16))
    drawing = textbook.weight_images(coef, (4, 4), ["no", "yes"])
    title = " ".join(drawing.get_suptitle().split())
    assert "looks for in each class" in title
    assert "red a bright pixel speaks for the class" in title
    no, yes = (axes.images[0].get_array() for axes in drawing.axes[:2])
    np.testing.assert_array_equal(no, -yes)
    rgb = textbook.weight_images(np.random.default_rng(0).normal(size=(3, 48)), (4, 4), "abc")
    assert rgb.axes[0].images[0].get_array().shape == (4, 4, 3)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("line none.csv", "none.csv: No such file or directory"),
        ("line t.csv", "column 'a' is 1 in every row"),
        ("line t.csv --x b --y d", "unknown column 'd'"),
        ("plane t.csv --x1 b --x2 c --y a", "do not span a plane"),
        ("sigmoid --weight 0", "the weight must be a number other than 0"),
        ("descent --function rosenbruck", "did you mean 'rosenbrock'"),
        ("descent --methods gd,newtom", "did you mean 'newton'"),
        ("descent --methods gd --step 1", "gd diverged at iteration"),
        ("descent --start 1", "--start must be two numbers"),
        ("sigmoid -o none/a.png", "cannot write none/a.png: No such file"),
        ("sigmoid -o a.xyz", "cannot write a.xyz"),
        ("weights none", "none: no such run"),
    ],
)
def test_misuse_is_said_in_a_line(run, tmp_path, words, message):
    (tmp_path / "t.csv").write_text("a,b,c\n1,2,4\n1,3,6\n1,4,8\n")
    status, _, err = run(*words.split())
    assert status == 2
    assert message in err
    assert len(err.splitlines()) == 1


def test_the_picture_is_told_by_the_name_that_it_was_written_under(run, tmp_path):
    status, out, _ = run("descent", "--methods", "newton", "--json", "-o", "steps")
    assert status == 0
    assert json.loads(out)["picture"] == "steps.png"
    assert (tmp_path / "steps.png").is_file()
