"""Tables fit the terminal, and no number is ever cut."""

from __future__ import annotations

import re

import pytest
from rich.console import Console
from rich.text import Text

from sightline.cli import tables

WIDTHS = (60, 80, 120, 200)

COLUMNS = (
    tables.Column("method", text=True), tables.Column("accuracy"),
    *(tables.Column(f"figure {i}", rank=9 - i) for i in range(1, 9)),
    tables.Column("words", 4, text=True),
)  # fmt: skip
ROWS = [
    (f"method {r} with a long name", f"{90 + r}.25%", *(f"{r}{i}0,000.125" for i in range(1, 9)),
     "several words that say something of the row, in any language: 猫")
    for r in range(5)
]  # fmt: skip


def printed(width, columns=COLUMNS, rows=ROWS, **options):
    screen = Console(width=width, record=True, highlight=False, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    tables.show(screen, columns, rows, **options)
    return screen.export_text()


@pytest.mark.parametrize("width", WIDTHS)
def test_every_figure_is_whole_or_its_column_is_named(width):
    said = printed(width)
    assert "…" not in said
    assert max(map(len, said.splitlines())) <= width
    table, _, missing = said.partition("no room here for: ")
    left_out = re.sub(r"\s+", " ", missing)
    for place, column in enumerate(COLUMNS[1:-1], start=1):
        cells = [row[place] for row in ROWS]
        if column.heading in left_out:
            assert not any(re.search(rf"(?<!\S){re.escape(c)}(?!\S)", table) for c in cells)
        else:
            assert all(re.search(rf"(?<!\S){re.escape(c)}(?!\S)", table) for c in cells)
    assert ("--json has them" in left_out) == bool(missing)
    assert bool(missing) == (width < 200)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_least_needed_columns_go_first(width):
    natural = [max(len(str(row[i])) for row in ROWS) for i in range(len(COLUMNS))]
    kept = tables.fitting(COLUMNS, natural, width)
    gone = set(range(len(COLUMNS))) - set(kept)
    assert {0, 1} <= set(kept)
    ranks = [COLUMNS[i].rank for i in kept]
    assert all(COLUMNS[i].rank >= max(ranks) for i in gone)


def test_what_is_always_needed_stays_where_nothing_fits():
    said = printed(24)
    assert all(row[1] in said for row in ROWS)
    assert "figure 1" in said.partition("no room")[2].replace("\n", " ")


def test_texts_wrap_before_columns_go_and_short_rows_are_filled():
    columns = (tables.Column("file", text=True), tables.Column("size"))
    said = printed(30, columns, [("a" * 40, "1.25 MiB"), ("b",)], footer=("in all", "1.25 MiB"))
    assert said.count("1.25 MiB") == 2
    assert said.replace("\n", "").replace(" ", "").count("a" * 19) == 2
    assert "no room" not in said


def test_names_are_shortened_where_a_column_says_how():
    column = tables.Column("m", text=True, least=8, shorten=lambda cells, n: [c[:n] for c in cells])
    said = printed(20, (column, tables.Column("figure")), [("x" * 30, "12345678")])
    assert "x" * 9 in said
    assert "x" * 10 not in said
    assert "12345678" in said


def test_cells_are_taken_as_they_are_and_styles_are_kept():
    said = printed(80, tables.columns_of(("a", "b"), ()), [("[red]x[/red]", Text("y", "bold"))])
    assert "[red]x[/red]" in said


def test_headings_alone_tell_words_from_figures():
    rows = [("cat", "1,200", "0.931", "dog (3)"), ("dog", "7", "1.000", "")]
    columns = tables.columns_of(("class", "images", "recall", "most often taken for"), rows)
    assert [c.text for c in columns] == [True, False, False, True]
    assert [c.rank for c in columns] == [0, 0, 1, 2]
