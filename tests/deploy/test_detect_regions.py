"""Detectors that go on with regions: two stages in one graph, and what has no graph is said."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from PIL import Image

import sightline
from sightline.deploy.export import export
from sightline.deploy.quantize import _beside_layers
from sightline.deploy.runtime import Runtime
from sightline.errors import ParameterError


@pytest.fixture(scope="module")
def shapes():
    return sightline.load_data("shapes:count=60,size=64")


@pytest.fixture(scope="module")
def trained(shapes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    knobs = {"epochs": 4, "augment": "flip", "device": "cpu", "workers": 0}
    model = sightline.create_model("faster-rcnn-small", shapes, **knobs)
    return model.fit(shapes.train, shapes.val).save(folder / "run")


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    return export(trained, tmp_path_factory.mktemp("export") / "model.onnx")


def test_the_file_answers_as_the_run(trained, exported, shapes):
    assert exported.difference < 1e-4
    assert exported.about.at_once == 8  # each has hundreds of regions
    run, runtime = sightline.load_model(trained), Runtime(exported.path)
    images = [shapes.test[i].image for i in range(5)]
    pictures = [np.asarray(Image.fromarray(i).resize((100, 70))) for i in images]
    for a, b in zip(run.predict(pictures), runtime.predict(pictures), strict=True):
        assert len(a) > 3
        assert len(a) == len(b)
        np.testing.assert_allclose(a.scores, b.scores, atol=1e-4)
        sure = a.scores > 0.02  # of equal scores either may come first
        np.testing.assert_allclose(a.boxes[sure], b.boxes[sure], atol=1e-3)


def test_a_batch_is_as_good_as_one_by_one_and_a_blank_picture_is_one_of_it(exported, shapes):
    runtime = Runtime(exported.path)
    blank = np.full((64, 64, 3), 128, np.uint8)
    X = np.stack([shapes.test[0].image, blank, shapes.test[1].image])
    together = runtime.outputs(X)
    for i in range(3):
        alone = runtime.outputs(X[i : i + 1])
        np.testing.assert_allclose(alone["scores"][0], together["scores"][i], atol=1e-5)
    assert not (runtime.answer(X)[1].scores > 0.5).any()


@pytest.mark.slow
def test_eight_bits_leave_the_corners_of_regions_alone(trained, exported, tmp_path):
    made = export(trained, tmp_path / "small.onnx", precision="int8")
    assert made.files["small.onnx"] < 0.5 * exported.files["model.onnx"]
    plain = onnx.load(str(exported.path)).graph
    beside = set(_beside_layers(exported.path))
    by_output = {output: node.name for node in plain.node for output in node.output}
    cuts = [node for node in plain.node if node.op_type == "RoiAlign"]
    assert cuts
    for cut in cuts:
        assert cut.name not in beside
        assert by_output[cut.input[1]] in beside
        assert by_output[cut.input[0]] not in beside
    small = onnx.load(str(made.path)).graph
    rounded = {node.output[0] for node in small.node if node.op_type == "DequantizeLinear"}
    assert not {node.input[1] for node in small.node if node.op_type == "RoiAlign"} & rounded
    assert made.before.headline - made.after.headline < 0.1


@pytest.mark.parametrize("name", ["fast-rcnn", "rcnn"])
def test_regions_from_outside_have_no_graph(name, shapes):
    model = sightline.create_model(name)
    model.method_ = model.build(name, {})
    from sightline.deploy.graphs.detect import graph

    with pytest.raises(ParameterError, match=f"{name} cannot be exported: its regions come"):
        graph(model)
