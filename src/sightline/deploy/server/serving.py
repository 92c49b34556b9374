"""Load a server's models, watch their files, and replace changed ones while serving."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from sightline.deploy.export import FOLDER, MODEL, ready
from sightline.deploy.runtime import About, Runtime, limit_of
from sightline.deploy.server import logs
from sightline.deploy.server.batching import Batcher
from sightline.deploy.server.measures import Measures
from sightline.deploy.server.problems import Problem
from sightline.deploy.server.settings import Settings
from sightline.errors import ParameterError, RunError, SightlineError, UnknownNameError, missing
from sightline.models import registry
from sightline.training import run
from sightline.types import Frame, Prediction

POLL = 1.0
"""Seconds between two looks at the files."""

EXPORTED = Path(FOLDER) / MODEL
WATCHED = (Path(run.CONFIG), Path(run.MODEL), EXPORTED)
"""Of a run's folder."""

Signature = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Served:
    """A loaded model that answers."""

    name: str
    runtime: Runtime
    batcher: Batcher
    signature: Signature

    @cached_property
    def label(self) -> str:
        """Return the model's name and version for a response."""
        return json.dumps({"name": self.name, "version": self.about.version}, ensure_ascii=False)

    @property
    def about(self) -> About:
        """Return the metadata of the exported model."""
        return self.runtime.about

    def limits(self, threshold: float | str) -> float | Sequence[float]:
        """Return the score below which an answer is rejected, or that of each class for ``"auto"``.

        Raises
        ------
        Problem
            When the model has none of its own, or its answers have no scores.
        """
        if threshold and not getattr(self.runtime.task, "SCORED", True):
            raise Problem(
                "bad-parameter",
                f"threshold: the model {self.name!r} answers without scores: each pixel has its "
                "best class",
            )
        if not isinstance(threshold, str):
            return threshold
        if not self.about.thresholds:
            raise Problem(
                "bad-parameter", f"threshold: the model {self.name!r} has none; give a number"
            )
        return self.about.thresholds

    def document(self, answer: Prediction, top: int, limit: float | Sequence[float]) -> BaseModel:
        """Return an answer as JSON has it."""
        threshold = limit_of(answer, limit)
        said: BaseModel = self.runtime.task.document(answer, top=top, threshold=threshold)
        return said


class Models:
    """The models of a server, by name; the first one is the default.

    Parameters
    ----------
    places : sequence of str
        Run folders, ``.onnx`` files or ``imagenet:NAME``, each by itself or as ``NAME=PATH``.
    settings : Settings
    measures : Measures

    Raises
    ------
    ParameterError
        When two have one name.
    RunError
        When there is no such place.
    """

    def __init__(self, places: Sequence[str], settings: Settings, measures: Measures) -> None:
        self.settings, self.measures = settings, measures
        self.places: dict[str, Path] = {}
        for place in places:
            name, path = _named(place)
            if name in self.places:
                raise ParameterError(f"two models are called {name}; call one NAME={path}")
            self.places[name] = path
        self.served: dict[str, Served] = {}
        self._seen: dict[str, Signature] = {}

    @property
    def ready(self) -> bool:
        """Tell whether all models are loaded."""
        return len(self.served) == len(self.places)

    def get(self, name: str | None) -> Served:
        """Return the model of a name, or the default.

        Raises
        ------
        Problem
            When there is none, or it is still being loaded.
        """
        served = self.served.get(name or next(iter(self.places)))
        if served is not None:
            return served
        if name is None or name in self.places:
            raise Problem("unavailable", "the model is being loaded", headers={"Retry-After": "1"})
        raise Problem("unknown-model", str(UnknownNameError("model", name, self.places)))

    def load(self) -> None:
        """Load every model; takes seconds.

        Raises
        ------
        SightlineError
            When one cannot be loaded.
        """
        for name in self.places:
            self._swap(self._loaded(name))

    async def reload(self, *, settle: bool = True) -> None:
        """Load changed models beside the serving ones, then swap; a failure keeps the old one.

        Parameters
        ----------
        settle : bool
            Take a file only once it has stayed the same between two looks.
        """
        for name, path in self.places.items():
            now = signature(path)
            settled, self._seen[name] = not settle or self._seen.get(name) == now, now
            old = self.served.get(name)
            if old is None or now == old.signature or not settled or not now:
                continue
            try:
                new = await asyncio.to_thread(self._loaded, name)
            except Exception as error:  # noqa: BLE001 - the old one goes on, whatever it was
                why = str(error) if isinstance(error, SightlineError) else type(error).__name__
                self.served[name] = Served(name, old.runtime, old.batcher, now)
                self.measures.loads.labels(name, "failed").inc()
                logs.event("load failed", logging.ERROR, model=name, reason=why)
                continue
            self._swap(new)
            # No request outlives its deadline: then nobody asks the old one any more.
            asyncio.get_running_loop().call_later(self.settings.timeout_s + 1, old.batcher.close)

    async def watch(self) -> None:
        """Look for changed models until cancelled."""
        while True:
            await asyncio.sleep(POLL)
            await self.reload()

    def close(self) -> None:
        """End the threads."""
        for served in self.served.values():
            served.batcher.close()

    def _loaded(self, name: str) -> Served:
        graph = exported(self.places[name])
        seen = signature(self.places[name])
        runtime = Runtime(graph, threads=self.settings.threads)
        about, limits = runtime.about, self.settings
        shape = (*about.size, about.channels)
        for n in {1, limits.max_batch} if not runtime.makes else ():
            runtime.answer(np.zeros((n, *shape), np.uint8))

        def made(wishes: Sequence[Any]) -> list[Prediction]:
            granted: list[Prediction] = runtime.task.fulfil(runtime, wishes)
            return granted

        def answer(ready: Sequence[tuple[NDArray[np.uint8], Frame]]) -> list[Prediction]:
            return runtime.answer(np.stack([p for p, _ in ready]), [frame for _, frame in ready])

        batcher = Batcher(
            made if runtime.makes else answer, max_batch=limits.max_batch,
            max_wait=limits.max_wait_ms / 1e3, capacity=limits.queue,
            on_batch=self.measures.batches.labels(name).observe,
        )  # fmt: skip
        return Served(name, runtime, batcher, seen)

    def _swap(self, new: Served) -> None:
        self.served[new.name] = new
        batcher = new.batcher
        self.measures.watch(new.name, lambda: len(batcher.waiting), lambda: batcher.inside)
        self.measures.loads.labels(new.name, "loaded").inc()
        logs.event("loaded", model=new.name, version=new.about.version)


def signature(path: Path) -> Signature:
    """Return a value that changes with a model's files; empty while they are incomplete."""
    files = [path / name for name in WATCHED] if path.is_dir() else [path]
    try:
        stats = [file.stat() for file in files]
    except OSError:
        return ()
    return tuple((s.st_mtime_ns, s.st_size, s.st_ino) for s in stats)


def exported(path: Path) -> Path:
    """Return the graph of a run, or of ``imagenet:NAME``; export it first if missing or old.

    A process of its own does it: the server never loads torch.

    Raises
    ------
    RunError
        When it cannot be exported.
    """
    if not path.is_dir() and not registry.is_foreign(str(path)):
        return path
    if made := ready(path):
        return made
    code = (
        "import sys; from pathlib import Path; from sightline.deploy.export import exported\n"
        "from sightline.errors import SightlineError\n"
        "try: print(exported(Path(sys.argv[1])))\n"
        "except SightlineError as error: sys.exit(str(error))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no reason was given"]
        raise RunError(f"{path} could not be exported: {lines[-1]}")
    return Path(done.stdout.strip().splitlines()[-1])


def _named(place: str) -> tuple[str, Path]:
    if registry.is_foreign(place):
        return place, exported(Path(place))
    name, sign, rest = place.partition("=")
    path = Path(rest if sign and name and not Path(place).exists() else place)
    if sign and registry.is_foreign(rest):
        return name, exported(Path(rest))
    if not path.exists():
        raise RunError(missing(path, "there is no such run folder or exported model"))
    if path != Path(place):
        return name, path
    own = path.resolve()
    if own.parts[-2:] == EXPORTED.parts:
        own = own.parents[1]
    return own.stem if own.suffix == ".onnx" else own.name, path
