"""Make methods from their model cards: their knobs, and instances with some of them set."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any

from sightline.errors import ParameterError
from sightline.models.card import ModelCard, resolve
from sightline.models.method import Method

SEED = "seed"


def knobs(card: ModelCard) -> type[Any]:
    """Return the knobs of a class as a dataclass: its ``__init__`` parameters.

    The fields carry the parameter's type, default and, as ``metadata["help"]``, what the class's
    docstring says of it. A parameter ``seed`` is no knob: `build` passes it; nor is what the card
    gives already.
    """
    return _knobs(card.entry, (SEED, *card.arguments))


@functools.cache
def _knobs(entry: str, given: tuple[str, ...]) -> type[Any]:
    from docstring_parser import parse

    cls = resolve(entry)
    hints = typing.get_type_hints(cls.__init__)
    said = {p.arg_name: p.description or "" for p in parse(inspect.getdoc(cls) or "").params}
    fields = []
    for parameter in list(inspect.signature(cls.__init__).parameters.values())[1:]:
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        if parameter.name in given:
            continue
        text = " ".join(said.get(parameter.name, "").split())
        spec = dataclasses.field(default=parameter.default, metadata={"help": text})
        fields.append((parameter.name, hints.get(parameter.name, Any), spec))
    return dataclasses.make_dataclass(f"{cls.__name__}Knobs", fields, frozen=True)


def build(card: ModelCard, options: Mapping[str, Any], seed: int = 0) -> Method:
    """Make an instance from options, and a seed where the class is random.

    Raises
    ------
    ParameterError
        When the class refuses a value.
    """
    make: Callable[..., Method] = card.load()
    chance = {SEED: seed} if card.load().seeded else {}
    try:
        return make(**dict(card.arguments), **options, **chance)
    except TypeError as error:
        raise ParameterError(f"{card.name}: {error}") from error
