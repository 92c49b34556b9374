"""Make methods from their model cards: their knobs, and instances with some of them set."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal, Union

import numpy as np

from sightline.errors import ParameterError, UnknownNameError, wrong_kind
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


def check_kinds(kind: type[Any], options: Mapping[str, Any], *, choices: bool = False) -> None:
    """Refuse options of another kind than their field of a dataclass is.

    Only fields of numbers and text are checked.

    Parameters
    ----------
    kind : type
        The dataclass.
    options : mapping of str to object
    choices : bool
        Check a field of choices for being one of them, too; methods check theirs themselves.

    Raises
    ------
    UnknownNameError
        When text is none of a field's choices.
    ParameterError
        When a value is of another kind.
    """
    hints = typing.get_type_hints(kind)
    for name, value in options.items():
        kinds, words, known = _kinds_of(hints.get(name))
        if not kinds:
            continue
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise wrong_kind(f"{name} is {words}", value)
        if choices and isinstance(value, str) and known and value not in known:
            raise UnknownNameError(name, value, known)


def _kinds_of(hint: Any) -> tuple[tuple[type, ...], str, tuple[str, ...]]:
    """Return the types of a field, what they are in words, and its choices of text."""
    numbers: dict[Any, tuple[tuple[type, ...], str]] = {
        bool: ((bool, np.bool_), "true or false"),
        int: ((int, np.integer), "a whole number"),
        float: ((int, float, np.integer, np.floating), "a number"),
        str: ((str,), "text"),
        type(None): ((type(None),), "None"),
    }
    if hint in numbers:
        return (*numbers[hint], ())
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) is Literal:
        texts = tuple(a for a in arguments if isinstance(a, str))
        kinds = tuple({type(a) for a in arguments})
        return kinds, f"one of {', '.join(map(str, arguments))}", texts
    if typing.get_origin(hint) not in (Union, types.UnionType):
        return (), "", ()
    parts = [_kinds_of(argument) for argument in arguments]
    if not all(kinds for kinds, *_ in parts):
        return (), "", ()
    words = " or ".join(words for _, words, _ in parts)
    choices = (
        ()
        if any(str in kinds and not c for kinds, _, c in parts)
        else sum((c for *_, c in parts), ())
    )
    return tuple(one for kinds, *_ in parts for one in kinds), words, choices


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
