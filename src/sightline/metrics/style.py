"""Measure drawings: how much of the content they keep, and how near the style they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sightline.metrics import Metrics
from sightline.metrics.paired import Difference, bootstrap_difference

FIGURES = ("loss", "style", "content", "variation")
"""Of each picture: the weighed sum that is learned by, and its parts (Johnson et al., 2016,
equation 5)."""

DRAWS = 2000


@dataclass(frozen=True)
class Evaluation:
    """The losses of drawings of a split.

    Parameters
    ----------
    metrics : Metrics
        Means over pictures; the headline is the style's, the lower the better.
    figures : dict of str to float array, shape (N,)
        `FIGURES` of each picture.
    rows : int64 array, shape (N,)
        Of the data's source.
    """

    metrics: Metrics
    figures: Mapping[str, NDArray[np.float64]]
    rows: NDArray[np.int64]
    remarks: tuple[str, ...] = ()
    beside: Mapping[str, str] = field(
        default_factory=lambda: {
            "content": "how much of the photograph is lost: 0 is nothing, 1 as much as there was",
        }
    )

    @classmethod
    def of(cls, figures: Mapping[str, Any], rows: NDArray[np.int64]) -> Self:
        """Make an evaluation of the figures of each picture.

        Parameters
        ----------
        figures : mapping of str to float array, shape (N,)
        rows : int64 array, shape (N,)
        """
        known = {name: np.asarray(figures[name], np.float64) for name in FIGURES}
        style = known["style"]
        random = np.random.default_rng(0)
        means = style[random.integers(0, len(style), (DRAWS, len(style)))].mean(1)
        low, high = np.percentile(means, (2.5, 97.5))
        metrics = Metrics(
            {name: float(known[name].mean()) for name in ("style", "content", "variation", "loss")},
            "style", (float(low), float(high)), higher_is_better=False, n=len(style), share=False,
        )  # fmt: skip
        return cls(metrics, known, np.asarray(rows, np.int64))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that a comparison saves; `restored` takes them back."""
        return {**self.figures, "rows": self.rows}

    @classmethod
    def restored(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Make an evaluation of what `arrays` returned."""
        return cls.of(arrays, arrays["rows"])


def differ(best: Evaluation, other: Evaluation, margin: float) -> Difference:
    """Compare two evaluations of the same pictures by the bootstrap.

    Parameters
    ----------
    best, other : Evaluation
    margin : float
        By how much the other's style may be further away.
    """
    a, b = (e.figures["style"] for e in (best, other))
    return bootstrap_difference(
        lambda rows: float(a[rows].mean()), lambda rows: float(b[rows].mean()), len(a), margin,
        higher_is_better=False,
    )  # fmt: skip
