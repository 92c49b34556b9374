"""Fonts that can draw a text: what the default one lacks is sought among those installed.

Matplotlib draws a box for a character that its font lacks and says so in a warning at best. Here a
font is found, by what it can draw and not by its name alone, or the mend is said.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from sightline.errors import SightlineError

PREFERRED = (
    "Noto Sans CJK SC", "Noto Sans CJK", "Noto Sans SC", "Source Han Sans", "WenQuanYi",
    "PingFang", "Hiragino", "STHeiti", "Heiti", "Microsoft YaHei", "SimHei", "SimSun", "Droid Sans",
    "Arial Unicode",
)  # fmt: skip
"""Beginnings of family names with Chinese glyphs, the best looking first; any other comes after."""

_DEFAULT = "DejaVu Sans"  # comes with matplotlib


class MissingFontError(SightlineError):
    """No font that is installed can draw a text."""

    def __init__(self, lacking: str) -> None:
        shown = lacking if len(lacking) <= 8 else f"{lacking[:8]}..."
        super().__init__(f"no font here can draw {shown!r}; {_mend(lacking)}")


@contextlib.contextmanager
def drawing(*texts: str) -> Iterator[None]:
    """Within it, matplotlib draws these texts whole; the figure is made and saved there.

    Raises
    ------
    MissingFontError
        When no installed font has a character; with the package to install.
    """
    import matplotlib as mpl

    # It would say that a family has no normal weight, where any weight will do.
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    with mpl.rc_context({"font.family": families(texts), "axes.unicode_minus": True}):
        yield


def families(texts: Iterable[str]) -> list[str]:
    """Families that together have every character, the default first.

    Raises
    ------
    MissingFontError
        When there is a character that no font has.
    """
    wanted = dict.fromkeys(c for text in texts for c in text if c.isprintable())
    lacking = {c for c in wanted if not c.isspace()}
    chosen = []
    for family, path in _candidates():
        has = lacking & _characters(path)
        if has:
            chosen.append(family)
            lacking -= has
        if not lacking:
            break
    if lacking:
        raise MissingFontError("".join(c for c in wanted if c in lacking))
    return chosen if _DEFAULT in chosen else [_DEFAULT, *chosen]


def _candidates() -> Iterator[tuple[str, str]]:
    """Family and file of each font: the default, the preferred, then all others."""
    from matplotlib import font_manager

    manager = font_manager.fontManager
    yield _DEFAULT, font_manager.findfont(_DEFAULT)
    known = {entry.fname for entry in manager.ttflist}
    # Matplotlib keeps its list from the first run on: fonts installed since are not in it.
    for path in font_manager.findSystemFonts():
        if path not in known:
            with contextlib.suppress(Exception):  # a damaged font is no one's fault here
                manager.addfont(path)
    regular = [
        entry for entry in manager.ttflist
        if entry.style == "normal" and entry.name != _DEFAULT and Path(entry.fname).is_file()
    ]  # fmt: skip
    yield from (
        (entry.name, entry.fname)
        for entry in sorted(regular, key=lambda e: (_rank(e.name), e.weight != 400, e.name))
    )


def _rank(family: str) -> int:
    return next((i for i, p in enumerate(PREFERRED) if family.startswith(p)), len(PREFERRED))


def _characters(path: str) -> set[str]:
    from matplotlib.ft2font import FT2Font

    glyphs = FT2Font(path).get_charmap()
    # A placeholder font, such as the Last Resort that comes with matplotlib, "has" every character
    # by showing few boxes for all of them.
    if len(set(glyphs.values())) < len(glyphs) / 4:
        return set()
    return {chr(code) for code in glyphs}


def _mend(lacking: str) -> str:
    east = (("\u2e80", "\u9fff"), ("\uac00", "\ud7a3"), ("\uff00", "\uffef"))
    if not any(low <= c <= high for c in lacking for low, high in east):
        return "use other labels, or install a font that has it"
    if sys.platform == "darwin":
        return "install one: brew install --cask font-noto-sans-cjk-sc"
    if sys.platform == "win32":
        return (
            "install one: Settings, Apps, Optional features, add 'Chinese (Simplified) "
            "Supplemental Fonts'"
        )
    return (
        "install one: apt install fonts-noto-cjk (Debian, Ubuntu), dnf install "
        "google-noto-sans-cjk-fonts (Fedora), pacman -S noto-fonts-cjk (Arch), apk add "
        "font-noto-cjk (Alpine)"
    )
