"""Runs and exports of older versions still load, and answer as they did.

``kept/`` holds a run and an export written before tasks had files of their own (revision 2dfb866):
nearest-mean on digits, seed 0, 90.37% on validation as its metrics.json says.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import sightline
from sightline.deploy.export import describe, measured
from sightline.deploy.runtime import Runtime
from sightline.training import run

KEPT = Path(__file__).parent / "kept"


@pytest.fixture(scope="module")
def digits():
    return sightline.load_data("digits")


def test_an_old_run_loads_and_is_as_good_as_it_was(digits):
    model = sightline.load_model(KEPT / "run")
    written = json.loads((KEPT / "run/metrics.json").read_text())
    assert (model.name, model.task) == ("nearest-mean", "classify")
    assert model.score(digits.val).headline == written["accuracy"]


def test_an_old_export_answers_as_the_run(digits):
    runtime = Runtime(KEPT / "export.onnx")
    model = sightline.load_model(KEPT / "run")
    X = digits.test.arrays().X
    said = np.stack([answer.probabilities for answer in runtime.answer(X)])
    assert np.abs(said - model.evaluate(digits.test).probabilities).max() < 1e-4
    # It told an accuracy without its split, so nothing is claimed of the split.
    assert runtime.about.headline == pytest.approx(0.9037, abs=1e-4)
    assert measured(runtime.about) == "accuracy 90.4%"


def test_the_figure_of_an_export_says_its_split_and_prefers_the_test_split(tmp_path, digits):
    folder = shutil.copytree(KEPT / "run", tmp_path / "run")
    model = sightline.load_model(folder)
    graph = KEPT / "export.onnx"
    about = describe(model, folder, "fp32", graph)
    assert (about.split, measured(about)) == ("val", "accuracy 90.4% on its validation images")
    test = model.score(digits.test)
    document = {"headline": "accuracy", "metrics": dict(test), "split": "test"}
    run.write_json(folder / run.TEST, document)
    about = describe(model, folder, "fp32", graph)
    assert (about.split, about.headline) == ("test", test["accuracy"])
    assert measured(about).endswith("on its test images")
    model.save(folder)  # another model in that folder: its test is no longer known
    assert describe(model, folder, "fp32", graph).split == "val"
