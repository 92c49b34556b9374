"""Print tables that fit the terminal: columns are left out before a number is cut.

A column of text may be wrapped, and is made narrow first. Where that is not enough, columns are
left out, the least needed first, and a line under the table names them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_GAP = 3
"""Characters from one column to the next."""

_NARROWEST = 6
"""Characters of a column of text that must stay where there is hardly any room."""

Cell = str | Text
"""Plain text, taken as it is, or text with styles of its own."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table in the terminal.

    Parameters
    ----------
    heading : str
    rank : int
        How early it is left out where there is no room: the highest first, 0 never.
    text : bool
        Whether it holds words, which may be wrapped. Others hold figures, are never cut or wrapped,
        and are set to the right.
    least : int
        Characters to which a column of text is made narrow before others are left out.
    shorten : callable, optional
        Of a column of text that is not to be wrapped: given its cells and the most characters of
        one, the shortened cells.
    """

    heading: str
    rank: int = 0
    text: bool = False
    least: int = 16
    shorten: Callable[[Sequence[str], int], Sequence[str]] | None = None


def columns_of(headings: Sequence[str], rows: Sequence[Sequence[Cell]]) -> list[Column]:
    """Return columns for headings alone: text where a cell has words, the first ones needed most.

    Parameters
    ----------
    headings : sequence of str
    rows : sequence of sequences of str or Text
        A row may be shorter than the headings.
    """

    def has_words(place: int) -> bool:
        cells = (str(row[place]) for row in rows if place < len(row))
        return any(re.search(r"[^\W\d]{3}", cell) for cell in cells)

    return [
        Column(heading, max(0, place - 1), place == 0 or has_words(place))
        for place, heading in enumerate(headings)
    ]


def show(
    screen: Console,
    columns: Sequence[Column],
    rows: Sequence[Sequence[Cell]],
    *,
    title: str = "",
    styles: Sequence[str] = (),
    footer: Sequence[str] = (),
    rest: str = "--json has them",
) -> None:
    """Print a table as wide as the terminal allows, and name the columns that are left out.

    Parameters
    ----------
    screen : Console
    columns : sequence of Column
    rows : sequence of sequences of str or Text
        A row may be shorter than the columns.
    title : str
    styles : sequence of str
        Of the rows, as Rich names them; default: none.
    footer : sequence of str
        A last row, such as of sums.
    rest : str
        Where the columns that are left out stand.
    """
    cells = [[_text(row[i]) if i < len(row) else Text() for row in (*rows, footer)]
             for i in range(len(columns))]  # fmt: skip
    natural = [max([_width(Text(c.heading)), *map(_width, cells[i])])
               for i, c in enumerate(columns)]  # fmt: skip
    kept = fitting(columns, natural, screen.width)
    widths = _widths([columns[i] for i in kept], [natural[i] for i in kept], screen.width)
    table = Table(
        title=Text(title) if title else None, title_justify="left", box=box.SIMPLE_HEAD,
        show_edge=False, pad_edge=False, show_footer=bool(footer),
    )  # fmt: skip
    for i, width in zip(kept, widths, strict=True):
        column, foot = columns[i], cells[i].pop()
        if column.shorten is not None and width < natural[i]:
            cells[i] = [Text(s) for s in column.shorten([t.plain for t in cells[i]], width)]
        table.add_column(
            Text(column.heading), foot, justify="left" if column.text else "right", width=width,
            overflow="fold",
        )  # fmt: skip
    for place in range(len(rows)):
        style = styles[place] if styles else None
        table.add_row(*(cells[i][place] for i in kept), style=style)
    screen.print(table)
    if missing := [c.heading for i, c in enumerate(columns) if i not in kept]:
        screen.print(Text(f"no room here for: {', '.join(missing)}; {rest}", style="dim"))


def fitting(columns: Sequence[Column], natural: Sequence[int], room: int) -> list[int]:
    """Choose the columns that fit side by side.

    Parameters
    ----------
    columns : sequence of Column
    natural : sequence of int
        Characters that each would take unwrapped.
    room : int
        Characters of the terminal.

    Returns
    -------
    list of int
        Their places, in order.
    """
    kept = list(range(len(columns)))

    def needed() -> int:
        own = (min(natural[i], columns[i].least) if columns[i].text else natural[i] for i in kept)
        return sum(own) + _GAP * (len(kept) - 1)

    while needed() > room:
        last = max(kept, key=lambda i: (columns[i].rank, i))
        if columns[last].rank == 0:
            break
        kept.remove(last)
    return kept


def _widths(columns: Sequence[Column], natural: Sequence[int], room: int) -> list[int]:
    """Return the characters of each column; the widest texts are made narrower until all fit."""
    widths = list(natural)
    for floor in (lambda c: c.least, lambda _: _NARROWEST):
        while (excess := sum(widths) + _GAP * (len(widths) - 1) - room) > 0:
            wide = [i for i, c in enumerate(columns) if c.text and widths[i] > floor(c)]
            if not wide:
                break
            widest = max(wide, key=lambda i: widths[i])
            others = [widths[i] for i in wide if widths[i] < widths[widest]]
            lowest = max([floor(columns[widest]), *others])
            widths[widest] = max(lowest, widths[widest] - excess)
    return widths


def _text(cell: Cell) -> Text:
    return cell if isinstance(cell, Text) else Text(cell)


def _width(text: Text) -> int:
    """Return the columns of the terminal that the longest line takes."""
    return max((line.cell_len for line in text.split("\n")), default=0)
