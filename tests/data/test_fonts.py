"""Texts are drawn whole, whatever their script; what no font has is marked and said once."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
import warnings

import numpy as np
import pytest
from matplotlib import font_manager
from PIL import Image, ImageDraw

from sightline.data import fonts

FOX = "\U0001f98a"  # beyond the basic plane, and not in DejaVu


@pytest.fixture(autouse=True)
def strict():
    """Matplotlib's own word about a missing glyph fails the test."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*missing from")
        warnings.filterwarnings("error", category=fonts.MissingFontWarning)
        yield


def png(drawing):
    buffer = io.BytesIO()
    fonts.save(drawing, buffer, format="png")
    return np.asarray(Image.open(buffer).convert("RGB"))


def titled(text, **options):
    drawing = fonts.figure(4, 2)
    drawing.suptitle(text, **options)
    return drawing


def families(drawing):
    return drawing._suptitle.get_fontfamily()


def test_plain_text_looks_for_no_font(tmp_path):
    code = (
        "import sys, sightline.data\nfrom sightline.data import fonts\n"
        "assert not {'matplotlib', 'PIL.ImageFont'} & set(sys.modules)\n"
        "from matplotlib import font_manager\n"
        "font_manager.findSystemFonts = fonts._known = fonts._installed_since = None\n"
        "drawing = fonts.figure(3, 2)\ndrawing.suptitle('cat, m²: σ(z) − ¼ é')\n"
        "fonts.save(drawing, sys.argv[1])\n"
    )
    words = [sys.executable, "-c", code, tmp_path / "a.png"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.png").is_file()


def test_a_font_is_taken_by_what_it_has(install):
    install("Liar CJK", "管")
    install("Whole", "管道")
    drawing = titled("a 管道")
    png(drawing)
    assert families(drawing)[1:] == ["Liar CJK", "Whole"]
    for text, wanted in (("管", ["Liar CJK"]), ("道", ["Whole"]), ("a", [])):
        drawing = titled(text)
        png(drawing)
        assert families(drawing)[1:] == wanted


def test_the_preferred_family_comes_first(install):
    install("AAA", "管")
    install("Noto Sans CJK SC", "管")
    drawing = titled("管")
    png(drawing)
    assert families(drawing)[1:] == ["Noto Sans CJK SC"]


@pytest.mark.parametrize("text", ["猫", FOX, f"قطة 猫 {FOX}"])
def test_a_font_draws_what_would_be_a_mark(install, text):
    with fonts.noticing() as lacking:
        marked = png(titled(text, weight="bold"))
    assert set(lacking) == set(text) - set("قطة ")
    install("Tiny", f"猫{FOX}")
    with fonts.noticing() as lacking:
        drawn = png(titled(text, weight="bold"))
    assert not lacking
    assert drawn.shape == marked.shape
    assert (drawn != marked).any()


def test_every_text_of_a_figure_is_looked_at(install):
    install("Tiny", "猫狗鼠")
    drawing = fonts.figure(5, 4)
    left, right = drawing.subfigures(1, 2)
    axes = left.subplots()
    axes.plot([0, 1], [0, 1], label="猫")
    axes.set_xticks([0, 1], ["狗", "鼠"])
    axes.set_xlabel("猫")
    axes.set_title("狗", loc="right")
    axes.annotate("鼠", (0.5, 0.5))
    axes.legend(title="狗")
    solid = right.add_subplot(projection="3d")
    solid.set_zlabel("猫")
    drawing.supxlabel("狗")
    drawing.legend(title="鼠", loc="outside lower center")
    with fonts.noticing() as lacking:
        png(drawing)  # a warning would fail it
    assert not lacking


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_what_no_font_has_is_marked_and_said_once(install, tmp_path, ending):
    drawing = fonts.figure(4, 3)
    axes = drawing.add_subplot()
    axes.set_yticks([0, 1], ["猫", "cat\t\x07"])
    axes.set_title("猫\udcff")
    axes.set_xscale("log")
    with fonts.noticing() as lacking:
        fonts.save(drawing, tmp_path / f"a.{ending}")
        fonts.save(drawing, tmp_path / f"b.{ending}")
    assert list(lacking) == ["猫", "\udcff"] or list(lacking) == ["\udcff", "猫"]
    said = fonts.remark(lacking)
    assert "a mark stands for each" in said
    assert said.isprintable()
    assert [t.get_text() for t in axes.get_yticklabels()] == ["猫", "cat\t\x07"]  # as before
    assert axes.get_title() == "猫\udcff"


def test_outside_of_noticing_it_is_a_warning(install):
    with pytest.warns(fonts.MissingFontWarning, match="no font here can draw '猫'"):
        png(titled("猫"))


def test_a_mark_is_what_the_replacement_character_looks_like(install):
    with fonts.noticing():
        assert np.array_equal(png(titled("猫 a")), png(titled("\ufffd a")))
    assert not np.array_equal(png(titled("\ufffd a")), png(titled("a")))


def test_signs_without_a_look_ask_for_no_font(install):
    install("Tiny", FOX)
    with fonts.noticing() as lacking:
        png(titled(f"{FOX}\ufe0f\u200d{FOX} a\u3000b\u2028c"))
    assert not lacking


def test_dollars_are_no_mathematics(install):
    drawing = fonts.figure(4, 3)
    axes = drawing.add_subplot()
    axes.set_yticks([0, 1], [r"$\foo$", "a$b$"])  # the first would stop the drawing
    axes.set_xscale("log")
    axes.set_xlim(0.9, 11)
    axes.set_title(r"US$ \ CA$")
    png(drawing)
    assert not axes.title.get_parse_math()
    assert {"1", "10"} <= {t.get_text() for t in axes.get_xticklabels()}


def test_a_bold_text_takes_the_only_face_without_a_word(install, caplog):
    install("Tiny", "猫")
    with caplog.at_level(logging.WARNING):
        png(titled("猫", weight="bold"))
    assert not caplog.records


def test_damaged_and_blank_fonts_do_not_matter(install, tmp_path):
    (tmp_path / "broken.ttf").write_bytes(b"\0\1\0\0 no font")
    install.paths.append(tmp_path / "broken.ttf")
    whole = install.paths.append
    install("AAA Colours", FOX, blank=True)  # as a colour font: all of its outlines are empty
    install("Tiny", FOX)
    damaged = (tmp_path / "Tiny.ttf").read_bytes()
    (tmp_path / "half.ttf").write_bytes(damaged[: len(damaged) // 2])
    whole(tmp_path / "half.ttf")
    drawing = titled(FOX)
    png(drawing)
    assert families(drawing)[1:] == ["Tiny"]


def test_a_font_without_outlines_has_nothing(monkeypatch):
    class Bitmaps:
        scalable = False

        def get_charmap(self):
            raise AssertionError

    monkeypatch.setattr(font_manager, "get_font", lambda path: Bitmaps())
    assert len(fonts._codes("bitmaps.ttf", 0)) == 0


def test_a_font_of_placeholders_has_nothing():
    """Matplotlib's Last Resort maps every character, to boxes."""
    entries = [e for e in font_manager.fontManager.ttflist if e.name.startswith("Last Resort")]
    for entry in entries:
        assert len(fonts._codes(entry.fname, 0)) == 0
    default = font_manager.findfont("DejaVu Sans")
    assert not fonts._has(default, "管")
    assert fonts._has(default, "a")
    assert fonts._has(default, "σ")


@pytest.mark.parametrize(
    ("platform", "mend"),
    [
        ("linux", "apt install fonts-noto-cjk"),
        ("darwin", "brew install --cask font-noto-sans-cjk-sc"),
        ("win32", "Supplemental Fonts"),
    ],
)
def test_without_a_font_the_package_is_said(install, monkeypatch, platform, mend):
    monkeypatch.setattr(sys, "platform", platform)
    with pytest.raises(fonts.MissingFontError, match=f"'费用'; .*{mend}"):
        fonts.require("abc", "费用")
    install("Tiny", "费用")
    fonts.require("abc", "费用")


def test_a_character_of_no_script_asks_for_other_labels(install):
    with pytest.raises(fonts.MissingFontError, match="use other labels"):
        fonts.require(f"a{FOX}")


# --- Pillow ------------------------------------------------------------------------------------


def strip(text, size=20):
    picture = Image.new("RGB", (260, 30), "white")
    wide = fonts.write(ImageDraw.Draw(picture), (4, 2), text, size, "black")
    return np.asarray(picture), wide


@pytest.mark.parametrize("text", ["cat 90%", "猫 cat", f"{FOX}", f"قطة {FOX} 90%", "a\tb\u0301"])
def test_parts_of_a_line_stand_one_after_the_other(install, text):
    install("Tiny", f"猫{FOX}")
    pixels, wide = strip(text)
    assert wide == fonts.width(text, 20) > 0
    inked = np.flatnonzero((pixels < 200).any((0, 2)))
    assert inked[0] >= 3
    assert inked[-1] <= 4 + wide + 1


def test_each_part_is_drawn_in_the_font_that_has_it(install):
    install("Tiny", f"猫{FOX}")
    runs = fonts._runs(fonts._Settled(f"a 猫{FOX} b"), 20)
    assert [(part, font.getname()[0]) for part, font in runs] == [
        ("a ", "DejaVu Sans"), (f"猫{FOX}", "Tiny"), (" b", "DejaVu Sans"),
    ]  # fmt: skip


def test_a_line_that_begins_from_the_right_is_laid_from_the_right(install):
    install("Tiny", "猫")
    assert [part for part, _ in fonts._runs(fonts._Settled("قطة 猫"), 20)] == ["猫", "قطة "]
    assert [part for part, _ in fonts._runs(fonts._Settled("猫 قطة"), 20)] == ["猫", " قطة"]


def test_a_line_with_what_no_font_has_is_marked(install):
    with fonts.noticing() as lacking:
        marked, _ = strip("猫 a")
    assert list(lacking) == ["猫"]
    assert np.array_equal(marked, strip("\ufffd a")[0])
