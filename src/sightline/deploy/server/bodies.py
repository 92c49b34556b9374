"""Read the bodies of requests, counting bytes as they arrive, whatever the headers promise."""

from __future__ import annotations

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from sightline.deploy.server.problems import Problem
from sightline.deploy.server.settings import MIB, Settings

POLITE = 4
"""How many times the limit is still taken in, and thrown away, before the connection is closed:
who sends first and listens later would else see a broken connection instead of the reason."""

CLOSE = {"Connection": "close"}


class Bodies:
    """The bodies of requests that are in memory, and their heads, limited in total size.

    Parameters
    ----------
    settings : Settings
    """

    def __init__(self, settings: Settings) -> None:
        self.most, self.room = settings.max_body, settings.max_buffer
        self.held = 0

    async def read(self, receive: Receive) -> bytes:
        """Read a body; its bytes count as used until `release`.

        Raises
        ------
        Problem
            When it is too large, or there is no room.
        """
        message = await receive()
        body: bytes = message.get("body", b"")
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        held = 0
        parts = [body]
        try:
            held = self._hold(len(body))
            while message.get("more_body", False):
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                part = message.get("body", b"")
                parts.append(part)
                held += self._hold(len(part))
                if held > self.most:
                    break
            if held > self.most:
                parts.clear()
                await self._discard(message, receive, held)
                raise Problem(
                    "too-large",
                    f"a body has at most {self.most / MIB:g} MiB; send fewer or smaller images",
                    limit="max_body", headers=CLOSE,
                )  # fmt: skip
        except BaseException:
            self.release(held)
            raise
        return body if len(parts) == 1 else b"".join(parts)

    def release(self, n: int) -> None:
        """Release the memory of a body of n bytes."""
        self.held -= n

    def full(self) -> Problem:
        """Return the problem of a request for which there is no room."""
        return Problem(
            "busy", "other requests take all the memory for requests; come again in 1 s",
            limit="max_buffer", headers={"Retry-After": "1", **CLOSE},
        )  # fmt: skip

    def _hold(self, n: int) -> int:
        if self.held + n > self.room:
            raise self.full()
        self.held += n
        return n

    async def _discard(self, message: Message, receive: Receive, n: int) -> None:
        while message.get("more_body", False) and n < POLITE * self.most:
            message = await receive()
            n += len(message.get("body", b""))
