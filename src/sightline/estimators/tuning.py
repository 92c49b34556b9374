"""Choosing a method's knobs by what it gets right on images it has not learned from.

Two protocols: one held-out split (`on_validation`, what ``compare`` does for every method
alike) and k-fold cross-validation inside the training split (`cross_validated`, what
``tune`` does). Neither ever sees the test split.
"""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.data import splits
from sightline.data.dataset import Progress, Split
from sightline.data.transforms import Preprocess
from sightline.estimators import features, methods
from sightline.models import registry

PILOT = 64
"""Validation images that are timed to foretell how long all of them will take."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One setting and how it did.

    Parameters
    ----------
    options : dict
        The method's knobs.
    preprocess : Preprocess
    accuracies : tuple of float
        One a fold.
    """

    options: dict[str, Any]
    preprocess: Preprocess
    accuracies: tuple[float, ...]

    @property
    def accuracy(self) -> float:
        """Mean over the folds."""
        return float(np.mean(self.accuracies))


@dataclass(frozen=True, slots=True)
class Tuned:
    """All trials, in the order tried; the best is the first of the most accurate.

    Parameters
    ----------
    trials : list of Trial
    seconds : float
    images : int
        Held-out images that each trial was judged by.
    """

    trials: list[Trial]
    seconds: float
    images: int

    @property
    def best(self) -> Trial:
        """The most accurate trial; of equals the one tried first, the simpler."""
        return max(self.trials, key=lambda trial: trial.accuracy)


def on_validation(
    name: str,
    train: Split,
    val: Split,
    fixed: Mapping[str, Any],
    preprocess: Preprocess,
    *,
    budget: float | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Tuned:
    """Try a method's whole grid on the validation split.

    Parameters
    ----------
    name : str
        Of the method.
    train, val : Split
    fixed : dict
        Knobs that are given and so not tuned.
    preprocess : Preprocess
    budget : float, optional
        Seconds. Where the whole grid is swept at once and a pilot shows that this would take
        longer, a seeded sample of the validation images is used, of the size that fits;
        `Tuned.images` says how many. Elsewhere settings are tried until the next would take
        too long; `Tuned.trials` says which.
    seed : int
    progress : callable, optional
        Called with (settings tried, settings in all).
    """
    start = time.perf_counter()
    grid = _open_grid(name, fixed)
    card = registry.card(name)
    fitted = features.fit(preprocess, train, card.largest_side)
    X, y, _ = train.arrays(fitted.size, fitted.resize)
    X_val, y_val, _ = val.arrays(fitted.size, fitted.resize)
    X = fitted(X)
    if budget is not None and card.sweep and len(X_val) > PILOT:
        keep = _affordable(name, X, y, fitted(X_val), y_val, grid, fixed, budget, seed)
        X_val, y_val = X_val[keep], y_val[keep]
    found = _try_all(name, X, y, fitted(X_val), y_val, grid, fixed, progress, budget)
    trials = [Trial(options, preprocess, (float(right.mean()),)) for options, right in found]
    return Tuned(trials, time.perf_counter() - start, len(y_val))


def cross_validated(
    name: str,
    train: Split,
    fixed: Mapping[str, Any],
    preprocess: Sequence[Preprocess],
    *,
    folds: int = 5,
    seed: int = 0,
    progress: Progress | None = None,
) -> Tuned:
    """Try a method's grid, with each preprocessing, by k-fold cross-validation.

    Each fold's preprocessing takes its figures from that fold's training part alone.
    Groups are never parted.
    """
    start = time.perf_counter()
    grid = _open_grid(name, fixed)
    card = registry.card(name)
    parts = splits.folds(np.arange(len(train)), train.labels, folds, seed, train.groups)
    steps = len(preprocess) * len(parts)
    scores: dict[int, list[float]] = {}
    settings: list[tuple[dict[str, Any], Preprocess]] = []
    for p, before in enumerate(preprocess):
        for f, (learn, held) in enumerate(parts):
            part = train.take(learn)
            fitted = features.fit(before, part, card.largest_side)
            X, y, _ = part.arrays(fitted.size, fitted.resize)
            X_val, y_val, _ = train.take(held).arrays(fitted.size, fitted.resize)
            found = _try_all(name, fitted(X), y, fitted(X_val), y_val, grid, fixed, None)
            if f == 0:
                first = len(settings)
                settings += [(options, before) for options, _ in found]
            for i, (_, right) in enumerate(found):
                scores.setdefault(first + i, []).append(float(right.mean()))
            if progress:
                progress(p * len(parts) + f + 1, steps)
    trials = [
        Trial(options, before, tuple(scores[i])) for i, (options, before) in enumerate(settings)
    ]
    return Tuned(trials, time.perf_counter() - start, len(train))


def grid_of(name: str) -> list[dict[str, Any]]:
    """Every setting of a method's grid."""
    return list(_product(registry.card(name).grid))


def _open_grid(name: str, fixed: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    return {k: v for k, v in registry.card(name).grid.items() if k not in fixed}


def _product(grid: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    for values in itertools.product(*grid.values()):
        yield dict(zip(grid, values, strict=True))


def _try_all(
    name: str,
    X: NDArray[Any],
    y: NDArray[np.int64],
    X_val: NDArray[Any],
    y_val: NDArray[np.int64],
    grid: Mapping[str, Sequence[Any]],
    fixed: Mapping[str, Any],
    progress: Progress | None,
    budget: float | None = None,
) -> list[tuple[dict[str, Any], NDArray[np.bool_]]]:
    """Which validation images each setting gets right."""
    start = time.perf_counter()
    settings = [dict(fixed) | options for options in _product(grid)]
    usable = [s for s in settings if not _too_many_neighbours(s, len(X))]
    card = registry.card(name)
    results = []
    if card.sweep:
        answers = registry.resolve(card.sweep)(X, y, X_val, usable, progress)
        results = [(s, a == y_val) for s, a in zip(usable, answers, strict=True)]
    else:
        for done, setting in enumerate(usable, 1):
            answer = methods.build(name, setting).fit(X, y).predict(X_val)
            results.append((setting, np.asarray(answer == y_val)))
            if progress:
                progress(done, len(usable))
            if budget is not None and (time.perf_counter() - start) * (1 + 1 / done) > budget:
                break
    return results


def _too_many_neighbours(setting: Mapping[str, Any], n: int) -> bool:
    return int(setting.get("k", 1)) > n


def _affordable(
    name: str,
    X: NDArray[Any],
    y: NDArray[np.int64],
    X_val: NDArray[Any],
    y_val: NDArray[np.int64],
    grid: Mapping[str, Sequence[Any]],
    fixed: Mapping[str, Any],
    budget: float,
    seed: int,
) -> NDArray[np.int64]:
    """Validation rows that can be judged within the budget, at least `PILOT` of them."""
    order = np.random.default_rng(seed).permutation(len(X_val))
    pilot = order[:PILOT]
    _try_all(name, X, y, X_val[pilot[:4]], y_val[pilot[:4]], grid, fixed, None)  # warm-up
    start = time.perf_counter()
    _try_all(name, X, y, X_val[pilot], y_val[pilot], grid, fixed, None)
    seconds = time.perf_counter() - start
    fits = int(PILOT * budget / max(seconds, 1e-9))
    return np.sort(order[: min(len(order), max(PILOT, fits))])


def plain(preprocess: Preprocess) -> dict[str, Any]:
    """Preprocessing as plain values, for tables and JSON."""
    return dataclasses.asdict(preprocess)
