"""Measure how right a detector is, and how sure that is.

Every figure comes from one table of overlaps (`detect_table`): average precision
(`detect_precision`), the confusion matrix and the causes of errors (`detect_errors`).
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sightline.counting import counted
from sightline.errors import DataError
from sightline.metrics import Metrics, bootstrap
from sightline.metrics import detect_errors as causes
from sightline.metrics import detect_precision as precision
from sightline.metrics.bootstrap import DRAWS
from sightline.metrics.detect_table import Answers, Floats, Objects, Rows, Table
from sightline.metrics.paired import Difference, bootstrap_difference, check_same_images
from sightline.types import Detections

PAIRED_DRAWS = 1000
"""Resamples for the interval of a difference, whose ends are percentiles."""


@dataclass(frozen=True)
class Evaluation:
    """Measured answers of a detector on a split, image by image.

    Parameters
    ----------
    metrics : Metrics
    table : Table
        Objects and answers, in the order of `rows`.
    rows : int64 array, shape (N,)
        Rows of the data's source, to find the images again.
    classes : tuple of str
    thresholds : float64 array, shape (C,), optional
        Of the score, below which an answer is not given; chosen on validation images.
    """

    metrics: Metrics
    table: Table
    rows: Rows
    classes: tuple[str, ...]
    thresholds: Floats | None = None

    def __repr__(self) -> str:
        return f"Evaluation({self.metrics})"

    @classmethod
    def of(
        cls, truth: Sequence[Detections], answers: Sequence[Detections], rows: Rows, *,
        thresholds: Floats | None = None, areas: Sequence[Floats] | None = None,
    ) -> Self:  # fmt: skip
        """Measure answers, and keep them with the metrics.

        Parameters
        ----------
        truth, answers : sequence of Detections
            Of each image, in one order and of the same classes; perhaps without an object.
        rows : int64 array, shape (N,)
        thresholds : float64 array, shape (C,), optional
        areas : sequence of float64 array, optional
            See `detect_table.Objects.of`.

        Raises
        ------
        DataError
            When there is no image, their numbers differ, or classes do.
        """
        if not len(truth) == len(answers) == len(rows) > 0:
            raise DataError(
                "truth, answers and rows must be of the same images, at least one, not of "
                f"{len(truth)}, {len(answers)} and {len(rows)}"
            )
        classes = truth[0].classes
        if other := {d.classes for d in (*truth, *answers)} - {classes}:
            raise DataError(
                f"truth and answers are of other classes: {', '.join(classes)}; "
                f"{', '.join(other.pop())}"
            )
        table = Table(Objects.of(truth, areas), Answers.of(answers), len(truth), len(classes))
        return cls._measured(table, rows, classes, thresholds)

    @classmethod
    def _measured(
        cls, table: Table, rows: Rows, classes: tuple[str, ...], thresholds: Floats | None,
        interval: tuple[float, float] | None = None,
    ) -> Self:  # fmt: skip
        metrics = evaluate(table, thresholds, interval)
        return cls(metrics, table, np.asarray(rows, np.int64), classes, thresholds)

    def with_thresholds(self, thresholds: Floats) -> Self:
        """Return the same answers, measured with a threshold for each class, shape (C,), too."""
        return self._measured(
            self.table, self.rows, self.classes, thresholds, self.metrics.interval
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that a comparison saves."""
        names = np.frombuffer(json.dumps(self.classes).encode(), np.uint8)
        interval = np.array(self.metrics.interval)
        held: dict[str, NDArray[Any]] = {
            "rows": self.rows, "classes": names, "interval": interval
        }  # fmt: skip
        for part, fields in _FIELDS.items():
            for name in fields:
                held[f"{part}.{name}"] = getattr(getattr(self.table, part), name)
        return held if self.thresholds is None else held | {"thresholds": self.thresholds}

    @classmethod
    def restored(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Make an evaluation of what `arrays` returned."""
        objects, answers, classes = restored_parts(arrays)
        rows, (low, high) = arrays["rows"], arrays["interval"].tolist()
        table = Table(objects, answers, len(rows), len(classes))
        return cls._measured(table, rows, classes, arrays.get("thresholds"), (low, high))

    @property
    def remarks(self) -> list[str]:
        """Say what is left out of the figures, and where they cannot reach 1."""
        return [r for r in (self._unmeasured(), self._beyond_limit()) if r]

    def _unmeasured(self) -> str:
        """Say which classes have no object here, and whether they were answered."""
        absent = np.flatnonzero(self.table.numbers == 0).tolist()
        if not absent:
            return ""
        given = np.bincount(self.table.answers.labels, minlength=len(self.classes))
        named = ", ".join(
            f"{self.classes[c]} ({counted(int(given[c]), 'answer')}, all of them wrong)"
            if given[c]
            else self.classes[c]
            for c in absent
        )
        if len(absent) == len(self.classes):
            return f"no image has an object that counts, so that nothing is measured: {named}"
        return f"left out of the means, as no image has an object of the class: {named}"

    def _beyond_limit(self) -> str:
        """Say where an image has more objects of a class than answers are looked at."""
        limit, objects = precision.LIMITS[-1], self.table.objects
        pairs = objects.images * len(self.classes) + objects.labels
        counts = np.bincount(pairs[~objects.passed_over], minlength=1)
        over = np.flatnonzero(counts > limit)
        if not len(over):
            return ""
        images = len(np.unique(over // len(self.classes)))
        return (
            f"{counted(images, 'image')} with more than {limit} objects of a class, "
            f"{int(counts.max()):,} at most: COCO's figures look at the {limit} best answers of an "
            "image and class, so that not all of them can be detected"
        )

    @property
    def beside(self) -> dict[str, str]:
        """Return what to read beside the headline, and why."""
        return {"ap50": "at IoU 0.5, which asks for the object but not for a tight box"}

    @functools.cached_property
    def best_thresholds(self) -> Floats:
        """Return the threshold of each class with the highest F1 here, shape (C,)."""
        return precision.best_thresholds(self.table)

    @property
    def used_thresholds(self) -> Floats:
        """Return the thresholds that were given, else the best ones here: shape (C,)."""
        return self.best_thresholds if self.thresholds is None else self.thresholds

    @functools.cached_property
    def confusion(self) -> NDArray[np.int64]:
        """Return the confusion matrix at `used_thresholds`, the background last."""
        return causes.confusion(self.table, self.used_thresholds)

    @functools.cached_property
    def errors(self) -> causes.Errors:
        """Return the cause of each wrong answer, and what each cause costs."""
        return causes.errors(self.table)

    @functools.cached_property
    def by_class(self) -> dict[str, Floats]:
        """Return figures of each class, shape (C,) each; nan where undefined.

        ``objects``, ``ap``, ``ap50``, ``threshold``, and at that threshold ``precision``,
        ``recall`` and ``f1``.
        """
        coco = precision.coco_figures(self.table)
        return {
            "objects": self.table.numbers.astype(np.float64), "ap": coco["ap"],
            "ap50": coco["ap50"], "threshold": self.used_thresholds,
            **rates(self.confusion),
        }  # fmt: skip


_FIELDS = {
    "objects": ("boxes", "labels", "images", "crowd", "difficult", "areas"),
    "answers": ("boxes", "labels", "images", "scores"),
}


def restored_parts(
    arrays: Mapping[str, NDArray[Any]],
) -> tuple[Objects, Answers, tuple[str, ...]]:
    """Return the objects, answers and classes of the arrays that an evaluation saved."""
    objects, answers = (
        {name: arrays[f"{part}.{name}"] for name in fields} for part, fields in _FIELDS.items()
    )
    classes = tuple(json.loads(bytes(arrays["classes"])))
    return Objects(**objects), Answers(**answers, areas=arrays.get("answers.areas")), classes


def differ(best: Evaluation, other: Evaluation, margin: float) -> Difference:
    """Return how much higher another detector's AP is on the same images; see `paired`.

    Where no image has an object nothing is known of it: it may be anything from -1 to 1.

    Raises
    ------
    ParameterError
        When they are not of the same images, in one order.
    """
    check_same_images(best.rows, other.rows)
    if not best.table.numbers.any():
        return Difference(0.0, -1.0, 1.0, len(best.rows), None)
    return bootstrap_difference(
        precision.Resampled(best.table), precision.Resampled(other.table), len(best.rows), margin,
        higher_is_better=True, draws=PAIRED_DRAWS,
    )  # fmt: skip


def evaluate(
    table: Table, thresholds: Floats | None = None, interval: tuple[float, float] | None = None
) -> Metrics:
    """Measure a detector's answers.

    Parameters
    ----------
    table : Table
    thresholds : float64 array, shape (C,), optional
        Of the score: with them also ``precision``, ``recall`` and ``f1``, means over the classes
        that occur as an object or an answer.
    interval : (low, high), optional
        Of the headline, where it is known; else from 200 resamples of the images.

    Returns
    -------
    Metrics
        COCO's ``ap`` (the headline: the mean over IoU 0.5 to 0.95), ``ap50``, ``ap75``, and by size
        ``ap_small``, ``ap_medium``, ``ap_large``, recalls ``ar1`` to ``ar100`` and by size, and
        VOC's ``voc2007`` and ``voc2010`` at IoU 0.5. A figure of objects that there are none of is
        left out; ``ap`` is 0 where no image has an object, whatever was answered.
    """
    figures = {name: precision.mean(v) for name, v in precision.coco_figures(table).items()}
    voc = [precision.voc_outcomes(table, c) for c in range(table.classes)]
    figures["voc2007"] = precision.mean(np.array([precision.voc2007(o) for o in voc]))
    figures["voc2010"] = precision.mean(np.array([precision.voc2010(o) for o in voc]))
    if thresholds is not None:
        of_classes = rates(causes.confusion(table, thresholds))
        figures |= {name: precision.mean(values) for name, values in of_classes.items()}
    known = {name: value for name, value in figures.items() if not math.isnan(value)}
    known = {"ap": 0.0, "ap50": 0.0} | known
    return Metrics(known, "ap", interval or ap_interval(table), n=table.images)


def ap_interval(table: Table) -> tuple[float, float]:
    """Return the 95% interval of AP over images; see `bootstrap.interval`."""
    if not table.numbers.any():
        return 0.0, 1.0
    measure, random = precision.Resampled(table), np.random.default_rng(0)
    draws = [measure(random.integers(table.images, size=table.images)) for _ in range(DRAWS)]
    return bootstrap.interval(measure(np.arange(table.images)), np.array(draws))


def rates(table: NDArray[np.int64]) -> dict[str, Floats]:
    """Return precision, recall and F1 of each class from a confusion matrix with background.

    Parameters
    ----------
    table : int64 array, shape (C + 1, C + 1)

    Returns
    -------
    dict of str to float64 array, shape (C,)
        F1 is 0 where a class has only objects or only answers, and nan where it has neither;
        precision is nan without an answer, recall without an object.
    """
    hits = np.diag(table)[:-1].astype(float)
    objects, answers = table.sum(1)[:-1], table.sum(0)[:-1]
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "precision": hits / answers,
            "recall": hits / objects,
            "f1": 2 * hits / (objects + answers),
        }
