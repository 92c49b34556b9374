"""Exported files answer as the run, anywhere, and a file that does not is not written."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import sightline
from sightline.cli.main import status
from sightline.deploy import classify
from sightline.deploy import export as module
from sightline.deploy.export import export, exported, preprocess_of
from sightline.deploy.runtime import KEY, Runtime, session
from sightline.errors import DataError, ParameterError, RunError
from sightline.estimators import load_model

QUICK: dict[str, dict[str, Any]] = {
    "logistic": {"max_iter": 30},
    "knn": {"k": 5},
    "mlp-numpy": {"epochs": 1, "hidden": (16,)},
    "convnet": {"epochs": 0.2},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run of each method, on digits."""
    data = sightline.load_data("digits")
    made = {}
    for name, options in QUICK.items():
        model = sightline.create_model(name, data, **options).fit(data.train[:600])
        made[name] = model.save(tmp_path_factory.mktemp("runs") / name)
    return made


@pytest.mark.parametrize("name", QUICK)
def test_an_exported_file_answers_as_the_run(runs, name, tmp_path):
    done = export(runs[name], tmp_path)
    assert done.difference < 1e-5
    assert done.agreement == 1
    assert done.checked_on.startswith("64 images of digits/test")
    X = sightline.load_data("digits").test.arrays((8, 8), "crop").X[:40]
    wanted = load_model(runs[name]).predict(list(X))
    found = Runtime(done.path).answer(np.array(X))
    assert [a.name for a in found] == [a.name for a in wanted]
    assert done.about.classes == load_model(runs[name]).classes_
    if name == "knn":
        for a, b in zip(found, wanted, strict=True):
            assert (a.neighbours.indices == b.neighbours.indices).all()


def test_one_picture_goes_through_two_graphs_alone_as_through_the_run(runs, tmp_path):
    done = export(runs["convnet"], tmp_path)
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 256, (30, 41, 3), dtype=np.uint8))
    resize, model = session(preprocess_of(done.path)), session(done.path)
    (bytes_,) = resize.run(None, {"image": np.asarray(picture)})
    probabilities = model.run(None, {"images": bytes_})[0][0]
    wanted = load_model(runs["convnet"]).predict(picture)[0].probabilities
    assert np.abs(probabilities - wanted).max() < 1e-2  # a byte may differ by one


def test_the_training_images_of_knn_lie_beside_it(runs, tmp_path):
    runtime = Runtime(export(runs["knn"], tmp_path / "near.onnx").path)
    train = sightline.load_data("digits").train.arrays((8, 8), "crop").X
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "near.neighbours.npy", "near.onnx", "near.preprocess.onnx",
    ]  # fmt: skip
    assert (runtime.neighbour(3) == train[3]).all()
    assert runtime.neighbour(600) is None


def test_a_file_that_disagrees_is_refused_and_nothing_is_left(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(classify, "TOLERANCE", {"fp32": 0.0})
    monkeypatch.setattr(module, "agreement_with", lambda *_: (0.25, 1.0))
    with pytest.raises(RunError, match=r"differs from .* by 0\.25"):
        export(runs["logistic"], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_fp16_is_smaller_and_close(runs, tmp_path):
    whole = export(runs["convnet"], tmp_path / "a.onnx")
    half = export(runs["convnet"], tmp_path / "b.onnx", precision="fp16")
    assert half.about.precision == "fp16"
    assert half.files["b.onnx"] < 0.65 * whole.files["a.onnx"]
    assert half.difference < 2e-2


def test_int8_runs_convolutions_on_bytes_and_says_its_accuracy(runs, tmp_path):
    import onnx

    done = export(runs["convnet"], tmp_path, precision="int8")
    kinds = [node.op_type for node in onnx.load(str(done.path)).graph.node]
    assert kinds.count("QuantizeLinear") >= 3
    assert done.test_images == 270
    assert done.before is not None
    assert done.after is not None
    assert abs(done.before.headline - done.after.headline) < 0.05


def test_int8_of_a_method_without_convolutions_is_refused(runs, tmp_path):
    with pytest.raises(ParameterError, match="convolutions"):
        export(runs["logistic"], tmp_path, precision="int8")


def test_data_that_has_moved_is_asked_for_or_replaced_by_noise(runs, tmp_path):
    copy = tmp_path / "run"
    load_model(runs["convnet"]).save(copy)
    config = json.loads((copy / "config.json").read_text())
    config["data"] |= {"path": "/nowhere/images", "name": "gone"}
    (copy / "config.json").write_text(json.dumps(config))
    assert "noise" in export(copy, tmp_path / "a.onnx").checked_on
    with pytest.raises(RunError, match=r"data=\.\.\."):
        export(copy, tmp_path / "b.onnx", precision="int8")
    done = export(copy, tmp_path / "c.onnx", precision="int8", data="digits")
    assert done.test_images == 270


def test_a_run_is_exported_into_its_folder_once_and_again_when_it_has_changed(runs, tmp_path):
    copy = tmp_path / "run"
    model = load_model(runs["logistic"])
    model.save(copy)
    path = exported(copy)
    assert path == copy / "export" / "model.onnx"
    first = path.stat().st_mtime_ns
    assert exported(copy).stat().st_mtime_ns == first
    model.method_.intercept_ = model.method_.intercept_ + np.arange(10)
    model.save(copy)
    assert exported(copy).stat().st_mtime_ns > first
    assert Runtime(path).about.version != ""


@pytest.mark.parametrize("content", [b"", b"not onnx", None])
def test_what_is_no_export_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "x.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RunError, match=r"x\.onnx"):
        Runtime(path)


def test_a_foreign_onnx_file_is_refused(runs, tmp_path):
    import onnx

    done = export(runs["logistic"], tmp_path)
    proto = onnx.load(str(done.path))
    del proto.metadata_props[:]
    onnx.save(proto, str(tmp_path / "foreign.onnx"))
    with pytest.raises(RunError, match="not written by sightline"):
        Runtime(tmp_path / "foreign.onnx")


def test_images_of_another_size_are_refused(runs, tmp_path):
    runtime = Runtime(export(runs["logistic"], tmp_path).path)
    with pytest.raises(DataError, match=r"8, 8, 1"):
        runtime.outputs(np.zeros((1, 9, 8, 1), np.uint8))
    assert KEY in runtime.session.get_modelmeta().custom_metadata_map


def test_the_command_says_what_it_wrote(runs, tmp_path, capsys):
    code = status(["export", str(runs["logistic"]), "-o", str(tmp_path / "m.onnx"), "--json"])
    said = json.loads(capsys.readouterr().out)
    assert code == 0
    assert said["largest_difference"] < 1e-4
    assert set(said["files"]) == {"m.onnx", "m.preprocess.onnx"}
    assert status(["export", str(tmp_path)]) == 2
    assert "not a run" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_said(runs, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="file"):
        export(runs["logistic"], tmp_path / "file" / "m.onnx")


def test_an_export_is_made_anew_when_the_run_was_measured_since(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert status(["train", "nearest-mean", "digits", "-o", "run"]) == 0
    path = exported("run")
    assert module.ready(Path("run")) == path
    assert Runtime(path).about.split == "val"
    assert status(["eval", "run", "digits"]) == 0
    later = Path("run/test.json").stat().st_mtime + 1
    os.utime("run/test.json", (later, later))  # however coarse the clock of the disk
    assert module.ready(Path("run")) is None
    assert Runtime(exported("run")).about.split == "test"
