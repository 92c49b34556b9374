"""Read a table of numbers from a CSV file, with names for its columns."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightline.data import text
from sightline.errors import DataError, UnknownNameError


@dataclass(frozen=True, slots=True)
class Table:
    """Columns of numbers with their names.

    Parameters
    ----------
    names : tuple of str
        From the first line, where that is not numbers; else column 1, column 2, ...
    values : float64 array, shape (n, len(names))
    """

    names: tuple[str, ...]
    values: NDArray[np.float64]

    def column(self, name: str) -> int:
        """Return the place of a column by its name.

        Raises
        ------
        UnknownNameError
            With the nearest name.
        """
        if name not in self.names:
            raise UnknownNameError("column", name, self.names)
        return self.names.index(name)


def read_table(path: Path) -> Table:
    """Read a CSV file, in any encoding.

    Comma, semicolon and tab part columns, whichever the first line has most of.

    Raises
    ------
    DataError
        When it is no table of finite numbers; the line and column are named.
    """
    lines = text.read(path).splitlines()
    first = next((line for line in lines if line.strip()), "")
    delimiter = max(",;\t", key=first.count)
    rows = [(number, row) for number, row in enumerate(csv.reader(lines, delimiter=delimiter), 1)]
    rows = [(number, [cell.strip() for cell in row]) for number, row in rows if any(row)]
    if not rows:
        raise DataError(f"{path} is empty")
    names = [cell or f"column {i}" for i, cell in enumerate(rows[0][1], 1)]
    if all(_number(cell) is not None for cell in rows[0][1]):
        names = [f"column {i}" for i in range(1, len(names) + 1)]
    else:
        rows = rows[1:]
    if not rows:
        raise DataError(f"{path} has a line of names and no numbers")
    values = np.empty((len(rows), len(names)))
    for i, (number, row) in enumerate(rows):
        if len(row) != len(names):
            raise DataError(f"{path}, line {number}: {len(row)} values for {len(names)} columns")
        for j, cell in enumerate(row):
            value = _number(cell)
            if value is None or not math.isfinite(value):
                raise DataError(
                    f"{path}, line {number}, column {names[j]!r}: {cell!r} is not a finite number"
                )
            values[i, j] = value
    return Table(tuple(names), values)


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None
