"""What a user's machine does to a command: no rights, no disk, no memory, a kill at any moment."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightline.cli import main
from sightline.data import place

SIGHTLINE = [sys.executable, "-m", "sightline"]
# Root may write anywhere: it gives that right up.
WITHOUT_RIGHTS = (
    ["setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner",
     "--inh-caps=-dac_override,-dac_read_search,-fowner"] if os.geteuid() == 0 else []
)  # fmt: skip
needs_rights = pytest.mark.skipif(
    bool(WITHOUT_RIGHTS) and not shutil.which("setpriv"), reason="root cannot be refused here"
)


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """Two classes of twelve small pictures, in an empty folder that is worked in."""
    monkeypatch.chdir(tmp_path)
    draw(tmp_path / "d", 12)
    return tmp_path / "d"


def draw(folder, count, size=(12, 12)):
    for n, name in enumerate("ab"):
        for k in range(count):
            (folder / name).mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(100 * n + k).integers(0, 256, (*size, 3), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{k}.png")


def call(*words, before=(), home=None, limit=None, timeout=120):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    if home is not None:
        environment |= {"SIGHTLINE_HOME": str(home), "HOME": str(home)}
    done = subprocess.run(
        [*before, *SIGHTLINE, *map(str, words)], capture_output=True, text=True, check=False,
        env=environment, timeout=timeout,
        preexec_fn=limit and (lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit))),
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def last_line(text):
    return text.strip().splitlines()[-1]


# ---- rights


@needs_rights
@pytest.mark.usefixtures("pictures")
def test_a_read_only_home_is_named_and_not_needed_without_need(tmp_path):
    home = tmp_path / "home"
    shutil.make_archive("z", "zip", "d")
    home.mkdir(mode=0o555)
    given = {"before": WITHOUT_RIGHTS, "home": home}
    for data in ("d", "z.zip"):
        status, _, err = call("data", "audit", data, **given)
        assert status == 2
        assert "Permission denied" in last_line(err)
        assert "SIGHTLINE_HOME" in last_line(err)
        assert str(home) in last_line(err)
    assert call("train", "nearest-mean", "digits", "-o", "r", **given)[0] == 0
    assert call("predict", "r", "d/a/0.png", **given)[0] == 0


@needs_rights
@pytest.mark.usefixtures("pictures")
def test_a_read_only_home_serves_what_is_in_it(tmp_path):
    home = tmp_path / "home"
    shutil.make_archive("z", "zip", "d")
    for data in ("d", "z.zip"):
        assert call("data", "audit", data, home=home)[0] == 0
    for folder in (home, *home.rglob("*/")):
        folder.chmod(0o555)  # not the files: the cache knows when they were changed
    for data in ("d", "z.zip"):
        status, _, err = call("data", "audit", data, home=home, before=WITHOUT_RIGHTS)
        assert status == 0, err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
@needs_rights
@pytest.mark.usefixtures("pictures")
def test_a_home_of_another_user_is_named(tmp_path):
    home = tmp_path / "home"
    (home / "pixels").mkdir(parents=True)
    for folder in (home / "pixels", home):
        os.chown(folder, 12345, 12345)
        folder.chmod(0o700)
    shutil.make_archive("z", "zip", "d")
    for data in ("d", "z.zip"):
        status, _, err = call("data", "audit", data, home=home, before=WITHOUT_RIGHTS)
        assert status == 2
        assert "Permission denied" in last_line(err)
        assert "SIGHTLINE_HOME" in last_line(err)


@needs_rights
def test_features_need_no_cache(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    home = tmp_path / "home"
    home.mkdir(mode=0o555)
    given = {"before": WITHOUT_RIGHTS, "home": home}
    assert call("train", "mlp", "digits", "--epochs", 1, "-o", "net", **given)[0] == 0
    assert call("train", "knn", "digits", "--features", "net", "-o", "r", **given)[0] == 0


# ---- data that changes


def test_data_that_changed_between_training_and_resume(pictures, tmp_path):
    command = ["train", "mlp", "d", "--epochs", "2", "-o", "r"]
    assert main.status(command) == 0
    last = tmp_path / "r/checkpoints/last.safetensors"
    before = last.read_bytes()
    draw(tmp_path / "d", 13)
    status, _, err = call(*command, "--resume")
    assert status == 2
    assert "images" in last_line(err)
    assert last.read_bytes() == before
    for picture in pictures.rglob("12.png"):
        picture.unlink()


# ---- a kill at any moment


@pytest.mark.parametrize("wait", [0.0, pytest.param(0.5, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("command", "at"),
    [
        (["train", "nearest-mean", "big", "-o", "out"], "training"),
        (["tune", "knn", "big", "-o", "out"], "tuning"),
        (["compare", "big", "majority", "nearest-mean", "-o", "out", "--resume"], "majority"),
        (["export", "run", "-o", "out"], ""),
    ],
)
@pytest.mark.usefixtures("pictures")
def test_the_same_command_works_after_a_kill(tmp_path, command, at, wait):
    home = tmp_path / "home"
    draw(tmp_path / "big", 30, (90, 80))
    if command[0] == "export":
        assert call("train", "nearest-mean", "d", "-o", "run", home=home)[0] == 0
    _killed(command, home, at, wait)
    assert call(*command, home=home)[0] == 0
    assert [p.name for p in home.rglob("*.part")] == []


def _killed(command, home, said, wait):
    """Start a command, and kill it with all that it started some time after it said something."""
    log = Path("killed.log")
    with log.open("w") as out:
        process = subprocess.Popen(
            [*SIGHTLINE, *command], stdout=out, stderr=out, start_new_session=True,
            env=os.environ | {"SIGHTLINE_HOME": str(home), "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
    end = time.monotonic() + 60
    while said not in log.read_text() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    time.sleep(wait)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


# ---- a disk that is full


@pytest.fixture
def full(monkeypatch):
    """The disk takes five more files."""
    left = [5]
    copy = place.copy

    def limited(*given):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(given[-1]))
        copy(*given)

    monkeypatch.setattr(place, "copy", limited)


@pytest.mark.parametrize("to", ["folder", "csv"])
@pytest.mark.usefixtures("pictures", "full")
def test_a_full_disk_in_convert_leaves_nothing(tmp_path, capsys, to):
    assert main.status(["data", "convert", "--to", to, "d", "out"]) == 2
    assert "No space left on device" in last_line(capsys.readouterr().err)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["d"]


@pytest.mark.usefixtures("pictures", "full")
def test_a_full_disk_in_fix_leaves_nothing(tmp_path, capsys):
    Path("d/a/broken.png").write_bytes(b"none")
    assert main.status(["data", "audit", "d", "--fix", "out"]) == 2
    assert "No space left on device" in last_line(capsys.readouterr().err)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["d"]


@pytest.mark.usefixtures("pictures")
def test_a_full_disk_in_bulk_keeps_what_is_whole(monkeypatch, capsys):
    from fsspec.implementations.local import LocalFileOpener

    assert main.status(["train", "nearest-mean", "d", "-o", "run"]) == 0
    command = ["predict", "run", "d", "-o", "out.parquet"]
    write = LocalFileOpener.write

    def refuse(self, *given):
        if "part" in Path(self.path).name or self.path.endswith(".parquet"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(self, *given)

    with monkeypatch.context() as m:
        m.setattr(LocalFileOpener, "write", refuse)
        assert main.status(command) == 2
    assert "No space left on device" in capsys.readouterr().err.replace("\n", " ")
    assert main.status(command) == 0


# ---- memory


@pytest.mark.parametrize("mebibytes", [150, 500, 1000])
@pytest.mark.parametrize("command", [["data", "audit", "d"], ["train", "mlp", "d", "-o", "r"]])
@pytest.mark.usefixtures("pictures")
def test_little_memory_is_enough_or_said(command, mebibytes):
    status, _, err = call(*command, limit=mebibytes * 2**20)
    assert status == 0 or (status == 2 and "out of memory" in last_line(err)), err
