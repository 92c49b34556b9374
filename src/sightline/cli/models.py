"""``sightline models``: the methods."""

from __future__ import annotations

import dataclasses

from cyclopts import App
from rich.markup import escape
from rich.table import Table

from sightline.cli import console
from sightline.estimators import methods
from sightline.models import registry
from sightline.types import Task

app = App(name="models", help="List the methods, or show one.")


@app.default
def models(*, task: Task | None = None, json: console.Json = False) -> int:
    """List the methods, the simplest first.

    Parameters
    ----------
    task
        Only those for one task.
    """
    cards = [registry.card(name) for name in registry.list_models(task)]
    if json:
        console.print_json([_plain(card) for card in cards])
        return 0
    table = Table("model", "task", "what it does", "source")
    for card in cards:
        table.add_row(card.name, str(card.task), escape(card.summary), escape(card.paper))
    console.out().print(table)
    return 0


@app.command
def show(name: str, /, *, json: console.Json = False) -> int:
    """Show a method: its source, its knobs, and what tuning tries.

    Parameters
    ----------
    name
        Of the method.
    """
    card = registry.card(name)
    knobs = dataclasses.fields(methods.knobs(name))
    if json:
        document = _plain(card)
        document["knobs"] = {f.name: f.default for f in knobs}
        document["grid"] = {k: list(v) for k, v in card.grid.items()}
        console.print_json(document)
        return 0
    screen = console.out()
    screen.print(f"[bold]{card.name}[/bold] ({card.task}): {escape(card.summary)}")
    screen.print(f"source: {escape(card.paper)}; chapter {card.chapter}; sees {card.input}")
    if knobs:
        table = Table("knob", "default", "tuning tries", "what it is")
        for f in knobs:
            tries = ", ".join(str(v) for v in card.grid.get(f.name, ()))
            text = str(f.metadata["help"])
            table.add_row(f"--{f.name.replace('_', '-')}", str(f.default), tries, escape(text))
        screen.print(table)
    return 0


def _plain(card: registry.ModelCard) -> dict[str, object]:
    return {
        "name": card.name, "task": str(card.task), "summary": card.summary,
        "paper": card.paper, "chapter": card.chapter, "input": card.input,
        "weights": list(card.weights),
    }  # fmt: skip
