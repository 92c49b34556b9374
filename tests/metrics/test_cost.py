from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest

from sightline.metrics import cost


def test_latency_is_the_time_of_a_call_without_its_warm_up():
    calls = []

    def call():
        calls.append(1)
        time.sleep(0.05 if len(calls) <= 3 else 0.002)

    assert 2 <= cost.latency(call, seconds=0.05).median_ms < 25
    assert len(calls) >= 3 + 5


def test_the_spread_is_half_of_what_lies_between_the_quartiles(monkeypatch):
    clock = [0.0]
    times = iter([9, 1, 2, 3, 4, 5])  # a warm-up, then five calls; quartiles 2 and 4
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])

    def call():
        clock[0] += next(times) / 1e3

    found = cost.latency(call, seconds=0.0, warm_up=1)
    assert (found.median_ms, found.spread_ms) == pytest.approx((3, 1))


def test_throughput_counts_images():
    rate = cost.throughput(lambda: time.sleep(0.01), 100)
    assert 1_000 < rate <= 10_000


def test_peak_memory_sees_an_allocation():
    before = cost.peak_mb()
    block = np.ones(2**26 * 3, np.uint8)  # 192 MiB, touched
    assert cost.peak_mb() >= min(before + 1, 192)
    assert block.nbytes / 2**20 == pytest.approx(192)


def test_peak_memory_is_not_the_parents():
    block = np.ones(2**28, np.uint8)  # 256 MiB that the child does not have
    code = "from sightline.metrics import cost; print(cost.peak_mb())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(found.stdout) < 200 < block.nbytes / 2**20
