"""Decode pictures where they cost least: at once, in a thread, or in a process that can be killed.

Nothing ends a decoder from outside but the end of its process. So a thread gets only what is done
in a fraction of a second whatever is in it, by `door.effort`; the rest goes to processes whose
memory is bounded, and which are killed when nobody waits any more.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from sightline.data import door, images
from sightline.deploy.runtime import Runtime
from sightline.deploy.server import logs
from sightline.deploy.server.problems import Problem
from sightline.deploy.server.settings import Settings
from sightline.errors import DataError, TooCostlyError, TooLargeError
from sightline.types import Frame

if TYPE_CHECKING:
    from PIL import Image

T = TypeVar("T")

SMALL_BYTES, SMALL_PIXELS = 2**14, 2**14
"""Up to here an image is decoded at once: handing it to another thread would take longer."""

LIGHT = 1.6e7
"""Up to this effort a thread decodes: a JPEG of 16 million pixels, or of 1.6 in 10 scans."""

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

TOO_MUCH = Problem(
    "too-large", "decoding it takes more memory than an image may; send a smaller or simpler one",
    limit="memory",
)  # fmt: skip

Prepared = tuple[NDArray[np.uint8], Frame] | Problem
"""Pixels of the model's size and the way back into the picture, or why there are none."""


class Decoder:
    """Decodes and prepares the images of requests.

    Parameters
    ----------
    settings : Settings
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.pool = ThreadPoolExecutor(settings.decoding, "decode")
        self.processes = Processes(settings)

    async def prepare(self, runtime: Runtime, pictures: list[bytes]) -> list[Prepared]:
        """Prepare images for a model; when cancelled, no work for them goes on in a process."""
        loop = asyncio.get_running_loop()

        def light(picture: bytes) -> asyncio.Future[Prepared | None]:
            return loop.run_in_executor(self.pool, self.light, runtime, picture)

        def heavy(picture: bytes) -> asyncio.Future[Prepared]:
            return asyncio.ensure_future(self.processes.prepare(runtime, picture))

        coming: list[Prepared | asyncio.Future[Prepared | None] | None]
        coming = [self.small(runtime, picture) or light(picture) for picture in pictures]
        ready = await _gathered(coming)
        late: list[Prepared | asyncio.Future[Prepared]] = []
        for one, picture in zip(ready, pictures, strict=True):
            late.append(one or heavy(picture))
        return await _gathered(late)

    def close(self) -> None:
        """End the threads and processes."""
        self.pool.shutdown(wait=False, cancel_futures=True)
        self.processes.close()

    def small(self, runtime: Runtime, picture: bytes) -> Prepared | None:
        """Prepare an image at once if it is small; None where it is too large for that."""
        if len(picture) > SMALL_BYTES:
            return None
        opened = self._opened(picture)
        if isinstance(opened, Problem):
            return opened
        if opened.width * opened.height > SMALL_PIXELS or opened.format in images.HEAVY:
            return None
        return prepare(runtime, opened)

    def light(self, runtime: Runtime, picture: bytes) -> Prepared | None:
        """Prepare an image, or return None where that might take long."""
        opened = self._opened(picture)
        if isinstance(opened, Problem):
            return opened
        return prepare(runtime, opened) if door.effort(opened) <= LIGHT else None

    def _opened(self, picture: bytes) -> Image.Image | Problem:
        try:
            return images.open_checked(picture, self.settings.max_pixels, self.settings.formats)
        except DataError as error:
            return problem(error)


async def _gathered(coming: Sequence[T | asyncio.Future[T]]) -> list[T]:
    """Return what is there and what will be; when that fails, the rest is cancelled."""
    try:
        return [await one if isinstance(one, asyncio.Future) else one for one in coming]
    finally:
        for one in coming:
            if isinstance(one, asyncio.Future):
                one.cancel()


class Processes:
    """Processes that decode one image at a time each, started when they are needed.

    Parameters
    ----------
    settings : Settings
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._room = asyncio.Semaphore(settings.decoding)
        self._free: list[Process] = []
        self._all: set[Process] = set()

    async def prepare(self, runtime: Runtime, picture: bytes) -> Prepared:
        """Prepare an image for a model; the process is killed when this is cancelled."""
        about, settings = runtime.about, self.settings
        order = {
            "bytes": len(picture), "size": about.size, "mode": about.mode, "resize": about.resize,
            "pixels": settings.max_pixels, "formats": settings.formats,
            "seconds": math.ceil(settings.timeout_s) + 1,
        }  # fmt: skip
        async with self._room:
            while self._free:
                # One that was idle for long has ended by itself.
                if answer := await self._ask(self._free.pop(), order, picture):
                    return answer
            if answer := await self._ask(await self._start(), order, picture):
                return answer
        return Problem("bad-image", "decoding it takes more memory than there is, or crashes")

    def close(self) -> None:
        """End all of them at once."""
        for process in list(self._all):
            self._kill(process)

    async def _start(self) -> Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sightline.deploy.server.worker",
            stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=os.environ | ONE_THREAD,
        )  # fmt: skip
        self._all.add(process)
        return process

    async def _ask(
        self, process: Process, order: dict[str, Any], picture: bytes
    ) -> Prepared | None:
        """Send an image to a process and receive it prepared; None where the process has ended."""
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.writelines((json.dumps(order).encode(), b"\n", picture))
            await process.stdin.drain()
            answer = json.loads(await process.stdout.readuntil())
            pixels = await process.stdout.readexactly(answer.get("bytes", 0))
        except (OSError, EOFError):
            self._kill(process)
            return None
        except BaseException:
            self._kill(process)
            raise
        self._free.append(process)
        if "problem" in answer:
            return Problem(answer["problem"], answer["detail"], limit=answer["limit"])
        frame = Frame(*(tuple(part) for part in answer["frame"]))
        return np.frombuffer(pixels, np.uint8).reshape(answer["shape"]), frame

    def _kill(self, process: Process) -> None:
        self._all.discard(process)
        if process.returncode is None:
            process.kill()


def prepare(runtime: Runtime, opened: Image.Image) -> Prepared:
    """Prepare an opened image for a model, or return the problem that it has."""
    try:
        return runtime.prepare(opened)
    except DataError as error:
        return problem(error)
    except MemoryError:
        return TOO_MUCH
    except Exception:  # noqa: BLE001 - the other images of the request are answered
        logs.log.exception("an image could not be prepared")
        return Problem("failed", "preparing the image failed; the log says why")


def problem(error: DataError) -> Problem:
    """Return the problem of an image that cannot be prepared."""
    detail = str(error).removeprefix("image: ")
    if isinstance(error, TooCostlyError):
        return Problem("too-large", detail, limit="effort")
    if isinstance(error, TooLargeError):
        return Problem("too-large", detail, limit="max_pixels")
    return Problem("bad-image", detail)
