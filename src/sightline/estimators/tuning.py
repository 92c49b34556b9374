"""Choose a method's knobs by what it gets right on images it has not learned from.

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

from sightline.data import splits
from sightline.data.dataset import Split
from sightline.data.transforms import Preprocess
from sightline.estimators import estimator_for
from sightline.estimators.base import Tried
from sightline.models import registry
from sightline.types import Progress


@dataclass(frozen=True, slots=True)
class Trial:
    """A setting and its figures on held-out images.

    Parameters
    ----------
    options : dict
        The method's knobs.
    preprocess : Preprocess
    figures : tuple of float
        The headline, one a fold.
    """

    options: dict[str, Any]
    preprocess: Preprocess
    figures: tuple[float, ...]

    @property
    def figure(self) -> float:
        """Return the mean of the figures over the folds."""
        return float(np.mean(self.figures))


@dataclass(frozen=True, slots=True)
class Tuned:
    """All trials, in the order tried; of equals the best is the one tried first.

    Parameters
    ----------
    trials : list of Trial
    seconds : float
    images : int
        Held-out images that each trial was judged by.
    metric : str
        Name of the figure that trials were judged by: the task's headline.
    share : bool
        Whether it is a share, in [0, 1].
    higher_is_better : bool
    """

    trials: list[Trial]
    seconds: float
    images: int
    metric: str = ""
    share: bool = True
    higher_is_better: bool = True

    @property
    def ranked(self) -> list[Trial]:
        """Return the trials, the best first; of equals the one tried first, the simpler."""
        return sorted(self.trials, key=lambda trial: trial.figure, reverse=self.higher_is_better)

    @property
    def best(self) -> Trial:
        """Return the best trial; of equals the one tried first, the simpler."""
        return self.ranked[0]

    def worst_and_best(self, trial: Trial) -> tuple[float, float]:
        """Return a trial's figures on its worst and on its best fold."""
        low, high = min(trial.figures), max(trial.figures)
        return (low, high) if self.higher_is_better else (high, low)


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
        Seconds; fewer images or fewer settings are tried, see `Estimator.try_settings`.
        `Tuned.images` and `Tuned.trials` say how many.
    seed : int
    progress : callable, optional
        Called with (settings tried, settings in all).
    """
    start = time.perf_counter()
    tried = estimator_for(name).try_settings(
        name, train, val, _settings(name, fixed), preprocess, budget=budget, seed=seed,
        progress=progress,
    )  # fmt: skip
    trials = [Trial(options, preprocess, (figure,)) for options, figure in tried.figures]
    return _tuned(trials, time.perf_counter() - start, tried.images, tried)


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

    Each fold's preprocessing takes mean and deviation from that fold's training part alone.
    Classes keep their proportions; images without labels, as of detection, are dealt by a seeded
    shuffle. Groups are never parted.
    """
    start = time.perf_counter()
    kind = estimator_for(name)
    parts = splits.folds(np.arange(len(train)), train.labels, folds, seed, train.groups)
    steps = len(preprocess) * len(parts)
    scores: dict[int, list[float]] = {}
    settings: list[tuple[dict[str, Any], Preprocess]] = []
    for p, before in enumerate(preprocess):
        for f, (learn, held) in enumerate(parts):
            tried = kind.try_settings(
                name, train.take(learn), train.take(held), _settings(name, fixed), before, seed=seed
            )
            if f == 0:
                first = len(settings)
                settings += [(options, before) for options, _ in tried.figures]
            for i, (_, figure) in enumerate(tried.figures):
                scores.setdefault(first + i, []).append(figure)
            if progress:
                progress(p * len(parts) + f + 1, steps)
    trials = [
        Trial(options, before, tuple(scores[i])) for i, (options, before) in enumerate(settings)
    ]
    return _tuned(trials, time.perf_counter() - start, len(train), tried)


def _tuned(trials: list[Trial], seconds: float, images: int, tried: Tried) -> Tuned:
    """Return the trials, with what the last of them says of the figure they were judged by."""
    return Tuned(trials, seconds, images, tried.metric, tried.share, tried.higher_is_better)


def grid_of(name: str) -> list[dict[str, Any]]:
    """Return every setting of a method's grid."""
    return list(_product(registry.card(name).grid))


def _settings(name: str, fixed: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return every setting of the grid's knobs that are not fixed, with the fixed ones."""
    open_ = {k: v for k, v in registry.card(name).grid.items() if k not in fixed}
    return [dict(fixed) | options for options in _product(open_)]


def _product(grid: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    for values in itertools.product(*grid.values()):
        yield dict(zip(grid, values, strict=True))


def plain(preprocess: Preprocess) -> dict[str, Any]:
    """Return preprocessing as plain values, for tables and JSON."""
    return dataclasses.asdict(preprocess)
