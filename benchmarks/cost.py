"""The times that `sightline cost` predicts beside those of the real server, at random arrivals.

resnet9 at 32 x 32 and resnet18 at 224 x 224 pixels, with the pictures of serve.py. What a request
takes is measured as `sightline cost` does it, anew in each round, as a processor is not equally
fast all the time. Then the server, on one core, is asked by a process on the other: by clients that
never pause, which shows its capacity, and at random moments (Poisson) at shares of that rate,
whether the requests before are answered or not. The simulation gets the same moments, so that what
differs is not the luck of the draw.

Other programs on the two cores lengthen the measured times and are in no prediction. What they
took is recorded; runs in which they took more than a twentieth of a core are repeated for a while,
and the quietest runs count, their requests taken together.

    python benchmarks/cost.py [--seconds resnet9=10 resnet18=30] [--repeats 5] [--patience 300]
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
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
QUIET = 0.05
"""Share of a core that other programs may take."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shares", type=float, nargs="+", default=[0.3, 0.6, 0.8])
    parser.add_argument("--seconds", nargs="+", default=[], metavar="MODEL=SECONDS")
    parser.add_argument("--models", nargs="+", choices=list(SECONDS), default=list(SECONDS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--patience", type=float, default=300, help="seconds for a model's runs")
    parser.add_argument("--no-record", action="store_true")
    given = parser.parse_args()
    asked = {name: float(s) for name, s in (entry.split("=") for entry in given.seconds)}
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))} | {max(os.sched_getaffinity(0))})
    models = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name in given.models:
            path = exported(name, Path(scratch))
            given.each = (SECONDS | asked)[name]
            models[name] = measure(path, drawn(PICTURES[name]), given)
            show(name, models[name])
    if not given.no_record:
        machine.record("cost", {"models": models}, "onnxruntime", "uvicorn", "uvloop")


def measure(path: Path, picture: bytes, given: argparse.Namespace) -> dict[str, Any]:
    """Capacity, and each share's quantiles, measured and predicted."""
    cores = os.sched_getaffinity(0)
    servers: list[queueing.Server] = []
    with probe.started(path, queue=100_000) as port:
        os.sched_setaffinity(0, {min(cores)})
        load = Load(port, [picture])
        load.closed(16, 1)
        capacity = max(rate(load) for _ in range(3))
        # In turns, so that a busy moment of the machine meets all shares.
        runs: dict[float, list[dict[str, Any]]] = {share: [] for share in given.shares}
        end, seed = time.monotonic() + given.patience, 0
        while wanting := [s for s in runs if quiet(runs[s]) < given.repeats]:
            if time.monotonic() > end and min(map(len, runs.values())) >= given.repeats:
                break
            seed += 1
            os.sched_setaffinity(0, cores)
            servers.append(cost.measure(path, [picture], seconds=4).server)
            os.sched_setaffinity(0, {min(cores)})
            load.closed(16, 1)
            for share in wanting:
                often = share * capacity
                at = queueing.arrivals(often, int(often * given.each), seed=seed)
                runs[share].append(run(load, port, servers[-1], at))
        load.close()
    os.sched_setaffinity(0, cores)
    return {
        "capacity_per_s": capacity,
        "predicted_capacity_per_s": statistics.median(server.capacity for server in servers),
        "servers": [vars(server) for server in servers],
        "rows": [summary(s, s * capacity, results, given.repeats) for s, results in runs.items()],
    }  # fmt: skip


def rate(load: Load) -> float:
    """Requests a second of 32 clients that never pause."""
    start = time.perf_counter()
    return len(load.closed(32, 2)) / (time.perf_counter() - start)


def quiet(runs: list[dict[str, Any]]) -> int:
    """How many runs other programs left in peace."""
    return sum(run["others"] <= QUIET for run in runs)


def run(load: Load, port: int, server: queueing.Server, at: NDArray[np.float64]) -> dict[str, Any]:
    """One run: seconds of each request, measured and predicted for the same moments."""
    before = busy(), time.process_time() + probe.used(port).process, time.perf_counter()
    measured = load.opened(at)
    after = busy(), time.process_time() + probe.used(port).process, time.perf_counter()
    spent, own, wall = (b - a for a, b in zip(before, after, strict=True))
    predicted = queueing.simulate(server, at, seed=1)
    return {
        "others": max(0.0, spent - own) / wall, "measured": measured, "predicted": predicted,
    }  # fmt: skip


def summary(share: float, often: float, runs: list[dict[str, Any]], most: int) -> dict[str, Any]:
    """The quantiles of the quietest runs, in milliseconds, and the ratios that count."""
    kept = sorted(runs, key=lambda run: run["others"])[:most]
    times = {key: np.concatenate([run[key] for run in kept]) for key in ("measured", "predicted")}
    row: dict[str, Any] = {"share": share, "rate_per_s": often, "requests": len(times["measured"])}
    for name, q in QUANTILES.items():
        middle = {key: 1e3 * float(np.quantile(t, q)) for key, t in times.items()}
        row |= {f"{key}_{name}_ms": value for key, value in middle.items()}
        row[f"ratio_{name}"] = middle["predicted"] / middle["measured"]
    row["cores_taken_by_others"] = [round(run["others"], 3) for run in kept]
    row["ratios_p99"] = [
        float(np.quantile(run["predicted"], 0.99) / np.quantile(run["measured"], 0.99))
        for run in kept
    ]
    return row | {"runs_made": len(runs)}


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
    columns = [key for key in model["rows"][0] if not isinstance(model["rows"][0][key], list)]
    for column in columns:
        table.add_column(column.replace("_", " "), justify="right")
    for row in model["rows"]:
        table.add_row(*(f"{row[column]:,.2f}" for column in columns))
    Console(width=130).print(
        table, *((row["cores_taken_by_others"], row["ratios_p99"]) for row in model["rows"])
    )


if __name__ == "__main__":
    main()
