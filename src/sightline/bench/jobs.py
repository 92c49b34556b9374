"""Do the jobs of a comparison or a learning curve, in a folder each; what has ended is kept."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sightline.bench import processes, worker
from sightline.bench.results import MethodEntry
from sightline.errors import RunError
from sightline.training import run

Report = Callable[[str, str, int, int], None]
"""Called with (name, stage, done, total); stage ``failed`` or ``done`` ends a piece of work."""


def claim(place: Path, asked: Mapping[str, Any], what: str) -> None:
    """Mark a folder as a request's; refuse one that holds anything else.

    Parameters
    ----------
    place : path
        Of the file that says what was asked for.
    asked : dict
    what : str
        That lies in such a folder, as its error calls it: ``"a comparison"``.

    Raises
    ------
    RunError
        When the folder holds a run, or another request.
    """
    if place.exists():
        if run.read_json(place).get("request") != asked:
            raise RunError(
                f"{place.parent} holds {what} of other data or methods; name another folder"
            )
        return
    if (place.parent / run.CONFIG).exists():
        raise RunError(f"{place.parent} holds a run; name another folder")
    run.write_json(
        place,
        {
            "request": asked,
            "command": run.command(),
            "started": run.now(),
            "environment": run.environment(asked["seed"]),
        },
    )


def interrupted(
    runs: Path, pattern: str, request: str, results: str, asked: Mapping[str, Any]
) -> Path | None:
    """Find the newest unfinished folder of the same request.

    Parameters
    ----------
    runs : path
        Where the folders lie.
    pattern : str
        Of their names.
    request, results : str
        Names of the file that says what was asked for, and of the one that ends it.
    asked : dict
    """
    for place in sorted(runs.glob(pattern), reverse=True):
        if (place / request).is_file() and not (place / results).exists():
            with contextlib.suppress(RunError):
                if run.read_json(place / request).get("request") == asked:
                    return place
    return None


def finished(place: Path) -> MethodEntry | None:
    """Return how the job of a folder ended; None: it has not."""
    from pydantic import ValidationError

    if not (place / worker.RESULT).is_file():
        return None
    with contextlib.suppress(RunError, ValidationError):  # damaged: it is measured anew
        return MethodEntry.model_validate(run.read_json(place / worker.RESULT))
    return None


def do(
    workers: processes.Processes, job: worker.Job, place: Path, name: str, report: Report | None
) -> MethodEntry:
    """Do a job in its folder, unless it was done before; one that failed is tried again.

    Parameters
    ----------
    workers : Processes
    job : Job
    place : path
    name : str
        That progress is reported under.
    report : callable, optional
    """
    entry = finished(place)
    if entry is not None and entry.status == "ok":
        if report:
            report(name, "done", 1, 1)
        return entry
    (place / worker.RESULT).unlink(missing_ok=True)
    place.mkdir(parents=True, exist_ok=True)
    run.write_json(place / worker.JOB, worker.orders(job))

    def tell(said: Mapping[str, Any]) -> None:
        if report and said["stage"] != "done":
            report(name, said["stage"], int(said["done"]), int(said["total"]))

    code = workers.run(job.method, place, tell)
    entry = finished(place)
    if entry is None:
        entry = MethodEntry(
            name=job.method, status="failed", error=_why(code, place / processes.LOG)
        )
        run.write_json(place / worker.RESULT, entry.model_dump(mode="json"))
    if report:
        report(name, "done" if entry.status == "ok" else "failed", 1, 1)
    return entry


def _why(code: int, log: Path) -> str:
    if code == -signal.SIGKILL:
        return "killed by the system, most likely out of memory"
    if code == -signal.SIGINT:
        raise KeyboardInterrupt
    if code < 0:
        return f"crashed with {signal.Signals(-code).name}; see {log}"
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    last: Sequence[str] = lines[-1:] or ["no message"]
    return f"stopped with status {code}: {last[0]}"
