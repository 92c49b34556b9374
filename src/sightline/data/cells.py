"""Quote what a spreadsheet would compute: cells of tables that people open.

A class called ``=HYPERLINK(...)``, or a file, may come from anybody; Excel and its kind run it when
the table is opened. An apostrophe before it makes it a text. Full-width signs are the same to them
where East Asian input is set.
"""

from __future__ import annotations

import re
from typing import Any

_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?%?")


def quoted(cell: Any) -> Any:
    """Quote a cell, or each of a list, that would be computed; numbers stay as they are.

    Examples
    --------
    >>> [quoted(cell) for cell in ("=1+1", "cat", "-5", -5, "-a", ["@b", "c"])]
    ["'=1+1", 'cat', '-5', -5, "'-a", ["'@b", 'c']]
    """
    if isinstance(cell, str):
        return f"'{cell}" if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell) else cell
    return [quoted(part) for part in cell] if isinstance(cell, list) else cell


def unquoted(cell: Any) -> Any:
    """Undo `quoted`.

    Examples
    --------
    >>> unquoted("'=1+1"), unquoted("'tis")
    ('=1+1', "'tis")
    """
    if isinstance(cell, str) and cell.startswith("'") and _FORMULA.match(cell):
        return cell[1:]
    return cell
