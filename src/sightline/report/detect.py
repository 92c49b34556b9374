"""Report a detector's results on pages, in tables and on pictures, with what went wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.data import draw as sheets
from sightline.data import fonts, images
from sightline.data.dataset import Dataset
from sightline.deploy.detect import LEAST, shown, told
from sightline.errors import SightlineError
from sightline.metrics import figure_text
from sightline.metrics.detect import Evaluation
from sightline.metrics.detect_precision import HALF
from sightline.report import detect_plots, plots
from sightline.report.parts import Column, Part, Picture, Section, figure_of, interval_text
from sightline.report.words import say
from sightline.types import Detections, Instances

if TYPE_CHECKING:
    from PIL import Image, ImageDraw


WORST = 12
"""Pictures on a page, for each method."""

ENLARGED = 480
"""Pixels to which a smaller picture is enlarged before boxes are drawn on it."""


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


def drawn_on(
    pixels: Image.Image, answer: Detections, truth: Detections | None = None
) -> Image.Image:
    """Draw objects on a picture: boxes in the colour of their class, with name and score.

    The surest ones choose a place for their name first, none over another; one without room is left
    out, as the colour of the box says its class too.

    Parameters
    ----------
    pixels : PIL image, RGB
        Left as it is; a small one is enlarged.
    answer : Detections
        In its pixels.
    truth : Detections, optional
        Drawn dashed, without names.
    """
    from PIL import Image, ImageDraw

    factor = max(1, ENLARGED // max(pixels.size))
    size = pixels.width * factor, pixels.height * factor
    sheet = pixels.resize(size, Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(sheet)
    line = max(2, max(size) // 300)
    for objects, dashed in ((truth, True), (answer, False)):
        if objects is None:
            continue
        tints = sheets.colours(objects.labels)
        for box, tint in zip(objects.boxes * factor, tints.tolist(), strict=True):
            _box(draw, [float(v) for v in box], tuple(tint), line, dashed=dashed)
    texts = [
        f"{answer.classes[label]} {score:.2f}"
        for label, score in zip(answer.labels, answer.scores, strict=True)
    ]
    order = np.argsort(-answer.scores, kind="stable")
    write_names(draw, answer.boxes * factor, texts, sheets.colours(answer.labels), order)
    return sheet


def write_names(
    draw: ImageDraw.ImageDraw, boxes: NDArray[Any], texts: Sequence[str],
    tints: NDArray[np.uint8], order: NDArray[Any],
) -> None:  # fmt: skip
    """Write a text at each box of a picture, none over another; one without room is left out.

    Parameters
    ----------
    draw : ImageDraw
    boxes : float array, shape (N, 4)
    texts : sequence of str
    tints : uint8 array, shape (N, 3)
        Colours behind the texts.
    order : int array, shape (N,)
        In which they choose a place.
    """
    size = draw.im.size
    letters = max(12, max(size) // 45)
    tall = letters + 4
    wide = [min(fonts.width(text, letters) + 4, size[0]) for text in texts]
    places = sheets.free_places(boxes, wide, tall, size[::-1], order)
    for i, (left, top) in places.items():
        colour = tuple(tints[i].tolist())
        draw.rectangle((left, top, left + wide[i], top + tall), fill=colour)
        light = float(tints[i] @ np.array((0.299, 0.587, 0.114)))
        fonts.write(
            draw, (left + 2, top + 1), texts[i], letters, "black" if light > 140 else "white"
        )


def _box(draw: Any, box: Sequence[float], colour: Any, line: int, *, dashed: bool) -> None:
    x1, y1, x2, y2 = box
    if not dashed:
        draw.rectangle((x1, y1, x2 - 1, y2 - 1), outline=colour, width=line)
        return
    step = 4 * line
    for a, b, fixed, across in (
        (x1, x2, y1, True), (x1, x2, y2 - 1, True), (y1, y2, x1, False), (y1, y2, x2 - 1, False),
    ):  # fmt: skip
        for start in np.arange(a, b, 2 * step).tolist():
            end = min(start + step, b)
            ends = (start, fixed, end, fixed) if across else (fixed, start, fixed, end)
            draw.line(ends, fill=colour, width=line)


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
