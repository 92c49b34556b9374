"""Report a classifier's results on pages, in tables and on pictures, with its mistakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.data import fonts
from sightline.data.dataset import Dataset
from sightline.errors import SightlineError
from sightline.metrics import figure_text
from sightline.metrics.classify import Evaluation, average_precision, confusion, per_class
from sightline.report import classify_plots, classify_why, plots
from sightline.report.parts import (
    Column,
    Part,
    Picture,
    Section,
    enlarged,
    interval_text,
    thumbnail,
)
from sightline.report.words import joined, say
from sightline.types import Classification

if TYPE_CHECKING:
    from PIL import Image

    from sightline.estimators.base import Estimator

MISTAKES = 24
"""Pictures of wrong answers on a page, for each method."""

CONFUSED = 8
"""Pairs of classes that are named where there are too many for the matrix to name them."""

COLUMNS = (
    Column("accuracy", lambda m: figure_text(m.headline, True), rank=0),
    Column("95% interval", interval_text, rank=1),
    Column("validation", lambda m: figure_text(m.validation, True)),
    Column(
        "balanced", lambda m: figure_text(m.metrics.get("balanced_accuracy"), True), page_only=True
    ),
)
"""Of a comparison's table."""

NOTE = say(
    "Accuracy is that of the test split, seen once, after everything was chosen on the validation "
    "split; its interval is Wilson's."
)
"""Under a comparison's table."""

REJECT = say(
    "With predict --reject an answer below the threshold is none of the classes: fewer images are "
    "answered, and more of those answers are right."
)
PRECISION = say(
    "For each class, all images are ordered by its probability: how many of the class are among "
    "the first ones, and how many of those are of the class. The number is the area under the "
    "curve, in per cent."
)
THRESHOLDS = say(
    "With predict --threshold auto an answer below its class's threshold is none of the classes; "
    "each is the one with the highest F1 of its class on validation images."
)
THRESHOLDS_SEEN = say(
    "With predict --threshold auto an answer below its class's threshold is none of the classes; "
    "each is the one with the highest F1 of its class on these same images."
)
SURE = say(
    "On the dashed line, answers given with 70% are right seven times in ten; below it the method "
    "is too sure. The error is the expected calibration error, in points. For k-NN the confidence "
    "is the share of the vote."
)


def sections(
    data: Dataset, evaluations: Mapping[str, Evaluation], *, split: str = "test"
) -> list[Section]:
    """Return the sections of a page: hard classes, confidence, and each method's mistakes.

    Parameters
    ----------
    data : Dataset
        That was measured on, for the pictures.
    evaluations : mapping of str to Evaluation
        By method, the picked one first.
    split : str
        That was measured on.
    """
    classes = data.classes
    sure = {name: (e.right, e.confidence) for name, e in evaluations.items()}
    tables = {
        name: confusion(e.labels, e.predicted, len(classes)) for name, e in evaluations.items()
    }
    made = []
    if len(evaluations) > 1:
        recalls = {name: per_class(table)["recall"] for name, table in tables.items()}
        title = say("Which classes are hard")
        drawing = plots.svg(classify_plots.per_class_recall(recalls, classes), title)
        made.append(Section(title, drawing=drawing))
    parts = [
        Part(
            say("{method}: {count} wrong", method=name, count=f"{int((~e.right).sum()):,}"),
            plots.svg(classify_plots.confusion_matrix(tables[name], classes, name), name),
            _note(tables[name], classes),
            mistakes(data, e),
        )
        for name, e in evaluations.items()
    ]
    where = "" if split == "test" else ", on validation images"
    believed = say("Can its confidence be believed?")
    gained = say("What is gained by answering only where it is sure?")
    return [
        *made,
        Section(believed, SURE, plots.svg(classify_plots.reliability(sure), believed)),
        Section(gained, REJECT, plots.svg(classify_plots.coverage(sure), gained)),
        _precision_section(evaluations, classes, split),
        Section(say(f"Where each method errs{where}"), parts=parts),
    ]


def _note(counts: NDArray[np.int64], classes: Sequence[str]) -> str:
    """Return the line above the mistakes; of very many classes with those that are confused."""
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    if not wrong.any():
        return ""
    if len(classes) <= classify_plots.NAMED:
        return say("The wrong answers given with most confidence:")
    worst = np.argsort(-wrong, axis=None, kind="stable")[:CONFUSED]
    pairs = (np.unravel_index(place, wrong.shape) for place in worst if wrong.flat[place])
    said = ", ".join(f"{classes[i]} → {classes[j]} ({wrong[i, j]:,})" for i, j in pairs)
    return say(
        "Most often taken for another: {pairs}. The wrong answers given with most confidence:",
        pairs=said,
    )


def _precision_section(
    evaluations: Mapping[str, Evaluation], classes: Sequence[str], split: str
) -> Section:
    """Return the curves of precision and recall, and what thresholds of the classes change."""
    parts = []
    for name, e in evaluations.items():
        scores = [_average_precision(e, c) for c in np.unique(e.labels).tolist()]
        drawing = classify_plots.precision_recall(e.labels, e.probabilities, classes)
        mean = figure_text(float(np.mean(scores)), True, 1)
        summary = say("{method}: mean average precision {figure}", method=name, figure=mean)
        parts.append(Part(summary, plots.svg(drawing, summary), _with_thresholds(e)))
    texts = [PRECISION]
    if any(e.thresholds is not None for e in evaluations.values()):
        texts.append(THRESHOLDS if split == "test" else THRESHOLDS_SEEN)
    title = say("How much of each class is found, and how purely?")
    return Section(title, joined(texts), parts=parts)


def _average_precision(e: Evaluation, c: int) -> float:
    return average_precision(e.labels == c, e.probabilities[:, c])


def _with_thresholds(e: Evaluation) -> str:
    """Describe what the thresholds change: how many images are answered, and how rightly."""
    if e.thresholds is None:
        return ""
    kept = e.answered
    return say(
        "With its thresholds {share} of the images are answered, {after} of them rightly; without, "
        "{before} of all.",
        share=figure_text(float(kept.mean()), True, 1),
        after=figure_text(float(e.right[kept].mean()), True, 1) if kept.any() else "-",
        before=figure_text(float(e.right.mean()), True, 1),
    )


def mistakes(data: Dataset, e: Evaluation) -> list[Picture]:
    """Return the wrong answers that were given with the most confidence, as pictures."""
    confidence, pictures = e.confidence, []
    for i in _surest(e)[:MISTAKES]:
        try:
            sample = data.sample(int(e.rows[i]))
        except SightlineError:
            continue
        said, true = data.classes[e.predicted[i]], data.classes[e.labels[i]]
        lines = (f"{said} {confidence[i]:.0%}", say("is {label}", label=true), sample.id)
        pictures.append(Picture(thumbnail(sample.image), lines))
    return pictures


def _surest(e: Evaluation) -> NDArray[np.int64]:
    """Return the images that were answered wrongly, those with the most confidence first."""
    confidence, wrong = e.confidence, np.flatnonzero(~e.right)
    # Among equally confident ones the classes take turns, so that one cannot fill the page.
    turn = np.zeros(len(wrong), np.int64)
    for label in np.unique(e.labels[wrong]):
        members = np.flatnonzero(e.labels[wrong] == label)
        turn[members] = np.arange(len(members))
    return wrong[np.lexsort((e.labels[wrong], turn, -confidence[wrong]))]


def why(model: Estimator, data: Dataset, e: Evaluation) -> list[Section]:
    """Return the section that shows why a network was sure of wrong answers, if it is one.

    Parameters
    ----------
    model : Estimator
        Fitted.
    data : Dataset
    e : Evaluation
    """
    return classify_why.section(model, data, e, _surest(e).tolist())


MANY = 200
"""Classes beyond which those that neither occur nor are answered are not listed."""


def details(e: Evaluation, classes: Sequence[str]) -> dict[str, Any]:
    """Return what `eval` adds to the metrics: each class, and the confusion matrix."""
    table = confusion(e.labels, e.predicted, len(classes))
    shown = _shown(table)
    figures = per_class(table)
    figures["average_precision"] = np.array([_average_precision(e, c) for c in range(len(classes))])
    limits: dict[str, Any] = {}
    if e.thresholds is not None:
        figures |= _above(e, len(classes))
        kept = e.answered
        limits["thresholds"] = {
            "answered": float(kept.mean()),
            "accuracy_of_answered": float(e.right[kept].mean()) if kept.any() else None,
            "accuracy_of_all": float(e.right.mean()),
        }
    return {
        "classes": {
            name: {k: None if np.isnan(v[i]) else float(v[i]) for k, v in figures.items()}
            for i, name in enumerate(classes)
            if i in shown
        },
        "confusion": table[np.ix_(shown, shown)].tolist(),
        **limits,
    }


def _above(e: Evaluation, n_classes: int) -> dict[str, NDArray[np.float64]]:
    """Return each class's threshold, and its figures where answers below it are not given."""
    assert e.thresholds is not None
    none = np.where(e.answered, e.predicted, n_classes)  # one more class: none of them
    figures = per_class(confusion(e.labels, none, n_classes + 1))
    after = {f"{name}_above": values[:n_classes] for name, values in figures.items()}
    return {"threshold": e.thresholds, **after}


def table(e: Evaluation, classes: Sequence[str]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the headings and rows of `eval`'s table: one row a class."""
    counts = confusion(e.labels, e.predicted, len(classes))
    figures = per_class(counts)
    headings = ("class", "images", "recall", "precision", "F1", "most often taken for")
    shown = _shown(counts)
    rows = [_row(i, classes[i], counts, figures, classes) for i in shown]
    if e.thresholds is None:
        return headings, rows
    above = _above(e, len(classes))
    names = ("threshold", "recall_above", "precision_above", "f1_above")
    more = [tuple(f"{above[name][i]:.3f}" for name in names) for i in shown]
    titles = ("threshold", "recall with it", "precision", "F1")
    return (*headings, *titles), [row + own for row, own in zip(rows, more, strict=True)]


def _shown(counts: NDArray[np.int64]) -> list[int]:
    """Return the classes to show: all, or of more than `MANY` those that occur or are answered."""
    if len(counts) <= MANY:
        return list(range(len(counts)))
    there: list[int] = np.flatnonzero(counts.sum(0) + counts.sum(1)).tolist()
    return there


def _row(
    i: int, name: str, counts: NDArray[np.int64], figures: Mapping[str, NDArray[np.float64]],
    classes: Sequence[str],
) -> tuple[str, ...]:  # fmt: skip
    wrong = counts[i].copy()
    wrong[i] = 0
    taken = f"{classes[wrong.argmax()]} ({wrong.max()})" if wrong.any() else ""
    values = (f"{figures[k][i]:.3f}" for k in ("recall", "precision", "f1"))
    return (name, f"{counts[i].sum():,}", *values, taken)


def headings(top: int) -> tuple[str, ...]:
    """Return the headings of `predict`'s table; see `cells`."""
    return ("answer", "score", *([f"next {top - 1}"] if top > 1 else []))


def cells(answer: Classification, *, top: int, threshold: float) -> tuple[str | None, ...]:
    """Return an answer as cells of `predict`'s row; the first is None where it was rejected.

    Parameters
    ----------
    answer : Classification
    top : int
        How many classes to name.
    threshold : float
        Below this score the answer is none of the classes.
    """
    given = answer.score >= threshold
    rest = ", ".join(f"{name} {score:.2f}" for name, score in answer.top(top)[1 if given else 0 :])
    said = answer.name if given else None
    return (said, f"{answer.score:.2f}", *([rest] if top > 1 else []))


def annotate(
    pixels: Image.Image, answer: Classification, *, top: int, threshold: float
) -> Image.Image:
    """Draw the most probable classes below a picture, a bar and a line each.

    Parameters
    ----------
    pixels : PIL image, RGB
        Left as it is.
    answer : Classification
    top : int
        How many classes to name.
    threshold : float
        In [0, 1]; from this score on the first bar is green, as the answer is given.

    Returns
    -------
    PIL image, RGB
    """
    from PIL import Image, ImageDraw

    pixels = enlarged(pixels)
    height = max(16, pixels.width // 24)
    lines = answer.top(top)
    sheet = Image.new("RGB", (pixels.width, pixels.height + (height + 6) * len(lines)), "white")
    sheet.paste(pixels)
    draw = ImageDraw.Draw(sheet)
    size = round(height * 0.75)
    for i, (name, score) in enumerate(lines):
        y = pixels.height + 3 + i * (height + 6)
        colour = "#9fd3bf" if i == 0 and score >= threshold else "#d7dde4"
        draw.rectangle((0, y, score * sheet.width, y + height), fill=colour)
        fonts.write(
            draw, (4, y), fonts.fitting(name, f" {score:.0%}", size, sheet.width - 8), size, "black"
        )
    return sheet
