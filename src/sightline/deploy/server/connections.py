"""Limit the HTTP connections that clients may open, and the time and room of a request's head.

uvicorn's own connection waits indefinitely for a first request, takes a head of any length, and
answers a broken one in plain text.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from sightline.deploy.server.bodies import Bodies
from sightline.deploy.server.problems import Problem
from sightline.deploy.server.settings import Settings

HEAD = 2**16
"""Bytes of a request's head, or of what stands between the parts of its body."""

LINE = 2**12
"""Bytes of a head from which on its lines are given to the parser whole: it would copy what it has
of a line with every packet that adds to it."""

LINGER, DROPPED = 1.0, 2**22
"""Seconds and bytes that a refused client is still listened to, and not heard: who sends first and
reads later would else see a broken connection instead of the reason."""

VERSIONS = ("1.0", "1.1")
NOT_SPOKEN = "HTTP/{} is not spoken here, HTTP/1.1 is"
_HOST = re.compile(rb"(\[[0-9a-fA-F:.]+\]|[\w.~%!$&'()*+,;=-]*)(:\d*)?", re.ASCII)


class Joined:
    """A transport that sends the head of an answer together with its body: one system call less.

    Parameters
    ----------
    transport : asyncio.Transport
        The connection's own.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head, self._ended = b"", False
        self.is_closing, self.get_extra_info = transport.is_closing, transport.get_extra_info
        self.set_protocol = transport.set_protocol

    def write(self, data: bytes) -> None:
        """Send bytes; the head of an answer only with what is written next."""
        if self._ended:
            return
        if not self._head and data.startswith(b"HTTP/1.1 ") and data[9:12] != b"100":
            self._head = data
            return
        self._transport.write(self._head + data)
        self._head = b""

    def flush(self) -> None:
        """Send a head that no body followed."""
        if self._head:
            self.write(b"")

    def write_eof(self) -> None:
        """Send what is left, and nothing more."""
        self.flush()
        self._ended = True
        self._transport.write_eof()

    def close(self) -> None:
        """Send what is left, and close the connection."""
        self.flush()
        self._transport.close()


class Connection(HttpToolsProtocol):
    """An HTTP connection that is closed when idle, and refused when there are too many."""

    settings = Settings()
    bodies = Bodies(settings)

    _silent: asyncio.TimerHandle | None = None
    _refused = False
    _dropped = 0
    _loose = 0  # bytes since the last one of a body, or the last head
    _kept = 0  # bytes of heads that count as held

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timeout of the first request; refuse the connection if there are too many."""
        super().connection_made(transport)
        self._line: list[bytes] = []  # the end of a head that holds no end of a line yet
        self.transport = Joined(transport)  # type: ignore[assignment]
        if len(self.connections) > self.settings.max_connections:
            most = self.settings.max_connections
            problem = Problem(
                "unavailable", f"at most {most} connections are open at once",
                limit="max_connections", headers={"Retry-After": "1"},
            )  # fmt: skip
            self._refuse(problem)
            return
        self._listen()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timeout and forget the connection."""
        self._heard()
        self._keep(0)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived, and refuse a head that does not end."""
        if self._refused:
            self._dropped += len(data)
            if self._dropped > DROPPED:
                self.transport.close()
            return
        for start in range(0, len(data), HEAD):
            if self._refused:
                return
            part = data[start : start + HEAD]  # of fewer bytes no copy is made
            if self.cycle is None and not self._loose and _of_1991(part):
                self._refuse(Problem("bad-request", NOT_SPOKEN.format("0.9")))
                return
            waits = self._loose > LINE and b"\n" not in part
            self._loose += len(part)
            if waits:
                self._line.append(part)
            elif self._line:
                self._line.append(part)
                part = b"".join(self._line)
                self._line.clear()
            if not waits:
                super().data_received(part)
            if self._loose:
                self._count_head(self._loose)

    def on_message_begin(self) -> None:
        """Restart the timeout: the head of this request must arrive in time, too."""
        super().on_message_begin()
        self._heard()
        self._listen()

    def on_headers_complete(self) -> None:
        """Check the head, and stop the timeout: from now on the application limits the time."""
        self._heard()
        self._loose, size, hosts = 0, len(self.url), []
        for name, value in self.headers:
            size += len(name) + len(value)
            if name == b"host":
                hosts.append(value)
        self._count_head(size)
        if not self._refused:
            self._check_host(hosts)
        if not self._refused:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self._loose = 0
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request; what follows is another."""
        self._loose = 0
        if not self._refused:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Send the head of an answer without a body, then go on to the next request."""
        self.transport.flush()  # type: ignore[attr-defined]
        self._keep(self._loose)
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer that this is not an HTTP request."""
        self._heard()
        self._refuse(Problem("bad-request", "this is not an HTTP request"))

    def _count_head(self, size: int) -> None:
        """Count the bytes of a head among those that are held; refuse too many."""
        if size > HEAD:
            said = f"the head of a request has at most {HEAD // 2**10} KiB"
            self._refuse(Problem("head-too-large", said, limit="head"))
        elif not self._keep(max(size, self._kept)):
            self._refuse(self.bodies.full())

    def _keep(self, size: int) -> bool:
        """Hold so many bytes of heads; return whether there is room for them."""
        self.bodies.held += size - self._kept
        self._kept = size
        return self.bodies.held <= self.bodies.room

    def _check_host(self, hosts: list[bytes]) -> None:
        version = self.parser.get_http_version()
        if version not in VERSIONS:
            why = NOT_SPOKEN.format(version)
        elif len(hosts) > 1 or (not hosts and version == "1.1"):
            why = f"a request names one host, not {len(hosts)}: send one header Host"
        elif hosts and not _HOST.fullmatch(hosts[0]):
            why = "the header Host is not the name of a host"
        else:
            return
        self._refuse(Problem("bad-request", why))

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
        if self._refused:
            return
        self._refused = True
        response = problem.response()
        lines = [STATUS_LINE[problem.status], b"connection: close\r\n"]
        lines += [b"%s: %s\r\n" % header for header in response.raw_headers]
        self.transport.write(b"".join([*lines, b"\r\n", bytes(response.body)]))
        if problem.limit == "max_connections":
            self.transport.close()
            return
        self.transport.write_eof()
        self.loop.call_later(LINGER, self.transport.close)


def _of_1991(first: bytes) -> bool:
    """Tell whether a connection begins with a request of HTTP/0.9: a line without a version."""
    line, end, _ = first.lstrip(b"\r\n").partition(b"\n")
    return bool(end) and line.startswith(b"GET ") and b" HTTP/" not in line


def allowed(settings: Settings, bodies: Bodies) -> type[Any]:
    """Return a connection class with these limits, whose heads count among these bodies."""
    return type("Connection", (Connection,), {"settings": settings, "bodies": bodies})
