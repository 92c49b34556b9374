"""Print tables, notes and progress bars for people, and JSON for programs.

Progress and notes go to standard error, results to standard output, so that a pipe
carries results alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from sightline.data import fonts
from sightline.data.load import load_data
from sightline.errors import RunError
from sightline.training import run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sightline.data.dataset import Dataset
    from sightline.types import Progress as Report

Json = Annotated[bool, Parameter(name="--json", negative="", help="One JSON document on stdout.")]
Seed = Annotated[int, Parameter(help="Of splits, and of all chance in training.")]
Group = Annotated[
    str | None,
    Parameter(
        help="Keep images of one group in one split: folder, FILE.csv:COLUMN, or a regular "
        "expression on the path."
    ),
]
Layout = Annotated[
    str | None,
    Parameter(
        help="coco, voc, yolo, masks, csv, parquet, folder or webdataset; default: recognised by "
        "what is there."
    ),
]


def out() -> Console:
    """Return the console of results; wide enough for tables when it is no terminal."""
    return Console(width=None if sys.stdout.isatty() else 132, highlight=False)


def err() -> Console:
    """Return the console of progress and notes, on standard error."""
    return Console(stderr=True, highlight=False)


def print_json(document: Any) -> None:
    """Print one JSON document on standard output."""
    text = json.dumps(document, indent=2, ensure_ascii=False, default=run.plain)
    sys.stdout.write(text + "\n")


def save_picture(drawing: Figure, target: Path) -> None:
    """Write a drawing in the format that the file's ending names; see `writing`."""
    with writing(target):
        fonts.save(drawing, target)


@contextlib.contextmanager
def writing(target: Path) -> Iterator[None]:
    """Turn a failure to write a picture into a one-line error.

    Raises
    ------
    RunError
        When the place cannot be written, or there is no such format.
    """
    try:
        yield
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RunError(f"cannot write {target}: {reason}") from None


def _options() -> frozenset[str]:
    from sightline.data.transforms import Preprocess
    from sightline.deploy.server.settings import Settings
    from sightline.training.recipe import Recipe

    def and_its(kind: type[Any]) -> list[type[Any]]:  # a task's recipe: loaded, as it has spoken
        return [kind, *(own for task in kind.__subclasses__() for own in and_its(task))]

    kinds: tuple[type[Any], ...] = (Preprocess, *and_its(Recipe), Settings)
    knobs = (f.name for kind in kinds for f in dataclasses.fields(kind))
    verbs = ("budget", "data", "group", "images", "layout", "quantize", "resume")
    methods = ("device", "gradient", "index", "k", "samples", "step", "threshold")
    return frozenset((*knobs, *verbs, *methods))


def as_options(text: str) -> str:
    """Return a library's message with its parameters as options of the command line.

    Examples
    --------
    >>> as_options("scale them up with size=24, or name the data with data=...")
    'scale them up with --size 24, or name the data with --data DATA'
    """

    def option(match: re.Match[str]) -> str:
        name, value = match.groups()
        if name not in _options():
            return match[0]
        flag = f"--{name.replace('_', '-')}"
        if value in ("True", "..."):
            return flag if value == "True" else f"{flag} {name.upper()}"
        return f"{flag} {value}"

    return re.sub(r"(?<![\w:,./=-])([a-z][a-z_]*)=(\.\.\.|'[^']*'|[\w./*-]*\w)", option, text)


def note(text: str) -> None:
    """Print a note on standard error, with parameters as options."""
    err().print(f"[dim]{escape(as_options(text))}[/dim]", soft_wrap=True)


@contextlib.contextmanager
def bar(label: str) -> Iterator[Report]:
    """Show a progress bar with an estimate on standard error; yield its callback."""
    with bars() as progress:
        task = progress.add_task(label, total=None)

        def report(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield report


def bars() -> Progress:
    """Return several progress bars; nothing is drawn where standard error is no terminal."""
    console = err()
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def load(
    data: str, *, seed: int = 0, group: str | None = None, layout: str | None = None,
    verify: bool = False, quiet: bool = False,
) -> Dataset:  # fmt: skip
    """Load data with a progress bar, and print what was decided about it."""
    with bar(f"reading {data}") as report:
        loaded = load_data(
            data, seed=seed, group=group, layout=layout, verify=verify, progress=report
        )
    if not quiet:
        counts = ", ".join(f"{len(rows):,} {name}" for name, rows in loaded.rows.items())
        kind = f"{len(loaded.classes)} classes" if len(loaded.classes) != 1 else "1 class"
        note(f"{loaded.name}: {counts}; {kind}, {loaded.mode}")
        for line in loaded.notes:
            note(f"  {line}")
    return loaded
