"""Write ``report.html``: one file that opens offline, of a comparison or of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from sightline import tasks
from sightline.bench import compare as bench
from sightline.bench import worker
from sightline.bench.results import MethodEntry, read
from sightline.data import duplicates
from sightline.data.dataset import Dataset
from sightline.estimators.base import Estimator
from sightline.metrics import Evaluation
from sightline.metrics.duration import human
from sightline.report import plots
from sightline.report.curves import training_curves
from sightline.report.parts import Column, Picture, thumbnail
from sightline.training import run

REPORT = "report.html"
PAIRS = 12

COSTS = (
    Column("start-up", lambda m: _time(m.startup_seconds), page_only=True),
    Column("tuned in", lambda m: _time(m.tune_seconds or None), rank=8),
    Column("fitted in", lambda m: _time(m.fit_seconds), rank=3),
    Column("ms an image", lambda m: _number(m.latency_ms, ".3g"), rank=2),
    Column("images/s", lambda m: _number(m.images_per_second, ",.0f"), rank=6),
    Column("peak MiB", lambda m: _number(m.peak_mb, ",.0f"), rank=7),
    Column("parameters", lambda m: _number(m.parameters, ",d"), page_only=True),
    Column("disk MiB", lambda m: _number(m.bytes and m.bytes / 2**20, ".2f"), rank=5),
)
"""Columns of a comparison's table that every task has, after its own."""


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _time(value: float | None) -> str:
    return "-" if value is None else human(value)


def columns(task: str) -> tuple[Column, ...]:
    """Return the columns of a comparison's table: the task's, then what every method costs."""
    return (*of(task).COLUMNS, *COSTS)


def of(task: str) -> ModuleType:
    """Return the module that reports a task."""
    return tasks.module("report", task)


def comparison(folder: Path, data: Dataset) -> Path:
    """Write the page of a comparison.

    Parameters
    ----------
    folder : path
        With ``results.json`` and the methods' evaluations.
    data : Dataset
        What was compared on, for the pictures.

    Returns
    -------
    Path
        Of ``report.html``.

    Raises
    ------
    RunError
        When the folder is incomplete or cannot be written.
    """
    results = read(folder / bench.RESULTS)
    request = run.read_json(folder / bench.REQUEST)
    picked = results.pick.name if results.pick else None
    sign = -1 if all(m.higher_is_better for m in results.ok) else 1
    order = sorted(results.ok, key=lambda m: (m.name != picked, sign * (m.headline or 0.0)))
    evaluations = {
        m.name: worker.read_evaluation(bench.place_of(folder, m.name), results.task, "test")
        for m in order
    }
    ours = of(results.task)
    page = _template("comparison.html.j2").render(
        results=results,
        request=request,
        columns=columns(results.task),
        note=ours.NOTE,
        tuned=_tuned(folder, results.ok),
        metric=(order[0].metric or "").replace("_", " ") if order else "",
        scatter=plots.svg(plots.headline_against_latency(results.ok, picked)) if order else "",
        sections=ours.sections(data, evaluations) if order else [],
        leaks=leaks(data),
        notes=data.notes,
        environment=request["environment"],
    )
    run.write_text(folder / REPORT, page)
    return folder / REPORT


def training(
    folder: Path, model: Estimator, data: Dataset, evaluation: Evaluation, seconds: float
) -> Path:
    """Write the page of a run that was just trained.

    Parameters
    ----------
    folder : path
    model : Estimator
        Fitted.
    data : Dataset
        What it was trained on.
    evaluation : Evaluation
        Of the validation split.
    seconds : float
        That fitting took.

    Returns
    -------
    path
        Of ``report.html``.

    Raises
    ------
    RunError
        When it cannot be written.
    """
    history, metrics = model.history, evaluation.metrics
    page = _template("run.html.j2").render(
        name=model.name,
        data=data,
        human=human,
        seconds=seconds,
        metrics=metrics,
        remarks=model.remarks,
        curves=plots.svg(training_curves(history, "", metrics)) if len(history) > 1 else "",
        last=history[-1] if history else None,
        sections=of(model.task).sections(data, {model.name: evaluation}, split="val"),
        command=run.command(),
        options=model.options,
        environment=model.config["environment"],
    )
    run.write_text(folder / REPORT, page)
    return folder / REPORT


def leaks(data: Dataset) -> dict[str, Any] | None:
    """Return images that are in two splits; None where they are too large to look here."""
    if data.size is None:
        return None
    pairs = duplicates.across_splits(data, duplicates.find(duplicates.prints_of(data)))
    pixels = data.source.pack().pixels
    shown = [
        (
            Picture(thumbnail(pixels[p.first]), (a, data.source.items[p.first].id)),
            Picture(thumbnail(pixels[p.second]), (b, data.source.items[p.second].id)),
        )
        for p, a, b in pairs[:PAIRS]
    ]
    return {"count": len(pairs), "exact": sum(p.exact for p, *_ in pairs), "shown": shown}


def _tuned(folder: Path, methods: Sequence[MethodEntry]) -> dict[str, Mapping[str, Any]]:
    """Return the knobs that each method ended with, and how they were chosen."""
    knobs: dict[str, Mapping[str, Any]] = {}
    for m in methods:
        config = run.read_json(bench.place_of(folder, m.name) / run.CONFIG)
        tuning = config.get("comparison", {}).get("tuning") or {}
        knobs[m.name] = {
            "options": config["options"], "settings": tuning.get("settings", 0),
            "images": tuning.get("images", 0),
        }  # fmt: skip
    return knobs


def _template(name: str) -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("sightline.report"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template(name)
