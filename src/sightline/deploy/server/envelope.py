"""Wrap each response: add headers, write its log line, count it, and answer uncaught errors."""

from __future__ import annotations

import itertools
import logging
import secrets
import time
from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sightline.deploy.server import logs
from sightline.deploy.server.measures import Measures
from sightline.deploy.server.problems import Problem
from sightline.deploy.server.proxies import Proxies

HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"cache-control": b"no-store",
}
"""Of every response that does not say otherwise."""

QUIET = ("/healthz", "/readyz", "/metrics")
"""Asked every few seconds by machines: no line in the log while all is well."""


class Envelope:
    """The outermost middleware: adds headers, writes the log line, counts, answers uncaught errors.

    Parameters
    ----------
    app : ASGI application
        The application behind this middleware.
    measures : Measures
    proxies : Proxies
    closing : callable
        Tells whether connections are to be closed after their answer.
    shared : bool
        Whether pages of other sites may use what is answered.
    """

    def __init__(
        self, app: ASGIApp, measures: Measures, proxies: Proxies, closing: Callable[[], bool], *,
        shared: bool,
    ) -> None:  # fmt: skip
        self.app, self.measures, self.closing = app, measures, closing
        self.proxies = proxies
        policy = b"cross-origin" if shared else b"same-origin"
        self.headers = list({**HEADERS, b"cross-origin-resource-policy": policy}.items())
        self._run, self._numbers = secrets.token_hex(4), itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request whatever the layers behind raise."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start = time.perf_counter()
        number = f"{self._run}-{next(self._numbers)}"
        scope["sightline"] = {"id": number, "client": self.proxies.client(scope)}
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = self._headers(message["headers"], number)
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except ClientDisconnect:
            status = 499  # nginx's number for a client that has gone
        except Exception:  # noqa: BLE001 - the client is told that it failed, the log why
            logs.log.exception("failed", extra={"fields": {"id": number}})
            if not status:
                await failed(scope).response()(scope, receive, sending)
        finally:
            self._tell(scope, status, time.perf_counter() - start)

    def _headers(self, given: list[tuple[bytes, bytes]], number: str) -> list[tuple[bytes, bytes]]:
        there = {name for name, _ in given}
        if b"location" in there:
            given = [(n, _within(v) if n == b"location" else v) for n, v in given]
        headers = [*given, *(h for h in self.headers if h[0] not in there)]
        headers.append((b"x-request-id", number.encode()))
        if self.closing() and b"connection" not in there:
            headers.append((b"connection", b"close"))
        return headers

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        note = scope["sightline"]
        route = scope.get("route")
        label = getattr(route, "path", route) or "other"
        self.measures.request(label, status, seconds)
        limit = note.get("limit")
        if limit:
            self.measures.rejected.labels(limit).inc()
        path = scope["path"]
        if path in QUIET and status < 400:
            return
        logs.request(
            logging.WARNING if status >= 500 else logging.INFO,
            method=scope["method"], path=path[:200], status=status, ms=round(seconds * 1e3, 2),
            **note,
        )  # fmt: skip


def _within(location: bytes) -> bytes:
    """Return the path of a redirect: the host in it would be what the client said."""
    parts = urlsplit(location.decode("latin-1"))
    path = "/" + parts.path.lstrip("/\\")  # two of them would begin the name of a host
    return urlunsplit(("", "", path, parts.query, "")).encode("latin-1")


def failed(scope: Scope) -> Problem:
    """Return the problem of an error that nobody expected."""
    return Problem("failed", f"the log says more under {scope['sightline']['id']}")
