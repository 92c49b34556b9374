from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sightline.errors import RunError
from sightline.training import run


def test_json_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.json"
    run.write_json(path, {"x": np.float32(0.5), "y": np.arange(2), "z": Path("p")})
    assert json.loads(path.read_text()) == {"x": 0.5, "y": [0, 1], "z": "p"}
    with pytest.raises(TypeError):
        run.write_json(path, {"x": object()})
    assert json.loads(path.read_text())["x"] == 0.5
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_arrays_survive(tmp_path):
    arrays = {"a": np.arange(6, dtype=np.uint8).reshape(2, 3), "b": np.array(2.5)}
    run.write_arrays(tmp_path / "m.safetensors", arrays, {"model": "x"})
    again = run.read_arrays(tmp_path / "m.safetensors")
    assert {k: (v.dtype, v.tolist()) for k, v in again.items()} == {
        k: (v.dtype, v.tolist()) for k, v in arrays.items()
    }


def test_speed_weighs_epochs_by_their_time():
    slow = {"images_per_second": 100.0, "waited": 0.5}  # 300 images in 3 s, 1.5 s waiting
    fast = {"images_per_second": 300.0, "waited": 0.1}  # in 1 s, 0.1 s waiting
    assert run.speed([slow, fast]) == {
        "images_per_second": pytest.approx(150), "waited": pytest.approx(0.4)
    }  # fmt: skip
    assert run.speed([{"train_loss": 1.0}]) is None
    assert run.speed([]) is None


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError):
        run.create(tmp_path / "file" / "run")


def test_the_environment_names_what_results_depend_on():
    found = run.environment(3)
    assert found["seed"] == 3
    assert found["threads"] >= 1
    assert found["versions"]["numpy"] == np.__version__
