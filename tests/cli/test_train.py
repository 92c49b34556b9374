"""``sightline train`` of a network, as a person meets it."""

from __future__ import annotations

import json
import sys

import pytest

QUICK = ("--accelerator", "cpu", "--batch-size", 256)


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


def test_tensorboard_is_refused_before_anything_is_done(run, monkeypatch, tmp_path):
    status, _, err = run("train", "knn", "digits", "--tensorboard")
    assert (status, err.count("networks are")) == (2, 1)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    status, _, err = run("train", "convnet", "none", "--tensorboard", "-o", "r")
    assert status == 2
    assert "pip install 'sightline[tensorboard]'" in err
    assert not (tmp_path / "r").exists()
