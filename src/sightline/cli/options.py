"""Build verbs whose options depend on MODEL: its knobs become typed, documented options."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from cyclopts import App, Parameter

from sightline.cli.examples import under
from sightline.data.transforms import Preprocess
from sightline.estimators import estimator_for
from sightline.models import registry

Options = Mapping[str, Any]


def dispatch(verb: Callable[..., int], tokens: tuple[str, ...]) -> int:
    """Call a verb with the options of the model that its first word names.

    `verb` has the parameters (model, data, *, ..., given): `given` receives those knobs of
    the model and of preprocessing that the user has set.
    """
    words = [t for t in tokens if not t.startswith("-")]
    wants_help = "--help" in tokens or "-h" in tokens or not tokens
    app = App(
        name=f"sightline {verb.__name__.removesuffix('_model')}",
        help=inspect.getdoc(verb),
        help_epilogue=under(verb.__name__.removesuffix("_model")),
        help_format="markdown",
        version_flags=[],
        suppress_keyboard_interrupt=False,
        exit_on_error=False,
        print_error=False,
        result_action="return_value",
    )
    name = words[0] if words and not (wants_help and words[0] not in registry.CARDS) else None
    app.default(with_knobs(verb, name))
    result = app(["--help"] if not tokens else list(tokens))
    return result if isinstance(result, int) else 0


def with_knobs(verb: Callable[..., int], model: str | None) -> Callable[..., int]:
    """Replace the parameter `given` by one option for each knob."""
    own = inspect.signature(verb)
    hints = typing.get_type_hints(verb, include_extras=True)
    parameters = [
        p.replace(annotation=hints[p.name]) for p in own.parameters.values() if p.name != "given"
    ]
    knobs = knobs_of(model)
    for knob in knobs:
        text = f"{knob.text.replace('``', '')} [default: {knob.default}]"
        option = Parameter(help=text, show_default=False, negative="")
        parameters.append(
            inspect.Parameter(
                knob.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=None,
                annotation=Annotated[knob.kind | None, option],
            )
        )

    def call(*args: Any, **kwargs: Any) -> int:
        given = {f.name: kwargs.pop(f.name, None) for f in knobs}
        return verb(*args, **kwargs, given={k: v for k, v in given.items() if v is not None})

    call.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": int}
    call.__doc__ = verb.__doc__
    return call


@dataclasses.dataclass(frozen=True, slots=True)
class Knob:
    """An option of a verb: its name, type, default and help."""

    name: str
    kind: Any
    default: Any
    text: str


def knobs_of(model: str | None) -> list[Knob]:
    """Return the knobs of a model and of preprocessing; none without a model."""
    if model is None:
        return []
    prepared = estimator_for(model).preprocess_of(model)
    before = [
        dataclasses.replace(knob, default=getattr(prepared, knob.name))
        for knob in _fields(Preprocess)
    ]
    own = dict(registry.card(model).recipe)
    method = [
        dataclasses.replace(knob, default=own.get(knob.name, knob.default))
        for knob in _fields(estimator_for(model).knobs(model))
    ]
    return [*method, *before]


def _fields(kind: type[Any]) -> list[Knob]:
    """Return the fields of a dataclass as knobs, with their descriptions."""
    from docstring_parser import parse

    said = {
        p.arg_name: p.description or ""
        for base in reversed(kind.__mro__)  # a task's recipe describes only its own knobs
        for p in parse(inspect.cleandoc(base.__doc__ or "")).params
    }
    hints = typing.get_type_hints(kind)
    return [
        Knob(
            field.name, hints[field.name], field.default,
            " ".join((field.metadata.get("help") or said.get(field.name, "")).split()),
        )
        for field in dataclasses.fields(kind)
    ]  # fmt: skip
