"""Define the kinds of errors that a program can tell apart.

Every message says what is wrong, where, and how to mend it, in one line: the command
line prints it as it stands, without a traceback.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any


class SightlineError(Exception):
    """Base class of every error that Sightline raises on purpose."""


class DataError(SightlineError):
    """A data set, a file or an annotation cannot be used as it is."""


class TooLargeError(DataError):
    """An image has more pixels than are read."""


class TooCostlyError(TooLargeError):
    """An image asks for more time or memory than one of its size may take."""


class UnknownNameError(SightlineError):
    """No model, data set, metric or option goes by that name; the nearest one is suggested."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        known = sorted(known)
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
        super().__init__(f"unknown {kind} {name!r}; {hint}")
        self.kind, self.name, self.nearest = kind, name, near[0] if near else None


_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")


def missing(place: str | Path, what: str) -> str:
    """Return the message for a place that is not there: a URL, or a path with a like one beside.

    Parameters
    ----------
    place : str or path
        As it was given.
    what : str
        That is not there, such as ``"no such run"``.

    Examples
    --------
    >>> missing("https://example.org/photos.zip", "no such folder")
    'https://example.org/photos.zip is a URL, not a file here: download it, and give the file'
    """
    text = re.sub(r"^([a-zA-Z][a-zA-Z0-9+.-]+):/(?=[^/])", r"\1://", str(place))
    if _URL.match(text):
        return f"{text} is a URL, not a file here: download it, and give the file"
    near = nearest(Path(place).expanduser())
    return f"{place}: {what}" + ("" if near is None else f"; did you mean {near}?")


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most like another; None where none is like it."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return near[0] if near else None


def is_url(text: str) -> bool:
    """Tell whether a text is a URL with a scheme, such as https://; a Windows drive is none."""
    return _URL.match(text) is not None


def nearest(path: Path) -> Path | None:
    """Return the path whose name is nearest, where the folders above it are there; None: none is.

    The first part that is not there is the one that was mistyped.
    """
    parts = path.parts
    there = Path(*parts[:1]) if path.is_absolute() else Path()
    for i, part in enumerate(parts[1:] if path.is_absolute() else parts):
        try:
            if (there / part).exists():
                there /= part
                continue
            names = sorted(
                entry.name
                for entry in there.iterdir()
                if entry.name.startswith(".") == part.startswith(".")
            )
        except OSError:
            return None
        close = difflib.get_close_matches(part, names, n=1, cutoff=0.6)
        if not close:
            folded = [n for n in names if n.casefold() == part.casefold()]
            close = folded[:1]
        if not close:
            return None
        rest = parts[i + 1 + path.is_absolute() :]
        whole = (there / close[0]).joinpath(*rest)
        return whole if whole.exists() else there / close[0]
    return None


class ParameterError(SightlineError, ValueError):
    """A parameter has a value that the method cannot take."""


def wrong_kind(wanted: str, value: Any) -> ParameterError:
    """Return the error of an argument of another kind than the one that is wanted.

    Parameters
    ----------
    wanted : str
        The parameter and what it is, such as ``"seed is a whole number"``.
    value : object

    Examples
    --------
    >>> str(wrong_kind("seed is a whole number", "x"))
    "seed is a whole number, not str 'x'"
    """
    name = "None" if value is None else type(value).__name__
    short = isinstance(value, bool | int | float | str) and len(repr(value)) <= 40
    return ParameterError(f"{wanted}, not {name}{f' {value!r}' if short else ''}")


class NotFittedError(SightlineError):
    """A model was asked to predict before it was fitted."""


class TrainingError(SightlineError):
    """A training could not go on: the loss is not finite, or memory ran out."""


class RunError(SightlineError):
    """A run folder is missing, incomplete, from another version or not writable."""


class WeightsError(SightlineError):
    """Published weights cannot be fetched, or belong to another network."""


class MissingExtraError(SightlineError):
    """An optional dependency is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs the extra {extra!r}: pip install 'sightline[{extra}]'")
        self.extra = extra
