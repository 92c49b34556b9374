"""What every test stands on."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def home(tmp_path_factory, monkeypatch):
    """Downloads and caches of a test go into a folder of its own."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("SIGHTLINE_HOME", str(folder))
    return folder


def pytest_collection_modifyitems(items):
    """Skip what needs a graphics card where there is none."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked:
        import torch

        if not torch.cuda.is_available():
            for item in marked:
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
