"""Read XML, JSON and YAML that others wrote: in any encoding, and within bounds.

Nothing here runs for ever, fills the memory or ends in a traceback, whatever the file holds: depth
is bounded, XML has no entities, aliases of YAML add up to a bounded number of values, a key that is
there twice is refused rather than dropped, and each error is one line with the file and the line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from sightline.data import text
from sightline.errors import DataError

MAX_DEPTH = 100
"""Of elements of XML, of lists and mappings of YAML and, once JSON is too deep, of that."""

MAX_XML_BYTES = 256 * 2**20
MAX_YAML_BYTES = 16 * 2**20
MAX_VALUES = 1_000_000
"""Of a YAML file, those of each alias counted anew."""

_DECLARATION = re.compile(r"\s*<\?xml\b[^>]*?\?>", re.IGNORECASE)
_DECLARED = re.compile(rb"<\?xml\b[^>]*?\bencoding\s*=\s*[\"']([^\"'>]{1,40})", re.IGNORECASE)
_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"\s*:?|[\[\]{}]|-?\d{4300,}', re.DOTALL)
_NOTHING = ("", "~", "null", "Null", "NULL")
_STANDARD_TAGS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:int", "tag:yaml.org,2002:float",
                  "tag:yaml.org,2002:bool", "tag:yaml.org,2002:null", "tag:yaml.org,2002:seq",
                  "tag:yaml.org,2002:map", "!")  # fmt: skip


def read_xml(path: Path) -> ElementTree.Element:
    """Return the root of an XML file, decoded as it declares, or as it is in truth.

    Raises
    ------
    DataError
        When it cannot be read, is not well-formed, declares entities, is nested deeper than
        `MAX_DEPTH` or larger than `MAX_XML_BYTES`.
    """
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import DefusedXMLParser

    page = text.read(path, _declared, limit=MAX_XML_BYTES)
    head = _DECLARATION.match(page)
    if head:  # it names an encoding that the text no longer has; its lines still count
        page = "\n" * head[0].count("\n") + page[head.end() :]
    # Only a DOCTYPE declares entities; the parser that refuses them takes twice as long.
    parser = DefusedXMLParser(target=_Bounded()) if "<!DOCTYPE" in page else ElementTree.XMLParser()
    try:
        parser.feed(page)
        root: ElementTree.Element = parser.close()
        _check_depth(root)
    except ElementTree.ParseError as error:
        raise DataError(f"{path}: not well-formed XML ({error}); export it again") from None
    except DefusedXmlException:
        raise DataError(f"{path}: declares XML entities; remove the DOCTYPE") from None
    except _TooDeep:
        raise DataError(
            f"{path}: elements are nested more than {MAX_DEPTH} deep; export it again"
        ) from None
    except (ValueError, UnicodeError) as error:
        raise DataError(f"{path}: not well-formed XML ({error}); export it again") from None
    return root


def read_json(path: Path) -> Any:
    """Return what a JSON file holds; see `parse_json`.

    Raises
    ------
    DataError
        When it cannot be read, or is no JSON within bounds.
    """
    return parse_json(text.read(path), path)


def parse_json(page: str | bytes, where: object) -> Any:
    """Return what JSON holds.

    NaN and Infinity, which Python writes though JSON has none, are read as such: who takes a
    number checks that it is finite.

    Parameters
    ----------
    page : str or bytes
    where : object
        Begins the message of an error.

    Raises
    ------
    DataError
        When it is malformed, has a key twice, is nested too deep, or a number has more digits
        than Python converts.
    """
    if isinstance(page, bytes):
        page = text.decode(page).text
    try:
        return json.loads(page, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{where}:{error.lineno}: malformed JSON ({error.msg}, column {error.colno})"
        ) from None
    except (_Twice, RecursionError, ValueError):
        line, why = _why_no_json(page)
        raise DataError(f"{where}:{line}: {why}") from None


def read_yaml(path: Path) -> Any:
    """Return what a YAML file holds: dicts, lists and text; scalars stay as they are written.

    ``no``, ``on``, ``007``, ``null`` and ``1_000`` are these texts, also as keys, so that names of
    classes stay what they are. See `is_nothing` for values that may be left out.

    Raises
    ------
    DataError
        When it cannot be read, is no YAML, has a key twice, or exceeds `MAX_DEPTH`, `MAX_VALUES`
        or `MAX_YAML_BYTES`.
    """
    import yaml

    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        events = iter(yaml.parse(text.read(path, limit=MAX_YAML_BYTES), Loader=loader))
        return _Tree(path, events).whole()
    except (yaml.YAMLError, ValueError, UnicodeError) as error:
        if isinstance(error, DataError):
            raise
        said = " ".join(str(error).replace("<unicode string>", "it").split())
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        raise DataError(f"{path}{line}: not a YAML file ({said})") from None


def is_nothing(value: Any) -> bool:
    """Tell whether a value of a YAML file means that there is none: empty, ~ or null."""
    return value is None or (isinstance(value, str) and value in _NOTHING)


class _TooDeep(Exception):  # noqa: N818 - what it says of a document
    """Elements are nested too deep."""


class _Twice(Exception):  # noqa: N818
    """A key is there twice."""


class _Bounded(ElementTree.TreeBuilder):
    """Builds a tree of XML up to a depth."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = 0

    def start(self, tag: Any, attrs: Any, /) -> ElementTree.Element:
        """Begin an element."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _TooDeep
        return super().start(tag, attrs)

    def end(self, tag: Any, /) -> ElementTree.Element:
        """End an element."""
        self._depth -= 1
        return super().end(tag)


def _declared(head: bytes) -> str | None:
    match = _DECLARED.search(head)
    return match[1].decode("latin-1") if match else None


def _check_depth(root: ElementTree.Element) -> None:
    level = [root]
    for _ in range(MAX_DEPTH):
        level = [inner for element in level for inner in element]
        if not level:
            return
    raise _TooDeep


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries = dict(pairs)
    if len(entries) < len(pairs):
        raise _Twice
    return entries


def _why_no_json(page: str) -> tuple[int, str]:
    """Return the line of what JSON was refused for, and what it is."""
    keys: list[set[str]] = []
    for token in _TOKENS.finditer(page):
        word, why = token[0], ""
        if word[0] in "[{":
            keys.append(set())
            if len(keys) > 2 * MAX_DEPTH:
                why = f"nested more than {2 * MAX_DEPTH} deep; export it again"
        elif word[0] in "]}":
            del keys[-1:]
        elif word[0] != '"':
            why = f"a number of {len(word):,} digits; mend it"
        elif word[-1] == ":" and keys:
            key = json.loads(word[:-1])
            if key in keys[-1]:
                why = f"the key {key[:60]!r} is there twice; keep one"
            keys[-1].add(key)
        if why:
            return page.count("\n", 0, token.start()) + 1, why
    return 1, "nested too deep; export it again"


class _Tree:
    """What the events of a YAML file add up to."""

    def __init__(self, path: Path, events: Iterator[Any]) -> None:
        self._path, self._events = path, events
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._values = 0

    def whole(self) -> Any:
        """Return the value of the only document; None where there is none."""
        import yaml

        value = None
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._refuse(event, "holds several documents (---); keep one")
                value = self._value(next(self._events), 0)
        return value

    def _value(self, event: Any, depth: int) -> Any:
        import yaml

        anchor = str(getattr(event, "anchor", None) or "")
        if isinstance(event, yaml.AliasEvent):
            if anchor not in self._anchors:
                self._refuse(event, f"*{anchor} stands before &{anchor}, or in it")
            value, count = self._anchors[anchor]
            self._count(event, count)
            return value
        tag = getattr(event, "tag", None)
        if tag is not None and tag not in _STANDARD_TAGS:
            self._refuse(event, f"not a YAML file of plain values ({tag}); remove the tag")
        before = self._values
        self._count(event, 1)
        if depth > MAX_DEPTH:
            self._refuse(event, f"nested more than {MAX_DEPTH} deep; write it anew")
        if isinstance(event, yaml.ScalarEvent):
            value = event.value
        elif isinstance(event, yaml.SequenceStartEvent):
            value = []
            while not isinstance(inner := next(self._events), yaml.SequenceEndEvent):
                value.append(self._value(inner, depth + 1))
        else:
            value = self._mapping(depth)
        if anchor:
            self._anchors[anchor] = value, self._values - before
        return value

    def _mapping(self, depth: int) -> dict[str, Any]:
        import yaml

        entries: dict[str, Any] = {}
        shared: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._value(event, depth + 1)
            if not isinstance(key, str):
                self._refuse(event, "a key is no plain text")
            value = self._value(next(self._events), depth + 1)
            if key == "<<" and isinstance(value, dict):
                shared |= value
            elif key in entries:
                self._refuse(event, f"the key {key[:60]!r} is there twice; keep one")
            else:
                entries[key] = value
        return shared | entries

    def _count(self, event: Any, more: int) -> None:
        self._values += more
        if self._values > MAX_VALUES:
            self._refuse(event, f"adds up to more than {MAX_VALUES:,} values; write it anew")

    def _refuse(self, event: Any, why: str) -> None:
        raise DataError(f"{self._path}:{event.start_mark.line + 1}: {why}")
