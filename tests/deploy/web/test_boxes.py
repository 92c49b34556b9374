"""Objects in a real browser: boxes over the picture, names beside it, the threshold."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import sightline
from sightline.deploy import npm
from sightline.deploy.export import exported
from sightline.deploy.runtime import Runtime
from sightline.deploy.site import RUNTIME, site
from sightline.errors import RunError


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector that answers with a cat in every picture and, half as sure, with a dog."""
    folder = tmp_path_factory.mktemp("boxes")
    for kind in ("images", "labels"):
        (folder / "data" / kind).mkdir(parents=True)
    (folder / "data/classes.txt").write_text("猫\ndog <b>\n", encoding="utf-8")
    for i in range(20):
        Image.new("RGB", (64, 48), (12 * i, 90, 60)).save(folder / f"data/images/{i}.png")
        rows = ["0 0.25 0.5 0.3 0.4"] + ["1 0.7 0.5 0.2 0.8"] * (i % 2)
        (folder / f"data/labels/{i}.txt").write_text("\n".join(rows), encoding="utf-8")
    data = sightline.load_data(folder / "data")
    return Path(sightline.create_model("average-box", data).fit(data.train).save(folder / "run"))


def turned(size: tuple[int, int]) -> bytes:
    """A photograph whose file is to be turned by a quarter to be looked at."""
    image, written = Image.new("RGB", size, (60, 120, 180)), io.BytesIO()
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(written, "JPEG", exif=exif)
    return written.getvalue()


def edges(page: Any) -> list[list[float]]:
    """The corners of the drawn boxes, in pixels of the picture."""
    names = ("x", "y", "width", "height")
    said = [[float(r.get_dom_attribute(n)) for n in names] for r in page.all(".boxes rect")]
    return [[x, y, x + w, y + h] for x, y, w, h in said]


def test_boxes_lie_where_the_file_says_on_a_turned_photograph(
    run: Path, page: Any, static: Any, tmp_path: Path
) -> None:
    try:
        npm.fetch(RUNTIME)
    except RunError as error:
        pytest.skip(str(error))
    made = site([run], tmp_path / "site")
    photograph = turned((90, 60))
    (tmp_path / "photo.jpg").write_bytes(photograph)
    (answer,) = Runtime(exported(run)).predict([tmp_path / "photo.jpg"])
    with static(made.folder) as address:
        page.open(address)
        page.wait(lambda: page.all(".chip"))
        page.drop(photograph, "photo.jpg", "image/jpeg")
        page.wait(lambda: len(edges(page)) == 2, 60)
        assert page.one(".boxes svg").get_dom_attribute("viewBox") == "0 0 60 90"
        for drawn, wanted in zip(edges(page), answer.boxes.tolist(), strict=True):
            assert drawn == pytest.approx(wanted, abs=0.01)
        assert page.texts(".objects .label") == ["猫", "dog <b>"]  # text, no markup
        assert page.one(".boxes svg").get_dom_attribute("aria-label") == "1 dog <b>, 1 猫"
        page.slide(0.8)
        page.wait(lambda: len(edges(page)) == 1)
        assert page.texts(".objects .label") == ["猫"]
        seen = page.script(
            "const at = (q) => document.querySelector(q).getBoundingClientRect().toJSON();"
            "return [at('.boxes svg'), at('.boxes img')]"
        )
        for side in ("left", "top", "width", "height"):  # the sheet lies on the picture
            assert seen[0][side] == pytest.approx(seen[1][side], abs=1)
        assert not [line for line in page.complaints() if "favicon" not in line]
