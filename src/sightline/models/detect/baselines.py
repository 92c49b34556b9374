"""Answer without looking: the floor that detectors are measured against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from sightline.models.method import Method
from sightline.types import Detections

Given = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]
"""Boxes (K, 4), xyxy in pixels of the image, scores (K,) and labels (K,) of one image."""


class AverageBox(Method):
    """Answer with the mean box of each class, whatever the image shows.

    Attributes
    ----------
    boxes_ : float64 array, shape (K, 4)
        Mean of the training objects of each class that occurs, xyxy in shares of the sides.
    scores_ : float64 array, shape (K,)
        Share of the training images that have such an object.
    classes_ : int64 array, shape (K,)
    """

    floor: ClassVar[bool] = True
    boxes_: NDArray[np.float64]
    scores_: NDArray[np.float64]

    def fit(self, X: NDArray[np.uint8], truth: Sequence[Detections]) -> Self:
        """Average the objects of each class.

        Parameters
        ----------
        X : uint8 array, shape (N, H, W, C)
        truth : sequence of Detections
            Of each training image, in its pixels.
        """
        height, width = X.shape[1:3]
        labels = np.concatenate([np.zeros(0, np.int64), *(t.labels for t in truth)])
        boxes = np.concatenate([np.zeros((0, 4)), *(t.boxes for t in truth)])
        self.classes_ = np.unique(labels)
        shares = boxes / np.array([width, height, width, height])
        self.boxes_ = np.stack([shares[labels == c].mean(0) for c in self.classes_])
        having = [np.mean([(t.labels == c).any() for t in truth]) for c in self.classes_]
        self.scores_ = np.array(having, np.float64)
        return self

    def detect(self, X: NDArray[np.uint8]) -> list[Given]:
        """Answer for images, shape (N, H, W, C)."""
        height, width = X.shape[1:3]
        boxes = (self.boxes_ * np.array([width, height, width, height])).astype(np.float32)
        return [(boxes, self.scores_.astype(np.float32), self.classes_)] * len(X)
