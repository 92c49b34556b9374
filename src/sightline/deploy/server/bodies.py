"""Read the bodies of requests, counting bytes as they arrive, whatever the headers promise."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from starlette.requests import ClientDisconnect
from starlette.responses import Response
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

    async def answered(
        self, receive: Receive, seconds: float, answer: Callable[[bytes], Awaitable[Response]],
        hint: str = "",
    ) -> Response:  # fmt: skip
        """Read a body, answer it before a deadline, and release it.

        Parameters
        ----------
        receive : callable
        seconds : float
            Until the deadline.
        answer : callable
            Of the body.
        hint : str
            What would help where the answer takes too long.

        Raises
        ------
        Problem
            When there is no answer.
        """
        body = None
        try:
            async with asyncio.timeout(seconds):
                body = await self.read(receive)
                return await answer(body)
        except TimeoutError:
            if body is not None:
                raise Problem(
                    "timeout", f"no answer within {seconds:g} s{hint}", limit="timeout"
                ) from None
            raise Problem(
                "too-slow", f"the body did not arrive within {seconds:g} s",
                limit="timeout", headers=CLOSE,
            ) from None  # fmt: skip
        finally:
            if body is not None:
                self.release(len(body))

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
