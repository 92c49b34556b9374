"""Report the classes of pixels on pages, in tables and on pictures, with what was mistaken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sightline.data import draw as sheets
from sightline.data import fonts, images
from sightline.data.dataset import Dataset
from sightline.errors import SightlineError
from sightline.metrics import figure_text
from sightline.metrics.segment import Evaluation
from sightline.report import plots, segment_plots
from sightline.report.parts import Column, Part, Picture, Row, Section, figure_of, interval_text
from sightline.report.words import joined, say
from sightline.types import IGNORE, Segmentation

if TYPE_CHECKING:
    from PIL import Image


SIDE = 360
"""Pixels of the longer side of a picture on a page: a smaller one is enlarged by whole numbers."""

ENLARGED = 480
"""Pixels to which a smaller picture is enlarged before its classes are drawn on it."""

TINT = 0.55
"""How much of a pixel's colour is that of its class."""

CONFUSED = 5
"""Pairs of classes that are named above the matrix."""

HATCH = "repeating-linear-gradient(135deg, #8a8a8a 0 2px, #e4e4e4 2px 5px)"
"""How CSS paints what does not count, as `_hatched` does."""

_WRONG, _NONE = (214, 0, 40), (140, 140, 140)


COLUMNS = (
    Column("mean IoU", lambda m: figure_text(m.headline, True), rank=0),
    Column("95% interval", interval_text, rank=1),
    Column("pixel accuracy", figure_of("pixel_accuracy"), rank=4),
    Column("boundary F1", figure_of("boundary_f1"), page_only=True),
    Column("validation", lambda m: figure_text(m.validation, True)),
)
"""Of a comparison's table."""

NOTE = say(
    "Mean IoU is the mean over classes of the pixels that are rightly of a class among those that "
    "are of it or are taken for it, all images of the test split together, seen once. The interval "
    "is the bootstrap's, over images."
)
"""Under a comparison's table."""

FIGURES = say(
    "IoU asks of each class how much of its true and its answered pixels are both, and all classes "
    "count alike in its mean; pixel accuracy is the share of all pixels that is right, in which "
    "large classes have the most say; boundary F1 asks how near the outlines lie. The intervals "
    "are the bootstrap's, over images."
)
CLASSES = say("The bar is the class's IoU over all images, with its 95% interval.")
CONFUSION = say(
    "The pixels of each true class, by the class that was answered for them; the colour is their "
    "share of the true class. k is a thousand, M a million, G a thousand million."
)
WORST = say(
    "The images with the lowest mean IoU. In the difference, red is wrong; what is hatched does "
    "not count, as its truth is ignored."
)


def sections(
    data: Dataset, evaluations: Mapping[str, Evaluation], *, split: str = "test"
) -> list[Section]:
    """Return the sections of a page: figures, classes, what is mistaken for what, and pictures.

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
    classes, confused, pictures = [], [], []
    for name, e in evaluations.items():
        summary = say(
            "{method}: mean IoU {figure}", method=name,
            figure=figure_text(e.metrics.headline, True, 1),
        )  # fmt: skip
        drawing = segment_plots.by_class(e)
        classes.append(Part(summary, plots.svg(drawing, summary), left_out(e)))
        matrix = plots.svg(segment_plots.confusion(e, name), name)
        confused.append(Part(name, matrix, _most_confused(e)))
        rows, legend = worst(data, e)
        note = "" if rows else say("No image is answered wrongly anywhere.")
        pictures.append(Part(name, "", note, rows=rows, legend=legend))
    title = say("How right are the classes of the pixels?")
    return [
        Section(title, FIGURES, plots.svg(segment_plots.figures(evaluations), title)),
        Section(say("Which classes are hard"), CLASSES, parts=classes),
        Section(say("What is taken for what?"), CONFUSION, parts=confused),
        Section(say(f"Where each method errs{where}"), WORST, parts=pictures),
    ]


def left_out(e: Evaluation) -> str:
    """Say which classes have no bar, and why."""
    absent = ", ".join(e.classes[c] for c in e.absent)
    ignored = ", ".join(e.classes[c] for c in e.ignored)
    said = []
    if absent:
        said.append(
            say("Left out, as neither truth nor answers have the class: {names}.", names=absent)
        )
    if ignored:
        said.append(say("Do not count: {names}.", names=ignored))
    return joined(said) if said else ""


def _most_confused(e: Evaluation) -> str:
    """Name the classes of which most pixels are taken for another."""
    wrong = e.table.confusion.copy()
    wrong[np.arange(len(wrong)), np.arange(len(wrong))] = 0
    order = np.argsort(-wrong, axis=None, kind="stable")[:CONFUSED]
    true = np.maximum(e.table.confusion.sum(1), 1)
    pairs = []
    for t, a in zip(*np.unravel_index(order, wrong.shape), strict=True):
        if wrong[t, a]:
            share = figure_text(float(wrong[t, a] / true[t]), True, 1)
            pairs.append(f"{e.classes[t]} → {_name(e, int(a))} ({share})")
    if not pairs:
        return ""
    return say(
        "Most often taken for another, with the share of the class's pixels: {pairs}.",
        pairs=", ".join(pairs),
    )


def _name(e: Evaluation, column: int) -> str:
    return (*e.classes, "–")[column]


def worst(data: Dataset, e: Evaluation) -> tuple[list[Row], list[tuple[str, str]]]:
    """Return the images that were answered worst, and the legend of their colours.

    Parameters
    ----------
    data : Dataset
        That was measured on.
    e : Evaluation

    Returns
    -------
    rows : list of Row
        Each the picture, the truth, the answer and the difference.
    legend : list of (str, str)
        Of the classes that are seen in them; see `Part`.
    """
    rows, seen = [], set[int]()
    for image in e.worst:
        try:
            sample = data.sample(int(e.rows[image]))
        except SightlineError:
            continue
        if sample.segmentation is None:
            continue
        truth = np.asarray(sample.segmentation.label_map)
        truth = np.where(np.isin(truth, e.ignored), IGNORE, truth)
        answer = np.asarray(e.answer(image).label_map)
        if truth.shape != answer.shape:
            continue
        seen |= {*np.unique(truth).tolist(), *np.unique(answer).tolist()}
        share = figure_text(float(e.by_image[image]), True, 1)
        lines = (say("mean IoU {figure}", figure=share), _mistaken(e, truth, answer), sample.id)
        kept = tuple(line for line in lines if line)
        rows.append(Row(kept, _panels(sample.image, truth, answer, len(e.classes))))
    return rows, _legend(e.classes, seen)


def _mistaken(e: Evaluation, truth: NDArray[Any], answer: NDArray[Any]) -> str:
    """Say which class is taken for which one in most of an image's pixels that count."""
    wrong = (truth != answer) & (truth != IGNORE)
    if not wrong.any():
        return ""
    pairs, counts = np.unique(np.stack([truth[wrong], answer[wrong]]), axis=1, return_counts=True)
    true, said = pairs[:, counts.argmax()].tolist()
    return say(
        "{true} → {answered}: {share} of the pixels", true=e.classes[true],
        answered=_name(e, min(said, len(e.classes))),
        share=figure_text(float(counts.max() / (truth != IGNORE).sum()), True, 1),
    )  # fmt: skip


def _panels(
    image: NDArray[np.uint8], truth: NDArray[Any], answer: NDArray[Any], classes: int
) -> tuple[Picture, ...]:
    """Draw a picture, its truth, the answer, and where they differ, all at one size."""
    from PIL import Image

    picture = images.as_picture(image).convert("RGB")
    factor = max(1, SIDE // max(picture.size))
    least = min(1.0, SIDE / max(picture.size))
    size = tuple(max(1, round(side * (factor if factor > 1 else least))) for side in picture.size)
    smooth = Image.Resampling.NEAREST if factor > 1 else Image.Resampling.LANCZOS
    picture = picture.resize((size[0], size[1]), smooth)
    true, said = (_nearest(values, size) for values in (truth, answer))
    unknown = true == IGNORE
    wrong = ((true != said) & ~unknown)[..., None]
    pale = 255 - (255 - np.asarray(picture.convert("L"))[..., None].repeat(3, 2)) // 3
    difference = np.where(wrong, np.array(_WRONG, np.uint8), pale)
    drawn = (
        (say("picture"), picture),
        (say("truth"), _hatched(_painted(true, classes), unknown)),
        (say("answer"), _painted(said, classes)),
        (say("difference"), _hatched(difference, unknown)),
    )
    return tuple(Picture(_uri(pixels), (caption,)) for caption, pixels in drawn)


def _uri(drawn: Image.Image | NDArray[np.uint8]) -> str:
    """Return a picture for a page: a photograph as JPEG, flat colours as PNG."""
    if not isinstance(drawn, np.ndarray):
        return plots.data_uri(drawn, "JPEG", quality=85)
    return plots.data_uri(images.as_picture(drawn), optimize=True)


def _nearest(values: NDArray[Any], size: Sequence[int]) -> NDArray[np.integer[Any]]:
    """Return a label map at another (width, height): each pixel is one of the map's own."""
    height, width = values.shape
    rows = (2 * np.arange(size[1]) + 1) * height // (2 * size[1])
    columns = (2 * np.arange(size[0]) + 1) * width // (2 * size[0])
    return values if (width, height) == tuple(size) else values[rows[:, None], columns]


def _painted(values: NDArray[Any], classes: int) -> NDArray[np.uint8]:
    """Draw a label map in the colours of its classes; what is none of them is grey."""
    last = max(classes, IGNORE + 1)
    table = np.tile(np.array(_NONE, np.uint8), (last + 1, 1))
    table[:classes] = sheets.colours(np.arange(classes))
    table[IGNORE] = _NONE
    known = values if values.dtype.itemsize == 1 else np.minimum(values, last)
    return np.asarray(table[known])


def _hatched(pixels: NDArray[Any], unknown: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Draw stripes where the truth is unknown."""
    height, width = unknown.shape
    stripe = (np.arange(height)[:, None] + np.arange(width)) % 7 < 3
    stripes = np.where(stripe, np.uint8(138), np.uint8(228))[..., None]
    return np.where(unknown[..., None], stripes, pixels).astype(np.uint8)


def _legend(classes: Sequence[str], seen: set[int]) -> list[tuple[str, str]]:
    shown = sorted(c for c in seen if 0 <= c < len(classes) and c != IGNORE)
    tints = sheets.colours(np.array(shown, np.int64)).tolist()
    made = [(f"#{bytes(tint).hex()}", classes[c]) for c, tint in zip(shown, tints, strict=True)]
    if IGNORE in seen:
        made.append((HATCH, say("does not count")))
    return made


def annotate(
    pixels: Image.Image, answer: Segmentation, *, top: int, threshold: float
) -> Image.Image:
    """Tint a picture by the classes of its pixels, and name them below with their shares.

    The background, where a class is called so, stays as it is.

    Parameters
    ----------
    pixels : PIL image, RGB
        Left as it is; a small one is enlarged.
    answer : Segmentation
        Of its size.
    top, threshold : int, float
        Not looked at: every class that is seen is named.

    Returns
    -------
    PIL image, RGB
        The picture, and a legend below it.
    """
    from PIL import Image, ImageDraw

    factor = max(1, ENLARGED // max(pixels.size))
    size = pixels.width * factor, pixels.height * factor
    sheet = pixels.resize(size, Image.Resampling.NEAREST)
    values = _nearest(answer.label_map, size)
    clear = [IGNORE, *(c for c, n in enumerate(answer.classes) if sheets.is_background(n))]
    known = Image.fromarray(np.where(np.isin(values, clear), 0, round(255 * TINT)).astype(np.uint8))
    sheet.paste(images.as_picture(_painted(values, len(answer.classes))), mask=known)
    letters = max(12, max(size) // 45)
    entries, height = _arranged(answer, letters, size[0])
    whole = Image.new("RGB", (size[0], size[1] + height), "white")
    whole.paste(sheet)
    draw = ImageDraw.Draw(whole)
    for entry in entries:
        x, y = entry.at[0], entry.at[1] + size[1]
        box = (x, y + 1, x + letters, y + letters + 1)
        draw.rectangle(box, fill=entry.colour, outline=None if entry.colour else "black")
        fonts.write(draw, (x + 1.5 * letters, y), entry.text, letters, "black")
    return whole


class _Entry(NamedTuple):
    """A class in a legend: its name and share, its colour if any, and its upper left corner."""

    text: str
    colour: tuple[int, ...] | None
    at: tuple[float, float]


def _arranged(answer: Segmentation, letters: int, width: int) -> tuple[list[_Entry], int]:
    """Arrange the classes that are seen in lines, the largest first; return the lines' height."""
    tall, gap = 1.5 * letters, 1.5 * letters  # a line, and what stands before a text
    x, y, entries = letters / 2, letters / 2, list[_Entry]()
    for c, share in largest(answer):
        end = f" {_percent(share)}"
        text = fonts.fitting(answer.classes[c], end, letters, width - gap - letters)
        wide = gap + fonts.width(text, letters)
        if x > letters and x + wide > width - letters / 2:
            x, y = letters / 2, y + tall
        colour = None
        if not sheets.is_background(answer.classes[c]):
            colour = tuple(sheets.colours(np.array([c]))[0].tolist())
        entries.append(_Entry(text, colour, (x, y)))
        x += wide + letters
    return entries, round(y + tall)


def largest(answer: Segmentation) -> list[tuple[int, float]]:
    """Return the classes that an answer has and their shares of the pixels, the largest first."""
    shares = list(answer.shares.values())
    order = np.argsort(-np.array(shares), kind="stable").tolist()
    return [(c, shares[c]) for c in order if shares[c]]


def _percent(share: float) -> str:
    """Return a share in per cent; what is there is not written as 0%."""
    return f"{share:.0%}" if share >= 0.005 else "<1%"


def headings(top: int) -> tuple[str, ...]:
    """Return the headings of `predict`'s table; see `cells`."""
    return ("largest class", "share", *(["others"] if top > 1 else []))


def cells(answer: Segmentation, *, top: int, threshold: float) -> tuple[str | None, ...]:
    """Return an answer as cells of `predict`'s row: its classes with their shares of the pixels.

    Parameters
    ----------
    answer : Segmentation
    top : int
        How many classes to name.
    threshold : float
        Not looked at: pixels have no scores.
    """
    said = [(answer.classes[c], _percent(share)) for c, share in largest(answer)]
    if not said:
        return (None, "", *([""] if top > 1 else []))
    rest = ", ".join(f"{name} {share}" for name, share in said[1:top])
    more = f" and {len(said) - top} more" if len(said) > top else ""
    return (*said[0], *([rest + more] if top > 1 else []))


def details(e: Evaluation, classes: Sequence[str]) -> dict[str, Any]:
    """Return what `eval` adds to the metrics: intervals, each class, and the confusion matrix.

    The matrix counts pixels by true class (row) and answer (column); the last column is none of the
    classes.
    """
    figures = e.by_class
    return {
        "intervals": {name: list(ends) for name, ends in e.intervals.items()},
        "classes": {
            name: {k: None if np.isnan(v[i]) else float(v[i]) for k, v in figures.items()}
            for i, name in enumerate(classes)
        },
        "left_out": [classes[c] for c in e.absent],
        "ignored": [classes[c] for c in e.ignored],
        "confusion": e.table.confusion.tolist(),
    }


def table(e: Evaluation, classes: Sequence[str]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the headings and rows of `eval`'s table: one row a class."""
    f, counts = e.by_class, e.table.confusion
    titles = ("class", "pixels", "IoU", "95% interval", "Dice", "accuracy", "precision",
              "boundary F1", "most often taken for")  # fmt: skip
    rows = []
    for i, name in enumerate(classes):
        ends = f"{f['iou_low'][i]:.3f} to {f['iou_high'][i]:.3f}"
        wrong = counts[i] - np.where(np.arange(counts.shape[1]) == i, counts[i], 0)
        taken = f"{_name(e, int(wrong.argmax()))} ({wrong.max():,})" if wrong.any() else ""
        figures = (_cell(f[k][i]) for k in ("dice", "accuracy", "precision", "boundary_f1"))
        interval = "-" if np.isnan(f["iou"][i]) else ends
        pixels = f"{int(f['pixels'][i]):,}"
        rows.append((name, pixels, _cell(f["iou"][i]), interval, *figures, taken))
    return titles, rows


def _cell(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}"
