"""Run ``sightline data audit DATA --labels RUN``: name the labels that are probably wrong."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from sightline.cli import console, tables
from sightline.counting import counted
from sightline.data.audit import EXAMPLES, Audit, Finding
from sightline.errors import ParameterError
from sightline.metrics.duration import human
from sightline.report.words import Language

if TYPE_CHECKING:
    from sightline.data.dataset import Dataset
    from sightline.estimators.base import Estimator
    from sightline.explain.labels import Doubts

SHOWN = 10


@dataclass(frozen=True, slots=True)
class Written:
    """What was judged, and where it was written."""

    doubts: Doubts
    page: Path
    table: Path

    @property
    def document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        files = {"page": str(self.page), "table": str(self.table)}
        return self.doubts.document() | files


def refittable(source: str, folds: int, output: Path | None) -> Estimator:
    """Load a run whose method can judge labels, before anything long begins.

    Raises
    ------
    ParameterError, RunError
        When it cannot, or an option is wrong.
    """
    from sightline.explain import labels

    if folds < 2:
        raise ParameterError(f"--folds must be at least 2, not {folds}")
    if output is not None and output.suffix.lower() not in ("", ".html", ".htm"):
        raise ParameterError(f"--output {output} is the page to write: end it in .html")
    return labels.refittable(source)


def check(data: Dataset, folds: int) -> None:
    """Refuse data whose labels cannot be judged, before anything long begins.

    Raises
    ------
    DataError
    """
    from sightline.explain import labels

    labels.judgeable(data, folds)


def judge(
    source: str, model: Estimator, data: Dataset, audited: Audit, *, folds: int, seed: int,
    lang: Language | None, output: Path | None,
) -> Written:  # fmt: skip
    """Check labels, write the page and the table, and add what is in doubt to the audit."""
    from sightline.explain import labels
    from sightline.report import labels_page
    from sightline.training import run

    console.note(labels.cost(source, model, sum(map(len, data.rows.values())), folds))
    with console.bar("judging labels") as report:
        doubts = labels.doubt(source, data, folds=folds, seed=seed, progress=report, model=model)
    target = output or Path(f"labels-{data.name}.html")
    target = target if target.suffix else target.with_name(f"{target.name}.html")
    page = labels_page.write(target, doubts, language=lang)
    table = target.with_suffix(".csv")
    run.write_text(table, labels.csv_text(doubts))
    if rows := doubts.table():
        audited.findings.append(
            Finding(
                "label", "warning", len(rows),
                f"labels that {doubts.method} does not believe",
                f"look at them in {page}: hard pictures are among them, too",
                tuple(f"{r['image']}: {r['label']}, or {r['believed']}?" for r in rows[:EXAMPLES]),
            )
        )  # fmt: skip
    return Written(doubts, page, table)


def show(written: Written) -> None:
    """Print the labels in doubt, and where all of them are."""
    doubts, screen = written.doubts, console.out()
    for line in doubts.notes:
        console.note(line)
    rows = doubts.table()
    columns = (
        tables.Column("rank", 1), tables.Column("image", text=True),
        tables.Column("label", text=True), tables.Column("believed", text=True),
        tables.Column("sure of it"), tables.Column("of the label", 2),
    )  # fmt: skip
    shown = [
        (
            str(row["rank"]), row["image"], row["label"], row["believed"],
            f"{row['probability_of_believed']:.0%}", f"{row['probability_of_label']:.0%}",
        )
        for row in rows[:SHOWN]
    ]  # fmt: skip
    if shown:
        tables.show(screen, columns, shown)
    screen.print(
        escape(
            f"{counted(len(rows), 'label')} of {len(doubts.rows):,} in doubt by {doubts.method}, "
            f"fitted {doubts.folds} times in {human(doubts.seconds)}; it agrees with "
            f"{doubts.accuracy:.1%} of all"
        ),
        soft_wrap=True,
    )
    screen.print(f"page: {written.page}", soft_wrap=True)
    screen.print(f"table: {written.table}", soft_wrap=True)
