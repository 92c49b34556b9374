"""Answer requests for pictures that are made of noise: read what is wanted, make it, in batches."""

from __future__ import annotations

import functools
import json
from typing import Any

from pydantic import ValidationError
from starlette.responses import Response
from starlette.types import Receive, Scope

from sightline.deploy.server.bodies import Bodies
from sightline.deploy.server.measures import Measures
from sightline.deploy.server.problems import Problem
from sightline.deploy.server.serving import Models, Served
from sightline.deploy.server.settings import Settings
from sightline.errors import SightlineError


class Making:
    """Answers requests for made pictures.

    Parameters
    ----------
    models : Models
    settings : Settings
    measures : Measures
    bodies : Bodies
        Shared with predictions, as the memory is.
    """

    def __init__(
        self, models: Models, settings: Settings, measures: Measures, bodies: Bodies
    ) -> None:
        self.models, self.settings, self.measures = models, settings, measures
        self.bodies = bodies

    async def __call__(self, scope: Scope, receive: Receive) -> Response:
        """Answer a request before its deadline.

        Raises
        ------
        Problem
            When there is no answer.
        """
        answer = functools.partial(self._answer, scope)
        return await self.bodies.answered(
            receive, self.settings.timeout_s, answer, "; ask for fewer pictures or steps"
        )

    async def _answer(self, scope: Scope, body: bytes) -> Response:
        served, wanted = self._wanted(body)
        try:
            wishes = served.runtime.task.wishes(served.about, wanted)
        except SightlineError as error:
            raise Problem("bad-parameter", str(error)) from None
        scope["sightline"] |= {"model": served.name, "images": len(wishes)}
        with served.batcher.places(len(wishes)):
            made = await served.batcher.ask(wishes)
        self.measures.count(served.name, "answered", len(made))
        results = ",".join(served.document(one, 1, 0.0).model_dump_json() for one in made)
        text = f'{{"model":{served.label},"results":[{results}]}}'
        return Response(text, media_type="application/json")

    def _wanted(self, body: bytes) -> tuple[Served, Any]:
        """Return the model that is asked, and what is wanted of it."""
        try:
            given = json.loads(body or b"{}")
        except (ValueError, RecursionError):
            raise Problem("bad-request", "the body is no JSON") from None
        if not isinstance(given, dict):
            raise Problem("bad-request", "the body is no JSON object")
        name = given.get("model")
        if not (name is None or isinstance(name, str)):
            raise Problem("bad-parameter", "model: the name of a model is a text")
        served = self.models.get(name)
        if not served.runtime.makes:
            raise Problem(
                "bad-parameter",
                f"model: {served.name!r} answers pictures, and makes none; ask /v1/predict",
            )
        try:
            return served, served.runtime.task.Wanted.model_validate(given)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise Problem("bad-parameter", f"{where}: {first['msg']}") from None
