"""Write ``report.html``: one file that opens offline, of a comparison or of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from sightline import tasks
from sightline.data import duplicates
from sightline.data.dataset import Dataset
from sightline.estimators.base import Estimator
from sightline.metrics import Evaluation, Metrics, figure_text
from sightline.metrics.duration import human
from sightline.report import plots, remarks, words
from sightline.report.curves import training_curves
from sightline.report.parts import Column, Picture, thumbnail
from sightline.report.svg import SERIES
from sightline.report.words import Language, Said, figure_name, in_chinese, known, say
from sightline.training import run

if TYPE_CHECKING:
    from sightline.bench.results import MethodEntry

# What a comparison is made of is imported where it is reported: the page of a run needs none of it.
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


def comparison(folder: Path, data: Dataset, *, language: Language | None = None) -> Path:
    """Write the page of a comparison.

    Parameters
    ----------
    folder : path
        With ``results.json`` and the methods' evaluations.
    data : Dataset
        What was compared on, for the pictures.
    language : "en" or "zh", optional
        That the page opens in; default: the browser's.

    Returns
    -------
    Path
        Of ``report.html``.

    Raises
    ------
    RunError
        When the folder is incomplete or cannot be written.
    """
    from sightline.bench import compare as bench
    from sightline.bench import worker
    from sightline.bench.results import read
    from sightline.report.reason import lines, reason, result

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
    costs = say("What {figure} costs", figure=figure_name(order[0].metric or "")) if order else ""
    page = template("comparison.html.j2", language).render(
        title=say("{data}: which method is good enough?", data=results.data.name),
        results=results,
        reason=reason(results),
        result=result(next(m for m in results.ok if m.name == picked)) if picked else None,
        lines=lines(results) if picked else [],
        request=request,
        columns=columns(results.task),
        note=ours.NOTE,
        details=_details(folder, results.ok),
        costs=costs,
        scatter=plots.svg(plots.headline_against_latency(order, picked), costs) if order else "",
        sections=ours.sections(data, evaluations) if order else [],
        leaks=leaks(data),
        notes=data.notes,
        environment=request["environment"],
    )
    run.write_text(folder / REPORT, page)
    return folder / REPORT


def training(
    folder: Path, model: Estimator, data: Dataset, evaluation: Evaluation, seconds: float, *,
    language: Language | None = None,
) -> Path:  # fmt: skip
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
    language : "en" or "zh", optional
        That the page opens in; default: the browser's.

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
    curves = ""
    if len(history) > 1:
        drawing = training_curves(history, "", metrics, stacked=True)
        curves = plots.svg(drawing, say("How training went"))
    ours = of(model.task)
    why = ours.why(model, data, evaluation) if hasattr(ours, "why") else []
    page = template("run.html.j2", language).render(
        title=say("{model} on {data}", model=model.name, data=data.name),
        data=data,
        counts_of={split: len(rows) for split, rows in data.rows.items()},
        seconds=seconds,
        measured=_measured(metrics),
        remarks=model.remarks,
        calibration=_calibration(model.config.get("calibration")),
        curves=curves,
        last=history[-1] if history else None,
        sections=[*ours.sections(data, {model.name: evaluation}, split="val"), *why],
        command=run.command(),
        options=model.options,
        environment=model.config["environment"],
        written=run.now(),
    )
    run.write_text(folder / REPORT, page)
    return folder / REPORT


def _calibration(facts: Mapping[str, Any] | None) -> Said | None:
    """Return what a temperature does to the probabilities; None where none was fitted."""
    if not facts:
        return None
    return say(
        "probabilities calibrated with temperature {t}, from {images} validation images: "
        "calibration error {before} points before, {after} after",
        t=f"{facts['temperature']:.3g}", images=f"{facts['images']:,}",
        before=f"{100 * facts['before']:.1f}", after=f"{100 * facts['after']:.1f}",
    )  # fmt: skip


def _measured(metrics: Metrics) -> Said:
    """Return the main figure with its interval and the number of images."""
    low, high = (figure_text(end, metrics.share) for end in metrics.interval)
    images = "1 image" if metrics.n == 1 else "{count} images"
    return say(
        f"{{figure}} {{value}} (95% interval {{low}} to {{high}}, {images})", low=low, high=high,
        figure=figure_name(metrics.headline_name), count=f"{metrics.n:,}",
        value=figure_text(metrics.headline, metrics.share),
    )  # fmt: skip


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


def _details(folder: Path, methods: Sequence[MethodEntry]) -> dict[str, Mapping[str, Any]]:
    """Return what each method ran with: threads, device, and knobs and how they were chosen."""
    from sightline.bench.compare import place_of

    details: dict[str, Mapping[str, Any]] = {}
    for m in methods:
        config = run.read_json(place_of(folder, m.name) / run.CONFIG)
        tuning = config.get("comparison", {}).get("tuning") or {}
        images = tuning.get("images", 0)
        of = "1 validation image" if images == 1 else "{images} validation images"
        details[m.name] = {
            "threads": m.threads, "device": m.device, "options": config["options"],
            "calibration": _calibration(config.get("calibration")),
            "tuned": say(f"best of {{settings}} settings on {of}", settings=tuning["settings"],
                         images=f"{images:,}") if tuning.get("settings") else "",
        }  # fmt: skip
    return details


def template(name: str, language: Language | None) -> Any:
    """Return the template of a page, with what all of them use.

    Parameters
    ----------
    name : str
        Of its file in ``templates/``.
    language : "en" or "zh", optional
        That the page opens in; default: the browser's.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup, escape

    def said(text: str) -> Markup:
        """Write a text for the page, in both languages where it has two."""
        if not isinstance(text, Said) or text.zh == text:
            return escape(str.__str__(text))
        form = Markup('<span class="w" lang="{}">{}</span>')
        return form.format("en", str.__str__(text)) + form.format("zh", text.zh)

    def both(text: str) -> Markup:
        """Write a text of ours, which may be known in Chinese; names of classes are not ours."""
        return said(known(text))

    def remark(text: str) -> Markup:
        """Write a line of the library: in both languages where there is a pattern for it."""
        line = remarks.said(str(text))
        if isinstance(line, Said):
            return said(line)
        return Markup('<span lang="en">{}</span>').format(str(line))

    environment = Environment(
        loader=PackageLoader("sightline.report"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"both": both, "remark": remark, "said": said, "zh": in_chinese}
    environment.globals |= {
        "say": say, "counted": words.counted, "human": human, "series": SERIES,
        "language": language or "",
    }  # fmt: skip
    return environment.get_template(name)
