"""Make standard output and standard error hold whatever is written to them.

A console of another encoding (GBK on Windows in China, ASCII where no language is set) gets
characters that it lacks written out; where a stream is closed, or there is none, as under pythonw
and some services, work goes on without it.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import sys

_WRITTEN_OUT = "sightline-written-out"


def _written_out(error: UnicodeError) -> tuple[str | bytes, int]:
    """Replace what an encoding lacks: bytes of names as bytes, other characters by their number."""
    assert isinstance(error, UnicodeEncodeError)
    lacking = error.object[error.start : error.end]
    raw = lacking.encode("utf-8", "surrogateescape") if _is_raw(lacking) else None
    if raw is not None:
        return "".join(f"\\x{byte:02x}" for byte in raw), error.end
    return codecs.backslashreplace_errors(error)


def _is_raw(text: str) -> bool:
    return all("\udc80" <= character <= "\udcff" for character in text)


def prepare() -> None:
    """Open the streams that are closed, and let every stream hold any character."""
    codecs.register_error(_WRITTEN_OUT, _written_out)
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:  # else the next file that is opened takes this number
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=_WRITTEN_OUT)


def finish() -> None:
    """Write out what is left, and let go of streams whose reader has gone or whose disk is full."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
