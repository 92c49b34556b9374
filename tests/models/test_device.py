from __future__ import annotations

import numpy as np
import pytest
import torch

import sightline
from sightline.errors import ParameterError
from sightline.models import device


@pytest.mark.parametrize(
    ("given", "expected"),
    [("auto", ("auto", None)), ("cpu", ("cpu", None)), ("cuda", ("cuda", None)),
     ("cuda:3", ("cuda", 3)), ("mps", ("mps", None))],
)  # fmt: skip
def test_devices_have_a_kind_and_perhaps_a_number(given, expected):
    assert device.parts(given) == expected


@pytest.mark.parametrize("given", ["gpu", "cuda:", "cuda:x", "cpu:0", "", "GPU", "0", None, 1])
def test_what_is_no_device_is_refused_with_those_that_are(given):
    with pytest.raises(ParameterError, match="none of auto, cpu, cuda, cuda:1"):
        device.check(given)


@pytest.mark.parametrize("name", ["knn", "mlp", "resnet18"])
def test_every_method_that_can_choose_has_the_same_knob(name):
    with pytest.raises(
        ParameterError, match=r"device=gpu is none of .* graphics processor is cuda"
    ):
        sightline.create_model(name, device="gpu").fit(sightline.load_data("digits").train)


def test_a_device_that_is_not_there_is_said(monkeypatch):
    monkeypatch.setattr(device, "may_have_graphics", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert device.present("auto") == device.present("cpu") == "cpu"
    for given in ("cuda", "cuda:0", "mps"):
        with pytest.raises(ParameterError, match=f"device={given} is not available here"):
            device.present(given)


def test_a_number_beyond_the_devices_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(device, "may_have_graphics", lambda: True)
    assert (device.present("cuda:1"), device.present("auto")) == ("cuda:1", "cuda")
    with pytest.raises(ParameterError, match="has 2 CUDA devices, counted from 0"):
        device.present("cuda:2")


def test_a_loaded_run_answers_where_it_is_asked_to(tmp_path):
    data = sightline.load_data("digits")
    for name in ("linear", "knn"):
        sightline.create_model(name, data).fit(data.train[:50]).save(tmp_path / name)
    with pytest.raises(ParameterError, match="on the processor alone"):
        sightline.load_model(tmp_path / "linear", device="cuda")
    with pytest.raises(ParameterError, match="device=cuda is not available"):
        sightline.load_model(tmp_path / "knn", device="cuda")
    for name in ("linear", "knn"):
        assert sightline.load_model(tmp_path / name, device="auto").score(data.val)


def test_runs_of_before_the_knob_had_one_name_are_read(tmp_path):
    data = sightline.load_data("digits")
    run = sightline.create_model("mlp", data, epochs=0.1, device="cpu").fit(data.train[:50])
    folder = run.save(tmp_path / "run")
    config = (folder / "config.json").read_text(encoding="utf-8")
    old = config.replace('"device": "cpu"', '"accelerator": "cpu"', 1)
    assert '"accelerator"' in old
    (folder / "config.json").write_text(old, encoding="utf-8")
    assert sightline.load_model(folder).options["device"] == "cpu"


@pytest.mark.parametrize(
    ("flags", "has"),
    [("flags\t\t: fpu avx2 avx512f avx512_bf16 sha_ni", True), ("flags\t\t: fpu amx_bf16", True),
     ("flags\t\t: fpu avx2 avx512f", False), ("model name : avx512_bf16", False), ("", False)],
)  # fmt: skip
def test_bfloat16_is_read_off_the_processors_flags(monkeypatch, flags, has):
    monkeypatch.setattr(device.Path, "read_text", lambda *_, **__: f"processor : 0\n{flags}\n")
    assert device.multiplies_bfloat16.__wrapped__() is has


@pytest.mark.parametrize("has", [True, False])
def test_precision_is_chosen_by_the_processor_and_recorded(monkeypatch, has):
    from sightline.training import recipe

    monkeypatch.setattr(recipe, "multiplies_bfloat16", lambda: has)
    data = sightline.load_data("digits")
    model = sightline.create_model("mlp", data, epochs=0.1, precision="auto", device="cpu")
    model.fit(data.train)
    assert model.method_.used["precision"] == ("bf16-mixed" if has else "32-true")
    assert model.method_.decide(data.val.arrays().X)[1].dtype == np.float32
