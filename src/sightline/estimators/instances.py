"""Find objects with their masks: any such network of the registry as an estimator on data sets."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.data.annotation import Annotation
from sightline.data.dataset import Dataset
from sightline.estimators.detect import Detector
from sightline.estimators.instances_network import InstanceNetwork, true_masks
from sightline.metrics.instances import Evaluation
from sightline.metrics.instances_table import Masks
from sightline.types import Frame, Task

if TYPE_CHECKING:
    from sightline.estimators.network import NetworkMethod


class InstanceSegmenter(Detector):
    """A method that finds objects in pictures, with a mask, a class and a score."""

    task = Task.INSTANCES
    network = InstanceNetwork
    outline = "mask"

    @classmethod
    def network_of(cls, name: str) -> type[NetworkMethod]:
        """Return the class that makes a network a method of this task."""
        return InstanceNetwork

    @classmethod
    def teaches(cls, known: Annotation) -> bool:
        """Tell whether a picture's annotation has a mask to learn from that is no crowd's."""
        crowd = np.zeros(len(known.boxes), np.bool_) if known.crowd is None else known.crowd
        shapes = known.shapes or [None] * len(known.boxes)
        drawn = any(s is not None and not c for s, c in zip(shapes, crowd, strict=True))
        return drawn or known.instances is not None

    @classmethod
    def pretrained_command(cls, data: str) -> str | None:
        """Return None: no method of this task stands on features of a trained network."""
        return None

    def answers(  # type: ignore[override]  # objects with masks, not with boxes alone
        self, X: NDArray[np.uint8], frames: Sequence[Frame]
    ) -> list[Masks]:
        """Find objects in prepared images, shape (N, H, W, C), in the pixels of the pictures."""
        method: InstanceNetwork = self.method_
        return method.masked(method.model, self.fitted_(X), frames, self.classes_)

    def truth(
        self, data: Dataset, row: int, size: tuple[int, int], numbers: NDArray[np.int64]
    ) -> Masks:
        """Return the annotated objects of a picture, with the model's numbers of their classes."""
        masks = true_masks(data, row, size)
        return dataclasses.replace(masks, labels=numbers[masks.labels], classes=self.classes_)

    def measured(
        self, data: Dataset, truth: Sequence[Any], answers: Sequence[Any],
        rows: NDArray[np.int64], thresholds: NDArray[np.float64] | None,
    ) -> Evaluation:  # fmt: skip
        """Measure answers by what `truth` returned; see `Evaluation.of`."""
        names = [data.source.items[row].id for row in rows.tolist()]
        return Evaluation.of(truth, answers, rows, thresholds=thresholds, names=names)
