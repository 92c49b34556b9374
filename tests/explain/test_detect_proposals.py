"""Recall of proposals: measured against the truth, drawn in any script, told by the command."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

import sightline
from sightline.cli.main import status
from sightline.errors import DataError, ParameterError
from sightline.explain import detect_proposals as figure


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Ten pictures, each with two squares that selective search sees at once."""
    folder = tmp_path_factory.mktemp("set") / "方块"
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    (folder / "classes.txt").write_text("猫\nbox\n", encoding="utf-8")
    for i in range(10):
        image = np.zeros((60, 80, 3), np.uint8)
        image[10:30, 10 + i : 40 + i] = 200
        image[40:56, 50:70] = 120
        Image.fromarray(image).save(folder / "images" / f"{i}.png")
        boxes = [
            (0, (25 + i) / 80, 20 / 60, 30 / 80, 20 / 60),
            (1, 60 / 80, 48 / 60, 0.25, 16 / 60),
        ]
        text = "\n".join(" ".join(map(str, box)) for box in boxes)
        (folder / "labels" / f"{i}.txt").write_text(text, encoding="utf-8")
    return folder


def test_every_square_is_proposed_and_the_study_says_so(folder):
    data = sightline.load_data(folder)
    study = figure.study(data, "train", most=300)
    assert study.best.shape == (len(study.counts), 2 * study.images)
    assert (np.diff(study.best, axis=0) >= 0).all()
    rows = study.rows()
    assert rows[-1]["recall at 0.9"] == 1
    assert rows[0]["recall at 0.9"] < 1
    assert rows[-1]["mean overlap"] > 0.95
    drawing = figure.draw(study)
    texts = [t.get_text() for axes in drawing.axes for t in axes.texts]
    assert "猫" in texts
    assert drawing.get_suptitle().count("方块/train") == 1


def test_the_command_draws_and_tells(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert status(["explain", "proposals", str(folder), "--split", "train", "--most", "200"]) == 0
    assert "recall at 0.5" in capsys.readouterr().out
    assert (tmp_path / "proposals-方块.png").stat().st_size > 10_000
    assert status(["explain", "proposals", str(folder), "-o", "a.svg", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["picture"] == "a.svg"
    assert said["rows"][-1]["proposals"] == 2000


def test_what_has_no_boxes_is_refused(folder):
    with pytest.raises(DataError, match="no annotation for detect"):
        figure.study(sightline.load_data("digits"))
    data = sightline.load_data(folder)
    with pytest.raises(ParameterError, match="at least 1"):
        figure.study(data, images=0)
    bare = data.with_rows({"train": np.zeros(0, np.int64)})
    with pytest.raises(DataError, match="no object"):
        figure.study(bare, "train")
