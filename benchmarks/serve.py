"""Requests a second and their latency: Sightline's server, LitServe, and FastAPI with PyTorch.

All three answer the same multipart requests with the same decoding and resizing: resnet18 at
224 x 224 on a JPEG of 500 x 375 pixels, resnet9 at 32 x 32 on one of 32 x 32. Sightline and
LitServe run the same ONNX file on one thread of ONNX Runtime and batch up to 8 requests; the
third is what one writes first: a FastAPI route that calls the PyTorch model. The server has core
0, the load core 1. A bare loop of decoding, resizing and ONNX Runtime on core 0, in batches of 8,
is the most that a server could reach.

The load comes from wrk, in C: with 64 connections it takes a few per cent of its core, where a
generator in Python would be busier than the fastest server. LitServe is not a dependency:

    apt-get install wrk; pip install litserve
    python benchmarks/serve.py [--seconds 10] [--rounds 3] [--run resnet9=RUN]
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import util
from pathlib import Path
from statistics import median
from typing import Any

import machine
import numpy as np
from rich.console import Console
from rich.table import Table

from sightline.deploy.runtime import KEY, About, Runtime
from sightline.types import Task

SIZES = {"resnet18": 224, "resnet9": 32}
CLASSES = {"resnet18": 1000, "resnet9": 10}
PICTURES = {"resnet18": (500, 375), "resnet9": (32, 32)}
CONNECTIONS = (1, 8, 64)
BATCH, WAIT_MS = 8, 2
SERVER_CORE, LOAD_CORE = 0, 1
BOUNDARY = "sightline-benchmark"
PATHS = {"sightline": "/v1/predict", "litserve": "/predict", "pytorch": "/predict"}

WRK = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "multipart/form-data; boundary=%(boundary)s"
local file = io.open("%(body)s", "rb"); wrk.body = file:read("*a"); file:close()
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('{"requests": %%d, "us": %%d, "p50_ms": %%f, "p99_ms": %%f, "bad": %%d}',
    summary.requests, summary.duration, latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3, e.connect + e.read + e.write + e.status + e.timeout))
end
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--models", nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--run", action="append", default=[], metavar="MODEL=RUN")
    parser.add_argument("--no-record", action="store_true")
    given = parser.parse_args()
    check()
    runs = dict(entry.split("=", 1) for entry in given.run)
    with tempfile.TemporaryDirectory() as scratch:
        found = {
            name: measure(name, Path(scratch), runs.get(name), given.seconds, given.rounds)
            for name in given.models
        }
    show(found)
    if not given.no_record:
        packages = ("litserve", "onnxruntime", "uvicorn", "fastapi", "uvloop")
        machine.record("serve", {"seconds": given.seconds, "models": found}, *packages)


def check() -> None:
    """Say in one line what is missing."""
    if shutil.which("wrk") is None:
        sys.exit("wrk is missing: apt-get install wrk")
    if util.find_spec("litserve") is None:
        sys.exit("LitServe is missing: pip install litserve")
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("two cores are needed: one for the server, one for the load")


def measure(
    name: str, scratch: Path, run: str | None, seconds: float, rounds: int
) -> dict[str, Any]:
    """Every server under every load, in turns."""
    source = run or name
    path = exported(source, scratch)
    picture = drawn(PICTURES[name])
    body = scratch / f"{name}.body"
    body.write_bytes(form(picture))
    script = scratch / f"{name}.lua"
    script.write_text(WRK % {"boundary": BOUNDARY, "body": body})
    (scratch / "picture.jpg").write_bytes(picture)
    runs: dict[str, dict[int, list[dict[str, float]]]] = {
        server: {n: [] for n in CONNECTIONS} for server in PATHS
    }
    bare: list[float] = []
    for _ in range(rounds):
        bare.append(float(child("bare", path, scratch / "picture.jpg", seconds)))
        for server, loads in runs.items():
            with started(server, path, source, body) as url:
                for n, results in loads.items():
                    results.append(load(url, script, n, seconds))
    return {
        "bare_per_s": median(bare),
        "servers": {
            server: {
                n: {key: median(r[key] for r in results) for key in results[0]}
                for n, results in loads.items()
            }
            for server, loads in runs.items()
        },
    }


def load(url: str, script: Path, connections: int, seconds: float) -> dict[str, float]:
    """Requests a second and latency, as wrk sees them."""
    done = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "30s", "--latency",
         "-s", str(script), url],
        capture_output=True, text=True, check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {LOAD_CORE}),
    )  # fmt: skip
    found = json.loads(done.stdout.splitlines()[-1])
    return {
        "per_s": found["requests"] / found["us"] * 1e6, "p50_ms": found["p50_ms"],
        "p99_ms": found["p99_ms"], "bad": found["bad"],
    }  # fmt: skip


@contextmanager
def started(server: str, path: Path, source: str, body: Path) -> Iterator[str]:
    """A server in a process of its own, on its core, once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, __file__, "child", server, str(path), source, str(port)]
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            command, env=environment(), stdout=said, stderr=said, start_new_session=True
        )
        url = f"http://127.0.0.1:{port}{PATHS[server]}"
        try:
            for _ in range(300):
                if process.poll() is not None or answers(url, body.read_bytes()):
                    break
                time.sleep(0.1)
            else:
                process.kill()
                process.wait()
            if process.poll() is not None:
                said.seek(0)
                sys.exit(f"{server} does not answer:\n{said.read()[-2000:]}")
            yield url
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def answers(url: str, body: bytes) -> bool:
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    try:
        asked = urllib.request.Request(url, body, {"Content-Type": kind})
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return answer.status == 200
    except OSError:
        return False


def child(*words: object) -> str:
    command = [sys.executable, __file__, "child", *map(str, words)]
    return subprocess.run(
        command, env=environment(), capture_output=True, text=True, check=True
    ).stdout


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def bare(path: str, picture: str, seconds: str) -> None:
    """Decoding, resizing and ONNX Runtime, in batches, and nothing else."""
    runtime, data = Runtime(path, threads=1), Path(picture).read_bytes()

    def batch() -> None:
        runtime.answer(np.stack([runtime.prepare(data)[0] for _ in range(BATCH)]))

    batch()
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < float(seconds):
        batch()
        count += BATCH
    sys.stdout.write(str(count / (time.perf_counter() - start)))


def sightline(path: str, source: str, port: str) -> None:
    """Serve as the command does."""
    from sightline.deploy.server.application import Application
    from sightline.deploy.server.process import serve
    from sightline.deploy.server.settings import Settings

    settings = Settings(threads=1, max_batch=BATCH, max_wait_ms=WAIT_MS)
    serve(Application([path], settings), "127.0.0.1", int(port))


def litserve(path: str, source: str, port: str) -> None:
    """LitServe over the same runtime; its worker inherits the core."""
    from serve_peers import run_litserve

    run_litserve(path, int(port), BATCH, WAIT_MS / 1e3)


def pytorch(path: str, source: str, port: str) -> None:
    """What one writes first: a route that calls the model."""
    from serve_peers import run_pytorch

    run_pytorch(module(source), path, int(port))


def exported(source: str, scratch: Path) -> Path:
    """The ONNX file of a run, or of a network with random weights."""
    if source not in SIZES:
        from sightline.deploy.export import exported as of_run

        return of_run(Path(source))
    import onnx
    import torch

    path, size = scratch / f"{source}.onnx", SIZES[source]
    torch.onnx.export(
        module(source), (torch.zeros(2, size, size, 3, dtype=torch.uint8),), str(path),
        input_names=["images"], output_names=["probabilities", "label"], external_data=False,
        dynamic_shapes=({0: torch.export.Dim.DYNAMIC},), verbose=False,
    )  # fmt: skip
    model = onnx.load(path)
    names = tuple(f"class {i}" for i in range(CLASSES[source]))
    about = About(source, source, Task.CLASSIFY, names, (size, size), "RGB", "crop", "random")
    entry = model.metadata_props.add()
    entry.key, entry.value = KEY, about.to_json()
    onnx.save(model, path)
    return path


def module(source: str) -> Any:
    """The same as a PyTorch module: from bytes to probabilities and label."""
    import torch
    from torch import Tensor, nn

    if source not in SIZES:
        from sightline import load_model
        from sightline.deploy.graphs import graph

        return graph(load_model(source))
    from sightline.models.classify.resnet import resnet18
    from sightline.models.classify.resnet9 import resnet9

    class Whole(nn.Module):
        def __init__(self, net: nn.Module) -> None:
            super().__init__()
            self.net = net

        def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
            x = (images.permute(0, 3, 1, 2).to(torch.float32) / 255 - 0.45) / 0.22
            probabilities = self.net(x).softmax(1)
            return probabilities, probabilities.argmax(1)

    torch.manual_seed(0)
    make = {"resnet18": resnet18, "resnet9": resnet9}[source]
    return Whole(make(num_classes=CLASSES[source])).eval()


def drawn(size: tuple[int, int]) -> bytes:
    """A JPEG with as much detail as a photograph of its size."""
    from PIL import Image

    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (size[1] // 8 + 1, size[0] // 8 + 1, 3), dtype=np.uint8)
    written = io.BytesIO()
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(written, "JPEG", quality=85)
    return written.getvalue()


def form(picture: bytes) -> bytes:
    """A form with one file."""
    head = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="images"; filename="a.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    )
    return head.encode() + picture + f"\r\n--{BOUNDARY}--\r\n".encode()


def show(found: dict[str, Any]) -> None:
    """What was measured, and the ratios that count."""
    for name, model in found.items():
        table = Table(title=f"{name}: the bare loop does {model['bare_per_s']:.0f} images/s")
        for column in ("server", "connections", "requests/s", "of bare", "p50 ms", "p99 ms", "bad"):
            table.add_column(column, justify="left" if column == "server" else "right")
        for server, loads in model["servers"].items():
            for n, r in loads.items():
                table.add_row(
                    server, str(n), f"{r['per_s']:.1f}", f"{r['per_s'] / model['bare_per_s']:.0%}",
                    f"{r['p50_ms']:.1f}", f"{r['p99_ms']:.1f}", f"{r['bad']:.0f}",
                )  # fmt: skip
        Console().print(table)
        most = max(CONNECTIONS)
        ours, theirs = (model["servers"][s][most] for s in ("sightline", "litserve"))
        Console().print(
            f"at {most} connections: {ours['per_s'] / theirs['per_s']:.2f} x LitServe's requests, "
            f"{ours['p99_ms'] / theirs['p99_ms']:.2f} x its p99"
        )


CHILDREN: dict[str, Callable[..., None]] = {
    "bare": bare, "sightline": sightline, "litserve": litserve, "pytorch": pytorch,
}  # fmt: skip


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        os.sched_setaffinity(0, {SERVER_CORE})
        CHILDREN[sys.argv[2]](*sys.argv[3:])
    else:
        main()
