"""Run ``sightline models``: list and show the methods."""

from __future__ import annotations

import dataclasses
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter
from rich.markup import escape

from sightline import tasks
from sightline.cli import console, options, tables
from sightline.cli.examples import under
from sightline.counting import counted
from sightline.errors import ParameterError, UnknownNameError
from sightline.estimators import estimator_for
from sightline.models import registry

if TYPE_CHECKING:
    from sightline.models.describe import Description, Layer

app = App(name="models", help="List the methods, or show one.", help_epilogue=under("models"))


@app.default
def models(
    *,
    task: Annotated[
        str | None, Parameter(help=f"Only those for one task: {console.TASKS}.")
    ] = None,
    json: console.Json = False,
) -> int:
    """List the methods, the simplest first."""
    known = set(tasks.with_cards())
    if task is not None and task not in known:
        raise UnknownNameError("task", task, known)
    cards = [registry.card(name) for name in registry.list_models(task)]
    if json:
        console.print_json([_plain(card) for card in cards])
        return 0
    columns = (
        tables.Column("model", text=True), tables.Column("task", 5),
        tables.Column("parameters", 1), tables.Column("input", 4),
        tables.Column("what it does", text=True, least=24),
        tables.Column("source", 2, text=True), tables.Column("weights", 3, text=True, least=9),
    )  # fmt: skip
    rows = [
        (
            card.name, str(card.task), f"{card.parameters:,}" if card.parameters else "",
            _times(card.shape) if card.shape else "", card.summary, card.paper,
            ", ".join(card.weights),
        )
        for card in cards
    ]  # fmt: skip
    tables.show(console.out(), columns, rows)
    return 0


@app.command(help_epilogue=under("models show"))
def show(
    name: str,
    /,
    *,
    input: str | None = None,
    classes: int | None = None,
    draw: Path | None = None,
    json: console.Json = False,
) -> int:
    """Show a method: its source, its knobs, and what tuning tries; of a network, its layers.

    Parameters
    ----------
    name
        Of the method; torchvision:NAME and timm:NAME are those libraries' networks, imagenet:NAME
        is one as it was trained on ImageNet.
    input
        Images to describe the network's layers for, such as 3x32x32: channels, height, width.
    classes
        Outputs of the network; default: as published.
    draw
        PNG to draw the network in.
    """
    card = registry.card(name)
    if input is not None or draw is not None or classes is not None:
        return _layers(card, input, classes, draw, json)
    knobs = dataclasses.fields(estimator_for(name).knobs(name))
    said = {knob.name: knob.text for knob in options.knobs_of(name)}
    if json:
        document = _plain(card)
        document["knobs"] = {f.name: card.recipe.get(f.name, f.default) for f in knobs}
        document["grid"] = {k: list(v) for k, v in card.grid.items()}
        console.print_json(document)
        return 0
    screen = console.out()
    screen.print(f"[bold]{card.name}[/bold] ({card.task}): {escape(card.summary)}")
    screen.print(f"source: {escape(card.paper)}; chapter {card.chapter}; sees {card.input}")
    if card.parameters and card.shape:
        network = card.arguments.get("network", card.name)
        screen.print(
            f"{counted(card.parameters, 'parameter')} as published, for {_times(card.shape)}; "
            f"layer by layer: sightline models show {network} --input {_times(card.shape)}"
        )
    screen.print(f"licence of the code: {escape(card.code)}")
    if card.licence:
        screen.print(f"licence of the published weights: {escape(card.licence)}")
        screen.print(f"they come from: {escape(card.origin)}")
    if knobs:
        columns = (
            tables.Column("knob", text=True, least=18),
            tables.Column("default", text=True, least=8),
            tables.Column("tuning tries", text=True, least=12),
            tables.Column("what it is", text=True, least=24),
        )  # fmt: skip
        rows = [
            (
                f"--{f.name.replace('_', '-')}", str(card.recipe.get(f.name, f.default)),
                ", ".join(str(v) for v in card.grid.get(f.name, ())), said[f.name],
            )
            for f in knobs
        ]  # fmt: skip
        tables.show(screen, columns, rows)
    return 0


def _layers(
    card: registry.ModelCard, input: str | None, classes: int | None, draw: Path | None, json: bool
) -> int:
    """Print a network layer by layer, and draw it if asked."""
    from sightline.models.describe import describe, on_paper

    if card.kind != "module":
        raise ParameterError(f"{card.name} is not a network, so it has no layers to show")
    shape = _shape(input, card)
    arguments = card.built_with(shape) | ({} if classes is None else {"num_classes": classes})
    try:
        network = describe(on_paper(lambda: card.load()(**arguments)), shape)
    except (RuntimeError, AssertionError, ValueError) as error:
        why = str(error).partition("\n")[0]
        raise ParameterError(f"{card.name} cannot take {_times(shape)}: {why}") from None
    if draw is not None:
        from sightline.report import architecture

        console.save_picture(architecture.draw(card.name, network), draw)
        console.note(f"picture: {draw}")
    if json:
        document = _plain(card)
        document |= {
            "shape": list(shape), "parameters": network.parameters,
            "multiply_adds": network.multiply_adds, "layers": [_row(x) for x in network.layers],
            "picture": None if draw is None else str(draw),
        }  # fmt: skip
        console.print_json(document)
    else:
        _print_layers(card, network)
    return 0


def _print_layers(card: registry.ModelCard, description: Description) -> None:
    """Print a line for each layer; the receptive field is in input pixels."""
    title = f"{card.name}, input {_times(description.input)}"
    columns = (
        tables.Column("layer", text=True), tables.Column("kind", 3, text=True, least=10),
        tables.Column("output"), tables.Column("kernel", 4), tables.Column("stride", 5),
        tables.Column("parameters", 1), tables.Column("multiply-adds", 2), tables.Column("sees", 6),
    )  # fmt: skip
    rows = [
        (
            layer.name or "itself", layer.kind, _times(layer.shape), _side(layer.kernel),
            _side(layer.stride), f"{layer.parameters:,}" if layer.parameters else "",
            f"{layer.multiply_adds:,}" if layer.multiply_adds else "", _side(layer.field),
        )
        for layer in description.layers
    ]  # fmt: skip
    sums = ("in all", "", "", "", "", f"{description.parameters:,}",
            f"{description.multiply_adds:,}", "")  # fmt: skip
    tables.show(console.out(), columns, rows, title=title, footer=sums)


def _row(layer: Layer) -> dict[str, object]:
    """Return a layer as JSON has it; the receptive field is null where it is the whole image."""
    row = dataclasses.asdict(layer)
    del row["block_kind"]
    seen = row.pop("field")
    whole = seen is None or math.isinf(seen[0])
    return row | {"receptive_field": None if whole else [int(n) for n in seen]}


def _shape(text: str | None, card: registry.ModelCard) -> tuple[int, int, int]:
    """Parse channels, height and width, or take them from the card."""
    if text is None:
        return card.shape or (3, 224, 224)
    match = re.fullmatch(r"(\d+)[x×,](\d+)[x×,](\d+)", text.strip())
    if not match or "0" in match.groups():
        raise ParameterError(
            f"--input must be channels, height and width, such as 3x32x32, not {text}"
        )
    channels, height, width = (int(n) for n in match.groups())
    if min(height, width) < card.smallest_side:
        raise ParameterError(
            f"{card.name} needs images of at least {card.smallest_side} pixels a side, not "
            f"{min(height, width)}"
        )
    return channels, height, width


def _times(shape: tuple[int, ...]) -> str:
    return "x".join(str(n) for n in shape)


def _side(pair: tuple[float, float] | None) -> str:
    if pair is None:
        return ""
    if math.isinf(pair[0]):
        return "all"
    return f"{pair[0]:.0f}" if pair[0] == pair[1] else f"{pair[0]:.0f}x{pair[1]:.0f}"


def _plain(card: registry.ModelCard) -> dict[str, object]:
    return {
        "name": card.name, "task": str(card.task), "summary": card.summary,
        "paper": card.paper, "chapter": card.chapter, "input": card.input,
        "weights": list(card.weights), "parameters": card.parameters,
        "licences": {"code": card.code, "weights": card.licence or None},
        "weights_from": card.origin or None,
        "shape": list(card.shape) if card.shape else None,
    }  # fmt: skip
