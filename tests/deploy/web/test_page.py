"""The page in a real browser, against a server that says what the API would."""

from __future__ import annotations

import http.server
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from PIL import Image

import sightline.deploy

WEB = Path(sightline.deploy.__file__).parent / "web"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'"
)
KINDS = {
    ".html": "text/html; charset=utf-8", ".css": "text/css", ".js": "text/javascript",
    ".svg": "image/svg+xml",
}  # fmt: skip


def picture(
    colour: tuple[int, int, int] = (200, 40, 40), size: tuple[int, int] = (40, 30)
) -> bytes:
    written = io.BytesIO()
    Image.new("RGB", size, colour).save(written, "PNG")
    return written.getvalue()


def model(name: str, method: str, size: tuple[int, int] = (8, 8)) -> dict[str, Any]:
    return {
        "name": name, "method": method, "task": "classify", "classes": ["red", "green", "blue"],
        "size": size, "mode": "RGB", "headline": 0.91, "metric": "accuracy", "split": "val",
        "share": True, "version": "1", "default": name == "net",
    }  # fmt: skip


class Server(http.server.BaseHTTPRequestHandler):
    """``net`` sees red and is 62% sure, ``near`` by 2 of 3 neighbours; keeps what was asked."""

    asked: list[tuple[str, str, bytes]] = []
    problem: tuple[int, dict[str, Any], dict[str, str]] | None = None
    key = ""
    models = [model("net", "convnet"), model("near", "knn")]

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path.startswith("/v1/") and not self._admitted():
            return
        if path == "/v1/models":
            self._json(200, {"models": self.models})
        elif path.startswith("/v1/models/near/neighbours/"):
            self._send(200, "image/png", picture((9, 9, int(path.rsplit("/")[-1])), (8, 8)))
        else:
            name = "index.html" if path == "/" else path.removeprefix("/static/")
            file = WEB / name
            if file.is_file():
                self._send(200, KINDS[file.suffix], file.read_bytes())
            else:
                self._send(404, "text/plain", b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not self._admitted():
            return
        address = urlsplit(self.path)
        query = {key: value for key, (value,) in parse_qs(address.query).items()}
        type(self).asked.append((query["model"], self.headers["Content-Type"], body))
        if self.problem:
            status, document, headers = self.problem
            self._json(status, document, "application/problem+json", headers)
            return
        near = query["model"] == "near"
        scores = [2 / 3, 1 / 3, 0.0] if near else [0.62, 0.3, 0.08]
        neighbours = [
            {"index": i, "label": label, "distance": 10.0 + i, "vote": 1 / 3}
            for i, label in enumerate(["red", "green", "red"])
        ]
        result = {
            "label": "red", "score": scores[0], "rejected": False,
            "top": [
                {"label": label, "score": score}
                for label, score in zip(["red", "green", "blue"], scores, strict=True)
            ],
            "neighbours": neighbours if near else None,
        }  # fmt: skip
        named = {"name": query["model"], "version": "1"}
        self._json(200, {"model": named, "results": [result], "query": query})

    def _admitted(self) -> bool:
        if self.key and self.headers.get("Authorization") != f"Bearer {self.key}":
            document = {
                "type": "urn:sightline:problem:unauthorized",
                "title": "An API key is needed",
            }
            self._json(401, {**document, "status": 401, "detail": "send it"})
            return False
        return True

    def _json(
        self, status: int, document: Any, kind: str = "application/json",
        headers: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        self._send(status, kind, json.dumps(document).encode(), headers)

    def _send(
        self, status: int, kind: str, body: bytes, headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        said = {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}
        for name, value in {**said, "Content-Security-Policy": POLICY}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server(serve: Any) -> Iterator[type[Server]]:
    class Mine(Server):
        asked: list[tuple[str, str, bytes]] = []
        address = ""

    with serve(Mine) as address:
        Mine.address = address
        yield Mine


@pytest.fixture
def opened(page: Any, server: Any) -> Any:
    page.open(server.address)
    page.wait(lambda: page.all(".chip"))
    return page


def key(page: Any, *keys: str) -> None:
    """Press keys, wherever the focus is."""
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(page.driver).send_keys(*keys).perform()


def test_the_page_is_under_a_hundred_kilobytes_and_asks_nobody_else():
    files = [path for path in WEB.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 100_000
    for path in files:
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text, path
        assert "https://" not in text, path
    index = (WEB / "index.html").read_text(encoding="utf-8")
    assert "style=" not in index
    assert "<script>" not in index


def test_the_languages_say_the_same_things():
    if not (node := shutil.which("node")):
        pytest.skip("needs node")
    code = (
        "globalThis.localStorage = { getItem: () => null };"
        f"const text = require('fs').readFileSync({json.dumps(str(WEB / 'i18n.js'))}, 'utf8');"
        "const words = eval('(' + text.match(/const WORDS = (\\{[^]*?\\n\\});/)[1] + ')');"
        "const holes = (s) => (s.match(/\\{\\w+\\}/g) ?? []).sort().join();"
        "const flat = (w) => Object.entries(w).filter(([, v]) => typeof v === 'string')"
        ".map(([k, v]) => k + holes(v)).sort();"
        "console.log(JSON.stringify([flat(words.en), flat(words.zh)]))"
    )
    said = subprocess.run([node, "-e", code], capture_output=True, text=True, check=True).stdout
    english, chinese = json.loads(said)
    assert len(english) > 30
    assert english == chinese


def test_a_dropped_file_is_answered_by_every_model(opened, server):
    opened.drop(picture(), "red.png")
    assert opened.answered(2) == ["red", "red"]
    assert opened.texts(".winner .score") == ["62%", "66.7%"]
    assert opened.texts(".card:first-child .bars li") == ["red\n62%", "green\n30%", "blue\n8%"]
    assert sorted(name for name, _, _ in server.asked) == ["near", "net"]
    assert {body for _, _, body in server.asked} == {picture()}
    assert {kind for _, kind, _ in server.asked} == {"image/png"}
    assert "net: red, 62%" in opened.one("#said").get_attribute("textContent")
    widths = [float(bar.value_of_css_property("width")[:-2]) for bar in opened.all(".fill")[:2]]
    assert widths[1] / widths[0] == pytest.approx(30 / 62, rel=0.02)
    assert opened.complaints() == []


def test_neighbours_are_shown_as_pictures(opened):
    opened.drop(picture())
    opened.answered(2)
    assert opened.texts(".near li") == [
        "red\nat 10\nvote 33.3%", "green\nat 11\nvote 33.3%", "red\nat 12\nvote 33.3%",
    ]  # fmt: skip
    opened.wait(lambda: all(i.get_property("naturalWidth") == 8 for i in opened.all(".near img")))
    assert [item.get_attribute("class") for item in opened.all(".near li")] == ["same", "", "same"]
    assert opened.complaints() == []


def test_below_the_threshold_it_is_none_of_these_and_nobody_is_asked_again(opened, server):
    opened.drop(picture())
    opened.answered(2)
    before = len(server.asked)
    opened.slide(0.65)
    assert opened.texts(".winner strong") == ["None of these", "red"]
    assert "Nearest guess: red, 62%" in opened.one(".card:first-child").text
    assert "net: None of these" in opened.one("#said").get_attribute("textContent")
    opened.slide(0.7)
    assert opened.texts(".winner strong") == ["None of these"] * 2
    opened.slide(0.62)  # as the server: rejected below it, not at it
    assert opened.texts(".winner strong") == ["red", "red"]
    assert len(server.asked) == before


def test_the_language_changes_and_is_remembered(opened):
    opened.drop(picture())
    opened.answered(2)
    opened.slide(0.9)
    opened.one("#language").click()
    assert opened.one("#choose").text == "选择图片"
    opened.wait(lambda: opened.texts(".winner strong") == ["都不是", "都不是"])
    assert opened.one("html").get_attribute("lang") == "zh"
    opened.driver.refresh()
    opened.wait(lambda: opened.one("#choose").text == "选择图片")
    opened.one("#language").click()
    assert opened.one("#choose").text == "Choose a picture"


def test_a_chinese_browser_is_spoken_to_in_chinese(page, server):
    agent = page.script("return navigator.userAgent")
    change = "Network.setUserAgentOverride"
    page.driver.execute_cdp_cmd(change, {"userAgent": agent, "acceptLanguage": "zh-CN"})
    try:
        page.open(server.address)
        page.wait(lambda: page.one("#choose").text == "选择图片")
    finally:
        page.driver.execute_cdp_cmd(change, {"userAgent": agent, "acceptLanguage": "en"})


def test_it_is_worked_by_keyboard_alone(opened, server):
    from selenium.webdriver.common.keys import Keys

    def focus_on(name: str) -> None:
        for _ in range(30):
            focused = opened.driver.switch_to.active_element
            if name in (focused.get_attribute("id"), focused.accessible_name):
                outline = opened.script(
                    "return getComputedStyle(arguments[0].type === 'checkbox' ? "
                    "arguments[0].nextSibling : arguments[0]).outlineStyle",
                    focused,
                )
                assert outline != "none", f"the focus on {name} cannot be seen"
                return
            key(opened, Keys.TAB)
        raise AssertionError(f"Tab does not come to {name}")

    focus_on("choose")
    opened.paste(picture(), "pasted.png")
    opened.answered(2)
    opened.paste(picture((0, 0, 255)), "second.png")
    opened.wait(lambda: len(server.asked) == 4)
    focus_on("Show pasted.png again: red, 62%")
    key(opened, Keys.ENTER)
    opened.wait(lambda: opened.one("#shown").get_attribute("alt") == "pasted.png")
    focused = opened.driver.switch_to.active_element
    assert focused.get_attribute("aria-current") == "true"  # the focus has stayed
    focus_on("near")
    key(opened, Keys.SPACE)
    opened.answered(1)
    focus_on("threshold")
    key(opened, *[Keys.PAGE_UP] * 7)
    opened.wait(lambda: opened.texts(".winner strong") == ["None of these"])
    assert len(server.asked) == 4


def test_everything_that_is_operated_has_a_name(opened):
    opened.drop(picture())
    opened.answered(2)
    for element in opened.all("button, input:not([hidden])"):
        if element.is_displayed() or element.get_attribute("type") == "checkbox":
            assert element.accessible_name, element.get_attribute("outerHTML")


def test_the_history_shows_again_without_asking(opened, server):
    opened.drop(picture(), "one.png")
    opened.answered(2)
    assert not opened.one("#history").is_displayed()
    opened.drop(picture((0, 200, 0)), "two.png")
    opened.wait(lambda: len(server.asked) == 4)
    opened.wait(lambda: opened.texts("#history span") == ["red, 62%"] * 2)
    opened.all("#history button")[1].click()
    assert opened.one("#shown").get_attribute("alt") == "one.png"
    assert opened.answered(2) == ["red", "red"]
    assert len(server.asked) == 4


def test_a_model_that_is_not_chosen_is_not_asked(opened, server):
    box = opened.all(".chip input")[1]
    opened.script("arguments[0].click()", box)
    opened.drop(picture())
    opened.answered(1)
    assert [name for name, _, _ in server.asked] == ["net"]
    opened.script("arguments[0].click()", box)
    opened.answered(2)
    assert [name for name, _, _ in server.asked] == ["net", "near"]


def test_a_problem_is_said_where_the_answer_would_be_and_can_be_tried_again(opened, server):
    document = {
        "type": "urn:sightline:problem:busy", "title": "The server is busy", "status": 429,
        "detail": "64 images wait already",
    }  # fmt: skip
    server.problem = (429, document, {"Retry-After": "2"})
    opened.drop(picture())
    opened.wait(lambda: len(opened.all(".card .trouble")) == 2)
    said = opened.one(".card .trouble").text
    assert "The server is busy" in said
    assert "64 images wait already" in said
    assert "2 s" in said
    server.problem = None
    for button in opened.all(".card .trouble button"):
        button.click()
    assert opened.answered(2) == ["red", "red"]


def test_a_problem_of_the_image_has_its_detail(opened, server):
    document = {
        "type": "urn:sightline:problem:bad-image", "title": "The image cannot be read",
        "status": 422, "detail": "the file is truncated",
    }  # fmt: skip
    server.problem = (422, document, {})
    opened.drop(b"nothing", "broken.png")
    opened.wait(lambda: "the file is truncated" in opened.texts(".card")[0])
    assert "broken.png" in opened.one("#unshown").text


def test_what_is_no_picture_is_refused_here(opened, server):
    opened.drop(b"text", "notes.txt", "text/plain")
    assert opened.one("#trouble").text == "That is not a picture."
    assert server.asked == []


def test_a_key_is_asked_for_and_used(page, server):
    server.key = "open-sesame"
    page.open(server.address)
    page.wait(lambda: page.one("#key-field").is_displayed())
    page.one("#key-field").send_keys("open-sesame\n")
    page.wait(lambda: page.all(".chip"))
    assert not page.one("#key").is_displayed()
    page.drop(picture())
    page.answered(2)
    page.wait(lambda: all(i.get_property("naturalWidth") == 8 for i in page.all(".near img")))
    page.one("#curl").click()
    code = page.one("#snippet").text
    assert "open-sesame" not in code
    assert "$SIGHTLINE_KEY" in code


def test_the_copied_commands_ask_the_same(opened, server, tmp_path):
    name = "a red one's.png"
    (tmp_path / name).write_bytes(picture())
    opened.script("arguments[0].click()", opened.all(".chip input")[1])
    opened.drop(picture(), name)
    opened.answered(1)
    opened.slide(0.5)
    for button in ("curl", "python"):
        opened.one(f"#{button}").click()
        code = opened.one("#snippet").get_attribute("textContent")
        command = ["sh", "-c", code] if button == "curl" else [sys.executable, "-c", code]
        if button == "curl" and not shutil.which("curl"):
            continue
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        answer = json.loads(done.stdout)
        assert answer["query"] == {"model": "net", "top": "5", "threshold": "0.5"}
        assert answer["results"][0]["label"] == "red"
        assert server.asked[-1] == ("net", "image/png", picture())


def test_the_camera_takes_a_picture(opened, server):
    opened.driver.execute_cdp_cmd(
        "Browser.grantPermissions", {"permissions": ["videoCapture"], "origin": server.address}
    )
    opened.one("#webcam").click()
    opened.wait(lambda: opened.script("return document.querySelector('video').videoWidth") > 0)
    opened.one("#take").click()
    opened.answered(2)
    assert not opened.one("#camera").is_displayed()
    taken = Image.open(io.BytesIO(server.asked[0][2]))
    assert min(taken.size) > 100
    opened.driver.execute_cdp_cmd("Browser.resetPermissions", {})


def test_a_refused_camera_is_explained(opened, server):
    opened.driver.execute_cdp_cmd(
        "Browser.setPermission",
        {"permission": {"name": "camera"}, "setting": "denied", "origin": server.address},
    )
    opened.one("#webcam").click()
    opened.wait(lambda: "refused" in opened.one("#camera-trouble").text)
    opened.driver.execute_cdp_cmd("Browser.resetPermissions", {})


def test_it_fits_a_phone_and_follows_the_dark(opened):
    opened.drop(picture())
    opened.answered(2)
    light = opened.one("body").value_of_css_property("background-color")
    opened.driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True},
    )
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    opened.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    try:
        assert opened.script("return document.documentElement.scrollWidth") <= 390
        assert opened.one("body").value_of_css_property("background-color") != light
    finally:
        opened.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        opened.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_a_name_with_letters_of_any_kind_reaches_the_server(page, server):
    server.models = [model("猫 & dog/1", "convnet")]
    page.open(server.address)
    page.wait(lambda: "Drop" in page.one("#drop").text)
    page.drop(picture())
    page.answered(1)
    assert unquote(server.asked[0][0]) == "猫 & dog/1"


def test_with_the_server_itself(page, running, make_model, make_picture, by_hand, tmp_path):
    light = make_model(tmp_path / "light.onnx")
    shifted = make_model(tmp_path / "shifted.onnx", name="shifted", shift=4.0)
    with running(str(light), str(shifted)) as server:
        page.open(f"{server.url}/")
        page.wait(lambda: len(page.all(".chip")) == 2)
        page.drop(make_picture(200), "grey.png")
        winners = page.answered(2)
        for shift, winner, score in zip(
            (0.0, 4.0), winners, page.texts(".winner .score"), strict=True
        ):
            wanted = by_hand(200, shift)
            assert winner == ("dark", "middle", "bright")[wanted.argmax()]
            assert float(score.strip("%")) == pytest.approx(100 * wanted.max(), abs=0.051)
        assert page.complaints() == []  # its policy is stricter than the one above
        page.drop(make_picture(90)[:40], "torn.png")
        page.wait(lambda: "cannot be read" in page.one(".card .trouble").text)
        assert not page.all(".card .trouble button")  # again would be in vain
