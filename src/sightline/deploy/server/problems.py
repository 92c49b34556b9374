"""Describe errors of the server in one format, RFC 9457."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, Field
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"

KINDS: dict[str, tuple[int, str]] = {
    "bad-request": (400, "The request cannot be read"),
    "unauthorized": (401, "An API key is needed"),
    "not-found": (404, "There is nothing at this address"),
    "unknown-model": (404, "There is no such model"),
    "no-neighbour": (404, "There is no such training image"),
    "method-not-allowed": (405, "This address does not take this method"),
    "too-slow": (408, "The request did not arrive in time"),
    "too-large": (413, "The request is over a limit"),
    "unsupported-media-type": (415, "The body is of a type that is not read"),
    "bad-image": (422, "The image cannot be read"),
    "bad-parameter": (422, "A parameter has a value that is not taken"),
    "too-many-requests": (429, "The client asks too often"),
    "busy": (429, "The server is busy"),
    "head-too-large": (431, "The head of the request is too large"),
    "failed": (500, "The server failed"),
    "unavailable": (503, "The server cannot answer now"),
    "timeout": (504, "The answer was not ready in time"),
}
"""Name -> status and title."""

PREFIX = "urn:sightline:problem:"


class Document(BaseModel, title="Problem"):
    """The JSON document of an error (RFC 9457)."""

    type: str = Field(description="a name that programs can compare")
    title: str = Field(description="what kind of problem this is")
    status: int = Field(ge=400, le=599, description="the HTTP status")
    detail: str = Field(description="what is wrong with this very request, and the mend")
    limit: str | None = Field(None, description="name of the limit that was met, if one was")


class Problem(Exception):  # noqa: N818 - RFC 9457's name for it
    """An error that becomes the response of a request.

    Parameters
    ----------
    kind : str
        Key of `KINDS`.
    detail : str
        What is wrong here, and the mend; never a path of the server.
    limit : str, optional
        Name of the limiting setting.
    headers : mapping, optional
        Extra headers of the response.
    """

    def __init__(
        self, kind: str, detail: str, *, limit: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(detail)
        self.kind, self.detail, self.limit = kind, detail, limit
        self.status, self.title = KINDS[kind]
        self.headers = dict(headers or {})

    @property
    def document(self) -> dict[str, Any]:
        """Return the problem as a JSON document."""
        said = {
            "type": PREFIX + self.kind, "title": self.title, "status": self.status,
            "detail": self.detail,
        }  # fmt: skip
        return said | ({"limit": self.limit} if self.limit else {})

    def response(self) -> Response:
        """Return the problem as an HTTP response."""
        body = json.dumps(self.document, ensure_ascii=False)
        return Response(body, self.status, self.headers, MEDIA_TYPE)


def from_status(status: int, detail: str = "", headers: Mapping[str, str] | None = None) -> Problem:
    """Return the problem for a status that a layer below the application chose."""
    known = {404: "not-found", 405: "method-not-allowed", 413: "too-large", 503: "unavailable"}
    kind = known.get(status, "bad-request" if status < 500 else "failed")
    said = detail or HTTPStatus(KINDS[kind][0]).phrase
    return Problem(kind, said, headers=headers)
