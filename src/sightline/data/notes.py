"""Say what reading a data set left out, guessed or repaired, so that the audit can list it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

Severity = Literal["error", "warning", "note"]

UNUSABLE = "unusable-mask"
"""Kind of a note about masks that cannot be used, of which the audit names each."""


class Note(str):
    """A line about a data set that is also a finding of its audit.

    Parameters
    ----------
    text : str
    kind : str
        Stable name of the finding.
    severity : {"error", "warning", "note"}
        ``"error"`` where something is lost.
    count : int
        Images, files or objects concerned.
    mend : str
        What to do about it.
    examples : sequence of str
    seen : bool
        Whether the audit finds it by itself, and need not be told.
    """

    __slots__ = ("concerned", "examples", "kind", "mend", "seen", "severity")
    kind: str
    severity: Severity
    concerned: int
    mend: str
    examples: tuple[str, ...]
    seen: bool

    def __new__(
        cls, text: str, *, kind: str, severity: Severity = "note", count: int = 1,
        mend: str = "", examples: Sequence[str] = (), seen: bool = False,
    ) -> Note:  # fmt: skip
        """Make a note of a text."""
        self = super().__new__(cls, text)
        self.kind, self.severity, self.concerned = kind, severity, count
        self.mend, self.examples, self.seen = mend, tuple(examples), seen
        return self

    def __reduce__(self) -> tuple[object, ...]:
        return _made, (str(self), self.kind, self.severity, self.concerned, self.mend,
                       self.examples, self.seen)  # fmt: skip


def _made(
    text: str, kind: str, severity: Severity, count: int, mend: str, examples: tuple[str, ...],
    seen: bool,
) -> Note:  # fmt: skip
    return Note(
        text, kind=kind, severity=severity, count=count, mend=mend, examples=examples, seen=seen
    )


def lost(
    text: str, *, count: int = 1, examples: Sequence[str] = (), mend: str = "",
    kind: str = "left-out", seen: bool = False,
) -> Note:  # fmt: skip
    """Return a note of something that was left out."""
    return Note(
        text, kind=kind, severity="error", count=count, examples=examples, mend=mend, seen=seen
    )


def guessed(text: str, *, mend: str = "", kind: str = "guess") -> Note:
    """Return a note of how something was understood that could mean something else."""
    return Note(text, kind=kind, mend=mend)
