"""Read and write durations as people do: ``90s``, ``10m``, ``1.5h``."""

from __future__ import annotations

import re

from sightline.errors import ParameterError

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(text: str) -> float:
    """Read a duration, in seconds.

    Raises
    ------
    ParameterError
        When it is not a positive number with s, m or h.

    Examples
    --------
    >>> seconds("10m")
    600.0
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh]?)\s*", text.lower())
    value = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if value <= 0:
        raise ParameterError(f"a time must be written such as 90s, 10m or 1.5h, not {text!r}")
    return value


def human(value: float) -> str:
    """Return a duration in words.

    Examples
    --------
    >>> [human(0.0123), human(4.56), human(75), human(7260)]
    ['12 ms', '4.6 s', '1 m 15 s', '2 h 1 m']
    """
    if value < 1:
        return f"{value * 1e3:.0f} ms" if value >= 0.001 else f"{value * 1e3:.2f} ms"
    if value < 60:
        return f"{value:.1f} s"
    if value < 3600:
        return f"{int(value // 60)} m {int(value % 60)} s"
    return f"{int(value // 3600)} h {int(value % 3600 // 60)} m"
