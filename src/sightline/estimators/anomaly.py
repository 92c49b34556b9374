"""Tell pictures that are not as they should be: a method that learns from good ones alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from sightline.counting import counted
from sightline.data.dataset import Dataset, Split
from sightline.data.load import check_task
from sightline.data.normal import NAMES, normal_class
from sightline.data.transforms import Fitted
from sightline.errors import DataError, ParameterError
from sightline.estimators.anomaly_network import AnomalyNetwork
from sightline.estimators.backbone import Backbone
from sightline.estimators.base import Answers, Estimator, Fitting
from sightline.estimators.network import not_read
from sightline.estimators.predictions import check_split
from sightline.metrics.anomaly import Evaluation, Judged
from sightline.metrics.anomaly_threshold import Limit
from sightline.models import carried
from sightline.models.anomaly.method import AnomalyMethod, of_images
from sightline.types import IGNORE, Anomaly, Frame, Progress, Task

if TYPE_CHECKING:
    from sightline.training.engine import Training

PART = 32
"""Pictures that are read and looked at at a time."""

HELD = 5
"""Where there is no validation, one of so many good pictures is held back for the threshold."""


class AnomalyDetector(Estimator):
    """A method that tells odd pictures from good ones; see `Estimator`."""

    task = Task.ANOMALY
    network = AnomalyNetwork
    whole = "where a defect may lie"

    @classmethod
    def check_serves(cls, data: Dataset) -> None:
        """Refuse data in which no class is called as good pictures are.

        Raises
        ------
        DataError
        """
        if Task.CLASSIFY not in data.tasks:
            check_task(data, cls.task)
        if normal_class(data.classes) is None:
            raise DataError(
                f"{data.name} has no class of good pictures, but {_listed(data.classes)}; call one "
                f"{', '.join(NAMES[:3])} or 正常"
            )

    @classmethod
    def check(cls, train: Split) -> None:
        """Refuse a training split with fewer than two good pictures.

        Raises
        ------
        DataError
        """
        super().check(train)
        number = len(_good(train))
        name = train.data.classes[cast(int, normal_class(train.data.classes))]
        if number < 2:
            what = "no picture" if not number else "one picture alone"
            raise DataError(
                f"{train.data.name}/{train.name} has {what} of the class {name!r}; one to learn "
                "from and one to set the threshold by is the least"
            )

    @classmethod
    def classes_of(cls, data: Dataset) -> tuple[str, ...]:
        """Return what a picture may be: as the good ones, or an anomaly."""
        return (data.classes[cast(int, normal_class(data.classes))], "anomaly")

    @classmethod
    def pretrained_command(cls, data: str) -> str | None:
        """Return the command that compares by features of a trained network, or brings it."""
        if carried.installed(carried.EXTRA):
            return f"sightline compare {data} patchcore padim knn-features"
        return carried.INSTALL

    def learn(self, train: Split, val: Split | None, how: Fitting) -> int:
        """Fit the method on the split's good pictures, and set its threshold by held-back ones."""
        good, held, said = _held_back(train, val)
        unread: dict[int, str] = {}
        method = self._method
        if isinstance(method, AnomalyNetwork):
            count = method.learn(good, held if len(held) else None, self.fitted_, how)
        else:
            parts = self._parts(good, unread, how.progress)
            cast(Any, method).fit(parts, len(good), **how.for_method(method))
            count = len(good) - len(unread)
            method.remarks = [*method.remarks, *not_read(good, self.fitted_, unread)]
        distances = [of_images(method.distances(seen)) for seen in self._parts(held, unread, None)]
        if not distances:
            raise DataError(f"no good picture of {held.data.name}/{held.name} can be read")
        limit = method.decide_by(np.concatenate(distances))
        method.remarks = [*method.remarks, *said, limit_said(limit)]
        return count

    def _parts(
        self, split: Split, unread: dict[int, str], progress: Progress | None
    ) -> Iterator[NDArray[Any]]:
        """Yield what the method sees of a split's pictures, part by part."""
        fitted, done = self.fitted_, 0
        if self._method.sees == "rows" and len(split):  # kept by content, all at once
            yield np.asarray(fitted(split.arrays(fitted.size, fitted.resize).X, progress))
            return
        for part in split.batches(fitted.size, fitted.resize, PART, unread=unread):
            yield self._seen(part.X)
            done += len(part.X)
            if progress:
                progress(done, len(split))

    def _seen(self, X: NDArray[np.uint8]) -> NDArray[Any]:
        """Return what the method sees of prepared images, shape (N, H, W, C)."""
        sees, embed = self._method.sees, self.fitted_.embed
        if sees == "pixels":
            return X
        if not isinstance(embed, Backbone):
            raise ParameterError(
                f"{self.name} compares features of a trained network; name it with features=..."
            )
        return embed.patches(X) if sees == "patches" else np.asarray(self.fitted_(X))

    @property
    def _method(self) -> AnomalyMethod:
        return cast(AnomalyMethod, self.method_)

    def training_of(self, method: Any, train: Split, fitted: Fitted) -> Training:
        """Return the training of a network that was just made; see `training`."""
        good, _, _ = _held_back(train, None)
        return cast("Training", method.training(good, fitted, None, Fitting()))

    def answers(self, X: NDArray[np.uint8], frames: Sequence[Frame]) -> list[Anomaly]:
        """Grade prepared images, shape (N, H, W, C), and their places."""
        made = list[Anomaly]()
        for start in range(0, len(X), PART * 8):
            scores, heat = self._method.judged(self._seen(X[start : start + PART * 8]))
            maps = [None] * len(scores) if heat is None else enlarged(heat, self.fitted_.size)
            made += [
                Anomaly(float(score), one, frame)
                for score, one, frame in zip(
                    scores, maps, frames[start : start + PART * 8], strict=True
                )
            ]
        return made

    def evaluate(
        self, split: Split, progress: Progress | None = None, *, answers: Answers | None = None
    ) -> Evaluation:
        """Grade every picture, and measure the grades; of places where the masks are known.

        Raises
        ------
        DataError
            When the split is empty, or no class of it is called as good pictures are.
        """
        check_split(split, "split")
        self.check_serves(split.data)
        fitted = self.fitted()
        if not len(split):
            raise DataError(f"{split.data.name}/{split.name} has no image to measure on")
        classes, normal = split.data.classes, cast(int, normal_class(split.data.classes))
        order = [normal, *(c for c in range(len(classes)) if c != normal)]
        kinds = np.argsort(order)
        unread: dict[int, str] = {}

        def judged() -> Iterator[Judged]:
            done = 0
            for part in split.batches(fitted.size, fitted.resize, PART * 8, unread=unread):
                given = (answers or self.answers)(part.X, part.frames)
                for row, label, said in zip(part.rows.tolist(), part.y, given, strict=True):
                    kind, answer = int(kinds[label]), cast(Anomaly, said)
                    yield Judged(row, kind, answer, _defect(split, row, kind, answer.frame.size))
                    done += 1
                    if progress:
                        progress(done, len(split))

        evaluation = Evaluation.of(judged(), tuple(classes[c] for c in order))
        self.note_unread(unread, len(split))
        return evaluation


def enlarged(heat: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return maps (N, h, w) at a model's size (height, width), bilinearly.

    Parameters
    ----------
    heat : float32 array, shape (N, h, w)
    size : (height, width)
    """
    import torch
    from torch.nn import functional

    x = torch.from_numpy(np.ascontiguousarray(heat))[:, None]
    out = functional.interpolate(x, size, mode="bilinear", align_corners=False)
    return out[:, 0].numpy()


def limit_said(limit: Limit) -> str:
    """Describe a threshold in one line."""
    said = (
        f"threshold set by {counted(limit.held, 'held-back good picture')}: "
        f"{limit.expected:.1%} of good pictures exceed it on average (95% interval of this one's "
        f"rate {limit.low:.1%} to {limit.high:.1%})"
    )
    if limit.reached:
        return said
    return f"{said}; a rate of {limit.wished:.2%} needs {limit.needed:,} of them at least"


def _good(split: Split) -> NDArray[np.intp]:
    """Return the positions of a split's good pictures."""
    return np.flatnonzero(split.labels == normal_class(split.data.classes))


def _held_back(train: Split, val: Split | None) -> tuple[Split, Split, list[str]]:
    """Return good pictures to learn from, good ones for the threshold, and what was left out."""
    good = _good(train)
    said = []
    if left := len(train) - len(good):
        said.append(
            f"{counted(left, 'training picture')} of defects left out, as only good ones teach"
        )
    if val is not None and len(held := _good(val)):
        return train.take(good), val.take(held), said
    held = good[HELD - 1 :: HELD] if len(good) >= HELD else good[-1:]
    said.append(
        f"without good validation pictures {counted(len(held), 'training picture')} held back for "
        "the threshold"
    )
    return train.take(np.setdiff1d(good, held)), train.take(held), said


def _defect(split: Split, row: int, kind: int, size: tuple[int, int]) -> NDArray[np.bool_] | None:
    """Return which pixels of a picture a defect has changed; None: nobody says."""
    if not kind:
        return np.zeros(size, np.bool_)
    data = split.data
    if Task.ANOMALY not in data.tasks or data.source.items[row].annotation is None:
        return None
    labels = data.segmentation(row, size).label_map
    return None if (labels == IGNORE).all() else np.asarray(labels == 1)


def _listed(classes: Sequence[str]) -> str:
    more = f" and {len(classes) - 5} more" if len(classes) > 5 else ""
    return ", ".join(map(repr, classes[:5])) + more if classes else "none"
