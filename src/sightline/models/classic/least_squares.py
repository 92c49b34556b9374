r"""Solve least squares by orthogonal reduction, for tall, wide and rank-deficient data.

The weights sought minimise, for centred X (n, d) and Y (n, k) and a ridge penalty
:math:`\lambda \ge 0` (Hoerl & Kennard, Ridge regression, Technometrics 1970),

.. math:: J(W) = \|X W - Y\|_F^2 + \lambda \|W\|_F^2

Setting the gradient :math:`2 X^T (X W - Y) + 2 \lambda W` to zero gives the normal equation

.. math:: (X^T X + \lambda I)\, W = X^T Y, \qquad W = (X^T X + \lambda I)^{-1} X^T Y

It is right on paper and wrong in a computer: :math:`X^T X` has the *square* of X's condition
number, so that at a condition of 1e8 no digit of the weights is left in float64, and where
columns depend on each other there is no inverse at all (Golub & Van Loan, Matrix Computations,
4th ed. 2013, section 5.3). Here X is never squared:

1. Orthogonal transformations change no length, so [X Y] is reduced to a triangle,

   .. math:: Q^T [X \; Y] = \begin{bmatrix} R & Z \\ 0 & S \end{bmatrix}
             \quad\Rightarrow\quad \|XW - Y\|^2 = \|RW - Z\|^2 + \|S\|^2

   a block of rows at a time: the triangle of what was seen, stacked on the next block, is
   reduced again (sequential TSQR: Demmel, Grigori, Hoemmen & Langou, SIAM J. Sci. Comput.
   2012, section 3). Each X is read once and no float64 copy of it is made.
2. A triangle that is certainly of full rank is solved by substitution. Any other is taken
   apart by singular values, :math:`R = U \Sigma V^T`; those below
   :math:`\max(n, d)\,\epsilon\,\sigma_1` count as 0, and of the many weights with the least
   error the shortest is given:

   .. math:: W = V \,\mathrm{diag}\!\left(\frac{\sigma_i}{\sigma_i^2 + \lambda}\right) U^T Z
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.models.classic.features import centre
from sightline.types import Progress


@dataclass(frozen=True, slots=True)
class Reduced:
    """X and Y reduced to what least squares needs: a triangle, its right side and the means.

    Parameters
    ----------
    R : float64 array, shape (min(n, d), d)
    Z : float64 array, shape (min(n, d), k)
    x_mean : float64 array, shape (d,)
    y_mean : float64 array, shape (k,)
    constant : bool array, shape (d,)
        Columns of X that never change.
    n : int
    """

    R: NDArray[np.float64]
    Z: NDArray[np.float64]
    x_mean: NDArray[np.float64]
    y_mean: NDArray[np.float64]
    constant: NDArray[np.bool_]
    n: int


def reduce(X: NDArray[Any], Y: NDArray[np.float64], progress: Progress | None = None) -> Reduced:
    """Centre X and Y and reduce them to a triangle.

    Takes 2 n (d + k)² floating-point operations and working memory of about 12 (d + k)² bytes
    beyond X: 0.12 GB for CIFAR-10.

    Parameters
    ----------
    X : uint8, float32 or float64 array, shape (n, d)
    Y : float64 array, shape (n, k)
    progress : callable, optional
        Called with (rows reduced, rows in all).
    """
    from scipy.linalg import qr

    (n, d), width = X.shape, X.shape[1] + Y.shape[1]
    (x_mean, constant), (y_mean, _) = centre(X), centre(Y)

    def centred(start: int, stop: int) -> NDArray[np.float64]:
        part = np.empty((min(stop, n) - start, width), order="F")  # LAPACK's: not copied again
        np.subtract(X[start:stop], x_mean, out=part[:, :d])
        np.subtract(Y[start:stop], y_mean, out=part[:, d:])
        return part

    if n <= width:
        triangle = qr(centred(0, n), mode="r", overwrite_a=True, check_finite=False)[0]
        if progress:
            progress(n, n)
    else:
        triangle = np.zeros((width, width), order="F")
        block = max(1024, width // 2)
        for start in range(0, n, block):
            triangle = _absorb(triangle, centred(start, start + block), 0)
            if progress:
                progress(min(start + block, n), n)
    depth = min(n, d)
    return Reduced(triangle[:depth, :d], triangle[:depth, d:], x_mean, y_mean, constant, n)


def solve(problem: Reduced, ridge: float = 0.0) -> tuple[NDArray[np.float64], int]:
    r"""Return the weights, shape (d, k), and the numerical rank of X.

    Of equally good weights the shortest; a column of X that never changes gets weight 0.

    Parameters
    ----------
    problem : Reduced
    ridge : float
        :math:`\lambda`, at least 0.
    """
    from scipy.linalg import solve_triangular, svd
    from scipy.linalg.lapack import dtrcon

    R, Z = problem.R, problem.Z
    depth, d = R.shape
    epsilon = max(problem.n, d) * np.finfo(np.float64).eps
    if depth == d:
        upper, right = R, Z
        if ridge:  # the penalty is d more rows of data: sqrt(λ) I, to be met by 0
            both = np.zeros((d + Z.shape[1], d + Z.shape[1]), order="F")
            both[:d, :d], both[:d, d:] = R, Z
            penalty = np.zeros((d, len(both)), order="F")
            np.fill_diagonal(penalty, np.sqrt(ridge))
            both = _absorb(both, penalty, d)
            upper, right = both[:d, :d], both[:d, d:]
        reciprocal, _ = dtrcon(upper, norm="1", uplo="U")
        # The estimate is of the 1-norm, at most d times the 2-norm's, and may be 10 times off.
        if reciprocal > 10 * d * epsilon:
            return np.asarray(solve_triangular(upper, right, check_finite=False)), d
    U, sigma, Vt = svd(R, full_matrices=False, check_finite=False)
    rank = int((sigma > epsilon * sigma[0]).sum()) if len(sigma) and sigma[0] > 0 else 0
    sigma = sigma[:rank, None]
    # σ/(σ² + λ) as 1/(σ + λ/σ): the square of a small σ would be lost.
    weights = Vt[:rank].T @ ((U[:, :rank].T @ Z) / (sigma + ridge / sigma))
    weights[problem.constant] = 0
    return np.asarray(weights), rank


def _absorb(
    triangle: NDArray[np.float64], part: NDArray[np.float64], triangular: int
) -> NDArray[np.float64]:
    """Return the triangle of a triangle stacked on more rows; both are overwritten.

    LAPACK's ``tpqrt`` leaves the zeros of the triangle alone, and those of the last `triangular`
    rows of the part, which are upper triangular.
    """
    from scipy.linalg.lapack import dtpqrt

    panel = min(64, len(triangle))
    reduced, *_ = dtpqrt(triangular, panel, triangle, part, overwrite_a=1, overwrite_b=1)
    return np.asarray(reduced)
