from __future__ import annotations

import pytest

from sightline.cli import main


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Run a command line in an empty folder; gives (status, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)  # set where tests are shared out to processes

    def call(*words: object) -> tuple[int, str, str]:
        status = main.status([str(w) for w in words])
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return status, out, err

    return call
