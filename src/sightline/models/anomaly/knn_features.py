"""Measure how far a picture's features are from those of the most similar good pictures.

Source: L. Bergman, N. Cohen & Y. Hoshen, Deep nearest neighbor anomaly detection, 2020.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from sightline.errors import ParameterError
from sightline.models.anomaly.method import AnomalyMethod, Sees, check_rate
from sightline.models.classic.search import Index, as_rows, check_index, search_in

CHUNK = 256
"""MiB that a search may take."""


class KNNFeatures(AnomalyMethod):
    """Take the mean distance to the k good pictures whose features are nearest.

    Parameters
    ----------
    k : int
        How many good pictures.
    most : int
        Good pictures that are kept at most, drawn at random of more.
    index : {"exact", "faiss-flat", "faiss-hnsw", "faiss-ivf"}
        How neighbours are searched; FAISS is for many tens of thousands.
    false_alarms : float
        Share of good pictures that may be called odd; the threshold is set by held-back ones.
    seed : int
        Of what is drawn.

    Attributes
    ----------
    bank_ : float32 array, shape (n, D)
    """

    sees: ClassVar[Sees] = "rows"
    seeded: ClassVar[bool] = True
    bank_: NDArray[np.float32]

    def __init__(
        self, k: int = 2, most: int = 20_000, index: Index = "exact", false_alarms: float = 0.05,
        seed: int = 0,
    ) -> None:  # fmt: skip
        if k < 1 or most < 1:
            raise ParameterError(f"k and most must be at least 1, not {k} and {most}")
        self.k, self.most, self.index, self.seed = k, most, index, seed
        self.false_alarms = check_rate(false_alarms)

    def fit(self, parts: Iterable[NDArray[np.float32]], images: int) -> Self:
        """Keep the features of good pictures.

        Parameters
        ----------
        parts : iterable of float32 array, shape (n, D)
        images : int
            In all parts.
        """
        check_index(self.index, "l2")
        rows = np.concatenate(list(parts))
        if len(rows) > self.most:
            chosen = np.random.default_rng(self.seed).choice(len(rows), self.most, replace=False)
            self.remarks = [f"of {len(rows):,} good pictures {self.most:,} are kept (most=...)"]
            rows = rows[np.sort(chosen)]
        self.bank_ = np.ascontiguousarray(rows, np.float32)
        self._search = None
        return self

    def distances(self, seen: NDArray[Any]) -> NDArray[np.float32]:
        """Return the mean distance of rows (N, D) to the k nearest kept ones: (N,)."""
        if self._search is None:
            self._search = search_in(as_rows(self.bank_, "good"), "l2", self.index, "cpu", CHUNK)
        near, _ = self._search(as_rows(seen, "asked"), min(self.k, len(self.bank_)))
        return np.asarray(near.mean(1), np.float32)

    _search: Any = None

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take back what `arrays` gave."""
        super().restore(arrays)
        self._search = None
