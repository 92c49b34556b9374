"""Define what the training loop asks of a source of batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Batch = Any
"""What a feed gives and the loss of its task understands."""


class Feed(Protocol):
    """The interface of a source of batches, epoch by epoch.

    The order and the draws of an epoch depend on the seed and the epoch alone, so that a resumed
    training sees what the uninterrupted one would have seen. With several processes each takes its
    part of every batch.

    Attributes
    ----------
    n : int
        Images of an epoch.
    seed : int
    waited : float
        Seconds that the loop has spent in waiting for batches, since it was set to 0.
    done : float
        Share of the training that was over when the epoch began; the loop sets it.
    """

    n: int
    seed: int
    waited: float
    done: float

    @property
    def steps(self) -> int:
        """Return the number of batches of an epoch."""

    @property
    def digest(self) -> str:
        """Return sixteen hex digits that differ for other images or targets."""

    def epoch(self, epoch: int, first: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch, from the one numbered `first` on."""

    def parts(self, batch: Batch, n: int) -> Sequence[Batch]:
        """Split a batch into at most n parts of like size, which are computed one after another."""

    def size(self, batch: Batch) -> int:
        """Return the number of images of a batch, or of a part of one."""


def steps_of(images: int, batch_size: int, processes: int = 1) -> int:
    """Return the number of batches of an epoch; the last one may be smaller.

    A last one of a single image a process is none: batch normalisation cannot learn from one image.
    Which image so waits for the next epoch is by chance, as the order is.

    Examples
    --------
    >>> steps_of(10, 4), steps_of(9, 4), steps_of(1, 4)
    (3, 2, 1)
    """
    whole, rest = divmod(images, batch_size)
    return max(whole + (rest >= 2 * processes), 1)


def parts_of(images: int, parts: int) -> list[slice]:
    """Return a batch in at most so many parts of like size, none of a single image.

    Examples
    --------
    >>> [part.stop - part.start for part in parts_of(13, 6)]
    [3, 2, 2, 2, 2, 2]
    """
    edges = np.array_split(np.arange(images), max(1, min(parts, images // 2)))
    return [slice(int(edge[0]), int(edge[-1]) + 1) for edge in edges if len(edge)]


def order_of(
    images: int, seed: int, epoch: int, chance: NDArray[np.float64] | None = None
) -> NDArray[np.int64]:
    """Return the places of an epoch's images: each once, or drawn by their chance of each draw."""
    random = np.random.default_rng([seed, epoch])
    if chance is None:
        return random.permutation(images)
    return random.choice(images, images, p=chance)
