"""Whatever an exported file says of itself, it is answered with, or refused in one line."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sightline.deploy.runtime import KEY, About, Runtime
from sightline.errors import RunError


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    from importlib import util
    from pathlib import Path

    spec = util.spec_from_file_location("models", Path(__file__).parent / "conftest.py")
    made = util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made.write_model(tmp_path_factory.mktemp("made") / "light.onnx")


def changed(model, path, text):
    graph = onnx.load(model)
    [entry] = [one for one in graph.metadata_props if one.key == KEY]
    entry.value = text if isinstance(text, str) else json.dumps(json.loads(entry.value) | text)
    onnx.save(graph, path)
    return path


WRONG = {
    "mode": {"mode": "CMYK"},
    "mode of another kind": {"mode": 3},
    "grey, and the graph takes colour": {"mode": "L"},
    "at_once below 0": {"at_once": -1},
    "at_once of a text": {"at_once": "many"},
    "at_once of a fraction": {"at_once": 0.5},
    "resize": {"resize": "zoom"},
    "size of nothing": {"size": [0, 8]},
    "size below 0": {"size": [-8, -8]},
    "size beyond reason": {"size": [10**6, 10**6]},
    "size of one": {"size": [8]},
    "size of texts": {"size": ["a", "b"]},
    "another size than the graph's": {"size": [16, 16]},
    "classes of a text": {"classes": "abc"},
    "classes of numbers": {"classes": [1, 2, 3]},
    "classes within classes": {"classes": [["a"], ["b"], ["c"]]},
    "fewer classes than the graph's": {"classes": ["a"]},
    "task": {"task": "nothing"},
    "task that leads elsewhere": {"task": "../cli"},
    "task that is another module": {"task": "server.process"},
    "thresholds": {"thresholds": [0.5]},
    "thresholds of texts": {"thresholds": ["a", "b", "c"]},
    "format": {"format": None},
    "format beyond numbers": {"format": float("inf")},
    "format of no number": {"format": float("nan")},
    "headline": {"headline": "good"},
    "share": {"share": "perhaps"},
    "no JSON": "{",
    "a list": "[]",
    "a number": "7",
    "nothing": "null",
    "very deep": "[" * 200_000,
    "a very long number": '{"format": ' + "9" * 6000 + "}",
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_values_are_one_line(model, tmp_path, what):
    path = changed(model, tmp_path / "wrong.onnx", WRONG[what])
    with pytest.raises(RunError) as caught:
        Runtime(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "fine", [{}, {"at_once": 1}, {"thresholds": [0.1, 0.2, 0.3]}, {"unknown": 1}, {"headline": 1}]
)
def test_what_is_right_is_taken(model, tmp_path, fine):
    runtime = Runtime(changed(model, tmp_path / "right.onnx", fine))
    assert runtime.about.classes == ("dark", "middle", "bright")
    assert runtime.predict([np.full((8, 8, 3), 255, np.uint8)])[0].name == "bright"


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(name=st.sampled_from(list(About.__dataclass_fields__)), value=values)
def test_any_value_is_taken_or_refused(model, name, value):
    about = json.loads(next(
        one.value for one in onnx.load(model).metadata_props if one.key == KEY
    ))  # fmt: skip
    text = json.dumps(about | {name: value})
    try:
        read = About.from_json(text, "x.onnx").to_json()
    except RunError as refused:
        said = str(refused)
    else:
        assert About.from_json(read, "x.onnx").to_json() == read
        return
    assert said.startswith("x.onnx ")
    assert "\n" not in said
