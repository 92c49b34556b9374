"""Say the labels of a picture, for the runner of a bundle, which copies this."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

SAYS = "the labels that reach their threshold, and the likeliest ones"


def answer(
    out: dict[str, NDArray[Any]], about: dict[str, Any], shape: tuple[int, int], top: int
) -> dict[str, object]:
    """Return the labels of one picture, the likeliest first."""
    scores = np.clip(out["probabilities"], 0, 1)
    limits = about.get("thresholds") or [0.5] * len(scores)
    order = np.argsort(-scores, kind="stable").tolist()
    said = [{"label": about["classes"][i], "score": round(float(scores[i]), 4)} for i in order]
    told = [one for one, i in zip(said, order, strict=True) if scores[i] >= limits[i]]
    return {"labels": told, "top": said[:top]}
