"""Answer prediction requests: read the body, prepare the images, run the model."""

from __future__ import annotations

import asyncio
import functools
import json
from typing import Any
from urllib.parse import parse_qsl

from starlette.responses import Response
from starlette.types import Receive, Scope

from sightline.deploy.server import forms
from sightline.deploy.server.bodies import Bodies
from sightline.deploy.server.decoding import Decoder
from sightline.deploy.server.measures import Measures
from sightline.deploy.server.problems import Problem
from sightline.deploy.server.serving import Models
from sightline.deploy.server.settings import Settings

SMALL_BODY = 2**16
"""Up to here a body is taken apart at once."""


class Predictor:
    """Answers requests for predictions.

    Parameters
    ----------
    models : Models
    settings : Settings
    measures : Measures
    decoder : Decoder
    """

    def __init__(
        self, models: Models, settings: Settings, measures: Measures, decoder: Decoder
    ) -> None:
        self.models, self.settings, self.measures = models, settings, measures
        self.decoder = decoder
        self.bodies = Bodies(settings)

    async def __call__(self, scope: Scope, receive: Receive) -> Response:
        """Answer a request before its deadline.

        Raises
        ------
        Problem
            When there is no answer.
        """
        answer = functools.partial(self._answer, scope)
        return await self.bodies.answered(receive, self.settings.timeout_s, answer)

    async def _answer(self, scope: Scope, body: bytes) -> Response:
        pictures, asked = await self._parsed(scope, body)
        served = self.models.get(asked.model)
        if served.runtime.makes:
            raise Problem(
                "bad-parameter", f"model: {served.name!r} {served.runtime.makes}; ask /v1/generate"
            )
        limit = served.limits(asked.threshold)
        scope["sightline"] |= {"model": served.name, "images": len(pictures)}
        with served.batcher.places(len(pictures)):
            prepared = await self.decoder.prepare(served.runtime, pictures)
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
        return await loop.run_in_executor(self.decoder.pool, forms.parse, *wanted)


def _all(problems: list[Any]) -> Problem:
    """Return one problem for images that all have one: the first one's."""
    first: Problem = problems[0]
    if len(problems) == 1:
        return first
    detail = f"none of {len(problems)} images can be read; the first: {first.detail}"
    return Problem(first.kind, detail, limit=first.limit)
