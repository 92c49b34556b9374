"""Draw a contact sheet of a data set: labels, boxes and masks, with what there is of each class."""

from __future__ import annotations

import contextlib
import functools
import itertools
import unicodedata
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.counting import counted
from sightline.data.audit import class_counts
from sightline.data.dataset import Dataset
from sightline.data.fonts import figure
from sightline.data.normal import is_normal
from sightline.errors import SightlineError
from sightline.types import IGNORE, Detections, Sample

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MASK_ALPHA = 0.45
_LABEL = 6.0
"""Points of the letters of a box's label."""

_COLUMN = 1.7
"""Inches from one picture to the next."""

MEASURED = 60
"""Images of a split whose masks and objects are measured for the panels beside the pictures."""

MOST_CLASSES = 40
"""Classes that a panel has room for: of more, the largest and smallest."""


def contact_sheet(data: Dataset, split: str = "train", count: int = 30, seed: int = 0) -> Figure:
    """Draw images of a split, and beside them what there is of each class, with its colour.

    Images with one label each, and objects, are counted by class and split; of label maps each
    class's share of the pixels is drawn; of objects also how many an image has and how large
    they are.

    Parameters
    ----------
    data : Dataset
    split : str
    count : int
        Images, 1 to 200: taken in turn from every class, else at random.
    seed : int

    Returns
    -------
    matplotlib Figure
    """
    rows = _choose(data, data.split(split).rows, count, seed)
    columns = min(6, len(rows))
    lines = -(-len(rows) // columns)
    panels = _panels(data, split, seed)
    heights = [height for height, _ in panels]
    own = max(1.75 * lines + 0.8, 3.2)
    height = max(own, sum(heights) + 0.5)
    wide = _COLUMN * columns
    sheet = figure(wide + (4.2 if panels else 0), height, dpi=110)
    pictures = sheet
    if panels:
        pictures, beside = sheet.subfigures(1, 2, squeeze=False, width_ratios=[wide, 4.2])[0]
        if height > own:  # the pictures stay together, at the top
            pictures = pictures.subfigures(2, 1, height_ratios=[own, height - own])[0]
        places = beside.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
        for axes, (_, draw_panel) in zip(places, panels, strict=True):
            draw_panel(axes)
    counts = ", ".join(f"{len(r):,} {name}" for name, r in data.rows.items())
    unlabelled = "" if panels else "; no class labels"
    sheet.suptitle(f"{data.name}: {counts}; shown: {split}{unlabelled}", fontsize=11)
    grid = np.atleast_1d(pictures.subplots(lines, columns)).ravel()
    for axes in grid:
        axes.axis("off")
    for axes, row in zip(grid, rows, strict=False):
        try:
            draw_sample(axes, data.sample(int(row)), data)
            if known := _known(data, int(row)):
                axes.set_title(known, fontsize=8)
        except SightlineError:
            axes.text(0.5, 0.5, "cannot\nbe read", ha="center", va="center", color="tab:red")
            axes.set_title(data.source.items[int(row)].id[-18:], fontsize=7)
    return sheet


def _known(data: Dataset, row: int) -> str:
    """Return the several labels of an image, or its number; empty where it has neither."""
    item = data.source.items[row]
    if item.value is not None:
        return f"{item.value:g}"
    names = [data.classes[label] for label in item.labels or ()]
    more = f" +{len(names) - 2}" if len(names) > 2 else ""
    return ", ".join(names[:2]) + more


def draw_sample(axes: Axes, sample: Sample, data: Dataset) -> None:
    """Draw one image with its label, boxes and masks."""
    image = sample.image
    grey = image.shape[2] == 1
    objects, segmentation = sample.objects, sample.segmentation
    if objects is not None and objects.masks is not None:
        image = overlay(image, objects.masks, np.arange(len(objects)))
    elif segmentation is not None and (objects is None or not len(objects)):
        label_map = segmentation.label_map
        good = [v for v, n in enumerate(segmentation.classes) if is_normal(n)]
        present = np.setdiff1d(label_map, [IGNORE, *good])
        image = overlay(image, label_map == present[:, None, None], present)
    smooth = "nearest" if max(image.shape[:2]) <= 64 else "antialiased"
    shown: Any = image[:, :, 0] if image.shape[2] == 1 else image
    axes.imshow(shown, cmap="gray" if grey else None, vmin=0, vmax=255, interpolation=smooth)
    if sample.label is not None:
        axes.set_title(data.classes[sample.label], fontsize=8)
    if objects is None:
        return
    from matplotlib.patches import Rectangle

    several = len(data.classes) > 1
    tints = colours(objects.labels) / 255
    names = objects.names if several else [""] * len(objects)
    for (x1, y1, x2, y2), colour in zip(objects.boxes, tints, strict=True):
        axes.add_patch(
            Rectangle((x1 - 0.5, y1 - 0.5), x2 - x1, y2 - y1, fill=False, ec=colour, lw=1.2)
        )
    for i, (x, y) in label_places(objects.boxes, names, image.shape[:2]).items():
        axes.text(
            x, y, names[i], fontsize=_LABEL, color=_letters_on(tints[i]), va="top",
            bbox={"facecolor": tints[i], "edgecolor": "none", "pad": 0.6}, clip_on=True,
        )  # fmt: skip


def label_places(
    boxes: NDArray[np.floating[Any]], names: Sequence[str], size: tuple[int, ...]
) -> dict[int, tuple[float, float]]:
    """Find room for the names of boxes: inside the picture, none over another.

    Parameters
    ----------
    boxes : float array, shape (N, 4)
        ``xyxy``, in pixels.
    names : sequence of str
        Of the boxes; an empty one needs no room.
    size : (height, width)
        Of the picture, in pixels.

    Returns
    -------
    dict of int to (x, y)
        By box, the upper left corner of its name; one without room is left out, as the colour of
        the box says its class too. Larger boxes choose first.
    """
    point = max(size[:2]) / (0.92 * _COLUMN * 72)  # pixels
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    wide = [(0.64 * _LABEL * _letters(name) + 3) * point if name else 0.0 for name in names]
    return free_places(boxes, wide, 1.6 * _LABEL * point, size, np.argsort(-areas, kind="stable"))


def free_places(
    boxes: NDArray[np.floating[Any]], wide: Sequence[float], tall: float, size: tuple[int, ...],
    order: NDArray[np.integer[Any]],
) -> dict[int, tuple[float, float]]:  # fmt: skip
    """Find places for labels at the edges of their boxes: inside the picture, none over another.

    Parameters
    ----------
    boxes : float array, shape (N, 4)
        ``xyxy``, in pixels.
    wide : sequence of float
        Of each label, in pixels; 0: it needs no place.
    tall : float
        Of all labels.
    size : (height, width)
        Of the picture, in pixels.
    order : int array
        In which they choose.

    Returns
    -------
    dict of int to (x, y)
        By box, the upper left corner of its label; one without room is left out.
    """
    height, width = size[:2]
    taken: list[tuple[float, float, float, float]] = []
    places: dict[int, tuple[float, float]] = {}
    for i in order.tolist():
        if not wide[i] or wide[i] > width:
            continue
        x1, y1, x2, y2 = (float(edge) for edge in boxes[i])
        for left, y in itertools.product((x1, x2 - wide[i]), (y1 - tall, y1, y2 - tall, y2)):
            x = min(max(left, 0.0), width - wide[i])
            inside = 0 <= y <= height - tall
            if inside and not any(
                x < right and left_ < x + wide[i] and y < bottom and top < y + tall
                for left_, top, right, bottom in taken
            ):
                taken.append((x, y, x + wide[i], y + tall))
                places[i] = (x, y)
                break
    return places


def _letters(text: str) -> int:
    """Return the width of a text in letters; those of East Asia count twice."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _letters_on(colour: NDArray[np.floating[Any]]) -> str:
    """Return the colour of letters that can be read on another, RGB in [0, 1]."""
    linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    light = float(linear @ (0.2126, 0.7152, 0.0722))  # where either has the same contrast: 0.179
    return "black" if light > 0.179 else "white"


def overlay(
    image: NDArray[np.uint8], masks: NDArray[np.bool_], ids: NDArray[np.integer[Any]]
) -> NDArray[np.uint8]:
    """Tint each mask, shape (N, H, W), with the colour of its id."""
    out = np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image.copy()
    for mask, colour in zip(masks, colours(ids), strict=True):
        mixed = (1 - _MASK_ALPHA) * out[mask] + _MASK_ALPHA * colour
        out[mask] = mixed.astype(np.uint8)
    return out


def colours(ids: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
    """Return well-separated RGB colours by id, shape (N, 3): hues a golden angle apart."""
    import colorsys

    hues = (np.asarray(ids) * 0.61803398875) % 1
    rgb = [colorsys.hsv_to_rgb(h, 0.85, 0.9) for h in hues]
    return (np.array(rgb).reshape(-1, 3) * 255).astype(np.uint8)


BACKGROUND = frozenset({"background", "背景"})
"""What the class is called that stands for everything else, and that no tint is laid on."""


def is_background(name: str) -> bool:
    """Tell by its name whether a class of pixels stands for everything else.

    Examples
    --------
    >>> is_background("Background"), is_background("sky")
    (True, False)
    """
    return name.strip().casefold() in BACKGROUND


def _choose(data: Dataset, rows: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    order = np.random.default_rng(seed).permutation(rows)
    labels = np.array([data.source.items[int(r)].label for r in order])
    turn = np.zeros(len(order), np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        turn[members] = np.arange(len(members))
    return order[np.lexsort((labels, turn))][:count]


Panel = tuple[float, Callable[["Axes"], None]]
"""Height in inches, and what draws it."""


def _panels(data: Dataset, split: str, seed: int) -> list[Panel]:
    """Return the panels beside the pictures: what there is of each class, and of objects."""
    if any(data.source.items[int(row)].label >= 0 for rows in data.rows.values() for row in rows):
        return [_balance(data, "images")]
    rows = np.random.default_rng(seed).permutation(data.split(split).rows)[:MEASURED]
    samples = []
    for row in rows:
        with contextlib.suppress(SightlineError):
            samples.append(data.sample(int(row)))
    objects = [s.objects for s in samples if s.objects is not None]
    maps = [s.segmentation.label_map for s in samples if s.segmentation is not None]
    panels: list[Panel] = []
    if any(map(len, objects)):
        if len(data.classes) > 1 and _counts(data)[1].any():
            panels.append(_balance(data, "objects"))
        counts = np.array([len(o) for o in objects])
        sizes = np.concatenate([np.sqrt(_areas(o)) for o in objects])
        of = f"{split}, {counted(len(objects), 'image')}"
        panels += [
            (1.9, functools.partial(_histogram, values=counts, what="images",
                                    title=f"objects an image\n{of}")),
            (1.9, functools.partial(_histogram, values=sizes, what="objects",
                                    title=f"size of an object, pixels: root of its area\n{of}")),
        ]  # fmt: skip
    elif maps:
        panels.append(_shares(data, maps, split))
    return panels


def _areas(objects: Detections) -> NDArray[np.float64]:
    """Return the area of each object in pixels: of its mask, else of its box."""
    if objects.masks is not None:
        return np.asarray(objects.masks.sum((1, 2)), np.float64)
    boxes = np.asarray(objects.boxes, np.float64)
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    return np.asarray(sides.prod(1), np.float64)


def _counts(data: Dataset) -> tuple[dict[str, NDArray[np.int64]], NDArray[np.int64]]:
    """Return the examples of each class by split, and in all."""
    counts = {name: class_counts(data, rows) for name, rows in data.rows.items()}
    return counts, sum(counts.values(), np.zeros(len(data.classes), np.int64))


def _room(classes: int) -> float:
    """Return the height of a panel with a line a class, in inches."""
    return 1.0 + 0.155 * min(classes, MOST_CLASSES)


def _some(order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Keep the first and the last of very many."""
    half = MOST_CLASSES // 2
    return order if len(order) <= MOST_CLASSES else np.concatenate([order[:half], order[-half:]])


def _more(classes: int) -> str:
    half = MOST_CLASSES // 2
    return f" ({half} largest and {half} smallest)" if classes > MOST_CLASSES else ""


def _balance(data: Dataset, what: str) -> Panel:
    """Return the bars of each class's examples by split; a square has the colour of its boxes."""
    counts, total = _counts(data)
    order = _some(np.argsort(-total, kind="stable"))

    def draw(axes: Axes) -> None:
        y = np.arange(len(order))
        left = np.zeros(len(order), np.int64)
        for colour, (name, values) in zip(
            ("#0072B2", "#E69F00", "#009E73", "#CC79A7"), counts.items(), strict=False
        ):
            axes.barh(y, values[order], left=left, color=colour, label=name, height=0.75)
            left = left + values[order]
        _classes(axes, data, order, key=what == "objects")
        axes.set_title(f"{what} a class{_more(len(data.classes))}", fontsize=9, pad=16)
        axes.set_label("balance")
        if len(data.rows) > 1:
            axes.legend(
                fontsize=7, frameon=False, loc="lower center", bbox_to_anchor=(0.5, 0.99), ncols=4
            )

    return _room(len(data.classes)), draw


def _shares(data: Dataset, maps: Sequence[NDArray[np.integer[Any]]], split: str) -> Panel:
    """Return the bars of each class's share of the pixels, in the colour it has in the pictures."""
    pixels = np.zeros(len(data.classes), np.int64)
    ignored = 0
    for label_map in maps:
        counts = np.bincount(label_map.ravel(), minlength=IGNORE + 1)
        pixels += counts[: len(pixels)]
        ignored += int(counts[IGNORE])
    shares = 100 * pixels / max(int(pixels.sum()), 1)
    order = _some(np.argsort(-shares, kind="stable"))

    def draw(axes: Axes) -> None:
        y = np.arange(len(order))
        axes.barh(y, shares[order], color=colours(order) / 255, height=0.75)
        for place, share in enumerate(shares[order].tolist()):
            said = f" {share:.1f}%" if share >= 0.05 or share == 0 else " <0.1%"
            axes.text(share, place, said, va="center", fontsize=7)
        _classes(axes, data, order)
        axes.margins(x=0.16)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}%")
        title = f"share of the pixels{_more(len(data.classes))}\n{split}, "
        title += counted(len(maps), "image")
        if ignored:
            all_pixels = ignored + int(pixels.sum())
            title += f"; besides, {100 * ignored / all_pixels:.1f}% of all pixels are ignored"
        axes.set_title(title, fontsize=9)
        axes.set_label("shares")

    return _room(len(data.classes)), draw


def _classes(axes: Axes, data: Dataset, order: NDArray[np.int64], *, key: bool = False) -> None:
    """Name a line a class, the first on top, with a square of its colour if asked."""
    y = np.arange(len(order))
    names = [data.classes[i] for i in order]
    shown = [n if len(n) <= 20 else n[:19] + "…" for n in names]
    axes.set_yticks(y, shown, fontsize=7)
    axes.set_ylim(len(order) - 0.4, -0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="x", labelsize=7)
    if key:
        axes.tick_params(axis="y", pad=11, length=0)
        axes.scatter(
            np.full(len(order), -0.02), y, marker="s", s=26, c=colours(order) / 255,
            transform=axes.get_yaxis_transform(), clip_on=False,
        )  # fmt: skip


def _histogram(axes: Axes, *, values: NDArray[Any], what: str, title: str) -> None:
    """Draw how often values occur, with their median."""
    from matplotlib.ticker import MaxNLocator

    whole = np.issubdtype(values.dtype, np.integer)
    low, high = float(values.min()), float(values.max())
    if whole:
        step = max(1, -(-int(high - low + 1) // 25))
        edges = np.arange(low, high + step + 1, step) - 0.5
    else:
        edges = np.linspace(low, high if high > low else low + 1, 26)
    axes.hist(values, edges.tolist(), color="#0072B2")
    middle = float(np.median(values))
    axes.axvline(middle, color="#D55E00", linewidth=1.2)
    axes.set_title(f"{title}; median {middle:.3g}", fontsize=9)
    axes.set_ylabel(what, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=7)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    axes.set_label("histogram")
