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

CHANCE = 3.0
"""Mean squared distance to the law, in standard errors, that may be chance."""

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
    """A learning curve's power law from its last measured point on, and its like within chance.

    The law says how much less is wrong with more images; it sets out from what was measured, so
    that a test split that is harder or easier than most moves the whole curve.

    Parameters
    ----------
    law : PowerLaw
    since : float
        Number of images from which on the curve follows the law.
    last : float
        Largest number of images that was measured.
    level : float
        What was wrong with so many.
    draws : list of PowerLaw
        Fitted to what was measured with as much chance added as there was.
    levels : array, shape (DRAWS,)
        What would have been wrong with `last` images in each draw.
    """

    law: PowerLaw
    since: float
    last: float
    level: float
    draws: list[PowerLaw]
    levels: Floats

    def __call__(self, images: ArrayLike) -> Floats:
        """Return what is wrong with so many images."""
        values: Floats = self.level + self.law(images) - self.law(self.last)
        return values

    def band(self, images: ArrayLike) -> tuple[Floats, Floats]:
        """Return the ends of the 95% band of what is wrong with so many images."""
        many = [
            level + law(images) - law(self.last)
            for law, level in zip(self.draws, self.levels, strict=True)
        ]
        low, high = np.quantile(np.stack(many), [0.025, 0.975], axis=0)
        return low, high

    def gain(self, images: float) -> tuple[float, float, float]:
        """Return by how much less is wrong with more images, and the ends of its 95% interval."""
        many = [float(law(self.last) - law(images)) for law in self.draws]
        low, high = np.quantile(many, [0.025, 0.975])
        return float(self.law(self.last) - self.law(images)), float(low), float(high)


def extrapolate(
    images: Sequence[float], wrong: Sequence[Sequence[float]], *,
    step: float = 0.0, lowest: float | None = 0.0, seed: int = 0,
) -> Trend:  # fmt: skip
    """Fit a power law to what was measured with several draws of each size, and its band.

    A size counts by the spread over its draws; as a few draws tell little of it, the mean spread of
    all sizes has half a say. With few images a curve does not follow the law yet (the paper's
    small-data region): the smallest sizes are left out while the means lie further from the law
    than chance allows, as long as `FEWEST` are left. What still lies too far makes the band wider.

    Parameters
    ----------
    images : sequence of float, length K
        Rising.
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
    n = np.array(images, np.float64)
    means = np.array([np.mean(one) for one in wrong])
    errors = _errors(wrong, max(step, 1e-9 * float(np.abs(means).max())) or 1e-9)
    starts = [i for i in range(len(n)) if len(set(n[i:])) >= FEWEST]
    fits: list[tuple[float, int, PowerLaw]] = []
    for i in starts:
        law = PowerLaw.fitted(n[i:], means[i:], errors[i:], lowest)
        left = float((((means[i:] - law(n[i:])) / errors[i:]) ** 2).sum()) / (len(n) - i - 3)
        fits.append((left, i, law))
        if left <= CHANCE:
            break
    left, start, law = fits[-1] if fits[-1][0] <= CHANCE else min(fits, key=lambda one: one[0])
    n, errors = n[start:], errors[start:]
    noise = (
        errors
        * max(left, 1.0) ** 0.5
        * np.random.default_rng(seed).standard_normal((DRAWS, len(n)))
    )
    draws = [PowerLaw.fitted(n, law(n) + one, errors, lowest) for one in noise]
    return Trend(law, float(n[0]), float(n[-1]), float(means[-1]), draws, means[-1] + noise[:, -1])


def _errors(wrong: Sequence[Sequence[float]], step: float) -> Floats:
    """Return the standard error of the mean of each size, never below what one image can tell.

    Where every size was drawn once, the spread is taken to be that of a share of the test images.
    """
    own = np.array([np.var(one, ddof=1) if len(one) > 1 else np.nan for one in wrong])
    known = own[np.isfinite(own)]
    means = np.array([np.mean(one) for one in wrong])
    shared = float(known.mean() if len(known) else np.mean(step * means * (1 - means)))
    variance = np.where(np.isfinite(own), (np.nan_to_num(own) + shared) / 2, shared)
    counts = np.array([len(one) for one in wrong])
    errors: Floats = np.sqrt(np.maximum(variance, step**2 / 12) / counts)
    return errors
