"""Every example runs on embedded data, holds what it asserts, and ends with a picture."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("ch*.py"))

LONG = {
    "ch01_defects", "ch08_vgg16_cifar10", "ch09_detectors", "ch09_localize", "ch09_ssd_voc",
    "ch10_count_nuclei", "ch10_instance", "ch10_semantic", "ch11_autoencoder", "ch11_dcgan",
    "ch11_flow", "ch11_vae", "ch12_embedding", "ch13_deployment",
}  # fmt: skip
"""Those that take ten seconds and more, and whose verbs have tests of their own."""


@pytest.mark.parametrize(
    "script",
    [pytest.param(e, marks=[pytest.mark.slow] * (e.stem in LONG), id=e.stem) for e in EXAMPLES],
)
def test_example(script, tmp_path):
    picture = tmp_path / "picture.png"
    done = subprocess.run(
        [sys.executable, script, picture], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert f"picture: {picture}" in done.stdout
    assert Image.open(picture).width > 500
    assert len(script.read_text(encoding="utf-8").splitlines()) < 60


def test_the_long_ones_are_there():
    assert {script.stem for script in EXAMPLES} >= LONG
