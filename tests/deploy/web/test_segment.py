"""Classes of pixels in a real browser: equal to the library's, and laid over the picture."""

from __future__ import annotations

import http.server
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import sightline
from sightline.data import draw
from sightline.data.images import frame_of
from sightline.data.outlines import part_to_rle
from sightline.deploy.segment import document
from sightline.types import Segmentation

WEB = Path(sightline.__file__).parent / "deploy/web"
CLASSES = ["背景", "dog <b>", "wolf", "void"]
DECODE = """
const [cases, classes, done] = arguments;
Promise.all([import("/frame.js"), import("/segment.js")]).then(([{ frameOf }, task]) =>
  done(cases.map(([picture, size, how, scores]) => {
    const frame = frameOf(picture, size, how);
    const { map, ...answer } = task.decode({ scores }, { classes, size }, frame);
    return [[...map], answer];
  })), (error) => done(String(error)));
"""
CODES = """
const [answers, classes, done] = arguments;
import("/segment.js").then((task) => done(answers.map((a) => [...task.mapOf(a, classes)])));
"""
COLOURS = """
const done = arguments[0];
import("/segment.js").then(
  ({ colour }) => done(Array.from({ length: 300 }, (_, c) => colour(c))));
"""


def answer_of(label_map: np.ndarray) -> dict[str, Any]:
    """What the server says of a label map; pixels that are 255 are of none of the classes."""
    counted = Segmentation(np.where(label_map == 255, 0, label_map), tuple(CLASSES))
    said = document(counted).model_dump(mode="json")
    if (label_map == 255).any():
        said["objects"] = [
            one | {"counts": part_to_rle(
                label_map == CLASSES.index(one["label"]), (0, 0), *label_map.shape
            )["counts"].decode()}
            for one in said["objects"]
        ]  # fmt: skip
    return said


def test_scores_become_classes_of_the_picture_as_in_the_library(page: Any, static: Any) -> None:
    rng = np.random.default_rng(0)
    pictures = [(1, 1), (7, 5), (33, 47), (1, 90), *rng.integers(1, 60, (8, 2)).tolist()]
    cases, wanted = [], []
    for picture in map(tuple, pictures):
        for size in ((32, 32), (7, 5), (20, 31)):
            for how in ("stretch", "pad"):
                scores = rng.normal(size=(len(CLASSES), *size)).astype(np.float32)
                cases.append((picture, size, how, scores.ravel().tolist()))
                wanted.append(frame_of(picture, size, how).classes_out(scores))
    with static(WEB) as address:
        page.driver.get(f"{address}/frame.js")
        said = page.driver.execute_async_script(DECODE, cases, CLASSES)
        tints = page.driver.execute_async_script(COLOURS)
        answers = [answer_of(label_map) for label_map in wanted]
        maps = page.driver.execute_async_script(CODES, answers, CLASSES)
    assert isinstance(said, list), said
    for (values, answer), label_map, case in zip(said, wanted, cases, strict=True):
        assert values == label_map.ravel().tolist(), case[:3]
        expected = answer_of(label_map)
        for one in expected["objects"]:
            del one["counts"]
        for one in (*answer["objects"], *expected["objects"]):
            one["share"] = round(one["share"], 12)
        assert answer == expected, case[:3]
    assert maps == [label_map.ravel().tolist() for label_map in wanted]
    assert tints == draw.colours(np.arange(300)).tolist()


@pytest.fixture
def server(serve: Any) -> Any:
    """A server with a model that sees a dog at the right, and nothing in the first pixel."""
    label_map = np.zeros((30, 40), np.uint8)
    label_map[:, 30:] = 1
    label_map[0, 0] = 255
    model = {
        "name": "net", "method": "unet-lite", "task": "segment", "classes": CLASSES,
        "size": (32, 32), "mode": "RGB", "headline": 0.9, "metric": "miou", "split": "test",
        "share": True, "version": "1", "default": True,
    }  # fmt: skip

    class Server(http.server.SimpleHTTPRequestHandler):
        """The page's files, the model, and one answer for every picture."""

        def __init__(self, *given: Any) -> None:
            super().__init__(*given, directory=str(WEB))

        def do_GET(self) -> None:
            if self.path == "/v1/models":
                self._json({"models": [model]})
                return
            self.path = self.path.removeprefix("/static")
            super().do_GET()

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            named = {"name": "net", "version": "1"}
            self._json({"model": named, "results": [answer_of(label_map)]})

        def _json(self, document: Any) -> None:
            body = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with serve(Server) as address:
        yield address


def painted(page: Any) -> list[list[int]]:
    """The canvas's pixels at the left, at the right, and in the corner."""
    return page.script("""
        const drawn = document.querySelector(".boxes canvas").getContext("2d");
        const { data } = drawn.getImageData(0, 0, 40, 30);
        const places = [[5, 5], [35, 5], [0, 0]].map(([x, y]) => 4 * (40 * y + x));
        return places.map((at) => [...data.slice(at, at + 4)]);
    """)


def test_the_page_lays_the_classes_over_the_picture(page: Any, server: str) -> None:
    written = io.BytesIO()
    Image.new("RGB", (40, 30), (200, 40, 40)).save(written, "PNG")
    page.open(server)
    page.wait(lambda: page.all(".chip"))
    page.drop(written.getvalue())
    page.wait(lambda: page.all(".boxes canvas"))
    second = draw.colours(np.arange(2)).tolist()[1]
    clear, tinted, _ = painted(page)
    assert clear[3] == 0  # of the background nothing is hidden
    assert tinted == [*second, 255]
    assert page.texts(".objects .label") == ["背景", "dog <b>"]  # text, no markup
    assert page.texts(".objects .figure") == ["75%", "25%"]
    marks = page.script(
        "return [...document.querySelectorAll('.mark')].map(m => m.style.background)"
    )
    assert marks == ["transparent", f"rgb({', '.join(map(str, second))})"]
    assert page.one(".boxes canvas").get_dom_attribute("aria-label") == "背景 75%, dog <b> 25%"
    assert not page.one("#threshold").is_displayed()  # it would change nothing
    page.wait(lambda: page.texts("#said") == ["net: 背景 75%, dog <b> 25%"])
    assert "mean IoU 90% on its test images" in page.one(".card header").text
    seen = page.script(
        "const at = (q) => document.querySelector(q).getBoundingClientRect().toJSON();"
        "return [at('.boxes canvas'), at('.boxes img')]"
    )
    for side in ("left", "top", "width", "height"):  # the colours lie on the picture
        assert seen[0][side] == pytest.approx(seen[1][side], abs=1)
    page.script("""
        const slider = document.querySelector(".opacity input");
        slider.value = 0.2;
        slider.dispatchEvent(new Event("input", { bubbles: true }));
    """)
    shown = "return getComputedStyle(document.querySelector('.boxes canvas')).opacity"
    assert page.script(shown) == "0.2"
    assert page.texts(".opacity output") == ["20%"]
    label = page.one(".opacity label")
    assert label.text == "Colours over the picture"
    named = "return document.querySelector('.opacity input').labels[0].textContent"
    assert page.script(named) == label.text
    page.one("#language").click()
    page.wait(lambda: page.texts(".opacity label") == ["颜色的不透明度"])
    assert page.script(shown) == "0.2"  # as it was left
    assert "平均 IoU" in page.one(".card header").text
    assert not [line for line in page.complaints() if "favicon" not in line]
