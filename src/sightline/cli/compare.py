"""Run ``sightline compare DATA [MODEL...]``: train and measure many methods on one data set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.markup import escape
from rich.text import Text

from sightline.bench import advice
from sightline.bench import compare as bench
from sightline.bench.pick import short as rounded
from sightline.bench.results import Cost, MethodEntry, Results
from sightline.cli import console, progress, tables
from sightline.counting import counted
from sightline.metrics import duration, figure_text
from sightline.metrics.paired import check_margin
from sightline.report import html
from sightline.report.comparison import RUNS, new_folder
from sightline.report.names import shortened

SHORTEST = 18
"""Characters to which the name of a method is shortened where the table has no room."""

MARK = " *"
"""Behind the name of a method that there is a remark about, under the table."""


def compare(
    data: str,
    /,
    *models: str,
    task: Annotated[
        str | None,
        Parameter(
            help=f"Of data that serves several: {console.TASKS}; default: the first of them."
        ),
    ] = None,
    budget: str | None = None,
    margin: float | None = None,
    cost: Cost = "latency",
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    resume: Annotated[bool, Parameter(negative="")] = False,
    group: console.Group = None,
    layout: console.Layout = None,
    allow_outside: console.AllowOutside = False,
    threads: console.Threads = None,
    device: console.Device = "auto",
    seed: console.Seed = 0,
    lang: console.Lang = None,
    json: console.Json = False,
) -> int:
    """Train and measure many methods on DATA, and say which to take.

    All see the same splits, are tuned on validation only, and meet the test split once.

    Parameters
    ----------
    data
        Name, folder or archive of images.
    models
        Methods; default: all that suit the data, the simplest first.
    budget
        Time for each method, such as 90s, 10m or 1.5h.
    margin
        By how much a cheaper method may be worse than the best and still be taken: in points of a
        share, such as accuracy (default 1: 1 of 100%), and of any other figure in its own unit
        (default 0). 0 takes the best.
    cost
        What is to be cheap: the time of one image (latency), the bytes on disk (size) or the
        seconds of tuning and fitting (training).
    output
        Folder of the comparison; default runs/compare-DATA-TIME.
    resume
        Go on with the newest interrupted comparison of the same request.
    """
    if margin is not None:
        check_margin(margin, "--margin")
    seconds = None if budget is None else duration.seconds(budget)
    loaded = console.load(data, seed=seed, group=group, layout=layout, allow_outside=allow_outside)
    if not models:
        models, notes = bench.ladder(loaded, seconds, task)
        for line in notes:
            console.note(f"  {line}")
    request = bench.Request(
        data, models, group=group, layout=layout,
        allow_outside=allow_outside, seed=seed, budget=seconds, margin=margin,
        in_points=True, cost=cost, threads=threads, device=device,
    )  # fmt: skip
    folder = output
    if folder is None and resume:
        folder = bench.interrupted(RUNS, request, loaded.fingerprint())
        console.note(f"going on with {folder}" if folder else "nothing to resume; starting anew")
    if folder is None:
        folder = new_folder(loaded)
    try:
        with progress.several(
            request.methods, console.err(), lambda name: _row(bench.finished(folder, name))
        ) as report:
            results = bench.compare(loaded, request, folder, report)
    except KeyboardInterrupt:
        console.note(
            f"finished methods are kept in {folder}; the same command with --resume goes on"
        )
        raise
    with console.bar("writing the report"):
        page = html.comparison(folder, loaded, language=lang)
    if json:
        console.print_json(results.model_dump(mode="json"))
    else:
        show(results)
        console.out().print(f"report: {page}", soft_wrap=True)
    return 0 if len(results.ok) == len(results.methods) else 1


def _row(entry: MethodEntry | None) -> str:
    """Say in a few words what a method reached, as its row will."""
    if entry is None or entry.headline is None:
        return ""
    figure = figure_text(entry.headline, entry.share)
    latency = "" if entry.latency_ms is None else f", {rounded(entry.latency_ms)} ms an image"
    return f"{(entry.metric or 'headline').replace('_', ' ')} {figure}{latency}"


def show(results: Results) -> None:
    """Print a comparison: its table, what is to be known of its rows, and the choice."""
    screen = console.out()
    own = [column for column in html.columns(results.task) if not column.page_only]
    names = [m.name for m in results.methods]
    marked = {m.name for m in results.methods if m.remarks}

    def short(_: Sequence[str], limit: int) -> list[str]:
        room = limit - len(MARK) if marked else limit
        return [n + MARK * (m in marked) for m, n in shortened(names, room).items()]

    columns = [
        tables.Column("method", text=True, least=SHORTEST, shorten=short),
        *(tables.Column(c.heading, c.rank) for c in own),
    ]
    rows: list[list[tables.Cell]] = []
    for m in results.methods:
        name = m.name + MARK * (m.name in marked)
        failed = m.status == "failed" or m.headline is None
        cells = [Text("failed", style="red")] if failed else [column.cell(m) for column in own]
        rows.append([name, *cells])
    picked = results.pick.name if results.pick else None
    tables.show(
        screen, columns, rows, rest="the report has them",
        title=f"{results.data.name}: {counted(results.data.counts.get('test', 0), 'test image')}",
        styles=["bold green" if m.name == picked else "" for m in results.methods],
    )  # fmt: skip
    for m in results.methods:
        for remark in m.remarks:
            said = console.as_options(remark)
            screen.print(Text.assemble((f"{m.name}{MARK}: ", "yellow"), said), soft_wrap=True)
        if m.status == "failed":
            why = console.as_options(m.error or "")
            screen.print(Text.assemble((f"{m.name} failed: ", "red"), why), soft_wrap=True)
    if given := {m.name: m.threads for m in results.ok if m.threads is not None}:
        said = ", ".join(
            f"{n} for {', '.join(name for name in given if given[name] == n)}"
            for n in sorted(set(given.values()))
        )
        only = f"{next(iter(given.values()))} each" if len(set(given.values())) == 1 else said
        screen.print(f"[dim]threads: {escape(only)}[/dim]", soft_wrap=True)
    if results.pick is not None:
        choice = results.pick
        result = f" {escape(choice.name)}: {escape(choice.result)}." if choice.result else ""
        screen.print(f"[bold]Take{result}[/bold]", soft_wrap=True)
        why = choice.reason.removeprefix(f"{choice.name}: ")
        screen.print(f"Why: {escape(why)}.", soft_wrap=True)
        if choice.sure:
            screen.print(f"How sure: {escape(choice.sure)}.", soft_wrap=True)
        if choice.gain:
            said = advice.gained(choice.gain)
            screen.print(f"What a pretrained network brings: {escape(said)}.", soft_wrap=True)
        for sentence in advice.sentences(choice.advice):
            screen.print(f"What would help: {escape(sentence)}", soft_wrap=True)
