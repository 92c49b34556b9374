"""Counts on pages and in tables."""

from __future__ import annotations

from sightline.metrics import figure_text
from sightline.report.parts import Column, Part, Section, interval_text

COLUMNS = (
    Column("pixels off", lambda m: figure_text(m.headline, False), rank=0),
    Column("95% interval", interval_text),
    Column("validation", lambda m: figure_text(m.validation, False)),
)
NOTE = "Pixels off: mean absolute error of the number of bright pixels."


def sections(data, evaluations, *, split="test"):
    parts = [Part(f"{name}: {e.metrics['worst']:.1f} at worst") for name, e in evaluations.items()]
    return [Section(f"How far off it is ({split})", parts=parts)]


def annotate(pixels, answer, *, top, threshold):
    return pixels.convert("L").point(lambda v: 255 * (v >= 128)).convert("RGB")


def headings(top):
    return ("bright pixels", "of")


def cells(answer, *, top, threshold):
    return (f"{answer.bright:.0f}", str(answer.pixels))


def details(evaluation, classes):
    return {"worst": evaluation.metrics["worst"]}


def table(evaluation, classes):
    return ("images", "worst"), [(str(evaluation.metrics.n), f"{evaluation.metrics['worst']:.1f}")]
