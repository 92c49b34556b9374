"""Somebody else's exported classifier beside ours."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

import sightline
from sightline.cli.main import status
from sightline.errors import DataError, ParameterError, UnknownNameError
from sightline.estimators import load_model
from sightline.models import registry
from sightline.models.classify.onnx_file import OnnxClassifier

DIGITS = [str(d) for d in range(10)]


class Net(nn.Module):
    """A linear map of the pixels: enough to be exported."""

    def __init__(self, softmax=False, side=8, channels=3, outputs=10):
        super().__init__()
        torch.manual_seed(1)
        self.fc = nn.Linear(channels * side * side, outputs)
        self.softmax = softmax

    def forward(self, x):
        logits = self.fc(x.flatten(1))
        return logits.softmax(1) if self.softmax else logits


def exported(path, net, side=8, channels=3, names=None, key="names"):
    x = torch.zeros(1, channels, side, side)
    program = torch.onnx.export(
        net, (x,), dynamo=True, dynamic_shapes=({0: torch.export.Dim.DYNAMIC},), verbose=False
    )
    program.save(path, external_data=False)
    if names is not None:
        proto = onnx.load(path)
        onnx.helper.set_model_props(proto, {key: names})
        onnx.save(proto, path)
    return path


def torch_answer(net, X, pixels="imagenet"):
    x = torch.from_numpy(X).permute(0, 3, 1, 2) / 255
    if pixels == "imagenet":
        mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        x = (x - mean[:, None, None]) / std[:, None, None]
    elif pixels == "signed":
        x = x * 2 - 1
    elif pixels == "bytes":
        x = x * 255
    with torch.no_grad():
        out = net(x.float())
    return (out if net.softmax else out.softmax(1)).numpy()


@pytest.fixture(scope="module")
def X():
    return np.random.default_rng(5).integers(0, 256, (70, 8, 8, 3), dtype=np.uint8)


@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize("pixels", ["imagenet", "unit", "signed", "bytes"])
def test_it_answers_as_the_network_that_was_exported(tmp_path, X, softmax, pixels):
    net = Net(softmax).eval()
    model = OnnxClassifier(str(exported(tmp_path / "a.onnx", net)), pixels)
    model.fit(X, np.arange(70) % 10)
    wanted = torch_answer(net, X, pixels)
    np.testing.assert_allclose(model.predict_proba(X), wanted, atol=1e-4)
    assert (model.predict(X) == wanted.argmax(1)).all()
    again = OnnxClassifier("elsewhere.onnx", pixels)
    again.restore(model.arrays())
    assert np.array_equal(again.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize("batch", [1, 8])
def test_channels_last_bytes_in_batches_of_one_size(tmp_path, X, batch):
    weight = np.random.default_rng(0).normal(size=(192, 10)).astype(np.float32) / 1000
    nodes = [
        helper.make_node("Cast", ["picture"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["f"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("picture", TensorProto.UINT8, [batch, 8, 8, 3])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [batch, 10])],
        [numpy_helper.from_array(weight, "weight")],
    )  # fmt: skip
    path = tmp_path / "last.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10),
              path)  # fmt: skip
    model = OnnxClassifier(str(path)).fit(X, np.arange(70) % 10)
    scores = X.reshape(70, -1) @ weight
    assert (model.predict(X) == scores.argmax(1)).all()
    assert (model.predict(X[:3]) == scores[:3].argmax(1)).all()
    assert "nhwc of bytes" in model.remarks[0]


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("names", str(dict(enumerate(DIGITS[::-1])))),
        ("classes", json.dumps(DIGITS[::-1])),
        ("labels", "\n".join(DIGITS[::-1])),
    ],
)
def test_names_in_the_file_decide_which_output_is_which_class(tmp_path, key, names):
    data = sightline.load_data("digits")
    path = exported(tmp_path / "a.onnx", Net().eval(), names=names, key=key)
    model = sightline.create_model(f"onnx:{path}", data).fit(data.train)
    assert model.method_.classes_.tolist() == list(range(10))[::-1]
    X = np.repeat(data.test.arrays().X, 3, axis=3)
    wanted = torch_answer(Net(), X)[:, ::-1]
    np.testing.assert_allclose(model.evaluate(data.test).probabilities, wanted, atol=1e-5)


def test_it_stands_in_a_comparison_and_is_measured_by_eval(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exported(tmp_path / "net.onnx", Net().eval(), names=json.dumps(DIGITS), key="classes")
    assert status(["compare", "digits", "nearest-mean", "onnx:net.onnx", "-o", "c", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    theirs = document["methods"][1]
    assert (theirs["name"], theirs["status"]) == ("onnx:net.onnx", "ok")
    assert document["pick"]["name"] == "nearest-mean"
    (tmp_path / "net.onnx").rename(tmp_path / "moved.onnx")
    kept = load_model(tmp_path / "c/methods/onnx:net.onnx")  # the run holds the file itself
    data = sightline.load_data("digits")
    assert kept.score(data.test).headline == theirs["headline"]
    assert status(["eval", "onnx:moved.onnx", "digits", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"]["accuracy"] == theirs["headline"]


def test_its_run_needs_no_other_file(tmp_path, monkeypatch):
    data = sightline.load_data("digits")
    made, kept = tmp_path / "made", tmp_path / "kept"
    made.mkdir()
    monkeypatch.chdir(made)
    exported(made / "net.onnx", Net().eval())
    proto = onnx.load("net.onnx")
    onnx.save(proto, "apart.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    (made / "names.txt").write_text("\n".join(DIGITS[::-1]))
    monkeypatch.chdir(tmp_path)  # weights beside a file are found from anywhere
    name = "onnx:made/apart.onnx,classes=made/names.txt,pixels=unit"
    model = sightline.create_model(name, data).fit(data.train)
    wanted = model.score(data.test).headline
    model.save(kept)
    (made / "w.bin").rename(made / "v.bin")
    (made / "names.txt").unlink()
    again = load_model(kept)
    assert again.score(data.test).headline == wanted
    assert again.method_.class_names == tuple(DIGITS[::-1])
    with pytest.raises(DataError, match=r"the weights of made/apart\.onnx lie in a file beside it"):
        sightline.create_model("onnx:made/apart.onnx", data)


def test_train_takes_its_options_and_tune_says_why_not(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exported(tmp_path / "net.onnx", Net().eval())
    words = ["onnx:net.onnx", "digits", "--pixels", "unit", "-o"]
    assert status(["train", *words, "trained", "--json"]) == 0
    assert json.loads((tmp_path / "trained/config.json").read_text())["options"]["pixels"] == "unit"
    (tmp_path / "nets").mkdir()
    (tmp_path / "net.onnx").rename(tmp_path / "nets/net.onnx")
    assert status(["train", "onnx:nets/net.onnx", "digits"]) == 0
    assert [p.name for p in (tmp_path / "runs").iterdir()] == ["onnx:nets_net.onnx-digits"]
    (tmp_path / "nets/net.onnx").rename(tmp_path / "net.onnx")
    capsys.readouterr()
    assert status(["tune", *words, "tuned"]) == 2
    assert "has no knob left to tune" in capsys.readouterr().err
    assert status(["train", "onnx:gone.onnx", "digits", "-o", "x"]) == 2
    assert "gone.onnx: no such file" in capsys.readouterr().err
    assert status(["models", "show", "onnx:net.onnx", "--json"]) == 0
    assert "path" not in json.loads(capsys.readouterr().out)["knobs"]


def test_options_stand_behind_the_name(tmp_path):
    (tmp_path / "names.txt").write_text("\n".join(DIGITS))
    path = exported(tmp_path / "a,b.onnx", Net(side=16).eval(), side=16)
    card = registry.card(f"onnx:{path},pixels=unit,classes={tmp_path}/names.txt")
    assert card.side == 16
    assert card.arguments["pixels"] == "unit"
    model = load_model(f"onnx:{path},pixels=unit,classes={tmp_path}/names.txt")
    assert model.classes_ == tuple(DIGITS)
    assert model.fitted_.size == (16, 16)
    with pytest.raises(UnknownNameError, match="pixels"):
        registry.card(f"onnx:{path},pixel=unit")


def test_what_does_not_fit_is_said_in_a_line(tmp_path):
    data = sightline.load_data("digits")
    with pytest.raises(DataError, match=r"nowhere\.onnx: no such file"):
        sightline.create_model(f"onnx:{tmp_path}/nowhere.onnx", data)
    (tmp_path / "text.onnx").write_text("no graph")
    with pytest.raises(DataError, match="not a readable ONNX file"):
        sightline.create_model(f"onnx:{tmp_path}/text.onnx", data)
    plain = exported(tmp_path / "plain.onnx", Net().eval())
    with pytest.raises(ParameterError, match=r"does not say its classes.*classes=\.\.\."):
        load_model(f"onnx:{plain}")
    names = json.dumps(["cat", *DIGITS[1:]])
    wrong = exported(tmp_path / "wrong.onnx", Net().eval(), names=names, key="classes")
    with pytest.raises(DataError, match=r"only it has cat; only the data has 0"):
        sightline.create_model(f"onnx:{wrong}", data).fit(data.train)
    five = exported(tmp_path / "five.onnx", Net(outputs=5).eval())
    with pytest.raises(DataError, match="answers with 5 classes, but digits has 10"):
        sightline.create_model(f"onnx:{five}", data).fit(data.train)
    few = exported(tmp_path / "few.onnx", Net().eval(), names='["a", "b"]', key="classes")
    with pytest.raises(DataError, match="gives 10 numbers an image, but 2 class names"):
        sightline.create_model(f"onnx:{few}", data)
    with pytest.raises(UnknownNameError, match="pixels"):
        OnnxClassifier(str(plain), pixels="half")
