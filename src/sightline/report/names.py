"""Cut the names of methods short for drawings and tables; pages and files keep them whole."""

from __future__ import annotations

import re
from collections.abc import Iterable

LONGEST = 28
"""Characters that a name may have in a drawing."""


def shorten(name: str, limit: int = LONGEST) -> str:
    """Cut a name short: of a path the last part is kept, and of the rest the two ends.

    Parameters
    ----------
    name : str
    limit : int
        The most characters of the result, at least 3.

    Examples
    --------
    >>> shorten("onnx:/home/me/models/flowers.onnx,pixels=unit")
    'onnx:…/flowers.onnx,pixels…'
    >>> shorten("linear")
    'linear'
    """
    if len(name) <= limit:
        return name
    name = re.sub(r"(?<![^:=,])([A-Za-z]:)?[^:=,]*[/\\](?=[^/\\:=,])", "…/", name)
    if len(name) <= limit:
        return name
    start, comma, _ = name.partition(",")  # what follows are options
    if comma and len(start) < limit:
        return f"{name[: limit - 1].rstrip(',=')}…"
    head = (name.partition("…/")[0] if "…/" in start else start)[: limit // 3]
    return f"{head}…{start[len(head) + 1 - limit :]}"


def shortened(names: Iterable[str], limit: int = LONGEST) -> dict[str, str]:
    """Cut names that stand together short; those that would look alike get a number.

    Examples
    --------
    >>> list(shortened(["onnx:/a/a/model.onnx", "onnx:/b/b/model.onnx"], 18).values())
    ['onnx:…/model.onnx', 'onnx:…model.onnx 2']
    """
    shown: dict[str, str] = {}
    for name in names:
        short, count = shorten(name, limit), 1
        while short in shown.values():
            count += 1
            short = f"{shorten(name, limit - len(str(count)) - 1)} {count}"
        shown[name] = short
    return shown
