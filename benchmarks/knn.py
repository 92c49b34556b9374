"""Exact k-NN against scikit-learn, FAISS, torch and the machine's matrix-product peak.

10,000 queries on 50,000 training images of 3,072 uint8 pixels (CIFAR-10's shape), k = 10, one
process, the same threads for all. The slow peers answer a part of the queries, and their time
is scaled up: brute force is linear in the queries (the row says how many were asked). Searches and
peers are timed in turns, so that a busy moment meets all of them.

Then a few queries, beside a loop that merely reads the bytes of the training images once (it adds
them up as words, shared out to the same threads).

    python benchmarks/knn.py [--data NAME_OR_PATH] [--queries 10000] [--repeats 3] [--hold avx2]

The record is named by the kind of processor. `--hold avx2` keeps all libraries from newer
instructions than AVX2, as on a processor that has no others.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import faiss
import machine
import numba
import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits

from sightline.data.load import load_data
from sightline.metrics import threads
from sightline.models.classic.search import kernels, products
from sightline.models.classic.search.exact import ExactSearch
from sightline.models.classic.search.sieve import Metric

K = 10
FEW = 1, 2, 16
TURNS = 15
METRICS: tuple[Metric, ...] = ("l2", "l1", "cosine")
SIDE = 4096


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="real images: a name or path; default: random uint8")
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--part", type=int, default=1000, help="queries that slow peers answer")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--name", help="of the record in benchmarks/results; default: knn-KIND")
    parser.add_argument("--hold", choices=machine.HELD, help="instructions that all are held to")
    given = parser.parse_args()
    if given.hold:
        machine.hold(given.hold)
    X, Q = images(given.data, given.queries)
    cores = threads.available()
    torch.set_num_threads(cores)
    faiss.omp_set_num_threads(cores)
    screen = Console(width=110)
    with threadpool_limits(cores):
        few = measure_few(X, Q)
        rows = measure(X, Q, given.part, given.repeats, screen)
    peak_gflops = rows.pop("peak")["gflops"]
    table = Table(title=f"{len(Q):,} queries x {X.shape[0]:,} x {X.shape[1]:,}, k = {K}")
    for heading in ("search", "asked", "seconds", "of the peak", "extra MiB", "ours is"):
        table.add_column(heading, justify="left" if heading == "search" else "right")
    operations = 2 * len(Q) * X.shape[0] * X.shape[1]
    for name, row in rows.items():
        row["of_peak"] = operations / row["seconds"] / 1e9 / peak_gflops
        ours = rows[f"{name.split()[0]} sightline"]["seconds"]
        row["ours_faster"] = row["seconds"] / ours
        table.add_row(
            name, f"{row['asked']:,}", f"{row['seconds']:.1f}", f"{row['of_peak']:.0%}",
            f"{row['extra_mib']:,.0f}", f"{row['ours_faster']:.1f}x as fast",
        )  # fmt: skip
    screen.print(table)
    screen.print(f"torch.mm, {SIDE}x{SIDE} float32: {peak_gflops:.0f} Gflop/s, {cores} threads")
    table = Table(title=f"few queries x {X.shape[0]:,}, milliseconds; times merely reading")
    for heading in ("queries", "reading", *METRICS):
        table.add_column(heading, justify="right")
    for queries, row in few.items():
        table.add_row(
            queries, f"{row['reading'] * 1e3:.1f}",
            *(f"{row[m] * 1e3:.1f}  {row[m] / row['reading']:.2f}x" for m in METRICS),
        )  # fmt: skip
    screen.print(table)
    kind = machine.instructions()
    document = {
        "instructions": kind, "held_to": given.hold, "way": products.way(), "few": few,
        "load": os.getloadavg(), "data": Path(given.data).name if given.data else "random uint8",
        "k": K, "threads": cores,
        "queries": len(Q), "training": list(X.shape), "peak_gflops": peak_gflops, "rows": rows,
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }  # fmt: skip
    path = machine.record(given.name or f"knn-{kind}", document, "faiss-cpu")
    screen.print(f"recorded in {path.name}; peak memory {document['peak_rss_mib']:,.0f} MiB")


def images(data: str | None, queries: int) -> tuple[np.ndarray, np.ndarray]:
    if data is None:
        random = np.random.default_rng(0)
        shape = (50_000 + queries, 3072)
        both = random.integers(0, 256, shape, dtype=np.uint8)
        return both[:50_000], both[50_000:]
    loaded = load_data(data)
    X, Q = (
        np.ascontiguousarray(split.arrays((32, 32)).X.reshape(len(split), -1))
        for split in (loaded.train, loaded.test)
    )
    rest = np.ascontiguousarray(loaded.val.arrays((32, 32)).X.reshape(len(loaded.val), -1))
    return np.concatenate([X, rest]), Q[:queries]


@numba.njit(nogil=True)
def add_words(words: np.ndarray, out: np.ndarray, start: int, stop: int) -> None:
    """Read some rows of 64-bit words once."""
    for i in range(start, stop):
        total = np.uint64(0)
        for word in words[i]:
            total += word
        out[i] = total


def measure_few(X: np.ndarray, Q: np.ndarray) -> dict[str, dict[str, float]]:
    """Seconds of a few queries, and of merely reading the training images."""
    words, out = X.view(np.uint64), np.zeros(len(X), np.uint64)
    searches = {m: ExactSearch(X, m, "cpu", 256) for m in METRICS}
    measured = {}
    for few in FEW:
        calls: dict[str, Callable[[], Any]] = {
            "reading": lambda: kernels.over_rows(add_words, len(words), words, out),
        } | {m: (lambda n=few, s=s: s(Q[:n], K)) for m, s in searches.items()}
        machine.side_by_side(calls, 2)  # compiles, and takes the norms
        measured[str(few)] = machine.medians(machine.side_by_side(calls, TURNS))
    return measured


def measure(
    X: np.ndarray, Q: np.ndarray, part: int, repeats: int, screen: Console
) -> dict[str, Any]:
    a, b = torch.rand(SIDE, SIDE), torch.rand(SIDE, SIDE)
    torch.mm(a, b)
    searches = {m: ExactSearch(X, m, "cpu", 256) for m in METRICS}
    Xf, Qf = X.astype(np.float32), Q[:part].astype(np.float32)
    x, q = torch.from_numpy(Xf), torch.from_numpy(Qf)
    flat = faiss.IndexFlatL2(X.shape[1])
    flat.add(Xf)
    l1 = faiss.IndexFlat(X.shape[1], faiss.METRIC_L1)
    l1.add(Xf)
    brute = {
        m: NearestNeighbors(n_neighbors=K, algorithm="brute", metric=m).fit(Xf)
        for m in ("euclidean", "manhattan")
    }
    few = max(1, part // 10)
    calls: dict[str, tuple[int, Callable[[int], Any]]] = {
        "l2 sightline": (len(Q), lambda n: searches["l2"](Q[:n], K)),
        "l2 faiss flat": (part, lambda n: flat.search(Qf[:n], K)),
        "l2 scikit-learn brute": (part, lambda n: brute["euclidean"].kneighbors(Qf[:n])),
        "cosine sightline": (len(Q), lambda n: searches["cosine"](Q[:n], K)),
        "l1 sightline": (len(Q), lambda n: searches["l1"](Q[:n], K)),
        "l1 faiss flat": (few, lambda n: l1.search(Qf[:n], K)),
        "l1 scikit-learn brute": (few, lambda n: brute["manhattan"].kneighbors(Qf[:n])),
        "l1 torch.cdist": (few, lambda n: torch.cdist(q[:n], x, p=1).topk(K, largest=False)),
    }
    times: dict[str, list[float]] = {name: [] for name in calls}
    memory = dict.fromkeys(calls, 0.0)
    factors: list[float] = []
    for _, call in calls.values():
        call(8)  # compiles, and takes the norms
    for _ in range(repeats):
        for name, (n, call) in calls.items():
            screen.print(f"[dim]{name}: {n} queries[/dim]")
            timed(name, n, call, times, memory)
            factors.append(timed_product(a, b))
    rows = {
        name: {
            "asked": n, "seconds": median(times[name]) * len(Q) / n,
            "repeats": [t * len(Q) / n for t in times[name]], "extra_mib": memory[name],
        }
        for name, (n, _) in calls.items()
    }  # fmt: skip
    return rows | {"peak": {"gflops": 2 * SIDE**3 / median(factors) / 1e9}}


def timed(
    name: str, n: int, call: Callable[[int], Any], times: dict[str, list[float]],
    memory: dict[str, float],
) -> None:  # fmt: skip
    before = rss()
    reset_peak()
    start = time.perf_counter()
    call(n)
    times[name].append(time.perf_counter() - start)
    memory[name] = max(memory[name], peak_rss() - before)


def timed_product(a: torch.Tensor, b: torch.Tensor) -> float:
    start = time.perf_counter()
    torch.mm(a, b)
    return time.perf_counter() - start


def status(field: str) -> float:
    with Path("/proc/self/status").open(encoding="ascii") as lines:
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def rss() -> float:
    return status("VmRSS")


def peak_rss() -> float:
    return status("VmHWM")


def reset_peak() -> None:
    """Start the system's record of peak memory anew (Linux)."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


if __name__ == "__main__":
    main()
