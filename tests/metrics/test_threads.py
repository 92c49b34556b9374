from __future__ import annotations

import subprocess
import sys
import time

import pytest

from sightline.errors import ParameterError
from sightline.metrics import threads


@pytest.fixture
def own(monkeypatch):
    """The record of what was used, and of the user's variables, as in a new process."""
    monkeypatch.setattr(threads, "_used", [])
    monkeypatch.setattr(threads, "_given", {})
    for variable in threads.VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    return monkeypatch


def test_a_variable_of_the_user_is_a_bound(own):
    own.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)
    own.setattr(threads, "_quota", list)
    assert threads.available() == threads.in_use() == 8
    own.setenv("OMP_NUM_THREADS", "3,2")
    assert threads.available() == 3
    own.setattr(threads, "_quota", lambda: [2])
    assert threads.available() == 2


def test_what_use_sets_is_no_bound_of_the_user(own):
    own.setattr("os.sched_getaffinity", lambda _: set(range(4)), raising=False)
    own.setattr(threads, "_quota", list)
    threads.use(1)
    assert (threads.in_use(), threads.available()) == (1, 4)
    threads.use(2)
    assert (threads.in_use(), threads.available()) == (2, 4)


@pytest.mark.parametrize(
    ("values", "most", "threads_"),
    [(0, 4, 1), (1257 * 64, 4, 1), (2**20, 4, 1), (2**20 + 1, 4, 2), (10**9, 4, 4)],
)
def test_tiny_work_gets_one_thread(values, most, threads_):
    assert threads.suited(values, most) == threads_


def test_busy_cores_are_not_spare(own):
    """With every core at work no other is spare, and one is always granted."""
    own.setattr(threads, "_idle_seconds", lambda: 7.0)
    own.setattr(threads, "available", lambda: 4)
    assert threads.spare(0.01) == 1
    begun = time.perf_counter()
    own.setattr(threads, "_idle_seconds", lambda: 3 * (time.perf_counter() - begun))
    assert threads.spare(0.05) == 3
    own.setattr(threads, "_idle_seconds", lambda: None)  # not told: all count as idle
    assert threads.spare(0.01) == 4


def test_libraries_are_held_to_what_is_used():
    """In a process of its own, as libraries are held for good; torch is loaded after and before."""
    code = (
        "from sightline.metrics import threads; import numpy; threads.use(1);"
        "from threadpoolctl import threadpool_info as info;"
        "assert all(pool['num_threads'] == 1 for pool in info()), info();"
        "import torch; assert torch.get_num_threads() == 1;"
        "threads.use(2); assert torch.get_num_threads() == 2"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_fewer_than_one_is_refused():
    with pytest.raises(ParameterError, match="threads=0 must be at least 1"):
        threads.use(0)
