"""Draw text with fonts that have its characters, in drawings and in pictures.

Matplotlib and Pillow draw a box for a character that their font lacks. Here fonts are found by
what they can draw, among all that are installed, and not by their names alone. A character that
no font has becomes a mark that can be seen, and is told of once (`noticing`); a text can never
stop a drawing. Text of the usual characters costs nothing: no font is looked for.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import logging
import sys
import unicodedata
import warnings
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import SightlineError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties
    from matplotlib.text import Text
    from PIL import ImageDraw, ImageFont

PREFERRED = (
    "Noto Sans CJK SC", "Noto Sans CJK", "Noto Sans SC", "Source Han Sans", "WenQuanYi",
    "PingFang", "Hiragino", "STHeiti", "Heiti", "Microsoft YaHei", "SimHei", "SimSun", "Droid Sans",
    "Arial Unicode", "Noto Sans", "Noto Emoji", "Segoe UI", "Symbola",
)  # fmt: skip
"""Beginnings of family names that look best, the best first; any other comes after."""

_DEFAULT = "DejaVu Sans"  # comes with matplotlib
_REPLACEMENTS = "\ufffd\u25a1?"  # the first that the font has stands for what no font has

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

_lacking: ContextVar[dict[str, None] | None] = ContextVar("lacking", default=None)


_as_text: ContextVar[bool] = ContextVar("as_text", default=False)
"""Whether the letters of a drawing stay text, so that the fonts of this machine only measure it."""


class MissingFontError(SightlineError):
    """No installed font can draw a text that was asked for by name."""


class MissingFontWarning(UserWarning):
    """A picture shows a mark in place of characters that no installed font has."""


def figure(width: float, height: float, dpi: float | None = None) -> Figure:
    """Make a drawing without a window, whose text takes its fonts when it is drawn.

    Parameters
    ----------
    width, height : float
        In inches.
    dpi : float, optional
        Pixels an inch; default matplotlib's.
    """
    made: Figure = _figure_class()(figsize=(width, height), layout="constrained", dpi=dpi)
    return made


def save(drawing: Figure, target: Path | IO[Any], **options: Any) -> None:
    """Write a drawing to a file; the options are those of matplotlib's ``savefig``.

    Raises
    ------
    OSError
        When the place cannot be written.
    ValueError
        When there is no such format.
    """
    drawing.savefig(target, **options)


def save_as_text(drawing: Figure, target: IO[Any]) -> None:
    """Write a drawing as SVG whose letters stay text, to be shown in the reader's own fonts.

    A character that no font here has is kept too: the reader may have one.
    """
    import matplotlib as mpl

    # No metadata: it would carry a date, and addresses that a page need not have.
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    token = _as_text.set(True)
    try:
        with mpl.rc_context({"svg.hashsalt": "sightline", "svg.fonttype": "none"}):
            drawing.savefig(target, format="svg", metadata=nothing, transparent=True)
    finally:
        _as_text.reset(token)


@contextlib.contextmanager
def noticing() -> Iterator[dict[str, None]]:
    """Collect the characters that no font has, of all that is drawn within the context.

    `remark` says them in one line. Outside of it they are a `MissingFontWarning`.
    """
    missing: dict[str, None] = {}
    token = _lacking.set(missing)
    try:
        yield missing
    finally:
        _lacking.reset(token)


def remark(lacking: Iterable[str]) -> str:
    """Describe in one line which characters no font has, what is drawn instead, and the mend."""
    text = "".join(lacking)
    return f"{_said(text)}, and a mark stands for each; {_mend(text)}"


def require(*texts: str) -> None:
    """Refuse texts that would be drawn as marks alone, before anything is drawn.

    Raises
    ------
    MissingFontError
        When no installed font has a character; with the package to install.
    """
    lacking = "".join(dict.fromkeys(c for text in texts for c in _Settled(text).lacking))
    if lacking:
        raise MissingFontError(f"{_said(lacking)}; {_mend(lacking)}")


# --- drawings ----------------------------------------------------------------------------------


@functools.cache
def _figure_class() -> type[Figure]:
    from matplotlib import figure as mpl_figure

    class _Figure(mpl_figure.Figure):
        """A matplotlib figure that sets the fonts of its text before each drawing."""

        def draw(self, renderer: Any) -> None:
            with _settled(self):
                super().draw(renderer)

    return _Figure


@contextlib.contextmanager
def _settled(drawing: Figure) -> Iterator[None]:
    """Set fonts for the text of a drawing within the context, and take the text literally."""
    from matplotlib.text import Text

    numbers: set[int] = set()  # whose dollar signs are mathematics
    named: dict[int, Any] = {}  # formatters, by identity: axes that share an axis share one
    all_axes: Any = drawing.findobj(_is_axes)
    for axes in all_axes:
        for axis in axes._axis_map.values() if axes.axison else ():
            for minor in (False, True):
                formatter = axis.get_minor_formatter() if minor else axis.get_major_formatter()
                _write_plainly(formatter)
                labels = axis.get_ticklabels(minor=minor)  # written now, as drawing would
                if _is_named(formatter):
                    named[id(formatter)] = formatter
                else:
                    numbers.update(map(id, labels))
            numbers.add(id(axis.get_offset_text()))
    changed: list[tuple[Text, str]] = []
    texts: Any = drawing.findobj(Text)
    for text in texts:
        written = text.get_text()
        if id(text) not in numbers and "$" in written:
            text.set_parse_math(False)
        if _is_plain(written):
            continue
        settled = _Settled(written, text.get_fontproperties(), keep=_as_text.get())
        _notice(settled.lacking)
        if settled.families:
            own = text.get_fontfamily()
            text.set_fontfamily([*own, *(f for f in settled.families if f not in own)])
        if settled.text != written:
            text.set_text(settled.text)
            changed.append((text, written))
    wrapped = list(named.values()) if changed else []
    for formatter in wrapped:  # drawing will write the labels again
        formatter.format_ticks = _cleaned(formatter.format_ticks)
    try:
        with _quiet():
            yield
    finally:
        for formatter in wrapped:
            del formatter.format_ticks
        for text, written in changed:
            text.set_text(written)


def _is_axes(artist: Any) -> bool:
    return hasattr(artist, "_axis_map")


def _is_named(formatter: Any) -> bool:
    """Tell whether ticks show texts that were given, and not numbers that are formatted."""
    from matplotlib import ticker

    return isinstance(
        formatter,
        ticker.FixedFormatter | ticker.FuncFormatter | ticker.StrMethodFormatter
        | ticker.FormatStrFormatter | ticker.PercentFormatter,
    )  # fmt: skip


def _write_plainly(formatter: Any) -> None:
    """Make a formatter of logarithms write 0.04, not a formula; it still chooses what to label."""
    from matplotlib import ticker

    if isinstance(formatter, ticker.LogFormatter | ticker.LogitFormatter):
        write = type(formatter).format_ticks

        def format_ticks(values: Any) -> list[str]:
            labels = write(formatter, values)
            shown = [float(v) for v, text in zip(values, labels, strict=True) if text]
            plain = all(v == 0 or 1e-4 <= abs(v) < 1e6 for v in shown)
            said = iter(number(v, powers=not plain) for v in shown)
            return [next(said) if text else "" for text in labels]

        formatter.format_ticks = format_ticks  # type: ignore[method-assign]


def number(value: float, *, powers: bool = False) -> str:
    """Write a number for a tick: with all its digits, or with a power of ten.

    Examples
    --------
    >>> number(0.04), number(-1e5), number(3e-9, powers=True), number(1e12, powers=True)
    ('0.04', '−100,000', '3×10⁻⁹', '10¹²')
    """
    if not powers or value == 0:
        text = f"{value:,.10f}".rstrip("0").rstrip(".")
    else:
        digits, power = f"{value:.2e}".split("e")
        digits = digits.rstrip("0").rstrip(".")
        times = {"1": "", "-1": "-"}.get(digits, f"{digits}×")
        text = f"{times}10{str(int(power)).translate(_RAISED)}"
    return text.replace("-", "−")


def _cleaned(write: Any) -> Any:
    return lambda values: [_Settled(text).text for text in write(values)]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep matplotlib from saying that a family has no bold face, where any face will do."""
    log = logging.getLogger("matplotlib.font_manager")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        if not _as_text.get():
            yield
            return
        with warnings.catch_warnings():  # what is only measured may lack a character
            warnings.filterwarnings("ignore", message=".*missing from")
            yield
    finally:
        log.setLevel(before)


# --- pictures ----------------------------------------------------------------------------------


def write(
    draw: ImageDraw.ImageDraw, at: tuple[float, float], text: str, size: float, fill: str
) -> float:
    """Draw one line of text on a Pillow picture, each part in a font that has it.

    Where the text begins in a right-to-left script, its parts stand from right to left. Letters
    are joined where Pillow has libraqm; else each stands alone.

    Parameters
    ----------
    draw : ImageDraw
    at : (x, y)
        Left end and top, in pixels.
    text : str
    size : float
        Height of a letter with its overhang, in pixels.
    fill : str
        Colour.

    Returns
    -------
    float
        Width of the text, in pixels.
    """
    settled = _Settled(text)
    _notice(settled.lacking)
    runs = _runs(settled, size)
    base = _pillow_font(*_named_file(_default_file()), size).getmetrics()[0]
    x, y = at
    for part, font in runs:
        draw.text((x, y + base), part, fill=fill, font=font, anchor="ls")
        x += font.getlength(part)
    return x - at[0]


def width(text: str, size: float) -> float:
    """Measure the width of a line as `write` would draw it, in pixels."""
    return sum(font.getlength(part) for part, font in _runs(_Settled(text), size))


def fitting(name: str, end: str, size: float, room: float) -> str:
    """Return a name and what follows it, the name cut where the line would be wider than the room.

    Parameters
    ----------
    name, end : str
    size : float
        Height of a letter, in pixels; see `write`.
    room : float
        In pixels.
    """
    if width(name + end, size) <= room:
        return name + end
    shown = len(name)
    while shown > 1 and width(f"{name[:shown]}…{end}", size) > room:
        shown -= 1
    return f"{name[:shown]}…{end}"


def _runs(settled: _Settled, size: float) -> list[tuple[str, ImageFont.FreeTypeFont]]:
    """Split a text into parts with their fonts, in the order from left to right."""
    files = [_default_file(), *map(_file_of, settled.families)]
    text = settled.text.replace("\n", " ")

    def place(c: str) -> int:
        if c.isascii() or not settled.families:
            return 0
        return next((i for i, f in enumerate(files) if _has(f, c)), 0)

    places = [place(c) for c in text]
    for i, c in enumerate(text[1:], start=1):
        # A mark stays with its letter, a space with the word before it.
        if (unicodedata.combining(c) or c == " ") and _has(files[places[i - 1]], c):
            places[i] = places[i - 1]
    runs = [
        ("".join(text[i] for i in group), _pillow_font(*_named_file(files[where]), size))
        for where, group in itertools.groupby(range(len(text)), key=places.__getitem__)
    ]
    strong = (unicodedata.bidirectional(c) for c in text)
    first = next((kind for kind in strong if kind in ("L", "R", "AL")), "L")
    return runs if first == "L" else runs[::-1]


@functools.lru_cache(64)
def _pillow_font(path: str, index: int, size: float) -> ImageFont.FreeTypeFont:
    from PIL import ImageFont

    return ImageFont.truetype(path, size, index=index)


@functools.cache
def _default_file() -> str:
    """Find the font that comes with matplotlib, without asking for all the others."""
    import matplotlib as mpl

    return str(Path(mpl.get_data_path()) / "fonts/ttf/DejaVuSans.ttf")


def _file_of(family: str) -> str:
    from matplotlib.font_manager import FontProperties

    return _resolved(family, FontProperties()) or _default_file()


def _named_file(path: str) -> tuple[str, int]:
    """Return the file of a font and the number of the face in it: a collection holds several."""
    return str(path), getattr(path, "face_index", 0)


# --- which font has what -----------------------------------------------------------------------


class _Settled:
    """A text as it can be drawn.

    Parameters
    ----------
    written : str
    properties : FontProperties, optional
        Of its own font; default matplotlib's default font.
    keep : bool
        Whether what no font here has stays, as the reader's may have it.

    Attributes
    ----------
    text : str
        With spaces for control characters and marks for what no font has.
    families : tuple of str
        Needed beyond its own.
    lacking : tuple of str
        Characters that no font has.
    """

    def __init__(
        self, written: str, properties: FontProperties | None = None, *, keep: bool = False
    ) -> None:
        self.text, self.families, self.lacking = written, (), ()
        if _is_plain(written):
            return
        own = [_default_file()] if properties is None else _own_files(properties)
        families: dict[str, None] = {}
        lacking: dict[str, None] = {}
        out = []
        for c in written:
            kind = unicodedata.category(c)
            if kind in ("Cc", "Zl", "Zp"):
                out.append("\n" if c == "\n" else " ")
            elif any(_has(path, c) for path in own):
                out.append(c)
            elif kind == "Cf" or "\ufe00" <= c <= "\ufe0f" or "\U000e0100" <= c <= "\U000e01ef":
                # It joins and turns its neighbours, and has no look of its own.
                out.append(c if keep else "")
            elif family := _family_with(c, _like(properties)):
                families[family] = None
                out.append(c)
            elif c.isspace():
                out.append(" ")
            elif keep:
                out.append(c)
            else:
                lacking[c] = None
                out.append(next(m for m in _REPLACEMENTS if m == "?" or _has(own[0], m)))
        self.text, self.families, self.lacking = "".join(out), tuple(families), tuple(lacking)

    text: str
    families: tuple[str, ...]
    lacking: tuple[str, ...]


def _is_plain(text: str) -> bool:
    """Tell whether any font has the text; no font is opened for the answer."""
    return text.isascii() and text.replace("\n", "").isprintable()


def _notice(lacking: Iterable[str]) -> None:
    missing = _lacking.get()
    if missing is not None:
        missing.update(dict.fromkeys(lacking))
    elif text := "".join(lacking):
        warnings.warn(remark(text), MissingFontWarning, stacklevel=2)


def _like(properties: FontProperties | None) -> FontProperties:
    """Keep only the style and weight: they decide which file of a family is taken."""
    from matplotlib.font_manager import FontProperties

    if properties is None:
        return FontProperties()
    return FontProperties(
        family=_DEFAULT, style=properties.get_style(), weight=properties.get_weight(),
        stretch=properties.get_stretch(),
    )  # fmt: skip


def _own_files(properties: FontProperties) -> list[str]:
    if file := properties.get_file():
        return [str(file)]
    paths = (_resolved(family, properties) for family in properties.get_family())
    return [path for path in paths if path] or [_default_file()]


def _resolved(family: str, properties: FontProperties) -> str | None:
    """Find the file that matplotlib would take for a family; None where there is none."""
    from matplotlib import font_manager

    wanted = properties.copy()
    wanted.set_family(family)
    try:
        with _quiet():
            return font_manager.findfont(
                wanted, fallback_to_default=False, rebuild_if_missing=False
            )
    except ValueError:
        return None


@functools.cache
def _family_with(character: str, properties: FontProperties) -> str | None:
    """Find the best family whose face has a character; None where no font has it."""
    for family in itertools.chain(_known(), _installed_since()):
        path = _resolved(family, properties)
        if path and _has(path, character) and _is_drawn(path, character):
            return family
    return None


def _known() -> list[str]:
    """List the families that matplotlib knows of, in the order of preference."""
    from matplotlib import font_manager

    names = {e.name for e in font_manager.fontManager.ttflist if "Last Resort" not in e.name}
    return sorted(names, key=lambda n: (n != _DEFAULT, _rank(n), n))


@functools.cache
def _installed_since() -> tuple[str, ...]:
    """Find families that were installed after matplotlib made its list, at its first run."""
    from matplotlib import font_manager

    manager = font_manager.fontManager
    before = set(_known())
    files = {entry.fname for entry in manager.ttflist}
    for path in font_manager.findSystemFonts():
        if path not in files:
            with contextlib.suppress(Exception):  # a damaged font is no one's fault here
                manager.addfont(path)
    return tuple(name for name in _known() if name not in before)


def _rank(family: str) -> int:
    return next((i for i, p in enumerate(PREFERRED) if family.startswith(p)), len(PREFERRED))


def _has(path: str, character: str) -> bool:
    codes = _codes(path, getattr(path, "face_index", 0))
    i = int(np.searchsorted(codes, ord(character)))
    return i < len(codes) and int(codes[i]) == ord(character)


@functools.cache
def _codes(path: str, face_index: int) -> NDArray[np.uint32]:
    """Read the sorted code points of a font; none of one that is damaged or has only bitmaps."""
    from matplotlib.font_manager import get_font

    try:
        font = get_font(path)
        glyphs = font.get_charmap() if font.scalable else {}
    except Exception:  # noqa: BLE001 - a damaged font is no one's fault here
        glyphs = {}
    # A placeholder font, such as the Last Resort that comes with matplotlib, "has" every character
    # by showing few boxes for all of them.
    if len(set(glyphs.values())) < len(glyphs) / 4:
        glyphs = {}
    return np.sort(np.fromiter(glyphs, np.uint32, len(glyphs)))


def _is_drawn(path: str, character: str) -> bool:
    """Tell whether a glyph has an outline: those of colour fonts can be blank."""
    from matplotlib.font_manager import get_font

    if character.isspace():
        return True
    try:
        left, bottom, right, top = get_font(path).load_char(ord(character)).bbox
    except Exception:  # noqa: BLE001 - a damaged font is no one's fault here
        return False
    return right > left and top > bottom


def _said(lacking: str) -> str:
    shown = lacking if len(lacking) <= 8 else f"{lacking[:8]}..."
    return f"no font here can draw {shown!r}"


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
