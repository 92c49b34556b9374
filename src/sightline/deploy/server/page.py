"""Serve the page's files with security headers."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI, Response
from starlette.responses import FileResponse
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from sightline import tasks

FOLDER = Path(__file__).parent.parent / "web"

HEADERS = {
    # Nothing from other sites; pictures also from the camera and from memory.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; "
        "img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self'; "
        "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    # The names do not change with the contents: asked again each time, mostly answered with 304.
    "Cache-Control": "no-cache",
}


class Files(StaticFiles):
    """The static files of the page, with their headers."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file with the page's headers."""
        response = await super().get_response(path, scope)
        response.headers.update(HEADERS)
        return response


def mount(app: FastAPI, folder: Path) -> None:
    """Serve the page under / and /static, where there is one."""
    index = folder / "index.html"
    if not index.is_file():
        return
    files = Files(directory=folder)
    files.all_directories = [folder, *tasks.places("deploy.web")]
    app.mount("/static", files)

    @app.get("/", include_in_schema=False)
    async def home() -> Response:
        return FileResponse(index, headers=HEADERS)
