"""Measure how well odd pictures are told from good ones, and where the defects are."""

from __future__ import annotations

import heapq
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataError
from sightline.metrics import Metrics
from sightline.metrics import anomaly_curves as curves
from sightline.metrics.classify import wilson
from sightline.metrics.paired import Difference, bootstrap_difference, check_same_images
from sightline.types import ODD, Anomaly

KEPT = 4
"""Answers that are kept to be looked at: of good pictures those that score highest, of odd ones
those that score lowest and highest, so many of each."""

SIDE = 96
"""Pixels of the longer side of a map that is kept."""


class Judged(NamedTuple):
    """What was answered for one picture, and what is true of it.

    Attributes
    ----------
    row : int
        Of the data's source.
    kind : int
        Number of its class; 0: it is good.
    answer : Anomaly
    defect : bool array, shape (H, W), optional
        Its changed pixels; None: unknown.
    """

    row: int
    kind: int
    answer: Anomaly
    defect: NDArray[np.bool_] | None


@dataclass(frozen=True)
class Evaluation:
    """Measured scores of pictures, and of pixels where masks are known.

    Parameters
    ----------
    metrics : Metrics
        The headline is the area under the curve (``auroc``); where all pictures are good, the share
        that is called odd (``false_alarm_rate``), and where none is, the share that is
        (``detection_rate``).
    scores : float64 array, shape (N,)
    kinds : int64 array, shape (N,)
        Numbers in `names`; 0 is good.
    rows : int64 array, shape (N,)
        Of the data's source.
    names : tuple of str
        Of the good class and the kinds of defects.
    good_pixels, odd_pixels : int64 array, shape (LEVELS,)
        Pixels by level of score, over the pictures whose defects are known.
    regions : int64 array, shape (R, LEVELS)
        The same of each connected part of a defect.
    masked : int
        Pictures of defects whose masks are known.
    heats : dict of int to uint8 array, shape (h, w)
        Maps of the pictures that are looked at, by position, in 255ths.
    """

    metrics: Metrics
    scores: NDArray[np.float64]
    kinds: NDArray[np.int64]
    rows: NDArray[np.int64]
    names: tuple[str, ...]
    good_pixels: NDArray[np.int64]
    odd_pixels: NDArray[np.int64]
    regions: NDArray[np.int64]
    masked: int
    heats: Mapping[int, NDArray[np.uint8]]

    def __repr__(self) -> str:
        return f"Evaluation({self.metrics})"

    @classmethod
    def of(cls, judged: Iterable[Judged], names: tuple[str, ...]) -> Self:
        """Measure answers that come one after the other.

        Parameters
        ----------
        judged : iterable of Judged
        names : tuple of str
            Of the good class and the kinds of defects, by their numbers.

        Raises
        ------
        DataError
            When there is none.
        """
        from scipy.ndimage import find_objects, label

        scores, kinds, rows = list[float](), list[int](), list[int]()
        good, odd = (np.zeros(curves.LEVELS, np.int64) for _ in range(2))
        regions, masked, shown = list[NDArray[np.int64]](), 0, _Shown()
        for one in judged:
            shown.offer(len(scores), one)
            scores.append(one.answer.score)
            kinds.append(one.kind)
            rows.append(one.row)
            if one.answer.heat is None or one.defect is None:
                continue
            height, width = one.defect.shape
            heat = one.answer.heat_out((height, width))
            good += curves.counted(heat[~one.defect])
            masked += bool(one.kind)
            if not one.defect.any():
                continue
            odd += curves.counted(heat[one.defect])
            parts, _ = label(one.defect, np.ones((3, 3)))
            regions += [
                curves.counted(heat[window][parts[window] == number])
                for number, window in enumerate(find_objects(parts), start=1)
            ]
        if not scores:
            raise DataError("there is no image to measure on")
        table = np.stack(regions) if regions else np.zeros((0, curves.LEVELS), np.int64)
        return cls._measured(
            np.array(scores), np.array(kinds, np.int64), np.array(rows, np.int64), names, good, odd,
            table, masked, shown.heats(),
        )  # fmt: skip

    @classmethod
    def _measured(
        cls, scores: NDArray[np.float64], kinds: NDArray[np.int64], rows: NDArray[np.int64],
        names: tuple[str, ...], good: NDArray[np.int64], odd: NDArray[np.int64],
        regions: NDArray[np.int64], masked: int, heats: Mapping[int, NDArray[np.uint8]],
    ) -> Self:  # fmt: skip
        truly, called = kinds > 0, scores >= ODD
        figures = {
            "auroc": curves.auroc(scores, truly),
            "average_precision": curves.average_precision(scores, truly)
            if (~truly).any() else math.nan,
            "pixel_auroc": curves.pixel_auroc(good, odd),
            "pro": curves.region_overlap(good, regions),
            "pixel_average_precision": curves.pixel_average_precision(good, odd)
            if good.any() else math.nan,
            "false_alarm_rate": float(called[~truly].mean()) if (~truly).any() else math.nan,
            "detection_rate": float(called[truly].mean()) if truly.any() else math.nan,
        }  # fmt: skip
        known = {name: value for name, value in figures.items() if math.isfinite(value)}
        headline = next(n for n in ("auroc", "false_alarm_rate", "detection_rate") if n in known)
        if headline == "auroc":
            ends = curves.auroc_interval(known["auroc"], int(truly.sum()), int((~truly).sum()))
        else:
            ends = wilson(int(called.sum()), len(called))
        metrics = Metrics(
            known, headline, ends, higher_is_better=headline != "false_alarm_rate", n=len(scores)
        )
        return cls(metrics, scores, kinds, rows, names, good, odd, regions, masked, heats)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that a comparison saves."""
        return {
            "scores": self.scores, "kinds": self.kinds, "rows": self.rows,
            "good_pixels": self.good_pixels, "odd_pixels": self.odd_pixels,
            "regions": self.regions, "masked": np.array([self.masked]),
            "names": np.frombuffer(json.dumps(self.names).encode(), np.uint8),
            **{f"heat.{at}": heat for at, heat in self.heats.items()},
        }  # fmt: skip

    @classmethod
    def restored(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Make an evaluation of what `arrays` returned."""
        heats = {int(n[5:]): array for n, array in arrays.items() if n.startswith("heat.")}
        return cls._measured(
            arrays["scores"], arrays["kinds"], arrays["rows"],
            tuple(json.loads(bytes(arrays["names"]))), arrays["good_pixels"], arrays["odd_pixels"],
            arrays["regions"], int(arrays["masked"][0]), heats,
        )  # fmt: skip

    @property
    def remarks(self) -> list[str]:
        """Say what could not be measured, and where the figures are no better than chance."""
        said = []
        if not (self.kinds > 0).any():
            said.append("all pictures are good ones: what is found of defects is not measured")
        if not (self.kinds == 0).any():
            said.append("no picture is a good one: what good ones score is not measured")
        odd = int((self.kinds > 0).sum())
        if 0 < self.masked < odd:
            said.append(f"where defects lie is measured on the {self.masked} of {odd} with a mask")
        low, _ = self.metrics.interval
        if self.metrics.headline_name == "auroc" and low <= 0.5:
            said.append(
                f"an AUROC of {self.metrics.headline:.3f} is not shown to be above chance, 0.5"
            )
        return said

    @property
    def beside(self) -> Mapping[str, str]:
        """Return what to read beside the area under the curve, which knows no threshold."""
        if self.metrics.headline_name != "auroc":
            return {}
        return {
            "false_alarm_rate": "the share of good pictures that the run's threshold calls odd",
            "detection_rate": "the share of pictures with a defect that it calls odd",
        }

    def by_kind(self) -> list[tuple[str, int, float, float]]:
        """Return of each kind of defect its name, its pictures, AUROC against the good, and found.

        Found is the share of its pictures that the threshold calls odd.
        """
        made = []
        for kind in sorted(set(self.kinds.tolist()) - {0}):
            own = self.kinds == kind
            among = own | (self.kinds == 0)
            area = curves.auroc(self.scores[among], own[among])
            seen = float((self.scores[own] >= ODD).mean())
            made.append((self.names[kind], int(own.sum()), area, seen))
        return made

    def at(self, limit: float) -> tuple[float, float]:
        """Return the rates of false alarms and of found defects at a threshold; nan if unknown."""
        called, odd = self.scores >= limit, self.kinds > 0
        rates = [float(called[some].mean()) if some.any() else math.nan for some in (~odd, odd)]
        return rates[0], rates[1]


class _Shown:
    """Keep the maps of the pictures that are worth looking at, while they come by."""

    def __init__(self) -> None:
        self._kept: dict[str, list[tuple[float, int, Anomaly]]] = {}

    def offer(self, at: int, one: Judged) -> None:
        """Keep a picture's map if it is among the highest or lowest of its sort."""
        score = one.answer.score
        for sort, key in (("good", score),) if not one.kind else (("missed", -score),
                                                                  ("seen", score)):  # fmt: skip
            heap = self._kept.setdefault(sort, [])
            push = heapq.heappush if len(heap) < KEPT else heapq.heappushpop
            push(heap, (key, -at, one.answer))

    def heats(self) -> dict[int, NDArray[np.uint8]]:
        """Return the maps, small, by their pictures' positions."""
        made = {}
        for heap in self._kept.values():
            for _, at, answer in heap:
                height, width = answer.frame.size
                scale = min(1.0, SIDE / max(height, width))
                size = max(1, round(height * scale)), max(1, round(width * scale))
                made[-at] = np.round(255 * answer.heat_out(size)).astype(np.uint8)
        return dict(sorted(made.items()))


def differ(best: Evaluation, other: Evaluation, margin: float) -> Difference:
    """Compare two evaluations of the same pictures by the bootstrap.

    Parameters
    ----------
    best, other : Evaluation
    margin : float
        By how much the other's headline may be worse.
    """
    check_same_images(best.rows, other.rows)
    name, odd = best.metrics.headline_name, best.kinds > 0

    def figure(e: Evaluation, rows: NDArray[np.int64]) -> float:
        if name == "auroc":
            return curves.auroc(e.scores[rows], odd[rows])
        return float((e.scores[rows] >= ODD).mean())

    return bootstrap_difference(
        lambda rows: figure(best, rows), lambda rows: figure(other, rows), len(best.rows), margin,
        higher_is_better=best.metrics.higher_is_better,
    )  # fmt: skip
