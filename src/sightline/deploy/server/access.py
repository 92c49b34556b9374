"""Check API keys and request rates before everything under /v1."""

from __future__ import annotations

import time
from pathlib import Path

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from sightline.deploy.server.keys import Keys
from sightline.deploy.server.problems import Problem
from sightline.deploy.server.rates import Rates, network
from sightline.deploy.server.settings import Settings

GUARDED = ("/v1/", "/metrics")
COUNTED = "/v1/"


class Access:
    """ASGI middleware that admits clients with a valid key, below the rate limit.

    Parameters
    ----------
    app : ASGI application
        The application behind this middleware.
    settings : Settings
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.path: Path | None = settings.keys
        self.rates = Rates(settings.rate, settings.burst) if settings.rate else None
        self.read_keys()

    def read_keys(self) -> None:
        """Read the file of keys again.

        Raises
        ------
        RunError
            When it is damaged; the old keys stay.
        """
        self.keys = Keys(self.path) if self.path else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with a problem."""
        if scope["type"] == "http" and scope["path"].startswith(GUARDED):
            try:
                self._admit(scope)
            except Problem as problem:
                scope["sightline"]["limit"] = problem.limit
                await problem.response()(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _admit(self, scope: Scope) -> None:
        client = network(scope["sightline"]["client"])
        if self.keys is not None:
            kind, _, key = Headers(scope=scope).get("authorization", "").partition(" ")
            owner = self.keys.owner(key.strip()) if kind.lower() == "bearer" else None
            if owner is None:
                raise Problem(
                    "unauthorized", "send the header Authorization: Bearer KEY",
                    headers={"WWW-Authenticate": 'Bearer realm="sightline"'},
                )  # fmt: skip
            client = owner
        if self.rates is not None and scope["path"].startswith(COUNTED):
            self.rates.take(client, time.monotonic())
