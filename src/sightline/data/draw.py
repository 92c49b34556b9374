"""Draw a contact sheet of a data set: labels, boxes, masks and class balance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.data.audit import class_counts
from sightline.data.dataset import Dataset
from sightline.data.fonts import figure
from sightline.errors import SightlineError
from sightline.types import IGNORE, Sample

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MASK_ALPHA = 0.45


def contact_sheet(data: Dataset, split: str = "train", count: int = 30, seed: int = 0) -> Figure:
    """Draw images of a split beside the balance of its classes.

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
    largest = max(len(data.rows), 1)
    height = max(1.75 * lines + 0.8, 3.2)
    sheet = figure(1.7 * columns + 4.2, height, dpi=110)
    pictures, balance = sheet.subfigures(1, 2, squeeze=False, width_ratios=[1.7 * columns, 4.2])[0]
    counts = ", ".join(f"{len(r):,} {name}" for name, r in data.rows.items())
    sheet.suptitle(f"{data.name}: {counts}; shown: {split}", fontsize=11)
    grid = np.atleast_1d(pictures.subplots(lines, columns)).ravel()
    for axes in grid:
        axes.axis("off")
    for axes, row in zip(grid, rows, strict=False):
        try:
            draw_sample(axes, data.sample(int(row)), data)
        except SightlineError:
            axes.text(0.5, 0.5, "cannot\nbe read", ha="center", va="center", color="tab:red")
            axes.set_title(data.source.items[int(row)].id[-18:], fontsize=7)
    _bars(balance.subplots(), data, largest)
    return sheet


def draw_sample(axes: Axes, sample: Sample, data: Dataset) -> None:
    """Draw one image with its label, boxes and masks."""
    image = sample.image
    grey = image.shape[2] == 1
    objects, segmentation = sample.objects, sample.segmentation
    if objects is not None and objects.masks is not None:
        image = overlay(image, objects.masks, np.arange(len(objects)))
    elif segmentation is not None and (objects is None or not len(objects)):
        label_map = segmentation.label_map
        present = np.setdiff1d(label_map, IGNORE)
        image = overlay(image, label_map == present[:, None, None], present)
    smooth = "nearest" if max(image.shape[:2]) <= 64 else "antialiased"
    shown: Any = image[:, :, 0] if image.shape[2] == 1 else image
    axes.imshow(shown, cmap="gray" if grey else None, vmin=0, vmax=255, interpolation=smooth)
    if sample.label is not None:
        axes.set_title(data.classes[sample.label], fontsize=8)
    if objects is None:
        return
    from matplotlib.patches import Rectangle

    for i, (x1, y1, x2, y2) in enumerate(objects.boxes):
        colour = colours(np.array([objects.labels[i]]))[0] / 255
        axes.add_patch(
            Rectangle((x1 - 0.5, y1 - 0.5), x2 - x1, y2 - y1, fill=False, ec=colour, lw=1.2)
        )
        if len(objects) <= 12:
            axes.text(
                x1, y1 - 1, objects.names[i], fontsize=5.5, color="white", va="bottom",
                bbox={"facecolor": colour, "edgecolor": "none", "pad": 0.8}, clip_on=True,
            )  # fmt: skip


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


def _choose(data: Dataset, rows: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    order = np.random.default_rng(seed).permutation(rows)
    labels = np.array([data.source.items[int(r)].label for r in order])
    turn = np.zeros(len(order), np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        turn[members] = np.arange(len(members))
    return order[np.lexsort((labels, turn))][:count]


def _bars(axes: Axes, data: Dataset, largest: int) -> None:
    """Draw a bar of each class's examples by split; of many classes the largest and smallest."""
    counts = {name: class_counts(data, rows) for name, rows in data.rows.items()}
    total = sum(counts.values(), np.zeros(len(data.classes), np.int64))
    if not total.any():
        axes.axis("off")
        axes.text(0.5, 0.5, "no class labels", ha="center")
        return
    order = np.argsort(-total, kind="stable")
    names = [data.classes[i] for i in order]
    if len(order) > 40:
        order = np.concatenate([order[:20], order[-20:]])
        names = [data.classes[i] for i in order]
    y = np.arange(len(order))
    left = np.zeros(len(order), np.int64)
    for colour, (name, values) in zip(
        ("#0072B2", "#E69F00", "#009E73", "#CC79A7"), counts.items(), strict=False
    ):
        axes.barh(y, values[order], left=left, color=colour, label=name, height=0.75)
        left = left + values[order]
    axes.set_yticks(y, [n if len(n) <= 20 else n[:19] + "…" for n in names], fontsize=7)
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    what = "images" if any(i.label >= 0 for i in data.source.items[:50]) else "objects"
    more = " (20 largest and 20 smallest)" if len(data.classes) > 40 else ""
    axes.set_title(f"{what} a class{more}", fontsize=9, pad=16)
    if largest > 1:
        axes.legend(
            fontsize=7, frameon=False, loc="lower center", bbox_to_anchor=(0.5, 0.99), ncols=3
        )
