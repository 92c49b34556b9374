"""Run the server's process: its socket, its signals, and its graceful end.

SIGTERM and SIGINT end it gracefully, a second one at once; SIGHUP takes what has changed.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
from collections.abc import Coroutine, Iterator
from typing import Any

import uvicorn

from sightline.deploy.server import logs
from sightline.deploy.server.application import Application
from sightline.deploy.server.connections import allowed
from sightline.errors import ParameterError, SightlineError

QUIET = 0.5
"""Seconds that open connections still have to send a request once the server ends; it is
answered, and then the connection is closed. Closing at once would lose what is on its way."""


class Process(uvicorn.Server):
    """uvicorn's server with signal handling, draining and reloading.

    Parameters
    ----------
    application : Application
    sock : socket
        Socket to listen on.
    """

    def __init__(self, application: Application, sock: socket.socket) -> None:
        settings = application.settings
        connection = allowed(settings, application.predict.bodies)
        super().__init__(
            uvicorn.Config(
                application, log_config=None, access_log=False, server_header=False,
                lifespan="off", ws="none", proxy_headers=False, http=connection, backlog=2048,
                timeout_graceful_shutdown=int(settings.timeout_s) + 1,
            )
        )  # fmt: skip
        self.application, self.sock = application, sock
        self.failure: SightlineError | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and begin to load the models."""
        await super().startup(sockets)
        self._start(self._work())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer the requests in flight, then end."""
        await super().shutdown(sockets)
        for task in self._tasks:
            task.cancel()
        self.application.close()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals while serving."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._start(self._reload()))
        yield

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self) -> None:
        models = self.application.models
        try:
            await asyncio.to_thread(models.load)
        except SightlineError as error:
            self.failure, self.should_exit = error, True
            return
        # What was loaded stays: the collector need not go through it again and again.
        gc.collect()
        gc.freeze()
        logs.event("ready", models=list(models.served), **_address(self.sock))
        await models.watch()

    async def _reload(self) -> None:
        try:
            self.application.access.read_keys()
        except SightlineError as error:
            logs.event("keys not read", logging.ERROR, reason=str(error))
        await self.application.reload(settle=False)

    def _end(self) -> None:
        if self.application.draining:
            logs.event("ended at once")
            os._exit(1)
        self.application.draining = True
        logs.event("draining")
        self._start(self._drain())

    async def _drain(self) -> None:
        await asyncio.sleep(self.application.settings.drain_s)
        for server in getattr(self, "servers", []):
            server.close()
        self.application.closing = True
        await asyncio.sleep(QUIET)
        self.should_exit = True


def listen(host: str, port: int) -> socket.socket:
    """Open the listening socket of a server.

    Raises
    ------
    ParameterError
        When that cannot be.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or error
        raise ParameterError(f"cannot listen on {host}, port {port}: {why}") from None


def serve(application: Application, host: str, port: int) -> None:
    """Serve until a signal ends the process.

    Raises
    ------
    SightlineError
        When a model cannot be loaded or the port is not to be had.
    """
    logs.to_stderr()
    process = Process(application, listen(host, port))
    process.run([process.sock])
    if process.failure is not None:
        raise process.failure
    logs.event("ended")


def _address(sock: socket.socket) -> dict[str, object]:
    host, port = sock.getsockname()[:2]
    return {"host": host, "port": port}
