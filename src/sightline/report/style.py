"""Report drawings on pages, in tables and beside their pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sightline.data import images
from sightline.data.dataset import Dataset
from sightline.metrics import figure_text
from sightline.metrics.style import Evaluation
from sightline.report.parts import Column, Part, Section, figure_of, interval_text
from sightline.report.words import say
from sightline.types import Generated

if TYPE_CHECKING:
    from PIL import Image

COLUMNS = (
    Column("style loss", lambda m: figure_text(m.headline, False), rank=0),
    Column("95% interval", interval_text, rank=1),
    Column("content loss", figure_of("content", share=False), rank=2),
    Column("validation", lambda m: figure_text(m.validation, False)),
)
"""Of a comparison's table."""

NOTE = say(
    "The style loss is how far the Gram matrices of the drawings are from the style's, as a share "
    "of these, the mean over layers and pictures; the content loss is the same of the photograph's "
    "features. Lower is better. The interval is the bootstrap's, over images."
)
"""Under a comparison's table."""


def sections(
    data: Dataset, evaluations: Mapping[str, Evaluation], *, split: str = "test"
) -> list[Section]:
    """Return the sections of a page: what each method keeps and reaches.

    Parameters
    ----------
    data : Dataset
        That was measured on.
    evaluations : mapping of str to Evaluation
        By method, the picked one first.
    split : str
        That was measured on.
    """
    parts = [
        Part(
            say(
                "{method}: style {style}, content {content}", method=name,
                style=figure_text(e.metrics["style"], False),
                content=figure_text(e.metrics["content"], False),
            )
        )
        for name, e in evaluations.items()
    ]  # fmt: skip
    return [Section(say("How near the style, and how much of the picture is left?"), parts=parts)]


def annotate(pixels: Image.Image, answer: Generated, *, top: int, threshold: float) -> Image.Image:
    """Return the drawing in the place of its picture.

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
    return ("drawn", "mean colour")


def cells(answer: Generated, *, top: int, threshold: float) -> tuple[str | None, ...]:
    """Return an answer as cells of `predict`'s row: its size and its mean colour."""
    pixels = answer.images[0]
    red, green, blue = np.round(pixels.reshape(-1, 3).mean(0)).astype(int)
    return (f"{pixels.shape[1]} x {pixels.shape[0]}", f"#{red:02x}{green:02x}{blue:02x}")


def details(evaluation: Evaluation, classes: Sequence[str]) -> dict[str, Any]:
    """Return what `eval` adds to the metrics: the losses of each picture."""
    return {
        "pictures": {
            "rows": evaluation.rows.tolist(),
            **{name: values.tolist() for name, values in evaluation.figures.items()},
        }
    }


def table(
    evaluation: Evaluation, classes: Sequence[str]
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the headings and rows of `eval`'s table: one row a loss, over the pictures."""
    rows: list[tuple[str, ...]] = [
        (name, f"{values.mean():.4g}", f"{values.min():.4g}", f"{values.max():.4g}")
        for name, values in evaluation.figures.items()
    ]
    return ("loss", "mean", "least", "most"), rows
