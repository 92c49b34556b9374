"""Compare many methods on one data set, measured alike, and choose one.

Every method runs in its own process, so that a crash or the system's out-of-memory
killer costs one row, and peak memory is the method's own. Finished methods are kept; an
interrupted comparison goes on where it stopped, a network from its last checkpoint.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline import tasks
from sightline.bench import jobs, processes, worker
from sightline.bench.advice import advise, gain
from sightline.bench.jobs import Report
from sightline.bench.pick import Differences, check_cost, margin_of, pick
from sightline.bench.results import (
    Cost,
    DataEntry,
    EnvironmentEntry,
    MethodEntry,
    Results,
)
from sightline.data.dataset import Dataset
from sightline.data.load import check_task
from sightline.errors import DataError, ParameterError, UnknownNameError
from sightline.estimators import estimator
from sightline.metrics import threads
from sightline.metrics.paired import Difference, check_margin
from sightline.models import carried, device, registry
from sightline.training import run
from sightline.types import Task

RESULTS, REQUEST, METHODS = "results.json", "compare.json", "methods"


@dataclass(frozen=True, slots=True)
class Request:
    """What a comparison was asked for; an interrupted one is resumed by an equal request.

    The margin and the cost belong to the choice, not to what is measured: with others, what was
    measured is kept, and only the choice is made anew.

    Parameters
    ----------
    data : str
        As given: a name or a path.
    methods : tuple of str
    group, layout : str, optional
    seed : int
    budget : float, optional
        Seconds for each method.
    margin : float, optional
        In the unit of the headline; see `pick`.
    in_points : bool
        Whether the margin of a share is in points, hundredths of it. Of any other headline it is in
        the headline's unit in any case.
    cost : "latency", "size" or "training"
        See `pick`.
    threads : int, optional
        Of the processor, for each method. Default: what its work suits, of the cores that are idle.
    device : str
        Where methods that can choose compute: cpu, cuda, cuda:1, mps or auto.
    allow_outside : bool
        See `sightline.load_data`.

    Raises
    ------
    ParameterError
        When the margin is not a number of at least 0, the cost is none of the three, or there is
        no such device or number of threads.
    """

    data: str
    methods: tuple[str, ...]
    group: str | None = None
    layout: str | None = None
    seed: int = 0
    budget: float | None = None
    margin: float | None = None
    in_points: bool = False
    cost: Cost = "latency"
    threads: int | None = None
    device: str = "auto"
    allow_outside: bool = False

    def __post_init__(self) -> None:
        if self.margin is not None:
            check_margin(self.margin)
        check_cost(self.cost)
        threads.check(self.threads)
        device.check(self.device)

    def margin_for(self, methods: Sequence[MethodEntry]) -> float | None:
        """Return the margin that was given for such methods, in the unit of their headline."""
        points = self.in_points and all(m.share for m in methods)
        return self.margin / 100 if points and self.margin is not None else self.margin

    def plain(self, fingerprint: str) -> dict[str, Any]:
        """Return what is to be measured as JSON, with the fingerprint of the data."""
        asked: dict[str, Any] = {
            "data": self.data, "methods": list(self.methods), "group": self.group,
            "layout": self.layout, "seed": self.seed, "budget": self.budget,
            "fingerprint": fingerprint,
        }  # fmt: skip
        # Named only where it is asked for, as in the folders of before it could be.
        asked |= {} if self.threads is None else {"threads": self.threads}
        asked |= {"allow_outside": True} if self.allow_outside else {}
        return asked if self.device == "auto" else asked | {"device": self.device}


def ladder(
    data: Dataset, budget: float | None = None, task: str | None = None
) -> tuple[tuple[str, ...], list[str]]:
    """Return the methods that suit a data set's task and its images' size, the simplest first.

    Parameters
    ----------
    data : Dataset
    budget : float, optional
        Seconds for each method. Without one, and without a graphics processor, networks that would
        take hours are left out.
    task : str, optional
        Default: the first of the data's tasks that there are methods for.

    Returns
    -------
    methods : tuple of str
    notes : list of str
        Which were left out, and why.

    Raises
    ------
    UnknownNameError
        When there is no such task.
    DataError
        When the data have no annotation for it, or no method here serves them yet.
    """
    served = sorted({str(c.task) for c in registry.CARDS.values()})
    if task is not None:
        if task not in (known := sorted({*served, *map(str, (*Task, *data.tasks))})):
            raise UnknownNameError("task", task, known)
        if task in served and task in tasks.names():
            estimator(task).check_serves(data)
        else:
            check_task(data, task)
    for wanted in data.tasks if task is None else (task,):
        cards = [c for c in registry.CARDS.values() if c.task == wanted and c.rung]
        if cards:
            side = min(data.size) if data.size else None
            small = [c.name for c in cards if side is not None and side < c.smallest_side]
            absent = [
                c.name for c in cards if c.starts_from and not carried.installed(c.starts_from)
            ]
            costly = [
                c.name for c in cards
                if c.costly and len(data.train) > c.quick and c.name not in {*small, *absent}
            ]  # fmt: skip
            if costly and (budget is not None or _trains_on_graphics()):
                costly = []
            notes = []
            if absent:
                notes.append(
                    f"left out, as the weights they start from are not here: {', '.join(absent)}; "
                    f"{carried.INSTALL} brings them (17 MB, no download later)"
                )
            if costly:
                notes.append(
                    f"left out, as they take long on a processor: {', '.join(costly)}; name them, "
                    "or give budget=..."
                )
            if small:
                notes.append(f"left out, as images of {side} pixels are small: {', '.join(small)}")
            names = [c.name for c in cards if c.name not in {*small, *costly, *absent}]
            return tuple(names), notes
    raise DataError(
        f"{data.name} is annotated for {', '.join(data.tasks)}; methods here are for "
        f"{', '.join(served)}"
    )


def task_of(methods: Sequence[str]) -> str:
    """Return the one task of some methods.

    Raises
    ------
    UnknownNameError
        When a method does not exist.
    ParameterError
        When they are for several tasks.
    """
    tasks = {name: str(registry.card(name).task) for name in methods}
    if len(set(tasks.values())) > 1:
        said = ", ".join(f"{name} ({task})" for name, task in tasks.items())
        raise ParameterError(f"only methods of one task can be compared, not {said}")
    return next(iter(tasks.values()))


def _trains_on_graphics() -> bool:
    return device.present("auto") != "cpu"


def compare(data: Dataset, request: Request, folder: Path, report: Report | None = None) -> Results:
    """Train and measure every method of a request, and choose.

    Parameters
    ----------
    data : Dataset
        What ``request.data`` loads to.
    request : Request
    folder : path
        Results go here; methods that ran to the end are not done again.
    report : callable, optional
        Live progress.

    Returns
    -------
    Results
        Also written to ``results.json``.

    Raises
    ------
    UnknownNameError
        When a method does not exist; nothing is started.
    RunError
        When the folder cannot be written, or holds another comparison.
    DataError
        When a split is missing, or that of training cannot teach the methods' task.
    ParameterError
        When the methods are for several tasks.
    """
    task = task_of(request.methods)
    for needed in ("val", "test"):
        data.split(needed)
    estimator(task).check(data.train)
    folder = run.create(folder)
    asked = request.plain(data.fingerprint())
    jobs.claim(folder / REQUEST, asked, "a comparison")
    entries = []
    with processes.Processes() as workers:
        for name in request.methods:
            job = worker.Job(
                method=name, data=request.data, group=request.group, layout=request.layout,
                seed=request.seed, budget=request.budget, fingerprint=asked["fingerprint"],
                threads=request.threads, device=request.device,
                allow_outside=request.allow_outside,
            )  # fmt: skip
            entries.append(jobs.do(workers, job, place_of(folder, name), name, report))
    ok = [e for e in entries if e.status == "ok"]
    margin = request.margin_for(ok)
    choice = pick(
        ok, differences(folder, task, margin_of(ok, margin)), margin=margin, cost=request.cost
    )
    if choice is not None:
        picked = next(entry for entry in ok if entry.name == choice.name)
        choice.gain = gain(ok)
        choice.advice = advise(data, request.data, picked, task, request.methods)
    environment = run.environment(request.seed)
    devices = sorted({e.device for e in entries if e.device}) or ["cpu"]
    results = Results(
        task=task,
        data=DataEntry(**run.describe_data(data)),
        environment=EnvironmentEntry(
            device=", ".join(devices),
            threads=environment["threads"],
            versions={
                "sightline": environment["sightline"],
                "python": environment["python"],
                **environment["versions"],
            },
            seed=request.seed,
        ),
        methods=entries,
        pick=choice,
    )
    run.write_json(folder / RESULTS, results.model_dump(mode="json"))
    return results


def differences(folder: Path, task: str, margin: float) -> Differences:
    """Return a function that compares two methods by their saved answers, as `pick` needs it.

    Parameters
    ----------
    folder : path
        Of the comparison.
    task : str
    margin : float
        In the unit of the headline.
    """
    differ = tasks.module("metrics", task).differ
    evaluation = functools.cache(
        lambda name: worker.read_evaluation(place_of(folder, name), task, "val")
    )

    def between(best: str, other: str) -> Difference | None:
        if differ is None:
            return None
        difference: Difference = differ(evaluation(best), evaluation(other), margin)
        return difference

    return between


def place_of(folder: Path, method: str) -> Path:
    """Return the run of a method in the folder of a comparison; its name may hold a path."""
    return folder / METHODS / run.folder_name(method)


def interrupted(runs: Path, request: Request, fingerprint: str) -> Path | None:
    """Find the newest unfinished comparison of the same request."""
    return jobs.interrupted(runs, "compare-*", REQUEST, RESULTS, request.plain(fingerprint))


def finished(folder: Path, method: str) -> MethodEntry | None:
    """Return the entry of a method that has ended in a comparison's folder; None: it has not."""
    return jobs.finished(place_of(folder, method))
