"""A real Chromium, and folders and answers served to it."""

from __future__ import annotations

import base64
import functools
import http.server
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--no-first-run", "--disable-dev-shm-usage", "--use-fake-device-for-media-stream",
)  # fmt: skip

DROP = """
const [encoded, name, type] = arguments;
const bytes = Uint8Array.from(atob(encoded), (c) => c.charCodeAt(0));
const data = new DataTransfer();
data.items.add(new File([bytes], name, { type }));
document.querySelector("#drop").dispatchEvent(
  new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
"""

PASTE = """
const [encoded, name, type] = arguments;
const bytes = Uint8Array.from(atob(encoded), (c) => c.charCodeAt(0));
const data = new DataTransfer();
data.items.add(new File([bytes], name, { type }));
document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true }));
"""


class Page:
    """A tab of the browser, with what a visitor does."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, address: str) -> None:
        """Open an address as a first visit: in English, nothing remembered."""
        self.driver.get(address)
        self.driver.execute_script("localStorage.clear(); sessionStorage.clear()")
        self.driver.refresh()

    def one(self, selector: str) -> Any:
        """The first element of a selector."""
        return self.driver.find_element("css selector", selector)

    def all(self, selector: str) -> list[Any]:
        """Every element of a selector."""
        return self.driver.find_elements("css selector", selector)

    def texts(self, selector: str) -> list[str]:
        """What they say."""
        return [element.text for element in self.all(selector)]

    def script(self, code: str, *given: Any) -> Any:
        """Run JavaScript."""
        return self.driver.execute_script(code, *given)

    def drop(self, picture: bytes, name: str = "picture.png", kind: str = "image/png") -> None:
        """Drop a file."""
        self.script(DROP, base64.b64encode(picture).decode(), name, kind)

    def paste(self, picture: bytes, name: str = "image.png", kind: str = "image/png") -> None:
        """Paste a picture."""
        self.script(PASTE, base64.b64encode(picture).decode(), name, kind)

    def slide(self, value: float) -> None:
        """Move the threshold."""
        code = """
        const slider = document.querySelector("#threshold");
        slider.value = arguments[0];
        slider.dispatchEvent(new Event("input", { bubbles: true }));
        """
        self.script(code, value)

    def wait(self, true: Callable[[], Any], seconds: float = 30) -> Any:
        """Wait for something, and give it."""
        from selenium.common.exceptions import WebDriverException
        from selenium.webdriver.support.wait import WebDriverWait

        waiting = WebDriverWait(self.driver, seconds, 0.05, [WebDriverException])
        return waiting.until(lambda _: true())

    def answered(self, cards: int = 1, seconds: float = 30) -> list[str]:
        """Wait for every card's answer, and give the winners."""
        return self.wait(
            lambda: len(found := self.texts(".winner strong")) == cards and all(found) and found,
            seconds,
        )

    def complaints(self) -> list[str]:
        """What the browser has against the page: its errors, refusals of the policy among them."""
        return [entry["message"] for entry in self.driver.get_log("browser")]


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A headless Chromium, in English."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("needs chromium and chromedriver (Debian: chromium, chromium-driver)")
    selenium = pytest.importorskip("selenium.webdriver")
    options = selenium.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, "--lang=en", "--window-size=1280,900"):
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('chromium')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = selenium.Chrome(options, selenium.ChromeService(driver))
    started.set_script_timeout(120)
    yield started
    started.quit()


@pytest.fixture
def page(browser: Any) -> Page:
    """The browser's tab."""
    page = Page(browser)
    page.complaints()  # those of the test before
    return page


@contextmanager
def serving(handler: Any) -> Iterator[str]:
    """Serve in a thread; gives the address."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://localhost:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="session")
def serve() -> Callable[[Any], Any]:
    """Serve with a handler."""
    return serving


@pytest.fixture(scope="session")
def static() -> Callable[[Path], Any]:
    """Serve a folder as any static host would."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    return lambda folder: serving(functools.partial(Quiet, directory=str(folder)))
