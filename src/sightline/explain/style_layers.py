"""Show what content and style ask of a picture: their balance, and what each layer keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.data import images
from sightline.data.fonts import figure
from sightline.estimators.style_transfer import Wanted, perceive, transfer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sightline.types import Progress

BALANCES = (0.3, 3.0, 30.0, 300.0, 3000.0)
"""beta / alpha, over four decades."""


@dataclass(frozen=True)
class Study:
    """Pictures in rows: by balance, by the layer of the content, by the layers of the style.

    Parameters
    ----------
    content, style : uint8 array, shape (H, W, 3)
    network : str
    rows : list of (str, list of (str, uint8 array))
        What a row varies, and its pictures with what each is.
    """

    content: NDArray[np.uint8]
    style: NDArray[np.uint8]
    network: str
    rows: Sequence[tuple[str, Sequence[tuple[str, NDArray[np.uint8]]]]]


def study(
    content: Any, style: Any, *, network: str = "auto", size: int = 192, steps: int = 100,
    seed: int = 0, progress: Progress | None = None,
) -> Study:  # fmt: skip
    """Draw a picture with several balances, and from noise by one layer's content or style.

    Parameters
    ----------
    content, style : path, PIL image or uint8 array
    network : str
        See `sightline.estimators.style_transfer.Wanted`.
    size : int
        Pixels of the longer side.
    steps : int
        Of each picture.
    seed : int
        Of the noise that layers are shown from.
    progress : callable, optional
        Called with (pictures done, pictures in all).

    Raises
    ------
    DataError, ParameterError, WeightsError, TrainingError
        See `sightline.estimators.style_transfer.transfer`.
    """
    perception, name = perceive(network)
    layers = perception.layers.style
    common: dict[str, Any] = {"network": network, "size": size, "steps": steps, "seed": seed}
    by_balance = [(f"{b:g}", Wanted(beta=b, **common)) for b in BALANCES]
    noise: dict[str, Any] = {**common, "start": "noise", "variation": 1.0}
    by_content = [
        (one, Wanted(alpha=1.0, beta=0.0, content_layers=(one,), **noise)) for one in layers
    ]
    by_style = [
        (
            one if not i else f"... {one}",
            Wanted(alpha=0.0, beta=30.0, style_layers=layers[: i + 1], **noise),
        )
        for i, one in enumerate(layers)
    ]
    asked = [
        ("beta / alpha", by_balance),
        ("content of one layer, from noise", by_content),
        ("style up to a layer, from noise", by_style),
    ]
    total, done = sum(len(row) for _, row in asked), 0
    rows = []
    for what, row in asked:
        made = []
        for label, wanted in row:
            made.append((label, transfer(content, [style], wanted).pixels))
            done += 1
            if progress:
                progress(done, total)
        rows.append((what, made))
    return Study(images.as_array(content), images.as_array(style), name, rows)


def draw(shown: Study) -> Figure:
    """Draw a study: the two pictures at the left, and a row for each of its questions."""
    columns = max(len(row) for _, row in shown.rows) + 1
    drawing = figure(1.9 * columns, 2.0 * len(shown.rows) + 0.3)
    grid = drawing.subplots(len(shown.rows), columns, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for axes, title, pixels in (
        (grid[0, 0], "content", shown.content), (grid[1, 0], "style", shown.style),
    ):  # fmt: skip
        axes.imshow(pixels)
        axes.set_title(title, fontsize=9)
    for line, (what, row) in zip(grid, shown.rows, strict=True):
        for axes, (label, pixels) in zip(line[1:], row, strict=False):
            axes.imshow(pixels)
            axes.set_title(label, fontsize=8)
        line[1].text(
            -0.06, 0.5, what, transform=line[1].transAxes, rotation=90, ha="right", va="center",
            fontsize=8,
        )  # fmt: skip
    drawing.suptitle(shown.network, fontsize=9)
    return drawing
