"""Put a drawing into a page: as SVG that follows the page's colours, language and font."""

from __future__ import annotations

import hashlib
import html
import io
import re
from typing import TYPE_CHECKING, Any

from sightline.data import fonts
from sightline.report.words import Said

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SERIES = (
    ("#0072b2", "#5aa9ff", "o"), ("#d55e00", "#ff9a5c", "s"), ("#009e73", "#3ad6a8", "^"),
    ("#cc79a7", "#f0b4dc", "D"), ("#660011", "#666688", "v"), ("#221188", "#bbff33", "P"),
    ("#773355", "#bb7700", "X"), ("#8822ff", "#0077ff", "p"), ("#aa77ff", "#aa88bb", "*"),
    ("#bb3333", "#55ffaa", "<"), ("#442244", "#cc00cc", ">"), ("#885577", "#ee6677", "h"),
    ("#3333bb", "#995544", "d"), ("#990000", "#ffddff", "8"),
)  # fmt: skip
"""On a light page, on a dark one, and the shape: of each thing that is drawn beside others.

The first three are Okabe & Ito's; the others are as far as can be from all before them, also to
eyes that lack one kind of cones, and stand out from the page (3:1). Fourteen colours cannot all be
told apart by everybody, so each has a shape of its own.
"""

CELL = "#0072b2"
"""Colour of a full cell of a matrix; white letters can be read on it on any page."""

BACK = "#fefefe"
"""Stands for the colour of the page."""

GROWN = 1.5
"""Pixels of a wide page for a point of a drawing."""

_INK, _SOFT, _LINE = "var(--ink)", "var(--soft)", "var(--line)"
_VARIABLES = {
    "#000000": _INK, "#4c4c4c": _SOFT, "#595959": _SOFT, "#808080": _SOFT, "#999999": _SOFT,
    "#b2b2b2": _SOFT, "#ebebeb": _LINE, "#cccccc": _LINE, BACK: "var(--card)",
    **{light: f"var(--s{i})" for i, (light, _, _) in enumerate(SERIES, start=1)},
}  # fmt: skip


def svg(drawing: Figure, label: str = "") -> str:
    """Return a drawing as SVG to stand inside a page.

    Its letters stay text: they take the page's font, so that any script is shown, and a text that
    is `Said` stands in both languages, of which the page shows one. Its colours are the page's.

    Parameters
    ----------
    drawing : Figure
    label : str, optional
        What the drawing shows, for those who cannot see it.
    """
    from matplotlib.text import Text

    said: dict[str, Said] = {}
    texts: Any = drawing.findobj(Text)
    for text in texts:
        written = text.get_text()
        if isinstance(written, Said) and written.zh != written:
            said[f"said_{len(said)}"] = written
            text.set_gid(f"said_{len(said) - 1}")
    buffer = io.StringIO()
    fonts.save_as_text(drawing, buffer)
    page = buffer.getvalue()
    page = page[page.index("<svg") :]
    page = re.sub(r"<metadata>.*?</metadata>", "", page, flags=re.DOTALL)
    page = re.sub(r"<style type=\"text/css\">.*?</style>", "", page, flags=re.DOTALL)
    page = re.sub(r"; font-family: [^;\"]*", "", page)
    page = re.sub(r"font-family: [^;\"]*; ", "", page)
    for name, twofold in said.items():
        page = _in_both(page, name, twofold)
    page = _alone(page)
    page = re.sub(
        r"((?:fill|stroke): )(#[0-9a-f]{6})", lambda m: m[1] + _VARIABLES.get(m[2], m[2]), page
    )
    width = float(re.search(r'width="([\d.]+)pt"', page)[1])  # type: ignore[index]
    page = re.sub(r'width="[\d.]+pt" height="[\d.]+pt"', "", page, count=1)
    about = f'aria-label="{html.escape(label)}" ' if label else ""
    style = f'style="width:{GROWN * width:.0f}px"'
    return page.replace("<svg ", f'<svg role="img" {about}{style} ', 1)


def _in_both(page: str, name: str, text: Said) -> str:
    """Write a text in both languages, where the drawing has it in English."""

    def twice(match: re.Match[str]) -> str:
        start, english, end = match.groups()
        chinese = html.escape(text.zh, quote=False)
        tag = start.replace("<text ", '<text class="w" lang="{}" ', 1)
        return f"{tag.format('en')}{english}{end}{tag.format('zh')}{chinese}{end}"

    pattern = rf'(?<=<g id="{name}">)(\s*(?:<!--.*?-->\s*)?<text [^>]*>)(.*?)(</text>)'
    return re.sub(pattern, twice, page, flags=re.DOTALL)


def _alone(page: str) -> str:
    """Keep the identifiers that a drawing refers to, made unlike those of other drawings."""
    own = hashlib.sha1(page.encode(), usedforsecurity=False).hexdigest()[:8]
    needed = set(re.findall(r"#([\w.-]+)\)", page)) | set(re.findall(r'href="#([\w.-]+)"', page))
    page = re.sub(
        r' id="([\w.-]+)"', lambda m: f' id="{own}-{m[1]}"' if m[1] in needed else "", page
    )
    page = re.sub(r"url\(#([\w.-]+)\)", rf"url(#{own}-\1)", page)
    return re.sub(r'href="#([\w.-]+)"', rf'href="#{own}-\1"', page)
