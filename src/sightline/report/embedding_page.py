"""Write the page of a data set laid out in the plane, and draw it."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.data.fonts import figure
from sightline.data.images import as_picture
from sightline.explain.embedding import NAMES, NEIGHBOURS, Embedding
from sightline.explain.seen import PIXELS
from sightline.report import html, plots
from sightline.report.svg import SERIES
from sightline.report.words import Language, Said, known, say
from sightline.training import run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHEET = 2048
"""Pixels a side of a sheet of thumbnails at most."""

HEAVY = 12 * 2**20
"""Bytes of all sheets; of more they are written with less quality."""

QUALITIES = (88, 70, 50, 30)

NAMED = 28
"""Classes that the legend of a drawing names."""

CROWD = 500
"""Rings from which on they let through what is under them."""

GREY = "#808080"


def write(target: Path, embedding: Embedding, *, language: Language | None = None) -> Path:
    """Write the page of an embedding: one file that opens offline.

    Parameters
    ----------
    target : path
    embedding : Embedding
    language : "en" or "zh", optional
        That the page opens in; default: the browser's.

    Raises
    ------
    RunError
        When it cannot be written.
    """
    e = embedding
    page = html.template("embedding.html.j2", language).render(
        title=title(e), about=about(e), limits=limits(e), notes=e.notes, points=_points(e),
        sheets=sheets(e.thumbnails), side=e.thumbnails.shape[1], answered=bool(e.seen.predicted),
        mistakes=int(e.mistakes.sum()), near=len(e.near), command=run.command(),
        classes=len(e.data.classes),
    )  # fmt: skip
    run.write_text(target, page)
    return target


def title(embedding: Embedding) -> Said:
    """Return the title of the page and of the drawing."""
    if embedding.seen.eye.name == PIXELS:
        return say(
            "{data} by {method} of its pixels", data=embedding.data.name,
            method=NAMES[embedding.method],
        )  # fmt: skip
    return say(
        "{data} by {method}, as {source} sees it", data=embedding.data.name,
        method=NAMES[embedding.method], source=embedding.seen.eye.name,
    )  # fmt: skip


def about(embedding: Embedding) -> Said:
    """Return what was laid out, and how well neighbours are kept."""
    e = embedding
    return say(
        "{images} images by {count} features ({what}); trustworthiness {trust} for {near} "
        "neighbours, on {judged} images: 1 where neighbours in the plane are neighbours by their "
        "features, about 0.5 where they are anybody. Computed by {by}, seed {seed}.",
        images=f"{len(e.points):,}", count=f"{e.seen.features.shape[1]:,}",
        what=known(e.seen.eye.what), trust=f"{e.trust:.3f}",
        near=min(NEIGHBOURS, max(1, (e.judged - 1) // 2)),
        judged=f"{e.judged:,}", by=e.by, seed=e.seed,
    )  # fmt: skip


def limits(embedding: Embedding) -> Said:
    """Return what such a picture cannot tell."""
    if embedding.method == "pca":
        return say(
            "The plane keeps {share}% of the variance: what differs in other directions lies on "
            "top of one another, so that classes that overlap here may be easy to tell apart.",
            share=f"{100 * (embedding.variance or 0):.0f}",
        )  # fmt: skip
    if embedding.method == "tsne":
        return say(
            "What t-SNE cannot tell: how far clusters are from each other, how large and how dense "
            "they are, and where the empty room between them is. Only who is near whom means "
            "something; small clumps may be chance."
        )
    return say(
        "What {method} cannot tell: distances between clusters and their density mean little, and "
        "it may cut in two what is one. Who is near whom is what it keeps.",
        method=NAMES[embedding.method],
    )  # fmt: skip


def sheets(thumbnails: NDArray[np.uint8]) -> list[str]:
    """Return thumbnails as data URIs of sheets, row by row, `SHEET` pixels wide at most.

    Parameters
    ----------
    thumbnails : uint8 array, shape (N, side, side, C)
    """
    side = thumbnails.shape[1]
    across = SHEET // side
    grids = [
        _grid(thumbnails[start : start + across * across], across)
        for start in range(0, len(thumbnails), across * across)
    ]
    for quality in QUALITIES:
        written = [_jpeg(grid, quality) for grid in grids]
        if sum(map(len, written)) <= HEAVY:
            break
    return [f"data:image/jpeg;base64,{base64.b64encode(b).decode('ascii')}" for b in written]


def _grid(thumbnails: NDArray[np.uint8], across: int) -> NDArray[np.uint8]:
    n, side, _, channels = thumbnails.shape
    columns, lines = min(n, across), -(-n // across)
    cells = np.zeros((lines * columns, side, side, channels), np.uint8)
    cells[:n] = thumbnails
    cells = cells.reshape(lines, columns, side, side, channels)
    return cells.swapaxes(1, 2).reshape(lines * side, columns * side, channels)


def _jpeg(pixels: NDArray[np.uint8], quality: int) -> bytes:
    buffer = io.BytesIO()
    as_picture(pixels).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _points(embedding: Embedding) -> dict[str, Any]:
    """Return what the page's script draws: places in [0, 1] and what is known of each picture."""
    e = embedding
    low, high = e.points.min(0), e.points.max(0)
    scale = float((high - low).max()) or 1.0
    places = (e.points - (low + high) / 2) / scale + 0.5
    splits = sorted(set(e.splits))
    said = e.seen.predicted
    others = sorted(set(said or ()) - set(e.data.classes))
    classes = [*e.data.classes, *others]
    number = {name: i for i, name in enumerate(classes)}
    return {
        "x": places[:, 0].round(5).tolist(), "y": (1 - places[:, 1]).round(5).tolist(),
        "ids": e.ids, "classes": classes, "labels": e.seen.labels.tolist(),
        "splits": splits, "split": [splits.index(name) for name in e.splits],
        "said": [number[name] for name in said] if said else None,
        "scores": None if e.seen.scores is None else e.seen.scores.round(3).tolist(),
        "mistakes": np.flatnonzero(e.mistakes).tolist(), "near": e.near,
        "shapes": [shape for _, _, shape in SERIES],
    }  # fmt: skip


def style_of(number: int) -> tuple[str, str]:
    """Return the colour and the shape of a class; of more than there are colours, other pairs."""
    colour, _, _ = SERIES[number % len(SERIES)]
    return colour, SERIES[(number + number // len(SERIES)) % len(SERIES)][2]


def draw(embedding: Embedding) -> Figure:
    """Draw the points in the colours and shapes of their classes, mistakes and copies ringed.

    Parameters
    ----------
    embedding : Embedding
    """
    e = embedding
    width, height = np.ptp(e.points, axis=0)
    drawing = figure(9.6, float(np.clip(7.4 * height / max(width, 1e-9), 4, 9)) + 0.6, dpi=120)
    axes = drawing.add_subplot()
    size = float(np.clip(24_000 / len(e.points), 8, 40))
    present = sorted(set(e.seen.labels.tolist()))
    for k in present:
        mine = e.points[e.seen.labels == k]
        colour, shape = style_of(k) if k >= 0 else (GREY, "o")
        name = plots.clipped(e.data.classes[k], 22) if k >= 0 else say("no class")
        named = k < 0 or present.index(k) < NAMED
        axes.scatter(
            mine[:, 0], mine[:, 1], s=size, c=colour, marker=shape, linewidths=0.2,
            edgecolors="white", label=name if named else None,
        )  # fmt: skip
    for chosen, colour, line, name in (
        (e.mistakes, "#b3261e", "-", say("taken for another class")),
        (e.copied, "#1c1d20", ":", say("has a copy, or nearly one")),
    ):
        if chosen.any():
            axes.scatter(
                e.points[chosen, 0], e.points[chosen, 1], s=size * (4 if line == "-" else 7),
                facecolors="none", edgecolors=colour, linewidths=0.9, linestyles=line,
                alpha=1 if chosen.sum() < CROWD else 0.5,
                label=say("{what} ({count})", what=name, count=f"{int(chosen.sum()):,}"),
            )  # fmt: skip
    axes.set_aspect("equal", "datalim")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_color("0.8")
    axes.set_title(title(e), fontsize=11)
    axes.set_xlabel(
        say(
            "{count} images; trustworthiness {trust} ({near} neighbours)",
            count=f"{len(e.points):,}", trust=f"{e.trust:.3f}",
            near=min(NEIGHBOURS, max(1, (e.judged - 1) // 2)),
        ), fontsize=9,
    )  # fmt: skip
    legend = drawing.legend(loc="outside right upper", frameon=False, fontsize=9)
    handles: list[Any] = legend.legend_handles
    for handle in handles:
        handle.set_sizes([40])
    return drawing
