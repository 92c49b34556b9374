"""Write the pages of what can be seen inside a network: its filters, an image's way, its dreams."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightline.data.images import as_picture
from sightline.explain.dream import Dream
from sightline.explain.feature_maps import Maps, Way, shaded
from sightline.explain.filters import Favourites, Filters, Kernels, mosaic
from sightline.report import html, plots
from sightline.report.parts import Part, Picture, Section
from sightline.report.words import Language, say
from sightline.training import run

SCALED = 112
"""Pixels a side that small pictures are enlarged to."""


def write_filters(target: Path, made: Filters, *, language: Language | None = None) -> Path:
    """Write the page of a network's filters.

    Raises
    ------
    RunError
        When it cannot be written.
    """
    sections = [
        Section(
            say("Kernels"),
            say(
                "The weights themselves, each kernel by its largest; grey in the middle is 0. "
                "Beyond the first layer, whose inputs are colours, they are hard to read."
            ),
            parts=[_kernels(one) for one in made.kernels],
        )
    ]
    if made.favourites:
        text = say(
            "Images made from noise so that a filter answers as much as it can (activation "
            "maximisation, {steps} steps, seed {seed}): what it looks for, exaggerated. Other "
            "images may please it as much, and photographs seldom look like these.",
            steps=made.ascent.steps, seed=made.ascent.seed,
        )  # fmt: skip
        parts = [_favourites(one) for one in made.favourites]
        sections.append(Section(say("What deeper filters look for"), text, parts=parts))
    title = say("Filters of {name}", name=made.name)
    return _write(target, title, sections, made.notes, language)


def _kernels(one: Kernels) -> Part:
    columns = 16 if len(one.numbers) > 16 else 8
    sheet = mosaic(one.pictures, columns)
    scale = max(1, 600 // sheet.shape[1])
    uri = plots.png_uri(sheet, scale=scale, most=620)
    return Part(one.title, pictures=[Picture(uri, (), broad=True)])


def _favourites(one: Favourites) -> Part:
    pictures = [
        Picture(
            _enlarged(pixels),
            (say("filter {number}", number=number), say("answers {value}", value=f"{answer:.3g}")),
        )
        for number, pixels, answer in zip(one.numbers, one.pictures, one.answers, strict=True)
    ]  # fmt: skip
    return Part(one.title, pictures=pictures)


def write_maps(target: Path, way: Way, *, language: Language | None = None) -> Path:
    """Write the page of an image's way through a network.

    Raises
    ------
    RunError
        When it cannot be written.
    """
    seen = Picture(_enlarged(way.picture.seen, 310), (), broad=True)
    text = say(
        "Of each layer the channels that are most active for this image, the first at the left: "
        "white is where a channel puts out most, by its own scale; what is below 0 is black."
    )
    sections = [
        Section(say("The image, as the network sees it"), parts=[Part(way.picture.name,
                                                                      pictures=[seen])]),
        Section(say("Layer by layer"), text, parts=[_maps(one) for one in way.layers]),
    ]  # fmt: skip
    title = say("{image} on its way through {name}", image=way.picture.name, name=way.name)
    return _write(target, title, sections, way.notes, language)


def _maps(one: Maps) -> Part:
    channels, height, width = one.shape
    pictures = [
        Picture(
            _enlarged(shaded(values)),
            (say("channel {number}", number=number), say("mean {value}", value=f"{mean:.3g}")),
        )
        for number, mean, values in zip(one.numbers, one.activity, one.maps, strict=True)
    ]  # fmt: skip
    note = say(
        "{silent} of {channels} channels are nowhere above 0.",
        silent=f"{one.silent:,}", channels=f"{channels:,}",
    ) if one.silent else ""  # fmt: skip
    return Part(f"{one.layer}: {channels:,} x {height} x {width}", note=note, pictures=pictures)


def write_dream(target: Path, dreamt: Dream, *, language: Language | None = None) -> Path:
    """Write the page of a dream.

    Raises
    ------
    RunError
        When it cannot be written.
    """
    before, after = dreamt.answers
    pictures = [Picture(_whole(dreamt.pixels), (
        dreamt.of, say("from {before} to {after}", before=f"{before:.3g}", after=f"{after:.3g}"),
    ), broad=True)]  # fmt: skip
    if dreamt.before is not None:
        pictures.append(Picture(_whole(dreamt.before), (say("the picture before"),), broad=True))
    text = say(
        "The network's own idea of a class, or of what a layer looks for, is made stronger step by "
        "step. It shows what the network uses, which need not be what a person would name."
    )
    summary = say("{steps} steps, seed {seed}", steps=dreamt.steps, seed=dreamt.seed)
    section = Section(dreamt.of, text, parts=[Part(summary, pictures=pictures)])
    title = say("{name} dreams", name=dreamt.name)
    return _write(target, title, [section], dreamt.notes, language)


def _enlarged(pixels: NDArray[np.uint8], side: int = SCALED) -> str:
    return plots.png_uri(pixels, scale=max(1, side // max(pixels.shape[:2])), most=2 * side)


def _whole(pixels: NDArray[np.uint8]) -> str:
    return plots.data_uri(as_picture(pixels), "PNG", optimize=True)


def _write(
    target: Path, title: str, sections: Sequence[Section], notes: Sequence[str],
    language: Language | None,
) -> Path:  # fmt: skip
    page = html.template("looking.html.j2", language).render(
        title=title, sections=sections, notes=notes, command=run.command()
    )
    run.write_text(target, page)
    return target
