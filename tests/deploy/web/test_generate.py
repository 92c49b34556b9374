"""Pictures made of noise in a real browser: the same as in Python, and the form that asks."""

from __future__ import annotations

import base64
import http.server
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import sightline
from sightline.deploy import generate
from sightline.deploy.runtime import About
from sightline.models.generate.noise import normal

WEB = Path(sightline.__file__).parent / "deploy/web"
MADE = """
const [about, wish, done] = arguments;
import("/generate.js").then(async (task) => {
  const run = async ({ points, time, label, noise }) => {
    if (noise) {
      const shift = label ? Number(label.data.at(-1)) : 0;
      return { made: Uint8Array.from(noise.data, (z) => 128 + 20 * z + shift) };
    }
    const rows = time.data.length, each = points.data.length / rows;
    return { velocity: points.data.map((x, i) => {
      const row = Math.floor(i / each);
      return Math.sin(3 * x) + time.data[row] - 0.1 * (label ? Number(label.data[row]) : 0);
    }) };
  };
  const made = await task.make(run, about, wish);
  done([Array.from(task.normal(3, 7, 12)), made.map((rgba) => Array.from(rgba)),
    task.answered(made[0], about.size).picture]);
}, (error) => done(String(error)));
"""


class Stub:
    """The same graph as in the browser, for Python's sampler."""

    def __init__(self, about: Any) -> None:
        self.about = about

    def run(self, feeds: dict[str, Any]) -> dict[str, Any]:
        label = feeds.get("label")
        if "noise" in feeds:
            shift = 0 if label is None else label[-1]
            made = (128 + 20 * feeds["noise"].astype(float) + shift).astype(np.uint8)
            return {"made": made.reshape(len(made), *self.about.size, 1)}
        x, t = feeds["points"], feeds["time"].reshape(-1, 1, 1, 1)
        y = 0 if label is None else label.reshape(-1, 1, 1, 1)
        return {"velocity": (np.sin(3 * x) + t - 0.1 * y).astype(np.float32)}


def about(kind: str, *, classes: bool, channels: int = 1) -> dict[str, Any]:
    latent = [channels, 3, 4] if kind == "flow" else [12]
    asks = {"kind": kind, "latent": latent, "classes": classes, "pixels": [0.5, 0.5]}
    how = {"steps": 4, "sampler": "heun", "guidance": 2.0} if kind == "flow" else {}
    return {
        "name": "m", "method": kind, "task": "generate", "classes": ["a", "b", "c"],
        "size": [3, 4], "mode": "L" if channels == 1 else "RGB", "asks": asks | how,
    }  # fmt: skip


def test_the_browser_makes_the_same_pictures(page: Any, static: Any) -> None:
    with static(WEB) as address:
        page.driver.get(f"{address}/generate.js")
        for said, wish in (
            (about("flow", classes=True), {"n": 5, "seed": 3}),
            (about("flow", classes=True), {"n": 2, "class": "b", "steps": 3, "sampler": "euler"}),
            (about("flow", classes=False, channels=3), {"n": 2, "seed": 4294967295}),
            (about("decoder", classes=True), {"n": 4, "seed": 9}),
            (about("decoder", classes=False), {"n": 4}),
        ):
            told = page.driver.execute_async_script(MADE, said, wish)
            assert isinstance(told, list), told
            noise, made, uri = told
            np.testing.assert_allclose(noise, normal(3, (7,), 12).ravel(), atol=1e-6)
            known = About(**said, resize="crop", version="1")
            wishes = generate.wishes(known, generate.Wanted(**wish))
            mine = np.stack([g.images[0] for g in generate.fulfil(Stub(known), wishes)])
            theirs = np.array(made, np.uint8).reshape(len(made), 3, 4, 4)[..., :3]
            assert np.abs(theirs.astype(int) - mine).max() <= 1
            shown = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB")
            assert np.array_equal(np.asarray(shown), theirs[0])


class Server(http.server.SimpleHTTPRequestHandler):
    """A model that makes grey pictures, as many as are wished for, and keeps the wishes."""

    wishes: list[dict[str, Any]] = []

    def do_GET(self) -> None:
        if self.path == "/v1/models":
            self._say({"models": [about("flow", classes=True)]})
            return
        path = "index.html" if self.path == "/" else self.path.partition("/static/")[2]
        body = (WEB / path).read_bytes()
        kinds = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
        self.send_response(200)
        self.send_header("Content-Type", kinds.get(Path(path).suffix, "image/svg+xml"))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        wish = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.wishes.append(wish)
        written = io.BytesIO()
        Image.new("L", (4, 3), 99).save(written, "PNG")
        uri = generate.PREFIX + base64.b64encode(written.getvalue()).decode()
        self._say({"results": [{"size": [3, 4], "picture": uri}] * wish["n"]})

    def _say(self, document: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(document).encode())

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def test_a_form_asks_for_pictures(page: Any, serve: Any) -> None:
    with serve(Server) as address:
        page.open(address)
        page.wait(lambda: page.one("form.make button"))
        assert not page.one(".picture").is_displayed()  # it is asked about none
        page.script(
            "const [n, seed, steps] = document.querySelectorAll('.make input');"
            "n.value = 3; seed.value = 7; steps.value = 5;"
            "document.querySelector('.make select').selectedIndex = 2;"
        )
        page.one("form.make button").click()
        page.wait(lambda: len(page.all(".made img")) == 3)
        assert Server.wishes == [{"model": "m", "n": 3, "seed": 7, "class": "b", "steps": 5}]
        page.one("#language").click()
        assert page.one("form.make button").text == "生成图片"
        assert len(page.all(".made img")) == 3  # they stay
        assert page.one(".make select").get_attribute("value") == "1"
        assert not page.complaints()
