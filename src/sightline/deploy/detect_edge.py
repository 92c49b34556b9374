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
    down, across = high / height, wide / width
    objects = [
        {
            "label": about["classes"][int(label)],
            "score": float(score),
            "box": [
                min(max(float(v) * scale, 0.0), float(end))
                for v, scale, end in zip(box, (across, down) * 2, (wide, high) * 2, strict=True)
            ],
        }
        for box, score, label in zip(out["boxes"], out["scores"], out["labels"], strict=True)
        if score >= LEAST
    ]
    return {"objects": objects}
