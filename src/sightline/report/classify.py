"""A picture with the answer to *what is this?* below it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sightline.data import fonts
from sightline.types import Classification

if TYPE_CHECKING:
    from PIL import Image

SMALLEST = 160
"""Pixels; a picture with a shorter side is enlarged, so that there is room for words."""


def annotate(
    pixels: Image.Image, answer: Classification, *, top: int, threshold: float
) -> Image.Image:
    """Draw the most probable classes below a picture, a bar and a line each.

    Parameters
    ----------
    pixels : PIL image, RGB
        Left as it is.
    answer : Classification
    top : int
        How many classes to name.
    threshold : float
        In [0, 1]; from this score on the first bar is green, as the answer is given.

    Returns
    -------
    PIL image, RGB
    """
    from PIL import Image, ImageDraw

    if min(pixels.size) < SMALLEST:
        factor = -(-SMALLEST // min(pixels.size))
        pixels = pixels.resize(
            (pixels.width * factor, pixels.height * factor), Image.Resampling.NEAREST
        )
    height = max(16, pixels.width // 24)
    lines = answer.top(top)
    sheet = Image.new("RGB", (pixels.width, pixels.height + (height + 6) * len(lines)), "white")
    sheet.paste(pixels)
    draw = ImageDraw.Draw(sheet)
    size = round(height * 0.75)
    for i, (name, score) in enumerate(lines):
        y = pixels.height + 3 + i * (height + 6)
        colour = "#9fd3bf" if i == 0 and score >= threshold else "#d7dde4"
        draw.rectangle((0, y, score * sheet.width, y + height), fill=colour)
        fonts.write(
            draw, (4, y), _fitting(name, f" {score:.0%}", size, sheet.width - 8), size, "black"
        )
    return sheet


def _fitting(name: str, score: str, size: float, room: float) -> str:
    """Give a name with its score, the name cut where the line would be wider than the picture."""
    if fonts.width(name + score, size) <= room:
        return name + score
    shown = len(name)
    while shown > 1 and fonts.width(f"{name[:shown]}…{score}", size) > room:
        shown -= 1
    return f"{name[:shown]}…{score}"
