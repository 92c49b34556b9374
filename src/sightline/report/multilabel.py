"""Report which labels pictures have on pages, in tables and below the pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sightline.data import fonts
from sightline.data.dataset import Dataset
from sightline.errors import SightlineError
from sightline.metrics import figure_text
from sightline.metrics.multilabel import Evaluation
from sightline.report import multilabel_plots, plots
from sightline.report.parts import (
    Column,
    Part,
    Picture,
    Section,
    enlarged,
    figure_of,
    interval_text,
    thumbnail,
)
from sightline.report.words import say
from sightline.types import Labels

if TYPE_CHECKING:
    from PIL import Image

WORST = 12
"""Pictures that are shown: those with the most wrong labels."""

COLUMNS = (
    Column("mean AP", lambda m: figure_text(m.headline, True), rank=0),
    Column("95% interval", interval_text, rank=1),
    Column("F1, mean of labels", figure_of("f1_macro"), rank=2),
    Column("F1, all together", figure_of("f1_micro"), rank=3),
    Column("all labels right", figure_of("subset_accuracy"), rank=3),
    Column("validation", lambda m: figure_text(m.validation, True)),
)
"""Of a comparison's table."""

NOTE = say(
    "Mean AP is the mean over labels of the average precision: how high the images that have a "
    "label stand when all are ranked by its probability. F1 and the share of images all of whose "
    "labels are right are by the thresholds that were chosen on validation images, one a label. "
    "The interval is the bootstrap's, over images."
)
"""Under a comparison's table."""

LABELS = say("The bar is the label's average precision; what knows nothing of a picture reaches "
             "its frequency.")  # fmt: skip
PAIRS = say("In per cent of the pictures with the label of the row; on the diagonal all of them.")
ERRORS = say("The pictures with the most wrong labels: − is missed, + is told wrongly.")


def sections(
    data: Dataset, evaluations: Mapping[str, Evaluation], *, split: str = "test"
) -> list[Section]:
    """Return the sections of a page: each label, which come together, and what is told wrongly.

    Parameters
    ----------
    data : Dataset
        That was measured on, for the pictures.
    evaluations : mapping of str to Evaluation
        By method, the picked one first.
    split : str
        That was measured on.
    """
    labels, wrong = [], []
    for name, e in evaluations.items():
        value = figure_text(e.metrics.headline, True, 1)
        summary = say("{method}: mean AP {figure}", method=name, figure=value)
        labels.append(Part(summary, plots.svg(multilabel_plots.by_label(e), summary)))
        pictures = worst(data, e)
        note = "" if pictures else say("All labels of all pictures are right.")
        wrong.append(Part(name, "", note, pictures))
    first = next(iter(evaluations.values()))
    title = say("Which labels come together?")
    drawing = multilabel_plots.together(first.together, first.classes)
    return [
        Section(say("Which labels are hard"), LABELS, parts=labels),
        Section(title, PAIRS, plots.svg(drawing, title)),
        Section(say("Which pictures are told wrongly?"), ERRORS, parts=wrong),
    ]


def worst(data: Dataset, e: Evaluation) -> list[Picture]:
    """Return the pictures with the most wrong labels, with these.

    Parameters
    ----------
    data : Dataset
        That was measured on.
    e : Evaluation
    """
    wrong = (e.decided != e.truth).sum(1)
    made = []
    for at in np.argsort(-wrong, kind="stable")[:WORST].tolist():
        if not wrong[at]:
            break
        try:
            sample = data.sample(int(e.rows[at]))
        except SightlineError:
            continue
        signs = [
            f"{'−' if e.truth[at, k] else '+'}{e.classes[k]}"
            for k in np.flatnonzero(e.decided[at] != e.truth[at]).tolist()
        ]
        more = [f"…{len(signs) - 4}"] if len(signs) > 4 else []
        made.append(Picture(thumbnail(sample.image), (", ".join([*signs[:4], *more]), sample.id)))
    return made


def annotate(
    pixels: Image.Image, answer: Labels, *, top: int, threshold: float | Sequence[float]
) -> Image.Image:
    """Draw the likeliest labels below a picture, a bar and a line each; those told are green.

    Parameters
    ----------
    pixels : PIL image, RGB
        Left as it is; a small one is enlarged.
    answer : Labels
    top : int
        How many labels to name at least, where fewer are told.
    threshold : float or sequence of float
        See `Labels.told`.

    Returns
    -------
    PIL image, RGB
    """
    from PIL import Image, ImageDraw

    pixels = enlarged(pixels)
    told = {name for name, _ in answer.told(threshold)}
    lines = answer.top(max(top, len(told)))
    height = max(16, pixels.width // 24)
    sheet = Image.new("RGB", (pixels.width, pixels.height + (height + 6) * len(lines)), "white")
    sheet.paste(pixels)
    draw = ImageDraw.Draw(sheet)
    letters = round(height * 0.75)
    for i, (name, score) in enumerate(lines):
        y = pixels.height + 3 + i * (height + 6)
        colour = "#9fd3bf" if name in told else "#d7dde4"
        draw.rectangle((0, y, score * sheet.width, y + height), fill=colour)
        said = fonts.fitting(name, f" {score:.0%}", letters, sheet.width - 8)
        fonts.write(draw, (4, y), said, letters, "black")
    return sheet


def headings(top: int) -> tuple[str, ...]:
    """Return the headings of `predict`'s table; see `cells`."""
    return ("labels", "likeliest")


def cells(
    answer: Labels, *, top: int, threshold: float | Sequence[float]
) -> tuple[str | None, ...]:
    """Return an answer as cells of `predict`'s row: the labels told, and the likeliest ones.

    Parameters
    ----------
    answer : Labels
    top : int
        How many of the likeliest to name.
    threshold : float or sequence of float
        See `Labels.told`.
    """
    told = ", ".join(name for name, _ in answer.told(threshold))
    likeliest = ", ".join(f"{name} {score:.0%}" for name, score in answer.top(top))
    return (told or None, likeliest)


def details(e: Evaluation, classes: Sequence[str]) -> dict[str, Any]:
    """Return what `eval` adds to the metrics: the figures of each label, and pairs of labels."""
    return {
        "labels": {
            name: {k: None if np.isnan(v[i]) else float(v[i]) for k, v in e.by_label.items()}
            for i, name in enumerate(classes)
        },
        "together": e.together.tolist(),
    }


def table(e: Evaluation, classes: Sequence[str]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the headings and rows of `eval`'s table: one row a label."""
    f = e.by_label
    rows: list[tuple[str, ...]] = []
    for i, name in enumerate(classes):
        figures = (_cell(f[k][i]) for k in ("average_precision", "f1", "precision", "recall"))
        rows.append((name, f"{int(f['pictures'][i]):,}", *figures, f"{f['threshold'][i]:.2f}"))
    titles = ("label", "images", "average precision", "F1", "precision", "recall", "threshold")
    return titles, rows


def _cell(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}"
