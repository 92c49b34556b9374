"""Say what a classifier's outputs mean, for the runner of a bundle, which copies this file."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

SAYS = "its label, its score and the most probable classes"


def answer(
    out: dict[str, NDArray[Any]], about: dict[str, Any], shape: tuple[int, int], top: int
) -> dict[str, object]:
    """Return label, score and the most probable classes of one picture."""
    p, label, classes = out["probabilities"], int(out["label"]), about["classes"]
    order = np.lexsort((np.arange(len(p)) != label, -p))[:top]
    return {
        "label": classes[label],
        "score": float(p[label]),
        "top": [{"label": classes[i], "score": float(p[i])} for i in order],
    }
