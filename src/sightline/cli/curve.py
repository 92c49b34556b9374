"""Run ``sightline curve DATA [MODEL...]``: learning curves, and whether more images would help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.text import Text

from sightline.bench import curve as bench
from sightline.bench import jobs
from sightline.bench.curve_results import CurveResults
from sightline.cli import console, progress, tables
from sightline.counting import counted
from sightline.errors import ParameterError
from sightline.metrics import duration, figure_text
from sightline.report import learning_page, learning_said
from sightline.report.comparison import RUNS, new_folder
from sightline.report.learning import PICTURE
from sightline.report.learning_plot import learning_curves


def curve(
    data: str,
    /,
    *models: str,
    sizes: str | None = None,
    seeds: int = bench.SEEDS,
    task: Annotated[
        str | None,
        Parameter(
            help=f"Of data that serves several: {console.TASKS}; default: the first of them."
        ),
    ] = None,
    budget: str | None = None,
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
    """Measure methods on more and more training images of DATA; say whether yet more would help.

    Each size is drawn several times, the smaller ones within the larger ones. Every fit is measured
    on the whole test split. What is said of more images than there are is an extrapolation.

    Parameters
    ----------
    data
        Name, folder or archive of images.
    models
        Methods; default: all that suit the data, the floor left out.
    sizes
        Numbers of training images, such as 100,300,1000; default: about 6, by equal ratios, from a
        few a class to all.
    seeds
        Draws of each size.
    budget
        Time for each fit, such as 90s, 10m or 1.5h.
    output
        Folder of the curves; default runs/curve-DATA-TIME.
    resume
        Go on with the newest interrupted curves of the same request.
    """
    asked = None if sizes is None else numbers(sizes)
    bench.check_seeds(seeds)
    seconds = None if budget is None else duration.seconds(budget)
    loaded = console.load(data, seed=seed, group=group, layout=layout, allow_outside=allow_outside)
    notes: list[str] = []
    if not models:
        models, notes = bench.ladder(loaded, seconds, task)
    bench.check(loaded, models)
    chosen, more = bench.sizes_of(loaded.train, asked)
    for line in (*notes, *more):
        console.note(f"  {line}")
    loaded.notes += more
    request = bench.Request(
        data, models, chosen, seeds, group=group, layout=layout, seed=seed, budget=seconds,
        threads=threads, device=device, allow_outside=allow_outside,
    )  # fmt: skip
    folder = output
    if folder is None and resume:
        folder = bench.interrupted(RUNS, request, loaded.fingerprint())
        console.note(f"going on with {folder}" if folder else "nothing to resume; starting anew")
    if folder is None:
        folder = new_folder(loaded, "curve")
    fits = {fit.name: fit for fit in bench.fits_of(request, len(loaded.train))}
    console.note(
        f"{counted(len(fits), 'fit')} on {', '.join(f'{n:,}' for n in chosen)} training images, "
        f"{counted(seeds, 'draw')} of each size (#1 is the first)"
    )
    try:
        with progress.several(
            list(fits), console.err(), lambda name: _reached(folder, fits[name]),
            {name: fit.size + len(loaded.test) for name, fit in fits.items()},
        ) as report:  # fmt: skip
            results = bench.curve(loaded, request, folder, report)
    except KeyboardInterrupt:
        console.note(f"finished fits are kept in {folder}; the same command with --resume goes on")
        raise
    measured = any(m.measured for m in results.methods)
    with console.bar("writing the report"):
        page = learning_page.write(folder, loaded, language=lang)
        if measured:
            console.save_picture(learning_curves(results, results.data.name), folder / PICTURE)
    if json:
        console.print_json(results.model_dump(mode="json"))
    else:
        show(results)
        console.out().print(
            f"report: {page}" + (f", picture: {folder / PICTURE}" if measured else ""),
            soft_wrap=True, markup=False,
        )  # fmt: skip
    return 1 if any(m.failed for m in results.methods) else 0


def numbers(text: str) -> list[int]:
    """Read sizes that are parted by commas.

    Raises
    ------
    ParameterError
        When one is no whole number.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    try:
        return [int(part) for part in parts]
    except ValueError:
        raise ParameterError(
            f"--sizes are whole numbers parted by commas, such as 100,300,1000, not {text!r}"
        ) from None


def _reached(folder: Path, fit: bench.Fit) -> str:
    """Say in a few words what a fit reached."""
    entry = jobs.finished(fit.place(folder))
    if entry is None or entry.headline is None:
        return ""
    name = (entry.metric or "headline").replace("_", " ")
    return f"{name} {figure_text(entry.headline, entry.share)}"


def show(results: CurveResults) -> None:
    """Print learning curves: the table, the answer, and what else is to be known."""
    screen = console.out()
    headings, rows = learning_page.table(results)
    sizes = len(results.sizes)
    # A narrow terminal leaves out ten times the images first, then the smallest sizes; the largest
    # size and twice of it stay.
    ranks = (*range(sizes, 1, -1), 0, 0, sizes + 1)
    columns = [
        tables.Column("method", text=True, least=10),
        *(tables.Column(heading, rank) for heading, rank in zip(headings, ranks, strict=False)),
    ]
    tables.show(
        screen, columns,
        [[name, *(Text(text, style="italic dim" if guess else "") for text, guess in cells)]
         for name, cells in rows],
        rest="the report has them",
        title=f"{results.data.name}: {(results.metric or 'headline').replace('_', ' ')} on "
        f"{counted(results.tested, 'test image')}, by the number of training images",
    )  # fmt: skip
    for name, why in learning_page.failures(results):
        line = Text.assemble((f"{name} failed: ", "red"), console.as_options(why))
        screen.print(line, soft_wrap=True)
    screen.print(Text(learning_said.answer(results), style="bold"), soft_wrap=True)
    for said in learning_said.lines(results):
        screen.print(Text(said), soft_wrap=True)
    screen.print(Text(learning_said.protocol(results), style="dim"), soft_wrap=True)
