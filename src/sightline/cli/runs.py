"""Run ``sightline runs``: list what was trained and measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sightline.bench import compare as bench
from sightline.bench import curve, curve_results, results
from sightline.cli import console, tables
from sightline.errors import RunError, missing
from sightline.metrics import figure_text
from sightline.training import run


def runs(folder: Path = Path("runs"), /, *, json: console.Json = False) -> int:
    """List past runs with their headline figures, the newest first.

    Parameters
    ----------
    folder
        Where they lie.
    """
    if not folder.is_dir():
        raise RunError(
            missing(folder, "there is no such folder")
            + "; sightline train, compare and curve write to runs/"
        )
    entries = sorted(
        (entry for place in folder.iterdir() if place.is_dir() and (entry := _entry(place))),
        key=lambda entry: str(entry["written"]),
        reverse=True,
    )
    if json:
        console.print_json(entries)
        return 0
    if not entries:
        console.out().print(f"no run in {folder}")
        return 0
    columns = (
        tables.Column("run", text=True), tables.Column("what", text=True, least=12),
        tables.Column("data", 3, text=True, least=8), tables.Column("figure", 1, text=True),
        tables.Column("value"), tables.Column("written", 2),
    )  # fmt: skip
    rows = []
    for entry in entries:
        measured = entry["headline"] is not None
        rows.append((
            entry["run"], entry["what"], entry["data"],
            f"{entry['split']} {entry['metric'].replace('_', ' ')}" if measured else "",
            figure_text(entry["headline"], entry["share"]) if measured else "",
            console.when(entry["written"]),
        ))  # fmt: skip
    tables.show(console.out(), columns, rows)
    return 0


def _entry(place: Path) -> dict[str, Any] | None:
    try:
        if (place / bench.REQUEST).is_file():
            return _comparison(place)
        if (place / curve.REQUEST).is_file():
            return _curves(place)
        if run.is_run(place):
            return _run(place)
    except RunError as error:
        return _row(place, f"unreadable: {error}", "", None, "")
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        return _row(place, f"unreadable: its record lacks {error}", "", None, "")
    return None


def _comparison(place: Path) -> dict[str, Any]:
    started = run.read_json(place / bench.REQUEST)
    data = Path(started["request"]["data"]).name
    if not (place / bench.RESULTS).is_file():
        return _row(place, "comparison, interrupted", data, None, started["started"])
    done = results.read(place / bench.RESULTS)
    best = next((m for m in done.ok if done.pick and m.name == done.pick.name), None)
    what = f"comparison of {len(done.methods)}: {best.name if best else 'none ran'}"
    told = None
    if best and best.headline is not None:
        told = run.Headline(best.headline, best.metric or "", "test", best.share)
    return _row(place, what, done.data.name, told, started["started"])


def _curves(place: Path) -> dict[str, Any]:
    started = run.read_json(place / curve.REQUEST)
    data = Path(started["request"]["data"]).name
    if not (place / curve.RESULTS).is_file():
        return _row(place, "curves, interrupted", data, None, started["started"])
    done = curve_results.read(place / curve.RESULTS)
    best = done.leads[-1].method if done.leads else None
    what = f"curves of {len(done.methods)}: {best or 'none ran'}"
    told = None
    if best and (figure := done.named(best).measured[-1].mean) is not None:
        told = run.Headline(figure, done.metric or "", "test", done.share)
    return _row(place, what, done.data.name, told, started["started"])


def _run(place: Path) -> dict[str, Any]:
    config = run.read_json(place / run.CONFIG)
    data = config.get("data", {}).get("name", "")
    return _row(place, config["model"], data, run.read_headline(place), config.get("written", ""))


def _row(
    place: Path, what: str, data: str, told: run.Headline | None, written: str
) -> dict[str, Any]:
    return {
        "run": str(place), "what": what, "data": data, "metric": told and told.metric,
        "headline": told and told.headline, "split": told and told.split,
        "share": told and told.share, "written": written,
    }  # fmt: skip
