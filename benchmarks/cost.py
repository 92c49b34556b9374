"""The times that `sightline cost` predicts beside those of the real server, at random arrivals.

resnet9 at 32 x 32 and resnet18 at 224 x 224 pixels, with the pictures of serve.py. What a request
takes is measured as `sightline cost` does it. Then the server, on one core, is asked by a process
on the other: by clients that never pause, which shows its capacity, and at random moments
(Poisson) at shares of that rate, whether the requests before are answered or not. The simulation
gets the same moments, so that what differs is not the luck of the draw.

Other programs on the two cores lengthen the measured times and are in no prediction: what they
took is recorded beside each row, and the median of the runs counts.

    python benchmarks/cost.py [--seconds resnet9=10 resnet18=30] [--repeats 5]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import machine
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from serve import PICTURES, drawn, exported

from sightline.deploy import cost, probe, queueing
from sightline.deploy.load import Load

SECONDS = {"resnet9": 10.0, "resnet18": 30.0}
QUANTILES = {"p50": 0.5, "p99": 0.99}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shares", type=float, nargs="+", default=[0.3, 0.6, 0.8])
    parser.add_argument("--seconds", nargs="+", default=[], metavar="MODEL=SECONDS")
    parser.add_argument("--models", nargs="+", choices=list(SECONDS), default=list(SECONDS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--no-record", action="store_true")
    given = parser.parse_args()
    asked = {name: float(s) for name, s in (entry.split("=") for entry in given.seconds)}
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))} | {max(os.sched_getaffinity(0))})
    models = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name in given.models:
            path = exported(name, Path(scratch))
            seconds = (SECONDS | asked)[name]
            models[name] = measure(
                path, drawn(PICTURES[name]), given.shares, seconds, given.repeats
            )
            show(name, models[name])
    if not given.no_record:
        machine.record("cost", {"models": models}, "onnxruntime", "uvicorn", "uvloop")


def measure(
    path: Path, picture: bytes, shares: list[float], seconds: float, repeats: int
) -> dict[str, Any]:
    """Capacity, and each share's quantiles, measured and predicted."""
    server = cost.measure(path, [picture], seconds=8).server
    core = min(os.sched_getaffinity(0))
    with probe.started(path, queue=100_000) as port:
        os.sched_setaffinity(0, {core})
        load = Load(port, [picture])
        load.closed(16, 1)
        start = time.perf_counter()
        capacity = len(load.closed(32, 5)) / (time.perf_counter() - start)
        # In turns, so that a busy moment of the machine meets all shares.
        runs: dict[float, list[dict[str, Any]]] = {share: [] for share in shares}
        for seed in range(1, repeats + 1):
            for share, results in runs.items():
                at = queueing.arrivals(share * capacity, int(share * capacity * seconds), seed=seed)
                results.append(run(load, port, server, at))
        load.close()
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    rows = [summary(share, share * capacity, results) for share, results in runs.items()]
    return {
        "capacity_per_s": capacity, "predicted_capacity_per_s": server.capacity,
        "server": vars(server), "rows": rows,
    }  # fmt: skip


def run(load: Load, port: int, server: queueing.Server, at: NDArray[np.float64]) -> dict[str, Any]:
    """One run: quantiles in milliseconds, measured and predicted for the same moments."""
    before = busy(), time.process_time() + probe.used(port).process, time.perf_counter()
    times = load.opened(at)
    after = busy(), time.process_time() + probe.used(port).process, time.perf_counter()
    spent, own, wall = (b - a for a, b in zip(before, after, strict=True))
    predicted = queueing.simulate(server, at, seed=1)
    return {
        "requests": len(times), "others": max(0.0, spent - own) / wall,
        **{name: 1e3 * float(np.quantile(times, q)) for name, q in QUANTILES.items()},
        **{f"predicted_{name}": 1e3 * float(np.quantile(predicted, q))
           for name, q in QUANTILES.items()},
    }  # fmt: skip


def summary(share: float, rate: float, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The medians of some runs, and the ratios of predicted to measured."""
    middle = {f"{key}_ms": median(r[key] for r in runs) for key in runs[0] if "p" in key}
    return {
        "share": share, "rate_per_s": rate, "requests": sum(r["requests"] for r in runs),
        **{k: v for k, v in middle.items() if k != "requests_ms"},
        **{f"ratio_{name}": median(r[f"predicted_{name}"] / r[name] for r in runs)
           for name in QUANTILES},
        "cores_taken_by_others": median(r["others"] for r in runs), "runs": runs,
    }  # fmt: skip


def busy() -> float:
    """Seconds that all cores together have worked since the machine started."""
    lines = Path("/proc/stat").read_text(encoding="ascii").splitlines()
    words = [int(word) for word in lines[0].split()[1:]]
    user, nice, system, _, _, irq, soft, steal = words[:8]
    return (user + nice + system + irq + soft + steal) / os.sysconf("SC_CLK_TCK")


def show(name: str, model: dict[str, Any]) -> None:
    """What was measured and predicted."""
    measured, predicted = model["capacity_per_s"], model["predicted_capacity_per_s"]
    table = Table(title=f"{name}: {measured:,.0f} requests/s at most, {predicted:,.0f} predicted")
    columns = [key for key in model["rows"][0] if key != "runs"]
    for column in columns:
        table.add_column(column.replace("_", " "), justify="right")
    for row in model["rows"]:
        table.add_row(*(f"{row[column]:,.2f}" for column in columns))
    Console(width=130).print(table)


if __name__ == "__main__":
    main()
