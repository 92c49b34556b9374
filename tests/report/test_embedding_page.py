"""The page of a data set in the plane: its thumbnails and names, and that it is said in both."""

from __future__ import annotations

import base64
import io
import json
import re

import numpy as np
from PIL import Image

from sightline.report import embedding_page as page


def data_of(text):
    return json.loads(re.search(r'id="points">(.*?)</script>', text, re.DOTALL)[1])


def opened(uri):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("L"))


def test_each_thumbnail_is_at_its_place(monkeypatch):
    monkeypatch.setattr(page, "SHEET", 24)
    values = np.linspace(10, 240, 14).astype(np.uint8)
    sheets = page.sheets(np.tile(values[:, None, None, None], (1, 8, 8, 1)))
    assert len(sheets) == 2  # three by three on each
    for i, value in enumerate(values):
        sheet = opened(sheets[i // 9])
        row, column = divmod(i % 9, 3)
        cell = sheet[8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
        assert abs(cell.mean() - value) < 3


def test_heavy_sheets_are_written_with_less_quality(monkeypatch):
    noise = np.random.default_rng(0).integers(0, 255, (16, 32, 32, 3), np.uint8)
    before = sum(map(len, page.sheets(noise)))
    monkeypatch.setattr(page, "HEAVY", before // 2)
    assert sum(map(len, page.sheets(noise))) < before


def test_names_of_any_kind_stand_on_the_page_as_text(embedded, tmp_path):
    text = page.write(tmp_path / "a.html", embedded).read_text(encoding="utf-8")
    known = data_of(text)
    assert known["ids"] == embedded.ids
    assert "<script>alert" not in text
    assert any("<script>alert" in name for name in known["ids"])
    assert known["near"] == [[0, 1]]
    assert known["mistakes"] == np.flatnonzero(embedded.mistakes).tolist()
    assert 0 <= min(known["x"] + known["y"]) <= max(known["x"] + known["y"]) <= 1
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert "https://" not in text


def test_a_class_beyond_the_colours_has_another_shape():
    styles = [page.style_of(k) for k in range(100)]
    assert len(set(styles)) == 100
