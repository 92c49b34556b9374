"""Find the modules of a task by its name, as the formats of data are found.

A task is one file of its name in each of five rooms, and one script of the page::

    metrics/TASK.py  estimators/TASK.py  deploy/TASK.py  deploy/graphs/TASK.py  report/TASK.py
    deploy/web/TASK.js

Its methods have their cards in ``models/TASK/cards.py``. All of them may also lie outside this
package: in a folder ``sightline/`` with the same folders in it that stands on Python's path.
"""

from __future__ import annotations

import functools
import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Literal

from sightline.errors import UnknownNameError

Room = Literal["metrics", "estimators", "deploy", "deploy.graphs", "report"]

ROOMS: tuple[Room, ...] = ("metrics", "estimators", "deploy", "deploy.graphs", "report")
"""Where each task has a file."""


def module(room: Room, task: str) -> ModuleType:
    """Import a task's file of a room.

    Raises
    ------
    UnknownNameError
        When there is no such task here.
    """
    if task not in names():
        raise UnknownNameError("task", task, names())
    return importlib.import_module(f"sightline.{room}.{task}")


def part(room: str, task: str, what: str) -> ModuleType | None:
    """Import a file that only some tasks have in a room, ``TASK_WHAT.py``; None: it has none.

    Parameters
    ----------
    room : str
    task : str
    what : str
        What the file is for, as its name says behind the task's.
    """
    if not any((place / f"{task}_{what}.py").is_file() for place in places(room)):
        return None
    return importlib.import_module(f"sightline.{room}.{task}_{what}")


@functools.cache
def names() -> tuple[str, ...]:
    """Return the names of the tasks that have a file in every room, sorted; nothing is imported.

    Examples
    --------
    >>> "classify" in names()
    True
    """
    return tuple(sorted(set.intersection(*(_files_of(room, "*.py") for room in ROOMS))))


@functools.cache
def with_cards() -> tuple[str, ...]:
    """Return the names of the folders of ``models/`` that have cards, sorted."""
    return tuple(sorted(p.name for place in places("models") for p in place.iterdir()
                        if (p / "cards.py").is_file()))  # fmt: skip


def places(folder: str) -> list[Path]:
    """Return where a folder of this package lies: here, and wherever else Python's path has one."""
    folders = (
        Path(place) / folder.replace(".", "/") for place in sys.modules["sightline"].__path__
    )
    return [place for place in folders if place.is_dir()]


def _files_of(room: str, pattern: str) -> set[str]:
    return {p.stem for place in places(room) for p in place.glob(pattern) if p.stem[0] != "_"}
