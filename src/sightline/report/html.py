"""``report.html``: one file that opens offline, of a comparison or of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.bench import compare as bench
from sightline.bench import worker
from sightline.bench.budget import human
from sightline.bench.results import MethodEntry, Results, read
from sightline.data import duplicates
from sightline.data.dataset import Dataset
from sightline.errors import SightlineError
from sightline.estimators.classify import Classifier, Evaluation
from sightline.metrics.classify import confusion, per_class
from sightline.report import plots
from sightline.report.curves import training_curves
from sightline.training import run

REPORT = "report.html"
MISTAKES = 24
PAIRS = 12


@dataclass(frozen=True, slots=True)
class Picture:
    """An image of the page, with the text under it."""

    uri: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """What a method got wrong."""

    name: str
    matrix: str
    mistakes: list[Picture]
    wrong: int


def comparison(folder: Path, data: Dataset) -> Path:
    """Render the folder of a comparison.

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
    evaluations = {
        m.name: run.read_arrays(folder / bench.METHODS / m.name / worker.EVALUATION)
        for m in results.ok
    }
    classes = results.data.classes
    tables = {
        name: confusion(a["test.labels"], a["test.predicted"], len(classes))
        for name, a in evaluations.items()
    }
    recalls = {name: per_class(table)["recall"] for name, table in tables.items()}
    picked = results.pick.name if results.pick else None
    order = sorted(evaluations, key=lambda name: (name != picked, -_headline(results, name)))
    page = _template("comparison.html.j2").render(
        results=results,
        request=request,
        human=human,
        tuned=_tuned(folder, results.ok),
        scatter=_drawing(plots.accuracy_against_latency(results.ok, picked)) if results.ok else "",
        recall=_drawing(plots.per_class_recall(recalls, classes)) if recalls else "",
        reliability=_drawing(plots.reliability(_sureness(evaluations))) if evaluations else "",
        coverage=_drawing(plots.coverage(_sureness(evaluations))) if evaluations else "",
        sections=[
            Section(
                name,
                _drawing(plots.confusion_matrix(tables[name], classes, name)),
                mistakes(data, *_answers(evaluations[name])),
                int(
                    (evaluations[name]["test.labels"] != evaluations[name]["test.predicted"]).sum()
                ),
            )
            for name in order
        ],
        leaks=leaks(data),
        notes=data.notes,
        environment=request["environment"],
    )
    run.write_text(folder / REPORT, page)
    return folder / REPORT


def _sureness(
    evaluations: Mapping[str, dict[str, NDArray[Any]]],
) -> dict[str, tuple[NDArray[np.bool_], NDArray[np.floating]]]:
    """By method, which test answers are right, and with what confidence each was given."""
    return {
        name: (
            a["test.labels"] == a["test.predicted"],
            a["test.probabilities"][np.arange(len(a["test.predicted"])), a["test.predicted"]],
        )
        for name, a in evaluations.items()
    }


def training(
    folder: Path, model: Classifier, data: Dataset, evaluation: Evaluation, seconds: float
) -> Path:
    """Render the folder of a run that was just trained.

    Parameters
    ----------
    folder : path
    model : Classifier
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
    e, history = evaluation, model.history
    table = confusion(e.labels, e.predicted, len(data.classes))
    right = e.labels == e.predicted
    confidence = e.probabilities[np.arange(len(e.predicted)), e.predicted]
    page = _template("run.html.j2").render(
        name=model.name,
        data=data,
        human=human,
        seconds=seconds,
        metrics=e.metrics,
        remarks=model.remarks,
        curves=_drawing(training_curves(history, "")) if len(history) > 1 else "",
        last=history[-1] if history else None,
        matrix=_drawing(plots.confusion_matrix(table, data.classes, model.name)),
        mistakes=mistakes(data, e.labels, e.predicted, e.probabilities, e.rows),
        wrong=int((~right).sum()),
        reliability=_drawing(plots.reliability({model.name: (right, confidence)})),
        coverage=_drawing(plots.coverage({model.name: (right, confidence)})),
        command=run.command(),
        options=model.options,
        environment=model.config["environment"],
    )
    run.write_text(folder / REPORT, page)
    return folder / REPORT


def _answers(arrays: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """Labels, decisions, probabilities and rows of the test split."""
    return [arrays[f"test.{what}"] for what in ("labels", "predicted", "probabilities", "rows")]


def mistakes(
    data: Dataset,
    labels: NDArray[np.int64],
    decided: NDArray[np.int64],
    probabilities: NDArray[np.floating],
    rows: NDArray[np.int64],
) -> list[Picture]:
    """The wrong answers that were given with the most confidence, as pictures."""
    confidence = probabilities[np.arange(len(decided)), decided]
    wrong = np.flatnonzero(labels != decided)
    # Among equally confident ones the classes take turns, so that one cannot fill the page.
    turn = np.zeros(len(wrong), np.int64)
    for label in np.unique(labels[wrong]):
        members = np.flatnonzero(labels[wrong] == label)
        turn[members] = np.arange(len(members))
    worst = wrong[np.lexsort((labels[wrong], turn, -confidence[wrong]))][:MISTAKES]
    pictures = []
    for i in worst:
        try:
            sample = data.sample(int(rows[i]))
        except SightlineError:
            continue
        said, true = data.classes[decided[i]], data.classes[labels[i]]
        pictures.append(
            Picture(_uri(sample.image), (f"{said} {confidence[i]:.0%}", f"is {true}", sample.id))
        )
    return pictures


def leaks(data: Dataset) -> dict[str, Any] | None:
    """Images that stand in two splits; None where the images are too large to look here."""
    if data.size is None:
        return None
    pairs = duplicates.across_splits(data, duplicates.find(duplicates.prints_of(data)))
    pixels = data.source.pack().pixels
    shown = [
        (
            Picture(_uri(pixels[p.first]), (a, data.source.items[p.first].id)),
            Picture(_uri(pixels[p.second]), (b, data.source.items[p.second].id)),
        )
        for p, a, b in pairs[:PAIRS]
    ]
    return {"count": len(pairs), "exact": sum(p.exact for p, *_ in pairs), "shown": shown}


def _headline(results: Results, name: str) -> float:
    return next(m.headline or 0.0 for m in results.methods if m.name == name)


def _tuned(folder: Path, methods: Sequence[MethodEntry]) -> dict[str, dict[str, Any]]:
    """The knobs that each method ended with, and how they were found."""
    found = {}
    for m in methods:
        config = run.read_json(folder / bench.METHODS / m.name / run.CONFIG)
        tuning = config.get("comparison", {}).get("tuning") or {}
        found[m.name] = {
            "options": config["options"], "settings": tuning.get("settings", 0),
            "images": tuning.get("images", 0),
        }  # fmt: skip
    return found


def _uri(image: NDArray[np.uint8]) -> str:
    return plots.png_uri(image, scale=max(1, 96 // max(image.shape[:2])))


def _drawing(drawing: Any) -> str:
    return plots.svg(drawing)


def _template(name: str) -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("sightline.report"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template(name)
