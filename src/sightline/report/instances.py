"""Report objects with masks on pages, in tables and on pictures, with what went wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.data import draw as sheets
from sightline.data import images
from sightline.data.dataset import Dataset
from sightline.deploy.instances import told
from sightline.errors import SightlineError
from sightline.metrics import figure_text
from sightline.metrics.detect_precision import HALF
from sightline.metrics.instances import Evaluation
from sightline.metrics.instances_table import Masks, in_common
from sightline.report import boxes, detect, instances_plots, plots
from sightline.report.detect import cells, headings
from sightline.report.parts import Column, Part, Picture, Section, figure_of, interval_text
from sightline.report.words import say
from sightline.types import Instances

if TYPE_CHECKING:
    from PIL import Image


__all__ = ["cells", "headings"]

WORST = 12
"""Pictures on a page, for each method."""

FILLED = 0.45
"""Share of an object's colour inside its outline."""

NAMED = 40
"""Objects up to which their names are written on a picture, where there are several classes."""

MISSED, WRONG, OTHERS = (0, 114, 178), (230, 130, 0), (240, 228, 66)
"""Colours of a difference: pixels that no answer has, that no object has, that are another's."""

SIDE = 260
"""Pixels of each of the three pictures that stand side by side."""


COLUMNS = (
    Column("AP", lambda m: figure_text(m.headline, True), rank=0),
    Column("95% interval", interval_text, rank=2),
    Column("AP50", figure_of("ap50"), rank=1),
    Column(say("match score"), figure_of("match50"), rank=3),
    Column(say("count error"), figure_of("count_error", False), rank=4),
    Column("validation", lambda m: figure_text(m.validation, True)),
)
"""Of a comparison's table."""

NOTE = say(
    "AP is COCO's average precision by masks, the mean over overlaps from 0.5 to 0.95, on the test "
    "split, seen once; AP50 asks for an overlap of 0.5 alone. The match score is the share of "
    "right answers among right, wrong and missed ones at an overlap of 0.5, as papers on nuclei "
    "measure. The count error is by how many objects a picture's count is off, in the mean. The "
    "interval is the bootstrap's, over images."
)
"""Under a comparison's table."""

JOINED = say(
    "An answer is merged when more than half of each of two or more objects lies in it; an object "
    "is split when more than half of each of two or more answers lies in it. PQ is panoptic "
    "quality: how well matches at an overlap above 0.5 fit, times how many there are."
)

THREE = say(
    "Left the truth, in the middle the answers above each class's threshold, on the right the "
    "difference: blue is missed, orange is answered where nothing is, yellow belongs to another "
    "object."
)


def sections(
    data: Dataset, evaluations: Mapping[str, Evaluation], *, split: str = "test"
) -> list[Section]:
    """Return the sections of a page: classes, counts, causes of errors, and pictures.

    Parameters
    ----------
    data : Dataset
        That was measured on, for the pictures.
    evaluations : mapping of str to Evaluation
        By method, the picked one first.
    split : str
        That was measured on.
    """
    where = "" if split == "test" else ", on validation images"
    bars, counted, pictures = [], [], []
    for name, e in evaluations.items():
        m = e.metrics
        whole = say(
            "{method}: match score {figure}, {merged} merged, {split} split", method=name,
            figure=figure_text(m.get("match50"), True, 1),
            merged=f"{m.get('answers_merged', 0):,.0f}",
            split=f"{m.get('objects_split', 0):,.0f}",
        )  # fmt: skip
        bars.append(Part(whole, plots.svg(instances_plots.by_class(e, e.classes), whole)))
        off = say(
            "{method}: off by {error} objects a picture, {bias} in the mean", method=name,
            error=f"{m['count_error']:.2f}", bias=f"{m['count_bias']:+.2f}",
        )  # fmt: skip
        counted.append(Part(off, plots.svg(instances_plots.counts(e), off)))
        pictures.append(Part(name, "", THREE, worst(data, e)))
    parts = detect.sections(data, evaluations, split=split, pictures=False)
    return [
        *parts[:1],
        Section(say("How well is each class found?"), JOINED, parts=bars),
        Section(
            say("How well does it count?"),
            say("Each point is a picture; on the line the count is right."), parts=counted,
        ),
        *parts[1:],
        Section(say(f"Where each method errs{where}"), parts=pictures),
    ]  # fmt: skip


def worst(data: Dataset, e: Evaluation) -> list[Picture]:
    """Return the pictures with the most errors: truth, answers and difference side by side."""
    table, seen = e.table, e.pictures
    n = len(e.rows)
    merged = np.bincount(table.answers.images[seen.merged], minlength=n)
    split = np.bincount(table.objects.images[seen.split], minlength=n)
    missed, wrong = seen.missed[:, HALF], seen.wrong[:, HALF]
    made = []
    for i in np.argsort(-(missed + wrong), kind="stable")[:WORST].tolist():
        if not missed[i] + wrong[i]:
            break
        try:
            row = int(e.rows[i])
            sample = data.sample(row)
            known = data.source.items[row].read_annotation()
            height, width = sample.image.shape[:2]
            assert known is not None
            truth = Masks.of_annotation(known, (height, width), data.classes)
        except SightlineError:
            continue
        pixels = images.as_picture(sample.image).convert("RGB")
        three = side_by_side(pixels, truth, e.answer(i))
        lines = [
            say("{missed} missed, {wrong} wrong", missed=str(missed[i]), wrong=str(wrong[i])),
            say(
                "{true} objects, {answered} answered", true=str(seen.true[i].sum()),
                answered=str(seen.answered[i].sum()),
            ),
        ]  # fmt: skip
        if merged[i] or split[i]:
            lines.append(
                say("{merged} merged, {split} split", merged=str(merged[i]), split=str(split[i]))
            )
        uri = plots.png_uri(np.asarray(three), most=max(three.size))
        made.append(Picture(uri, (*lines, sample.id), broad=True))
    return made


def side_by_side(pixels: Image.Image, truth: Masks, answer: Masks) -> Image.Image:
    """Draw the truth, an answer and their difference on three copies of a picture.

    Parameters
    ----------
    pixels : PIL image, RGB
    truth, answer : Masks
        In its pixels.
    """
    from PIL import Image

    plain = np.asarray(pixels)
    three = [filled(plain, truth), filled(plain, answer), difference(plain, truth, answer)]
    factor = max(1, SIDE // max(pixels.size))
    panels = []
    for one in three:
        panel = Image.fromarray(one)
        if factor > 1:
            size = pixels.width * factor, pixels.height * factor
            panel = panel.resize(size, Image.Resampling.NEAREST)
        panel.thumbnail((SIDE, SIDE))
        panels.append(panel)
    width, height = panels[0].size
    sheet = Image.new("RGB", (3 * width + 8, height), "white")
    for i, panel in enumerate(panels):
        sheet.paste(panel, (i * (width + 4), 0))
    return sheet


def difference(pixels: NDArray[np.uint8], truth: Masks, answer: Masks) -> NDArray[np.uint8]:
    """Return a picture, (H, W, 3), greyed, with the pixels that truth and answer do not share.

    An object's answer is the one that has most pixels in common with it.
    """
    grey = (pixels @ np.array((0.299, 0.587, 0.114)) * 0.5 + 110).astype(np.uint8)
    shown = np.repeat(grey[..., None], 3, 2)
    wanted, said, right = (np.zeros(truth.size, np.bool_) for _ in range(3))
    shared = in_common(answer, truth)
    for g in range(len(truth)):
        mask = truth.mask(g)
        wanted |= mask
        if len(answer) and shared[:, g].any():
            right |= mask & answer.mask(int(shared[:, g].argmax()))
    for d in range(len(answer)):
        said |= answer.mask(d)
    shown[wanted & ~said] = MISSED
    shown[said & ~wanted] = WRONG
    shown[wanted & said & ~right] = OTHERS
    return shown


def filled(pixels: NDArray[np.uint8], objects: Instances) -> NDArray[np.uint8]:
    """Return a picture, (H, W, 3), with objects filled in colour and outlined.

    Where there is one class, objects have colours of their own, else those of their classes. The
    surest lies on top.
    """
    from scipy.ndimage import binary_erosion

    drawn = pixels.copy()
    tints = _tints(objects)
    boxes = objects.boxes.astype(int)
    for i in np.argsort(objects.scores, kind="stable").tolist():
        x1, y1, x2, y2 = boxes[i].tolist()
        mask = objects.mask(i)[y1:y2, x1:x2]
        part = drawn[y1:y2, x1:x2]
        part[mask] = ((1 - FILLED) * part[mask] + FILLED * tints[i]).astype(np.uint8)
        part[mask & ~binary_erosion(mask)] = tints[i]
    return drawn


def _tints(objects: Instances) -> NDArray[np.uint8]:
    alone = len(objects.classes) == 1
    return sheets.colours(np.arange(len(objects)) if alone else objects.labels)


def drawn_on(pixels: Image.Image, answer: Instances) -> Image.Image:
    """Draw objects on a picture: masks in colour, and names where they say more than one class.

    Parameters
    ----------
    pixels : PIL image, RGB
        Left as it is; a small one is enlarged.
    answer : Instances
        In its pixels.
    """
    from PIL import Image, ImageDraw

    factor = max(1, boxes.ENLARGED // max(pixels.size))
    sheet = Image.fromarray(filled(np.asarray(pixels), answer))
    size = pixels.width * factor, pixels.height * factor
    sheet = sheet.resize(size, Image.Resampling.NEAREST)
    if len(answer.classes) > 1 and len(answer) <= NAMED:
        texts = [f"{n} {s:.2f}" for n, s in zip(answer.names, answer.scores, strict=True)]
        order = np.argsort(-answer.scores, kind="stable")
        boxes.write_names(
            ImageDraw.Draw(sheet), answer.boxes * factor, texts, _tints(answer), order
        )
    return sheet


def annotate(
    pixels: Image.Image, answer: Masks, *, top: int, threshold: float | Sequence[float]
) -> Image.Image:
    """Draw the objects on a picture; see `drawn_on`.

    Parameters
    ----------
    pixels : PIL image, RGB
    answer : Masks
    top : int
        Not looked at: all objects are drawn.
    threshold : float, or one a class
        Objects with a lower score are not drawn; 0 is 0.3.
    """
    return drawn_on(pixels, told(answer, threshold))


def details(e: Evaluation, classes: Sequence[str]) -> dict[str, Any]:
    """Return what `eval` adds to the metrics: a detector's details, intervals, and the counts."""
    seen = e.pictures
    counts = [
        {"row": row, "true": int(true), "answered": int(answered)}
        for row, true, answered in zip(
            e.rows.tolist(), seen.true.sum(1), seen.answered.sum(1), strict=True
        )
    ]
    intervals = {name: list(ends) for name, ends in e.intervals.items()}
    return {**detect.details(e, classes), "intervals": intervals, "counts": counts}


def table(e: Evaluation, classes: Sequence[str]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the headings and rows of `eval`'s table: one row a class."""
    figures = e.by_class
    names = ("ap", "ap50", "pq", "threshold", "precision", "recall", "f1")
    rows = [
        (
            name, f"{int(figures['objects'][i]):,}", f"{int(figures['answered'][i]):,}",
            *("-" if np.isnan(figures[k][i]) else f"{figures[k][i]:.3f}" for k in names),
        )
        for i, name in enumerate(classes)
    ]  # fmt: skip
    return ("class", "objects", "answered", "AP", "AP50", "PQ", "threshold", "precision",
            "recall", "F1"), rows  # fmt: skip
