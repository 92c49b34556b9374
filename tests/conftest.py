"""What every test stands on."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def home(tmp_path_factory, monkeypatch):
    """Downloads and caches of a test go into a folder of its own."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("SIGHTLINE_HOME", str(folder))
    return folder


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install fonts that hold these characters beside matplotlib's own; no other is there.

    They are found as fonts are that were installed since matplotlib first ran.
    """
    from matplotlib import font_manager

    from sightline.data import fonts

    manager, paths = font_manager.fontManager, []
    own = [e for e in manager.ttflist if "mpl-data" in e.fname]

    def forget():
        for cache in (fonts._family_with, fonts._installed_since, manager._findfont_cached):
            cache.cache_clear()

    def call(family="Tiny", characters="", **options):
        if characters or options:
            paths.append(build_font(tmp_path / f"{family}.ttf", family, characters, **options))
        forget()

    monkeypatch.setattr(manager, "ttflist", own)
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [str(p) for p in paths])
    call()
    call.paths = paths
    yield call
    forget()


def build_font(path: Path, family: str, characters: str, *, blank: bool = False) -> Path:
    """Write a font with a square for each character, or with nothing drawn for any."""
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen

    names = {ord(c): f"u{ord(c):x}" for c in characters}
    glyphs = {}
    for i, name in enumerate([".notdef", *names.values()]):
        pen = TTGlyphPen(None)
        if not blank:
            corners = [(80, 0), (80, 700), (500 + 10 * i, 700), (500 + 10 * i, 0)]
            pen.moveTo(corners[0])
            for corner in corners[1:]:
                pen.lineTo(corner)
            pen.closePath()
        glyphs[name] = pen.glyph()
    font = FontBuilder(1000, isTTF=True)
    font.setupGlyphOrder(list(glyphs))
    font.setupCharacterMap(names)
    font.setupGlyf(glyphs)
    font.setupHorizontalMetrics(dict.fromkeys(glyphs, (800, 80)))
    font.setupHorizontalHeader(ascent=900, descent=-200)
    font.setupNameTable({"familyName": family, "styleName": "Regular"})
    font.setupOS2(sTypoAscender=900, usWeightClass=400)
    font.setupPost()
    font.save(path)
    return path


def pytest_collection_modifyitems(items):
    """Skip what needs a graphics card where there is none."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked:
        import torch

        if not torch.cuda.is_available():
            for item in marked:
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture(scope="session")
def curve_of():
    """Return a function that makes learning curves of figures: method -> size -> draw."""
    from sightline.bench import curve, curve_summary
    from sightline.bench.curve_results import CurveEntry, CurveResults, FitEntry
    from sightline.bench.results import DataEntry, EnvironmentEntry

    def fit(draw, size, figure):
        if figure is None:
            return FitEntry(draw=draw, images=size, validation=9, status="failed", error="no room")
        return FitEntry(draw=draw, images=size, validation=9, status="ok", figure=figure)

    def make(figures, *, sizes=(50, 100, 200, 400), share=True, higher=True, tested=1000):
        methods = [
            CurveEntry(name=name, points=[
                curve._point(size, [fit(draw, size, figure) for draw, figure in enumerate(row)])
                for size, row in zip(sizes, rows, strict=True)
            ])
            for name, rows in figures.items()
        ]  # fmt: skip
        results = CurveResults(
            task="classify", metric="accuracy" if share else "mean_error", share=share,
            higher_is_better=higher, sizes=sizes, tested=tested, methods=methods,
            seeds=max(len(row) for rows in figures.values() for row in rows),
            data=DataEntry(name="made", task="classify", classes=["a", "b"],
                           counts={"train": 400, "val": 100, "test": tested}, fingerprint="f"),
            environment=EnvironmentEntry(device="cpu", threads=1, versions={}, seed=0),
        )  # fmt: skip
        curve_summary.complete(results)
        return results

    return make
