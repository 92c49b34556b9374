"""Send requests to a server on this machine and time them, at little cost of its own.

The requests are made once and sent over connections that stay open, by one thread; a client of a
whole HTTP library would be busier than the server.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Iterable, Sequence
from typing import cast

from sightline.errors import SightlineError

MOST = 900
"""Requests on their way at once: many systems let a program open no more than 1,024 files."""

IDLE = 2.0
"""Seconds after which an unused connection is replaced: servers close them after some more."""

SPIN = 2e-4
"""Seconds before a request is due from which on the clock is watched instead of sleeping."""


class Load:
    """Requests of one picture each, and the connections that carry them.

    Parameters
    ----------
    port : int
    pictures : sequence of bytes
        Image files; they are sent in turns.
    path : str
    """

    def __init__(self, port: int, pictures: Sequence[bytes], path: str = "/v1/predict") -> None:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream"
        self.port = port
        self.requests = [
            f"{head}\r\nContent-Length: {len(p)}\r\n\r\n".encode() + p for p in pictures
        ]
        self.sent = 0
        self._free: list[tuple[float, socket.socket]] = []
        self._busy: dict[socket.socket, tuple[float, bytearray]] = {}

    def closed(self, clients: int, seconds: float, *, least: int = 1) -> list[float]:
        """Let some clients ask, each again as soon as it is answered.

        Parameters
        ----------
        clients : int
        seconds : float
        least : int
            Requests to make, even where that takes longer.

        Returns
        -------
        list of float
            Seconds of each request.
        """
        times: list[float] = []
        end = time.perf_counter() + seconds
        for _ in range(clients):
            self._send()
        while self._busy:
            for took in self._answered(None):
                times.append(took)
                if time.perf_counter() < end or len(times) + len(self._busy) < least:
                    self._send()
        return times

    def paused(self, pause: float, requests: int) -> list[float]:
        """Send one request at a time, each some seconds after the answer before.

        Parameters
        ----------
        pause : float
        requests : int

        Returns
        -------
        list of float
            Seconds of each request.
        """
        times: list[float] = []
        for _ in range(requests):
            time.sleep(pause)
            times += self.closed(1, 0)
        return times

    def opened(self, moments: Iterable[float]) -> list[float]:
        """Send requests at given moments, whether those before them are answered or not.

        Parameters
        ----------
        moments : iterable of float
            Seconds from now, ascending.

        Returns
        -------
        list of float
            Seconds of each request, in the order of the answers.
        """
        times: list[float] = []
        start = time.perf_counter()
        for moment in moments:
            while (left := start + moment - time.perf_counter()) > 0:
                times += self._answered(max(0.0, left - SPIN))
            self._send()
        while self._busy:
            times += self._answered(None)
        return times

    def close(self) -> None:
        """Close the connections."""
        for connection in (*(free for _, free in self._free), *self._busy):
            connection.close()

    def _send(self) -> None:
        if len(self._busy) >= MOST:
            raise SightlineError(f"{MOST} requests are not answered yet: the server falls behind")
        request = self.requests[self.sent % len(self.requests)]
        self.sent += 1
        connection = self._connected()
        self._busy[connection] = (time.perf_counter(), bytearray())
        connection.sendall(request)

    def _connected(self) -> socket.socket:
        while self._free:
            since, connection = self._free.pop()
            if time.perf_counter() - since < IDLE:
                return connection
            connection.close()
        connection = socket.create_connection(("127.0.0.1", self.port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _answered(self, seconds: float | None) -> list[float]:
        """Wait for answers for some seconds, or for the next; return the seconds that they took."""
        # select() knows no file above number 1,023, which a program may have open.
        with selectors.DefaultSelector() as waiting:
            for connection in self._busy:
                waiting.register(connection, selectors.EVENT_READ)
            ready = [cast(socket.socket, key.fileobj) for key, _ in waiting.select(seconds)]
        now = time.perf_counter()
        times = []
        for connection in ready:
            start, answer = self._busy[connection]
            part = connection.recv(2**16)
            answer += part
            if not part or not answer.startswith(b"HTTP/1.1 200"[: len(answer)]):
                raise SightlineError(f"the server did not answer but said {bytes(answer[:200])!r}")
            if _whole(answer):
                del self._busy[connection]
                self._free.append((now, connection))
                times.append(now - start)
        return times


def _whole(answer: bytearray) -> bool:
    head, blank, body = answer.partition(b"\r\n\r\n")
    if not blank:
        return False
    length = head.lower().split(b"content-length:")[1].split(b"\r\n")[0]
    return len(body) >= int(length)
