"""Report how odd pictures are on pages, in tables and on the pictures, and where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.data import fonts, images
from sightline.data.dataset import Dataset
from sightline.errors import SightlineError
from sightline.metrics import figure_text
from sightline.metrics.anomaly import Evaluation
from sightline.report import anomaly_plots, plots
from sightline.report.parts import Column, Part, Picture, Row, Section, figure_of, interval_text
from sightline.report.words import say
from sightline.types import ODD, Anomaly

if TYPE_CHECKING:
    from PIL import Image

SIDE = 320
"""Pixels of the longer side of a picture on a page."""

ENLARGED = 480
"""Pixels to which a smaller picture is enlarged before its map is drawn on it."""

MARGIN = 0.3
"""How far below the threshold a place begins to be tinted, in scores."""

LIMITS = (0.2, 0.35, 0.5, 0.65, 0.8)
"""Thresholds whose rates are told."""

COLUMNS = (
    Column("AUROC", lambda m: figure_text(m.headline, True), rank=0),
    Column("95% interval", interval_text, rank=1),
    Column("pixel AUROC", figure_of("pixel_auroc"), rank=2),
    Column("region overlap", figure_of("pro"), rank=3),
    Column("average precision", figure_of("average_precision"), page_only=True),
    Column("false alarms", figure_of("false_alarm_rate"), rank=3),
    Column("found", figure_of("detection_rate"), rank=3),
    Column("validation", lambda m: figure_text(m.validation, True)),
)
"""Of a comparison's table."""

NOTE = say(
    "AUROC is how probably a picture with a defect scores higher than a good one, whatever the "
    "threshold; pixel AUROC the same of pixels, and region overlap (PRO) how much of each defect "
    "is seen, small ones as large ones, while at most 30% of the good pixels are called odd. False "
    "alarms and found are at the run's own threshold, set by held-back good pictures. The interval "
    "is Newcombe's."
)
"""Under a comparison's table."""

SCORES = say(
    "A mark a picture. The threshold lies at 0.5, set by good pictures that nothing was learned "
    "from; a score is 1 / (1 + (t / d)⁴), d the distance from good pictures, t the threshold's."
)
LOOKED = say(
    "The good pictures that score highest, and the pictures of defects that score lowest and "
    "highest. What is tinted is odd; inside the line the threshold is reached."
)


def sections(
    data: Dataset, evaluations: Mapping[str, Evaluation], *, split: str = "test"
) -> list[Section]:
    """Return the sections of a page: thresholds, scores of each kind, and maps of pictures.

    Parameters
    ----------
    data : Dataset
        That was measured on, for the pictures.
    evaluations : mapping of str to Evaluation
        By method, the picked one first.
    split : str
        That was measured on.
    """
    kinds, pictures = [], []
    for name, e in evaluations.items():
        summary = _summary(name, e)
        drawing = plots.svg(anomaly_plots.scores(e), summary)
        kinds.append(Part(summary, drawing, _rates(e)))
        rows = looked_at(data, e)
        note = "" if rows else say("This method knows no places, so that there are no maps.")
        pictures.append(Part(name, "", note, rows=rows))
    made = [Section(say("What does each kind of picture score?"), SCORES, parts=kinds)]
    both = {n: e for n, e in evaluations.items() if (e.kinds > 0).any() and (e.kinds == 0).any()}
    if both:
        title = say("How many defects are found, at how many false alarms?")
        text = say("The mark is the run's own threshold; the nearer to the upper left, the better.")
        made.insert(0, Section(title, text, plots.svg(anomaly_plots.rates(both), title)))
    return [*made, Section(say("Where is it odd?"), LOOKED, parts=pictures)]


def _summary(name: str, e: Evaluation) -> str:
    value = figure_text(e.metrics.headline, True, 1)
    if e.metrics.headline_name == "auroc":
        return say("{method}: AUROC {figure}", method=name, figure=value)
    if e.metrics.headline_name == "false_alarm_rate":
        return say("{method}: {figure} false alarms", method=name, figure=value)
    return say("{method}: {figure} found", method=name, figure=value)


def _rates(e: Evaluation) -> str:
    """Describe false alarms and found defects at several thresholds."""
    lines = []
    for limit in LIMITS:
        false, caught = (figure_text(None if np.isnan(r) else r, True, 1) for r in e.at(limit))
        lines.append(f"{limit:g}: {false} / {caught}")
    return say("Threshold: false alarms / found: {rates}.", rates="; ".join(lines))


def looked_at(data: Dataset, e: Evaluation) -> list[Row]:
    """Return the pictures whose maps are known: each the picture, the truth and the map.

    Parameters
    ----------
    data : Dataset
        That was measured on.
    e : Evaluation
    """
    rows = []
    order = sorted(e.heats, key=lambda at: (int(e.kinds[at] > 0), -float(e.scores[at])))
    for at in order:
        try:
            sample = data.sample(int(e.rows[at]))
        except SightlineError:
            continue
        picture = images.as_picture(sample.image).convert("RGB")
        picture.thumbnail((SIDE, SIDE))
        lines = (
            say("{kind}: score {score}", kind=e.names[int(e.kinds[at])],
                score=f"{e.scores[at]:.3f}"),
            sample.id,
        )  # fmt: skip
        heat = np.asarray(e.heats[at] / 255, np.float32)
        if not heat.any():
            continue
        panels = [(say("picture"), picture)]
        if e.kinds[at] and sample.segmentation is not None:
            panels.append((say("truth"), _truth(sample.segmentation.label_map, picture.size)))
        panels.append((say("answer"), tinted(picture, heat, ODD)))
        shown = tuple(Picture(plots.data_uri(drawn, "JPEG", quality=85), (said,))
                      for said, drawn in panels)  # fmt: skip
        rows.append(Row(lines, shown))
    return rows


def _truth(labels: NDArray[Any], size: tuple[int, int]) -> Image.Image:
    """Draw the changed pixels white on black."""
    from PIL import Image

    mask = Image.fromarray(np.where(labels == 1, 255, 0).astype(np.uint8))
    return mask.resize(size, Image.Resampling.BILINEAR).convert("RGB")


def tinted(picture: Image.Image, heat: NDArray[np.float32], limit: float) -> Image.Image:
    """Tint a picture where it is odd, and draw a line around what reaches a threshold.

    Parameters
    ----------
    picture : PIL image, RGB
    heat : float32 array, shape (h, w)
        Scores in [0, 1], of the picture's proportions.
    limit : float
    """
    from PIL import Image
    from scipy.ndimage import binary_erosion

    size = picture.size
    scores = np.asarray(Image.fromarray(heat).resize(size, Image.Resampling.BILINEAR))
    strength = ((scores - (limit - MARGIN)) / (2 * MARGIN)).clip(0, 1)[..., None]
    # From yellow, where it begins to be odd, to red.
    colour = np.array([255.0, 210.0, 0.0]) + strength * np.array([-25.0, -210.0, 30.0])
    alpha = 0.75 * strength
    pixels = np.asarray(picture, np.float32) * (1 - alpha) + colour * alpha
    over = scores >= limit
    width = max(1, max(size) // 240)
    line = over & ~binary_erosion(over, iterations=width, border_value=1)
    pixels[line] = (255, 255, 255)
    return images.as_picture(pixels.clip(0, 255).astype(np.uint8))


def annotate(pixels: Image.Image, answer: Anomaly, *, top: int, threshold: float) -> Image.Image:
    """Tint a picture where it is odd, and write its score below it.

    Parameters
    ----------
    pixels : PIL image, RGB
        Left as it is; a small one is enlarged.
    answer : Anomaly
        Of its size.
    top : int
        Not looked at.
    threshold : float
        Score from which on it is an anomaly; 0: 0.5.

    Returns
    -------
    PIL image, RGB
        The picture, and a line below it.
    """
    from PIL import Image, ImageDraw

    limit = threshold or ODD
    factor = max(1, ENLARGED // max(pixels.size))
    size = pixels.width * factor, pixels.height * factor
    sheet = pixels.resize(size, Image.Resampling.NEAREST)
    if answer.heat is not None:
        sheet = tinted(sheet, answer.heat_out(), limit)
    letters = max(12, max(size) // 30)
    height = round(1.7 * letters)
    whole = Image.new("RGB", (size[0], size[1] + height), "white")
    whole.paste(sheet)
    draw = ImageDraw.Draw(whole)
    odd = answer.score >= limit
    box = (0, size[1], answer.score * size[0], size[1] + height)
    draw.rectangle(box, fill="#f0b4a4" if odd else "#9fd3bf")
    x = limit * size[0]
    draw.line((x, size[1], x, size[1] + height), fill="black", width=max(1, letters // 10))
    said = f"{'anomaly' if odd else 'good'} {answer.score:.2f}"
    fonts.write(draw, (letters / 2, size[1] + 0.2 * letters), said, letters, "black")
    return whole


def headings(top: int) -> tuple[str, ...]:
    """Return the headings of `predict`'s table; see `cells`."""
    return ("answer", "score", "area over the threshold")


def cells(answer: Anomaly, *, top: int, threshold: float) -> tuple[str | None, ...]:
    """Return an answer as cells of `predict`'s row.

    Parameters
    ----------
    answer : Anomaly
    top : int
        Not looked at.
    threshold : float
        Score from which on it is an anomaly; 0: 0.5.
    """
    limit = threshold or ODD
    said = "anomaly" if answer.score >= limit else "good"
    area = "" if answer.heat is None else f"{float((answer.heat_out() >= limit).mean()):.1%}"
    return (said, f"{answer.score:.3f}", area)


def details(e: Evaluation, classes: Sequence[str]) -> dict[str, Any]:
    """Return what `eval` adds to the metrics: each kind of defect, and rates at thresholds."""
    return {
        "kinds": {
            name: {"pictures": n, "auroc": None if np.isnan(area) else area, "found": seen}
            for name, n, area, seen in e.by_kind()
        },
        "thresholds": {
            f"{limit:g}": dict(zip(("false_alarm_rate", "detection_rate"),
                                   (None if np.isnan(r) else r for r in e.at(limit)), strict=True))
            for limit in LIMITS
        },
        "with_masks": e.masked,
    }  # fmt: skip


def table(e: Evaluation, classes: Sequence[str]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the headings and rows of `eval`'s table: one row a kind of picture."""
    rows: list[tuple[str, ...]] = []
    good = e.kinds == 0
    if good.any():
        called = float((e.scores[good] >= ODD).mean())
        rows.append((e.names[0], f"{int(good.sum()):,}", "-", f"{called:.1%}"))
    for name, n, area, seen in e.by_kind():
        told = "-" if np.isnan(area) else f"{area:.4f}"
        rows.append((name, f"{n:,}", told, f"{seen:.1%}"))
    return ("kind", "images", "AUROC beside the good", "called odd"), rows
