"""Classes of pixels in a real browser: equal to the library's, and laid over the picture."""

from __future__ import annotations

import http.server
import io
import json
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from PIL import Image

import sightline
from sightline.data import draw
from sightline.data.images import Resize, frame_of

WEB = Path(sightline.__file__).parent / "deploy/web"
CLASSES = ["背景", "dog <b>", "wolf", "void"]
DECODE = """
const [cases, classes, done] = arguments;
Promise.all([import("/frame.js"), import("/segment.js")]).then(([{ frameOf, mapOut }, task]) =>
  done(cases.map(([picture, size, how, labels]) => {
    const frame = frameOf(picture, size, how);
    return [[...mapOut(frame, labels, size)], task.decode({ labels }, { classes, size }, frame)];
  })), (error) => done(String(error)));
"""
COLOURS = """
const done = arguments[0];
import("/segment.js").then(
  ({ colour }) => done(Array.from({ length: 300 }, (_, c) => colour(c))));
"""


def answer_of(label_map: np.ndarray) -> dict[str, Any]:
    """What the server says of a label map, by hand."""
    flat = label_map.ravel().tolist()
    runs: list[list[int]] = []
    for value in flat:
        if runs and runs[-1][0] == value:
            runs[-1][1] += 1
        else:
            runs.append([value, 1])
    counts = [flat.count(c) for c in range(len(CLASSES))]
    order = sorted((c for c in range(len(CLASSES)) if counts[c]), key=lambda c: -counts[c])
    objects = [
        {"label": CLASSES[c], "pixels": counts[c], "share": counts[c] / sum(counts)} for c in order
    ]
    return {"size": list(label_map.shape), "runs": runs, "objects": objects}


def test_a_label_map_comes_back_to_the_picture_as_the_library_brings_it(
    page: Any, static: Any
) -> None:
    rng = np.random.default_rng(0)
    pictures = [(1, 1), (7, 5), (33, 47), (1, 90), *rng.integers(1, 60, (8, 2)).tolist()]
    cases, wanted = [], []
    for picture in map(tuple, pictures):
        for size in ((32, 32), (7, 5), (20, 31)):
            for how in get_args(Resize):
                labels = rng.integers(0, 3, size).astype(np.uint8)
                labels[rng.random(size) < 0.05] = 255
                cases.append((picture, size, how, labels.ravel().tolist()))
                wanted.append(frame_of(picture, size, how).map_out(labels))
    with static(WEB) as address:
        page.driver.get(f"{address}/frame.js")
        said = page.driver.execute_async_script(DECODE, cases, CLASSES)
        tints = page.driver.execute_async_script(COLOURS)
    assert isinstance(said, list), said
    for (values, answer), label_map, case in zip(said, wanted, cases, strict=True):
        assert values == label_map.ravel().tolist(), case[:3]
        expected = answer_of(label_map)
        for one in (*answer["objects"], *expected["objects"]):
            one["share"] = round(one["share"], 12)
        assert answer == expected, case[:3]
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
    first, second = draw.colours(np.arange(2)).tolist()
    assert painted(page) == [[*first, 255], [*second, 255], [0, 0, 0, 0]]
    assert page.texts(".objects .label") == ["背景", "dog <b>"]  # text, no markup
    assert page.texts(".objects .figure") == ["75%", "25%"]
    marks = page.script(
        "return [...document.querySelectorAll('.mark')].map(m => m.style.background)"
    )
    assert marks == [f"rgb({', '.join(map(str, c))})" for c in (first, second)]
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
