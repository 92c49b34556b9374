"""The examples of chapter 8 run, hold what they assert, and end with a picture."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("name", ["ch08_layers"])
def test_example(name, tmp_path):
    script, picture = EXAMPLES / f"{name}.py", tmp_path / "picture.png"
    found = subprocess.run(
        [sys.executable, script, picture], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert found.returncode == 0, found.stderr
    assert Image.open(picture).width > 500
    assert len(script.read_text(encoding="utf-8").splitlines()) < 60
