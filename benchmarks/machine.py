"""What a measurement depends on beside the code, and where its record goes."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

from sightline.training import run

_AVX2 = "sse sse2 sse3 ssse3 sse4.1 sse4.2 popcnt cx16 avx avx2 bmi bmi2 f16c fma lzcnt movbe"
HELD = {
    "avx2": {
        "NUMBA_CPU_NAME": "haswell",
        "NUMBA_CPU_FEATURES": ",".join(f"+{feature}" for feature in _AVX2.split()),
        "OPENBLAS_CORETYPE": "Haswell",  # NumPy's and FAISS's
        "FAISS_SIMD_LEVEL": "AVX2", "FAISS_OPT_LEVEL": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2",
        "ATEN_CPU_CAPABILITY": "avx2",
        "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
    },
}  # fmt: skip
"""Environment variables that hold libraries to the instructions of an older processor."""

RESULTS = Path(__file__).parent / "results"


def describe(*packages: str) -> dict[str, Any]:
    """Processor, threads, versions, command and date."""
    found = run.environment(seed=0)
    found["versions"] |= {p: metadata.version(p) for p in packages}
    # Where the data lay on one machine is nobody's business: its name is enough.
    words = [Path(word).name if "/" in word else word for word in sys.argv[1:]]
    command = shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *words])
    return found | {"command": command, "date": run.now()}


def hold(kind: str) -> None:
    """Start this program anew with its libraries held to a kind of `HELD`, unless it is."""
    held = HELD[kind]
    if any(os.environ.get(name) != value for name, value in held.items()):
        sys.stdout.flush()
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | held)


def instructions() -> str:
    """The newest instructions on bytes that this process compiles for: a kind of processor."""
    from sightline.models.classic.search import tiles

    features = tiles.features()
    for kind in ("avx512vnni", "avxvnni", "avx512bw", "avx2", "ssse3"):
        if kind in features:
            return {"avx512vnni": "avx512-vnni", "avxvnni": "avx-vnni"}.get(kind, kind)
    return "other"


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
