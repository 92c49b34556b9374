"""Run ``sightline cost RUN``: compare what deployments cost."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.markup import escape

from sightline.cli import console, tables
from sightline.counting import counted
from sightline.deploy import cost as money
from sightline.deploy import export
from sightline.training import run


def cost(
    run_folder: Path,
    /,
    *,
    rate: float = 10.0,
    p99: float = 200.0,
    prices: Path | None = None,
    images: Path | None = None,
    write_prices: Path | None = None,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    json: console.Json = False,
) -> int:
    """Compare what it costs to deploy a RUN: cloud, own server, edge box, browser.

    Parameters
    ----------
    run_folder
        Folder that train or compare wrote, an .onnx file that export wrote, or imagenet:NAME.
    rate
        Requests a second at the busiest time.
    p99
        Milliseconds within which 99 of 100 requests are to be answered.
    prices
        TOML file of prices; default: placeholders, marked as such.
    images
        Folder of pictures to measure with; default: the run's own data.
    write_prices
        Do not measure: write the placeholders to this file, to edit.
    output
        PNG of cost against volume; default cost.png in the run's folder.
    """
    known = money.read_prices(prices)
    if write_prices is not None:
        run.write_text(write_prices, money.example())
        console.note(f"written: {write_prices}; edit it, then: --prices {write_prices}")
        return 0
    model = export.exported(run_folder)
    pictures = export.samples(run_folder, images)
    measured = money.measure(model, pictures)
    modes = money.rows(measured, known, rate, p99)
    said = money.advice(modes, known, p99)
    target = output or (run_folder if run_folder.is_dir() else run_folder.parent) / "cost.png"
    from sightline.report.cost import cost_against_volume

    volume = rate / known.peak * money.HOURS * 3600
    target = console.save_picture(cost_against_volume(measured, known, p99, volume), target)
    if json:
        console.print_json(
            {
                "rate": rate, "p99_target_ms": p99, "measured": dataclasses.asdict(measured),
                "modes": [dataclasses.asdict(row) for row in modes], "advice": said,
                "example_prices": known.example, "prices_date": str(known.date),
                "picture": str(target),
            }
        )  # fmt: skip
        return 0
    _show(measured, known, modes, rate, p99)
    screen = console.out()
    screen.print(f"[bold]{escape(said)}[/bold]", soft_wrap=True)
    if known.example:
        screen.print(
            "These prices are placeholders, nobody's offer: sightline cost RUN --write-prices "
            "prices.toml, edit, then --prices prices.toml",
            soft_wrap=True,
        )
    screen.print(f"cost against volume: {escape(str(target))}", soft_wrap=True)
    return 0


def _show(
    measured: money.Measured, prices: money.Prices, rows: list[money.Row], rate: float, p99: float
) -> None:
    columns = (
        tables.Column("mode", text=True), tables.Column("ms a request", 3),
        tables.Column("images/s a machine", 5), tables.Column("MiB", 6),
        tables.Column("kB a picture", 7), tables.Column("machines", 2), tables.Column("p99 ms", 1),
        tables.Column(f"{prices.currency} a month"), tables.Column("a million", 4),
    )  # fmt: skip
    lines = []
    for row in rows:
        able = row.machines is not None and not math.isnan(row.month)
        lines.append((
            row.title, f"{row.latency_ms:,.1f}", f"{row.throughput:,.0f}",
            f"{row.memory_mb:,.0f}", f"{row.wire_kb:,.1f}",
            f"{row.machines:,}" if able else "-", f"{row.p99_ms:,.0f}" if able else "too slow",
            f"{row.month:,.2f}" if able else "-", f"{row.per_million:,.2f}" if able else "-",
        ))  # fmt: skip
    screen = console.out()
    tables.show(screen, columns, lines, title=f"{rate:g} requests/s, p99 {p99:g} ms")
    screen.print(
        f"Measured here, one core, {counted(measured.pictures, 'picture')} of "
        f"{measured.image_kb:.1f} kB: "
        f"{measured.service_ms:.2f} ms a picture ({measured.decode_ms:.2f} of it decoding), "
        f"{1e3 * measured.server.alone:.2f} through the server, which answers "
        f"{measured.server.capacity:,.0f} a second in batches; {measured.memory_mb:,.0f} MiB, "
        f"model {measured.model_mb:.2f} MiB. Assumed: other machines as multiples of that core, "
        "network times, and prices, all from the price file; requests that come at random, and "
        "waiting by a simulation of the server.",
        soft_wrap=True,
    )
