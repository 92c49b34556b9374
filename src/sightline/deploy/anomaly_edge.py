"""Say what a detector of anomalies puts out, for the runner of a bundle, which copies this."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

SAYS = "how odd it is (0.5 at the threshold), and the row and column of the oddest place"

ODD = 0.5


def answer(
    out: dict[str, NDArray[Any]], about: dict[str, Any], shape: tuple[int, int], top: int
) -> dict[str, object]:
    """Return the score of one picture of a shape (height, width), and its oddest place."""
    score = min(max(float(out["score"]), 0.0), 1.0)
    said: dict[str, object] = {"score": round(score, 4), "anomaly": score >= ODD}
    if "heat" not in out:
        return said
    (height, width), (high, wide) = about["size"], shape
    part_w, part_h = width, height  # of the model's image that the picture fills
    if about["resize"] == "pad" and wide / high > width / height:
        part_h = max(1, round(high / wide * width))
    elif about["resize"] == "pad":
        part_w = max(1, round(wide / high * height))
    left, over = round((width - part_w) / 2), round((height - part_h) / 2)
    part = out["heat"][over : over + part_h, left : left + part_w]
    row, column = np.unravel_index(int(part.argmax()), part.shape)
    place = [int((row + 0.5) * high / part_h), int((column + 0.5) * wide / part_w)]
    return said | {"at": place, "share": round(float((part >= ODD).mean()), 4)}
