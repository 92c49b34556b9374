"""Every method by name: what it is, where its code lies, and what it may be tuned over.

Cards name their class as ``"module:attribute"``, so that listing them imports nothing.
A new model is one file and one card; ``train``, ``compare`` and the tables follow.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from sightline.errors import ParameterError, UnknownNameError
from sightline.types import Task


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What there is to know of a method without importing it.

    Parameters
    ----------
    name : str
    task : Task
    entry : str
        ``"module:attribute"`` of its class; the parameters of its ``__init__`` are the
        method's knobs, and so its command-line options.
    summary : str
        One line for tables.
    paper : str
    chapter : int
        Of the textbook; see ``docs/chapters.md``.
    input : str
        What it sees of an image.
    grid : mapping of str to tuple
        Values that tuning tries, by knob.
    sweep : str, optional
        ``"module:function"`` that evaluates the whole grid at once, where that shares
        work; see `sightline.models.classic.knn.sweep`.
    largest_side : int
        Images larger than this are scaled down to it unless a size is asked for.
    scale : str
        Default of the preprocessing knob `scale`.
    weights : tuple of str
        Names of published weights.
    """

    name: str
    task: Task
    entry: str
    summary: str
    paper: str
    chapter: int
    input: str = "pixels as given"
    grid: Mapping[str, tuple[Any, ...]] = field(default_factory=lambda: MappingProxyType({}))
    sweep: str | None = None
    largest_side: int = 32
    scale: str = "none"
    weights: tuple[str, ...] = ()

    def load(self) -> type[Any]:
        """Import the method's class."""
        return typing.cast("type[Any]", resolve(self.entry))


SEED = "seed"

_CLASSIC = "sightline.models.classic"

CARDS: dict[str, ModelCard] = {
    card.name: card
    for card in (
        ModelCard(
            name="majority",
            task=Task.CLASSIFY,
            entry=f"{_CLASSIC}.baselines:MajorityClassifier",
            summary="always the most frequent class: the floor",
            paper="none: the prior of the training labels",
            chapter=1,
            input="nothing",
        ),
        ModelCard(
            name="nearest-mean",
            task=Task.CLASSIFY,
            entry=f"{_CLASSIC}.baselines:NearestMeanClassifier",
            summary="the class whose mean image is nearest",
            paper="Duda, Hart & Stork, Pattern Classification, 2001, section 2.6",
            chapter=1,
        ),
        ModelCard(
            name="knn",
            task=Task.CLASSIFY,
            entry=f"{_CLASSIC}.knn:KNNClassifier",
            summary="the vote of the k most similar training images",
            paper="Cover & Hart, Nearest neighbor pattern classification, 1967",
            chapter=3,
            grid=MappingProxyType(
                {
                    "k": (1, 3, 5, 7, 9, 11, 15, 21),
                    "metric": ("l2", "l1", "cosine"),
                    "weights": ("uniform", "distance"),
                }
            ),
            sweep=f"{_CLASSIC}.knn:sweep",
        ),
    )
}


def card(name: str) -> ModelCard:
    """Look a method up.

    Raises
    ------
    UnknownNameError
        With the nearest name, when there is none of that name.
    """
    try:
        return CARDS[name]
    except KeyError:
        raise UnknownNameError("model", name, CARDS) from None


def list_models(task: Task | str | None = None) -> list[str]:
    """Names of all methods, the simplest first; of one task when given.

    Examples
    --------
    >>> import sightline
    >>> sightline.list_models("classify")[:3]
    ['majority', 'nearest-mean', 'knn']
    """
    return [c.name for c in CARDS.values() if task is None or c.task == task]


def resolve(entry: str) -> Any:
    """Import what ``"module:attribute"`` names."""
    module, _, attribute = entry.partition(":")
    return getattr(importlib.import_module(module), attribute)


@functools.cache
def knobs(name: str) -> type[Any]:
    """Give the knobs of a method as a dataclass: its ``__init__`` parameters.

    The fields carry the parameter's type, default and, as ``metadata["help"]``, what the
    class's docstring says of it. A parameter ``seed`` is no knob: `build` passes it.
    """
    from docstring_parser import parse

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
    chance = {SEED: seed} if SEED in inspect.signature(make).parameters else {}
    try:
        return make(**options, **chance)
    except TypeError as error:
        raise ParameterError(f"{name}: {error}") from error
