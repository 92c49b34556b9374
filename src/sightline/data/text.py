"""Read text files in whatever encoding people have, and say where it was guessed.

A mark at the start decides (UTF-8, UTF-16, UTF-32), else the encoding that the file declares, where
it does; else UTF-8, where the bytes are that; else GB 18030, which holds GBK and GB 2312; else
Windows 1252. Programs for Windows in China write GB 18030 and call it gb2312 or *ansi*.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import re
import stat
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import NamedTuple

from sightline.counting import counted
from sightline.errors import DataError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# What a declared name stands for in practice: each holds the one before it, and more characters.
_WIDER = {
    "gb2312": "gb18030", "gbk": "gb18030", "big5": "big5hkscs", "shift_jis": "cp932",
    "euc_kr": "cp949", "ascii": "utf-8", "iso8859-1": "cp1252", "iso8859-9": "cp1254",
}  # fmt: skip
_MULTIBYTE = frozenset(("gb18030", "big5hkscs", "cp932", "cp949", "euc_jp", "cp950"))
_CALLED = {"gb18030": "GB 18030", "cp1252": "Windows 1252", "latin-1": "Latin 1"}
_LONE = re.compile("[\ud800-\udfff]")
_UNREADABLE = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_HAN_PAIR = re.compile(rb"[\x81-\xfe]([\x40-\x7e\x80-\xfe])")

_noticed: ContextVar[dict[tuple[str, str], list[str]] | None] = ContextVar("noticed", default=None)


class Decoded(NamedTuple):
    """A text and what it was read as.

    Parameters
    ----------
    text : str
    encoding : str
        Its name for people.
    guessed : bool
        Whether neither a mark, nor a declaration, nor being UTF-8 says so.
    """

    text: str
    encoding: str
    guessed: bool


def decode(raw: bytes, declared: str | None = None) -> Decoded:
    """Decode the bytes of a text file; see the head of this file for the order of attempts.

    Parameters
    ----------
    raw : bytes
    declared : str, optional
        What the file says of its encoding, believed where the bytes allow it.

    Examples
    --------
    >>> decode("猫狗".encode("gbk"))
    Decoded(text='猫狗', encoding='GB 18030', guessed=True)
    """
    for mark, encoding in _MARKS:
        if raw.startswith(mark):
            with contextlib.suppress(UnicodeDecodeError):
                return Decoded(raw[len(mark) :].decode(encoding), encoding.upper(), False)
    if (wide := _without_mark(raw)) is not None:
        with contextlib.suppress(UnicodeDecodeError):
            return Decoded(raw.decode(wide), wide.upper(), False)
    known = _codec(declared)
    if known is not None and not (known in _MULTIBYTE and _is_surely_utf8(raw)):
        with contextlib.suppress(UnicodeDecodeError):
            return Decoded(raw.decode(known), _name(known), False)
    for encoding in _candidates(raw):
        with contextlib.suppress(UnicodeDecodeError):
            guessed = encoding != "utf-8" or (known is not None and not raw.isascii())
            return Decoded(raw.decode(encoding), _name(encoding), guessed)
    raise AssertionError("Latin 1 decodes any bytes")


def read(
    path: Path,
    declared: Callable[[bytes], str | None] | None = None,
    limit: int | None = None,
) -> str:
    """Return the text of a file in whatever encoding, composed; where that was guessed, note it.

    Parameters
    ----------
    path : path
    declared : callable, optional
        Finds in the first KiB what the file says of its encoding.
    limit : int, optional
        Bytes that it may have.

    Raises
    ------
    DataError
        When it cannot be read, is no plain file, is too large or, by its zero bytes, no text.
    """
    raw = read_bytes(path, limit)
    said = declared(raw[:1024]) if declared else None
    decoded = decode(raw, said)
    if "\0" in decoded.text:
        raise DataError(f"{path}: is no text; it holds zero bytes")
    if decoded.guessed:
        kind = f"not what {said!r} means" if _codec(said) else "not UTF-8"
        note(f"{kind}, and read as {decoded.encoding}", [readable(str(path))])
    return unicodedata.normalize("NFC", decoded.text)


def read_bytes(path: Path, limit: int | None = None) -> bytes:
    """Return the bytes of a plain file; a pipe, which would be waited for, is refused.

    Raises
    ------
    DataError
    """
    try:
        about = os.stat(path)  # noqa: PTH116 - a Path object a file takes longer
        if not stat.S_ISREG(about.st_mode):
            raise DataError(f"{path}: is no file, but a folder, a pipe or a device")
        if limit is not None and about.st_size > limit:
            raise DataError(f"{path}: is larger than {limit >> 20} MiB; split it")
        with open(path, "rb") as file:  # noqa: PTH123
            return file.read()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
    except ValueError as error:  # a name with a zero byte
        raise DataError(f"{str(path)!r}: {error}") from None


def lines(path: Path) -> list[str]:
    """Return the lines of a text file that are not blank, stripped.

    Only line feeds and carriage returns part lines, so that a name may hold any other sign.

    Raises
    ------
    DataError
        When it cannot be read.
    """
    parts = re.split(r"\r\n|\n|\r", read(path))
    return [line.strip() for line in parts if line.strip()]


def names(given: Iterable[str]) -> dict[str, str]:
    """Return what names of files are as text, of those that change: decoded, and in one form.

    Names that Linux holds as other bytes than UTF-8's, as a zip of a Chinese Windows leaves them,
    are decoded together. Names of a Mac come in parts (NFD) and are put together (NFC).
    """
    every = sorted({name for name in given if not name.isascii()})
    odd = [name for name in every if _LONE.search(name)]
    decoded = dict(zip(every, every, strict=True))
    if odd:
        raws = [
            readable(name, bytes_too=False).encode("utf-8", "surrogateescape") for name in every
        ]
        texts, encoding = decode_names(raws)
        decoded = dict(zip(every, texts, strict=True))
        note(f"not UTF-8, and read as {encoding}", [decoded[name] for name in odd], "name")
    composed = {name: unicodedata.normalize("NFC", clear) for name, clear in decoded.items()}
    return {name: clear for name, clear in composed.items() if clear != name}


def decode_names(raws: Sequence[bytes], last: str = "cp1252") -> tuple[list[str], str]:
    """Decode the names of one folder or archive together, as a short one alone may mislead.

    Parameters
    ----------
    raws : sequence of bytes
    last : str
        The encoding when they are neither UTF-8 nor GB 18030.

    Returns
    -------
    names : list of str
    encoding : str
        Its name for people.

    Examples
    --------
    >>> decode_names(["猫".encode("gbk"), "狗".encode("gbk")])
    (['猫', '狗'], 'GB 18030')
    """
    for encoding in (*(c for c in _candidates(b"\n".join(raws)) if c[0] in "ug"), last):
        with contextlib.suppress(UnicodeDecodeError):
            return [
                raw.decode("utf-8" if _is_surely_utf8(raw) else encoding) for raw in raws
            ], _name(encoding)
    return [raw.decode("latin-1") for raw in raws], _name("latin-1")


def note(kind: str, examples: Sequence[str], noun: str = "file") -> None:
    """Note files, or what the noun says, whose encoding was guessed; see `noticing`."""
    noticed = _noticed.get()
    if noticed is not None:
        noticed.setdefault((noun, kind), []).extend(examples)


def say(line: str) -> None:
    """Note a whole line; see `noticing`."""
    noticed = _noticed.get()
    if noticed is not None:
        noticed[("", line)] = []


@contextlib.contextmanager
def noticing() -> Iterator[list[str]]:
    """Collect a line about each encoding that was guessed meanwhile; filled at the end.

    Threads that read meanwhile have to `join` it.
    """
    said: list[str] = []
    noticed: dict[tuple[str, str], list[str]] = {}
    token = _noticed.set(noticed)
    try:
        yield said
    finally:
        _noticed.reset(token)
        for (noun, kind), examples in noticed.items():
            if not noun:
                said.append(kind)
                continue
            first = "first " if len(examples) > 1 else ""
            many = counted(len(examples), f"{noun} is", f"{noun}s are")
            said.append(f"{many} {kind}: {first}{examples[0]}")


def join() -> Callable[[], None]:
    """Return a function that makes another thread note what it guesses here."""
    noticed = _noticed.get()

    def initialise() -> None:
        _noticed.set(noticed)

    return initialise


def readable(text: str, *, bytes_too: bool = True) -> str:
    r"""Return text that can be encoded, and that commands no terminal: other signs are written out.

    Parameters
    ----------
    text : str
    bytes_too : bool
        Whether this goes for the bytes of a name of Linux that is not UTF-8, too.

    Examples
    --------
    >>> readable("a\udcc3")
    'a\\xc3'
    """

    def written(lone: re.Match[str]) -> str:
        code = ord(lone[0])
        if code < 0x100:
            return f"\\x{code:02x}"
        if 0xDC80 <= code <= 0xDCFF:
            return f"\\x{code - 0xDC00:02x}" if bytes_too else lone[0]
        return f"\\u{code:04x}"

    return text if text.isascii() and text.isprintable() else _UNREADABLE.sub(written, text)


def line(text: str) -> str:
    """Return text as `readable` does, in one line."""
    return readable(text).replace("\n", "\\n").replace("\t", "\\t")


def escaped(document: str) -> str:
    """Return JSON that can be encoded: names of other bytes stay what they are, as escapes."""
    return _UNREADABLE.sub(lambda sign: f"\\u{ord(sign[0]):04x}", document)


def _without_mark(raw: bytes) -> str | None:
    """Return which UTF-16 or UTF-32 a text is by the zero bytes of its first two characters."""
    zeros = "".join("x" if byte else "0" for byte in raw[:4])
    by_zeros = {
        "000x": "utf-32-be", "x000": "utf-32-le", "0x0x": "utf-16-be", "x0x0": "utf-16-le"
    }  # fmt: skip
    return by_zeros.get(zeros)


def _codec(declared: str | None) -> str | None:
    """Return Python's name of a declared encoding of text; None where there is none."""
    if not declared:
        return None
    name = declared.strip().lower().removeprefix("x-").replace("_", "-")
    name = "cp932" if name == "windows-31j" else re.sub("^(windows|ms|ibm)-?(?=\\d)", "cp", name)
    try:
        info = codecs.lookup(name)
    except (LookupError, ValueError):
        return None
    # UTF-16 without its zero bytes is none; codecs such as rot13 and zlib are no encodings.
    if not info._is_text_encoding or info.name.startswith(("utf-16", "utf-32", "utf-7")):
        return None
    if info.name in ("idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined"):
        return None
    return _WIDER.get(info.name, info.name)


def _is_surely_utf8(raw: bytes) -> bool:
    """Tell whether bytes are UTF-8 that no text in another encoding looks like by chance.

    Two bytes of GBK may be one character of UTF-8; texts in which all characters have three
    bytes are none of GBK.
    """
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return not raw.isascii() and not re.search(rb"[\xc2-\xdf]", raw)


def _candidates(raw: bytes) -> tuple[str, ...]:
    """Return the encodings to try in turn."""
    if raw.isascii():
        return ("utf-8",)
    trails = [m[1][0] for m in _HAN_PAIR.finditer(raw[: 2**20])]
    # Frequent Chinese characters end in a high byte; a lone accent is followed by a letter.
    latin = 2 * sum(t < 0x80 for t in trails) > len(trails)
    return ("utf-8", *(() if latin else ("gb18030",)), "cp1252", "latin-1")


def _name(codec: str) -> str:
    return _CALLED.get(codec, codec.upper())
