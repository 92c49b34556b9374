"""Draw a network as a chain of blocks, as high as its maps and as wide as its channels."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sightline.data.fonts import figure
from sightline.models.describe import Description, Layer
from sightline.report.plots import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW = 16
"""Blocks in a line; longer networks are broken into lines."""

_KINDS = (
    ("convolution", PALETTE[0], ("conv",)),
    ("pooling", PALETTE[1], ("pool", "downsample", "patchmerging")),
    ("linear", PALETTE[2], ("linear",)),
)
_BLOCK, _OTHER = ("block of layers", PALETTE[3]), ("other", PALETTE[6])
_SILENT = ("norm", "relu", "gelu", "silu", "swish", "sigmoid", "tanh", "dropout", "identity",
           "flatten", "permute", "activation")  # fmt: skip


@dataclass(slots=True)
class Box:
    """Equal neighbouring blocks, drawn as one.

    Parameters
    ----------
    name : str
        Of the first one.
    what : str
        Kind of layer, which sets the colour.
    label : str
        Such as ``3 x 3`` or the class of the block.
    shape : tuple of int
        Of the output.
    count : int
        How many there are.
    """

    name: str
    what: str
    label: str
    shape: tuple[int, ...]
    count: int = 1


def chain(description: Description) -> list[Box]:
    """List a network's blocks in the order of use, without normalisation and activation.

    Equal neighbours stay apart in networks of up to two lines, and are one box in longer ones.
    """
    boxes = []
    for block, layers in itertools.groupby(description.layers, key=lambda layer: layer.block):
        box = _box(block, list(layers), description.blocks.get(block))
        if box is not None:
            boxes.append(box)
    if len(boxes) <= 2 * ROW:
        return boxes
    merged: list[Box] = []
    for box in boxes:
        last = merged[-1] if merged else None
        if last and _alike(last, box):
            last.count += 1
        else:
            merged.append(box)
    return merged


def _alike(a: Box, b: Box) -> bool:
    return (a.what, a.label.partition("\n")[0], a.shape) == (
        b.what, b.label.partition("\n")[0], b.shape,
    )  # fmt: skip


def _box(block: str, layers: Sequence[Layer], shape: tuple[int, ...] | None) -> Box | None:
    """Make a block's box; None where it neither computes nor changes the shape."""
    heavy = [layer for layer in layers if layer.multiply_adds]
    kind = layers[0].block_kind or layers[0].kind
    shape = shape or layers[-1].shape
    if len(heavy) > 1:
        return Box(block, _BLOCK[0], f"{kind}\n{block}", shape)
    main = heavy[0] if heavy else layers[0]
    if any(word in main.kind.lower() for word in _SILENT):
        return None
    what = next(
        (name for name, _, words in _KINDS if any(w in main.kind.lower() for w in words)), _OTHER[0]
    )
    label = main.kind
    if main.kernel:
        label = "{} × {}".format(*main.kernel)
        if main.stride and main.stride != (1, 1):
            label += f"\nstride {main.stride[0]}"
    elif what == "pooling":
        label = "average" if "Avg" in main.kind else "adaptive"
    elif what == "linear":
        label = "linear"
    return Box(block, what, label, shape)


def draw(name: str, description: Description) -> Figure:
    """Draw a network as a chain of blocks.

    Height goes with the side of the maps, width with the channels (both by their logarithm);
    vectors are thin columns. Above each block stands what it does, below it the channels and
    the side.

    Parameters
    ----------
    name : str
        For the title.
    description : Description
    """
    from matplotlib.patches import Patch

    boxes = chain(description)
    first = Box("input", "input", "input", description.input)
    whole = [first, *boxes]
    lines = -(-len(whole) // ROW)
    long = -(-len(whole) // lines)  # lines of equal length
    rows = [whole[i : i + long] for i in range(0, len(whole), long)]
    room = [max(_height(box) for box in row) + 1.5 for row in rows]
    drawing = figure(13.5, 0.9 + 0.72 * sum(room))
    axes: Any = drawing.subplots(len(rows), 1, squeeze=False, height_ratios=room)[:, 0]
    longest = max(sum(_room(box) for box in row) for row in rows)
    for line, row in zip(axes, rows, strict=True):
        _row(line, row, longest)
    used = {box.what for row in rows for box in row}
    keys = [(n, c) for n, c, *_ in (*_KINDS, _BLOCK, _OTHER) if n in used]
    drawing.legend(
        handles=[Patch(color=colour, alpha=0.85, label=what) for what, colour in keys],
        loc="outside lower center", ncols=len(keys), frameon=False,
    )  # fmt: skip
    channels, height, width = description.input
    drawing.suptitle(
        f"{name}, input {channels} × {height} × {width}: {description.parameters:,} weights, "
        f"{_short(description.multiply_adds)} multiply-adds",
        fontsize=12,
    )
    return drawing


def _row(axes: Axes, boxes: Sequence[Box], longest: float) -> None:
    """Draw one line of blocks on a common middle, with arrows between."""
    tallest = max(_height(box) for box in boxes)
    x, before = 0.0, 0.0
    for i, box in enumerate(boxes):
        wide, high = _width(box), _height(box)
        left = x + (_room(box) - wide) / 2
        _solid(axes, left, wide, high, _colour(box))
        middle = left + wide / 2
        times = f"{box.count} × " if box.count > 1 else ""
        more = " …" if box.count > 1 else ""
        axes.text(
            middle + _DEPTH / 2, high / 2 + 0.24, times + box.label + more, ha="center",
            va="bottom", fontsize=8, linespacing=1.1,
        )  # fmt: skip
        axes.text(
            middle, -tallest / 2 - 0.15, _shape(box.shape), ha="center", va="top", fontsize=8,
            linespacing=1.25,
        )  # fmt: skip
        if i:
            axes.annotate(
                "", (left, 0), (left - (_room(box) - wide) / 2 - before, 0),
                arrowprops={"arrowstyle": "-|>", "color": "0.45", "linewidth": 0.9},
            )  # fmt: skip
        before = (_room(box) - wide) / 2 - _DEPTH * min(1.0, high)
        x += _room(box)
    axes.set_xlim(0, longest)
    axes.set_ylim(-tallest / 2 - 0.7, tallest / 2 + 0.8)
    axes.axis("off")


_DEPTH = 0.14


def _solid(axes: Axes, left: float, wide: float, high: float, colour: str) -> None:
    """Draw a block with its top and its side, seen from the right."""
    from matplotlib.patches import Polygon

    deep, low = _DEPTH * min(1.0, high), -high / 2
    right, top = left + wide, high / 2
    faces = (
        ([(left, low), (right, low), (right, top), (left, top)], 0.85),
        ([(left, top), (right, top), (right + deep, top + deep), (left + deep, top + deep)], 0.5),
        (
            [(right, low), (right + deep, low + deep), (right + deep, top + deep), (right, top)],
            0.65,
        ),
    )
    for corners, alpha in faces:
        axes.add_patch(Polygon(corners, facecolor="white", edgecolor="none", zorder=2))
        axes.add_patch(
            Polygon(corners, facecolor=colour, edgecolor="white", linewidth=0.7, alpha=alpha,
                    zorder=3)
        )  # fmt: skip


def _height(box: Box) -> float:
    side = max(box.shape[1:]) if len(box.shape) == 3 else None
    return 1.6 if side is None else 0.22 + 0.36 * math.log2(max(side, 1))


def _width(box: Box) -> float:
    return 0.16 if len(box.shape) != 3 else 0.1 + 0.06 * math.log2(max(box.shape[0], 1))


def _room(box: Box) -> float:
    return max(_width(box) + 0.5, 0.95)


def _shape(shape: tuple[int, ...]) -> str:
    if len(shape) != 3:
        return " × ".join(f"{n:,}" for n in shape)
    channels, height, width = shape
    return f"{channels}\n{height} × {width}"


def _colour(box: Box) -> str:
    if box.what == "input":
        return "0.55"
    colours = {n: c for n, c, *_ in (*_KINDS, _BLOCK, _OTHER)}
    return colours[box.what]


def _short(number: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g} {letter}"
    return f"{number:.0f}"
