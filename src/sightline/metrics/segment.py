"""Measure how right the classes of pixels are, and how sure that is.

Every figure comes from one confusion matrix over all images (`segment_table`), and from the
boundaries of the classes (`segment_boundary`).
"""

from __future__ import annotations

import functools
import heapq
import json
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sightline.counting import counted
from sightline.errors import DataError
from sightline.metrics import Metrics, bootstrap
from sightline.metrics.paired import Difference, bootstrap_difference, check_same_images
from sightline.metrics.segment_table import (
    Floats,
    PixelTable,
    Rows,
    count,
    margins,
    of_classes,
)
from sightline.types import Segmentation

WORST = 12
"""Images whose answers are kept, to be looked at: those with the lowest mean IoU."""

PAIRED_DRAWS = 1000
"""Resamples for the interval of a difference, whose ends are percentiles."""

_NAMED = 5  # images that a remark names


@dataclass(frozen=True)
class Evaluation:
    """Measured answers of a segmenter on a split.

    Parameters
    ----------
    metrics : Metrics
    table : PixelTable
        Counted pixels, in the order of `rows`.
    rows : int64 array, shape (N,)
        Rows of the data's source, to find the images again.
    classes : tuple of str
    names : tuple of str, length N
        What remarks call the images.
    ignored : tuple of int
        Classes that do not count.
    worst : dict of int to bytes and shape
        Position of each image that was answered worst, the worst first, and its answer, packed;
        `answer` unpacks it.
    """

    metrics: Metrics
    table: PixelTable
    rows: Rows
    classes: tuple[str, ...]
    names: tuple[str, ...]
    ignored: tuple[int, ...]
    worst: Mapping[int, tuple[bytes, tuple[int, int]]]

    def __repr__(self) -> str:
        return f"Evaluation({self.metrics})"

    @classmethod
    def of(
        cls, truth: Iterable[Segmentation], answers: Iterable[Segmentation], rows: Rows, *,
        ignored: Sequence[str] = (), names: Sequence[str] = (),
    ) -> Self:  # fmt: skip
        """Measure answers, and keep what they were measured by with the metrics.

        One image is looked at after the other, so that truth and answers may be iterators.

        Parameters
        ----------
        truth, answers : iterable of Segmentation
            Of each image, in one order, of the same classes and sizes.
        rows : int64 array, shape (N,)
        ignored : sequence of str, optional
            Classes that do not count: pixels that truly are of them are left out, as those with
            255 are; to answer one of them elsewhere is wrong for the true class alone.
        names : sequence of str, optional
            What errors and remarks call the images; else by their rows.

        Raises
        ------
        DataError
            When there is no image; numbers, classes or sizes differ; or a value is no class.
        """
        named = tuple(names) or tuple(f"image {row}" for row in np.asarray(rows).tolist())
        if not len(rows) == len(named) > 0:
            raise DataError(
                "rows and names must be of the same images, at least one, not of "
                f"{len(rows)} and {len(named)}"
            )
        return cls.of_images(_together(rows, named, truth, answers), ignored=ignored)

    @classmethod
    def of_images(cls, images: Iterable[Measured], *, ignored: Sequence[str] = ()) -> Self:
        """Measure answers that come one after the other; see `of`.

        Parameters
        ----------
        images : iterable of (row, name, truth, answer)
            So that an image that cannot be read may be left out as it is come to.
        ignored : sequence of str, optional
            Classes that do not count.

        Raises
        ------
        DataError
            When there is no image; classes or sizes differ; or a value is no class.
        """
        images = iter(images)
        first = next(images, None)
        if first is None:
            raise DataError("there is no image to measure on")
        classes, worst = first[2].classes, list[_Packed]()
        rows, names = list[int](), list[str]()
        out = _numbers(classes, ignored)

        def counted() -> Iterator[tuple[Rows, Floats]]:
            for i, (row, name, true, said) in enumerate(chain([first], images)):
                yield _counted(i, name, (true, said), classes, out, worst)
                rows.append(row)
                names.append(name)

        table = PixelTable.of(counted())
        kept = {
            i: (packed, shape) for _, i, packed, shape in sorted(worst, key=lambda w: (-w[0], w[1]))
        }
        return cls._measured(table, np.array(rows), classes, tuple(names), out, kept)

    @classmethod
    def _measured(
        cls, table: PixelTable, rows: Rows, classes: tuple[str, ...], names: tuple[str, ...],
        ignored: tuple[int, ...], worst: Mapping[int, tuple[bytes, tuple[int, int]]],
    ) -> Self:  # fmt: skip
        held = np.asarray(rows, np.int64)
        return cls(evaluate(table), table, held, classes, names, ignored, worst)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that a comparison saves."""
        told = {"classes": self.classes, "names": self.names, "ignored": self.ignored}
        packed = [answer for answer, _ in self.worst.values()]
        return {
            "rows": self.rows,
            "told": np.frombuffer(json.dumps(told).encode(), np.uint8),
            **{name: getattr(self.table, name) for name in _FIELDS},
            "worst.images": np.array(list(self.worst), np.int64),
            "worst.shapes": np.array([s for _, s in self.worst.values()], np.int64).reshape(-1, 2),
            "worst.lengths": np.array([len(answer) for answer in packed], np.int64),
            "worst.answers": np.frombuffer(b"".join(packed), np.uint8),
        }

    @classmethod
    def restored(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Make an evaluation of what `arrays` returned."""
        told = json.loads(bytes(arrays["told"]))
        packed, ends = bytes(arrays["worst.answers"]), arrays["worst.lengths"].cumsum().tolist()
        worst = {
            image: (packed[start:end], (height, width))
            for image, start, end, (height, width) in zip(
                arrays["worst.images"].tolist(), [0, *ends], ends,
                arrays["worst.shapes"].tolist(), strict=False,
            )
        }  # fmt: skip
        return cls._measured(
            PixelTable(**{name: arrays[name] for name in _FIELDS}), arrays["rows"],
            tuple(told["classes"]), tuple(told["names"]), tuple(told["ignored"]), worst,
        )  # fmt: skip

    def answer(self, image: int) -> Segmentation:
        """Return the answer on one of the images in `worst`.

        Parameters
        ----------
        image : int
            Position in `rows`.
        """
        packed, shape = self.worst[image]
        values = np.frombuffer(zlib.decompress(packed), np.int32).reshape(shape)
        return Segmentation(values, self.classes)

    @property
    def remarks(self) -> list[str]:
        """Say what is left out of the figures, and where they are no better than guessing."""
        said = (self._unjudged(), self._ignored(), self._absent(), self._unasked(), self._guessed())
        return [remark for remark in said if remark]

    def _unjudged(self) -> str:
        """Say which images have no pixel that counts."""
        empty = [self.names[i] for i in np.flatnonzero(self.table.judged == 0)]
        if not empty:
            return ""
        if len(empty) == len(self.names):
            return "no image has a pixel that counts, so that nothing is measured"
        more = f" and {len(empty) - _NAMED:,} more" if len(empty) > _NAMED else ""
        return (
            f"{counted(len(empty), 'image')} without a pixel that counts, as all of the truth is "
            f"ignored: {', '.join(empty[:_NAMED])}{more}"
        )

    def _ignored(self) -> str:
        """Say which classes do not count."""
        named = ", ".join(self.classes[c] for c in self.ignored)
        return f"classes that do not count: {named}" if named else ""

    def _absent(self) -> str:
        """Say which classes are left out of the means."""
        named = ", ".join(self.classes[c] for c in self.absent)
        if not named or not self.table.judged.any():
            return ""
        return f"left out of the means, as neither truth nor answers have the class: {named}"

    def _unasked(self) -> str:
        """Say which classes were answered, though no pixel is of them."""
        true, said = self.table.true.sum(0), self.table.answered.sum(0)
        named = ", ".join(
            f"{self.classes[c]} ({counted(int(said[c]), 'pixel')})"
            for c in np.flatnonzero((true == 0) & (said > 0))
        )
        return f"answered where no pixel is of the class, which counts as an IoU of 0: {named}" if (
            named) else ""  # fmt: skip

    def _guessed(self) -> str:
        """Say where the answers are no better than one class everywhere."""
        true = self.table.true.sum(0)
        if not true.any():
            return ""
        guess = float(true.max() / true.sum()) / int((true > 0).sum())
        several = int((self.table.judged > 0).sum()) > 1
        least = self.metrics.interval[0] if several else self.metrics.headline
        if least > guess or (true > 0).sum() == 1:
            return ""
        above = "not above" if self.metrics.headline <= guess else "not shown to be above"
        return (
            f"a mean IoU of {self.metrics.headline:.1%} is {above} that of answering "
            f"{self.classes[int(true.argmax())]} everywhere, {guess:.1%}"
        )

    @property
    def absent(self) -> tuple[int, ...]:
        """Return the classes in neither truth nor answers, but for those that do not count."""
        return tuple(c for c in np.flatnonzero(~self.table.present).tolist()
                     if c not in self.ignored)  # fmt: skip

    @property
    def beside(self) -> dict[str, str]:
        """Return what to read beside the headline, and why."""
        texts = {
            "pixel_accuracy": "the share of the pixels, of which frequent classes have the most",
            "boundary_f1": "how well outlines fit, which the area hardly shows",
        }
        return {name: text for name, text in texts.items() if name in self.metrics}

    @functools.cached_property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """Return the 95% interval of each of the metrics."""
        return intervals(self.table, self.metrics)

    @functools.cached_property
    def by_class(self) -> dict[str, Floats]:
        """Return figures of each class, shape (C,) each; nan where undefined.

        ``pixels`` (true ones), ``iou`` with the ends of its 95% interval ``iou_low`` and
        ``iou_high``, ``dice``, ``accuracy``, ``precision`` and ``boundary_f1``.
        """
        figures, n = self.table.by_class(), len(self.rows)
        counts = bootstrap.weights(n)
        drawn = of_classes(
            counts @ self.table.hits, counts @ self.table.true, counts @ self.table.answered
        )["iou"]
        ends = np.array([
            _interval(float(iou), of_class, self.table.judged)
            for iou, of_class in zip(figures["iou"], drawn.T, strict=True)
        ]).reshape(-1, 2)  # fmt: skip
        ends[np.isnan(figures["iou"])] = np.nan
        return {
            "pixels": self.table.true.sum(0).astype(np.float64), "iou": figures["iou"],
            "iou_low": ends[:, 0], "iou_high": ends[:, 1], "dice": figures["dice"],
            "accuracy": figures["accuracy"], "precision": figures["precision"],
            "boundary_f1": figures["boundary_f1"],
        }  # fmt: skip

    @functools.cached_property
    def by_image(self) -> Floats:
        """Return the mean IoU of each image, shape (N,); nan where no pixel counts."""
        return self.table.by_image()


_FIELDS = ("confusion", "hits", "true", "answered", "boundaries")


def differ(best: Evaluation, other: Evaluation, margin: float) -> Difference:
    """Return how much higher another method's mean IoU is on the same images; see `paired`.

    Where no pixel counts nothing is known of it: it may be anything from -1 to 1.

    Raises
    ------
    ParameterError
        When they are not of the same images, in one order.
    """
    check_same_images(best.rows, other.rows)
    if not best.table.judged.any():
        return Difference(0.0, -1.0, 1.0, len(best.rows), None)

    def of(table: PixelTable, rows: Rows) -> float:
        counts = np.bincount(rows, minlength=len(best.rows))
        hits, true, said = (counts @ part for part in (table.hits, table.true, table.answered))
        return float(bootstrap.mean(of_classes(hits, true, said)["iou"]))

    return bootstrap_difference(
        functools.partial(of, best.table), functools.partial(of, other.table), len(best.rows),
        margin, higher_is_better=True, draws=PAIRED_DRAWS,
    )  # fmt: skip


def evaluate(table: PixelTable) -> Metrics:
    """Measure the answers of a segmenter.

    Parameters
    ----------
    table : PixelTable

    Returns
    -------
    Metrics
        ``miou`` (the headline: the mean IoU over the classes that the truth or the answers have),
        ``pixel_accuracy``, ``mean_accuracy``, ``frequency_weighted_iou``, ``dice`` and
        ``boundary_f1``. An undefined figure is left out; ``miou`` is 0 where no pixel counts.
    """
    n = len(table.true)
    drawn = table.figures(np.ones((1, n), np.int64))
    figures = {name: float(value[0]) for name, value in drawn.items()}
    known = {name: value for name, value in figures.items() if not math.isnan(value)}
    metrics = Metrics({"miou": 0.0} | known, "miou", (0.0, 1.0), n=n)
    return Metrics(metrics.figures, "miou", intervals(table, metrics)["miou"], n=n)


def intervals(table: PixelTable, metrics: Metrics) -> dict[str, tuple[float, float]]:
    """Return the 95% interval of each of the metrics, by drawing images with repeats.

    With fewer than two images that count nothing is known of how images differ: 0 to 1.

    Parameters
    ----------
    table : PixelTable
    metrics : Metrics
        Of it.
    """
    drawn = table.figures(bootstrap.weights(len(table.true)))
    return {name: _interval(value, drawn[name], table.judged) for name, value in metrics.items()}


def _interval(figure: float, drawn: Floats, judged: Rows) -> tuple[float, float]:
    return bootstrap.interval(figure, drawn) if (judged > 0).sum() > 1 else (0.0, 1.0)


Measured = tuple[int, str, Segmentation, Segmentation]
"""Row and name of an image, its truth and the answer."""

_Packed = tuple[float, int, bytes, tuple[int, int]]  # error, position, answer and its shape


def _together(
    rows: Rows, names: Sequence[str], truth: Iterable[Segmentation],
    answers: Iterable[Segmentation],
) -> Iterator[Measured]:  # fmt: skip
    """Put what belongs to an image together.

    Raises
    ------
    DataError
        When there are more of one than of the others.
    """
    numbers = np.asarray(rows).tolist()
    for row, name, true, said in zip_longest(numbers, names, truth, answers):
        if name is None or true is None or said is None:
            raise DataError("truth, answers and rows must be of the same images; one has more")
        yield row, name, true, said


def _counted(
    image: int, name: str, both: tuple[Segmentation, Segmentation], classes: tuple[str, ...],
    ignored: tuple[int, ...], worst: list[_Packed],
) -> tuple[Rows, Floats]:  # fmt: skip
    """Count the pixels of one image, and keep its answer if it is one of the worst."""
    for what, of in zip(("truth", "answer"), both, strict=True):
        if of.classes != classes:
            raise DataError(
                f"{name}: the {what} is of other classes: {', '.join(of.classes)}; "
                f"{', '.join(classes)}"
            )
    true, said = (of.label_map for of in both)
    counts, boundaries = count(true, said, len(classes), ignored=ignored, name=name)
    _keep(worst, image, counts, both[1])
    return counts, boundaries


def _numbers(classes: tuple[str, ...], ignored: Sequence[str]) -> tuple[int, ...]:
    """Return the ids of the classes that do not count."""
    if unknown := [name for name in ignored if name not in classes]:
        raise DataError(f"{unknown[0]!r} cannot be ignored: it is none of {', '.join(classes)}")
    return tuple(classes.index(name) for name in ignored)


def _keep(worst: list[_Packed], image: int, confusion: Rows, said: Segmentation) -> None:
    """Keep an answer among those with the lowest mean IoU, if it is one of them and not perfect."""
    error = 1 - float(bootstrap.mean(of_classes(*margins(confusion))["iou"]))
    if not error > 0 or (len(worst) == WORST and error <= worst[0][0]):
        return
    height, width = said.label_map.shape
    packed = zlib.compress(np.ascontiguousarray(said.label_map, np.int32).tobytes(), 1)
    (heapq.heappushpop if len(worst) == WORST else heapq.heappush)(
        worst, (error, image, packed, (height, width))
    )
