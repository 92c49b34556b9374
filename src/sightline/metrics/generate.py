"""Measure made pictures: how like the real ones they are, how varied, and whether they are copies.

Pictures are compared by the features of a network, rows of d numbers. Figures that compare two sets
say nothing of a set alone, so each has its floor: what training pictures have in its place, which
are real and other pictures than those that are measured against.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataError
from sightline.metrics import Metrics
from sightline.metrics.paired import Difference, bootstrap_difference

Rows = NDArray[np.float32]
Floats = NDArray[np.float64]

DRAWS = 200
"""Resamples of the interval."""

NEAR = 5
"""Neighbours that density and coverage look at (Naeem et al., 2020, section 4.2)."""

NEAR_REACH = 3
"""Neighbours that precision and recall look at (Kynkäänniemi et al., 2019, section 3)."""

COPIED = 0.75
"""From here on pictures are called copies: made ones lie nearer to training pictures than unseen
real ones do in three of four cases; 0.5 is as near."""

COLLAPSED = 0.5
"""Coverage, as a share of its floor, below which pictures are said to have collapsed."""

ERRORS = ("psnr", "ssim", "elbo", "bound")
"""Figures of each picture, in the order that they are told in."""

PSNR_MOST = 100.0
"""Decibels of a picture without an error, whose ratio would be infinite."""


# ---- reconstructions


def psnr(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> Floats:
    """Return the peak signal-to-noise ratio of each pair of pictures, in decibels, at most 100.

    Parameters
    ----------
    a, b : uint8 array, shape (N, H, W, C)
    """
    error = (np.square(a.astype(np.float64) - b)).mean((1, 2, 3))
    with np.errstate(divide="ignore"):
        ratio = 10 * np.log10(255.0**2 / error)
    return np.asarray(np.minimum(ratio, PSNR_MOST), np.float64)


def ssim(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> Floats:
    """Return the structural similarity of each pair of pictures, at most 1.

    Wang et al., Image quality assessment: from error visibility to structural similarity, 2004: a
    Gaussian window of deviation 1.5 and 11 pixels, smaller where pictures are; constants 0.01 and
    0.03; the mean over places inside the picture and over channels.

    Parameters
    ----------
    a, b : uint8 array, shape (N, H, W, C)
    """
    reach = min(5, (min(a.shape[1:3]) - 1) // 2)
    window = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) / 1.5))
    window /= window.sum()

    def blurred(x: Floats) -> Floats:
        for axis in (1, 2):
            views = np.lib.stride_tricks.sliding_window_view(x, len(window), axis)
            x = views @ window
        return x

    one, two = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    out = []
    for p, q in zip(a, b, strict=True):
        x, y = (np.moveaxis(v.astype(np.float64), 2, 0) for v in (p, q))
        mx, my = blurred(x), blurred(y)
        vx, vy = blurred(x * x) - mx * mx, blurred(y * y) - my * my
        both = blurred(x * y) - mx * my
        maps = ((2 * mx * my + one) * (2 * both + two)) / (
            (mx * mx + my * my + one) * (vx + vy + two)
        )
        out.append(maps.mean())
    return np.array(out)


# ---- two sets of features


def check_enough(real: int, made: int, features: int) -> None:
    """Refuse fewer pictures than features: their covariance would not have full rank.

    Raises
    ------
    DataError
    """
    least = min(real, made)
    if least <= features:
        raise DataError(
            f"{least} pictures are fewer than the {features} features that they are compared by: "
            "a covariance of so few says nothing; take more pictures, or a layer of fewer "
            "features with judge=NETWORK@LAYER"
        )


def frechet(real: Rows, made: Rows) -> float:
    """Return the Fréchet distance of two sets of features.

    Heusel et al., GANs trained by a two time-scale update rule converge to a local Nash
    equilibrium, 2017, equation 6, of the Gaussians of both:
    |m - n|^2 + tr(S + T - 2 (S T)^(1/2)).

    Parameters
    ----------
    real, made : array, shape (N, d), (M, d)
    """
    a, b = real.astype(np.float64), made.astype(np.float64)
    return gaussian_distance(a.mean(0), np.cov(a.T), b.mean(0), np.cov(b.T))


def gaussian_distance(m: Floats, s: Floats, n: Floats, t: Floats) -> float:
    """Return the Fréchet distance of two Gaussians by means (d,) and covariances (d, d)."""
    values, vectors = np.linalg.eigh(np.atleast_2d(s))
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    between = np.linalg.eigvalsh(root @ np.atleast_2d(t) @ root)
    cross = np.sqrt(between.clip(min=0)).sum()
    return max(float(np.square(m - n).sum() + np.trace(np.atleast_2d(s)) +
                     np.trace(np.atleast_2d(t)) - 2 * cross), 0.0)  # fmt: skip


def kernel_distance(real: Rows, made: Rows) -> float:
    """Return the squared maximum mean discrepancy by the kernel (x y / d + 1)^3, unbiased.

    Bińkowski et al., Demystifying MMD GANs, 2018, section 4.
    """
    a, b = real.astype(np.float64), made.astype(np.float64)
    d = a.shape[1]

    def kernel(x: Floats, y: Floats) -> Floats:
        return np.asarray((x @ y.T / d + 1) ** 3, np.float64)

    n, m = len(a), len(b)
    aa, bb = kernel(a, a), kernel(b, b)
    own = (aa.sum() - np.trace(aa)) / (n * (n - 1)) + (bb.sum() - np.trace(bb)) / (m * (m - 1))
    return float(own - 2 * kernel(a, b).mean())


def distances(a: NDArray[Any], b: NDArray[Any]) -> Floats:
    """Return Euclidean distances, shape (N, M), of rows (N, d) and (M, d)."""
    x, y = a.astype(np.float64), b.astype(np.float64)
    squares = np.square(x).sum(1)[:, None] + np.square(y).sum(1) - 2 * x @ y.T
    return np.asarray(np.sqrt(squares.clip(min=0)), np.float64)


def reaches(rows: Rows, k: int) -> Floats:
    """Return the distance of each row to its k-th nearest other row, shape (N,)."""
    own = distances(rows, rows)
    np.fill_diagonal(own, 0)
    k = min(k, len(rows) - 1)
    return np.asarray(np.partition(own, k, axis=1)[:, k], np.float64)


def precision_recall(real: Rows, made: Rows, k: int = NEAR_REACH) -> tuple[float, float]:
    """Return which share of made pictures lies among the real ones, and of the real among the made.

    Kynkäänniemi et al., Improved precision and recall metric for assessing generative models, 2019:
    among a set is who lies in a ball around one of its rows that reaches to its k-th neighbour.
    """
    between = distances(real, made)
    precision = (between <= reaches(real, k)[:, None]).any(0).mean()
    recall = (between <= reaches(made, k)[None]).any(1).mean()
    return float(precision), float(recall)


def density_coverage(real: Rows, made: Rows, k: int = NEAR) -> tuple[float, float]:
    """Return in how many real balls a made picture lies, by k, and which share of balls hold any.

    Naeem et al., Reliable fidelity and diversity metrics for generative models, 2020, equations 3
    and 4: two sets from one distribution have a density of 1, which may be exceeded, and with k = 5
    a coverage of about 0.97.
    """
    inside = distances(real, made) <= reaches(real, k)[:, None]
    return float(inside.sum() / (k * inside.shape[1])), float(inside.any(1).mean())


def copying(made: Floats, unseen: Floats) -> float:
    """Return the chance that a made picture lies nearer to a training picture than an unseen one.

    The Mann-Whitney statistic of both sets of distances to the nearest training picture, as in
    Meehan et al., A three sample hypothesis test for evaluating generative models, 2020: 0.5 is as
    near as real pictures that were not trained on; 1 is a copy of each.

    Parameters
    ----------
    made, unseen : float array, shape (N,), (M,)
        Distances to the nearest training picture.
    """
    ranked = np.sort(unseen)
    below = np.searchsorted(ranked, made, "left")
    upto = np.searchsorted(ranked, made, "right")
    return float(1 - (below + upto).sum() / (2 * len(made) * len(ranked)))


# ---- the evaluation


@dataclass(frozen=True)
class Evaluation:
    """How made pictures compare with those of a split.

    Parameters
    ----------
    metrics : Metrics
        The headline is the Fréchet distance, the lower the better.
    real, made, floor : float32 array, shape (N, d)
        Features of the split's pictures, of as many made ones, and of as many training pictures.
    chances : float32 array, shape (N, C)
        What a classifier says of the made pictures; of no classes C is 0.
    near, unseen : float64 array, shape (N,)
        Distance of made pictures, and of the split's, to the nearest training picture.
    errors : dict of str to float64 array, shape (N,)
        ``psnr`` and ``ssim`` of the split's pictures drawn again; of a network with a likelihood
        ``elbo`` and ``bound``, in nats.
    shown : uint8 array, shape (K, H, W, C)
        Some made pictures, and `nearest`, the training pictures that are nearest to each.
    rows : int64 array, shape (N,)
        Of the data's source.
    judge : str
        What the features are of.
    about : tuple of str
        What the likelihood is of, where there is one; then further remarks.
    """

    metrics: Metrics
    real: Rows
    made: Rows
    floor: Rows
    chances: Rows
    near: Floats
    unseen: Floats
    errors: Mapping[str, Floats]
    shown: NDArray[np.uint8]
    nearest: NDArray[np.uint8]
    rows: NDArray[np.int64]
    judge: str = ""
    about: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    beside: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls, *, real: Rows, made: Rows, floor: Rows, chances: Rows, near: Floats, unseen: Floats,
        errors: Mapping[str, Floats], shown: NDArray[np.uint8], nearest: NDArray[np.uint8],
        rows: NDArray[np.int64], judge: str = "", about: Sequence[str] = (),
    ) -> Self:  # fmt: skip
        """Compute the figures; see the class.

        Parameters
        ----------
        about : sequence of str
            What is to be known of the figures, such as the binarisation.

        Raises
        ------
        DataError
            When there are fewer pictures than features.
        """
        check_enough(len(real), len(made), real.shape[1])
        distance = frechet(real, made)
        precision, recall = precision_recall(real, made)
        density, coverage = density_coverage(real, made)
        of_floor = density_coverage(real, floor)
        figures = {
            "frechet": distance, "floor": frechet(real, floor),
            "kernel": kernel_distance(real, made), "kernel_floor": kernel_distance(real, floor),
            "precision": precision, "recall": recall, "density": density, "coverage": coverage,
            "coverage_floor": of_floor[1], "copying": copying(near, unseen),
        }  # fmt: skip
        if chances.shape[1] > 1:
            shares = np.bincount(chances.argmax(1), minlength=chances.shape[1]) / len(chances)
            figures |= {
                "confidence": float(chances.max(1).mean()),
                "rarest": float(shares.min() * len(shares)),
                "commonest": float(shares.max() * len(shares)),
            }
        figures |= {name: float(values.mean()) for name, values in errors.items()}
        off = _deviation(real, made)
        metrics = Metrics(
            figures, "frechet", (max(distance - 1.96 * off, 0.0), distance + 1.96 * off),
            higher_is_better=False, n=len(real), share=False,
        )  # fmt: skip
        beside = {
            "floor": f"that of training pictures in the place of made ones, by {judge}",
            "coverage": "share of real pictures with a made one among their neighbours; training "
            f"pictures reach {of_floor[1]:.2f}",
            "copying": "chance that a made picture is nearer to training pictures than an unseen "
            "real one: 0.5 is as near",
        }
        if "confidence" in figures:
            beside["confidence"] = "mean confidence of a classifier in its class of a made picture"
            beside["rarest"] = "of the class that is made least, how often, where 1 is uniform"
            beside["commonest"] = "of the class that is made most"
        if "bound" in figures:
            beside["bound"] = about[0] if about else "lower bound of the log likelihood, in nats"
        return cls(
            metrics, real, made, floor, chances, near, unseen, dict(errors), shown, nearest,
            np.asarray(rows, np.int64), judge, tuple(about), (*_remarks(figures), *about[1:]),
            beside,
        )  # fmt: skip

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that a comparison saves; `restored` takes them back."""
        names = ("real", "made", "floor", "chances", "near", "unseen", "shown", "nearest", "rows")
        return {
            **{name: getattr(self, name) for name in names},
            **{f"errors_{name}": values for name, values in self.errors.items()},
            "said": json_bytes([self.judge, *self.about]),
        }

    @classmethod
    def restored(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Make an evaluation of what `arrays` returned."""
        known = dict(arrays)
        judge, *about = bytes_json(known.pop("said"))
        errors = {name: known.pop(f"errors_{name}") for name in ERRORS if f"errors_{name}" in known}
        return cls.of(**known, errors=errors, judge=judge, about=about)


def json_bytes(lines: Sequence[str]) -> NDArray[np.uint8]:
    """Return texts as an array of bytes."""
    import json

    return np.frombuffer(json.dumps(list(lines)).encode(), np.uint8)


def bytes_json(array: NDArray[np.uint8]) -> list[str]:
    """Return the texts that `json_bytes` made an array of."""
    import json

    lines: list[str] = json.loads(array.tobytes())
    return lines


def _deviation(real: Rows, made: Rows) -> float:
    """Return the standard deviation of the Fréchet distance by the bootstrap.

    Its percentiles would not do: resampled rows repeat, which moves the distance up.
    """
    random = np.random.default_rng(0)
    drawn = [
        frechet(real[random.integers(0, len(real), len(real))],
                made[random.integers(0, len(made), len(made))])
        for _ in range(DRAWS)
    ]  # fmt: skip
    return float(np.std(drawn))


def _remarks(figures: Mapping[str, float]) -> list[str]:
    """Say collapse and copying, with their figures."""
    said = []
    least = COLLAPSED * figures["coverage_floor"]
    if figures["coverage"] < least and figures["recall"] < 0.5:
        said.append(
            f"collapsed: made pictures cover {figures['coverage']:.0%} of the real ones, where "
            f"training pictures cover {figures['coverage_floor']:.0%}"
        )
    if figures.get("rarest", 1.0) == 0:
        said.append("collapsed: of at least one class no picture was made")
    if figures["copying"] >= COPIED:
        said.append(
            f"copying: in {figures['copying']:.0%} of pairs a made picture is nearer to a training "
            "picture than an unseen real one is (50% would be as near)"
        )
    return said


def differ(best: Evaluation, other: Evaluation, margin: float) -> Difference:
    """Compare two evaluations on the same pictures by the bootstrap of both Fréchet distances.

    Parameters
    ----------
    best, other : Evaluation
    margin : float
        By how much the other's distance may be larger.
    """
    a, b = best, other
    n = min(len(a.real), len(b.real), len(a.made), len(b.made))
    return bootstrap_difference(
        lambda rows: frechet(a.real[rows], a.made[rows]),
        lambda rows: frechet(b.real[rows], b.made[rows]), n, margin, higher_is_better=False,
        draws=2 * DRAWS,
    )  # fmt: skip
