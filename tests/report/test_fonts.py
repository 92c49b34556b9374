"""Texts are drawn whole, or the mend is said."""

from __future__ import annotations

import sys

import matplotlib as mpl
import pytest
from matplotlib import font_manager

from sightline.report import fonts

DEJAVU = ("DejaVu Sans", font_manager.findfont("DejaVu Sans"))


@pytest.fixture
def installed(monkeypatch):
    """Pretend that these fonts, by family and characters, are all there are."""

    def call(**characters):
        monkeypatch.setattr(fonts, "_candidates", lambda: iter((n, n) for n in characters))
        monkeypatch.setattr(fonts, "_characters", lambda path: set(characters[path]))

    return call


def test_latin_and_greek_need_the_default_alone():
    assert fonts.families(["pipe length, m", "σ(z) − ¼ é"]) == ["DejaVu Sans"]


def test_a_font_is_taken_by_what_it_has(installed):
    installed(**{"DejaVu Sans": "abc", "Liar CJK": "管", "Whole": "管道"})
    assert fonts.families(["a 管道"]) == ["DejaVu Sans", "Liar CJK", "Whole"]
    assert fonts.families(["管"]) == ["DejaVu Sans", "Liar CJK"]
    assert fonts.families(["a"]) == ["DejaVu Sans"]
    with fonts.drawing("道"):
        assert mpl.rcParams["font.family"] == ["DejaVu Sans", "Whole"]
    assert mpl.rcParams["font.family"] != ["DejaVu Sans", "Whole"]


@pytest.mark.parametrize(
    ("platform", "mend"),
    [
        ("linux", "apt install fonts-noto-cjk"),
        ("darwin", "brew install --cask font-noto-sans-cjk-sc"),
        ("win32", "Supplemental Fonts"),
    ],
)
def test_without_a_font_the_package_is_said(installed, monkeypatch, platform, mend):
    monkeypatch.setattr(sys, "platform", platform)
    installed(**{"DejaVu Sans": "abc"})
    with pytest.raises(fonts.MissingFontError, match=f"'费用'; .*{mend}"):
        fonts.families(["abc", "费用"])


def test_a_character_of_no_script_asks_for_other_labels(installed):
    installed(**{"DejaVu Sans": "abc"})
    with pytest.raises(fonts.MissingFontError, match="use other labels"):
        fonts.families(["a😀"])


def test_a_font_of_placeholders_has_nothing():
    """Matplotlib's Last Resort maps every character, to boxes."""
    entries = [e for e in font_manager.fontManager.ttflist if e.name.startswith("Last Resort")]
    for entry in entries:
        assert fonts._characters(entry.fname) == set()
    assert "管" not in fonts._characters(DEJAVU[1])
    assert {"a", "σ"} <= fonts._characters(DEJAVU[1])
