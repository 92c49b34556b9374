"""Show what the filters of convolutions look for: their kernels, and images they answer to most."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.data import fonts
from sightline.errors import ParameterError
from sightline.explain.opened import Opened
from sightline.explain.synthesis import Ascent, maximise, size_for
from sightline.types import Progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor, nn

KERNELS = 64
"""Kernels of a layer that are shown at most."""

FILTERS = 8
"""Filters of a layer that images are made for, unless told otherwise."""

SIDE = 96
"""Pixels a side of these images."""

WIDE = 115
"""Characters of a line of a drawing's titles."""

DEPTHS = (1 / 3, 2 / 3, 1.0)
"""How deep the layers lie that are shown unless they are named, the last one 1."""


@dataclass(frozen=True, slots=True)
class Kernels:
    """Kernels of a convolution as small pictures.

    Parameters
    ----------
    layer : str
    shape : (int, int, int, int)
        Filters, input channels of each, height and width.
    pictures : uint8 array, shape (n, h, w, C)
        Grey in the middle is 0.
    numbers : int64 array, shape (n,)
        Of the filters.
    how : str
        What their colours are.
    """

    layer: str
    shape: tuple[int, int, int, int]
    pictures: NDArray[np.uint8]
    numbers: NDArray[np.int64]
    how: str

    @property
    def title(self) -> str:
        """Return a line about them."""
        filters, _, height, width = self.shape
        some = "" if len(self.numbers) == filters else f"{len(self.numbers)} of "
        return f"{self.layer}: {some}{filters:,} kernels of {height} x {width}, {self.how}"


@dataclass(frozen=True, slots=True)
class Favourites:
    """Images that filters of a layer answer to most.

    Parameters
    ----------
    layer : str
    depth : (int, int)
        Which convolution it is, from 1, and of how many.
    channels : int
        Of the layer.
    numbers : int64 array, shape (n,)
        Of the filters.
    pictures : uint8 array, shape (n, h, w, C)
    answers : float32 array, shape (n,)
        The mean over places that each filter puts out for its image.
    """

    layer: str
    depth: tuple[int, int]
    channels: int
    numbers: NDArray[np.int64]
    pictures: NDArray[np.uint8]
    answers: NDArray[np.float32]

    @property
    def title(self) -> str:
        """Return a line about them."""
        at, of = self.depth
        return f"{self.layer} (convolution {at} of {of}): {len(self.numbers)} of {self.channels:,}"


@dataclass(frozen=True, slots=True)
class Filters:
    """What filters of a network look for.

    Parameters
    ----------
    name : str
        Of the network.
    kernels : list of Kernels
    favourites : list of Favourites
    ascent : Ascent
        How the images were made.
    notes : list of str
    """

    name: str
    kernels: list[Kernels]
    favourites: list[Favourites]
    ascent: Ascent
    notes: list[str]

    def document(self) -> dict[str, Any]:
        """Return what was shown, as JSON can hold it."""
        return {
            "network": self.name, "steps": self.ascent.steps, "seed": self.ascent.seed,
            "kernels": [
                {"layer": k.layer, "shape": list(k.shape), "how": k.how} for k in self.kernels
            ],
            "filters": [
                {"layer": f.layer, "numbers": f.numbers.tolist(), "answers": f.answers.tolist()}
                for f in self.favourites
            ],
            "notes": self.notes,
        }  # fmt: skip


def look(
    opened: Opened, layers: Sequence[str] = (), *, filters: int = FILTERS, side: int = SIDE,
    inputs: bool = False, ascent: Ascent | None = None, progress: Progress | None = None,
) -> Filters:  # fmt: skip
    """Show the filters of some convolutions.

    Parameters
    ----------
    opened : Opened
    layers : sequence of str
        Names of convolutions; default: the kernels of the first, and images for three more.
    filters : int
        Of each layer that images are made for, evenly spread over its filters.
    side : int
        Pixels of these images.
    inputs : bool
        Whether kernels with many input channels are shown channel by channel.
    ascent : Ascent, optional
        How images are made.
    progress : callable, optional
        Called with (steps done, steps in all).

    Raises
    ------
    UnknownNameError
        When there is no such convolution; the nearest is named.
    ParameterError
        When the network has none, or an option cannot have its value.
    """
    if filters < 1:
        raise ParameterError(f"filters={filters} must be at least 1")
    ascent = ascent or Ascent()
    known = opened.convolutions()
    for name in layers:
        opened.convolution(name)
    first = next(iter(known))
    shown = list(layers) or [first]
    deep = [name for name in (layers or spread(known)) if name != first]
    told: Progress = progress or (lambda done, total: None)
    favourites, notes = list[Favourites](), [opened.note] if opened.note else []
    for at, name in enumerate(deep):
        own = replace(ascent, seed=ascent.seed + at)
        part = _part_of(told, at, len(deep))
        favourites.append(favourite(opened, name, filters, side, own, part))
    weights = [kernels(name, known[name].weight, inputs=inputs) for name in shown]
    return Filters(opened.name, weights, favourites, ascent, notes)


def _part_of(told: Progress, at: int, parts: int) -> Progress:
    """Return the progress of one of several parts of the work."""

    def report(done: int, total: int) -> None:
        told(at * total + done, parts * total)

    return report


def spread(convolutions: dict[str, nn.Conv2d]) -> list[str]:
    """Return the names of convolutions of growing depth.

    They are of those that mix their channels, and have more filters than an answer has numbers.
    """
    mixing = [
        name for name, layer in convolutions.items()
        if layer.groups < layer.in_channels and layer.out_channels >= FILTERS
    ] or list(convolutions)  # fmt: skip
    return list(dict.fromkeys(mixing[round(d * (len(mixing) - 1))] for d in DEPTHS))


def kernels(layer: str, weight: Tensor, *, inputs: bool = False, most: int = KERNELS) -> Kernels:
    """Turn the kernels of a convolution into pictures.

    Three input channels are red, green and blue, one is grey. Of more, the three principal
    components over the input channels of all kernels are the colours, or each is shown alone.

    Parameters
    ----------
    layer : str
    weight : Tensor, shape (O, I, h, w)
    inputs : bool
        Whether each input channel is shown alone.
    most : int
        Kernels; of more some are left out, evenly.
    """
    values = weight.detach().float().cpu().numpy()
    o, i, h, w = values.shape
    if inputs and i > 1:
        flat = values.reshape(o * i, 1, h, w)
        some = _evenly(o * i, most)
        how = f"each of the {i} input channels alone"
        return Kernels(layer, (o * i, 1, h, w), _pictures(flat[some]), some, how)
    some = _evenly(o, most)
    if i == 3:
        return Kernels(layer, (o, i, h, w), _pictures(values[some]), some, "in red, green and blue")
    if i == 1:
        return Kernels(layer, (o, i, h, w), _pictures(values[some]), some, "of one input channel")
    rows = values.transpose(0, 2, 3, 1).reshape(-1, i)
    # Not centred: 0 stays the grey in the middle.
    _, sizes, axes = np.linalg.svd(rows.astype(np.float64), full_matrices=False)
    count = min(3, i)
    seen = (rows @ axes[:count].T).reshape(o, h, w, count).transpose(0, 3, 1, 2)
    seen = np.pad(seen, ((0, 0), (0, 3 - count), (0, 0), (0, 0)))
    share = float((sizes[:count] ** 2).sum() / max((sizes**2).sum(), 1e-30))
    how = f"colours are {count} principal components of {i} input channels ({share:.0%} of them)"
    if h * w == 1:
        how += "; kernels of one pixel have no shape, only a mixture"
    return Kernels(layer, (o, i, h, w), _pictures(seen[some]), some, how)


def _evenly(count: int, most: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64))


def _pictures(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Return kernels (n, C, h, w) as bytes (n, h, w, C), each by its own largest weight."""
    largest = np.abs(values).max((1, 2, 3), keepdims=True)
    scaled = 127.5 + 127.5 * values / np.where(largest > 0, largest, 1)
    return scaled.round().astype(np.uint8).transpose(0, 2, 3, 1)


def favourite(
    opened: Opened, layer: str, filters: int = FILTERS, side: int = SIDE,
    ascent: Ascent | None = None, progress: Progress | None = None,
) -> Favourites:  # fmt: skip
    """Make the images that some filters of a convolution answer to most, all at once.

    Parameters
    ----------
    opened : Opened
    layer : str
    filters : int
        Evenly spread over the layer's.
    side : int
        Pixels.
    ascent : Ascent, optional
    progress : callable, optional
        Called with (steps done, steps in all).
    """
    import torch

    maps = maps_of(opened, layer)
    channels = opened.convolution(layer).out_channels
    numbers = _evenly(channels, filters)
    some = torch.from_numpy(numbers).to(opened.device)
    size = size_for(opened, side, maps)

    def number(x: Tensor) -> Tensor:
        out = maps(x)
        mine: Tensor = out[torch.arange(len(out), device=out.device), some].mean((1, 2))
        return mine

    pictures, answers = maximise(opened, number, len(numbers), size, ascent, progress)
    names = list(opened.convolutions())
    depth = names.index(layer) + 1, len(names)
    return Favourites(layer, depth, channels, numbers, pictures, answers)


def maps_of(opened: Opened, layer: str) -> Callable[[Tensor], Tensor]:
    """Return what computes a layer's maps of standardised images; later layers are not computed."""
    from sightline.models.features import FeatureExtractor

    extractor = FeatureExtractor(opened.model, [layer])
    return lambda x: extractor.outputs(x)[0]


def mosaic(pictures: NDArray[np.uint8], columns: int, gap: int = 1) -> NDArray[np.uint8]:
    """Return pictures (n, h, w, C) as one (H, W, 3), row by row on white."""
    n, h, w, _ = pictures.shape
    columns = min(columns, n)
    lines = -(-n // columns)
    sheet = np.full((lines * (h + gap) - gap, columns * (w + gap) - gap, 3), 255, np.uint8)
    for place, picture in enumerate(pictures):
        top, left = (place // columns) * (h + gap), (place % columns) * (w + gap)
        sheet[top : top + h, left : left + w] = picture
    return sheet


def draw(made: Filters) -> Figure:
    """Draw kernels as grids, and under them the images that deeper filters answer to most.

    Parameters
    ----------
    made : Filters
    """
    sheets: list[tuple[str, NDArray[np.uint8], float]] = []
    for one in made.kernels:
        columns = 16 if len(one.numbers) > 16 else 8
        sheet = mosaic(one.pictures, columns)
        sheets.append((_wrapped(f"kernels of {one.title}"), sheet, 0.62 if columns == 16 else 1.0))
    for layer in made.favourites:
        numbers = ", ".join(map(str, layer.numbers))
        title = f"what filters of {layer.title} answer to most (filters {numbers})"
        sheets.append((_wrapped(title), mosaic(layer.pictures, 8, gap=2), 1.0))
    heights = [
        0.2 + 0.17 * (1 + title.count("\n")) + 9.6 * share * sheet.shape[0] / sheet.shape[1]
        for title, sheet, share in sheets
    ]
    drawing = fonts.figure(10, sum(heights) + 0.4, dpi=110)
    rows = np.ravel(np.array(drawing.subplots(len(sheets), 1, height_ratios=heights), object))
    for axes, (title, sheet, _) in zip(rows, sheets, strict=True):
        axes.imshow(sheet, interpolation="nearest" if sheet.shape[1] < 300 else "antialiased")
        axes.set_title(title, fontsize=9, loc="left")
        axes.set_axis_off()
        axes.set_anchor("W")
    drawing.suptitle(f"filters of {made.name}", fontsize=11)
    return drawing


def _wrapped(title: str) -> str:
    return textwrap.fill(title, WIDE)
