"""Register every method by name: what it is, where its code is, and what tuning tries.

Cards name their class as ``"module:attribute"``, so that listing them imports none of it. They
stand in ``models/<task>/cards.py``: a new method is one file and one card; ``train``, ``compare``
and the tables follow.
"""

from __future__ import annotations

import difflib
import functools
import importlib
from types import ModuleType
from typing import cast

from sightline import tasks
from sightline.errors import UnknownNameError, wrong_kind
from sightline.models.card import SMALL, ModelCard, resolve
from sightline.types import Task

__all__ = ["CARDS", "SMALL", "ModelCard", "card", "list_models", "resolve"]


def _modules() -> list[ModuleType]:
    """Import the cards of every task."""
    return [
        importlib.import_module(f"sightline.models.{name}.cards") for name in tasks.with_cards()
    ]


CARDS: dict[str, ModelCard] = {card.name: card for module in _modules() for card in module.CARDS}


def foreign() -> dict[str, list[str]]:
    """Return what makes cards for other people's models, by the prefix of the name.

    A task's cards say it in ``FOREIGN``: prefix to ``"module:function"``. Several tasks may know
    the models of one library.
    """
    makers: dict[str, list[str]] = {}
    for module in _modules():
        for prefix, entry in getattr(module, "FOREIGN", {}).items():
            makers.setdefault(prefix, []).append(entry)
    return makers


def is_foreign(name: str) -> bool:
    """Tell whether a name has the prefix of other people's models, such as ``onnx:``."""
    return name.partition(":")[0] in foreign()


def card(name: str) -> ModelCard:
    """Return the card of a method.

    ``torchvision:NAME`` and ``timm:NAME`` are those libraries' models, ``onnx:FILE`` is an exported
    one, ``imagenet:NAME`` a network as it was trained on ImageNet.

    Raises
    ------
    UnknownNameError
        With the nearest name, when there is none of that name.
    MissingExtraError
        When the library is not installed.
    """
    source, _, rest = name.partition(":")
    if rest and is_foreign(name):
        return _foreign(source, rest)
    try:
        return CARDS[name]
    except KeyError:
        raise UnknownNameError("model", name, CARDS) from None


@functools.cache
def _foreign(source: str, name: str) -> ModelCard:
    """Make a card by the first task that knows such a model; imports the library."""
    unknown = list[UnknownNameError]()
    for entry in foreign()[source]:
        try:
            return cast(ModelCard, resolve(entry)(name))
        except UnknownNameError as error:
            unknown.append(error)
    nearest = difflib.get_close_matches(name, [e.nearest for e in unknown if e.nearest], 1)
    raise next((e for e in unknown if [e.nearest] == nearest), unknown[0])


def list_models(task: Task | str | None = None) -> list[str]:
    """Return the names of all methods, the simplest first; of one task when given.

    Raises
    ------
    UnknownNameError
        When there is no such task.

    Examples
    --------
    >>> import sightline
    >>> sightline.list_models("classify")[:3]
    ['majority', 'nearest-mean', 'linear']
    """
    known = {*map(str, Task), *(str(c.task) for c in CARDS.values())}
    if task is not None and not isinstance(task, str):
        raise wrong_kind("task is the name of one", task)
    if task is not None and task not in known:
        raise UnknownNameError("task", task, known)
    return [c.name for c in CARDS.values() if task is None or c.task == task]
