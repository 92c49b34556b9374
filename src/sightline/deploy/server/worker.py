"""Decode the images that come in on standard input, in a process that may be killed.

Each order is a line of JSON and the bytes of an image; the answer is a line and the pixels.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import resource
import select
import signal
import sys
from pathlib import Path
from typing import IO, Any

from sightline.data import images
from sightline.deploy.server.decoding import TOO_MUCH, problem
from sightline.deploy.server.problems import Problem
from sightline.errors import DataError

IDLE = 60.0
"""Seconds without an order after which the process ends."""

SPARE, PIXEL = 256 * 2**20, 32
"""Bytes of memory that decoding may take, and those for each pixel that an image may have."""


def main() -> None:
    """Answer orders until there are no more, or none for long."""
    orders, answers = sys.stdin.buffer, sys.stdout.buffer
    with contextlib.suppress(OSError):
        # Where memory runs out, this process is to end and not the server.
        Path("/proc/self/oom_score_adj").write_text("1000")
    held = _virtual()
    while select.select([orders], [], [], IDLE)[0] and (line := orders.readline()):
        order = json.loads(line)
        picture = orders.read(order["bytes"])
        # The server kills a late process; this ends one whose server was killed.
        signal.alarm(order["seconds"])
        most = held + SPARE + PIXEL * order["pixels"]
        with contextlib.suppress(ValueError):  # macOS has no such limit
            resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))
        answer(order, picture, answers)
        signal.alarm(0)


def answer(order: dict[str, Any], picture: bytes, answers: IO[bytes]) -> None:
    """Prepare an image and write it, or why that cannot be."""
    pixels = b""
    try:
        opened = images.open_checked(picture, order["pixels"], tuple(order["formats"]))
        ready, frame = images.prepare(opened, tuple(order["size"]), order["mode"], order["resize"])
        pixels = ready.tobytes()
        said = {"shape": ready.shape, "frame": dataclasses.astuple(frame), "bytes": len(pixels)}
    except DataError as error:
        said = refused(problem(error))
    except MemoryError:
        said = refused(TOO_MUCH)
    answers.write(json.dumps(said).encode() + b"\n" + pixels)
    answers.flush()


def refused(why: Problem) -> dict[str, Any]:
    """Return the answer for an image that cannot be prepared."""
    return {"problem": why.kind, "detail": why.detail, "limit": why.limit}


def _virtual() -> int:
    """Return the bytes of this process's address space, where that can be known."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:
        return 0


if __name__ == "__main__":
    main()
