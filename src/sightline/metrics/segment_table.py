"""Count pixels by true class and answer: one confusion matrix for every figure of segmentation.

A pixel counts where its truth is a class that is not ignored: the truth alone decides. An answer
there that is none of the classes, or one that is ignored, is wrong for the true class, and no other
class's fault.

With h of a class's pixels answered rightly, t true and a answered ones, its accuracy is h / t, its
IoU h / (t + a - h) and Dice's coefficient 2 h / (t + a). A class that is in neither truth nor
answer has none, and is left out of means.

Sources: M. Everingham et al., The Pascal visual object classes challenge, IJCV 111, 2015 (IoU over
all pixels of a data set); J. Long, E. Shelhamer & T. Darrell, Fully convolutional networks for
semantic segmentation, CVPR 2015 (pixel and mean accuracy, frequency-weighted IoU); L. R. Dice,
Ecology 26, 1945.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataError
from sightline.metrics import bootstrap
from sightline.metrics.segment_boundary import boundary_f1
from sightline.types import IGNORE

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

FIGURES = ("miou", "pixel_accuracy", "mean_accuracy", "frequency_weighted_iou", "dice",
           "boundary_f1")  # fmt: skip
"""Of all classes and images."""

_AT_ONCE = 1 << 20  # pixels: so much is counted in one go, whatever the picture's size


@dataclass(frozen=True, slots=True)
class PixelTable:
    """The counted pixels of some images.

    Parameters
    ----------
    confusion : int64 array, shape (C, C + 1)
        Pixels of each true class (row) by answer; the last column is none of the classes.
    hits, true, answered : int64 array, shape (N, C)
        Of each image, pixels of each class: answered rightly, true, answered.
    boundaries : float64 array, shape (N, C)
        Boundary F1; nan where undefined.
    """

    confusion: Rows
    hits: Rows
    true: Rows
    answered: Rows
    boundaries: Floats

    @classmethod
    def of(cls, images: Iterable[tuple[Rows, Floats]]) -> PixelTable:
        """Collect what `count` returned of images, one after the other.

        Parameters
        ----------
        images : iterable of (int64 array, shape (C, C + 1); float64 array, shape (C,))

        Raises
        ------
        DataError
            When there is no image.
        """
        confusion, sums = np.zeros(0, np.int64), list[tuple[NDArray[Any], ...]]()
        for counts, boundaries in images:
            confusion = confusion + counts if sums else counts
            sums.append((*margins(counts), boundaries))
        if not sums:
            raise DataError("there is no image to measure on")
        hits, true, answered, boundaries = (np.stack(part) for part in zip(*sums, strict=True))
        return cls(confusion, hits, true, answered, boundaries)

    @property
    def present(self) -> NDArray[np.bool_]:
        """Return which classes are in the truth or the answers, shape (C,)."""
        return np.asarray((self.confusion.any(1)) | self.confusion[:, :-1].any(0))

    @property
    def judged(self) -> Rows:
        """Return how many pixels of each image count, shape (N,)."""
        return np.asarray(self.true.sum(1))

    def by_class(self) -> dict[str, Floats]:
        """Compute figures of each class, shape (C,) each: see `of_classes`, and ``boundary_f1``."""
        figures = of_classes(*margins(self.confusion))
        return figures | {"boundary_f1": bootstrap.mean(self.boundaries, 0)}

    def by_image(self) -> Floats:
        """Compute the mean IoU of each image, shape (N,); nan where no pixel counts."""
        return bootstrap.mean(of_classes(self.hits, self.true, self.answered)["iou"])

    def figures(self, counts: Rows) -> dict[str, Floats]:
        """Compute figures over all classes, of images drawn with repeats.

        Parameters
        ----------
        counts : int64 array, shape (draws, N)
            How often each image is drawn.

        Returns
        -------
        dict of str to float64 array, shape (draws,)
            Those of `FIGURES`; nan where undefined.
        """
        hits, true, answered = (counts @ part for part in (self.hits, self.true, self.answered))
        each = of_classes(hits, true, answered)
        with np.errstate(invalid="ignore", divide="ignore"):
            total = true.sum(-1)
            accuracy = hits.sum(-1) / total
            weighted = np.nansum(true * each["iou"], -1) / total
        boundary = bootstrap.mean(bootstrap.mean(self.boundaries), counts=counts)
        means = (bootstrap.mean(each["iou"]), accuracy, bootstrap.mean(each["accuracy"]), weighted,
                 bootstrap.mean(each["dice"]), boundary)  # fmt: skip
        return dict(zip(FIGURES, means, strict=True))


def margins(confusion: Rows) -> tuple[Rows, Rows, Rows]:
    """Return the pixels of each class that are answered rightly, true, answered: shape (C,) each.

    Parameters
    ----------
    confusion : int64 array, shape (C, C + 1)
    """
    return np.diagonal(confusion).copy(), confusion.sum(1), confusion[:, :-1].sum(0)


def of_classes(hits: Rows, true: Rows, answered: Rows) -> dict[str, Floats]:
    """Compute figures of classes from their pixels, arrays of one shape; nan where undefined.

    Returns
    -------
    dict of str to float64 array
        ``iou``, ``dice``, ``accuracy`` (recall) and ``precision``.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "iou": hits / (true + answered - hits),
            "dice": 2 * hits / (true + answered),
            "accuracy": hits / true,
            "precision": hits / answered,
        }


def count(
    truth: NDArray[Any], answer: NDArray[Any], classes: int, *, ignored: Sequence[int] = (),
    name: str = "an image",
) -> tuple[Rows, Floats]:  # fmt: skip
    """Count the pixels of an image by true class and answer, and measure its boundaries.

    Parameters
    ----------
    truth, answer : integer array, shape (H, W)
        Class ids; 255 is none of them.
    classes : int
    ignored : sequence of int
        Classes that do not count: their true pixels are left out.
    name : str
        What an error calls the image.

    Returns
    -------
    confusion : int64 array, shape (C, C + 1)
        The last column: answered as none of the classes that count.
    boundaries : float64 array, shape (C,)
        See `boundary_f1`.

    Raises
    ------
    DataError
        When the sizes differ, or a value is no class.

    Examples
    --------
    >>> count(np.array([[0, 1], [1, 255]]), np.array([[0, 1], [0, 1]]), 2)[0].tolist()
    [[1, 0, 0], [1, 1, 0]]
    """
    if truth.shape != answer.shape or truth.ndim != 2:
        raise DataError(
            f"{name}: the truth is {_size(truth)} pixels and the answer {_size(answer)}; they must "
            "be label maps of one size"
        )
    ids = _ids(classes, ignored)
    true, said = np.empty(truth.shape, ids.dtype), np.empty(truth.shape, ids.dtype)
    confusion = np.zeros((classes + 1) ** 2, np.int64)
    rows = max(1, _AT_ONCE // max(1, truth.shape[1]))
    for start in range(0, len(truth), rows):
        part = slice(start, start + rows)
        true[part] = _looked_up(truth[part], ids, classes, name, "truth")
        said[part] = _looked_up(answer[part], ids, classes, name, "answer")
        pairs = true[part].ravel().astype(np.int64) * (classes + 1) + said[part].ravel()
        confusion += np.bincount(pairs, minlength=len(confusion))
    table = confusion.reshape(classes + 1, classes + 1)[:-1]
    return table, boundary_f1(true, said, true < classes, classes)


def _ids(classes: int, ignored: Sequence[int]) -> NDArray[np.integer[Any]]:
    """Return the column of each value: C for those that are to be ignored, -1 for no class."""
    kind = np.int16 if classes < 2**15 - 1 else np.int32
    ids: NDArray[np.integer[Any]] = np.full(max(classes, IGNORE + 1), -1, kind)
    ids[:classes] = np.arange(classes)
    ids[[*ignored, IGNORE]] = classes
    return ids


def _looked_up(
    values: NDArray[Any], ids: NDArray[np.integer[Any]], classes: int, name: str, what: str
) -> NDArray[np.integer[Any]]:
    """Return the column of each pixel's value."""
    if values.dtype.kind not in "iub":
        raise DataError(
            f"{name}: the {what} holds numbers of the kind {values.dtype}, not class ids; decide "
            "for a class first, and never interpolate between ids"
        )
    kept = values.astype(np.uint8) if values.dtype.kind == "b" else values
    odd = (kept < 0) | (kept >= len(ids))
    columns = ids[np.where(odd, 0, kept)]
    odd |= columns < 0
    if odd.any():
        raise DataError(
            f"{name}: the {what} has the value {kept[odd][0]}, which is none of the {classes} "
            f"classes (0 to {classes - 1}; {IGNORE} is ignored)"
        )
    return columns


def _size(values: NDArray[Any]) -> str:
    return (
        " x ".join(str(n) for n in values.shape[1::-1]) if values.ndim == 2 else str(values.shape)
    )
