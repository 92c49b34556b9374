r"""Classify by the k nearest neighbours: an image is what the most similar known images are.

There is nothing to train. The training images are kept; a query is compared with all of them,
and the k nearest vote. With as many images as one could wish, the error of k = 1 is at most
twice the least possible (Cover & Hart, Nearest neighbor pattern classification, 1967, eq. 1):

.. math:: R^* \le R \le R^* (2 - \frac{C}{C - 1} R^*)

The distance of two images is taken pixel by pixel:

.. math:: L_1 = \sum_i |q_i - x_i| \qquad L_2 = \sqrt{\sum_i (q_i - x_i)^2} \qquad
          \cos = 1 - \frac{q \cdot x}{|q| \, |x|}

`nearest` is this as it stands. It takes all distances at once, which for 50,000 images is slow and
needs much memory; `KNNClassifier` finds the same neighbours through `search`, a folder of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sightline.errors import DataError, NotFittedError, ParameterError, UnknownNameError
from sightline.models.classic.search import Index, as_rows, check_index, search_in, used_of
from sightline.models.device import check as check_device
from sightline.models.method import CPU, Method
from sightline.types import Neighbours, Progress

Metric = Literal["l1", "l2", "cosine"]
Weights = Literal["uniform", "distance"]


def distances_to(
    X: NDArray[Any], queries: NDArray[Any], metric: Metric = "l2"
) -> NDArray[np.float64]:
    """Return the distance of every query to every training row, by the definition.

    Parameters
    ----------
    X : array, shape (n, d)
    queries : array, shape (m, d)
    metric : {"l1", "l2", "cosine"}
        The cosine distance to a row of zeros is 1.

    Returns
    -------
    float64 array, shape (m, n)
    """
    x, q = X.astype(np.float64)[None], queries.astype(np.float64)[:, None]
    if metric == "l1":
        return np.asarray(np.abs(q - x).sum(2))
    if metric == "l2":
        return np.asarray(np.sqrt(((q - x) ** 2).sum(2)))
    lengths = np.linalg.norm(q, axis=2) * np.linalg.norm(x, axis=2)
    products = (q * x).sum(2)
    return np.where(lengths > 0, 1 - products / np.where(lengths > 0, lengths, 1), 1.0)


def nearest(
    X: NDArray[Any], queries: NDArray[Any], k: int, metric: Metric = "l2"
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the distances and rows of the k nearest training rows of each query, shape (m, k).

    Examples
    --------
    >>> distances, rows = nearest(np.array([[0], [10], [4]]), np.array([[5]]), k=2)
    >>> distances.tolist(), rows.tolist()
    ([[1.0, 5.0]], [[2, 0]])
    """
    distances = distances_to(X, queries, metric)
    rows = np.argsort(distances, axis=1, kind="stable")[:, :k]  # of equal ones the lower row first
    return np.take_along_axis(distances, rows, 1), rows


class KNNClassifier(Method):
    """k nearest neighbours: the vote of the k most similar training images.

    Images are compared as given; a difference of uint8 pixels never wraps. The cosine distance
    to an image of zeros is 1. A tied vote goes to the class with the nearer neighbour; of
    neighbours at equal distance the one with the lower index is the nearer.

    Parameters
    ----------
    k : int
        Number of neighbours that vote.
    metric : {"l1", "l2", "cosine"}
        How two images are compared.
    weights : {"uniform", "distance"}
        One vote each, or votes of 1/distance.
    index : {"exact", "faiss-flat", "faiss-hnsw", "faiss-ivf"}
        Compare with every training image, or search by a FAISS index. The last two miss some
        neighbours and answer far sooner on large training sets.
    device : str
        Where the exact search multiplies: cpu, cuda, cuda:1 (the second one), mps (a Mac's), or
        auto, which takes a graphics processor if there is one. A processor multiplies bytes by its
        own instructions (VNNI, AVX-512, AVX2 or SSSE3), or in float32 where that is faster.
    chunk_mb : int
        Working memory of the exact search, in MiB.

    Attributes
    ----------
    X_ : uint8, float32 or float64 array, shape (n, d)
        Training images, a row each.
    y_ : int64 array, shape (n,)
    classes_ : int64 array, shape (C,)
        The labels that occur, in rising order.

    Examples
    --------
    >>> import numpy as np
    >>> images = np.array([[0, 0], [10, 0], [250, 255]], np.uint8)
    >>> model = KNNClassifier(k=1).fit(images, np.array([7, 7, 9]))
    >>> model.predict(np.array([[255, 255], [1, 0]], np.uint8)).tolist()
    [9, 7]
    """

    X_: NDArray[Any]
    y_: NDArray[np.int64]
    classes_: NDArray[np.int64]

    def __init__(
        self,
        k: int = 5,
        metric: Metric = "l2",
        weights: Weights = "uniform",
        index: Index = "exact",
        device: str = "auto",
        chunk_mb: int = 256,
    ) -> None:
        self.k, self.metric, self.weights = k, metric, weights
        self.index, self.device, self.chunk_mb = index, device, chunk_mb

    def fit(self, X: ArrayLike, y: ArrayLike) -> KNNClassifier:
        """Keep the training images.

        Parameters
        ----------
        X : array, shape (n, ...)
            Images of any one shape: uint8 as given, other types as float32 or float64. Not
            copied unless that takes it.
        y : integer array, shape (n,)

        Raises
        ------
        DataError
            When there is no image, a value is not finite, or labels do not fit.
        ParameterError, UnknownNameError
            When an option cannot be.
        """
        self._check_options()
        rows, labels = as_rows(X, "training"), np.asarray(y)
        if not rows.size:
            raise DataError(f"the training set is empty: its shape is {np.shape(X)}")
        if labels.shape != (len(rows),):
            raise DataError(
                f"{len(rows)} images need labels of shape ({len(rows)},), not {labels.shape}"
            )
        if labels.dtype.kind not in "iub":
            raise DataError(f"labels must be integers, not {labels.dtype}")
        self._check_k(self.k, len(rows))
        self.X_, self.y_ = rows, labels.astype(np.int64)
        self.classes_ = np.unique(self.y_)
        self.used = CPU if self.index != "exact" else used_of(self.device)
        return self

    def kneighbors(
        self, X: ArrayLike, k: int | None = None, progress: Progress | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Find the nearest training images.

        Parameters
        ----------
        X : array, shape (m, ...)
            Queries, of the training images' shape or flat.
        k : int, optional
            Neighbours of each; default the classifier's.
        progress : callable, optional
            Called with (queries done, queries in all).

        Returns
        -------
        distances : float64 array, shape (m, k)
            Rising.
        indices : int64 array, shape (m, k)
            Rows of the training set; of equal distances the lower first.

        Raises
        ------
        DataError
            When the queries do not have as many values as the training images.
        """
        if not hasattr(self, "X_"):
            raise NotFittedError("the classifier is not fitted; call fit before kneighbors")
        k = self.k if k is None else k
        self._check_k(k, len(self.X_))
        queries = as_rows(X, "query")
        if queries.shape[1] != self.X_.shape[1]:
            raise DataError(
                f"queries of shape {np.shape(X)} are {queries.shape[1]} values an image, but the "
                f"training images, of shape {self.X_.shape}, are {self.X_.shape[1]}"
            )
        distances, indices = self._search()(queries, k, progress)
        return distances, indices

    def decide(
        self, X: ArrayLike, progress: Progress | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return labels, shape (m,), and shares of the vote, shape (m, C), by one search."""
        labels, shares, _ = self.answer(*self.kneighbors(X, progress=progress))
        return labels, shares

    def answer(
        self, distances: NDArray[np.float64], indices: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        """Let the neighbours that `kneighbors` returned vote.

        Returns
        -------
        labels : int64 array, shape (m,)
        shares : float64 array, shape (m, C)
            Of the vote, by class.
        votes : float64 array, shape (m, k)
            Of the vote, by neighbour.
        """
        positions = np.searchsorted(self.classes_, self.y_[indices])
        shares, winner = vote(distances, positions, len(self.classes_), self.weights)
        votes = ballots(distances, self.weights)
        return self.classes_[winner], shares, votes / votes.sum(1, keepdims=True)

    def decide_with_neighbours(
        self, X: ArrayLike
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], list[Neighbours]]:
        """Return labels, shape (m,), shares of the vote, (m, C), and the neighbours that voted."""
        distances, indices = self.kneighbors(X)
        predicted, shares, votes = self.answer(distances, indices)
        rows = zip(indices, distances, self.y_[indices], votes, strict=True)
        return predicted, shares, [Neighbours(*row) for row in rows]

    def compute_on(self, device: str) -> None:
        """Multiply on a device from now on; see `Method.compute_on`."""
        if self.index == "exact":
            self.used = used_of(device)
            self.device = device
        else:
            super().compute_on(device)

    @property
    def training_images(self) -> NDArray[Any]:
        """Return the training images, a row each: shape (n, d)."""
        return self.X_

    @property
    def at_once(self) -> int:
        """Return 1 for Manhattan's distance, which as a graph takes all differences at once."""
        return 1 if self.metric == "l1" else 0

    @classmethod
    def usable(cls, options: Mapping[str, Any], images: int) -> bool:
        """Tell whether there are as many images as neighbours are asked for."""
        return int(options.get("k", 1)) <= images

    def predict(self, X: ArrayLike, progress: Progress | None = None) -> NDArray[np.int64]:
        """Return the label of each image of X, shape (m, ...): shape (m,)."""
        return self.decide(X, progress)[0]

    def predict_proba(self, X: ArrayLike, progress: Progress | None = None) -> NDArray[np.float64]:
        """Return each class's share of the vote, in the order of ``classes_``: shape (m, C)."""
        return self.decide(X, progress)[1]

    def score(self, X: ArrayLike, y: ArrayLike) -> float:
        """Return the accuracy, in [0, 1]."""
        return float((self.predict(X) == np.asarray(y)).mean())

    def _check_options(self) -> None:
        for option, kind in (
            ("metric", Metric), ("weights", Weights), ("index", Index),
        ):  # fmt: skip
            if getattr(self, option) not in get_args(kind):
                raise UnknownNameError(option, str(getattr(self, option)), get_args(kind))
        check_device(self.device)
        if self.chunk_mb < 1:
            raise ParameterError(f"chunk_mb must be at least 1, not {self.chunk_mb}")
        check_index(self.index, self.metric)

    @staticmethod
    def _check_k(k: int, n: int) -> None:
        if not isinstance(k, int | np.integer) or k < 1:
            raise ParameterError(f"k must be a whole number from 1, not {k!r}")
        if k > n:
            raise ParameterError(f"k={k} is more than the {n} training images")

    def _search(self) -> Any:
        """Return the search by the present options; a restored model makes it on first use."""
        options = (self.metric, self.index, self.device, self.chunk_mb)
        made_for, search = getattr(self, "_made", (None, None))
        if search is None or made_for != options or search.X is not self.X_:
            self._check_options()
            search = search_in(self.X_, *options)
            self._made = options, search
        return search


def ballots(distances: NDArray[np.float64], weights: Weights) -> NDArray[np.float64]:
    """Return how much the vote of each neighbour counts, shape (m, k); the nearest counts 1.

    With ``distance`` a vote counts 1/distance; neighbours at distance 0 outvote all others
    and count the same among themselves.
    """
    counts = np.ones(distances.shape)
    if weights == "distance":
        nearest = distances[:, :1]  # 1/d in units of the nearest, so that none overflows
        counts = np.divide(nearest, distances, out=counts, where=distances > 0)
    return counts


def vote(
    distances: NDArray[np.float64],
    labels: NDArray[np.integer[Any]],
    num_classes: int,
    weights: Weights = "uniform",
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Count the neighbours' votes.

    For a smaller k, pass the first k columns: one search serves many k.

    Parameters
    ----------
    distances : float64 array, shape (m, k)
        Rising in every row.
    labels : integer array, shape (m, k)
        Class of each neighbour, in ``range(num_classes)``.
    num_classes : int
    weights : {"uniform", "distance"}
        See `ballots`.

    Returns
    -------
    shares : float64 array, shape (m, num_classes)
        Add up to 1.
    winner : int64 array, shape (m,)
        Class of the largest share; of tied classes the one with the nearer neighbour.

    Examples
    --------
    >>> near = np.array([[1.0, 2.0, 4.0]])
    >>> vote(near, np.array([[1, 0, 0]]), 2)[1]
    array([0])
    >>> vote(near, np.array([[1, 0, 0]]), 2, "distance")[1]
    array([1])
    >>> vote(near[:, :2], np.array([[1, 0]]), 2)[1]
    array([1])
    """
    m, k = distances.shape
    counts = ballots(distances, weights)
    rows = np.arange(m)
    shares = np.zeros((m, num_classes))
    first = np.full((m, num_classes), k)
    for r in reversed(range(k)):
        first[rows, labels[:, r]] = r
    for r in range(k):
        shares[rows, labels[:, r]] += counts[:, r]
    tied = shares == shares.max(1, keepdims=True)
    winner = np.where(tied, first, k + 1).argmin(1)
    return shares / shares.sum(1, keepdims=True), winner


def sweep(
    X: NDArray[Any],
    y: NDArray[np.int64],
    queries: NDArray[Any],
    settings: Sequence[Mapping[str, Any]],
    progress: Progress | None = None,
) -> list[NDArray[np.int64]]:
    """Predict with many settings, searching neighbours once for all that differ only in the vote.

    Parameters
    ----------
    X : array, shape (n, ...); y : int64 array, shape (n,)
        Training set.
    queries : array, shape (m, ...)
    settings : sequence of mapping
        Parameters of `KNNClassifier`.
    progress : callable, optional
        Called with (settings done, settings in all).

    Returns
    -------
    list of int64 array, shape (m,)
        Labels by each setting.
    """
    models = [KNNClassifier(**setting) for setting in settings]
    groups: dict[tuple[Any, ...], list[int]] = {}
    for i, model in enumerate(models):
        key = (model.metric, model.index, model.device, model.chunk_mb)
        groups.setdefault(key, []).append(i)
    answers: dict[int, NDArray[np.int64]] = {}
    for members in groups.values():
        widest = max((models[i] for i in members), key=lambda model: model.k).fit(X, y)
        distances, indices = widest.kneighbors(queries)
        positions = np.searchsorted(widest.classes_, widest.y_[indices])
        for i in members:
            near = slice(0, models[i].k)
            _, winner = vote(
                distances[:, near], positions[:, near], len(widest.classes_), models[i].weights
            )
            answers[i] = widest.classes_[winner]
            if progress:
                progress(len(answers), len(models))
    return [answers[i] for i in range(len(models))]
