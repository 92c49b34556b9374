"""Say what the outputs of boxes with masks mean, for the runner of a bundle, which copies this."""

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

SAYS = (
    "its objects, each with its label, its score, its box and area in pixels of the picture, and "
    "its mask: COCO's run-length code, the lengths of the runs down the columns"
)

LEAST = 0.3


def answer(
    out: dict[str, NDArray[Any]], about: dict[str, Any], shape: tuple[int, int], top: int
) -> dict[str, object]:
    """Return the objects of one picture of a shape (height, width)."""
    (height, width), (high, wide) = about["size"], shape
    part_w, part_h = width, height  # of the model's image that the picture fills
    if about["resize"] == "pad" and wide / high > width / height:
        part_h = max(1, round(high / wide * width))
    elif about["resize"] == "pad":
        part_w = max(1, round(wide / high * height))
    start = np.array([round((width - part_w) / 2), round((height - part_h) / 2)] * 2, np.float64)
    scale = np.array([part_w / wide, part_h / high] * 2)
    objects = []
    for box, score, label, mask in zip(
        out["boxes"], out["scores"], out["labels"], out["masks"], strict=True
    ):
        if score < LEAST:
            continue
        drawn, corner = pasted(mask, ((box - start) / scale).astype(np.float32), shape)
        ys, xs = np.nonzero(drawn)
        if len(ys):
            top_edge, left = int(corner[0]), int(corner[1])
            objects.append({
                "label": about["classes"][int(label)],
                "score": float(score),
                "box": [left + int(xs.min()), top_edge + int(ys.min()),
                        left + int(xs.max()) + 1, top_edge + int(ys.max()) + 1],
                "area": len(ys),
                "mask": {"size": [high, wide], "counts": runs(drawn, corner, shape)},
            })  # fmt: skip
    return {"objects": objects}


def pasted(
    mask: NDArray[Any], box: NDArray[Any], shape: tuple[int, int]
) -> tuple[NDArray[Any], tuple[int, int]]:
    """Return a mask at its place in a picture: bool (h, w), and (top, left) of it."""
    around = np.pad(mask.astype(np.float32), 1)
    middle, half = (box[2:] + box[:2]) / 2, (box[2:] - box[:2]) / 2
    half = half * np.float32(len(around) / len(mask))
    x1, y1, x2, y2 = np.concatenate((middle - half, middle + half)).astype(int).tolist()
    ways = []
    for first, last, limit in ((y1, y2, shape[0]), (x1, x2, shape[1])):
        pixels = np.arange(max(first, 0), max(min(last + 1, limit), max(first, 0)))
        at = (pixels - first + 0.5) * (len(around) / max(last - first + 1, 1)) - 0.5
        at = at.clip(0, len(around) - 1)
        below = at.astype(int)
        ways.append((below, np.minimum(below + 1, len(around) - 1), (at - below)))
    (a, b, dy), (c, d, dx) = ways
    rows = around[:, c] * (1 - dx) + around[:, d] * dx
    part = rows[a] * (1 - dy)[:, None] + rows[b] * dy[:, None] > 0.5
    return part, (max(y1, 0), max(x1, 0))


def runs(part: NDArray[Any], corner: tuple[int, int], shape: tuple[int, int]) -> list[int]:
    """Return the lengths of the runs of a mask, which is known at a place, down the columns."""
    whole = np.zeros(shape, np.int8)
    whole[corner[0] : corner[0] + part.shape[0], corner[1] : corner[1] + part.shape[1]] = part
    edges = np.flatnonzero(np.diff(whole.T.ravel(), prepend=0)).tolist()
    ends = [0, *edges, whole.size]
    return [int(b - a) for a, b in itertools.pairwise(ends)]
