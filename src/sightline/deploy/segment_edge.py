"""Say what a semantic network's outputs mean, for the runner of a bundle, which copies this."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ROWS = 256
"""Of the picture that are decided at a time, which bounds the memory."""

SAYS = "the classes of its pixels, each with how much it covers and COCO's run lengths of where"


def answer(
    out: dict[str, NDArray[Any]], about: dict[str, Any], shape: tuple[int, int], top: int
) -> dict[str, object]:
    """Return the classes of one picture of a shape (height, width)."""
    (height, width), (high, wide) = about["size"], shape
    part_w, part_h = width, height  # of the model's image that the picture fills
    if about["resize"] == "pad" and wide / high > width / height:
        part_h = max(1, round(high / wide * width))
    elif about["resize"] == "pad":
        part_w = max(1, round(wide / high * height))
    left, over = round((width - part_w) / 2), round((height - part_h) / 2)
    parts = [
        Image.fromarray(scores[over : over + part_h, left : left + part_w].copy())
        for scores in out["scores"]
    ]
    labels = np.zeros(shape, np.uint8 if len(parts) <= 255 else np.int32)
    counts = np.zeros(len(parts), np.int64)
    for top_row in range(0, high, ROWS):
        strip = labels[top_row : top_row + ROWS]
        box = (0, top_row * part_h / high, part_w, (top_row + len(strip)) * part_h / high)
        best = np.full(strip.shape, -np.inf, np.float32)
        for number, part in enumerate(parts):
            enlarged = np.asarray(part.resize((wide, len(strip)), Image.Resampling.BILINEAR, box))
            better = enlarged > best
            np.copyto(best, enlarged, where=better)
            strip[better] = number
        counts += np.bincount(strip.ravel(), minlength=len(parts))
    covering = [c for c in np.argsort(-counts, kind="stable").tolist() if counts[c]]
    return {
        "size": [high, wide],
        "objects": [
            {
                "label": about["classes"][c], "pixels": int(counts[c]),
                "share": float(counts[c] / labels.size), "counts": runs(labels == c),
            }
            for c in covering
        ],
    }  # fmt: skip


def runs(mask: NDArray[np.bool_]) -> list[int]:
    """Return the lengths of runs without and with a class in turn, down the columns (COCO)."""
    edges = np.flatnonzero(np.diff(mask.T.ravel().astype(np.int8), prepend=0))
    lengths: list[int] = np.diff(edges, prepend=0, append=mask.size).tolist()
    return lengths
