"""The queueing model of `sightline cost` beside the real server, at random arrivals.

The server runs on one core, its clients on another. Its capacity is measured first, by clients that
never pause; then requests are sent at random times (Poisson) at a share of that rate, and the
measured median and p99 are put beside the model's, which knows only the mean service time.

    python benchmarks/cost.py RUN [--shares 0.3 0.6 0.8] [--seconds 10] [--repeats 5]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import httpx
import machine
import numpy as np
from rich.console import Console
from rich.table import Table

from sightline.deploy import queueing
from sightline.deploy.export import exported, samples

PORT = 8741
URL = f"http://127.0.0.1:{PORT}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--shares", type=float, nargs="+", default=[0.3, 0.6, 0.8])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    model, pictures = exported(given.run), samples(given.run)
    os.sched_setaffinity(0, {0})
    command = ["taskset", "-c", "1", str(Path(sys.executable).parent / "sightline"), "serve"]
    # Batches of one: the model knows places, not batches.
    options = ["--port", str(PORT), "--max-batch", "1", "--threads", "1"]
    server = subprocess.Popen(
        [*command, str(model), *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_until_ready()
        alone = asyncio.run(closed(pictures, 1, 3))
        busy = asyncio.run(closed(pictures, 8, 5))
        capacity = len(busy) / 5
        service = 1 / capacity
        rows = []
        for share in given.shares:
            runs = [
                asyncio.run(opened(pictures, share * capacity, given.seconds, seed))
                for seed in range(given.repeats)
            ]
            # One interruption by the rest of the machine is in every hundredth request of its run.
            p99 = median(float(np.quantile(times, 0.99)) for times in runs)
            times = [t for run in runs for t in run]
            modelled = queueing.response(share * capacity, service, 1)
            rows.append(
                {
                    "share": share, "rate": share * capacity, "requests": len(times),
                    "median_ms": 1e3 * median(times), "p99_ms": 1e3 * p99,
                    "model_p99_ms": 1e3 * modelled, "ratio": modelled / p99,
                }
            )  # fmt: skip
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()
    table = Table(title=f"capacity {capacity:,.0f} requests/s, alone {1e3 * median(alone):.2f} ms")
    for heading in rows[0]:
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(*(f"{v:,.2f}" for v in row.values()))
    Console(width=100).print(table)
    machine.record(
        "cost", {"capacity": capacity, "alone_ms": 1e3 * median(alone), "rows": rows}, "onnxruntime"
    )


def wait_until_ready() -> None:
    for _ in range(200):
        try:
            if httpx.get(f"{URL}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise SystemExit("the server did not start")


async def ask(client: httpx.AsyncClient, picture: bytes, times: list[float]) -> None:
    start = time.perf_counter()
    answer = await client.post(
        f"{URL}/v1/predict", content=picture, headers={"Content-Type": "application/octet-stream"}
    )
    answer.raise_for_status()
    times.append(time.perf_counter() - start)


async def closed(pictures: list[bytes], clients: int, seconds: float) -> list[float]:
    """Clients that ask again as soon as they are answered."""
    times: list[float] = []
    end = time.perf_counter() + seconds
    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=clients)) as client:

        async def one(number: int) -> None:
            while time.perf_counter() < end:
                await ask(client, pictures[(number + len(times)) % len(pictures)], times)

        await asyncio.gather(*(one(i) for i in range(clients)))
    return times


async def opened(pictures: list[bytes], rate: float, seconds: float, seed: int) -> list[float]:
    """Requests at random times, whether the last ones are answered or not."""
    times: list[float] = []
    random = np.random.default_rng(seed)
    at = np.cumsum(random.exponential(1 / rate, int(rate * seconds)))
    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=256)) as client:
        await ask(client, pictures[0], [])
        start, tasks = time.perf_counter(), []
        for i, moment in enumerate(at):
            await asyncio.sleep(max(0.0, start + moment - time.perf_counter()))
            tasks.append(asyncio.create_task(ask(client, pictures[i % len(pictures)], times)))
        await asyncio.gather(*tasks)
    return times


if __name__ == "__main__":
    main()
