"""Small exported models, made without torch."""

from __future__ import annotations

import functools
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from sightline.deploy.runtime import KEY, About
from sightline.deploy.server.application import Application
from sightline.deploy.server.settings import Settings
from sightline.types import Task

SIZE = (8, 8)
CLASSES = ("dark", "middle", "bright")


def write_model(
    path: Path,
    version: str = "v1",
    name: str = "light",
    shift: float = 0.0,
    thresholds: tuple[float, ...] = (),
) -> Path:
    """A classifier by brightness: softmax of a linear map of the mean pixel."""
    weight = np.array([[-8.0, 0.0, 8.0]], np.float32)
    bias = np.array([3.0 + shift, 1.0, -5.0], np.float32)
    nodes = [
        helper.make_node("Cast", ["images"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["f"], ["flat"]),
        helper.make_node("ReduceMean", ["flat", "axes"], ["mean"], keepdims=1),
        helper.make_node("Div", ["mean", "full"], ["scaled"]),
        helper.make_node("MatMul", ["scaled", "weight"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"]),
        helper.make_node("ArgMax", ["probabilities"], ["label"], axis=1, keepdims=0),
    ]
    constants = {
        "axes": np.array([1], np.int64), "full": np.array(255, np.float32),
        "weight": weight, "bias": bias,
    }  # fmt: skip
    graph = helper.make_graph(
        nodes, "light",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", *SIZE, 3])],
        [
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 3]),
            helper.make_tensor_value_info("label", TensorProto.INT64, ["n"]),
        ],
        [numpy_helper.from_array(value, key) for key, value in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    entry = model.metadata_props.add()
    about = About(
        name,
        "linear",
        Task.CLASSIFY,
        CLASSES,
        SIZE,
        "RGB",
        "stretch",
        version,
        thresholds=thresholds,
    )
    entry.key, entry.value = KEY, about.to_json()
    part = path.with_suffix(".part")
    onnx.save(model, part)
    part.replace(path)
    return path


def picture(grey: int = 200, size: tuple[int, int] = (12, 10), kind: str = "PNG") -> bytes:
    """An image file of one grey."""
    written = io.BytesIO()
    Image.new("RGB", size, (grey, grey, grey)).save(written, kind)
    return written.getvalue()


def expected(grey: int, shift: float = 0.0) -> np.ndarray:
    """What the model says of an image of one grey, worked out by hand."""
    logits = grey / 255 * np.array([-8.0, 0.0, 8.0]) + np.array([3.0 + shift, 1.0, -5.0])
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "light.onnx")


@pytest.fixture
def make_model() -> Callable[..., Path]:
    return write_model


@pytest.fixture
def make_picture() -> Callable[..., bytes]:
    return picture


@pytest.fixture
def by_hand() -> Callable[..., np.ndarray]:
    return expected


@asynccontextmanager
async def asking(
    *places: Path, web: Path | None = None, load: bool = True, **settings: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server in this process; the application is its ``app``."""
    options = {"web": web} if web else {}
    app = Application([str(p) for p in places], Settings(**settings), **options)
    if load:
        app.models.load()
    transport = httpx.ASGITransport(app)
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as asked:
            asked.app = app
            yield asked
    finally:
        app.close()


@pytest.fixture
def client() -> Callable[..., Any]:
    return asking


class Gate:
    """Holds a model back until it is opened, and counts what goes through."""

    def __init__(self) -> None:
        self.seen = 0
        self.sizes: list[int] = []
        self._open = threading.Event()

    def hold(self, batcher: Any) -> None:
        answer = batcher.answer

        def held(X: np.ndarray) -> Any:
            self._open.wait(10)
            self.seen += len(X)
            self.sizes.append(len(X))
            return answer(X)

        batcher.answer = held

    def open(self) -> None:
        self._open.set()


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.open()


class Running:
    """A server in a process of its own."""

    def __init__(self, process, lines):
        self.process, self.log = process, lines
        self.port = next(e["port"] for e in self.events() if e["event"] == "ready")
        self.url = f"http://127.0.0.1:{self.port}"

    def events(self):
        """Lines of the log; waits for the first that says the server is ready, or ended."""
        for _ in range(1200):
            found = [
                json.loads(line) for line in self.log.read_text().splitlines() if line[0] == "{"
            ]
            if any(e["event"] == "ready" for e in found) or self.process.poll() is not None:
                return found
            time.sleep(0.05)
        raise AssertionError(self.log.read_text())

    def wait_for(self, event):
        for _ in range(200):
            if any(e["event"] == event for e in self.events()):
                return
            time.sleep(0.05)
        raise AssertionError(f"no {event}: {self.log.read_text()[-2000:]}")

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(20)


@contextmanager
def _running(tmp_path, *words):
    log = tmp_path / "log"
    command = [sys.executable, "-m", "sightline", "serve", "--port", "0", *map(str, words)]
    with log.open("w") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=out, env=os.environ | {"OMP_NUM_THREADS": "1"}
        )
    try:
        yield Running(process, log)
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def running(tmp_path):
    return functools.partial(_running, tmp_path)
