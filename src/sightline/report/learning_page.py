"""Write the page of learning curves: the answer, the drawing, the table, and what failed."""

from __future__ import annotations

from pathlib import Path

from sightline.bench import curve as bench
from sightline.bench.curve_results import CurveResults, GainEntry, PointEntry, read
from sightline.counting import counted
from sightline.data.dataset import Dataset
from sightline.metrics import figure_text
from sightline.report import html, learning_said, plots
from sightline.report.learning_plot import learning_curves
from sightline.report.words import Language, say
from sightline.training import run

Cell = tuple[str, bool]
"""A text, and whether it is an extrapolation."""


def write(folder: Path, data: Dataset, *, language: Language | None = None) -> Path:
    """Write ``report.html`` of learning curves.

    Parameters
    ----------
    folder : path
        With ``results.json``.
    data : Dataset
        For its notes.
    language : "en" or "zh", optional
        That the page opens in; default: the browser's.

    Returns
    -------
    Path
        Of the page.

    Raises
    ------
    RunError
        When the folder is incomplete or cannot be written.
    """
    results = read(folder / bench.RESULTS)
    request = run.read_json(folder / bench.REQUEST)
    heading = say("What more training images bring")
    measured = any(m.measured for m in results.methods)
    columns, rows = table(results)
    page = html.template("curve.html.j2", language).render(
        title=say("{data}: would more photographs help?", data=results.data.name),
        results=results,
        answer=learning_said.answer(results),
        lines=learning_said.lines(results),
        protocol=learning_said.protocol(results),
        heading=heading,
        drawing=plots.svg(learning_curves(results), heading) if measured else "",
        columns=columns,
        rows=rows,
        guessed=any(guess for _, cells in rows for _, guess in cells),
        failures=failures(results),
        request=request,
        notes=data.notes,
        environment=request["environment"],
    )
    run.write_text(folder / html.REPORT, page)
    return folder / html.REPORT


def table(results: CurveResults) -> tuple[list[str], list[tuple[str, list[Cell]]]]:
    """Return the headings, and each method's name and cells: by size, then what is extrapolated."""
    told = learning_said.carried_on(results)
    gains = {name: m.trend.gains for name, m in told.items() if m.trend}
    ahead = next(iter(gains.values()), [])
    columns = [f"{size:,}" for size in results.sizes]
    columns += [say("{count} images (extrapolated)", count=f"{round(g.images):,}") for g in ahead]
    rows = []
    for method in results.methods:
        cells: list[Cell] = [(_measured(point, results), False) for point in method.points]
        cells += [(_extrapolated(gain, results), True) for gain in gains.get(method.name, ())]
        cells += [("-", False)] * (len(columns) - len(cells))
        rows.append((method.name, cells))
    return columns, rows


def failures(results: CurveResults) -> list[tuple[str, str]]:
    """Return what failed, a line for each method and reason, and why."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for method in results.methods:
        for point in method.points:
            for fit in point.fits:
                if fit.status == "failed":
                    fits = reasons.setdefault((method.name, fit.error or ""), [])
                    fits.append(f"{point.size:,} #{fit.draw + 1}")
    return [
        (f"{name} ({counted(len(fits), 'fit')}: {', '.join(fits)})", why)
        for (name, why), fits in reasons.items()
    ]


def _measured(point: PointEntry, results: CurveResults) -> str:
    """Return a point as a cell: its mean, its deviation, and how many fits ended."""
    if point.mean is None:
        return say("failed")
    mean = figure_text(point.mean, results.share, 1)
    if point.deviation is not None:
        spread = learning_said.difference(point.deviation, results)
        mean = f"{mean.removesuffix('%')} ± {spread}{'%' * results.share}"
    done = sum(fit.status == "ok" for fit in point.fits)
    if done == len(point.fits):
        return mean
    return say("{figure} ({done} of {all})", figure=mean, done=done, all=len(point.fits))


def _extrapolated(ahead: GainEntry, results: CurveResults) -> str:
    """Return where a law leads, with its band."""
    low, figure, high = (
        figure_text(value, results.share, 1) for value in (ahead.low, ahead.figure, ahead.high)
    )
    return say("{figure} ({low} to {high})", figure=figure, low=low, high=high)
