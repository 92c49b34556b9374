"""Thresholds of classes on the way: chosen in training, kept, told by eval, used by predict."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import sightline
from sightline.cli.main import status as main


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A run of logistic regression on digits, and pictures of its test split."""
    folder = tmp_path_factory.mktemp("thresholds")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIGHTLINE_HOME", str(tmp_path_factory.mktemp("home")))
        patch.chdir(folder)
        assert main(["train", "logistic", "digits", "--max-iter", "20", "-o", "run"]) == 0
        data = sightline.load_data("digits")
        (folder / "pictures").mkdir()
        for i, sample in enumerate(data.test):
            Image.fromarray(sample.image[:, :, 0]).save(folder / f"pictures/{i:03}.png")
    return folder


def says(capsys, *words):
    status = main([*map(str, words), "--json"])
    return status, json.loads(capsys.readouterr().out)


def test_the_run_keeps_what_is_best_on_validation(place):
    data = sightline.load_data("digits")
    model = sightline.load_model(place / "run")
    kept = model.thresholds
    assert len(kept) == 10
    assert max(kept) > 0
    assert model.tune_thresholds(data.val).thresholds.tolist() == list(kept)
    assert "With its thresholds" in (place / "run/report.html").read_text(encoding="utf-8")


def test_fitting_anew_forgets_them(place):
    data = sightline.load_data("digits")
    model = sightline.load_model(place / "run")
    assert model.fit(data.train).thresholds == ()


def test_eval_tells_before_and_after(place, capsys):
    status, said = says(capsys, "eval", place / "run", "digits")
    assert status == 0
    e = sightline.load_model(place / "run").evaluate(sightline.load_data("digits").test)
    limits, confidence = e.thresholds, e.confidence
    given = confidence >= limits[e.predicted]
    assert said["thresholds"]["answered"] == pytest.approx(given.mean())
    assert said["thresholds"]["accuracy_of_answered"] == pytest.approx(
        (e.labels == e.predicted)[given].mean()
    )
    for c, about in enumerate(said["classes"].values()):
        taken = given & (e.predicted == c)
        assert about["threshold"] == limits[c]
        assert about["precision_above"] == pytest.approx((e.labels[taken] == c).mean())
        assert about["recall_above"] == pytest.approx(taken[e.labels == c].mean())
        assert 0 < about["average_precision"] <= 1
    main(["eval", str(place / "run"), "digits"])
    assert "recall with it" in capsys.readouterr().out


def test_predict_answers_none_of_these_below_them(place, capsys):
    model = sightline.load_model(place / "run")
    status, said = says(capsys, "predict", place / "run", place / "pictures", "--threshold", "auto")
    assert status == 0
    answers = model.predict([one["image"] for one in said])
    below = [a.score < model.thresholds[a.label] for a in answers]
    assert [one["rejected"] for one in said] == below
    assert 0 < sum(below) < len(below)
    _, plain = says(capsys, "predict", place / "run", place / "pictures")
    assert not any(one["rejected"] for one in plain)


def test_exports_and_bulk_have_them_too(place, capsys):
    assert main(["export", str(place / "run"), "-o", str(place / "m.onnx")]) == 0
    capsys.readouterr()
    _, run = says(capsys, "predict", place / "run", place / "pictures", "--threshold", "auto")
    _, file = says(capsys, "predict", place / "m.onnx", place / "pictures", "--threshold", "auto")
    assert [o["rejected"] for o in run] == [o["rejected"] for o in file]
    out = place / "answers.parquet"
    words = ["predict", place / "m.onnx", place / "pictures", "--threshold", "auto", "-o", out]
    assert main([*map(str, words)]) == 0
    table = pd.read_parquet(out).sort_values("image")
    assert table.label.isna().tolist() == [o["rejected"] for o in run]


def test_what_cannot_be_is_said_in_one_line(place, capsys, tmp_path):
    data = sightline.load_data("digits")
    sightline.create_model("majority", data).fit(data.train).save(tmp_path / "bare")
    picture = place / "pictures/000.png"
    for words, said in (
        (["predict", tmp_path / "bare", picture, "--threshold", "auto"], "has no thresholds"),
        (["predict", place / "run", picture, "--threshold", "auto", "--reject", "0.5"], "exclude"),
        (["predict", place / "run", picture, "--threshold", "most"], "auto"),
    ):
        assert main([*map(str, words)]) == 2
        error = capsys.readouterr().err.strip()
        assert said in error
        assert len(error.splitlines()) == 1


def test_names_of_any_script_are_drawn(install):
    from sightline.report.classify_plots import precision_recall

    install("Cat", "猫")
    p = np.random.default_rng(0).dirichlet(np.ones(12), 200).astype(np.float32)
    labels = p.argmax(1).astype(np.int64)
    drawing = precision_recall(labels, p, ["猫", *map(str, range(11))])
    texts = [text.get_text() for text in drawing.legends[0].get_texts()]
    assert len(texts) == 10
    shown = precision_recall(labels[:20] % 3, p[:20, :3], ["猫", "b", "c"])
    assert any("猫 (" in t.get_text() for t in shown.legends[0].get_texts())
