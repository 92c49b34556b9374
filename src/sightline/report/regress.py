"""Report numbers with their intervals on pages, in tables and below the pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sightline.data import fonts
from sightline.data.dataset import Dataset
from sightline.data.values import name_of
from sightline.errors import SightlineError
from sightline.metrics import figure_text
from sightline.metrics.regress import Evaluation
from sightline.report import plots, regress_plots
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
from sightline.types import Estimate

if TYPE_CHECKING:
    from PIL import Image

WORST = 12
"""Pictures that are shown: those whose number is furthest off."""

COLUMNS = (
    Column("mean error", lambda m: figure_text(m.headline, False), rank=0),
    Column("95% interval", interval_text, rank=1),
    Column("R²", figure_of("r2", share=False), rank=2),
    Column("median error", figure_of("median_absolute_error", share=False), page_only=True),
    Column("held by the interval", figure_of("coverage"), rank=3),
    Column("its width", figure_of("interval_width", share=False), rank=3),
    Column("validation", lambda m: figure_text(m.validation, False)),
)
"""Of a comparison's table."""

NOTE = say(
    "The mean error is how far an answer is off, in the unit of the number, whatever the "
    "direction; lower is better. R² is the share of the variance that is explained, below 0 where "
    "the mean would be nearer. The interval of an answer was set by images that nothing was "
    "learned from. The 95% interval is the bootstrap's, over images."
)
"""Under a comparison's table."""

AGAINST = say("A mark a picture; on the line it is right, and in the band its interval holds it.")
FURTHEST = say("The pictures whose number is furthest off.")


def sections(
    data: Dataset, evaluations: Mapping[str, Evaluation], *, split: str = "test"
) -> list[Section]:
    """Return the sections of a page: answers over the truth, and the pictures furthest off.

    Parameters
    ----------
    data : Dataset
        That was measured on, for the pictures.
    evaluations : mapping of str to Evaluation
        By method, the picked one first.
    split : str
        That was measured on.
    """
    over, far = [], []
    for name, e in evaluations.items():
        value = figure_text(e.metrics.headline, False)
        summary = say("{method}: {figure} off on average", method=name, figure=value)
        over.append(Part(summary, plots.svg(regress_plots.against(e, name_of(data)), summary)))
        far.append(Part(name, "", "", furthest(data, e)))
    return [
        Section(say("How near is the number?"), AGAINST, parts=over),
        Section(say("Where is it furthest off?"), FURTHEST, parts=far),
    ]


def furthest(data: Dataset, e: Evaluation) -> list[Picture]:
    """Return the pictures whose number is furthest off, with both numbers.

    Parameters
    ----------
    data : Dataset
        That was measured on.
    e : Evaluation
    """
    made = []
    for at in np.argsort(-np.abs(e.said - e.truth), kind="stable")[:WORST].tolist():
        try:
            sample = data.sample(int(e.rows[at]))
        except SightlineError:
            continue
        line = say("{said} instead of {true}", said=f"{e.said[at]:.4g}", true=f"{e.truth[at]:.4g}")
        made.append(Picture(thumbnail(sample.image), (line, sample.id)))
    return made


def annotate(pixels: Image.Image, answer: Estimate, *, top: int, threshold: float) -> Image.Image:
    """Write the number and its interval below a picture.

    Parameters
    ----------
    pixels : PIL image, RGB
        Left as it is; a small one is enlarged.
    answer : Estimate
    top, threshold : int, float
        Not looked at.

    Returns
    -------
    PIL image, RGB
    """
    from PIL import Image, ImageDraw

    pixels = enlarged(pixels)
    height = max(16, pixels.width // 20)
    sheet = Image.new("RGB", (pixels.width, pixels.height + height + 6), "white")
    sheet.paste(pixels)
    letters = round(height * 0.75)
    said = fonts.fitting(answer.name, f" {_said(answer)}", letters, sheet.width - 8)
    fonts.write(ImageDraw.Draw(sheet), (4, pixels.height + 3), said, letters, "black")
    return sheet


def _said(answer: Estimate) -> str:
    return f"{answer.value:.4g} ({answer.low:.4g} – {answer.high:.4g})"


def headings(top: int) -> tuple[str, ...]:
    """Return the headings of `predict`'s table; see `cells`."""
    return ("number", "from", "to", "of")


def cells(answer: Estimate, *, top: int, threshold: float) -> tuple[str | None, ...]:
    """Return an answer as cells of `predict`'s row: the number, its interval, what it is."""
    return (f"{answer.value:.4g}", f"{answer.low:.4g}", f"{answer.high:.4g}", answer.name)


def details(e: Evaluation, classes: Sequence[str]) -> dict[str, Any]:
    """Return what `eval` adds to the metrics: what the number is, and each answer."""
    return {
        "name": classes[0] if classes else "",
        "pictures": {
            "rows": e.rows.tolist(), "said": e.said.tolist(), "true": e.truth.tolist(),
            "low": e.low.tolist(), "high": e.high.tolist(),
        },
    }  # fmt: skip


def table(e: Evaluation, classes: Sequence[str]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the headings and rows of `eval`'s table: the errors of each third of the numbers."""
    rows: list[tuple[str, ...]] = []
    for part in np.array_split(np.argsort(e.truth, kind="stable"), min(3, len(e.truth))):
        off = np.abs(e.said - e.truth)[part]
        held = ((e.low <= e.truth) & (e.truth <= e.high))[part].mean()
        ends = f"{e.truth[part].min():.4g} to {e.truth[part].max():.4g}"
        rows.append((ends, f"{len(part):,}", f"{off.mean():.4g}", f"{off.max():.4g}",
                     f"{held:.1%}"))  # fmt: skip
    return ("true number", "images", "mean error", "largest", "held by the interval"), rows
