"""Say which of several labels pictures have: any such method as an estimator on data sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from sightline.data.dataset import Dataset, Split
from sightline.data.label_sets import label_table, serves
from sightline.data.load import check_task
from sightline.data.transforms import Fitted
from sightline.errors import DataError
from sightline.estimators.base import AT_ONCE, Answers, Estimator, Fitting
from sightline.estimators.multilabel_network import LabelNetwork
from sightline.estimators.predictions import check_split, class_numbers
from sightline.metrics.multilabel import Evaluation, best_thresholds
from sightline.models import carried
from sightline.types import Frame, Labels, Progress, Task

if TYPE_CHECKING:
    from sightline.training.engine import Training


class Labeller(Estimator):
    """A method that says which labels a picture has; see `Estimator`."""

    task = Task.MULTILABEL
    network = LabelNetwork
    views = True

    @classmethod
    def check_serves(cls, data: Dataset) -> None:
        """Refuse data that does not say of each picture which labels it has.

        Raises
        ------
        DataError
        """
        if not serves(data):
            check_task(data, cls.task)

    @classmethod
    def check(cls, train: Split) -> None:
        """Refuse a training split in which no picture has any label.

        Raises
        ------
        DataError
        """
        super().check(train)
        if not label_table(train).any():
            raise DataError(f"{train.data.name}/{train.name} has no picture with a label")

    @classmethod
    def pretrained_command(cls, data: str) -> str | None:
        """Return the command that compares by features of a trained network, or brings it."""
        if carried.installed(carried.EXTRA):
            return f"sightline compare {data} labels-knn labels-logistic"
        return carried.INSTALL

    def learn(self, train: Split, val: Split | None, how: Fitting) -> int:
        """Fit the method on the split's pictures and labels; return the number of pictures."""
        fitted = self.fitted_
        X, _, rows = train.arrays(fitted.size, fitted.resize, how.progress)
        more = how.for_method(self.method_)
        if "X_val" in self.method_.takes and val is not None:
            held, _, own = val.arrays(fitted.size, fitted.resize)
            more |= {"X_val": fitted(held), "y_val": _labels(val, own)}
        Y = _labels(train, rows)
        self.method_.fit(fitted(X, how.progress), Y, **more)
        absent = [self.classes_[k] for k in np.flatnonzero(~Y.any(0)).tolist()]
        if absent:
            rest = " ..." if len(absent) > 5 else ""
            self.method_.remarks = [
                *self.method_.remarks,
                f"no training image has the label {', '.join(absent[:5])}{rest}: it cannot be "
                "learned",
            ]
        return len(X)

    def training_of(self, method: Any, train: Split, fitted: Fitted) -> Training:
        """Return the training of a network that was just made; see `training`."""
        X, _, rows = train.arrays(fitted.size, fitted.resize)
        return cast("Training", method.training(fitted(X), _labels(train, rows)))

    def answers(self, X: NDArray[np.uint8], frames: Sequence[Frame]) -> list[Labels]:
        """Say the labels of prepared images, shape (N, H, W, C)."""
        limits = self.thresholds or None
        return [
            Labels(p, self.classes_, limits) for p in self.method_.probabilities(self.fitted_(X))
        ]

    def evaluate(
        self, split: Split, progress: Progress | None = None, *, answers: Answers | None = None
    ) -> Evaluation:
        """Say the labels of every picture of a split, and measure the answers.

        Raises
        ------
        DataError
            When the split is empty, has labels that the model does not know, or has none at all.
        """
        check_split(split, "split")
        self.check_serves(split.data)
        fitted = self.fitted()
        if not len(split):
            raise DataError(f"{split.data.name}/{split.name} has no image to measure on")
        numbers = class_numbers(split, self.classes_)
        unread: dict[int, str] = {}
        said, rows = list[NDArray[np.float32]](), list[int]()
        for part in split.batches(fitted.size, fitted.resize, AT_ONCE, unread=unread):
            given = (answers or self.answers)(part.X, part.frames)
            said += [cast(Labels, one).probabilities for one in given]
            rows += part.rows.tolist()
            if progress:
                progress(len(rows), len(split))
        self.note_unread(unread, len(split))
        truth = np.zeros((len(rows), len(self.classes_)), np.bool_)
        truth[:, numbers] = _labels(split, np.array(rows, np.int64))
        limits = np.array(self.thresholds) if self.thresholds else None
        return Evaluation.of(np.stack(said), truth, np.array(rows), self.classes_, limits)

    def tune_thresholds(self, measured: Any) -> Evaluation:
        """Choose for each label the threshold with its highest F1; a run keeps them.

        Parameters
        ----------
        measured : Evaluation or Split
            Of validation images.

        Returns
        -------
        Evaluation
            The same answers, told by the thresholds.
        """
        e = measured if isinstance(measured, Evaluation) else self.evaluate(measured)
        limits = best_thresholds(e.probabilities, e.truth)
        self.thresholds = tuple(limits.tolist())
        return e.with_thresholds(limits)


def _labels(split: Split, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return the labels of some rows of a split's source, shape (N, K)."""
    return label_table(Split(split.data, split.name, rows))
