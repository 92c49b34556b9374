"""Run each method of a comparison in a process of its own, forked from one that has the libraries.

Importing torch and its training loop takes seconds, and every network would pay them anew. On
Linux a process that has imported them, and does nothing else, forks one process a method: its
memory is its own, and a crash costs one row. Elsewhere, and where there is a graphics processor,
whose state does not survive a fork, each method gets a process from scratch.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sightline.models import registry
from sightline.models.device import may_have_graphics

Tell = Callable[[dict[str, Any]], None]
"""Called with each line that a worker says."""

LOG = "log.txt"


class Processes:
    """The processes of a comparison; a context manager that leaves none behind."""

    def __init__(self) -> None:
        self.parents: dict[str, subprocess.Popen[str]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        for process in self.parents.values():
            _end(process)
        self.parents.clear()

    def run(self, method: str, folder: Path, tell: Tell) -> int:
        """Do the job of a folder in a new process; return its exit status, -N for signal N.

        Parameters
        ----------
        method : str
        folder : path
            Holds ``job.json``; standard error goes to its ``log.txt``.
        tell : callable
        """
        if not can_fork():
            return self._alone(folder, tell)
        # One parent for networks, one for the methods that do without torch: the memory of a method
        # would else hold libraries that it does not use.
        kind = registry.card(method).kind
        parent = self.parents.get(kind)
        if parent is None or parent.poll() is not None:
            with (folder / LOG).open("wb") as errors:
                parent = self.parents[kind] = _start("--fork", method, errors=errors)
        assert parent.stdin is not None
        assert parent.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            parent.stdin.write(f"{folder.absolute()}\n")
            parent.stdin.flush()
        for line in parent.stdout:
            if (said := _read(line)) is None:
                continue
            if said["stage"] == "exit":
                return int(said["code"])
            tell(said)
        return self.parents.pop(kind).wait()

    def _alone(self, folder: Path, tell: Tell) -> int:
        with (folder / LOG).open("wb") as errors:
            process = _start(str(folder), errors=errors)
            try:
                for line in process.stdout or ():
                    if said := _read(line):
                        tell(said)
                return process.wait()
            finally:
                _end(process)


def can_fork() -> bool:
    """Tell whether a process that has imported torch may be forked here."""
    return sys.platform == "linux" and not may_have_graphics()


def serve(main: Callable[[Path, float], int]) -> int:
    """Start a forked process for every folder that standard input names, one after the other.

    Called in the process that has imported the libraries. Each child calls ``main(folder,
    began)``, where ``began`` is when it would have begun had it imported them itself; when it has
    ended a line says its status.
    """
    imported = time.monotonic() - started()
    for line in sys.stdin:
        folder = Path(line.rstrip("\n"))
        child = os.fork()
        if child == 0:
            code = 1
            try:
                log = os.open(folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
                os.dup2(log, 2)
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                code = main(folder, time.monotonic() - imported)
            except KeyboardInterrupt:
                os._exit(130)
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(json.dumps({"stage": "exit", "code": status}), flush=True)  # noqa: T201
    return 0


def started() -> float:
    """Return when this process began, on the clock of ``time.monotonic``."""
    given = os.environ.get("SIGHTLINE_STARTED")
    return float(given) if given else time.monotonic()


def _start(*arguments: str, errors: Any = None) -> subprocess.Popen[str]:
    # A group of its own, so that the end of this process can take the children along.
    return subprocess.Popen(
        [sys.executable, "-m", "sightline.bench.worker", *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
        encoding="utf-8", start_new_session=True,
        env=os.environ | {
            "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1", "SIGHTLINE_STARTED": str(time.monotonic()),
        },
    )  # fmt: skip


def _read(line: str) -> dict[str, Any] | None:
    """Return what a worker says; None for what a library prints."""
    with contextlib.suppress(ValueError):
        said = json.loads(line)
        if isinstance(said, dict) and "stage" in said:
            return said
    return None


def _end(process: subprocess.Popen[str]) -> None:
    """End a process and its children; at once when they do not within five seconds."""

    def send(which: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, which)

    if process.poll() is None:
        send(signal.SIGTERM)
        killer = threading.Timer(5, send, [signal.SIGKILL])
        killer.start()
        process.wait()
        killer.cancel()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
