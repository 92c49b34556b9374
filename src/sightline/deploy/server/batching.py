"""Batch the images of many requests for one model.

One thread a model runs it. While it is busy, what arrives is queued; when it is free, what is
queued goes together. A lone image on an idle server therefore never waits.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

from sightline.deploy.server.problems import Problem

Answer = Callable[[Sequence[Any]], Sequence[Any]]


class Request:
    """Images that were asked about together, and what is known of each."""

    __slots__ = ("answers", "future", "left")

    def __init__(self, n: int, future: asyncio.Future[list[Any]]) -> None:
        self.answers: list[Any] = [None] * n
        self.left = n
        self.future = future


Item = tuple[Request, int, Any, float]
"""One image: whose, which of theirs, what was prepared of it, when it came."""


class Batcher:
    """The queue of a model and the thread that runs it.

    All methods but the thread's own belong to one event loop.

    Parameters
    ----------
    answer : callable
        Maps N prepared images to N answers.
    max_batch : int
    max_wait : float
        Seconds that the oldest image may wait for others once the model is free.
    capacity : int
        Images that may be decoded, queued or computed at the same time.
    on_batch : callable, optional
        Called with the size of each batch.
    """

    def __init__(
        self, answer: Answer, *, max_batch: int, max_wait: float, capacity: int,
        on_batch: Callable[[int], None] = lambda n: None,
    ) -> None:  # fmt: skip
        self.answer, self.on_batch = answer, on_batch
        self.max_batch, self.max_wait, self.capacity = max_batch, max_wait, capacity
        self.inside = 0
        self.waiting: deque[Item] = deque()
        self._busy = False
        self._due: asyncio.Handle | None = None
        self._pace = 0.0  # recent seconds an image
        self._work: SimpleQueue[tuple[asyncio.AbstractEventLoop, list[Item]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    @contextmanager
    def places(self, n: int) -> Iterator[None]:
        """Reserve room for some images until they are answered.

        Raises
        ------
        Problem
            When there is not enough; it says when to come again.
        """
        if self.inside + n > self.capacity:
            wait = max(1, math.ceil(self.inside * self._pace))
            raise Problem(
                "busy", f"{self.inside} images are inside; come again in {wait} s",
                limit="queue", headers={"Retry-After": str(wait)},
            )  # fmt: skip
        self.inside += n
        try:
            yield
        finally:
            self.inside -= n

    async def ask(self, images: Sequence[Any]) -> list[Any]:
        """Answer prepared images; when cancelled, those that still wait are dropped."""
        loop = asyncio.get_running_loop()
        request = Request(len(images), loop.create_future())
        now = loop.time()
        self.waiting.extend((request, i, image, now) for i, image in enumerate(images))
        full = len(self.waiting) >= self.max_batch
        if not self._busy and (self._due is None or full):
            if self._due is not None:
                self._due.cancel()
            self._due = loop.call_soon(self._dispatch, loop)
        return await request.future

    def close(self) -> None:
        """End the thread after what was given to it."""
        self._work.put(None)

    def _dispatch(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due = None
        batch: list[Item] = []
        while self.waiting and len(batch) < self.max_batch:
            item = self.waiting.popleft()
            if not item[0].future.done():  # nobody waits for the others
                batch.append(item)
        if batch:
            self._busy = True
            self.on_batch(len(batch))
            self._work.put((loop, batch))

    def _finished(
        self, loop: asyncio.AbstractEventLoop, batch: list[Item], answers: Sequence[Any],
        error: Exception | None, seconds: float,
    ) -> None:  # fmt: skip
        self._busy = False
        each = seconds / len(batch)
        self._pace = 0.8 * self._pace + 0.2 * each if self._pace else each
        for k, (request, i, _, _) in enumerate(batch):
            if request.future.done():
                continue
            if error is not None:
                request.future.set_exception(error)
                continue
            request.answers[i] = answers[k]
            request.left -= 1
            if not request.left:
                request.future.set_result(request.answers)
        if not self.waiting:
            return
        left = self.waiting[0][3] + self.max_wait - loop.time()
        if len(self.waiting) >= self.max_batch or left <= 0:
            self._dispatch(loop)
        else:
            self._due = loop.call_later(left, self._dispatch, loop)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            loop, batch = work
            start = time.perf_counter()
            answers: Sequence[Any] = ()
            failed: Exception | None = None
            try:
                answers = self.answer([item[2] for item in batch])
            except Exception as error:  # noqa: BLE001 - whoever asked is told
                failed = error
            seconds = time.perf_counter() - start
            try:
                loop.call_soon_threadsafe(self._finished, loop, batch, answers, failed, seconds)
            except RuntimeError:  # the loop has ended: nobody waits
                return
            del work, batch, answers, failed
