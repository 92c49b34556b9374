"""Run ``sightline runs``: list what was trained and compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from sightline.bench import compare as bench
from sightline.bench import results
from sightline.cli import console
from sightline.errors import RunError
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
            f"{folder}: there is no such folder; sightline train and compare write to runs/"
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
    table = Table("run", "what", "data", "headline", "written (UTC)")
    for entry in entries:
        headline = entry["headline"]
        table.add_row(
            escape(entry["run"]), escape(entry["what"]), escape(entry["data"]),
            "" if headline is None else f"{entry['metric']} {headline:.4f} ({entry['split']})",
            str(entry["written"])[:16].replace("T", " "),
        )  # fmt: skip
    console.out().print(table)
    return 0


def _entry(place: Path) -> dict[str, Any] | None:
    try:
        if (place / bench.REQUEST).is_file():
            return _comparison(place)
        if run.is_run(place):
            return _run(place)
    except RunError as error:
        return _row(place, f"unreadable: {error}", "", None, None, None, "")
    return None


def _comparison(place: Path) -> dict[str, Any]:
    started = run.read_json(place / bench.REQUEST)
    data = Path(started["request"]["data"]).name
    if not (place / bench.RESULTS).is_file():
        return _row(place, "comparison, interrupted", data, None, None, None, started["started"])
    done = results.read(place / bench.RESULTS)
    best = next((m for m in done.ok if done.pick and m.name == done.pick.name), None)
    what = f"comparison of {len(done.methods)}: {best.name if best else 'none ran'}"
    headline, metric = (best.headline, best.metric) if best else (None, None)
    return _row(place, what, done.data.name, metric, headline, "test", started["started"])


def _run(place: Path) -> dict[str, Any]:
    config = run.read_json(place / run.CONFIG)
    told = run.read_headline(place)
    metric, value, split = (told.metric, told.headline, told.split) if told else (None, None, None)
    return _row(
        place, config["model"], config.get("data", {}).get("name", ""), metric, value, split,
        config.get("written", ""),
    )  # fmt: skip


def _row(
    place: Path, what: str, data: str, metric: str | None, headline: float | None,
    split: str | None, written: str,
) -> dict[str, Any]:  # fmt: skip
    return {
        "run": str(place), "what": what, "data": data, "metric": metric, "headline": headline,
        "split": split, "written": written,
    }  # fmt: skip
