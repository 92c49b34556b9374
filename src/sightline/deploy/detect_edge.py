"""Say what a detector's outputs mean, for the runner of a bundle, which copies this file."""

from typing import Any

from numpy.typing import NDArray

SAYS = "its objects, each with its label, its score and its box in pixels of the picture"

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
    left, top_edge = round((width - part_w) / 2), round((height - part_h) / 2)
    back = (left, wide / part_w, wide), (top_edge, high / part_h, high)
    objects = [
        {
            "label": about["classes"][int(label)],
            "score": float(score),
            "box": [
                min(max((float(v) - start) * scale, 0.0), float(end))
                for v, (start, scale, end) in zip(box, back * 2, strict=True)
            ],
        }
        for box, score, label in zip(out["boxes"], out["scores"], out["labels"], strict=True)
        if score >= LEAST
    ]
    return {"objects": objects}
