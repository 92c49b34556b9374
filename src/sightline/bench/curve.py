"""Measure how good methods become with more training images, and where that would go.

Every method is fitted on nested subsets of the training split, several draws of each size, and
measured on the whole test split; validation shrinks with training. Each fit runs in a process of
its own; those that ended are kept, and an interrupted curve goes on where it stopped.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sightline.bench import compare, curve_summary, jobs, processes, worker
from sightline.bench.curve_results import (
    CurveEntry,
    CurveResults,
    FitEntry,
    PointEntry,
)
from sightline.bench.jobs import Report
from sightline.bench.results import DataEntry, EnvironmentEntry, MethodEntry
from sightline.counting import counted
from sightline.data import subsets
from sightline.data.dataset import Dataset, Split
from sightline.errors import DataError, ParameterError, wrong_kind
from sightline.estimators import estimator
from sightline.metrics import threads
from sightline.models import device, registry
from sightline.training import run

RESULTS, REQUEST, FITS = "results.json", "curve.json", "fits"

SIZES, SEEDS = 6, 3
"""How many sizes, and draws of each, there are by default."""

A_FEW = 5
"""Images of a class that the smallest default size has, where there are enough."""

NEAREST = 1.4
"""The least ratio of a default size to the one before."""


@dataclass(frozen=True, slots=True)
class Request:
    """What curves were asked for; an interrupted one is resumed by an equal request.

    Parameters
    ----------
    data : str
        As given: a name or a path.
    methods : tuple of str
    sizes : tuple of int
        Numbers of training images, rising; see `sizes_of`.
    seeds : int
        Draws of each size.
    group, layout : str, optional
    seed : int
        Of the splits; the draws are numbered from 0 whatever it is.
    budget : float, optional
        Seconds for each fit.
    threads : int, optional
        Of the processor, for each fit. Default: what its work suits, of the cores that are idle.
    device : str
    allow_outside : bool
        See `sightline.load_data`.

    Raises
    ------
    ParameterError
        When there are no draws, or no such device or number of threads.
    """

    data: str
    methods: tuple[str, ...]
    sizes: tuple[int, ...]
    seeds: int = SEEDS
    group: str | None = None
    layout: str | None = None
    seed: int = 0
    budget: float | None = None
    threads: int | None = None
    device: str = "auto"
    allow_outside: bool = False

    def __post_init__(self) -> None:
        check_seeds(self.seeds)
        threads.check(self.threads)
        device.check(self.device)

    def plain(self, fingerprint: str) -> dict[str, Any]:
        """Return what is to be measured as JSON, with the fingerprint of the data."""
        return {
            "data": self.data, "methods": list(self.methods), "sizes": list(self.sizes),
            "seeds": self.seeds, "group": self.group, "layout": self.layout, "seed": self.seed,
            "budget": self.budget, "threads": self.threads, "device": self.device,
            "allow_outside": self.allow_outside, "fingerprint": fingerprint,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fit:
    """A fit that is to be done: a method on one draw of a size."""

    method: str
    size: int
    draw: int

    @property
    def name(self) -> str:
        """Return what progress calls it."""
        return f"{self.method} {self.size:,} #{self.draw + 1}"

    def place(self, folder: Path) -> Path:
        """Return its folder in that of the curves."""
        return folder / FITS / run.folder_name(self.method) / f"{self.size}-{self.draw}"


def check_seeds(seeds: Any) -> None:
    """Refuse a number of draws that is none.

    Raises
    ------
    ParameterError
    """
    if isinstance(seeds, bool) or not isinstance(seeds, int):
        raise wrong_kind("seeds is how many times each size is drawn, a whole number", seeds)
    if seeds < 1:
        raise ParameterError(
            f"seeds={seeds}: each size is drawn at least once; 3 show how much chance does"
        )


def sizes_of(train: Split, asked: Sequence[int] | None = None) -> tuple[tuple[int, ...], list[str]]:
    """Return the numbers of training images to measure at, rising.

    Parameters
    ----------
    train : Split
    asked : sequence of int, optional
        Default: about `SIZES`, by equal ratios, from a few images a class to all.

    Returns
    -------
    sizes : tuple of int
    notes : list of str
        What was clipped, and which classes have a single image.

    Raises
    ------
    ParameterError
        When a size is no whole number, or less than two images of every class.
    """
    labels, whole = train.labels, len(train)
    classes, counts = np.unique(labels[labels >= 0], return_counts=True)
    least = max(int(np.minimum(counts, subsets.LEAST).sum()), min(whole, subsets.LEAST))
    notes = [
        f"class {train.data.classes[label]!r} has 1 training image, which is in every subset: the "
        "curve tells nothing of it"
        for label in classes[counts == 1]
    ]
    if asked is None:
        if train.groups is not None:
            least = len(subsets.nested(labels, [least], 0, train.groups)[0])
        return _spaced(min(max(least, A_FEW * len(classes)), max(whole // 4, least)), whole), notes
    kept = set()
    for size in asked:
        if isinstance(size, bool) or not isinstance(size, int):
            raise wrong_kind("sizes are whole numbers, such as 100, 300 and 1000", size)
        if size < least:
            many = f"fewer than {subsets.LEAST} for each of {counted(len(classes), 'class')}"
            raise ParameterError(
                f"sizes: {counted(size, 'image')} are {many}; the smallest is {least}"
                if size != 1 else f"sizes: 1 image is {many}; the smallest is {least}"
            )  # fmt: skip
        if size > whole:
            images = counted(whole, "training image")
            notes.append(f"there are {images}: the size {size:,} is taken as {whole:,}")
        kept.add(min(size, whole))
    if not kept:
        raise ParameterError("sizes is empty; leave it out for sizes up to all training images")
    return tuple(sorted(kept)), notes


def _spaced(smallest: int, whole: int) -> tuple[int, ...]:
    """Return sizes by equal ratios, rounded to two digits, the largest as it is."""
    steps = min(SIZES - 1, int(math.log(whole / smallest) / math.log(NEAREST)))
    sizes = smallest * (whole / smallest) ** (np.arange(steps + 1) / max(steps, 1))
    rounded = {max(curve_summary.two_digits(size), smallest) for size in sizes[:steps]}
    return (*sorted(size for size in rounded if size < whole), whole)


def ladder(
    data: Dataset, budget: float | None = None, task: str | None = None
) -> tuple[tuple[str, ...], list[str]]:
    """Return the methods that a comparison would try, without the floor; see `compare.ladder`."""
    names, notes = compare.ladder(data, budget, task)
    return tuple(name for name in names if not _is_floor(name)), notes


def _is_floor(name: str) -> bool:
    card = registry.card(name)
    return card.kind == "classic" and bool(card.load().floor)


def _by_chance(name: str) -> bool:
    """Tell whether another seed gives another model, of the same images."""
    card = registry.card(name)
    return card.kind == "module" or bool(card.load().seeded)


def fits_of(request: Request, images: int) -> list[Fit]:
    """Return all fits of a request in their order: a whole draw after the other.

    Of all training images there is one draw; a method that has no chance is fitted to it once.

    Parameters
    ----------
    request : Request
    images : int
        In the training split.
    """
    return [
        Fit(method, size, draw)
        for draw in range(request.seeds)
        for size in request.sizes
        for method in request.methods
        if draw == 0 or size < images or _by_chance(method)
    ]


def interrupted(runs: Path, request: Request, fingerprint: str) -> Path | None:
    """Find the newest unfinished curves of the same request."""
    return jobs.interrupted(runs, "curve-*", REQUEST, RESULTS, request.plain(fingerprint))


def check(data: Dataset, methods: Sequence[str]) -> str:
    """Refuse data or methods that no curve can be made of; return the methods' task.

    Raises
    ------
    UnknownNameError
        When a method does not exist.
    DataError
        When a split is missing or empty, or that of training cannot teach the methods' task.
    ParameterError
        When the methods are for several tasks.
    """
    task = compare.task_of(methods)
    for needed in ("val", "test"):
        if not len(data.split(needed)):
            raise DataError(f"{data.name} has no image in its split {needed!r}")
    estimator(task).check(data.train)
    return task


def curve(
    data: Dataset, request: Request, folder: Path, report: Report | None = None
) -> CurveResults:
    """Fit every method on every draw of every size, and carry the curves on.

    Parameters
    ----------
    data : Dataset
        What ``request.data`` loads to.
    request : Request
    folder : path
        Results go here; fits that ended well are not done again.
    report : callable, optional
        Live progress, by `Fit.name`.

    Returns
    -------
    CurveResults
        Also written to ``results.json``.

    Raises
    ------
    UnknownNameError
        When a method does not exist; nothing is started.
    RunError
        When the folder cannot be written, or holds other curves.
    DataError
        When a split is missing, or that of training cannot teach the methods' task.
    ParameterError
        When the methods are for several tasks.
    """
    task = check(data, request.methods)
    folder = run.create(folder)
    asked = request.plain(data.fingerprint())
    jobs.claim(folder / REQUEST, asked, "learning curves")
    cuts = {
        (size, draw): {name: len(rows) for name, rows in subsets.cut(data, size, draw).rows.items()}
        for size in request.sizes for draw in range(request.seeds)
    }  # fmt: skip
    entries: dict[Fit, MethodEntry] = {}
    with processes.Processes() as workers:
        for fit in fits_of(request, len(data.train)):
            job = worker.Job(
                method=fit.method, data=request.data, group=request.group, layout=request.layout,
                seed=request.seed, budget=request.budget, fingerprint=asked["fingerprint"],
                threads=request.threads, device=request.device,
                allow_outside=request.allow_outside, images=fit.size, draw=fit.draw,
            )  # fmt: skip
            entries[fit] = jobs.do(workers, job, fit.place(folder), fit.name, report)
    fits = {
        fit: FitEntry(
            draw=fit.draw, images=cuts[fit.size, fit.draw]["train"],
            validation=cuts[fit.size, fit.draw]["val"], status=entry.status, figure=entry.headline,
            seconds=None if entry.fit_seconds is None else entry.fit_seconds
            + (entry.tune_seconds or 0.0), error=entry.error,
        )
        for fit, entry in entries.items()
    }  # fmt: skip
    results = _document(request, task, data, fits, list(entries.values()))
    curve_summary.complete(results)
    run.write_json(folder / RESULTS, results.model_dump(mode="json"))
    return results


def _document(
    request: Request, task: str, data: Dataset, fits: Mapping[Fit, FitEntry],
    entries: Sequence[MethodEntry],
) -> CurveResults:  # fmt: skip
    """Return the document of what was measured."""
    environment = run.environment(request.seed)
    ok = [entry for entry in entries if entry.status == "ok"]
    points: dict[tuple[str, int], list[FitEntry]] = {}
    for fit, entry in fits.items():
        points.setdefault((fit.method, fit.size), []).append(entry)
    return CurveResults(
        task=task,
        data=DataEntry(**run.describe_data(data)),
        environment=EnvironmentEntry(
            device=", ".join(sorted({e.device for e in ok if e.device})) or "cpu",
            threads=environment["threads"],
            versions={
                "sightline": environment["sightline"],
                "python": environment["python"],
                **environment["versions"],
            },
            seed=request.seed,
        ),
        metric=ok[0].metric if ok else None,
        higher_is_better=ok[0].higher_is_better if ok else True,
        share=ok[0].share if ok else True,
        sizes=list(request.sizes),
        seeds=request.seeds,
        tested=len(data.test),
        methods=[
            CurveEntry(name=name, points=[_point(n, points[name, n]) for n in request.sizes])
            for name in request.methods
        ],
    )  # fmt: skip


def _point(size: int, fits: Sequence[FitEntry]) -> PointEntry:
    figures = [fit.figure for fit in fits if fit.figure is not None]
    return PointEntry(
        size=size,
        images=float(np.mean([fit.images for fit in fits])),
        mean=float(np.mean(figures)) if figures else None,
        deviation=float(np.std(figures, ddof=1)) if len(figures) > 1 else None,
        low=min(figures, default=None),
        high=max(figures, default=None),
        fits=list(fits),
    )
