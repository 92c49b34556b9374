"""Answer prediction requests: read the body, prepare the images, run the model."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
from numpy.typing import NDArray
from starlette.responses import Response
from starlette.types import Receive, Scope

from sightline.data import images
from sightline.deploy.runtime import Runtime
from sightline.deploy.server import forms
from sightline.deploy.server.bodies import CLOSE, Bodies
from sightline.deploy.server.measures import Measures
from sightline.deploy.server.problems import Problem
from sightline.deploy.server.serving import Models
from sightline.deploy.server.settings import Settings
from sightline.errors import DataError, TooLargeError
from sightline.types import Frame

SMALL_BYTES, SMALL_PIXELS = 2**14, 2**14
"""Up to here an image is decoded at once: handing it to another thread would take longer."""

SMALL_BODY = 2**16
"""Up to here a body is taken apart at once."""

Prepared = tuple[NDArray[np.uint8], Frame] | Problem
"""Pixels of the model's size and the way back into the picture, or why there are none."""


class Predictor:
    """Answers requests for predictions.

    Parameters
    ----------
    models : Models
    settings : Settings
    measures : Measures
    pool : ThreadPoolExecutor
        Threads that decode images.
    """

    def __init__(
        self, models: Models, settings: Settings, measures: Measures, pool: ThreadPoolExecutor
    ) -> None:
        self.models, self.settings, self.measures, self.pool = models, settings, measures, pool
        self.bodies = Bodies(settings)

    async def __call__(self, scope: Scope, receive: Receive) -> Response:
        """Answer a request before its deadline.

        Raises
        ------
        Problem
            When there is no answer.
        """
        seconds = self.settings.timeout_s
        body = None
        try:
            async with asyncio.timeout(seconds):
                body = await self.bodies.read(receive)
                return await self._answer(scope, body)
        except TimeoutError:
            if body is not None:
                raise Problem(
                    "timeout", f"no answer within {seconds:g} s", limit="timeout"
                ) from None
            raise Problem(
                "too-slow", f"the body did not arrive within {seconds:g} s",
                limit="timeout", headers=CLOSE,
            ) from None  # fmt: skip
        finally:
            if body is not None:
                self.bodies.release(len(body))

    async def _answer(self, scope: Scope, body: bytes) -> Response:
        pictures, asked = await self._parsed(scope, body)
        served = self.models.get(asked.model)
        limit = served.limits(asked.threshold)
        scope["sightline"] |= {"model": served.name, "images": len(pictures)}
        with served.batcher.places(len(pictures)):
            prepared = await self._prepared(served.runtime, pictures)
            good = [image for image in prepared if not isinstance(image, Problem)]
            self.measures.count(served.name, "answered", len(good))
            self.measures.count(served.name, "unreadable", len(prepared) - len(good))
            if not good:
                raise _all(prepared)
            answers = iter(await served.batcher.ask(good))
        results = [
            json.dumps({"error": image.document}, ensure_ascii=False)
            if isinstance(image, Problem)
            else served.document(next(answers), asked.top, limit).model_dump_json()
            for image in prepared
        ]
        text = f'{{"model":{served.label},"results":[{",".join(results)}]}}'
        return Response(text, media_type="application/json")

    async def _parsed(self, scope: Scope, body: bytes) -> tuple[list[bytes], forms.Asked]:
        query = scope["query_string"]
        given = dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True)) if query else {}
        named = (value for name, value in scope["headers"] if name == b"content-type")
        kind = next(named, b"").decode("latin-1")
        wanted = (kind, body, given, self.settings.max_images)
        if len(body) <= SMALL_BODY or kind.startswith(forms.RAW):
            return forms.parse(*wanted)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.pool, forms.parse, *wanted)

    async def _prepared(self, runtime: Runtime, pictures: list[bytes]) -> list[Prepared]:
        loop = asyncio.get_running_loop()
        most = self.settings.max_pixels
        coming: list[Prepared | Awaitable[Prepared]] = []
        for picture in pictures:
            now = small(runtime, picture) if len(picture) <= SMALL_BYTES else None
            if now is None:
                coming.append(loop.run_in_executor(self.pool, prepare, runtime, picture, most))
            else:
                coming.append(now)
        return [p if isinstance(p, tuple | Problem) else await p for p in coming]


def small(runtime: Runtime, picture: bytes) -> Prepared | None:
    """Prepare an image at once if it is small; None where it is too large for that."""
    try:
        opened = images.open_checked(picture)
        if opened.width * opened.height > SMALL_PIXELS:
            return None
        return runtime.prepare(opened)
    except DataError as error:
        return _problem(error)


def prepare(runtime: Runtime, picture: bytes, max_pixels: int) -> Prepared:
    """Prepare an image, or return the problem that it has."""
    try:
        return runtime.prepare(images.open_checked(picture, max_pixels))
    except DataError as error:
        return _problem(error)


def _problem(error: DataError) -> Problem:
    detail = str(error).removeprefix("image: ")
    if isinstance(error, TooLargeError):
        return Problem("too-large", detail, limit="max_pixels")
    return Problem("bad-image", detail)


def _all(problems: list[Any]) -> Problem:
    """Return one problem for images that all have one: the first one's."""
    first: Problem = problems[0]
    if len(problems) == 1:
        return first
    detail = f"none of {len(problems)} images can be read; the first: {first.detail}"
    return Problem(first.kind, detail, limit=first.limit)
