"""Parse images from request bodies: one image's bytes, files of a form, or base64 in JSON."""

from __future__ import annotations

import binascii
import re
from functools import lru_cache
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import unquote

from pydantic import BaseModel, Field, ValidationError
from pydantic_core import from_json
from python_multipart.multipart import parse_options_header

from sightline.deploy.server.problems import Problem

RAW = ("application/octet-stream", "image/")
MULTIPART, JSON = "multipart/form-data", "application/json"
FIELD = "images"
MAX_FIELD = 1000
"""Bytes of a field that is no image."""

_PLAIN = re.compile(
    rb'\r\ncontent-disposition: form-data; name="([a-z]+)"(?=[;\r]|$)', re.IGNORECASE
)
"""How nearly every client names a part; others are read at leisure."""

Kind = TypeVar("Kind", bound=BaseModel)


class Asked(BaseModel, extra="forbid"):
    """The options of a prediction: from the query, the fields of a form, or the JSON."""

    model: str | None = Field(None, description="name of a model; default: the first one")
    top: int = Field(5, ge=1, le=1000, description="how many classes to name")
    threshold: Annotated[float, Field(ge=0, le=1)] | Literal["auto"] = Field(
        0.0,
        description='an answer with a lower score is marked as rejected; "auto": one with a lower '
        "score than the threshold of its class, which training chose",
    )


PLAIN = Asked()


class Encoded(Asked, title="Images"):
    """Images in JSON."""

    images: list[str] = Field(min_length=1, description="image files, in base64 or as data URLs")


def parse(
    content_type: str, body: bytes, query: dict[str, str], max_images: int
) -> tuple[list[bytes], Asked]:
    """Parse a body into images and options.

    Parameters
    ----------
    content_type : str
        Value of the request's Content-Type header.
    body : bytes
    query : dict
        Query parameters of the address.
    max_images : int

    Returns
    -------
    images, asked

    Raises
    ------
    Problem
        When it cannot be read, holds no image, or more than `max_images`.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind.startswith(RAW):
        images, asked = [body] if body else [], check(query)
    elif kind == MULTIPART:
        images, fields = files(content_type, body, max_images)
        asked = check({**query, **fields})
    elif kind == JSON:
        images, asked = encoded(body, query, max_images)
    else:
        raise Problem(
            "unsupported-media-type",
            f"send {MULTIPART} with files named {FIELD}, an image as it is with its type or "
            f'application/octet-stream, or {JSON} with {{"{FIELD}": [base64, ...]}}',
        )
    if not images:
        raise Problem("bad-request", "there is no image in the request")
    return images, asked


def check(given: dict[str, Any]) -> Asked:
    """Check the options of a prediction, given as text."""
    return _valid(Asked, given, strict=False) if given else PLAIN


def encoded(body: bytes, query: dict[str, str], max_images: int) -> tuple[list[bytes], Asked]:
    """Return the images and options of a JSON body."""
    try:
        given = from_json(body)
    except ValueError as error:
        raise Problem("bad-request", f"the body is not JSON: {error}") from None
    if not isinstance(given, dict):
        raise Problem("bad-parameter", f'the JSON is an object with "{FIELD}": [base64, ...]')
    there = given.get(FIELD)
    if isinstance(there, list):
        _count(len(there), max_images)
    document = _valid(Encoded, given, strict=True)
    asked = check(query | _said(document)) if query else document
    return [_decoded(text, f"{FIELD}[{i}]") for i, text in enumerate(document.images)], asked


def _decoded(text: str, where: str) -> bytes:
    """Decode base64, which may be a data URL (RFC 2397) and may have line breaks."""
    head, comma, rest = text.partition(",")
    if comma and head[:5].lower() == "data:":
        if not head.lower().endswith(";base64"):
            raise Problem("bad-parameter", f"{where} is a data URL without base64")
        text = unquote(rest)
    try:
        return binascii.a2b_base64(
            text.encode("ascii").translate(None, b" \t\r\n"), strict_mode=True
        )
    except ValueError:  # UnicodeEncodeError and binascii.Error are kinds of it
        raise Problem("bad-parameter", f"{where} is not base64") from None


def files(content_type: str, body: bytes, max_images: int) -> tuple[list[bytes], dict[str, str]]:
    """Return the files and fields of a form (RFC 7578).

    The body is cut by `bytes.split`, whose time grows with its length whatever is in it.
    """
    boundary = _boundary(content_type)
    if not boundary:
        raise Problem("bad-request", "the form's content type has no boundary")
    most = max_images + len(Asked.model_fields)
    _, *parts = (b"\r\n" + body).split(b"\r\n--" + boundary, most + 2)
    if not parts or not parts[-1].startswith(b"--"):
        if len(parts) > most:
            _count(most + 1, max_images)
        raise Problem("bad-request", "the form is cut off: its last boundary is missing")
    images: list[bytes] = []
    fields: dict[str, str] = {}
    for part in parts[:-1]:
        head, blank, content = part.partition(b"\r\n\r\n")
        name = _name(head) if blank else ""
        if name == FIELD:
            images.append(content)
        elif name in Asked.model_fields and len(content) <= MAX_FIELD:
            fields[name] = content.decode("utf-8", "replace")
        else:
            raise Problem(
                "bad-parameter",
                f"a form has files named {FIELD} and short fields named "
                f"{', '.join(Asked.model_fields)}, nothing else",
            )
    _count(len(images), max_images)
    return images, fields


@lru_cache(256)
def _boundary(content_type: str) -> bytes:
    return parse_options_header(content_type)[1].get(b"boundary", b"")


def _name(head: bytes) -> str:
    plain = _PLAIN.search(head)
    if plain:
        return plain[1].decode()
    for line in head.split(b"\r\n"):
        key, _, value = line.partition(b":")
        if key.strip().lower() == b"content-disposition":
            options = parse_options_header(value.strip())[1]
            return options.get(b"name", b"").decode("utf-8", "replace")
    return ""


def _count(n: int, most: int) -> None:
    if n > most:
        raise Problem(
            "too-large", f"a request has at most {most} images; send several", limit="max_images"
        )


def _said(asked: Asked) -> dict[str, Any]:
    return {k: getattr(asked, k) for k in asked.model_fields_set if k in Asked.model_fields}


def _valid(kind: type[Kind], given: Any, *, strict: bool) -> Kind:
    try:
        return kind.model_validate(given, strict=strict)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False, include_input=False)
        # Of a parameter that takes a number or a word, pydantic names both; the number says more.
        errors = [e for e in errors if e["type"] != "literal_error"] or errors
        first = errors[0]
        places = [str(part) for part in first["loc"]]
        where = ".".join(places[:1] if places[:1] == ["threshold"] else places)
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        if first["type"] == "extra_forbidden":
            known = ", ".join(kind.model_fields)
            raise Problem("bad-parameter", f"unknown: {where}; known: {known}{more}") from None
        raise Problem("bad-parameter", f"{where}: {first['msg']}{more}") from None
