"""Limit the HTTP connections that clients may open, and the time that a request's head may take.

uvicorn's own connection waits indefinitely for a first request, and answers a broken one in plain
text.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from sightline.deploy.server.problems import Problem
from sightline.deploy.server.settings import Settings


class Joined:
    """A transport that sends the head of an answer together with its body: one system call less.

    Parameters
    ----------
    transport : asyncio.Transport
        The connection's own.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""
        self.is_closing, self.get_extra_info = transport.is_closing, transport.get_extra_info
        self.set_protocol = transport.set_protocol

    def write(self, data: bytes) -> None:
        """Send bytes; the head of an answer only with what is written next."""
        if not self._head and data.startswith(b"HTTP/1.1 ") and data[9:12] != b"100":
            self._head = data
            return
        self._transport.write(self._head + data)
        self._head = b""

    def flush(self) -> None:
        """Send a head that no body followed."""
        if self._head:
            self.write(b"")

    def close(self) -> None:
        """Send what is left, and close the connection."""
        self.flush()
        self._transport.close()


class Connection(HttpToolsProtocol):
    """An HTTP connection that is closed when idle, and refused when there are too many."""

    settings = Settings()

    _silent: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timeout of the first request; refuse the connection if there are too many."""
        super().connection_made(transport)
        self.transport = Joined(transport)  # type: ignore[assignment]
        if len(self.connections) > self.settings.max_connections:
            most = self.settings.max_connections
            problem = Problem(
                "not-ready", f"at most {most} connections are open at once",
                limit="max_connections", headers={"Retry-After": "1"},
            )  # fmt: skip
            self._refuse(problem)
            return
        self._listen()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timeout and forget the connection."""
        self._heard()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Restart the timeout: the head of this request must arrive in time, too."""
        super().on_message_begin()
        self._heard()
        self._listen()

    def on_headers_complete(self) -> None:
        """Stop the timeout: from now on the application limits the time."""
        self._heard()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """Send the head of an answer without a body, then go on to the next request."""
        self.transport.flush()  # type: ignore[attr-defined]
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer that this is not an HTTP request."""
        self._heard()
        self._refuse(Problem("bad-request", "this is not an HTTP request"))

    def _listen(self) -> None:
        self._silent = self.loop.call_later(self.settings.timeout_s, self._too_slow)

    def _heard(self) -> None:
        if self._silent is not None:
            self._silent.cancel()
            self._silent = None

    def _too_slow(self) -> None:
        if not self.transport.is_closing():
            said = f"no request within {self.settings.timeout_s:g} s"
            self._refuse(Problem("too-slow", said, limit="timeout"))

    def _refuse(self, problem: Problem) -> None:
        response = problem.response()
        lines = [STATUS_LINE[problem.status], b"connection: close\r\n"]
        lines += [b"%s: %s\r\n" % header for header in response.raw_headers]
        self.transport.write(b"".join([*lines, b"\r\n", bytes(response.body)]))
        self.transport.close()


def allowed(settings: Settings) -> type[Any]:
    """Return a connection class with the limits of these settings."""
    return type("Connection", (Connection,), {"settings": settings})
