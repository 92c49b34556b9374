"""Measure what an answer costs: time of one image, images a second, memory."""

from __future__ import annotations

import contextlib
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Latency:
    """The time that a call takes, and how much it varies from call to call.

    Parameters
    ----------
    median_ms : float
    spread_ms : float
        Half the interquartile range: half of the calls lie about as near to the median as this.
    """

    median_ms: float
    spread_ms: float


def latency(call: Callable[[], object], *, seconds: float = 1.0, warm_up: int = 3) -> Latency:
    """Time a call, again and again.

    After `warm_up` calls it repeats for about `seconds`, at least 5 and at most 200 times. The
    spread is that of this process: what differs from one process to the next is not in it.
    """
    for _ in range(warm_up):
        call()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 5 or (time.perf_counter() < end and len(times) < 200):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    lower, median, upper = statistics.quantiles(times, n=4, method="inclusive")
    return Latency(median * 1e3, (upper - lower) / 2 * 1e3)


def throughput(call: Callable[[], object], images: int, *, repeats: int = 3) -> float:
    """Return the images a second of a call that handles `images` of them (median of repeats)."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return images / statistics.median(times)


def forget_peak() -> None:
    """Begin the record of the largest memory anew, from what is held now; Linux alone can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_mb() -> float:
    """Return the largest resident memory of this process, in MiB, so far or since `forget_peak`.

    Linux's own record is read where there is one: ``ru_maxrss`` of a process begins with what its
    parent held when it was started.
    """
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
