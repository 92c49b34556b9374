"""Write the page of labels in doubt: pictures, the most suspicious first."""

from __future__ import annotations

from pathlib import Path

from sightline.errors import SightlineError
from sightline.explain.labels import Doubts
from sightline.metrics import figure_text
from sightline.report import html
from sightline.report.parts import Part, Picture, Section, thumbnail
from sightline.report.words import Language, Said, counted, say
from sightline.training import run

SHOWN = 300
"""Pictures on the page at most; the table beside it has all."""

PAIRS = 12
"""Pairs of label and believed class that are named."""


def write(target: Path, doubts: Doubts, *, language: Language | None = None) -> Path:
    """Write the page: one file that opens offline.

    Parameters
    ----------
    target : path
    doubts : Doubts
    language : "en" or "zh", optional
        That the page opens in; default: the browser's.

    Raises
    ------
    RunError
        When it cannot be written.
    """
    page = html.template("labels.html.j2", language).render(
        title=say("{data}: which labels are probably wrong?", data=doubts.data.name),
        answer=answer(doubts), how=how(doubts), notes=doubts.notes, sections=[section(doubts)],
        command=run.command(),
    )  # fmt: skip
    run.write_text(target, page)
    return target


def answer(doubts: Doubts) -> Said:
    """Return how many labels are in doubt, of how many."""
    n = len(doubts.suspects)
    if not n:
        return say("No label of {images} is in doubt.", images=counted(len(doubts.rows), "image"))
    return say(
        "{count} of {images} have a label that the method does not believe. Were it never wrong "
        "itself, {share} of all labels would be.",
        count=f"{n:,}", images=counted(len(doubts.rows), "image"),
        share=figure_text(doubts.learned.share, True, 1),
    )  # fmt: skip


def how(doubts: Doubts) -> Said:
    """Return how labels were judged, and what that cannot tell."""
    return say(
        "Confident learning (Northcutt et al. 2021): {method} was fitted {folds} times, and each "
        "image judged by a fit that had not learned from it; its first answers agree with {share} "
        "of the labels. A picture is listed where the method is as sure of another class as it is "
        "on average of that class's own pictures. Hard pictures are listed, too: look before you "
        "change a label.",
        method=doubts.method, folds=doubts.folds, share=figure_text(doubts.accuracy, True, 1),
    )  # fmt: skip


def section(doubts: Doubts) -> Section:
    """Return the pictures whose labels are in doubt, the most suspicious first."""
    pairs = doubts.pairs()
    named = ", ".join(f"{label} → {other} ({n:,})" for label, other, n in pairs[:PAIRS])
    pictures = [
        p for i, row in enumerate(doubts.table()[:SHOWN]) if (p := _picture(doubts, i, row))
    ]
    left = len(doubts.suspects) - SHOWN
    note = say("Most often (label → what is seen): {pairs}.", pairs=named) if pairs else ""
    if left > 0:
        note = say("{note} {count} more are in the table.", note=note, count=f"{left:,}")
    summary = say("{count} labels, the most suspicious first", count=f"{len(doubts.suspects):,}")
    return Section(
        say("Labels in doubt"),
        say("In bold the class that the method sees, and under it the label; how sure it is."),
        parts=[Part(summary, note=note, pictures=pictures)],
    )


def _picture(doubts: Doubts, place: int, row: dict[str, object]) -> Picture | None:
    try:
        sample = doubts.data.sample(int(doubts.rows[doubts.suspects[place]]))
    except SightlineError:
        return None
    lines = (
        f"{row['believed']} {row['probability_of_believed']:.0%}",
        say("labelled {label} ({share})", label=str(row["label"]),
            share=f"{row['probability_of_label']:.0%}"),
        f"{row['rank']}. {row['image']}",
    )  # fmt: skip
    return Picture(thumbnail(sample.image), lines)
