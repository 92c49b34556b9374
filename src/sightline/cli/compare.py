"""Run ``sightline compare DATA [MODEL...]``: train and measure many methods on one data set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich import box
from rich.markup import escape
from rich.measure import Measurement
from rich.progress import TaskID
from rich.table import Table

from sightline.bench import compare as bench
from sightline.bench.results import Cost, Results
from sightline.cli import console
from sightline.metrics import duration
from sightline.metrics.paired import check_margin
from sightline.report import html
from sightline.report.comparison import RUNS, new_folder
from sightline.report.names import shortened
from sightline.report.parts import Column

SHORTEST = 18
"""Characters to which the name of a method is shortened where the table has no room."""


def compare(
    data: str,
    /,
    *models: str,
    task: str | None = None,
    budget: str | None = None,
    margin: float | None = None,
    cost: Cost = "latency",
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    resume: Annotated[bool, Parameter(negative="")] = False,
    group: console.Group = None,
    layout: console.Layout = None,
    seed: console.Seed = 0,
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
    task
        Of data that serves several; default: the first that there are methods for.
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
    loaded = console.load(data, seed=seed, group=group, layout=layout)
    if not models:
        models, notes = bench.ladder(loaded, seconds, task)
        for line in notes:
            console.note(f"  {line}")
    request = bench.Request(
        data, models, group=group, layout=layout, seed=seed, budget=seconds, margin=margin,
        in_points=True, cost=cost,
    )  # fmt: skip
    folder = output
    if folder is None and resume:
        folder = bench.interrupted(RUNS, request, loaded.fingerprint())
        console.note(f"going on with {folder}" if folder else "nothing to resume; starting anew")
    if folder is None:
        folder = new_folder(loaded)
    try:
        names = shortened(request.methods)
        with console.bars() as progress:
            tasks: dict[str, TaskID] = {
                name: progress.add_task(f"{names[name]}: waiting", total=None, start=False)
                for name in request.methods
            }

            def report(method: str, stage: str, done: int, total: int) -> None:
                task = tasks[method]
                if not progress.tasks[task].started:
                    progress.start_task(task)
                words = f"{names[method]}: {stage}"
                progress.update(task, description=words, completed=done, total=total)
                if stage in ("done", "failed"):
                    progress.stop_task(task)

            results = bench.compare(loaded, request, folder, report)
    except KeyboardInterrupt:
        console.note(
            f"finished methods are kept in {folder}; the same command with --resume goes on"
        )
        raise
    with console.bar("writing the report"):
        page = html.comparison(folder, loaded)
    if json:
        console.print_json(results.model_dump(mode="json"))
    else:
        show(results)
        console.out().print(f"report: {page}", soft_wrap=True)
    return 0 if len(results.ok) == len(results.methods) else 1


def show(results: Results) -> None:
    """Print a comparison as a table and a sentence."""
    screen = console.out()
    columns = wanted = [column for column in html.columns(results.task) if not column.page_only]
    longest = max(len(m.name) for m in results.methods)
    table = _table(results, columns, longest)
    whole = screen.options.update(width=10_000)
    # Figures are shown whole: names become short, then the last columns are left to the page.
    while (excess := Measurement.get(screen, whole, table).maximum - screen.width) > 0:
        if longest > SHORTEST:
            longest = max(longest - excess, SHORTEST)
        elif len(columns) > 1:
            columns = columns[:-1]
        else:
            break
        table = _table(results, columns, longest)
    screen.print(table)
    if len(columns) < len(wanted):
        rest = ", ".join(column.heading for column in wanted[len(columns) :])
        screen.print(f"[dim]no room here for: {escape(rest)}; the report has them[/dim]")
    for m in results.methods:
        if m.status == "failed":
            screen.print(
                f"[red]{m.name} failed:[/red] {escape(console.as_options(m.error or ''))}",
                soft_wrap=True,
            )
    if results.pick is not None:
        screen.print(f"[bold]Take {escape(results.pick.reason)}.[/bold]", soft_wrap=True)


def _table(results: Results, columns: Sequence[Column], longest: int) -> Table:
    """Return the methods and their figures as a table, names of at most `longest` characters."""
    title = f"{results.data.name}: {results.data.counts.get('test', 0):,} test images"
    table = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("method", no_wrap=True)
    for column in columns:
        table.add_column(column.heading, justify="right", no_wrap=True)
    names = shortened((m.name for m in results.methods), longest)
    for m in results.methods:
        picked = results.pick is not None and m.name == results.pick.name
        name = escape(names[m.name])
        if m.status == "failed" or m.headline is None:
            table.add_row(name, "[red]failed[/red]")
            continue
        cells = (column.cell(m) for column in columns)
        table.add_row(f"[bold green]{name}[/bold green]" if picked else name, *cells)
    return table
