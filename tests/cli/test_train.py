"""``sightline train`` of a network, as a person meets it."""

from __future__ import annotations

import json
import re
import sys

import numpy as np
import pytest
from PIL import Image

QUICK = ("--device", "cpu", "--batch-size", 256)


def events(folder):
    """What TensorBoard reads: tag -> [(step, value)]."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder))
    found.Reload()
    return {tag: [(e.step, e.value) for e in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def history(folder):
    return [json.loads(line) for line in (folder / "history.jsonl").open()]


def test_tensorboard_shows_the_history_once_also_when_resumed(run, tmp_path):
    words = ("train", "convnet", "digits", *QUICK, "--epochs", 3, "-o", "r", "--tensorboard")
    assert run(*words)[0] == 0
    for _ in range(2):
        rows, found = history(tmp_path / "r"), events(tmp_path / "r" / "tensorboard")
        for tag, name in {
            "loss/train": "train_loss", "loss/val": "val_loss", "accuracy/val": "val_accuracy",
            "accuracy/train": "train_accuracy", "lr": "lr", "waited": "waited",
            "images_per_second": "images_per_second",
        }.items():  # fmt: skip
            assert [step for step, _ in found[tag]] == [1, 2, 3]
            assert [v for _, v in found[tag]] == pytest.approx([row[name] for row in rows])
        assert run(*words, "--resume")[0] == 0


def test_the_end_says_speed_and_waiting(run, tmp_path):
    words = ("train", "convnet", "digits", *QUICK, "--epochs", 1, "-o", "r")
    status, out, _ = run(*words)
    assert status == 0
    assert re.search(r"^[\d,]+ images/s, \d+\.\d% of the time waiting for data$", out, re.M)
    speed = json.loads(run(*words, "--json")[1])["speed"]
    (row,) = history(tmp_path / "r")
    assert speed == pytest.approx({k: row[k] for k in speed})


def test_eval_chooses_the_views(run, tmp_path):
    run("train", "convnet", "digits", *QUICK, "--epochs", 2, "-o", "r")
    losses = {}
    for tta in ("none", "flip", "multi-crop"):
        status, out, err = run("eval", "r", "digits", "--tta", tta, "--json")
        assert status == 0, err
        losses[tta] = json.loads(out)["metrics"]["log_loss"]
    assert len(set(losses.values())) == 3
    assert not (tmp_path / "r" / "test.json").exists()  # that is for the run as it was trained
    status, out, _ = run("eval", "r", "digits", "--json")
    assert json.loads(out)["metrics"]["log_loss"] == losses["none"]
    run("train", "knn", "digits", "-o", "k")
    status, _, err = run("eval", "k", "digits", "--tta", "flip")
    assert (status, err.count("networks have")) == (2, 1)


@pytest.fixture
def folder(tmp_path):
    """Photographs of three kinds, 80 pixels a side: too large to be decoded while loading."""
    rng = np.random.default_rng(0)
    for split, n in (("train", 8), ("val", 4), ("test", 4)):
        for kind in "abc":
            place = tmp_path / "data" / split / kind
            place.mkdir(parents=True)
            for i in range(n):
                Image.fromarray(rng.integers(0, 255, (80, 80, 3), np.uint8)).save(
                    place / f"{i}.png"
                )
    return tmp_path / "data"


def test_images_that_break_are_left_out_and_named(run, folder):
    (folder / "train" / "a" / "3.png").write_bytes(b"nothing")
    status, out, _ = run("train", "convnet", folder, *QUICK, "--epochs", 1, "-o", "r")
    assert status == 0
    assert "1 of 48 images cannot be read and are left out" in out
    assert "3.png" in out


def test_a_class_without_training_images_is_named(run, folder):
    for path in (folder / "train" / "b").iterdir():
        path.unlink()
    status, out, err = run("train", "convnet", folder, *QUICK, "--epochs", 1, "-o", "r")
    assert status == 0
    assert "no training image of 'b': a model cannot learn it" in err
    status, out, _ = run("eval", "r", folder, "--json")
    assert json.loads(out)["classes"]["b"]["recall"] == 0


def test_a_run_cut_short_is_named(run, tmp_path):
    run("train", "convnet", "digits", *QUICK, "--epochs", 1, "-o", "r")
    weights = tmp_path / "r" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:3000])
    status, _, err = run("eval", "r", "digits")
    assert status == 2
    assert "model.safetensors is damaged" in err


def test_tensorboard_is_refused_before_anything_is_done(run, monkeypatch, tmp_path):
    status, _, err = run("train", "knn", "digits", "--tensorboard")
    assert (status, err.count("networks are")) == (2, 1)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    status, _, err = run("train", "convnet", "none", "--tensorboard", "-o", "r")
    assert status == 2
    assert "pip install 'sightline[tensorboard]'" in err
    assert not (tmp_path / "r").exists()
