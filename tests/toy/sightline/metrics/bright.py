"""How many pixels an answer is off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sightline.metrics import Metrics
from sightline.metrics.paired import bootstrap_difference


@dataclass(frozen=True)
class Evaluation:
    """True and answered numbers of bright pixels, shape (N,)."""

    metrics: Metrics
    true: Any
    said: Any
    rows: Any
    remarks = ()
    beside = {}

    @classmethod
    def of(cls, true, said, rows):
        errors = np.abs(true - said)
        spread = 1.96 * errors.std() / np.sqrt(len(errors))
        figures = {"mean_absolute_error": float(errors.mean()), "worst": float(errors.max())}
        interval = (figures["mean_absolute_error"] - spread, errors.mean() + spread)
        metrics = Metrics(
            figures, "mean_absolute_error", interval, higher_is_better=False, n=len(true),
            share=False,
        )  # fmt: skip
        return cls(metrics, true, said, rows)

    def arrays(self):
        return {"true": self.true, "said": self.said, "rows": self.rows}

    @classmethod
    def restored(cls, arrays):
        return cls.of(**arrays)


def differ(best, other, margin):
    def error(e):
        return lambda rows: float(np.abs(e.true - e.said)[rows].mean())

    return bootstrap_difference(
        error(best), error(other), len(best.true), margin, higher_is_better=False, draws=300
    )
