"""Mutated files of every kind: each is read or refused in one line, soon, and in little memory.

The mutations are those of ``benchmarks/robustness.py``, of which its record holds many more.
"""

from __future__ import annotations

import importlib.util
import sys
import threading
from pathlib import Path

import pytest

PLACE = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def robustness():
    sys.path.insert(0, str(PLACE))
    try:
        spec = importlib.util.spec_from_file_location("robustness", PLACE / "robustness.py")
        module = sys.modules["robustness"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(PLACE))
        sys.modules.pop("robustness", None)


KINDS = ("coco", "voc", "yolo", "labelme", "cvat", "label_studio", "masks", "csv", "parquet",
         "folder", "webdataset", "archive",
         "picture", "run", "cache")  # fmt: skip

# Numbers of mutations that were faults once.
FORMER = {
    "coco": (132, 552), "csv": (2025,), "run": (1178, 1408, 1845), "folder": (645,),
    "yolo": (2912,),
}  # fmt: skip


def test_every_kind_has_its_test(robustness):
    assert tuple(robustness.KINDS) == KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_good_is_read(robustness, kind, tmp_path, monkeypatch):
    """Else the mutations would show nothing."""
    monkeypatch.setenv("SIGHTLINE_HOME", str(tmp_path / "home"))
    case = robustness.KINDS[kind](tmp_path / "d")
    for path in case.files if kind in ("archive", "picture") else [case.path]:
        if path.name != "F.tiff":  # pixels without an agreed white
            case.use(path)


@pytest.mark.parametrize("kind", KINDS)
def test_mutations(robustness, kind, monkeypatch):
    monkeypatch.setattr(robustness, "SLOW", 30.0)  # other tests may run beside this one
    assert threading.current_thread() is threading.main_thread()  # for the alarm
    for numbers in (range(40), *(range(n, n + 1) for n in FORMER.get(kind, ()))):
        block = robustness.attempt(kind, numbers, 0)
        assert block.tried == len(numbers)
        assert block.faults == []


def test_a_fault_is_noticed(robustness, monkeypatch):
    """Of what is not caught, of a message of several lines, of time and of memory."""
    from sightline.errors import DataError

    def used(fault):
        def use(path):
            fault()

        def make(at):
            page = robustness.put(at / "x", "[1, 2]")
            return robustness.Case(at, [page], use)

        monkeypatch.setitem(robustness.KINDS, "none", make)
        return robustness.attempt("none", range(2), 0).faults

    def fail():
        raise TypeError("no\nsuch thing")

    def ramble():
        raise DataError("a\nb")

    assert [f["fault"] for f in used(fail)] == ["TypeError at ?: no such thing"] * 2
    assert [f["fault"] for f in used(ramble)] == ["several lines"] * 2
    monkeypatch.setattr(robustness, "SLOW", -1)
    assert [f["fault"] for f in used(lambda: None)] == ["took 0.0 s"] * 2
    monkeypatch.setattr(robustness, "SLOW", 9)
    monkeypatch.setattr(robustness, "LARGE", -1)
    assert [f["fault"] for f in used(lambda: None)] == ["took 0 MiB"] * 2
