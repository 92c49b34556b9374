"""Measure what requests take of a server: it runs in a process of its own, on one core.

Its threads' processor time is read before and after clients kept it busy, one, some and many at
a time, so that batches of all sizes occur; what a request takes and what a batch takes follow by
least squares. A client that pauses shows what it takes besides of a server that has idled, and
requests at random moments what it takes where they come one by one, not several at once as from
clients that all wait: the event loop then wakes up for each.
Processor time, unlike the clock's, does not grow where others use the machine.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from sightline.deploy import queueing
from sightline.deploy.load import Load
from sightline.deploy.queueing import Server
from sightline.deploy.runtime import Runtime
from sightline.deploy.server import logs
from sightline.deploy.server.application import Application
from sightline.deploy.server.decoding import Decoder
from sightline.deploy.server.process import Process, listen
from sightline.deploy.server.settings import Settings
from sightline.errors import RunError, SightlineError
from sightline.metrics.cost import peak_mb

USED = "/used"
"""Address of the probed server's own report."""

PAUSES = (0.005, 0.05)
"""Seconds that the server idles before a request: a short while, and long enough to cool down."""

BUSY = 0.7
"""Share of what the server can answer, at which requests come at random moments."""

SECONDS = 60
"""That it may take to load the model."""


@dataclass(frozen=True)
class Used:
    """What a server has used so far.

    Parameters
    ----------
    loop : float
        Processor seconds of the event loop's thread.
    process : float
        Those of all threads.
    batches, images : float
        Batches that the model ran, and images in them.
    memory_mb : float
        Largest resident memory, MiB.
    """

    loop: float
    process: float
    batches: float
    images: float
    memory_mb: float


class Probed(Application):
    """The server's application, which also tells what it has used."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or tell what was used."""
        if scope["type"] != "http" or scope["path"] != USED:
            await super().__call__(scope, receive, send)
            return
        value = self.measures.registry.get_sample_value
        name = {"model": next(iter(self.models.places))}
        report = {
            "loop": time.thread_time(), "process": time.process_time(),
            "batches": value("sightline_batch_size_count", name) or 0,
            "images": value("sightline_batch_size_sum", name) or 0, "memory_mb": peak_mb(),
        }  # fmt: skip
        await JSONResponse(report)(scope, receive, send)


def serve(model: str, settings: str) -> None:
    """Serve a model on one core until killed; the port is the first line of the output."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    logs.to_stderr()
    sock = listen("127.0.0.1", 0)
    sys.stdout.write(f"{sock.getsockname()[1]}\n")
    sys.stdout.flush()
    Process(Probed([model], Settings(**json.loads(settings))), sock).run([sock])


@contextmanager
def started(model: Path, **settings: float) -> Iterator[int]:
    """Start a probed server in a process of its own, and yield its port once it is ready.

    Raises
    ------
    RunError
        When it does not start.
    """
    code = "import sys\nfrom sightline.deploy.probe import serve\nserve(*sys.argv[1:])"
    command = [sys.executable, "-c", code, str(model), json.dumps({"threads": 1} | settings)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line or not _ready(int(line)):
                raise RunError(f"{model}: no server starts with it; see sightline serve {model}")
            yield int(line)
        finally:
            process.kill()


def measure(
    model: Path, pictures: Sequence[bytes], *, decode: float, variation: float,
    seconds: float = 1.0, max_batch: int = Settings.max_batch,
) -> tuple[Server, float]:  # fmt: skip
    """Measure what requests of one picture take of a server that has one core.

    Parameters
    ----------
    model : path
        An exported model.
    pictures : sequence of bytes
        Image files.
    decode : float
        Seconds of a core that it takes to decode and resize one.
    variation : float
        Coefficient of variation of what one takes.
    seconds : float
        That each number of clients asks.
    max_batch : int
        Largest batch of the server.

    Returns
    -------
    server, memory
        The server's costs, and its largest resident memory, MiB.
    """
    rows, paused = [], []
    with started(model, max_batch=max_batch) as port:
        load = Load(port, pictures)
        load.closed(max_batch, 0, least=2 * max_batch)
        for clients in (1, 2, max_batch, 2 * max_batch):
            before = used(port)
            times = load.closed(clients, seconds, least=20)
            after = used(port)
            rows.append(_difference(before, after))
            if clients == 1:
                alone = times
        for pause in PAUSES:
            before = used(port)
            load.paused(pause, max(20, int(seconds / 2 / pause)))
            paused.append(sum(_difference(before, used(port))[1:]))
        server = _fitted(np.array(rows), alone, decode, _inline(model, pictures))
        cold, cooling = _cooling(*(row - sum(rows[0][1:]) for row in paused))
        server = replace(
            server, cold=cold, cooling=cooling, max_batch=max_batch, variation=variation
        )
        more = _more(port, load, server, seconds)
        load.close()
    return replace(server, batch=max(0.0, server.batch + more)), after.memory_mb


def _more(port: int, load: Load, server: Server, seconds: float) -> float:
    """Return what a batch takes besides where requests come at random moments, one by one.

    0 where the server falls behind, as other programs have its core.
    """
    often = BUSY * server.capacity
    at = queueing.arrivals(often, max(20, int(often * 2 * seconds)))
    before = used(port)
    try:
        load.opened(at)
    except SightlineError:
        return 0.0
    batches, *seconds_of = _difference(before, used(port))
    return (sum(seconds_of) - queueing.work(server, at)) / batches


def _difference(before: Used, after: Used) -> tuple[float, float, float]:
    """Return by image: batches, seconds of the event loop, and of the other threads."""
    images = after.images - before.images
    loop, process = after.loop - before.loop, after.process - before.process
    return (after.batches - before.batches) / images, loop / images, (process - loop) / images


def _fitted(
    rows: NDArray[np.float64], alone: Sequence[float], decode: float, inline: bool
) -> Server:
    batches, loop, others = rows.T
    here, there = (decode, 0.0) if inline else (0.0, decode)
    each_loop, batch_loop = _line(batches, loop)
    each, batch = _line(batches, others - there)
    half = max(0.0, each_loop - here) / 2  # of HTTP: to read a request, and to answer it
    server = Server(
        before=here + half, after=half, decode=there, each=each, batch=batch + batch_loop,
        max_wait=Settings.max_wait_ms / 1e3,
    )  # fmt: skip
    # The clock ran on where others had the core; the quicker quarter was spared that.
    return replace(server, wire=max(0.0, float(np.quantile(alone, 0.25)) - server.alone))


def _cooling(soon: float, late: float) -> tuple[float, float]:
    """Return what a cold server takes besides, and the seconds in which it cools down."""
    if late <= 0:
        return 0.0, 1.0
    share = min(max(soon / late, 0.01), 0.99)
    return late, -PAUSES[0] / math.log1p(-share)


def _line(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """Fit ``y = a + b x`` by least squares of relative errors, a and b not below 0."""
    a, b = np.linalg.lstsq(np.stack([1 / y, x / y], 1), np.ones(len(y)))[0]
    if b < 0:
        a, b = 1 / np.mean(1 / y), 0.0
    return float(max(a, 0.0)), float(b)


def _inline(model: Path, pictures: Sequence[bytes]) -> bool:
    """Tell whether the event loop decodes most of these pictures itself."""
    runtime = Runtime(model, threads=1)
    decoder = Decoder(Settings())
    return statistics.fmean(decoder.small(runtime, p) is not None for p in pictures) >= 0.5


def used(port: int) -> Used:
    """Fetch what a probed server has used."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{USED}", timeout=10) as answer:
        return Used(**json.load(answer))


def _ready(port: int) -> bool:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=10):
                return True
        except OSError:
            time.sleep(0.05)
    return False
