"""Print tables, notes and progress bars for people, and JSON for programs.

Progress and notes go to standard error, results to standard output, so that a pipe
carries results alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import locale
import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape
from rich.segment import Segment

from sightline import tasks
from sightline.cli import progress
from sightline.counting import counted
from sightline.data import fonts
from sightline.data import text as texts
from sightline.data.load import load_data
from sightline.errors import ParameterError, RunError
from sightline.metrics import figure_text, threads
from sightline.report.words import Language
from sightline.training import run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sightline.data.dataset import Dataset
    from sightline.data.transforms import Preprocess
    from sightline.metrics import Evaluation
    from sightline.types import Progress as Report

Json = Annotated[bool, Parameter(name="--json", negative="", help="One JSON document on stdout.")]
Seed = Annotated[int, Parameter(help="Of splits, and of all chance in training.")]
Threads = Annotated[
    int | None,
    Parameter(
        help="Of the processor; default: as many as the work suits, of the cores that are idle. "
        "Networks that learn on another number of threads end with other weights."
    ),
]
Device = Annotated[
    str,
    Parameter(
        help="Where to compute: cpu, cuda, cuda:1 (the second one), mps (a Mac's), or auto: a "
        "graphics processor if there is one."
    ),
]
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
        help="coco, voc, cvat, labelme, label_studio, yolo, mvtec, masks, csv, parquet, folder or "
        "webdataset; default: recognised by what is there."
    ),
]
AllowOutside = Annotated[
    bool,
    Parameter(
        negative="", help="Read files that lists, YAML, JSON or tables name outside the folder."
    ),
]

Lang = Annotated[
    Language | None,
    Parameter(name="--lang", help="Of the report: en or zh; default: the reader's browser's."),
]

TASKS = ", ".join(tasks.with_cards())
"""Names of the tasks that there are methods for."""


class _Console(Console):
    """A console whose reader may leave, and on which names of files command nothing."""

    def on_broken_pipe(self) -> None:
        """Leave it to the edge of the command line: Rich would end the process with status 1."""
        raise BrokenPipeError

    def _render_buffer(self, buffer: Iterable[Segment]) -> str:
        """Write out the commands to a terminal that texts hold; those of styles are Rich's own."""
        return super()._render_buffer(
            part if part.control else Segment(texts.readable(part.text), part.style)
            for part in buffer
        )


def out() -> Console:
    """Return the console of results; wide enough for tables when it is no terminal."""
    told = sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit()
    return _Console(width=None if told else 132, highlight=False)


def err() -> Console:
    """Return the console of progress and notes, on standard error."""
    return _Console(stderr=True, highlight=False)


def print_json(document: Any) -> None:
    """Print one JSON document on standard output."""
    text = json.dumps(document, indent=2, ensure_ascii=False, default=run.plain)
    sys.stdout.write(texts.escaped(text) + "\n")


def save_picture(drawing: Figure, target: Path) -> Path:
    """Write a drawing in the format that the file's ending names, PNG where it has none.

    Returns
    -------
    path
        The file that was written; see `writing`.
    """
    if not target.suffix:
        target = target.with_name(f"{target.name}.png")
    with writing(target):
        fonts.save(drawing, target)
    return target


def place_beside(image: Path, output: Path | None, default: str) -> Path:
    """Return where a picture about an image goes: what was asked for, else the default.

    Raises
    ------
    ParameterError
        When that is the image itself.
    """
    target = output or Path(default)
    if target.exists() and image.exists() and target.samefile(image):
        raise ParameterError(f"{target} is the picture in question; name another file with -o")
    return target


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
    verbs = (
        "allow_outside",
        "budget",
        "data",
        "group",
        "images",
        "layout",
        "quantize",
        "resume",
        "seeds",
        "sizes",
        "threads",
        "untrained",
    )
    methods = ("device", "gradient", "index", "k", "layer", "samples", "step", "threshold")
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


def say_beside(evaluation: Evaluation) -> None:
    """Print what a reader of a headline should know beside it."""
    screen = out()
    for name, why in evaluation.beside.items():
        value = figure_text(evaluation.metrics[name], evaluation.metrics.share)
        screen.print(f"{name.replace('_', ' ')} {value} ({why})")
    for remark in evaluation.remarks:
        screen.print(f"[yellow]note:[/yellow] {escape(as_options(remark))}", soft_wrap=True)


def note(text: str) -> None:
    """Print a note on standard error, with parameters as options."""
    err().print(f"[dim]{escape(as_options(text))}[/dim]", soft_wrap=True)


def when(written: str) -> str:
    """Return a time of writing as the reader's clock and language have it.

    Parameters
    ----------
    written : str
        ISO 8601 with its zone; anything else is returned as it is.
    """
    try:
        there = datetime.datetime.fromisoformat(written)
    except ValueError:
        return written
    here = there.astimezone()
    with contextlib.suppress(locale.Error):
        locale.setlocale(locale.LC_TIME, "")
    own = locale.setlocale(locale.LC_TIME) or "C"
    # Without a language the order of day and month would be a guess.
    plain = own.partition(".")[0] in ("C", "POSIX")
    return here.strftime("%Y-%m-%d %H:%M" if plain else "%x %H:%M")


@contextlib.contextmanager
def bar(label: str) -> Iterator[Report]:
    """Show how far one piece of work is, with an estimate, on standard error; yield its callback.

    A terminal has a moving bar, anything else a plain line now and then.
    """
    with progress.one(label, err()) as report:
        yield report


def prepare(method: str, data: Dataset, preprocess: Preprocess, asked: int | None) -> None:
    """Import what a method needs, choose its threads, and say how many if that is fewer than all.

    Raises
    ------
    ParameterError
        When fewer than one thread are asked for.
    """
    from sightline.estimators import warm

    given = warm.threads_for(method, data.train, preprocess, asked)
    if asked is None and given < threads.available():
        why = "as there is little to compute" if given == 1 else "as other programs keep cores busy"
        note(f"{given} of {threads.available()} threads, {why}; threads=... says how many")
    threads.use(given)
    warm.load_libraries(method)


def load(
    data: str, *, seed: int = 0, group: str | None = None, layout: str | None = None,
    allow_outside: bool = False, verify: bool = False, quiet: bool = False,
) -> Dataset:  # fmt: skip
    """Load data with a progress bar, and print what was decided about it."""
    with bar(f"reading {data}") as report:
        loaded = load_data(
            data,
            seed=seed,
            group=group,
            layout=layout,
            allow_outside=allow_outside,
            verify=verify,
            progress=report,
        )
    if not quiet:
        counts = ", ".join(f"{len(rows):,} {name}" for name, rows in loaded.rows.items())
        note(f"{loaded.name}: {counts}; {counted(len(loaded.classes), 'class')}, {loaded.mode}")
        for line in loaded.notes:
            note(f"  {line}")
    return loaded
