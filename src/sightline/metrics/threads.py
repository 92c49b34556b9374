"""Decide how many threads of the processor a computation takes, and hold the libraries to it.

Threads of one product wait for each other. Where another program takes a core away, all wait for
the one that lost it: a training of six seconds on one thread took 56 seconds on two. So a
computation takes the cores that others leave free, and one where there is little work to share.
"""

from __future__ import annotations

import functools
import math
import os
import sys
import time

from sightline.errors import ParameterError

VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Environment variables that libraries read when they are loaded; a user's own is a bound."""

VALUES_PER_THREAD = 2**20
"""Pixel values of training images that make a further thread worth its waiting.

Measured on two cores: 1,257 images of 8 x 8 gain nothing from a second thread, 420 images of
32 x 32 in colour train 1.3 times as fast on two.
"""

_LOOK = 0.3  # seconds in which the idle cores are counted
_used: list[int] = []
_given: dict[str, str | None] = {}  # the user's variables, before `use` set them


def available() -> int:
    """Return how many threads this process may use: its cores, or fewer if the user said so.

    Cores are those of its affinity and of the quota of its control group; a variable of `VARIABLES`
    that is set is a bound.
    """
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        cores = os.cpu_count() or 1
    bounds = [cores, *_quota()]
    for variable in VARIABLES:
        given = (_given.get(variable, os.environ.get(variable)) or "").split(",")[0]
        if given.isdigit() and int(given) > 0:
            bounds.append(int(given))
    return max(1, min(bounds))


def spare(seconds: float = _LOOK) -> int:
    """Return how many of the available threads find an idle core now, at least 1.

    Linux's account of idle time is watched for a moment; elsewhere all count as idle.
    """
    cores = available()
    before = _idle_seconds()
    if cores == 1 or before is None:
        return cores
    start = time.perf_counter()
    time.sleep(seconds)
    after = _idle_seconds()
    passed = time.perf_counter() - start
    # A core that is half idle is taken: ticks are coarse, and small work comes and goes.
    idle = math.floor(((after or 0.0) - before) / passed + 0.5)
    return max(1, min(cores, idle))


def suited(values: int, most: int) -> int:
    """Return how many threads suit training images of so many pixel values in all, at most `most`.

    Examples
    --------
    >>> suited(1257 * 8 * 8, most=2), suited(50_000 * 32 * 32 * 3, most=2)
    (1, 2)
    """
    return max(1, min(most, math.ceil(values / VALUES_PER_THREAD)))


def check(threads: int | None) -> None:
    """Refuse a number of threads that cannot be.

    Raises
    ------
    ParameterError
    """
    if threads is not None and threads < 1:
        raise ParameterError(f"threads={threads} must be at least 1")


def use(threads: int) -> None:
    """Hold NumPy, torch and the search of neighbours to so many threads from now on.

    Libraries that are loaded later, and processes that are started later, take them too.

    Raises
    ------
    ParameterError
        When they are fewer than 1.
    """
    check(threads)
    for variable in VARIABLES:
        _given.setdefault(variable, os.environ.get(variable))
        os.environ[variable] = str(threads)
    from threadpoolctl import threadpool_limits

    threadpool_limits(threads)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(threads)
    _used[:] = [threads]


def in_use() -> int:
    """Return how many threads were last given to `use`; before that all that are available."""
    return _used[0] if _used else available()


@functools.cache
def _quota() -> list[int]:
    """Return the cores that the process's control group grants; empty where there is no bound."""
    try:
        with open("/sys/fs/cgroup/cpu.max", encoding="ascii") as file:  # noqa: PTH123
            granted, period = file.read().split()
        return [max(1, int(granted) // int(period))]
    except (OSError, ValueError):  # "max": no bound
        return []


def _idle_seconds() -> float | None:
    """Return the idle time of all cores since the system started; None where it is not told."""
    try:
        with open("/proc/stat", encoding="ascii") as file:  # noqa: PTH123
            fields = file.readline().split()
        return (int(fields[4]) + int(fields[5])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None
