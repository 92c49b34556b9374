"""Fit a power law to a learning curve, and carry it on to more images than there are.

What a method gets wrong falls with the number n of training images about as a + b n^-c (Hestness et
al., Deep Learning Scaling is Predictable, Empirically, 2017): a is what no number of images takes
away. Where the curve would go is an extrapolation, and has a band.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sightline.errors import ParameterError

FEWEST = 4
"""Sizes that a fit of three numbers needs: one more than the numbers."""

SLOWEST, FASTEST = 0.02, 2.0
"""Bounds of the exponent c. What was measured lies between 0.07 and 0.5."""

DRAWS = 400
"""Curves that the band is made of."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """What a method gets wrong with n training images: a + b n^-c.

    Parameters
    ----------
    a : float
        What stays wrong however many images there are.
    b : float
        At least 0: more images never harm.
    c : float
        How fast the rest falls.
    """

    a: float
    b: float
    c: float

    def __call__(self, images: ArrayLike) -> Floats:
        """Return what is wrong with so many training images."""
        values: Floats = self.a + self.b * np.asarray(images, np.float64) ** -self.c
        return values

    @classmethod
    def fitted(
        cls, images: ArrayLike, wrong: ArrayLike, errors: ArrayLike, lowest: float | None = 0.0
    ) -> Self:
        """Fit by weighted least squares.

        For each c the best a and b are known in closed form; c is searched for on a grid, then
        between its neighbours.

        Parameters
        ----------
        images : array, shape (K,)
        wrong : array, shape (K,)
        errors : array, shape (K,)
            Standard errors of `wrong`, above 0.
        lowest : float, optional
            Bound of a, none for None.
        """
        from scipy.optimize import minimize_scalar

        n, y = np.asarray(images, np.float64), np.asarray(wrong, np.float64)
        weights = 1 / np.asarray(errors, np.float64) ** 2

        def cost(c: float) -> float:
            return _line(n**-c, y, weights, lowest)[2]

        grid = np.geomspace(SLOWEST, FASTEST, 40)
        i = int(np.argmin([cost(c) for c in grid]))
        ends = (grid[max(i - 1, 0)], grid[min(i + 1, len(grid) - 1)])
        near = float(minimize_scalar(cost, bounds=ends, method="bounded").x)
        c = min(near, float(grid[i]), key=cost)
        a, b, _ = _line(n**-c, y, weights, lowest)
        return cls(a, b, c)


def _line(
    x: Floats, y: Floats, weights: Floats, lowest: float | None
) -> tuple[float, float, float]:
    """Return a, b and the weighted squares of a + b x, where b is at least 0 and a at its bound."""
    total = weights.sum()
    mx, my = weights @ x / total, weights @ y / total
    b = max(float(weights @ ((x - mx) * (y - my)) / (weights @ (x - mx) ** 2)), 0.0)
    a = float(my - b * mx)
    if lowest is not None and a < lowest:
        a = lowest
        b = max(float(weights @ (x * (y - a)) / (weights @ x**2)), 0.0)
    return a, b, float(weights @ (y - a - b * x) ** 2)


@dataclass(frozen=True, slots=True)
class Trend:
    """A learning curve's power law, and the curves that it might as well have been.

    Parameters
    ----------
    law : PowerLaw
    draws : list of PowerLaw
        Fitted to what was measured with as much chance added as there was.
    """

    law: PowerLaw
    draws: list[PowerLaw]

    def band(self, images: ArrayLike) -> tuple[Floats, Floats]:
        """Return the ends of the 95% band of what is wrong with so many images."""
        many = np.stack([law(images) for law in self.draws])
        low, high = np.quantile(many, [0.025, 0.975], axis=0)
        return low, high

    def gain(self, now: float, then: float) -> tuple[float, float, float]:
        """Return by how much less is wrong with more images, and the ends of its 95% interval."""
        many = np.array([law(now) - law(then) for law in self.draws])
        low, high = np.quantile(many, [0.025, 0.975])
        return float(self.law(now) - self.law(then)), float(low), float(high)


def extrapolate(
    images: Sequence[float], wrong: Sequence[Sequence[float]], *,
    step: float = 0.0, lowest: float | None = 0.0, seed: int = 0,
) -> Trend:  # fmt: skip
    """Fit a power law to what was measured with several draws of each size, and its band.

    A size counts by the spread over its draws; as a few draws tell little of it, the mean spread of
    all sizes has half a say. Where the means lie further from the law than that allows, the band is
    as much wider.

    Parameters
    ----------
    images : sequence of float, length K
    wrong : sequence of sequences of float, length K
        Of each draw.
    step : float
        The smallest difference that could have been measured: one test image.
    lowest : float, optional
        Bound of a.
    seed : int
        Of the band's chance.

    Raises
    ------
    ParameterError
        When there are fewer than `FEWEST` sizes.
    """
    if len(set(images)) < FEWEST:
        raise ParameterError(f"{len(set(images))} sizes say nothing of more; take {FEWEST}")
    means = np.array([np.mean(one) for one in wrong])
    errors = _errors(wrong, max(step, 1e-9 * float(np.abs(means).max())) or 1e-9)
    law = PowerLaw.fitted(images, means, errors, lowest)
    left = float((((means - law(images)) / errors) ** 2).sum()) / (len(means) - 3)
    noise = errors * max(left, 1.0) ** 0.5
    random = np.random.default_rng(seed)
    draws = [
        PowerLaw.fitted(images, law(images) + noise * random.standard_normal(len(means)),
                        errors, lowest)
        for _ in range(DRAWS)
    ]  # fmt: skip
    return Trend(law, draws)


def _errors(wrong: Sequence[Sequence[float]], step: float) -> Floats:
    """Return the standard error of the mean of each size, never below what one image can tell."""
    own = np.array([np.var(one, ddof=1) if len(one) > 1 else np.nan for one in wrong])
    known = own[np.isfinite(own)]
    shared = float(known.mean()) if len(known) else 0.0
    variance = np.where(np.isfinite(own), (np.nan_to_num(own) + shared) / 2, shared)
    counts = np.array([len(one) for one in wrong])
    errors: Floats = np.sqrt(np.maximum(variance, step**2 / 12) / counts)
    return errors
