"""Show an image's way through a network: the maps of its layers, the most active channels first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.data import fonts
from sightline.errors import ParameterError, UnknownNameError
from sightline.explain.opened import Opened, Picture, evaluating

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LAYERS = 8
"""Layers that are shown unless they are named."""

CHANNELS = 8
"""Channels of each that are shown."""


@dataclass(frozen=True, slots=True)
class Maps:
    """The most active channels of a layer.

    Parameters
    ----------
    layer : str
    shape : (int, int, int)
        Channels, height and width of what the layer puts out.
    numbers : int64 array, shape (n,)
        Of the channels, the most active first.
    activity : float32 array, shape (n,)
        The mean over places of what is above 0.
    maps : float32 array, shape (n, h, w)
    silent : int
        Channels that are above 0 nowhere.
    """

    layer: str
    shape: tuple[int, int, int]
    numbers: NDArray[np.int64]
    activity: NDArray[np.float32]
    maps: NDArray[np.float32]
    silent: int


@dataclass(frozen=True, slots=True)
class Way:
    """An image's way through a network.

    Parameters
    ----------
    name : str
        Of the network.
    picture : Picture
    layers : list of Maps
    notes : list of str
    """

    name: str
    picture: Picture
    layers: list[Maps]
    notes: list[str]

    def document(self) -> dict[str, Any]:
        """Return what was shown, as JSON can hold it."""
        return {
            "network": self.name, "image": self.picture.name, "notes": self.notes,
            "layers": [
                {"layer": m.layer, "shape": list(m.shape), "silent": m.silent,
                 "channels": m.numbers.tolist(), "activity": m.activity.tolist()}
                for m in self.layers
            ],
        }  # fmt: skip


def follow(
    opened: Opened, picture: Picture, layers: tuple[str, ...] = (), *, channels: int = CHANNELS
) -> Way:
    """Compute what layers put out for an image.

    Parameters
    ----------
    opened : Opened
    picture : Picture
    layers : tuple of str
        Default: convolutions from the first to the last that puts out a map.
    channels : int
        Shown of each layer, the most active ones.

    Raises
    ------
    UnknownNameError
        When there is no such layer with maps; the nearest is named.
    ParameterError
        When the network has no convolution.
    """
    if channels < 1:
        raise ParameterError(f"channels={channels} must be at least 1")
    convolutions = opened.convolutions()
    used = {layer.name: layer for layer in opened.layers_with_places(picture)}
    for name in layers:
        if name not in used:
            raise UnknownNameError(f"layer with maps of {opened.name}", name, used)
    own = [name for name in convolutions if name in used] or list(used)
    if not own:
        raise ParameterError(
            f"{opened.name} has no layer whose maps have more than one place for pictures of "
            f"{picture.size[1]} x {picture.size[0]} pixels"
        )
    places = np.unique(np.linspace(0, len(own) - 1, min(LAYERS, len(own))).round().astype(int))
    chosen = list(layers) or [own[at] for at in places]
    outputs = _outputs(opened, picture, chosen)
    notes = [opened.note] if opened.note else []
    return Way(opened.name, picture, [_most_active(n, outputs[n], channels) for n in chosen], notes)


def _outputs(opened: Opened, picture: Picture, layers: list[str]) -> dict[str, NDArray[np.float32]]:
    """Return the maps of layers, (C, h, w); of one that is used several times the last."""
    import torch

    kept: dict[str, NDArray[np.float32]] = {}

    def keep(name: str, out: Any) -> None:
        kept[name] = out[0].float().cpu().numpy()

    handles = [
        opened.layer(name).register_forward_hook(lambda _m, _i, out, name=name: keep(name, out))
        for name in layers
    ]
    try:
        with evaluating(opened.model), torch.no_grad():
            opened.said(picture.x)
    finally:
        for handle in handles:
            handle.remove()
    return kept


def _most_active(name: str, out: NDArray[np.float32], channels: int) -> Maps:
    active = np.maximum(out, 0)
    activity = active.mean((1, 2))
    order = np.argsort(-activity, kind="stable")[:channels]
    shape = (out.shape[0], out.shape[1], out.shape[2])
    silent = int((activity == 0).sum())
    return Maps(name, shape, order.astype(np.int64), activity[order], active[order], silent)


def shaded(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return a map (h, w) as grey bytes (h, w, 1), white where it is largest."""
    largest = float(values.max(initial=0))
    scaled = values / largest if largest > 0 else values
    return (255 * scaled).round().astype(np.uint8)[:, :, None]


def draw(way: Way) -> Figure:
    """Draw the image, and a row for each layer: its most active channels, the first at the left.

    Parameters
    ----------
    way : Way
    """
    columns = max(len(m.numbers) for m in way.layers)
    drawing = fonts.figure(1.5 + 1.15 * columns, 1.45 * (len(way.layers) + 1), dpi=100)
    grid = drawing.subplots(len(way.layers) + 1, columns + 1, squeeze=False)
    for axes in grid.ravel():
        axes.set_axis_off()
    pixels: Any = way.picture.seen
    grey = pixels.shape[2] == 1
    grid[0, 0].imshow(pixels[:, :, 0] if grey else pixels, cmap="gray" if grey else None)
    grid[0, 1].text(
        0, 0.5, f"{way.picture.name} in {way.name}:\neach row a layer, its most active channels "
        "first", fontsize=9, va="center", in_layout=False,
    )  # fmt: skip
    for row, layer in zip(grid[1:], way.layers, strict=True):
        channels, height, width = layer.shape
        size = f"{channels} x {height} x {width}"
        row[0].text(1, 0.5, f"{_broken(layer.layer)}\n{size}", fontsize=7, ha="right", va="center")
        for axes, number, one in zip(row[1:], layer.numbers, layer.maps, strict=False):
            axes.imshow(one, cmap="magma", interpolation="nearest")
            axes.set_title(str(number), fontsize=7, pad=2)
    return drawing


def _broken(name: str, most: int = 20) -> str:
    """Divide a long name of a layer at its points."""
    lines = [""]
    for part in name.split("."):
        if lines[-1] and len(lines[-1]) + len(part) > most:
            lines.append("")
        lines[-1] += ("." if lines[-1] or len(lines) > 1 else "") + part
    return "\n".join(lines)
