"""Draw boxes on pictures, with names that do not lie over each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from sightline.data import draw as sheets
from sightline.data import fonts
from sightline.types import Detections

ENLARGED = 480
"""Pixels to which a smaller picture is enlarged before boxes are drawn on it."""


def drawn_on(
    pixels: Image.Image, answer: Detections, truth: Detections | None = None
) -> Image.Image:
    """Draw objects on a picture: boxes in the colour of their class, with name and score.

    The surest ones choose a place for their name first, none over another; one without room is left
    out, as the colour of the box says its class too.

    Parameters
    ----------
    pixels : PIL image, RGB
        Left as it is; a small one is enlarged.
    answer : Detections
        In its pixels.
    truth : Detections, optional
        Drawn dashed, without names.
    """
    factor = max(1, ENLARGED // max(pixels.size))
    size = pixels.width * factor, pixels.height * factor
    sheet = pixels.resize(size, Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(sheet)
    line = max(2, max(size) // 300)
    for objects, dashed in ((truth, True), (answer, False)):
        if objects is None:
            continue
        tints = sheets.colours(objects.labels)
        for box, tint in zip(objects.boxes * factor, tints.tolist(), strict=True):
            _box(draw, [float(v) for v in box], tuple(tint), line, dashed=dashed)
    texts = [
        f"{answer.classes[label]} {score:.2f}"
        for label, score in zip(answer.labels, answer.scores, strict=True)
    ]
    order = np.argsort(-answer.scores, kind="stable")
    write_names(draw, answer.boxes * factor, texts, sheets.colours(answer.labels), order)
    return sheet


def write_names(
    draw: ImageDraw.ImageDraw, boxes: NDArray[Any], texts: Sequence[str],
    tints: NDArray[np.uint8], order: NDArray[Any],
) -> None:  # fmt: skip
    """Write a text at each box of a picture, none over another; one without room is left out.

    Parameters
    ----------
    draw : ImageDraw
    boxes : float array, shape (N, 4)
    texts : sequence of str
    tints : uint8 array, shape (N, 3)
        Colours behind the texts.
    order : int array, shape (N,)
        In which they choose a place.
    """
    size = draw.im.size
    letters = max(12, max(size) // 45)
    tall = letters + 4
    wide = [min(fonts.width(text, letters) + 4, size[0]) for text in texts]
    places = sheets.free_places(boxes, wide, tall, size[::-1], order)
    for i, (left, top) in places.items():
        colour = tuple(tints[i].tolist())
        draw.rectangle((left, top, left + wide[i], top + tall), fill=colour)
        light = float(tints[i] @ np.array((0.299, 0.587, 0.114)))
        fonts.write(
            draw, (left + 2, top + 1), texts[i], letters, "black" if light > 140 else "white"
        )


def _box(draw: Any, box: Sequence[float], colour: Any, line: int, *, dashed: bool) -> None:
    x1, y1, x2, y2 = box
    if not dashed:
        draw.rectangle((x1, y1, x2 - 1, y2 - 1), outline=colour, width=line)
        return
    step = 4 * line
    for a, b, fixed, across in (
        (x1, x2, y1, True), (x1, x2, y2 - 1, True), (y1, y2, x1, False), (y1, y2, x2 - 1, False),
    ):  # fmt: skip
        for start in np.arange(a, b, 2 * step).tolist():
            end = min(start + step, b)
            ends = (start, fixed, end, fixed) if across else (fixed, start, fixed, end)
            draw.line(ends, fill=colour, width=line)
