"""Fit the epochs of a training to the time that there is for it."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from sightline.training.feed import Feed
from sightline.training.recipe import Recipe

PILOT = 4
"""Steps that are timed before the training begins."""

USED = 0.97
"""Share of the budget that the epochs may take; the rest is for the last measurements."""


class Timed(Protocol):
    """What is asked of a training whose time is bounded: `sightline.training.engine.Training`."""

    recipe: Recipe
    feed: Feed
    plain: Any

    @property
    def judges(self) -> Mapping[str, Any]:
        """Return what is measured after each epoch."""

    def untouched(self) -> AbstractContextManager[None]:
        """Restore everything afterwards."""

    def advance(self, batch: Any, lr: float) -> Any:
        """Take a step."""

    def synchronise(self) -> None:
        """Wait for the device."""

    def last_for(self, epochs: float) -> None:
        """Set the epochs."""


class Budget:
    """The time of a training, and the epochs that fit into it.

    A few steps and a validation are timed on a copy, before anything is learned. They are a
    handful, on a processor that is cool and with caches that are not, so that the first whole
    epoch, which says better what the others will take, sets the epochs once more.

    Parameters
    ----------
    training : Training
        Not begun.
    seconds : float
    stretch : float
        How many times its recipe's epochs it may have where there is time for them.
    """

    def __init__(self, training: Timed, seconds: float, stretch: float = 1.0) -> None:
        self.training, self.most = training, stretch * training.recipe.epochs
        self.deadline = time.perf_counter() + USED * seconds
        self._set(self._left() / self._pilot())

    def look_again(self, seconds: float) -> None:
        """Set the epochs by what the first of them took."""
        self._set(1 + self._left() / seconds)

    def _left(self) -> float:
        return max(self.deadline - time.perf_counter(), 0.0)

    def _set(self, epochs: float) -> None:
        least = max(1 / self.training.feed.steps, 0.01)
        self.training.last_for(min(self.most, max(math.floor(100 * epochs) / 100, least)))

    def _pilot(self) -> float:
        """Return the seconds that an epoch seems to take."""
        training, times = self.training, []
        with training.untouched():
            start = time.perf_counter()
            for judge in training.judges.values():
                judge(training.plain)
            validation = time.perf_counter() - start
            training.plain.train()  # judges have left it as it answers
            for batch in training.feed.epoch(0):
                start = time.perf_counter()
                training.advance(batch, 0.0)
                training.synchronise()
                times.append(time.perf_counter() - start)
                if len(times) > PILOT:
                    break
        steady = sorted(times[1:] or times)
        return steady[len(steady) // 2] * training.feed.steps + validation
