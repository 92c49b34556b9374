"""The report in a real Chromium: at several widths, light and dark, in both languages, on paper."""

from __future__ import annotations

import base64
import shutil
import time

import pytest

import sightline
from sightline.bench import curve
from sightline.report import embedding_page, learning_page
from sightline.training import run

NAMES = (
    "onnx:/home/me/models/flowers.onnx,pixels=unit", "torchvision:mobilenet_v3_small",
    "nearest-mean", "linear", "logistic", "knn", "features+logistic", "finetune",
)  # fmt: skip

SIZES = (20, 60, 200, 600, 2000)

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--no-first-run", "--disable-dev-shm-usage", "--lang=en",
)  # fmt: skip

WIDTHS = (390, 1100, 1400)
PAGES = ((2, 3), (9, 3), (14, 3), (14, 100))

OVERLAPS = """
const shown = [...document.querySelectorAll(arguments[0])].filter(t => t.getClientRects().length);
if (shown.length < 20) return ["nothing is drawn"];
const boxes = shown.map(t => [t.textContent, t.getBoundingClientRect()]);
const bad = [];
for (let i = 0; i < boxes.length; i++) {
  const [name, a] = boxes[i];
  const frame = shown[i].ownerSVGElement.getBoundingClientRect();
  if (a.left < frame.left - 1 || a.right > frame.right + 1 || a.top < frame.top - 1 ||
      a.bottom > frame.bottom + 1) bad.push(`${name} leaves the picture`);
  for (let j = 0; j < i; j++) {
    const [other, b] = boxes[j];
    if (shown[i].ownerSVGElement !== shown[j].ownerSVGElement) continue;
    const x = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const y = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    if (x > 1 && y > Math.min(a.height, b.height) * 0.35) bad.push(`${name} over ${other}`);
  }
}
return bad;
"""
"""What leaves its drawing or lies over another; a line's box is higher than its letters."""

CONTRAST = """
const light = (c) => {
  const [r, g, b] = c.match(/[\\d.]+/g).map(Number)
    .map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
  return .2126 * r + .7152 * g + .0722 * b;
};
const back = (node) => {
  for (; node; node = node.parentElement) {
    const c = getComputedStyle(node).backgroundColor;
    if (c !== "rgba(0, 0, 0, 0)" && c !== "transparent") return c;
  }
  return "rgb(255, 255, 255)";
};
const bad = [];
const all = "h1, h2, p, td, th, summary, figure b, pre, text, .soft";
for (const node of document.querySelectorAll(all)) {
  if (!node.getClientRects().length || !node.textContent.trim()) continue;
  const style = getComputedStyle(node), svg = node.tagName === "text";
  const ink = svg ? style.fill : style.color;
  if (svg && ["rgb(255, 255, 255)", "rgb(0, 0, 0)"].includes(ink)) continue;  // on a coloured cell
  const [a, b] = [light(ink), light(back(svg ? node.closest("div") : node))].sort((x, y) => y - x);
  const ratio = (a + .05) / (b + .05);
  const said = node.textContent.slice(0, 30);
  if (ratio < (svg ? 3 : 4.5)) bad.push(`${node.tagName} ${said} ${ratio}`);
}
return bad;
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("needs chromium and chromedriver (Debian: chromium, chromium-driver)")
    selenium = pytest.importorskip("selenium.webdriver")
    options = selenium.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = selenium.Chrome(options, selenium.ChromeService(driver))
    yield started
    started.quit()


def look(browser, page, *, width=1100, dark=False, language="en-US", media="screen"):
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": [scheme]})
    agent = browser.execute_script("return navigator.userAgent")
    browser.execute_cdp_cmd(
        "Emulation.setUserAgentOverride", {"userAgent": agent, "acceptLanguage": language}
    )
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600,
    })  # fmt: skip
    browser.get(page.as_uri())
    browser.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")


def in_both(browser):
    for language in ("en", "zh"):
        browser.execute_script("document.documentElement.lang = arguments[0]", language)
        yield language


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("made", PAGES, ids=str)
def test_nothing_runs_out_of_the_page_and_no_letters_over_others(browser, page_of, made, width):
    look(browser, page_of(*made), width=width)
    for language in in_both(browser):
        wide = browser.execute_script("return document.documentElement.scrollWidth")
        assert wide <= width, language
        # Ticks of very many classes are small on a phone, and stand close.
        assert browser.execute_script(OVERLAPS, ".drawing text") == [], language
        cut = browser.execute_script("""
            dispatchEvent(new Event("resize"));
            return [...document.querySelectorAll(".box")].map(b => {
              const inner = b.querySelector(".wide");
              inner.dispatchEvent(new Event("scroll"));
              return [inner.scrollWidth > inner.clientWidth + 4, b.classList.contains("cut"),
                      getComputedStyle(b.querySelector(".more")).display !== "none"];
            })""")
        assert all(over == marked == said for over, marked, said in cut), cut
        if width == 390:
            assert cut[0][0]
    assert browser.get_log("browser") == []


@pytest.mark.parametrize("dark", [False, True])
def test_letters_can_be_read_light_and_dark(browser, page_of, dark):
    look(browser, page_of(9, 3), dark=dark)
    paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(18, 19, 21)") == dark
    for _ in in_both(browser):
        assert browser.execute_script(CONTRAST) == []


def test_it_speaks_the_browsers_language_until_another_is_chosen(browser, page_of):
    page = page_of(2, 3)
    look(browser, page, language="zh-CN")
    browser.execute_script("localStorage.clear()")
    look(browser, page, language="zh-CN")
    root = "return document.documentElement.lang"
    assert browser.execute_script(root) == "zh"
    assert browser.title == "made：哪种方法够用？"
    when = browser.execute_script("return document.querySelector('time').textContent")
    assert "年" in when
    browser.find_element("css selector", ".switch").click()
    assert browser.execute_script(root) == "en"
    assert browser.title == "made: which method is good enough?"
    for _ in range(20):  # what pages have stored and cleared is settled between their processes
        time.sleep(0.1)
        look(browser, page, language="zh-CN")
        if browser.execute_script(root) == "en":
            break
        browser.find_element("css selector", ".switch").click()
    assert browser.execute_script(root) == "en"  # it is remembered
    browser.execute_script("localStorage.clear()")
    look(browser, page, language="de-DE")
    assert browser.execute_script(root) == "en"


def test_paper_is_white_and_nothing_is_cut_or_folded_away(browser, page_of):
    look(browser, page_of(9, 3), dark=True, media="print", width=700)
    assert (
        browser.execute_script("return getComputedStyle(document.body).color") == "rgb(28, 29, 32)"
    )
    assert browser.execute_script("""
        const boxes = [...document.querySelectorAll(".wide")];
        return boxes.every(box => box.scrollWidth <= box.clientWidth + 1);
    """)
    hidden = browser.execute_script(
        "return getComputedStyle(document.querySelector('.switch')).display"
    )
    assert hidden == "none"
    pdf = browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
    assert base64.b64decode(pdf["data"]).startswith(b"%PDF")


@pytest.fixture(scope="module")
def curve_page(curve_of, tmp_path_factory):
    """The page of nine learning curves with long names, one of which failed throughout."""
    folder, names = tmp_path_factory.mktemp("curves"), (*NAMES[:8], "lost")
    figures = {
        name: [[None if name == "lost" else 1 - 0.02 * i - (1 + i / 4) * n**-0.4] for n in SIZES]
        for i, name in enumerate(names)
    }
    results = curve_of(figures, sizes=SIZES)
    run.write_json(folder / curve.RESULTS, results.model_dump(mode="json"))
    run.write_json(folder / curve.REQUEST, {
        "command": f"sightline curve 照片/ {' '.join(names)}", "started": run.now(),
        "environment": run.environment(0),
    })  # fmt: skip
    return learning_page.write(folder, sightline.load_data("digits"))


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", WIDTHS)
def test_learning_curves_fit_the_page_and_can_be_read(browser, curve_page, width, dark):
    look(browser, curve_page, width=width, dark=dark)
    for language in in_both(browser):
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        assert browser.execute_script(OVERLAPS, ".drawing text") == [], language
        assert browser.execute_script(CONTRAST) == [], language
    assert browser.get_log("browser") == []


LASSO = """
const field = document.querySelector("#field"), box = field.getBoundingClientRect();
const put = (kind, x, y) => field.dispatchEvent(new PointerEvent(kind, {
  clientX: box.left + x * box.width, clientY: box.top + y * box.height, pointerId: 1,
  bubbles: true,
}));
const corners = arguments[0];
put("pointerdown", ...corners[0]);
for (const corner of corners) put("pointermove", ...corner);
put("pointerup", ...corners.at(-1));
return document.querySelector("#files").value;
"""

HOVER = """
const field = document.querySelector("#field"), box = field.getBoundingClientRect();
const tip = document.querySelector("#tip");
for (let y = 2; y < box.height && tip.hidden; y += 6) for (let x = 2; x < box.width && tip.hidden; x += 6)
  field.dispatchEvent(new PointerEvent("pointermove", { clientX: box.left + x, clientY: box.top + y }));
const tiny = document.querySelector("#tiny");
const pixels = tiny.getContext("2d").getImageData(0, 0, tiny.width, tiny.height).data;
return [tip.hidden, tip.innerText, Math.max(...pixels)];
"""  # noqa: E501


@pytest.mark.parametrize(("width", "dark"), [(390, True), (1100, False)])
def test_pictures_in_the_plane_are_shown_and_listed(browser, embedded, tmp_path, width, dark):
    look(browser, embedding_page.write(tmp_path / "a.html", embedded), width=width, dark=dark)
    for _ in in_both(browser):
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        assert browser.execute_script(CONTRAST) == []
    whole = [[0, 0], [1, 0], [1, 1], [0, 1]]
    assert browser.execute_script(LASSO, whole).split("\n") == embedded.ids
    left = browser.execute_script(LASSO, [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]).split("\n")
    assert left == [name for i, name in enumerate(embedded.ids) if i % 6 < 3]
    browser.find_element("css selector", "#wrong").click()
    shown = [figure.text for figure in browser.find_elements("css selector", "#cells figure")]
    assert len(shown) == 15
    assert all("<b>dog</b>" in text and "90%" in text for text in shown)
    browser.find_element("css selector", "#twins").click()
    files = browser.execute_script("return document.querySelector('#files').value")
    assert files.split("\n") == embedded.ids[:2]
    browser.find_element("css selector", "#clear").click()
    hidden, text, brightest = browser.execute_script(HOVER)
    assert not hidden
    assert any(name in text for name in embedded.ids)
    assert brightest > 0
    assert browser.get_log("browser") == []
