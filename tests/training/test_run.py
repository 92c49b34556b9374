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


@pytest.mark.parametrize("place", [0.02, 0.5, 0.999])
def test_a_flipped_byte_of_the_weights_is_noticed(tmp_path, place):
    path = tmp_path / "m.safetensors"
    arrays = {f"layer{i}.weight": np.random.default_rng(i).random((40, 30)) for i in range(3)}
    run.write_arrays(path, arrays, {"model": "x"})
    raw = bytearray(path.read_bytes())
    raw[int(place * len(raw))] ^= 1
    path.write_bytes(raw)
    with pytest.raises(RunError, match=r"m\.safetensors is damaged \(.*\); train again") as caught:
        run.read_arrays(path)
    assert "\n" not in str(caught.value)


def test_arrays_of_older_runs_have_no_digest(tmp_path):
    from safetensors.numpy import save_file

    save_file({"a": np.arange(3)}, tmp_path / "m.safetensors", {"model": "x"})
    assert run.read_arrays(tmp_path / "m.safetensors")["a"].tolist() == [0, 1, 2]


def test_one_content_is_one_file(tmp_path):
    for name in "ab":
        run.write_arrays(tmp_path / name, {"a": np.arange(3), "b": np.zeros(2)}, {"model": "x"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


GOOD = {
    "format": 1, "task": "classify", "model": "knn", "options": {}, "classes": ["a", "b"],
    "seed": 0,
    "preprocess": {"size": [8, 8], "mode": "L", "resize": "crop", "scale": "unit"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, None), ({"more": 1}, None), ({"preprocess": {"size": [-1, 8]}}, "preprocess.size.0"),
        ({"preprocess": {"size": [10**9, 8]}}, "preprocess.size.0"),
        ({"preprocess": {"size": "x"}}, "preprocess.size"),
        ({"preprocess": {"mode": "CMYK"}}, "'L' or 'RGB'"),
        ({"preprocess": {"resize": "x"}}, "preprocess.resize"), ({"preprocess": 7}, "preprocess: "),
        ({"preprocess": {"scale": "eval"}}, "preprocess.scale"), ({"classes": 7}, "classes: "),
        ({"preprocess": {"backbone": {"model": "os:system"}}}, "preprocess.backbone"),
        ({"classes": [["a"]]}, "classes.0"), ({"classes": ["a", "a"]}, "a class is there twice"),
        ({"thresholds": [0.5]}, "thresholds are not one a class"), ({"options": [1]}, "options: "),
        ({"model": None}, "model: "), ({"model": ""}, "model: "), ({"format": "x"}, "format: "),
        ({"format": 99}, "newer sightline"), ({"seed": "x"}, "seed: "), ({"data": []}, "data: "),
    ],
)  # fmt: skip
def test_entries_of_another_kind_are_named(tmp_path, change, said):
    document = GOOD | {
        name: GOOD[name] | value if isinstance(value, dict) and name in GOOD else value
        for name, value in change.items()
    }
    run.write_json(tmp_path / "config.json", document)
    if said is None:
        assert run.read_config(tmp_path) == document
        return
    with pytest.raises(RunError) as caught:
        run.read_config(tmp_path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"[", b"[" * 200_000, b"1" * 6000, b"\0", b"null", b"[]", b'{"a":1,"a":2}']
)
def test_a_configuration_that_is_none_is_named(tmp_path, content):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(RunError, match=r"config\.json") as caught:
        run.read_config(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"[1]\n", b"{\n", b"[" * 200_000, b"\xff\0"])
def test_a_history_that_is_none_is_named(tmp_path, content):
    (tmp_path / "history.jsonl").write_bytes(content)
    with pytest.raises(RunError, match=r"history\.jsonl is damaged"):
        run.read_history(tmp_path)
