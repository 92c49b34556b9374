"""Report a detector's results on pages, in tables and on pictures, with what went wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sightline.data import images
from sightline.data.dataset import Dataset
from sightline.deploy.detect import LEAST, shown, told
from sightline.errors import SightlineError
from sightline.metrics import figure_text
from sightline.metrics.detect import Evaluation
from sightline.metrics.detect_precision import HALF
from sightline.report import detect_plots, plots
from sightline.report.boxes import drawn_on
from sightline.report.parts import Column, Part, Picture, Section, figure_of, interval_text
from sightline.report.words import say
from sightline.types import Detections, Instances

if TYPE_CHECKING:
    from PIL import Image


WORST = 12
"""Pictures on a page, for each method."""


COLUMNS = (
    Column("AP", lambda m: figure_text(m.headline, True), rank=0),
    Column("95% interval", interval_text, rank=2),
    Column("AP50", figure_of("ap50"), rank=1),
    Column("AP75", figure_of("ap75"), page_only=True),
    Column("validation", lambda m: figure_text(m.validation, True)),
)
"""Of a comparison's table."""

NOTE = say(
    "AP is COCO's average precision, the mean over overlaps from 0.5 to 0.95, on the test split, "
    "seen once; AP50 asks for an overlap of 0.5 alone. The interval is the bootstrap's, over "
    "images."
)
"""Under a comparison's table."""

CAUSES = say(
    "What average precision at an overlap of 0.5 would gain if errors of one cause alone were "
    "mended (TIDE, Bolya et al. 2020): the class, the place, both, a second answer for one object, "
    "an answer on the background, an object that was missed."
)

CURVES = say(
    "For each class, answers are ordered by their score: how many of its objects are among the "
    "first ones, and how many of those are right, at an overlap of 0.5. The number is the area "
    "under the curve, in per cent."
)


def sections(
    data: Dataset, evaluations: Mapping[str, Evaluation], *, split: str = "test",
    pictures: bool = True,
) -> list[Section]:  # fmt: skip
    """Return the sections of a page: precision and recall, causes of errors, and pictures.

    Parameters
    ----------
    data : Dataset
        That was measured on, for the pictures.
    evaluations : mapping of str to Evaluation
        By method, the picked one first.
    split : str
        That was measured on.
    pictures : bool
        Whether pictures are wanted.
    """
    where = "" if split == "test" else ", on validation images"
    curves, causes, erring = [], [], []
    for name, e in evaluations.items():
        summary = say(
            "{method}: AP50 {figure}", method=name, figure=figure_text(e.metrics["ap50"], True, 1)
        )
        drawing = detect_plots.precision_recall(e.table, e.classes)
        curves.append(Part(summary, plots.svg(drawing, summary)))
        title = say("{method}: what its errors cost", method=name)
        causes.append(Part(title, plots.svg(detect_plots.costs(e.errors), title)))
        if pictures:
            note = say("Truth is drawn dashed, the answers above each class's threshold solid.")
            erring.append(Part(name, "", note, worst(data, e)))
    made = [
        Section(say("How many objects are detected, and how purely?"), CURVES, parts=curves),
        Section(say("What goes wrong?"), CAUSES, parts=causes),
    ]
    return made + [Section(say(f"Where each method errs{where}"), parts=erring)] * pictures


def worst(data: Dataset, e: Evaluation) -> list[Picture]:
    """Return the pictures with the most errors at the thresholds, truth and answers drawn."""
    table, limits = e.table, e.used_thresholds
    n = len(e.rows)
    sure = table.answers.scores >= np.nan_to_num(limits, nan=1.1)[table.answers.labels]
    truths = np.bincount(table.objects.images, minlength=n)
    answers = np.bincount(table.answers.images[sure], minlength=n)
    hits = sure & table.counted[0, HALF] & (table.matched[0, HALF] >= 0)
    right = np.bincount(table.answers.images[hits], minlength=n)
    errors = truths + answers - 2 * right
    made = []
    for i in np.argsort(-errors, kind="stable")[:WORST].tolist():
        if not errors[i]:
            break
        try:
            sample = data.sample(int(e.rows[i]))
        except SightlineError:
            continue
        mine = sure & (table.answers.images == i)
        said = Detections(
            table.answers.boxes[mine].astype(np.float32), table.answers.labels[mine], e.classes,
            table.answers.scores[mine].astype(np.float32),
        )  # fmt: skip
        drawn = drawn_on(images.as_picture(sample.image).convert("RGB"), said, sample.objects)
        missed, wrong = int(truths[i] - right[i]), int(answers[i] - right[i])
        lines = (
            say("{missed} missed, {wrong} wrong", missed=str(missed), wrong=str(wrong)), sample.id
        )  # fmt: skip
        made.append(Picture(plots.png_uri(np.asarray(drawn)), lines))
    return made


def annotate(
    pixels: Image.Image, answer: Detections, *, top: int, threshold: float | Sequence[float]
) -> Image.Image:
    """Draw the objects on a picture; see `drawn_on`.

    Parameters
    ----------
    pixels : PIL image, RGB
    answer : Detections
    top : int
        Not looked at: all objects are drawn.
    threshold : float, or one a class
        Objects with a lower score are not drawn; 0 is 0.3.
    """
    return drawn_on(pixels, told(answer, threshold))


def headings(top: int) -> tuple[str, ...]:
    """Return the headings of `predict`'s table; see `cells`."""
    return ("objects", "the surest")


def cells(
    answer: Detections | Instances, *, top: int, threshold: float | Sequence[float]
) -> tuple[str | None, ...]:
    """Return an answer as cells of `predict`'s row: how many of each class, and the surest.

    Parameters
    ----------
    answer : Detections
    top : int
        How many objects to name.
    threshold : float, or one a class
        Objects with a lower score are not told; 0 is 0.3.
    """
    rows = shown(answer, threshold)
    if not rows and not len(answer):
        return None, ""
    if not rows:
        best = int(answer.scores.argmax())
        least = threshold[answer.labels[best]] if isinstance(threshold, Sequence) else threshold
        return None, f"the surest below {least or LEAST:.2g}: {answer.scores[best]:.2f}"
    counts = np.bincount(answer.labels[rows], minlength=len(answer.classes))
    many = ", ".join(
        f"{counts[c]:,} {answer.classes[c]}"
        for c in np.argsort(-counts, kind="stable")
        if counts[c]
    )
    surest = ", ".join(
        f"{answer.classes[answer.labels[i]]} {answer.scores[i]:.2f}" for i in rows[:top]
    )
    return many, surest


def details(e: Evaluation, classes: Sequence[str]) -> dict[str, Any]:
    """Return what `eval` adds to the metrics: each class, the confusion matrix, and causes."""
    figures = e.by_class
    return {
        "classes": {
            name: {k: None if np.isnan(v[i]) else float(v[i]) for k, v in figures.items()}
            for i, name in enumerate(classes)
        },
        "confusion": e.confusion.tolist(),
        "causes": dict(e.errors.costs),
    }


def table(e: Evaluation, classes: Sequence[str]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the headings and rows of `eval`'s table: one row a class."""
    figures = e.by_class
    names = ("ap", "ap50", "threshold", "precision", "recall", "f1")
    headings_ = ("class", "objects", "AP", "AP50", "threshold", "precision", "recall", "F1")
    rows = [
        (name, f"{int(figures['objects'][i]):,}", *(_cell(figures[k][i]) for k in names))
        for i, name in enumerate(classes)
    ]
    return headings_, rows


def _cell(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}"
