from __future__ import annotations

import json

import pytest

import sightline
from sightline.cli import main
from sightline.errors import ParameterError
from sightline.explain import gradients
from sightline.models.backprop.activations import ReLU

KNOBS = {
    "mlp-numpy": {"hidden": (16,), "epochs": 1, "batch_norm": True},
    "convnet-numpy": {"channels": (4,), "hidden": 8, "epochs": 1},
}


@pytest.fixture(scope="module", params=KNOBS)
def saved(request, tmp_path_factory):
    data = sightline.load_data("digits")
    folder = tmp_path_factory.mktemp("runs") / request.param
    sightline.create_model(request.param, **KNOBS[request.param]).fit(data.train).save(folder)
    return folder


def test_a_saved_run_agrees(saved):
    found = gradients.explain(sightline.load_model(saved), samples=15)
    assert found.agrees
    assert found.worst.error < 1e-6
    assert found.speedup > 10
    assert sum(layer.parameters for layer in found.layers) == found.parameters
    figure = gradients.draw(found, "t")
    assert f"{found.parameters:,} parameters" in figure.get_suptitle()
    assert len(figure.axes[0].lines[0].get_xdata()) == len(found.layers)


def test_command(saved, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main.status(["explain", "gradients", str(saved), "--samples", "5"]) == 0
    out = capsys.readouterr().out
    assert "(Affine)" in out
    assert "times faster" in out
    assert (tmp_path / f"{saved.name}-gradients.png").stat().st_size > 10_000
    assert main.status(["explain", "gradients", str(saved), "--samples", "5", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["agrees"]
    assert document["layers"][0]["name"].startswith("layer 0")


def test_a_broken_layer_is_a_finding(saved, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ReLU, "pull_back", lambda self, gradient: gradient)
    assert main.status(["explain", "gradients", str(saved), "--samples", "20"]) == 1
    assert "backpropagation is wrong in layer" in capsys.readouterr().out


def test_other_methods_have_no_gradients():
    data = sightline.load_data("digits")
    with pytest.raises(gradients.NoGradientsError, match="mlp-numpy"):
        gradients.explain(sightline.create_model("majority").fit(data.train))


def test_parameters(saved):
    with pytest.raises(ParameterError):
        gradients.explain(sightline.load_model(saved), images=1)
