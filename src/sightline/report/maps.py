"""Show maps of an answer on a page and as a drawing, and say in words whether they are true."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.data import fonts
from sightline.data.images import as_picture
from sightline.explain.maps import COMPLETE
from sightline.explain.truth import KEPT, NULLS, Explanation, Judged, Measure, unbeaten
from sightline.report import html, plots
from sightline.report.parts import Part, Picture, Section
from sightline.report.words import Language, Said, in_chinese, say
from sightline.training import run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sightline.types import Frame

SIDE = 480
"""Pixels of the longer side of a picture that is drawn."""

MARK = "#3ad6a8"
"""Colour of the box or the outline of what is explained."""

MEASURES = say(
    "Deletion: the score while pixels are covered, first those that the map shows most; the area "
    "under the curve, and the smaller the better. Insertion: the score while they are given back "
    "to a blurred picture; the larger the better. Null maps know nothing of the network: chance, "
    "the middle of the picture, its edges. A map that does not beat them has not shown that it "
    "knows more than they do."
)
RANDOMISED = say(
    "The weights are drawn anew, layer by layer from the head down, and each map is compared with "
    "the trained network's by the rank correlation of its pixels. A map that stays as it was does "
    "not depend on what was learned."
)


def verdict(one: Judged, nulls: Sequence[Judged]) -> str:
    """Describe in words whether a map beats the null maps.

    Parameters
    ----------
    one : Judged
    nulls : sequence of Judged
    """
    if not one.map.evidence:
        return say("no positive evidence: the map is the same everywhere")
    lost = unbeaten(one, nulls)
    if not lost:
        return say("beats all null maps")
    names = {measure: _listed([null_name(name) for name in lost[measure]]) for measure in lost}
    if len(lost) == 2:
        return say(
            "does not beat {deletion} in deletion, nor {insertion} in insertion", **names
        )  # fmt: skip
    measure = next(iter(lost))
    if measure == "deletion":
        return say("does not beat {nulls} in deletion", nulls=names[measure])
    return say("does not beat {nulls} in insertion", nulls=names[measure])


def null_name(name: str) -> Said:
    """Return what a null map is called."""
    return {"random": say("chance"), "gaussian": say("the middle"), "edges": say("the edges")}[name]


def _listed(names: Sequence[str]) -> Said:
    *first, last = names
    english = f"{', '.join(first)} and {last}" if first else str(last)
    return Said(english, "、".join(str(in_chinese(name)) for name in names))


def scores(one: Judged) -> Said:
    """Return the two scores of a map, as text."""
    return say(
        "deletion {deletion}, insertion {insertion}",
        deletion=f"{one.score('deletion'):.3f}", insertion=f"{one.score('insertion'):.3f}",
    )  # fmt: skip


def remarks(explanation: Explanation) -> list[str]:
    """Return what a reader has to know of the maps, one sentence each.

    Parameters
    ----------
    explanation : Explanation
    """
    lines: list[str] = [str(explanation.note)] if explanation.note else []
    told: dict[str, list[str]] = {}
    for one in explanation.maps:
        words = verdict(one, explanation.nulls)
        told.setdefault(words, []).append(one.name)
    lines += [_sentence(", ".join(names), words) for words, names in told.items()]
    for one in explanation.maps:
        if one.map.missed is not None and one.map.missed > COMPLETE:
            lines.append(say(
                "{method}: its values miss {share} of the change that they should add up to",
                method=one.name, share=f"{one.map.missed:.1%}",
            ))  # fmt: skip
        if one.name == "eigen-cam":
            lines.append(
                say("{method}: knows no class; it is the same for every answer", method=one.name)
            )
    return lines + _randomised(explanation)


def _randomised(explanation: Explanation) -> list[str]:
    """Describe which maps change when all weights are random, and which do not."""
    changed, kept = list[str](), list[str]()
    flat = {one.name for one in explanation.maps if not one.map.evidence}
    for name, stages in explanation.randomised.items():
        if name not in flat:
            last = stages[-1]
            figure = f"{last.correlation:.2f}" if last.evidence else "-"
            (kept if last.correlation >= KEPT else changed).append(f"{name} {figure}")
    lines: list[str] = []
    if changed:
        lines.append(say(
            "depend on what was learned (rank correlation with the map when all weights are "
            "random; -: nothing is left of it): {methods}", methods=", ".join(changed),
        ))  # fmt: skip
    if kept:
        lines.append(say(
            "hardly depend on what was learned, as with random weights the map is nearly the same "
            "(rank correlation): {methods}", methods=", ".join(kept),
        ))  # fmt: skip
    return lines


def _sentence(name: str, told: str) -> Said:
    return Said(f"{name}: {told}", f"{name}：{in_chinese(told)}")


# ---- pictures


def heat(
    pixels: NDArray[np.uint8], frame: Frame, values: NDArray[np.float32], side: int = SIDE
) -> NDArray[np.uint8]:
    """Draw a map over a picture.

    Parameters
    ----------
    pixels : uint8 array, shape (H, W, 3)
    frame : Frame
        How the picture became the network's image.
    values : float32 array, shape (h, w)
        In [0, 1], of the network's image.
    side : int
        Pixels of the longer side of what is drawn, at most.

    Returns
    -------
    uint8 array, shape (H', W', 3)
        Dark where the map shows nothing, bright where it shows most; white over what the network
        has not seen.
    """
    import matplotlib as mpl

    small = shrunk(pixels, side)
    over = moved_out(values, frame, (small.shape[0], small.shape[1]))
    seen = ~np.isnan(over)
    over = np.nan_to_num(over)[..., None]
    tint = mpl.colormaps["inferno"](over[..., 0])[..., :3]
    share = 0.3 + 0.4 * over
    grey = small.mean(2, keepdims=True) / 255
    made = np.where(seen[..., None], grey * (1 - share) + tint * share, 0.65 + 0.35 * grey)
    return np.asarray((255 * made.clip(0, 1)).round(), np.uint8)


def shrunk(pixels: NDArray[np.uint8], side: int = SIDE) -> NDArray[np.uint8]:
    """Return a picture (H, W, 3) of at most so many pixels a side; a tiny one is enlarged."""
    from PIL import Image

    longest = max(pixels.shape[:2])
    picture = as_picture(pixels)
    if longest > side:
        picture.thumbnail((side, side))
    elif longest < side // 4:
        times = side // 2 // longest
        picture = picture.resize(
            (picture.width * times, picture.height * times), Image.Resampling.NEAREST
        )
    return np.asarray(picture.convert("RGB"))


def moved_out(
    values: NDArray[np.float32], frame: Frame, size: tuple[int, int]
) -> NDArray[np.float32]:
    """Bring a map of a network's image (h, w) to its picture, drawn at a size (H, W).

    Places that the network has not seen are nan.
    """
    ways = []
    for axis in (0, 1):
        own = values.shape[axis]
        step = frame.size[axis] / size[axis] * frame.scale[axis]
        at = (np.arange(size[axis]) + 0.5) * step + frame.offset[axis] - 0.5
        outside = (at < -0.5 - 1e-6) | (at > own - 0.5 + 1e-6)
        at = at.clip(0, own - 1)
        low = np.floor(at).astype(np.int64)
        ways.append((low, np.minimum(low + 1, own - 1), at - low, outside))
    (top, below, down, out_y), (left, right, along, out_x) = ways
    rows = values[top] * (1 - down)[:, None] + values[below] * down[:, None]
    made = rows[:, left] * (1 - along) + rows[:, right] * along
    made[out_y] = np.nan
    made[:, out_x] = np.nan
    return np.asarray(made, np.float32)


def draw(explanation: Explanation) -> Figure:
    """Draw a picture, its maps and the null maps, and the curves of their truth."""
    panels = [*explanation.maps, *explanation.nulls]
    columns = min(4, 1 + len(panels)) if len(panels) > 5 else 1 + len(panels)
    lines = -(-(1 + len(panels)) // columns)
    tall = explanation.picture.frame.size[0] / explanation.picture.frame.size[1]
    wide = max(8.5, 2.35 * columns)
    height = min(max(wide / columns * tall, 1.2), 5.0) + 0.75
    told = [_wrapped(line, int(wide * 13)) for line in remarks(explanation)]
    words = 0.17 * sum(line.count("\n") + 1 for line in told) + 0.2
    whole = fonts.figure(wide, height * lines + 2.9 + words, dpi=120)
    parts: Any = whole.subfigures(3, 1, height_ratios=(height * lines, 2.9, words))
    upper, middle, lower = parts
    grid: Any = upper.subplots(lines, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    frame = explanation.picture.frame
    _show(grid.flat[0], shrunk(explanation.picture.pixels), explanation)
    grid.flat[0].set_title(
        f"{plots.clipped(explanation.target.name, 26)}\n{explanation.target.score:.1%}", fontsize=9
    )
    for axes, one in zip(grid.flat[1:], panels, strict=False):
        _show(axes, heat(explanation.picture.pixels, frame, one.map.values), explanation)
        name = f"null map: {null_name(one.name)}" if one.name in NULLS else one.name
        axes.set_title(f"{name}\n{scores(one).replace(', ', chr(10))}", fontsize=8)
    _curves(middle, explanation)
    lower.text(0.01, 0.98, "\n".join(told), fontsize=8, va="top", ha="left")
    whole.suptitle(f"{explanation.name}: {explanation.picture.name}", fontsize=10)
    return whole


def _wrapped(text: str, width: int) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(str(text), width))


def _show(axes: Axes, pixels: NDArray[np.uint8], explanation: Explanation) -> None:
    axes.imshow(_marked(pixels, explanation))


def curves(explanation: Explanation) -> Figure:
    """Draw the curves of deletion and insertion of maps and null maps."""
    drawing = fonts.figure(8.5, 3.2)
    _curves(drawing, explanation)
    return drawing


def _curves(figure: Any, explanation: Explanation) -> None:
    panels = figure.subplots(1, 2, sharey=True)
    both: tuple[tuple[Measure, Said], ...] = (
        ("deletion", say("deletion: pixels covered")),
        ("insertion", say("insertion: pixels given back")),
    )
    for axes, (measure, title) in zip(panels, both, strict=True):
        for i, one in enumerate(explanation.nulls):
            curve = getattr(one, measure)
            shares = np.linspace(0, 100, len(curve))
            axes.plot(shares, curve, color="#808080", linewidth=1,
                      linestyle=("-", "--", ":")[i], label=null_name(one.name))  # fmt: skip
        for i, one in enumerate(explanation.maps):
            curve = getattr(one, measure)
            style = plots.linestyle(i, 4) | {"markevery": max(1, len(curve) // 6)}
            axes.plot(np.linspace(0, 100, len(curve)), curve, linewidth=1.5, label=one.name,
                      **style)  # fmt: skip
        axes.set_title(title, fontsize=9)
        axes.set_xlabel(say("pixels, %"), fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylim(bottom=0)  # once both are drawn, as they share it
    panels[0].set_ylabel(say("score"), fontsize=9)
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside right upper", frameon=False, fontsize=8)


def write(explanation: Explanation, place: Path, *, language: Language | None = None) -> Path:
    """Write the page of an explanation: one file that opens offline.

    Parameters
    ----------
    explanation : Explanation
    place : path
    language : "en" or "zh", optional
        That the page opens in; default: the browser's.

    Returns
    -------
    path
        Of the page.

    Raises
    ------
    RunError
        When it cannot be written.
    """
    target, picture = explanation.target, explanation.picture
    title = say("Why {target}? {image}", target=target.name, image=picture.name)
    head = say("{network} says {target} with a score of {score}", network=explanation.name,
               target=target.name, score=f"{target.score:.1%}")  # fmt: skip
    page = html.template("maps.html.j2", language).render(
        title=title, head=head, lines=remarks(explanation), sections=sections(explanation),
        others=[f"{other.name} {other.score:.1%}" for other in explanation.others[:12]],
        command=run.command(),
    )  # fmt: skip
    run.write_text(place, page)
    return place


def sections(explanation: Explanation) -> list[Section]:
    """Return the sections of the page: the maps, the null maps and curves, random weights."""
    picture = explanation.picture
    uri = _uri(_marked(shrunk(picture.pixels), explanation))
    lines = (explanation.target.name, f"{explanation.target.score:.1%}")
    own = [Picture(uri, lines, broad=True)]

    def shown(one: Judged) -> Picture:
        warm = heat(picture.pixels, picture.frame, one.map.values)
        uri = _uri(_marked(warm, explanation))
        name = null_name(one.name) if one.name in NULLS else one.name
        layer = (say("layer {layer}", layer=one.map.layer),) if one.map.layer else ()
        told = () if one.name in NULLS else (verdict(one, explanation.nulls),)
        return Picture(uri, (name, scores(one), *told, *layer), broad=True)

    title = say("Is it true?")
    made = [
        Section(
            say("Where it comes from"),
            parts=[Part(say("Maps"), pictures=[*own, *map(shown, explanation.maps)])],
        ),
        Section(
            title, MEASURES, plots.svg(curves(explanation), title),
            [Part(say("Null maps"), pictures=[shown(one) for one in explanation.nulls])],
        ),
    ]  # fmt: skip
    if explanation.randomised:
        heading = say("Does it depend on what was learned?")
        made.append(Section(heading, RANDOMISED, plots.svg(correlations(explanation), heading)))
    return made


def correlations(explanation: Explanation) -> Figure:
    """Draw what is left of each map as weights are drawn anew from the head down."""
    drawing = fonts.figure(8.5, 3.6)
    axes = drawing.subplots()
    for i, (name, stages) in enumerate(explanation.randomised.items()):
        heights = [1.0, *(stage.correlation for stage in stages)]
        axes.plot(heights, label=name, linewidth=1.5, **plots.linestyle(i, 4))
    layers = [stage.layer for stage in next(iter(explanation.randomised.values()))]
    ticks = [say("trained"), *(plots.clipped(layer, 22) for layer in layers)]
    axes.set_xticks(range(len(ticks)), ticks, rotation=30, ha="right", fontsize=8)
    axes.axhline(0, color="#cccccc", linewidth=1, zorder=0)
    axes.set_ylabel(say("rank correlation"), fontsize=9)
    axes.set_xlabel(say("weights drawn anew down to this layer"), fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    drawing.legend(loc="outside right upper", frameon=False, fontsize=8)
    return drawing


def _marked(pixels: NDArray[np.uint8], explanation: Explanation) -> NDArray[np.uint8]:
    """Return a drawn picture with the box or the outline of what is explained."""
    from PIL import ImageDraw

    target, frame = explanation.target, explanation.picture.frame
    if target.box is not None:
        image = as_picture(pixels)
        times = pixels.shape[1] / frame.size[1]
        corners = (frame.out(target.box[None])[0] * times).tolist()
        ImageDraw.Draw(image).rectangle(corners, outline=MARK, width=3)
        return np.asarray(image)
    if target.region is not None:
        from scipy import ndimage

        over = moved_out(target.region.astype(np.float32), frame, pixels.shape[:2])
        inside = np.nan_to_num(over) > 0.5
        edge = inside & ~ndimage.binary_erosion(inside, iterations=2)
        tint = np.array([int(MARK[i : i + 2], 16) for i in (1, 3, 5)], np.uint8)
        return np.where(edge[..., None], tint, pixels)
    return pixels


def _uri(pixels: NDArray[np.uint8]) -> str:
    return plots.data_uri(as_picture(pixels), "JPEG", quality=88)
