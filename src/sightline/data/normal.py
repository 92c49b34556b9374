"""Tell which class of a data set holds the good pictures, from which defects are told."""

from __future__ import annotations

from collections.abc import Sequence

from sightline.data.split_names import words
from sightline.errors import DataError

NAMES = (
    "good", "normal", "ok", "okay", "healthy", "intact", "no defect", "defect free", "non defect",
    "正常", "良品", "合格", "良好", "完好", "无缺陷", "無缺陷",
)  # fmt: skip
"""What the class of good pictures is called, in any case and with any signs between words."""


def is_normal(name: str) -> bool:
    """Tell whether a class is called as the good pictures'.

    Examples
    --------
    >>> is_normal("Good"), is_normal("no_defect"), is_normal("正常"), is_normal("goods train")
    (True, True, True, False)
    """
    return " ".join(words(name)) in NAMES


def normal_class(classes: Sequence[str]) -> int | None:
    """Return the number of the class of good pictures; None: no class is called so.

    Raises
    ------
    DataError
        When several are.
    """
    named = [number for number, name in enumerate(classes) if is_normal(name)]
    if len(named) > 1:
        said = " and ".join(repr(classes[number]) for number in named)
        raise DataError(f"{said} are both called as good pictures are; make one class of them")
    return named[0] if named else None
