"""What a measurement depends on beside the code, and where its record goes."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

from sightline.training import run

RESULTS = Path(__file__).parent / "results"


def describe(*packages: str) -> dict[str, Any]:
    """Processor, threads, versions, command and date."""
    found = run.environment(seed=0)
    found["versions"] |= {p: metadata.version(p) for p in packages}
    # Where the data lay on one machine is nobody's business: its name is enough.
    words = [Path(word).name if "/" in word else word for word in sys.argv[1:]]
    command = shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *words])
    return found | {"command": command, "date": run.now()}


def record(name: str, document: dict[str, Any], *packages: str) -> Path:
    """Write ``results/NAME.json``."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    text = json.dumps({"machine": describe(*packages)} | document, indent=2, default=run.plain)
    path.write_text(text + "\n", encoding="utf-8")
    return path


def side_by_side(calls: dict[str, Callable[[], Any]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each call, taken in turns so that a busy moment meets all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def medians(seconds: dict[str, list[float]]) -> dict[str, float]:
    """Median seconds of each."""
    return {name: median(values) for name, values in seconds.items()}
