"""Say a number of pictures, with an interval: any such method as an estimator on data sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from sightline.counting import counted
from sightline.data.dataset import Dataset, Split
from sightline.data.load import check_task
from sightline.data.transforms import Fitted
from sightline.data.values import name_of, serves, values_of
from sightline.errors import DataError
from sightline.estimators.base import AT_ONCE, Answers, Estimator, Fitting
from sightline.estimators.predictions import check_split
from sightline.estimators.regress_network import ValueNetwork
from sightline.metrics.regress import Evaluation, reach
from sightline.models import carried
from sightline.models.regress.rows import ValueMethod
from sightline.types import Estimate, Frame, Progress, Task

if TYPE_CHECKING:
    from sightline.training.engine import Training

HELD = 5
"""Where there is no validation, one of so many training images is held back for the intervals."""


class Regressor(Estimator):
    """A method that says a number of a picture; see `Estimator`.

    Attributes
    ----------
    classes_ : tuple of one str
        What the number is called.
    """

    task = Task.REGRESS
    network = ValueNetwork
    views = True

    @classmethod
    def check_serves(cls, data: Dataset) -> None:
        """Refuse data that do not say a number of each picture.

        Raises
        ------
        DataError
        """
        if not serves(data):
            check_task(data, cls.task)

    @classmethod
    def check(cls, train: Split) -> None:
        """Refuse a training split with fewer than two pictures whose number is known.

        Raises
        ------
        DataError
        """
        super().check(train)
        known = int(np.isfinite(values_of(train)).sum())
        if known < 2:
            raise DataError(
                f"{train.data.name}/{train.name} has {counted(known, 'picture')} with a number; "
                "one to learn from and one to set the interval by is the least"
            )

    @classmethod
    def classes_of(cls, data: Dataset) -> tuple[str, ...]:
        """Return what the number is called."""
        return (name_of(data),)

    @classmethod
    def pretrained_command(cls, data: str) -> str | None:
        """Return the command that compares by features of a trained network, or brings it."""
        if carried.installed(carried.EXTRA):
            return f"sightline compare {data} value-knn value-ridge"
        return carried.INSTALL

    def learn(self, train: Split, val: Split | None, how: Fitting) -> int:
        """Fit the method on the split's pictures and numbers, and set its interval."""
        train, held, said = _held_back(train, val)
        fitted, method = self.fitted_, cast(ValueMethod, self.method_)
        X, _, rows = train.arrays(fitted.size, fitted.resize, how.progress)
        away, _, own = held.arrays(fitted.size, fitted.resize)
        more = how.for_method(method)
        if "X_val" in method.takes and val is not None:
            more |= {"X_val": fitted(away), "y_val": _numbers(held, own)}
        method.fit(fitted(X, how.progress), _numbers(train, rows), **more)
        off = np.abs(method.values(fitted(away)) - _numbers(held, own))
        method.off_ = np.sort(off)
        method.reach_ = np.array([reach(off, method.coverage)])
        least = int(np.ceil(method.coverage / (1 - method.coverage) - 1e-9))
        few = (
            f"; {method.coverage:.0%} needs {least:,} of them at least" if len(off) < least else ""
        )
        method.remarks = [
            *method.remarks, *said,
            f"intervals reach {method.reach_[0]:.4g} to each side, set by "
            f"{counted(len(off), 'held-back image')} to hold {method.coverage:.0%} of new "
            f"numbers{few}",
        ]  # fmt: skip
        return len(X)

    def training_of(self, method: Any, train: Split, fitted: Fitted) -> Training:
        """Return the training of a network that was just made; see `training`."""
        train, _, _ = _held_back(train, None)
        X, _, rows = train.arrays(fitted.size, fitted.resize)
        return cast("Training", method.training(fitted(X), _numbers(train, rows)))

    def answers(self, X: NDArray[np.uint8], frames: Sequence[Frame]) -> list[Estimate]:
        """Say the numbers of prepared images, shape (N, H, W, C)."""
        reached = float(self.method_.reach_[0])
        return [
            Estimate(value, value - reached, value + reached, self.classes_[0])
            for value in self.method_.values(self.fitted_(X)).tolist()
        ]

    def evaluate(
        self, split: Split, progress: Progress | None = None, *, answers: Answers | None = None
    ) -> Evaluation:
        """Say the number of every picture of a split, and measure the answers.

        Raises
        ------
        DataError
            When the split has no picture whose number is known.
        """
        check_split(split, "split")
        self.check_serves(split.data)
        fitted = self.fitted()
        known = split.take(np.flatnonzero(np.isfinite(values_of(split))))
        if not len(known):
            raise DataError(f"{split.data.name}/{split.name} has no image to measure on")
        unread: dict[int, str] = {}
        said, rows = list[Estimate](), list[int]()
        for part in known.batches(fitted.size, fitted.resize, AT_ONCE, unread=unread):
            said += cast(Sequence[Estimate], (answers or self.answers)(part.X, part.frames))
            rows += part.rows.tolist()
            if progress:
                progress(len(rows), len(known))
        self.note_unread(unread, len(known))
        value, low, high = ([getattr(one, n) for one in said] for n in ("value", "low", "high"))
        return Evaluation.of(value, low, high, _numbers(split, np.array(rows, np.int64)), rows)


def _numbers(split: Split, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the numbers of some rows of a split's source, shape (N,)."""
    return values_of(Split(split.data, split.name, rows))


def _held_back(train: Split, val: Split | None) -> tuple[Split, Split, list[str]]:
    """Return images to learn from and to set intervals by, and what was left out."""
    known = np.flatnonzero(np.isfinite(values_of(train)))
    said = []
    if left := len(train) - len(known):
        said.append(f"{counted(left, 'training image')} without a number left out")
    if val is not None and len(own := np.flatnonzero(np.isfinite(values_of(val)))):
        return train.take(known), val.take(own), said
    held = known[HELD - 1 :: HELD] if len(known) >= HELD else known[-1:]
    said.append(
        f"without validation images {counted(len(held), 'training image')} held back for the "
        "intervals"
    )
    return train.take(np.setdiff1d(known, held)), train.take(held), said
