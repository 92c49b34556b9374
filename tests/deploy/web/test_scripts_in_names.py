"""Names of classes, models and pictures that hold scripts are text, in a real browser."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

import sightline
from sightline.cli.main import status
from sightline.deploy import npm
from sightline.deploy.site import RUNTIME, site
from sightline.errors import RunError

NAMES = (
    "<img src=x onerror=window.hit=1>",
    "</script><script>window.hit=1</script>",
    "\"'><svg onload=window.hit=1>",
    "{{constructor.constructor('window.hit=1')()}}${window.hit=1}",
)
HIT = "return [window.hit, document.querySelectorAll('img[src=x], svg[onload], b[onclick]').length]"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 60, (80, 8, 8, 3), np.uint8)
    y = np.arange(80) % len(NAMES)
    for i, label in enumerate(y):
        X[i, 2 * label : 2 * label + 2] += 180
    data = sightline.load_data((X, [NAMES[label] for label in y]))
    model = sightline.create_model("knn", data, k=3).fit(data.train)
    folder = model.save(tmp_path_factory.mktemp("runs") / "<b onclick=hit=1>model")
    return folder, X[0]


def test_the_exported_page_shows_scripts_as_text(page, run, static, tmp_path):
    folder, pixels = run
    try:
        npm.fetch(RUNTIME)
    except RunError as error:
        pytest.skip(str(error))
    made = site([folder], tmp_path / "site")
    held = io.BytesIO()
    Image.fromarray(pixels).save(held, "PNG")
    with static(made.folder) as address:
        page.open(address)
        page.wait(lambda: page.all(".chip"))
        page.drop(held.getvalue(), NAMES[0] + ".png")
        (winner,) = page.answered()
        assert winner == NAMES[0]
        assert page.script(HIT) == [None, 0]


@pytest.mark.parametrize("kind", ["train", "compare"])
def test_a_report_shows_scripts_as_text(page, tmp_path, static, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    rows = ["path,label"]
    for i in range(48):
        name = f"<img src=x onerror=window.hit=1>{i}.png"
        Image.fromarray(rng.integers(0, 256, (12, 12, 3), np.uint8)).save(tmp_path / name)
        label = NAMES[i % len(NAMES)].replace('"', '""')
        rows.append(f'{name},"{label}"')
    (tmp_path / "t.csv").write_text("\n".join(rows))
    words = {"train": ["train", "knn", "t.csv"], "compare": ["compare", "t.csv", "knn", "majority"]}
    assert status([*words[kind], "-o", "out"]) == 0
    with static(tmp_path / "out") as address:
        page.open(f"{address}report.html")
        page.wait(lambda: page.all("h1"))
        assert "<img src=x onerror" in page.script("return document.body.textContent")
        assert page.script(HIT) == [None, 0]
