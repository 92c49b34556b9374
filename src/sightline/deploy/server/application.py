"""Build the ASGI application: its routes, and the middleware around them."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Request, Response
from fastapi import Path as InPath
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sightline import __version__
from sightline.data import images
from sightline.deploy.runtime import About, Runtime
from sightline.deploy.server import described, page
from sightline.deploy.server.access import Access
from sightline.deploy.server.decoding import Decoder
from sightline.deploy.server.envelope import Envelope, failed
from sightline.deploy.server.making import Making
from sightline.deploy.server.measures import CONTENT_TYPE_LATEST, Measures
from sightline.deploy.server.predicting import Predictor
from sightline.deploy.server.problems import Problem, from_status
from sightline.deploy.server.proxies import Proxies
from sightline.deploy.server.serving import Models
from sightline.deploy.server.settings import Settings

PREDICT = "/v1/predict"


@dataclass(frozen=True)
class Listed(About):
    """A model that is served, with its metadata.

    Parameters
    ----------
    default : bool
        Whether it answers where no model is named.
    pictures : bool
        Whether its training images can be shown.
    """

    default: bool = False
    pictures: bool = False


class Listing(BaseModel, title="Models"):
    """The models of a server."""

    models: list[Listed]


class State(BaseModel):
    """The state of a server, as the health checks report it."""

    status: str


class Application:
    """An ASGI application that answers with exported models.

    Parameters
    ----------
    places : sequence of str
        See `Models`.
    settings : Settings
    web : path, optional
        Folder of the page; default: the one that comes with Sightline.

    Attributes
    ----------
    models : Models
        Load them before the first request.
    draining : bool
        Set when the server is about to end: it says so under /readyz.
    closing : bool
        Set when connections are to be closed after their next answer.
    """

    def __init__(
        self, places: Sequence[str], settings: Settings | None = None, web: Path = page.FOLDER
    ) -> None:
        self.settings = settings or Settings()
        self.measures = Measures()
        self.models = Models(places, self.settings, self.measures)
        self.draining = self.closing = False
        self.decoder = Decoder(self.settings)
        self.predict = Predictor(self.models, self.settings, self.measures, self.decoder)
        self.make = Making(self.models, self.settings, self.measures, self.predict.bodies)
        self.documented = self._routes(web)
        self.access = Access(self._route, self.settings)
        origins = self.settings.allow_origin
        inner: ASGIApp = self.access
        if origins:
            inner = CORSMiddleware(
                inner, allow_origins=origins, allow_methods=["GET", "POST"],
                allow_headers=["Authorization", "Content-Type"], max_age=3600,
                expose_headers=["Retry-After", "X-Request-ID"],
            )  # fmt: skip
        proxies = Proxies(self.settings.trust_proxy)
        self.envelope = Envelope(
            inner, self.measures, proxies, lambda: self.closing, shared=bool(origins)
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request through all middleware."""
        await self.envelope(scope, receive, send)

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Route a prediction directly, and all else to FastAPI, whose routing would take longer."""
        if scope["type"] != "http" or scope["path"] != PREDICT or scope["method"] != "POST":
            await head_as_get(self.documented, scope, receive, send)
            return
        scope["route"] = PREDICT
        try:
            response = await self.predict(scope, receive)
        except Problem as problem:
            response = said(scope, problem)
        await response(scope, receive, send)

    async def reload(self, *, settle: bool = True) -> None:
        """Load changed models, and read the keys again."""
        await self.models.reload(settle=settle)

    def close(self) -> None:
        """End the threads and processes."""
        self.models.close()
        self.decoder.close()

    def _routes(self, web: Path) -> FastAPI:
        app = FastAPI(
            title="Sightline", version=__version__, description=described.ABOUT,
            docs_url=None, redoc_url=None,  # they would come from a CDN
            exception_handlers=HANDLERS,
        )  # fmt: skip
        described.describe(app)
        models, measures = self.models, self.measures

        @app.post(PREDICT, **described.PREDICT)
        async def predict(request: Request) -> Response:
            """Predict for one or several images.

            Send one or many: as files of a form, as the bytes of one image, or in base64.
            Where some of many cannot be read, their results say why.
            """
            return await self.predict(request.scope, request.receive)

        @app.post("/v1/generate", **described.GENERATE)
        async def generate(request: Request) -> Response:
            """Make pictures of noise, by a model that has learned to.

            The same seed gives the same pictures.
            """
            return await self.make(request.scope, request.receive)

        @app.get("/v1/models", **described.MODELS)
        async def list_models() -> Listing:
            """List the models that can be asked."""
            first = next(iter(models.places))
            return Listing(
                models=[
                    Listed(
                        **dataclasses.asdict(served.about) | {"name": name},
                        default=name == first, pictures=served.runtime.neighbours.is_file(),
                    )
                    for name, served in models.served.items()
                ]
            )  # fmt: skip

        @app.get("/v1/models/{name}/neighbours/{index}", **described.NEIGHBOUR)
        async def neighbour(name: str, index: Annotated[int, InPath(ge=0, lt=2**53)]) -> Response:
            """Show a training image by the number that an answer's neighbours carry."""
            runtime = models.get(name).runtime
            loop = asyncio.get_running_loop()
            picture = await loop.run_in_executor(self.decoder.pool, _png, runtime, index)
            if picture is None:
                raise Problem("no-neighbour", f"{name} has no training image {index} to show")
            headers = {"Cache-Control": "private, max-age=300"}
            return Response(picture, media_type="image/png", headers=headers)

        @app.get("/healthz", **described.HEALTH)
        async def healthz() -> State:
            """Report that the process is alive."""
            return State(status="alive")

        @app.get("/readyz", **described.READY)
        async def readyz() -> State:
            """Report whether requests should be sent here."""
            if self.draining or not models.ready:
                why = "it is about to end" if self.draining else "the models are being loaded"
                raise Problem("unavailable", why)
            return State(status="ready")

        @app.get("/metrics", **described.METRICS)
        async def metrics() -> Response:
            """Return counts and durations in Prometheus' text format."""
            return Response(measures.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

        page.mount(app, web)
        return app


async def head_as_get(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer HEAD as GET, without the body (RFC 9110, 9.3.2); all else as it is."""
    if scope["type"] != "http" or scope["method"] != "HEAD":
        await app(scope, receive, send)
        return

    async def headers_only(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    asked = {**scope, "method": "GET"}
    try:
        await app(asked, receive, headers_only)
    finally:
        scope["route"] = asked.get("route")


def _png(runtime: Runtime, index: int) -> bytes | None:
    pixels = runtime.neighbour(index)
    return None if pixels is None else images.png(pixels)


def said(scope: Scope, problem: Problem) -> Response:
    """Return a problem's response, and note its limit for the log and the counts."""
    if problem.limit:
        scope["sightline"]["limit"] = problem.limit
    return problem.response()


async def _problem(request: Request, problem: Problem) -> Response:
    return said(request.scope, problem)


async def _http(request: Request, error: HTTPException) -> Response:
    problem = from_status(error.status_code, error.detail, error.headers)
    return said(request.scope, problem)


async def _invalid(request: Request, error: RequestValidationError) -> Response:
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"][1:]))
    return said(request.scope, Problem("bad-parameter", f"{where}: {first['msg']}"))


async def _failed(request: Request, error: Exception) -> Response:
    return said(request.scope, failed(request.scope))


HANDLERS: Any = {
    Problem: _problem, HTTPException: _http, RequestValidationError: _invalid, Exception: _failed,
}  # fmt: skip
