"""Every example runs on embedded data, holds what it asserts, and ends with a picture."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("ch*.py"))


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda path: path.stem)
def test_example(script, tmp_path):
    picture = tmp_path / "picture.png"
    done = subprocess.run(
        [sys.executable, script, picture], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert f"picture: {picture}" in done.stdout
    assert Image.open(picture).width > 500
    assert len(script.read_text(encoding="utf-8").splitlines()) < 60
