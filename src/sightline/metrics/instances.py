"""Measure how right the masks of objects are, and how sure that is.

COCO's figures are detection's, read from the same table of matches with the overlaps of masks
(`instances_table`); those of people who count cells stand beside them (`instances_figures`).
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataError
from sightline.metrics import Metrics, bootstrap, detect
from sightline.metrics import detect_errors as causes
from sightline.metrics import detect_precision as precision
from sightline.metrics.detect_table import Floats, Rows, Table
from sightline.metrics.instances_figures import Pictures, pictures
from sightline.metrics.instances_table import Masks, MaskTable
from sightline.types import Detections

differ = detect.differ
"""The paired test of two evaluations: by how much AP differs on the same images."""

_SCALES = {"count_error": (0.0, math.inf), "count_bias": (-math.inf, math.inf)}
"""Ends of what a figure may be; others are shares."""

_TOTALS = {"answers_merged": "merged", "objects_split": "split"}


@dataclass(frozen=True)
class Evaluation(detect.Evaluation):
    """Measured masks on a split, picture by picture.

    Parameters
    ----------
    metrics : Metrics
    table : MaskTable
        Objects and answers, in the order of `rows`.
    rows : int64 array, shape (N,)
        Rows of the data's source, to find the pictures again.
    classes : tuple of str
    thresholds : float64 array, shape (C,), optional
        Of the score, below which an answer is not given; without them all answers are.
    """

    table: MaskTable

    def __repr__(self) -> str:
        return f"Evaluation({self.metrics})"

    @classmethod
    def of(  # type: ignore[override]  # masks are given as codes, whose areas are known
        cls, truth: Sequence[Masks | Detections], answers: Sequence[Masks | Detections],
        rows: Rows, *, thresholds: Floats | None = None, names: Sequence[str] = (),
    ) -> Self:  # fmt: skip
        """Measure answers, and keep them with the metrics.

        Parameters
        ----------
        truth, answers : sequence of Masks, or of Detections with masks
            Of each picture, in one order and of the same classes; perhaps without an object. Of
            large pictures `Masks` take far less memory.
        rows : int64 array, shape (N,)
        thresholds : float64 array, shape (C,), optional
        names : sequence of str, optional
            What errors call the pictures; else by their rows.

        Raises
        ------
        DataError
            When there is no picture, their numbers, classes or sizes differ, or objects have no
            mask.
        """
        if not len(truth) == len(answers) == len(rows) > 0:
            raise DataError(
                "truth, answers and rows must be of the same images, at least one, not of "
                f"{len(truth)}, {len(answers)} and {len(rows)}"
            )
        named = tuple(names) or tuple(f"image {row}" for row in np.asarray(rows).tolist())
        classes = truth[0].classes
        for name, *both in zip(named, truth, answers, strict=True):
            for one in both:
                if one.classes != classes:
                    raise DataError(
                        f"{name}: truth and answers are of other classes: {', '.join(classes)}; "
                        f"{', '.join(one.classes)}"
                    )
        true, said = (
            [_coded(m, n) for m, n in zip(side, named, strict=True)] for side in (truth, answers)
        )
        return cls._measured(MaskTable.of(true, said, named), rows, classes, thresholds)

    @classmethod
    def _measured(
        cls, table: Table, rows: Rows, classes: tuple[str, ...], thresholds: Floats | None,
        interval: tuple[float, float] | None = None,
    ) -> Self:  # fmt: skip
        assert isinstance(table, MaskTable)
        metrics = evaluate(table, thresholds, interval)
        return cls(metrics, table, np.asarray(rows, np.int64), classes, thresholds)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that a comparison saves."""
        table = self.table
        flat = np.concatenate([np.zeros(0, np.int32), *(part.ravel() for part in table.shared)])
        places = np.flatnonzero(flat)  # most pairs have nothing in common
        return super().arrays() | {
            "answers.areas": table.answers.sizes, "pixels": table.pixels, "sizes": table.sizes,
            "shared.places": places, "shared.pixels": flat[places],
            "codes": np.frombuffer(b"".join(table.codes), np.uint8),
            "codes.lengths": np.array([len(code) for code in table.codes], np.int64),
        }  # fmt: skip

    @classmethod
    def restored(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Make an evaluation of what `arrays` returned."""
        objects, answers, classes = detect.restored_parts(arrays)
        rows, (low, high) = arrays["rows"], arrays["interval"].tolist()
        plain = Table(objects, answers, len(rows), len(classes))
        shapes = [(d.stop - d.start, g.stop - g.start) for d, g in plain.parts()]
        ends = np.cumsum([d * g for d, g in shapes])
        flat = np.zeros(int(ends[-1]), np.int32)
        flat[arrays["shared.places"]] = arrays["shared.pixels"]
        shared = [p.reshape(s) for p, s in zip(np.split(flat, ends[:-1]), shapes, strict=True)]
        joined, at = bytes(arrays["codes"]), [0, *arrays["codes.lengths"].cumsum().tolist()]
        codes = tuple(joined[start:end] for start, end in itertools.pairwise(at))
        table = MaskTable(objects, answers, len(rows), len(classes), shared, arrays["pixels"],
                          codes, arrays["sizes"])  # fmt: skip
        return cls._measured(table, rows, classes, arrays.get("thresholds"), (low, high))

    def answer(self, image: int) -> Masks:
        """Return the answers on a picture that reach the thresholds.

        Parameters
        ----------
        image : int
            Position in `rows`.
        """
        given = self.table.answer(image, self.classes)
        kept = np.flatnonzero(given.scores >= self.used_thresholds[given.labels])
        codes = tuple(given.codes[i] for i in kept)
        return Masks(given.size, codes, given.labels[kept], self.classes, given.scores[kept])

    @property
    def beside(self) -> dict[str, str]:
        """Return what to read beside the headline, and why."""
        texts = {
            "ap50": "at IoU 0.5, which asks for the object but not for a tight outline",
            "match50": "matched objects over matched, wrong and missed ones at IoU 0.5, as papers "
            "on nuclei measure",
        }
        return {name: text for name, text in texts.items() if name in self.metrics}

    @property
    def used_thresholds(self) -> Floats:
        """Return the thresholds that were given, else 0, which gives every answer: shape (C,)."""
        return np.zeros(len(self.classes)) if self.thresholds is None else self.thresholds

    @functools.cached_property
    def pictures(self) -> Pictures:
        """Return what is right, wrong and missed on each picture, at `used_thresholds`."""
        return pictures(self.table, self.used_thresholds)

    @functools.cached_property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """Return the 95% interval of ``ap`` and of each figure of `Pictures`.

        With fewer than two pictures nothing is known of how they differ: all that a figure may be.
        """
        n = len(self.rows)
        drawn = self.pictures.figures(bootstrap.weights(n))
        ends = {
            name: bootstrap.interval(
                self.metrics[name] if n > 1 else math.nan, draws, _SCALES.get(name, (0.0, 1.0))
            )
            for name, draws in drawn.items() if name in self.metrics
        }  # fmt: skip
        return {"ap": self.metrics.interval} | ends

    @functools.cached_property
    def by_class(self) -> dict[str, Floats]:
        """Return figures of each class, shape (C,) each; nan where undefined.

        Those of `detect.Evaluation.by_class`, and ``pq``, ``sq``, ``rq`` and ``answered``, how many
        answers there are.
        """
        once = np.ones((1, len(self.rows)), np.int64)
        panoptic = zip(("pq", "sq", "rq"), self.pictures.panoptic(once), strict=True)
        return {
            **super().by_class, **{name: values[0] for name, values in panoptic},
            "answered": self.pictures.answered.sum(0).astype(np.float64),
        }  # fmt: skip


def evaluate(
    table: MaskTable, thresholds: Floats | None = None,
    interval: tuple[float, float] | None = None,
) -> Metrics:  # fmt: skip
    """Measure the masks of objects.

    Parameters
    ----------
    table : MaskTable
    thresholds : float64 array, shape (C,), optional
        Of the score, for all figures that are not COCO's; default: every answer is given.
    interval : (low, high), optional
        Of the headline, where it is known; else from 200 resamples of the pictures.

    Returns
    -------
    Metrics
        COCO's by masks, ``ap`` (the headline) to ``ar_large``; with thresholds also ``precision``,
        ``recall`` and ``f1``; those of `Pictures.figures`; and ``answers_merged`` and
        ``objects_split``, how many. An undefined figure is left out; ``ap`` is 0 where there is no
        object.
    """
    figures = {name: precision.mean(v) for name, v in precision.coco_figures(table).items()}
    if thresholds is not None:
        rates = detect.rates(causes.confusion(table, thresholds))
        figures |= {name: precision.mean(values) for name, values in rates.items()}
    counts = pictures(table, 0.0 if thresholds is None else thresholds)
    drawn = counts.figures(np.ones((1, table.images), np.int64))
    figures |= {name: float(value[0]) for name, value in drawn.items()}
    figures |= {name: float(getattr(counts, field).sum()) for name, field in _TOTALS.items()}
    known = {name: value for name, value in figures.items() if not math.isnan(value)}
    known = {"ap": 0.0, "ap50": 0.0} | known
    return Metrics(known, "ap", interval or detect.ap_interval(table), n=table.images)


def _coded(masks: Masks | Detections, name: str) -> Masks:
    """Return masks as codes; an error names the picture."""
    if isinstance(masks, Masks):
        return masks
    try:
        return Masks.of(masks)
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
