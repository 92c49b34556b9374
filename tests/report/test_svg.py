"""Drawings inside pages: both languages, colours of the page, shapes and colours told apart."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from sightline.data import fonts
from sightline.report import plots
from sightline.report.svg import SERIES, svg
from sightline.report.words import say


def drawing(label, title="猫 <b> & \x1b\U0001f98a"):
    made = fonts.figure(4, 3)
    axes = made.add_subplot(title=title)
    axes.plot([1, 2], [1, 2], **plots.linestyle(0), label=label)
    axes.set_xlabel(say("confidence"))
    axes.set_ylabel("true")  # the name of a class, and not ours to translate
    plots.legend(made, axes)
    return made


def test_letters_stay_text_in_both_languages():
    page = ET.fromstring(svg(drawing(say("{method}: {count} wrong", method="a", count=3)), "α <"))
    texts = [(t.get("lang"), t.text) for t in page.iter("{http://www.w3.org/2000/svg}text")]
    assert ("en", "confidence") in texts
    assert ("zh", "置信度") in texts
    assert ("zh", "a：错 3 张") in texts
    assert (None, "true") in texts
    assert ("zh", "真实") not in texts
    assert (None, "猫 <b> & \U0001f98a".replace("& ", "&  ")) in texts
    assert page.get("aria-label") == "α <"


def test_what_no_font_here_has_is_kept_for_the_readers_fonts(install):
    with fonts.noticing() as lacking:
        page = svg(drawing("\U0001f98a"))
    assert not lacking
    assert page.count("\U0001f98a") == 2


def test_colours_are_the_pages():
    page = svg(drawing("a"))
    assert "var(--s1)" in page
    assert "var(--ink)" in page
    assert not re.search(r"(fill|stroke): #0{6}", page)
    assert "font-family" not in page


def test_drawings_of_one_page_share_no_identifier():
    first, second = svg(drawing("a")), svg(drawing("b"))
    for page in (first, second):
        own = set(re.findall(r' id="([^"]+)"', page))
        needed = set(re.findall(r"url\(#([^)]+)\)", page)) | set(
            re.findall(r'href="#([^"]+)"', page)
        )
        assert needed <= own
    assert not set(re.findall(r' id="([^"]+)"', first)) & set(re.findall(r' id="([^"]+)"', second))


# --- the series --------------------------------------------------------------------------------

# Machado, Oliveira & Fernandes 2009, full severity: protanopia, deuteranopia, tritanopia.
EYES = {
    "all cones": np.eye(3),
    "no red": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                        [-0.003882, -0.048116, 1.051998]]),
    "no green": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                          [-0.011820, 0.042940, 0.968881]]),
    "no blue": np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                         [0.004733, 0.691367, 0.303900]]),
}  # fmt: skip


def light(colour):
    """Linear light of an sRGB colour."""
    c = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def oklab(linear):
    """Ottosson 2020."""
    m1 = np.array([[0.4122214708, 0.5363325363, 0.0514459929],
                   [0.2119034982, 0.6806995451, 0.1073969566],
                   [0.0883024619, 0.2817188376, 0.6299787005]])  # fmt: skip
    m2 = np.array([[0.2104542553, 0.7936177850, -0.0040720468],
                   [1.9779984951, -2.4285922050, 0.4505937099],
                   [0.0259040371, 0.7827717662, -0.8086757660]])  # fmt: skip
    return m2 @ np.cbrt(np.clip(m1 @ linear, 0, None))


def contrast(colour, page):
    weights = (0.2126, 0.7152, 0.0722)
    a, b = sorted((float(light(c) @ weights) for c in (colour, page)), reverse=True)
    return (a + 0.05) / (b + 0.05)


@pytest.mark.parametrize(("theme", "page"), [(0, "#ffffff"), (1, "#1b1d20")])
def test_fourteen_series_can_be_told_apart(theme, page):
    assert len(SERIES) >= 14
    assert len({shape for *_, shape in SERIES}) == len(SERIES)
    for one in SERIES:
        assert contrast(one[theme], page) >= 3  # WCAG 2.2, 1.4.11
    for eye in EYES.values():
        seen = [oklab(np.clip(eye @ light(one[theme]), 0, 1)) for one in SERIES]
        for a, b in itertools.combinations(seen, 2):
            assert np.linalg.norm(a - b) > 0.06


def test_nine_methods_have_nine_styles():
    styles = [(plots.linestyle(i)["color"], plots.linestyle(i)["marker"]) for i in range(14)]
    assert len({c for c, _ in styles}) == len({m for _, m in styles}) == 14
