"""A bundle answers as the run, in an environment that has neither Sightline nor torch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image

import sightline
from sightline.data import images
from sightline.deploy import edge, edge_runner
from sightline.deploy.edge import bundle
from sightline.errors import ParameterError
from sightline.estimators import load_model


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run on small colour pictures, and its bundle."""
    folder = tmp_path_factory.mktemp("edge")
    data = sightline.load_data("digits")
    run = sightline.create_model("mlp-numpy", data, epochs=1, hidden=(16,)).fit(data.train[:300])
    return run.save(folder / "run"), bundle(folder / "run", folder / "bundle").folder


def pictures(folder: Path) -> list[Path]:
    """Files of many shapes and modes, one of them turned by EXIF."""
    rng = np.random.default_rng(0)
    made = []
    for i, (mode, shape) in enumerate(
        [("RGB", (40, 30, 3)), ("L", (8, 8)), ("RGBA", (9, 50, 4)), ("RGB", (3, 200, 3))]
    ):
        image = Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8), mode)
        made.append(folder / f"{i}.png")
        image.save(made[-1])
    turned = Image.fromarray(rng.integers(0, 256, (20, 60, 3), dtype=np.uint8))
    exif = turned.getexif()
    exif[images.ORIENTATION] = 6
    turned.save(folder / "turned.jpg", exif=exif)
    return [*made, folder / "turned.jpg"]


@pytest.mark.parametrize("how", get_args(images.Resize))
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_the_runner_prepares_pictures_as_the_bench_does(how, mode, tmp_path):
    for path in pictures(tmp_path):
        pixels, shape = edge_runner.prepared(path, [20, 32], mode, how)
        wanted, frame = images.prepare(path, (20, 32), mode, how)
        assert (pixels == wanted).all(), path.name
        assert shape == tuple(frame.size), path.name


def test_the_runner_reads_deep_pictures_as_the_bench_does_or_not_at_all(tmp_path):
    rng = np.random.default_rng(0)
    deep = Image.fromarray(rng.integers(0, 65536, (9, 9), dtype=np.uint16))
    deep.save(tmp_path / "a.png")
    deep.save(tmp_path / "a.tif")
    colour = Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8))
    colour.convert("LAB").save(tmp_path / "lab.tif")
    for name in ("a.png", "a.tif", "lab.tif"):
        for mode in ("L", "RGB"):
            pixels, _ = edge_runner.prepared(tmp_path / name, [9, 9], mode, "crop")
            assert (pixels == images.prepare(tmp_path / name, (9, 9), mode)[0]).all(), name
    deep.save(tmp_path / "white.tif", tiffinfo={281: 4095})
    Image.fromarray(np.ones((9, 9), np.float32)).save(tmp_path / "float.tif")
    for name in ("white.tif", "float.tif"):
        with pytest.raises(ValueError, match="another white"):
            edge_runner.prepared(tmp_path / name, [9, 9], "L", "crop")


def test_the_runner_is_short_and_imports_nothing_else():
    source = edge.runner(edge.part_of("classify"))
    assert len(source.splitlines()) <= 140
    assert "sightline" not in source.replace('["sightline"]', "")
    compile(source, "predict.py", "exec")
    assert source.count("def answer(") == source.count("SAYS =") == 1
    assert source.count("import numpy") == 1


def test_a_part_brings_its_imports_and_its_words():
    part = (
        '"""Doc."""\n\nimport cmath\nimport json\n\nSAYS = "a root"\n\n\ndef answer():\n    pass\n'
    )
    source = edge.runner(part)
    assert source.index("import cmath") < source.index("SAYS =") < source.index("HERE =")
    assert source.count("import json") == 1
    assert "Doc." not in source


def test_a_task_without_a_runner_is_refused_before_anything_is_written(made, tmp_path, monkeypatch):
    monkeypatch.setattr(edge.tasks, "places", lambda folder: [tmp_path])
    with pytest.raises(ParameterError, match="there is no edge runner for the task 'classify'"):
        bundle(made[0], tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_bundle_runs_in_an_environment_without_torch(made, tmp_path):
    run, folder = made
    assert "its label, its score" in (folder / "README.md").read_text()
    env = tmp_path / "env"
    uv = shutil.which("uv")
    try:
        if uv:
            create = [uv, "venv", "-q", "--python", sys.executable, str(env)]
            install = [uv, "pip", "install", "-q", "--python", str(env / "bin/python")]
        else:
            create = [sys.executable, "-m", "venv", str(env)]
            install = [str(env / "bin/python"), "-m", "pip", "install", "-q"]
        subprocess.run(create, check=True, capture_output=True)
        requirements = ["-r", str(folder / "requirements.txt")]
        subprocess.run([*install, *requirements], check=True, capture_output=True)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"packages cannot be installed here: {error.stderr[-200:]!r}")
    paths = pictures(tmp_path)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff no picture")
    said = subprocess.run(
        [str(env / "bin/python"), "-I", str(folder / "predict.py"), *map(str, [*paths, broken])],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = [json.loads(line) for line in said.stdout.splitlines()]
    assert said.returncode == 2, said.stderr
    assert "error" in lines[-1]
    missing = subprocess.run([str(env / "bin/python"), "-c", "import torch"], capture_output=True)
    assert missing.returncode != 0
    wanted = load_model(run).predict([str(p) for p in paths])
    for line, answer in zip(lines, wanted, strict=False):
        assert line["label"] == answer.name
        assert line["score"] == pytest.approx(answer.score, abs=1e-5)
