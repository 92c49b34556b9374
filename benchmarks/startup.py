"""Time what a newcomer waits for: imports, help, the first row of a comparison, and all of it.

Every figure is of new processes with warm files, the median of the repeats. With --before, a
checkout of a former revision is measured in turns with this one, by the same interpreter and
libraries, and the ratio recorded.

    python benchmarks/startup.py [--before FOLDER] [--repeats 3]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import machine
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path, help="a checkout of a former revision")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--data", default="digits")
    given = parser.parse_args()
    sources = {"now": HERE} | ({"before": given.before.resolve()} if given.before else {})
    times: dict[str, dict[str, list[float]]] = {name: {} for name in sources}
    rows: dict[str, Any] = {}
    for _ in range(given.repeats):
        for name, source in sources.items():
            for what, seconds in measured(source, given.data, rows, name).items():
                times[name].setdefault(what, []).append(seconds)
    screen = Console(width=110)
    table = Table(
        "seconds", *sources, "ratio" if given.before else "", title=f"compare {given.data}"
    )
    record: dict[str, Any] = {"data": given.data, "load": os.getloadavg()[0], "figures": {}}
    for what in times["now"]:
        middle = {name: median(t[what]) for name, t in times.items() if what in t}
        ratio = middle["before"] / middle["now"] if "before" in middle else None
        record["figures"][what] = middle | {"ratio": ratio} | {
            f"{name}_all": t[what] for name, t in times.items() if what in t
        }  # fmt: skip
        table.add_row(
            what, *(f"{middle[n]:.2f}" if n in middle else "-" for n in sources),
            "" if ratio is None else f"{ratio:.1f}x",
        )  # fmt: skip
    if given.before:
        revision = subprocess.run(
            ["git", "-C", given.before, "rev-parse", "--short", "HEAD"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        record["before"] = revision.stdout.strip()
    screen.print(table)
    path = machine.record("startup", record | {"rows": rows})
    screen.print(f"recorded in {path.name}")


def measured(source: Path, data: str, rows: dict[str, Any], name: str) -> dict[str, float]:
    """Return seconds by what was done, of one revision; its rows of costs go into `rows`."""
    environment = os.environ | {"PYTHONPATH": str(source / "src")}
    run = [sys.executable, "-m", "sightline"]
    done = {
        "import sightline": spent([sys.executable, "-c", "import sightline"], environment)[0],
        "sightline --help": spent([*run, "--help"], environment)[0],
    }
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        wall, processor = spent(
            [*run, "train", "linear", data, "-o", str(folder / "l")], environment
        )
        done |= {"train linear": wall, "train linear, of the processor": processor}
        out = folder / "c"
        done |= followed([*run, "compare", data, "-o", str(out)], environment, out)
        document = json.loads((out / "results.json").read_text(encoding="utf-8"))
        keys = (
            "startup_seconds",
            "tune_seconds",
            "fit_seconds",
            "latency_ms",
            "peak_mb",
            "threads",
        )
        rows[name] = {
            m["name"]: {key: m.get(key) for key in keys} for m in document["methods"]
        }  # fmt: skip
        shutil.rmtree(out)
    return done


def spent(command: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Return seconds on the wall and of the processor that a command takes."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=environment)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def followed(command: list[str], environment: dict[str, str], out: Path) -> dict[str, float]:
    """Return when the first row of a comparison stood, and when all was done."""
    start = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    )
    first = None
    while process.poll() is None:
        if first is None and any(out.glob("methods/*/result.json")):
            first = time.perf_counter() - start
        time.sleep(0.01)
    whole = time.perf_counter() - start
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with status {process.returncode}")
    return {"first row": whole if first is None else first, "whole comparison": whole}


if __name__ == "__main__":
    main()
