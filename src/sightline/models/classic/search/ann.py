"""Search nearest neighbours by FAISS: a flat index, a graph (HNSW) or inverted lists (IVF).

The last two look at a part of the training rows only, and so miss some neighbours; `recall`
measures how many. Whatever FAISS finds is measured again in float64 and sorted by (distance,
index), so that its distances mean the same as those of the exact search.

Sources: Malkov & Yashunin, Efficient and robust approximate nearest neighbor search using
hierarchical navigable small world graphs, 2020; Jégou, Douze & Schmid, Product quantization
for nearest neighbor search, 2011 (section IV, inverted lists).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import MissingExtraError, ParameterError
from sightline.models.classic.search import kernels
from sightline.models.classic.search.exact import ExactSearch, Found
from sightline.models.classic.search.sieve import RULES, Metric, inverse_norms
from sightline.types import Progress

_ROWS = 4096  # queries or training rows that are brought to float32 at once
_HNSW_LINKS, _HNSW_BUILD, _HNSW_SEARCH = 32, 200, 128
_IVF_POINTS = 39  # FAISS asks for as many training rows a list
_IVF_PROBED = 8  # one list in so many is looked into


class FaissSearch:
    """A FAISS index over training rows; built by one thread, so same rows give the same index.

    Parameters
    ----------
    X : array, shape (n, d)
        Kept for measuring; the index holds a float32 copy besides.
    metric : {"l2", "cosine", "l1"}
        ``l1`` only with ``hnsw``.
    kind : {"flat", "hnsw", "ivf"}
    exact : ExactSearch
        Answers where FAISS finds fewer than k (inverted lists may run dry).

    Raises
    ------
    MissingExtraError, ParameterError
        See `check_index`.
    """

    def __init__(self, X: NDArray[Any], metric: Metric, kind: str, exact: ExactSearch) -> None:
        faiss = check_index(kind, metric)
        self.X, self.metric, self.exact = X, metric, exact
        n, d = X.shape
        self.x_term = inverse_norms(X) if metric == "cosine" else np.ones(n)
        distance = faiss.METRIC_L1 if metric == "l1" else faiss.METRIC_L2
        with _one_thread(faiss):
            if kind == "hnsw":
                self.index = faiss.IndexHNSWFlat(d, _HNSW_LINKS, distance)
                self.index.hnsw.efConstruction = _HNSW_BUILD
                self.index.hnsw.efSearch = _HNSW_SEARCH
            elif kind == "ivf":
                lists = max(1, min(int(4 * np.sqrt(n)), n // _IVF_POINTS))
                self.quantizer = faiss.IndexFlatL2(d)
                self.index = faiss.IndexIVFFlat(self.quantizer, d, lists)
                self.index.nprobe = max(1, lists // _IVF_PROBED)
                # k-means (seeded by FAISS) looks at no more than 256 rows a list.
                sample = np.random.default_rng(0).permutation(n)[: 256 * lists]
                self.index.train(self._rows(X[np.sort(sample)], self.x_term[np.sort(sample)]))
            else:
                self.index = faiss.IndexFlat(d, distance)
            for start in range(0, n, _ROWS):
                part = slice(start, start + _ROWS)
                self.index.add(self._rows(X[part], self.x_term[part]))

    def __call__(self, Q: NDArray[Any], k: int, progress: Progress | None = None) -> Found:
        """Find k near training rows of each query, shape (m, d); see `ExactSearch`."""
        q_term = inverse_norms(Q) if self.metric == "cosine" else np.ones(len(Q))
        distances, indices = np.empty((len(Q), k)), np.empty((len(Q), k), np.int64)
        for start in range(0, len(Q), _ROWS):
            part = slice(start, min(start + _ROWS, len(Q)))
            _, indices[part] = self.index.search(self._rows(Q[part], q_term[part]), k)
            if progress:
                progress(part.stop, len(Q))
        full = indices.min(1, initial=0) >= 0
        distances[full], indices[full] = self._measure(Q[full], q_term[full], indices[full])
        distances[~full], indices[~full] = self.exact(Q[~full], k)
        return distances, indices

    def _rows(self, rows: NDArray[Any], scale: NDArray[np.float64]) -> NDArray[np.float32]:
        if self.metric == "cosine":  # unit rows: |q - x|² = 2 (1 - cos)
            rows = rows * scale[:, None]
        return np.ascontiguousarray(rows, np.float32)

    def _measure(
        self, Q: NDArray[Any], q_term: NDArray[np.float64], indices: NDArray[np.int64]
    ) -> Found:
        distances = np.empty(indices.shape)
        kernels.over_rows(
            kernels.pair_distances,
            *(len(Q), Q, self.X, indices, q_term, self.x_term, RULES[self.metric], distances),
        )
        if self.metric == "l2":
            distances = np.sqrt(distances)
        order = np.lexsort((indices, distances), axis=1)
        return np.take_along_axis(distances, order, 1), np.take_along_axis(indices, order, 1)


def recall(near: NDArray[np.int64], exact: NDArray[np.int64]) -> float:
    """Return the share of the exact neighbours that were found, in [0, 1].

    Parameters
    ----------
    near, exact : int64 array, shape (m, k)
        Training rows, each at most once a query.

    Examples
    --------
    >>> recall(np.array([[1, 2], [3, 4]]), np.array([[2, 5], [4, 3]]))
    0.75
    """
    return float((near[:, :, None] == exact[:, None, :]).any(1).mean())


def check_index(kind: str, metric: Metric) -> Any:
    """Import FAISS; refuse a metric that the index does not have.

    Raises
    ------
    MissingExtraError
        When FAISS is not installed.
    ParameterError
        When the index does not know the metric.
    """
    try:
        import faiss
    except ImportError:
        raise MissingExtraError("a FAISS index", "ann") from None
    if metric == "l1" and kind != "hnsw":
        raise ParameterError(
            f"index='faiss-{kind}' has no metric 'l1'; use index='exact' or index='faiss-hnsw'"
        )
    return faiss


@contextmanager
def _one_thread(faiss: Any) -> Iterator[None]:
    """Build with one thread: links that several insert at once depend on who is first."""
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)
