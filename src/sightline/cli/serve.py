"""Run ``sightline serve RUN...``: answer over HTTP."""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import Parameter

from sightline.deploy.server import keys
from sightline.deploy.server.settings import Settings
from sightline.errors import MissingExtraError, ParameterError


def serve(
    *runs: Annotated[str, Parameter(name="RUN")],
    host: str = "127.0.0.1",
    port: int = 8000,
    new_key: Annotated[bool, Parameter(negative="")] = False,
    settings: Annotated[Settings, Parameter(name="*")] = Settings(),  # noqa: B008 - frozen
) -> int:
    """Answer over HTTP with one or several RUNs; changed ones are taken while it runs.

    Parameters
    ----------
    runs
        Run folders, exported .onnx files or imagenet:NAME; NAME=PATH gives another name. The first
        one answers where a request names none.
    host
        Address to listen on; 0.0.0.0 is every one of this machine.
    port
        0: any that is free.
    new_key
        Make an API key, print it once, and its hash to append to the file of --keys.
    """
    if new_key:
        key, digest = keys.new()
        sys.stdout.write(f"{digest}\n")
        sys.stderr.write(f"the key, told once: {key}\nits hash, for the file of --keys, above\n")
        return 0
    if not runs:
        raise ParameterError("name a RUN to serve: a run folder or an exported .onnx file")
    try:
        from sightline.deploy.server import application, process
    except ImportError as error:
        if (error.name or "").startswith("sightline"):
            raise
        raise MissingExtraError("sightline serve", "serve") from None
    process.serve(application.Application(runs, settings), host, port)
    return 0
