"""Turn k-NN into a graph: a matrix product preselects, then exact distances of the rest."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from sightline.models.classic.knn import KNNClassifier

MARGIN = 32
"""Candidates beyond k that the sieve lets through, for the rounding of its float32."""

_ROWS = 4096  # training rows whose differences are taken at once, where there is no product


class NearestVote(nn.Module):
    """The vote of the k nearest training images.

    Distances of bytes go through ``MatMulInteger``, of floats through a product in float32;
    Manhattan's has no product and takes differences. What passes is measured again in float64, by
    difference, as `KNNClassifier` does, so neighbours, ties and votes are the same.

    Parameters
    ----------
    method : KNNClassifier
        Fitted.
    """

    def __init__(self, method: KNNClassifier) -> None:
        super().__init__()
        X = np.asarray(method.X_)
        self.metric, self.weighted, self.k = method.metric, method.weights == "distance", method.k
        self.candidates = min(len(X), method.k + MARGIN)
        places = np.searchsorted(method.classes_, method.y_)
        self.num_classes = len(method.classes_)
        if X.dtype == np.uint8:
            X = np.ascontiguousarray(X)
            squares = np.array([int((row.astype(np.int64) ** 2).sum()) for row in X], np.float32)
        else:
            X = X.astype(np.float32)
            squares = (X.astype(np.float64) ** 2).sum(1).astype(np.float32)
        self.bytes = X.dtype == np.uint8
        self.register_buffer("squares", torch.from_numpy(squares))
        self.register_buffer("y", torch.from_numpy(method.y_))
        self.register_buffer("places", torch.from_numpy(places))
        # A product wants the training rows as columns.
        X = X if self.metric == "l1" else np.ascontiguousarray(X.T)
        self.register_buffer("X", torch.from_numpy(X))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the vote and the neighbours that voted, of rows or images.

        Returns
        -------
        probabilities : float64 Tensor, shape (N, C)
        place : int64 Tensor, shape (N,)
        neighbours : int64 Tensor, shape (N, k)
            Rows of the training set, nearest first; of equal distances the lower first.
        distances : float64 Tensor, shape (N, k)
        neighbour_labels : int64 Tensor, shape (N, k)
        votes : float64 Tensor, shape (N, k)
            Share of the votes that each has.
        """
        x = x.flatten(1)
        near = torch.topk(self._sieve(x), self.candidates, 1, largest=False).indices
        near = near.sort(1).values  # so that of equal distances the lower row comes first
        exact = self._exact(x, near)
        distances, order = _smallest(exact, self.k)
        rows = near.gather(1, order)
        if self.metric == "l2":
            distances = distances.sqrt()
        probabilities, place, votes = self._vote(distances, rows)
        labels = cast(Tensor, self.y).index_select(0, rows.flatten()).view_as(rows)
        return probabilities, place, rows, distances, labels, votes

    def _sieve(self, x: Tensor) -> Tensor:
        """Compute approximate distances (squared, or less a constant) to all rows: (N, n)."""
        squares = cast(Tensor, self.squares)
        if self.metric == "l1":
            parts = torch.split(cast(Tensor, self.X), _ROWS)
            return torch.cat(
                [(x[:, None].float() - part.float()).abs().sum(2) for part in parts], 1
            )
        products = self._products(x)
        if self.metric == "l2":
            return squares - 2 * products
        return -products / squares.sqrt().clamp(min=1e-30)

    def _products(self, x: Tensor) -> Tensor:
        columns = cast(Tensor, self.X)
        if not self.bytes:
            return x.float() @ columns
        if not torch.compiler.is_exporting():
            return x.float() @ columns.float()
        shape = (x.shape[0], columns.shape[1])
        exact = torch.onnx.ops.symbolic(
            "MatMulInteger", (x, columns), dtype=torch.int32, shape=shape
        )
        return exact.float()

    def _exact(self, x: Tensor, near: Tensor) -> Tensor:
        """Compute float64 distances (Euclidean: squared) to chosen rows, shape (N, candidates)."""
        X, flat = cast(Tensor, self.X), near.flatten()
        if self.metric == "l1":
            chosen = X.index_select(0, flat).double()
        else:
            chosen = X.index_select(1, flat).T.double()
        chosen = chosen.view(near.shape[0], self.candidates, x.shape[1])
        query = x[:, None].double()
        if self.metric == "l1":
            return (query - chosen).abs().sum(2)
        if self.metric == "l2":
            return ((query - chosen) ** 2).sum(2)
        lengths = [torch.linalg.vector_norm(a, dim=2, keepdim=True) for a in (query, chosen)]
        one, other = (
            a / n.clamp(min=1e-300) for a, n in zip((query, chosen), lengths, strict=True)
        )
        distance = ((one - other) ** 2).sum(2) / 2
        zero = (lengths[0] == 0) | (lengths[1] == 0)
        return torch.where(zero[:, :, 0], 1.0, distance)

    def _vote(self, distances: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the classes' shares (N, C), the winner (N,) and the share of each vote (N, k)."""
        places = cast(Tensor, self.places).index_select(0, rows.flatten()).view_as(rows)
        counts = torch.ones_like(distances)
        if self.weighted:
            positive = distances > 0
            counts = torch.where(
                positive, distances[:, :1] / torch.where(positive, distances, 1.0), 1.0
            )
        one_hot = torch.nn.functional.one_hot(places, self.num_classes).double()
        shares = (one_hot * counts[:, :, None]).sum(1)
        # Of tied classes the one with the nearer neighbour: the first neighbour whose class leads.
        leading = (shares.gather(1, places) == shares.amax(1, keepdim=True)).long().argmax(1)
        place = places.gather(1, leading[:, None])[:, 0]
        return shares / shares.sum(1, keepdim=True), place, counts / counts.sum(1, keepdim=True)


def _smallest(x: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the k smallest of each row and their places, rising; ties go to the lower place.

    ONNX's TopK promises that order, torch's does not; torch's stable sort has no ONNX form.
    """
    if torch.compiler.is_exporting():
        smallest = torch.topk(x, k, 1, largest=False)
        return smallest.values, smallest.indices
    values, places = torch.sort(x, dim=1, stable=True)
    return values[:, :k], places[:, :k]
