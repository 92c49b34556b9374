"""A method from its name: which knobs it has, and an instance with some of them set.

Whatever lies behind a card, a class on arrays or a network with a training recipe, has
scikit-learn's contract here.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any

from sightline.errors import ParameterError, UnknownNameError
from sightline.models.registry import card
from sightline.training.recipe import Recipe

SEED = "seed"


@functools.cache
def knobs(name: str) -> type[Any]:
    """Give the knobs of a method as a dataclass: its ``__init__`` parameters.

    Those of a network are its training recipe's. Else the fields carry the parameter's type,
    default and, as ``metadata["help"]``, what the class's docstring says of it. A parameter
    ``seed`` is no knob: `build` passes it.
    """
    from docstring_parser import parse

    if card(name).kind == "module":
        return Recipe
    cls = card(name).load()
    hints = typing.get_type_hints(cls.__init__)
    said = {p.arg_name: p.description or "" for p in parse(inspect.getdoc(cls) or "").params}
    fields = []
    for parameter in list(inspect.signature(cls.__init__).parameters.values())[1:]:
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        if parameter.name == SEED:
            continue
        text = " ".join(said.get(parameter.name, "").split())
        spec = dataclasses.field(default=parameter.default, metadata={"help": text})
        fields.append((parameter.name, hints.get(parameter.name, Any), spec))
    return dataclasses.make_dataclass(f"{cls.__name__}Knobs", fields, frozen=True)


def build(name: str, options: Mapping[str, Any], seed: int = 0) -> Any:
    """Make a method's instance from its options, and the seed if it leaves things to chance.

    Raises
    ------
    UnknownNameError
        When it has no option of that name.
    ParameterError
        When the class refuses a value.
    """
    known = {f.name for f in dataclasses.fields(knobs(name))}
    for option in options:
        if option not in known:
            raise UnknownNameError(f"option of {name}", option, known or {"(none)"})
    make: Callable[..., Any] = card(name).load()
    if card(name).kind == "module":
        from sightline.estimators.network import ModuleClassifier

        return ModuleClassifier(card(name), options, seed)
    chance = {SEED: seed} if SEED in inspect.signature(make).parameters else {}
    try:
        return make(**options, **chance)
    except TypeError as error:
        raise ParameterError(f"{name}: {error}") from error
