"""Measure each patch by the nearest patch of good pictures, kept as a small bank.

Source: K. Roth et al., Towards total recall in industrial anomaly detection, 2022. As in the
authors' code, an image scores as its oddest patch does, without the weight of equation 7. Other
than there, channels are standardised, so that no layer outweighs another, and the greedy coreset
begins with no random row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from sightline.counting import counted
from sightline.errors import ParameterError
from sightline.models.anomaly.method import AnomalyMethod, Sees, check_rate
from sightline.models.classic.search import Index, as_rows, check_index, search_in
from sightline.types import Progress

CHUNK = 256
"""MiB that a search may take."""


class PatchCore(AnomalyMethod):
    """Compare the features of every patch with those of a bank of good patches.

    Parameters
    ----------
    bank : int
        Good patches that are kept at most: memory and time of an answer grow with it.
    share : float
        Share of the good patches that are kept, up to ``bank``.
    pool : int
        Good patches that the bank is chosen from at most, as many of each picture; choosing takes
        a time that grows with ``bank`` times ``pool``.
    dims : int
        Numbers that features are projected to before they are compared, where they are more.
    index : {"exact", "faiss-flat", "faiss-hnsw", "faiss-ivf"}
        How the nearest patch is searched; FAISS is for large banks.
    false_alarms : float
        Share of good pictures that may be called odd; the threshold is set by held-back ones.
    seed : int
        Of what is drawn.

    Attributes
    ----------
    mean_, std_ : float32 array, shape (D,)
        Of the features of good patches.
    projection_ : float32 array, shape (D, d)
        Empty where nothing is projected.
    bank_ : float32 array, shape (n, d)
    """

    sees: ClassVar[Sees] = "patches"
    seeded: ClassVar[bool] = True
    takes = frozenset({"progress"})
    mean_: NDArray[np.float32]
    std_: NDArray[np.float32]
    projection_: NDArray[np.float32]
    bank_: NDArray[np.float32]
    _search: Any = None

    def __init__(
        self, bank: int = 2000, share: float = 0.1, pool: int = 50_000, dims: int = 128,
        index: Index = "exact", false_alarms: float = 0.05, seed: int = 0,
    ) -> None:  # fmt: skip
        if min(bank, pool, dims) < 1 or not 0 < share <= 1:
            raise ParameterError(
                f"bank, pool and dims must be at least 1 and share between 0 and 1, not {bank}, "
                f"{pool}, {dims} and {share:g}"
            )
        self.bank, self.share, self.pool, self.dims = bank, share, pool, dims
        self.index, self.seed = index, seed
        self.false_alarms = check_rate(false_alarms)

    def fit(
        self, parts: Iterable[NDArray[np.float32]], images: int, progress: Progress | None = None
    ) -> Self:
        """Choose the bank from the patches of good pictures.

        Parameters
        ----------
        parts : iterable of float32 array, shape (n, h, w, D)
            Features of the patches of some pictures; read once.
        images : int
            In all parts.
        progress : callable, optional
            Called with (patches chosen, patches to choose).
        """
        from sightline.models.anomaly.coreset import greedy_coreset, projection

        check_index(self.index, "l2")
        random = np.random.default_rng(self.seed)
        kept, seen = list[NDArray[np.float32]](), 0
        each = max(1, self.pool // images)
        for part in parts:
            rows = around(part).reshape(len(part), -1, part.shape[-1])
            seen += rows.shape[0] * rows.shape[1]
            for one in rows:
                if len(one) > each:
                    one = one[np.sort(random.choice(len(one), each, replace=False))]
                kept.append(one)
        pool = np.concatenate(kept)
        self.mean_ = pool.mean(0, dtype=np.float64).astype(np.float32)
        self.std_ = (pool.std(0, dtype=np.float64) + 1e-6).astype(np.float32)
        width = pool.shape[1]
        self.projection_ = np.zeros((0, 0), np.float32)
        if width > self.dims:
            self.projection_ = projection(width, self.dims, self.seed)
        pool = self._projected(pool)
        size = max(1, min(self.bank, round(self.share * seen)))
        self.bank_ = pool[greedy_coreset(pool, size, progress)]
        self.remarks = self._said(seen, len(pool))
        self._search = None
        return self

    def _said(self, seen: int, pool: int) -> list[str]:
        """Tell what was left out of good patches, and why."""
        said = f"{counted(len(self.bank_), 'patch', 'patches')} of {seen:,} are kept"
        if pool < seen:
            said += f", chosen from {pool:,} (pool=...)"
        if len(self.bank_) == self.bank < self.share * seen:
            said += f"; bank=... allows more than {self.bank:,}"
        return [said]

    def _projected(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        rows = (rows - self.mean_) / self.std_
        return np.ascontiguousarray(rows @ self.projection_ if self.projection_.size else rows)

    def distances(self, seen: NDArray[Any]) -> NDArray[np.float32]:
        """Return the distance of each patch of maps (N, h, w, D) to the nearest kept: (N, h, w)."""
        if self._search is None:
            self._search = search_in(as_rows(self.bank_, "good"), "l2", self.index, "cpu", CHUNK)
        rows = self._projected(around(seen).reshape(-1, seen.shape[-1]))
        near, _ = self._search(rows, 1)
        return np.asarray(near[:, 0].reshape(seen.shape[:3]), np.float32)

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take back what `arrays` gave."""
        super().restore(arrays)
        self._search = None


def around(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average features (N, h, w, D) over each place and its eight neighbours (Roth et al., eq. 2).

    At the edges over those that there are.
    """
    import torch
    from torch.nn import functional

    x = torch.from_numpy(np.ascontiguousarray(maps)).permute(0, 3, 1, 2)
    mean = functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    return mean.permute(0, 2, 3, 1).contiguous().numpy()
