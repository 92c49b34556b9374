"""The edge of the command line: errors that nobody foresaw, and streams of any kind."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from sightline.cli import main

SIGHTLINE = [sys.executable, "-m", "sightline"]


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for n, name in enumerate(("猫", "😀")):
        (tmp_path / "d" / name).mkdir(parents=True)
        for k in range(6):
            pixels = np.random.default_rng(10 * n + k).integers(0, 256, (12, 12, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "d" / name / f"{k}.png")


def call(command, **environment):
    return subprocess.run(
        command, shell=isinstance(command, str), capture_output=True, check=False, timeout=120,
        env=os.environ | {"SL": f"{sys.executable} -m sightline"} | environment,
    )  # fmt: skip


@pytest.mark.parametrize(
    "error",
    [TypeError("no\nsuch thing"), RecursionError("deep"), KeyError("x"), AssertionError(),
     UnicodeEncodeError("utf-8", "\udcc3", 0, 1, "surrogates")],
)  # fmt: skip
def test_an_unexpected_error_is_one_line_with_a_way_to_report_it(run, monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("sightline.data.load.load_data", fail)
    status, out, err = run("data", "audit", "digits")
    assert status == main.UNEXPECTED == 70
    said = err.splitlines()[-1]
    assert said.startswith(f"sightline: an unexpected error ({type(error).__name__}")
    assert main.REPORT_TO in said
    assert "--debug" in said
    assert out == ""


@pytest.mark.parametrize("place", [0, 1, 3])
def test_debug_shows_where_an_error_arose(monkeypatch, capsys, place):
    def fail(*_, **__):
        raise TypeError("no such thing")

    monkeypatch.setattr("sightline.data.load.load_data", fail)
    words = ["data", "audit", "digits"]
    words.insert(place, "--debug")
    assert main.status(words) == 70
    err = capsys.readouterr().err
    assert "Traceback (most recent call last)" in err
    assert "in fail" in err


def test_debug_shows_where_a_known_error_arose(capsys):
    assert main.status(["--debug", "data", "audit", "nowhere/at/all"]) == 2
    assert "DataError" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error",
    [MemoryError(), RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
     ImportError("libtorch.so: failed to map segment from shared object")],
)  # fmt: skip
def test_memory_that_ran_out_is_said(run, monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("sightline.data.load.load_data", fail)
    status, _, err = run("data", "audit", "digits")
    assert status == 2
    assert "out of memory; try smaller images" in err


@pytest.mark.parametrize("encoding", ["ascii", "gbk", "cp1252", "utf-8", "utf-16"])
@pytest.mark.usefixtures("pictures")
def test_a_console_of_another_encoding(encoding):
    done = call([*SIGHTLINE, "data", "audit", "d"], PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    shown = done.stdout.decode(encoding)
    assert ("猫" if encoding in ("gbk", "utf-8", "utf-16") else r"\u732b") in shown
    assert ("😀" if encoding.startswith("utf") else r"\U0001f600") in shown


def test_bytes_of_names_are_written_as_bytes(tmp_path):
    name = "狗".encode("gbk")
    done = call([*SIGHTLINE, "data", "audit", name], PYTHONIOENCODING="utf-8")
    assert done.returncode == 2
    assert rb"\xb9\xb7" in done.stderr


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
@pytest.mark.usefixtures("pictures")
def test_work_goes_on_without_streams(closed):
    done = call(f"$SL train nearest-mean d -o r {closed}")
    assert (done.returncode, os.path.isfile("r/config.json")) == (0, True), done.stderr  # noqa: PTH113
    assert b"Traceback" not in done.stderr
    assert call(f"$SL data audit nowhere {closed}").returncode == 2


def test_streams_that_are_none(monkeypatch):
    from sightline.cli import streams

    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    streams.prepare()
    assert main.status(["--help"]) == 0
    streams.finish()


@pytest.mark.parametrize("reader", ["| true", "2>&1 | true", "| head -c 1"])
def test_a_reader_that_has_seen_enough(reader):
    done = call(["bash", "-c", f"$SL models {reader}; echo status ${{PIPESTATUS[0]}} >&2"])
    assert done.stderr == b"status 0\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux only")  # noqa: PTH110
def test_a_full_disk_behind_standard_output():
    done = call("$SL models > /dev/full")
    assert done.returncode == 2
    assert done.stderr.decode().startswith("sightline: No space left on device")
    assert b"Exception ignored" not in done.stderr
