"""Define what of an answer is explained: one number that a network says of an image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Target:
    """One number of an answer, of which it is asked which pixels it comes from.

    What a network says of a batch is whatever the task's ``said`` returns; both functions make one
    number an image of it, and gradients flow through both.

    Parameters
    ----------
    name : str
        What it is to a reader, such as ``"box 2: dog"``.
    class_name : str
    label : int
        The output of the network that the class has.
    score : float
        What the answer gives it, in [0, 1].
    value : callable
        Computes the number to explain, float Tensor (N,): a logit, a box's score, a sum of logits.
    probability : callable
        Computes the same as a share in [0, 1], float Tensor (N,), for curves of images that lose
        their pixels.
    box : float32 array, shape (4,), optional
        xyxy in the pixels of the network's image, where it is about an object.
    region : bool array, shape (h, w), optional
        The pixels of the network's image that it is about.
    """

    name: str
    class_name: str
    label: int
    score: float
    value: Callable[[Any], Tensor]
    probability: Callable[[Any], Tensor]
    box: NDArray[np.float32] | None = None
    region: NDArray[np.bool_] | None = None
