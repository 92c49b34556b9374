"""Report made pictures on pages, in tables and beside their pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sightline.data import images
from sightline.data.dataset import Dataset
from sightline.metrics import figure_text
from sightline.metrics.generate import Evaluation
from sightline.report import generate_plots, plots
from sightline.report.parts import Column, Part, Picture, Section, figure_of, interval_text
from sightline.report.words import say
from sightline.types import Generated

if TYPE_CHECKING:
    from PIL import Image

    from sightline.bench.results import MethodEntry

MADE, PAIRS = 64, 12
"""Pictures of a method on a page, and those that are shown beside the nearest training picture."""


def _where(name: str, share: bool = False) -> Any:
    """Return a cell of a figure that not every method has."""
    plain = figure_of(name, share)

    def cell(entry: MethodEntry) -> str:
        return plain(entry) if name in (entry.metrics or {}) else "-"

    return cell


COLUMNS = (
    Column("Fréchet", lambda m: figure_text(m.headline, False), rank=0),
    Column("95% interval", interval_text, rank=1),
    Column("floor", _where("floor"), rank=1),
    Column("coverage", _where("coverage", True), rank=2),
    Column("confidence", _where("confidence", True), rank=2),
    Column("copying", _where("copying", True), rank=3),
    Column("bound, nats", _where("bound"), rank=3),
    Column("PSNR, dB", _where("psnr"), page_only=True),
    Column("validation", lambda m: figure_text(m.validation, False), page_only=True),
)
"""Of a comparison's table."""

NOTE = say(
    "The Fréchet distance compares made pictures with test pictures by the features of one "
    "network; lower is better. The floor is the same of training pictures, which are real: no "
    "method needs to be better. Coverage is the share of test pictures with a made one among their "
    "neighbours; confidence is a classifier's in its class of a made picture; copying is the "
    "chance that a made picture lies nearer to a training picture than a test picture does: 50% is "
    "as near. The interval is the bootstrap's."
)
"""Under a comparison's table."""


def sections(
    data: Dataset, evaluations: Mapping[str, Evaluation], *, split: str = "test"
) -> list[Section]:
    """Return the sections of a page: made pictures, what they are near to, and their classes.

    Parameters
    ----------
    data : Dataset
        That was measured on.
    evaluations : mapping of str to Evaluation
        By method, the picked one first.
    split : str
        That was measured on.
    """
    made, near = [], []
    for name, e in evaluations.items():
        sheet = generate_plots.sheet(e.shown[:MADE])
        summary = say(
            "{method}: Fréchet distance {figure}", method=name,
            figure=figure_text(e.metrics.headline, False),
        )  # fmt: skip
        made.append(Part(summary, pictures=[Picture(_uri(sheet), (), broad=True)]))
        pairs = generate_plots.pairs(e.shown[:PAIRS], e.nearest[:PAIRS])
        said = say(
            "In {share} of pairs a made picture is nearer to a training picture than an unseen "
            "real one is; 50% is as near.", share=figure_text(e.metrics["copying"], True, 0),
        )  # fmt: skip
        near.append(Part(name, note=said, pictures=[Picture(_uri(pairs), (), broad=True)]))
    first = next(iter(evaluations.values()))
    title = say("What do the methods make?")
    drawing = plots.svg(generate_plots.figures(evaluations), title)
    judged = say("Pictures are compared by {judge}.", judge=first.judge)
    return [
        Section(title, judged, drawing, made),
        Section(
            say("Are these copies?"),
            say("Made pictures, and under each the training picture that is nearest to it."),
            parts=near,
        ),
    ]  # fmt: skip


def _uri(pixels: Any) -> str:
    return plots.data_uri(images.as_picture(pixels), optimize=True)


def annotate(pixels: Image.Image, answer: Generated, *, top: int, threshold: float) -> Image.Image:
    """Return the picture drawn again in the place of the picture.

    Parameters
    ----------
    pixels : PIL image, RGB
    answer : Generated
        Of its size.
    top, threshold : int, float
        Not looked at.
    """
    return images.as_picture(answer.images[0])


def headings(top: int) -> tuple[str, ...]:
    """Return the headings of `predict`'s table; see `cells`."""
    return ("drawn again", "mean brightness")


def cells(answer: Generated, *, top: int, threshold: float) -> tuple[str | None, ...]:
    """Return an answer as cells of `predict`'s row: its size and its mean brightness."""
    pixels = answer.images[0]
    return (f"{pixels.shape[1]} x {pixels.shape[0]}", f"{np.mean(pixels) / 255:.2f}")


def details(evaluation: Evaluation, classes: Sequence[str]) -> dict[str, Any]:
    """Return what `eval` adds to the metrics: the judge, and the figures of each picture."""
    return {
        "judge": evaluation.judge,
        "pictures": {
            "rows": evaluation.rows.tolist(),
            **{name: values.tolist() for name, values in evaluation.errors.items()},
        },
    }


def table(
    evaluation: Evaluation, classes: Sequence[str]
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the headings and rows of `eval`'s table: one row a figure."""
    rows: list[tuple[str, ...]] = [
        (name.replace("_", " "), f"{value:.4g}") for name, value in evaluation.metrics.items()
    ]
    return ("figure", "value"), rows
