r"""Compute the likelihood of logistic regression: sigmoid, softmax, loss, derivatives.

With :math:`z = W x + b` the probability of a class is (Bishop, Pattern Recognition and Machine
Learning, 2006, equations 4.87 and 4.104)

.. math:: \sigma(z) = \frac{1}{1 + e^{-z}} \qquad\text{or}\qquad
          p_c = \frac{e^{z_c}}{\sum_k e^{z_k}}

and the objective, row i weighing :math:`s_i`, is the mean negative log-likelihood with a penalty
that leaves the intercept free:

.. math:: J(W, b) = \frac{\sum_i -s_i \log p_{y_i}(x_i)}{\sum_i s_i} + \frac{\lambda}{2} \|W\|^2

It is scikit-learn's objective divided by :math:`C \sum_i s_i`, at :math:`\lambda = 1/(C \sum_i
s_i)`. Its gradient (Bishop 4.91, 4.109) is that of least squares, with probabilities for
predictions: :math:`\sum_i s_i (p_i - t_i) x_i^T / \sum_i s_i + \lambda W`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sightline.errors import ParameterError
from sightline.models.classic import features

_MOST_FOR_HESSIAN = 4096  # unknowns: 128 MB of float64


def sigmoid(z: ArrayLike) -> NDArray[np.float64]:
    """Compute the logistic function of any array, exact at both tails: no overflow, no 0/0.

    The exponential is always of a negative number; for z < 0, 1/(1 + e^-z) = e^z/(1 + e^z).

    Examples
    --------
    >>> sigmoid([-1000.0, 0.0, 1000.0]).tolist(), float(sigmoid(-700.0)) > 0
    ([0.0, 0.5, 1.0], True)
    """
    z = np.asarray(z, np.float64)
    small = np.exp(-np.abs(z))
    return np.asarray(np.where(z >= 0, 1, small) / (1 + small))


def softmax(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probabilities of logits, shape (m, C), a row each."""
    e = np.exp(z - z.max(1, keepdims=True))
    return np.asarray(e / e.sum(1, keepdims=True))


class Objective:
    """J and its derivatives as functions of one vector, for `optimize.minimize`.

    The vector holds U, shape (K, d), and a, shape (K,), of z = U (x - mean)/scale + a, where K is
    1 for two classes and else C. So W = U/scale and b = a - W mean: the same J, but pixels centred
    and of common size make it rounder, whatever range they came in. X is not copied for it.

    Parameters
    ----------
    X : float32 or float64 array, shape (n, d)
        Decides the precision of products with it; sums over rows are float64.
    places : int64 array, shape (n,)
        Class of each row, in ``range(num_classes)``.
    num_classes : int
    l2 : float
    row_weights : float64 array, shape (n,), optional
    """

    def __init__(
        self, X: NDArray[Any], places: NDArray[np.int64], num_classes: int, l2: float,
        row_weights: NDArray[np.float64] | None = None,
    ) -> None:  # fmt: skip
        self.X, self.places, self.l2 = X, places, l2
        self.outputs = 1 if num_classes == 2 else num_classes
        weights = np.ones(len(X)) if row_weights is None else row_weights
        self.shares = weights / weights.sum()
        self.mean, self.constant = features.centre(X)
        self.scale = _spread(X, self.mean)
        self._seen: tuple[bytes, float, NDArray[np.float64]] | None = None

    @property
    def size(self) -> int:
        """Return the number of unknowns: K (d + 1)."""
        return int(self.outputs * (self.X.shape[1] + 1))

    def weights(
        self, theta: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return W, shape (K, d), and b, shape (K,), of a vector."""
        table = theta.reshape(self.outputs, -1)
        W = table[:, :-1] / self.scale
        return W, table[:, -1] - W @ self.mean

    def vector(self, W: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the vector of W, shape (K, d), and b, shape (K,): the inverse of `weights`."""
        return np.column_stack([W * self.scale, b + W @ self.mean]).ravel()

    def value(self, theta: NDArray[np.float64]) -> float:
        """Return J."""
        return self._forward(theta)[0]

    def gradient(self, theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the gradient of J, shape of theta."""
        residual = self._forward(theta)[1].copy()
        if self.outputs == 1:
            residual[:, 0] -= self.places
        else:
            residual[np.arange(len(residual)), self.places] -= 1
        residual *= self.shares[:, None]
        total = residual.sum(0)
        slopes = (residual.astype(self.X.dtype).T @ self.X).astype(np.float64)
        slopes = (slopes - np.outer(total, self.mean)) / self.scale
        slopes[:, self.constant] = 0  # to the last bit: such a weight stays 0
        slopes += self.l2 / self.scale**2 * theta.reshape(self.outputs, -1)[:, :-1]
        return np.column_stack([slopes, total]).ravel()

    def hessian(self, theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the Hessian of J (Bishop 4.97, 4.110), shape (size, size).

        Raises
        ------
        ParameterError
            When there are too many unknowns for a table of their pairs.
        """
        if self.size > _MOST_FOR_HESSIAN:
            raise ParameterError(
                f"newton needs a table of {self.size:,} x {self.size:,} second derivatives; take "
                "optimizer='lbfgs', or smaller images"
            )
        p = self._forward(theta)[1]
        K, d = self.outputs, self.X.shape[1]
        A = np.column_stack([(self.X - self.mean) / self.scale, np.ones(len(self.X))])
        H = np.empty((K, d + 1, K, d + 1))
        for j in range(K):
            for k in range(j + 1):
                bend = p[:, j] * ((j == k) - p[:, k]) * self.shares
                H[j, :, k] = A.T @ (A * bend[:, None])
                H[k, :, j] = H[j, :, k].T
            H[j, range(d), j, range(d)] += self.l2 / self.scale**2
        return H.reshape(self.size, self.size)

    def _forward(self, theta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Compute J and the probabilities, shape (n, K); those of the last vector are kept."""
        key = theta.tobytes()
        if self._seen is None or self._seen[0] != key:
            W, b = self.weights(theta)
            z = logits(self.X, W, b)
            loss = float(self.shares @ log_losses(z, self.places))
            p = sigmoid(z) if self.outputs == 1 else softmax(z)
            self._seen = key, loss + self.l2 / 2 * float((W**2).sum()), p
        return self._seen[1:]


def log_losses(z: NDArray[np.float64], places: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return each row's negative log-likelihood, shape (n,), from logits (n, C) or (n, 1)."""
    if z.shape[1] == 1:
        margin = np.where(places == 1, -z[:, 0], z[:, 0])
        return np.logaddexp(0, margin)
    top = z.max(1)
    own = z[np.arange(len(z)), places]
    return np.asarray(np.log(np.exp(z - top[:, None]).sum(1)) + top - own)


def logits(X: NDArray[Any], W: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute ``X @ W.T + b``, shape (m, K): float64, by products in X's own precision."""
    kind: type[Any] = np.float64 if X.dtype == np.float64 else np.float32
    across = np.ascontiguousarray(W.T, kind)
    out = np.empty((len(X), len(W)))
    for start in range(0, len(X), features.CHUNK):
        part = slice(start, start + features.CHUNK)
        out[part] = np.asarray(X[part], kind) @ across
    return out + b


def _spread(X: NDArray[Any], mean: NDArray[np.float64]) -> float:
    """Return the root of the mean variance of the columns; 1 when none varies."""
    total = 0.0
    for start in range(0, len(X), features.CHUNK):
        total += float(((X[start : start + features.CHUNK] - mean) ** 2).sum())
    return float(np.sqrt(total / X.size)) or 1.0
