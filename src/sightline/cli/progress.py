"""Show how far work is: moving bars in a terminal, plain lines anywhere else."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from sightline.metrics.duration import human
from sightline.report.names import shortened

if TYPE_CHECKING:
    from sightline.types import Progress as Report

Clock = Callable[[], float]
"""Returns seconds."""


@contextlib.contextmanager
def one(label: str, screen: Console) -> Iterator[Report]:
    """Show one piece of work; yield the callback that is told how far it is."""
    if not screen.is_terminal:
        yield PlainLines(label, lambda line: screen.print(Text(line), soft_wrap=True))
        return
    with Progress(
        TextColumn("{task.description}"), _bar(screen), _Count(), TimeElapsedColumn(), _Left(),
        console=screen, transient=True,
    ) as shown:  # fmt: skip
        task = shown.add_task(escape(label), total=None)

        def report(done: int, total: int) -> None:
            shown.update(task, completed=done, total=total or None)

        yield report


@contextlib.contextmanager
def several(
    names: Sequence[str],
    screen: Console,
    result: Callable[[str], str] = lambda _: "",
    work: Mapping[str, float] | None = None,
) -> Iterator[Callable[[str, str, int, int], None]]:
    """Show several pieces of work that follow each other: the running one, and the whole.

    Yield the callback that is told (name, stage, done, total); the stages ``done`` and ``failed``
    end a piece of work, and ``result`` says in words what came out of one that is done. ``work``
    says how much there is to do of each, in any unit; else all are taken as alike.
    """

    def ended(name: str, stage: str) -> str:
        said = result(name) if stage == "done" else ""
        return f"{short[name]}: {said + '; ' if said else ''}{pace.told(name, stage)}"

    short = shortened(names)
    pace = Pace(names, work=work)
    if not screen.is_terminal:

        def write(line: str) -> None:
            screen.print(Text(line), soft_wrap=True)

        lines: dict[str, PlainLines] = {}

        def say(name: str, stage: str, done: int, total: int) -> None:
            new = pace.running != name
            pace.take(name, stage, done, total)
            if new and stage not in ENDS:
                lines[name] = PlainLines(f"{pace.place(name)} {short[name]}", write)
            if stage in ENDS:
                write(f"{pace.place(name)} {ended(name, stage)}{pace.left_text()}")
            elif name in lines:
                lines[name](done, total, f": {stage}")

        yield say
        return
    with Progress(
        TextColumn("{task.description}"), _bar(screen), TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"), console=screen, transient=True,
    ) as shown:  # fmt: skip
        running = shown.add_task("", total=None, visible=False, left="")
        whole = shown.add_task(f"0 of {len(names)}", total=len(names), left="")

        def move(name: str, stage: str, done: int, total: int) -> None:
            if pace.running != name and stage not in ENDS:
                shown.reset(running, total=None, visible=True)
            pace.take(name, stage, done, total)
            if stage in ENDS:
                shown.update(running, visible=False)
                shown.console.print(Text(ended(name, stage), style="dim"))
            else:
                words = f"{escape(short[name])}: {stage}"
                shown.update(running, description=words, completed=done, total=total or None)
            shown.update(
                whole, description=f"{len(pace.seconds)} of {len(names)}",
                completed=pace.completed(), left=pace.left_text().removeprefix("; "),
            )  # fmt: skip

        yield move


class _Count(MofNCompleteColumn):
    """How many of how many; nothing while the end is not known."""

    def render(self, task: Task) -> Text:
        return super().render(task) if task.total else Text("")


class _Left(TimeRemainingColumn):
    """The time that is left, with the word; nothing while it is not known."""

    def render(self, task: Task) -> Text:
        known = task.time_remaining is not None
        return Text.assemble("left ", super().render(task)) if known else Text("")


ENDS = ("done", "failed")
"""Stages that end a piece of work."""


AT_ONCE = 0.01
"""Seconds that nothing takes which was not done before."""


def _bar(screen: Console) -> BarColumn:
    return BarColumn(bar_width=min(30, max(screen.width - 60, 5)))


class PlainLines:
    """Says in plain lines how far a piece of work is: at once, then ever more rarely.

    Parameters
    ----------
    label : str
    write : callable
        Called with each line.
    clock : callable, optional
    """

    FIRST, LONGEST = 5.0, 60.0
    """Seconds from the first line to the second, and the most from one line to the next."""

    def __init__(
        self, label: str, write: Callable[[str], None], clock: Clock = time.monotonic
    ) -> None:
        self.label, self.write, self.clock = label, write, clock
        self.started = clock()
        self.pause = self.FIRST
        self.next = self.started + self.pause
        write(f"{label} ...")

    def __call__(self, done: int, total: int, stage: str = "") -> None:
        """Take note of how far it is, and say so when it is time for a line."""
        now = self.clock()
        if now < self.next:
            return
        self.pause = min(2 * self.pause, self.LONGEST)
        self.next = now + self.pause
        spent = now - self.started
        of = f"{done:,} of {total:,}" if total else f"{done:,}"
        # What is said of a stage tells nothing of the time of the others.
        known = 0 < done < total and not stage
        left = f", about {human(spent / done * (total - done))} left" if known else ""
        self.write(f"{self.label}{stage}: {of}, {human(spent)} so far{left}")


class Pace:
    """Estimates when pieces of work that follow each other will be done.

    Parameters
    ----------
    names : sequence of str
        In the order in which they are done.
    clock : callable, optional
    work : mapping of str to float, optional
        How much there is to do of each, in any unit. Default: all alike.

    Attributes
    ----------
    seconds : dict of str to float
        That each finished piece took; nothing is the time of one that had been done before.
    running : str or None
    """

    def __init__(
        self, names: Sequence[str], clock: Clock = time.monotonic,
        work: Mapping[str, float] | None = None,
    ) -> None:  # fmt: skip
        self.names, self.clock = list(names), clock
        self.work = dict.fromkeys(names, 1.0) if work is None else work
        self.seconds: dict[str, float] = {}
        self.running: str | None = None
        self.began = self.stage_began = clock()
        self.stage = ""
        self.share = self._most = 0.0

    def take(self, name: str, stage: str, done: int, total: int) -> None:
        """Take note of a stage, and how far it is."""
        now = self.clock()
        if name != self.running:
            self.running, self.began, self.stage = name, now, ""
        if stage != self.stage:
            self.stage, self.stage_began = stage, now
        self.share = done / total if total else 0.0
        if stage in ENDS:
            self.seconds[name] = now - self.began
            self.running = None

    def left(self) -> float | None:
        """Return the seconds that all will still take; None while nothing is known.

        The running one will take as long as its stage suggests, those that wait as long as the
        others did for as much work.
        """
        here = 0.0
        own = {name: took for name, took in self.seconds.items() if took > AT_ONCE}
        if self.running is not None and self.share > 0:
            spent = self.clock() - self.stage_began
            here = spent / self.share * (1 - self.share)
            own[self.running] = self.clock() - self.began + here
        if not own:
            return None
        ended = {*self.seconds, self.running}
        waiting = sum(self.work[name] for name in self.names if name not in ended)
        return here + waiting * sum(own.values()) / sum(self.work[name] for name in own)

    def left_text(self) -> str:
        """Return `left` in words, or nothing where nothing is known or left."""
        left = self.left()
        return f"; about {human(left)} left" if left and left >= 1 else ""

    def completed(self) -> float:
        """Return how many are done, and the share of the running one; it never falls."""
        share = 0.9 * self.share if self.running is not None and self.stage == "fit" else 0.0
        self._most = max(self._most, len(self.seconds) + share)
        return self._most

    def place(self, name: str) -> str:
        """Return which of all a piece of work is."""
        return f"[{self.names.index(name) + 1}/{len(self.names)}]"

    def told(self, name: str, stage: str) -> str:
        """Return how a piece of work ended, and the time it took."""
        took = self.seconds.get(name, 0.0)
        return f"{stage} in {human(took)}" if took > AT_ONCE else stage
