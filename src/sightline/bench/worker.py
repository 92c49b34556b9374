"""Train and measure one method of a comparison, in a process of its own.

Started by `sightline.bench.processes` as ``python -m sightline.bench.worker FOLDER``, or forked
from ``python -m sightline.bench.worker --fork METHOD``, which imports what such a method needs and
waits for folders. The job lies in ``FOLDER/job.json``; the fitted run, ``evaluation.safetensors``
and ``result.json`` are left there, and each stage is said as one JSON line on standard output.

Clocks start, and memory is read, when everything that is done once a process has been done.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from sightline import tasks
from sightline.bench import processes
from sightline.bench.results import MethodEntry
from sightline.data import subsets
from sightline.data.dataset import Dataset
from sightline.data.load import load_data
from sightline.errors import SightlineError
from sightline.estimators import create_model, estimator_for, tuning, warm
from sightline.estimators.base import Estimator
from sightline.metrics import Evaluation, cost, threads
from sightline.training import run
from sightline.types import Progress

JOB, RESULT, EVALUATION = "job.json", "result.json", "evaluation.safetensors"
BATCH = 256
"""Images that a method is asked about at once when its throughput is measured."""

LONGEST = 5.0
"""Seconds that such a batch may take: of a slow method it has fewer images."""


@dataclass(frozen=True, slots=True)
class Job:
    """The job of a worker: which method to train on which data.

    Parameters
    ----------
    method : str
    data : str
        As given on the command line.
    group, layout : str, optional
        See `sightline.load_data`.
    seed : int
    budget : float, optional
        Seconds for tuning and fitting.
    fingerprint : str
        Of the data that the comparison started with.
    threads : int, optional
        Default: what its work suits, of the cores that are idle.
    device : str
        For a method that can choose.
    allow_outside : bool
        See `sightline.load_data`.
    images : int, optional
        How many of the training images to learn from, as a point of a learning curve: then only
        the figures are kept, and neither the run nor what an answer costs.
    draw : int
        Number of the draw of these images, which also moves the seed of the method.
    """

    method: str
    data: str
    group: str | None
    layout: str | None
    seed: int
    budget: float | None
    fingerprint: str
    threads: int | None = None
    device: str = "auto"
    allow_outside: bool = False
    images: int | None = None
    draw: int = 0


def main(folder: Path, began: float) -> int:
    """Do the job of a folder; return 0 when its result was written, even if that is a failure.

    Parameters
    ----------
    folder : path
    began : float
        When the process began, on the clock of ``time.monotonic``.
    """
    job = Job(**run.read_json(folder / JOB))
    started = time.perf_counter()
    try:
        entry = _measure(job, folder, began)
    except SightlineError as error:
        entry = _failure(job, str(error))
    except MemoryError:
        entry = _failure(job, f"out of memory (this process held {cost.peak_mb():,.0f} MiB)")
    except Exception as error:  # noqa: BLE001 - one method's bug is a row, not the end
        import traceback

        traceback.print_exc()
        entry = _failure(job, f"{type(error).__name__}: {error}")
    run.write_json(folder / RESULT, entry.model_dump(mode="json"))
    # These are no longer needed, or would lead to the same failure again.
    shutil.rmtree(folder / run.CHECKPOINTS, ignore_errors=True)
    _say("done", 1, 1, seconds=time.perf_counter() - started)
    return 0


def _measure(job: Job, folder: Path, began: float) -> MethodEntry:
    _say("load", 0, 1)
    data = load_data(
        job.data, seed=job.seed, group=job.group, layout=job.layout,
        allow_outside=job.allow_outside,
    )  # fmt: skip
    kind = estimator_for(job.method)
    kind.check(data.train)
    if data.fingerprint() != job.fingerprint:
        work = "comparison" if job.images is None else "curve"
        raise SightlineError(f"{job.data} changed since the {work} began; begin anew")
    if job.images is not None:
        data = subsets.cut(data, job.images, job.draw)
    seed = job.seed + job.draw
    preprocess = kind.preprocess_of(job.method)
    given = warm.threads_for(job.method, data.train, preprocess, job.threads)
    threads.use(given)
    _say("start", 0, 1)
    known = {f.name for f in fields(kind.knobs(job.method))}
    fixed = {"device": job.device} if "device" in known and job.device != "auto" else {}
    warm.run_once(job.method, data, preprocess, seed, fixed)
    startup = time.monotonic() - began
    model = create_model(job.method, data, seed=seed, **fixed)
    tune_seconds, settings = 0.0, 1
    note: dict[str, Any] = {"budget_seconds": job.budget}
    if tuning.grid_of(job.method) != [{}]:
        tuned = tuning.on_validation(
            job.method, data.train, data.val, fixed, preprocess,
            budget=None if job.budget is None else job.budget / 2,
            seed=seed, progress=_stage("tune"),
        )  # fmt: skip
        tune_seconds, settings = tuned.seconds, len(tuned.trials)
        model = create_model(job.method, data, seed=seed, **tuned.best.options)
        note["tuning"] = {
            "settings": settings,
            "images": tuned.images,
            "trials": [t.options | {tuned.metric: t.figure} for t in tuned.trials],
        }
    _say("fit", 0, 1)
    left = None if job.budget is None else max(job.budget - tune_seconds, job.budget / 4)
    fit_seconds = _fit(model, data, folder, left)
    validation = model.tune_thresholds(model.evaluate(data.val, _stage("validate")))
    test = model.evaluate(data.test, _stage("test"))
    entry = MethodEntry(
        name=job.method,
        status="ok",
        metric=test.metrics.headline_name,
        higher_is_better=test.metrics.higher_is_better,
        share=test.metrics.share,
        headline=test.metrics.headline,
        interval=test.metrics.interval,
        validation=validation.metrics.headline,
        metrics=dict(test.metrics),
        remarks=[*model.remarks, *([] if model.method_.floor else test.remarks)],
        startup_seconds=startup,
        threads=given,
        tune_seconds=tune_seconds,
        fit_seconds=fit_seconds,
        device=model.method_.used["device"],
        parameters=model.parameters,
    )
    if job.images is not None:
        return entry
    costs = _timed(model, data)
    model.save(folder, comparison=note)
    run.write_metrics(folder, test.metrics, "test")
    _write_evaluation(folder, validation, test)
    return entry.model_copy(
        update=costs | {"peak_mb": cost.peak_mb(), "bytes": _size(model, folder)}
    )


def _timed(model: Estimator, data: Dataset) -> dict[str, Any]:
    """Return what an answer of a fitted model costs in time, as fields of its entry."""
    _say("time", 0, 1)
    first = data.val[0].image
    latency = cost.latency(lambda: model.predict([first]))
    batch = min(BATCH, max(1, int(1000 * LONGEST / latency.median_ms)))
    probe = [data.val[i % len(data.val)].image for i in range(batch)]
    return {
        "latency_ms": latency.median_ms,
        "latency_spread_ms": latency.spread_ms,
        "images_per_second": cost.throughput(lambda: model.predict(probe), batch),
        "batch": batch,
    }


def _fit(model: Estimator, data: Dataset, folder: Path, budget: float | None) -> float:
    """Fit, resuming from an interrupted attempt's checkpoint if there is one; return seconds."""
    last, before = folder / run.CHECKPOINTS / run.LAST, 0.0
    resume = last.exists()
    if resume:  # else torch stays out of the memory of methods that do without
        from sightline.training import checkpoint

        before = checkpoint.read(last)[1]["seconds"]
    start = time.perf_counter()
    model.fit(
        data.train, data.val, _stage("fit"), budget=budget, folder=folder, resume=resume
    )  # fmt: skip
    return float(before + time.perf_counter() - start)


def _write_evaluation(folder: Path, validation: Evaluation, test: Evaluation) -> None:
    arrays = {
        f"{split}.{name}": array
        for split, evaluation in (("val", validation), ("test", test))
        for name, array in evaluation.arrays().items()
    }
    run.write_arrays(folder / EVALUATION, arrays, {})


def read_evaluation(folder: Path, task: str, split: str) -> Evaluation:
    """Read a method's saved answers on a split, ``"val"`` or ``"test"``, of a comparison.

    Raises
    ------
    RunError
        When the file is missing or damaged.
    """
    arrays = run.read_arrays(folder / EVALUATION)
    own = {n.removeprefix(f"{split}."): a for n, a in arrays.items() if n.startswith(f"{split}.")}
    kept: Evaluation = tasks.module("metrics", task).Evaluation.restored(own)
    return kept


def _size(model: Estimator, folder: Path) -> int:
    return (folder / run.MODEL).stat().st_size + (folder / run.CONFIG).stat().st_size


def _failure(job: Job, why: str) -> MethodEntry:
    return MethodEntry(name=job.method, status="failed", error=why)


def _stage(name: str) -> Progress:
    return lambda done, total: _say(name, done, total)


def _say(stage: str, done: int, total: int, **more: Any) -> None:
    try:
        print(json.dumps({"stage": stage, "done": done, "total": total, **more}), flush=True)  # noqa: T201
    except BrokenPipeError:  # the comparison was killed: its checkpoints stay, for it to go on from
        os._exit(1)


def orders(job: Job) -> dict[str, Any]:
    """Return the content of ``job.json``."""
    return asdict(job)


if __name__ == "__main__":
    np.seterr(all="warn")
    if sys.argv[1] == "--fork":
        warm.load_libraries(sys.argv[2])
        sys.exit(processes.serve(main))
    sys.exit(main(Path(sys.argv[1]), processes.started()))
