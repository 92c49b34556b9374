"""Say what a semantic network's outputs mean, for the runner of a bundle, which copies this."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

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
    best, labels = np.full(shape, -np.inf, np.float32), np.zeros(shape, np.int64)
    for number, scores in enumerate(out["scores"]):
        part = Image.fromarray(scores[over : over + part_h, left : left + part_w].copy())
        enlarged = np.asarray(part.resize((wide, high), Image.Resampling.BILINEAR))
        better = enlarged > best
        best[better], labels[better] = enlarged[better], number
    counts = np.bincount(labels.ravel(), minlength=len(about["classes"]))
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
