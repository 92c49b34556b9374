"""Find labels that are probably wrong: a run's method is fitted anew without the images judged."""

from __future__ import annotations

import csv
import io
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.counting import counted
from sightline.data import cells, splits
from sightline.data.dataset import Dataset, Split
from sightline.data.load import check_task
from sightline.errors import DataError, ParameterError, RunError
from sightline.estimators import load_model
from sightline.explain.seen import see
from sightline.metrics import calibration
from sightline.metrics.confident import Confident, confident
from sightline.metrics.duration import human
from sightline.models import registry
from sightline.training import run
from sightline.types import Progress, Task

if TYPE_CHECKING:
    from sightline.estimators.base import Estimator

FOLDS = 5

LEAST = 1e-12
"""Probability that one of 0 is taken for where a temperature is fitted."""

STEPS = 1000
"""Steps that the progress of one fit is told in."""

WATCHED = 10
"""One image in so many of a fold's training images is kept back to choose epochs and calibrate."""


@dataclass(frozen=True, slots=True)
class Doubts:
    """Labels of a data set that a method does not believe.

    Parameters
    ----------
    data : Dataset
    source : str
        The run.
    method : str
    rows : int64 array, shape (N,)
        Rows of the source that were judged.
    labels : int64 array, shape (N,)
    probabilities : float32 array, shape (N, C)
        Out of fold: the method that gave them has not learned from the image.
    learned : Confident
    splits : list of str, length N
    folds : int
    seconds : float
        That refitting took.
    notes : list of str
    """

    data: Dataset
    source: str
    method: str
    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    learned: Confident
    splits: list[str]
    folds: int
    seconds: float
    notes: list[str] = field(default_factory=list)

    @property
    def suspects(self) -> NDArray[np.int64]:
        """Return the places of the labels in doubt, the most suspicious first."""
        return self.learned.suspects(self.labels)

    @property
    def accuracy(self) -> float:
        """Return the share of the labels that the method's first answer agrees with."""
        return float((self.probabilities.argmax(1) == self.labels).mean())

    def pairs(self) -> list[tuple[str, str, int]]:
        """Return label, believed class and how many images, the most frequent first."""
        names = self.data.classes
        some = self.suspects
        both = zip(self.labels[some].tolist(), self.learned.believed[some].tolist(), strict=True)
        return [(names[a], names[b], n) for (a, b), n in Counter(both).most_common()]

    def table(self) -> list[dict[str, Any]]:
        """Return the labels in doubt, a row each, the most suspicious first."""
        names, items = self.data.classes, self.data.source.items
        rows = []
        for rank, i in enumerate(self.suspects.tolist(), 1):
            item, label, other = items[int(self.rows[i])], self.labels[i], self.learned.believed[i]
            rows.append({
                "rank": rank, "image": item.id,
                "path": str(item.image) if isinstance(item.image, str | Path) else "",
                "split": self.splits[i], "label": names[label], "believed": names[other],
                "probability_of_label": round(float(self.probabilities[i, label]), 4),
                "probability_of_believed": round(float(self.probabilities[i, other]), 4),
            })  # fmt: skip
        return rows

    def document(self) -> dict[str, Any]:
        """Return what was done and which labels are in doubt, as JSON can hold it."""
        return {
            "data": self.data.name, "run": self.source, "method": self.method,
            "folds": self.folds, "seconds": self.seconds, "images": len(self.rows),
            "accuracy": self.accuracy, "suspects": len(self.suspects),
            "estimated_share_wrong": self.learned.share, "notes": self.notes,
            "labels": self.table(),
        }  # fmt: skip


def refittable(source: str) -> Estimator:
    """Load a run whose method can be fitted again.

    Raises
    ------
    RunError
        When it is no run's folder.
    ParameterError
        When it is no classifier, was trained elsewhere, or looks at no image.
    """
    if not Path(source).is_dir():
        raise RunError(f"{source} is no run's folder: its method has to be fitted anew")
    model = load_model(source)
    if model.task != Task.CLASSIFY:
        raise ParameterError(
            f"{source} is a run of the task {model.task}; labels of whole images are judged by a "
            "classifier's run"
        )
    if model.method_.elsewhere or model.method_.floor:
        why = "was trained elsewhere" if model.method_.elsewhere else "looks at no image"
        raise ParameterError(f"{source}: {model.name} {why}, and so cannot judge labels")
    return model


def cost(source: str, model: Estimator, images: int, folds: int) -> str:
    """Return what judging so many images costs, for a person: a network is trained anew."""
    config = run.read_config(Path(source))
    seconds, before = config.get("fit_seconds"), config.get("trained_on")
    work = f"{model.name} is trained {folds} times on {counted(images - images // folds, 'image')}"
    if registry.card(model.name).kind != "module":
        return work.replace("trained", "fitted")
    if not seconds or not before:
        return work
    whole = seconds * folds * (images - images // folds) / before
    return f"{work}: about {human(whole)}, by the {human(seconds)} that the run took"


def doubt(
    source: str, data: Dataset, *, folds: int = FOLDS, seed: int = 0,
    progress: Progress | None = None, model: Estimator | None = None,
) -> Doubts:  # fmt: skip
    """Check every label of a data set by a method that has not learned from its image.

    Parameters
    ----------
    source : str
        The folder of a classifier's run, whose method and knobs are taken.
    data : Dataset
        All labelled images of all its splits are judged.
    folds : int
        The method is fitted as many times.
    seed : int
        Of the folds.
    progress : callable, optional
        Called with (work done, work in all).
    model : Estimator, optional
        What `refittable` has loaded from the source.

    Raises
    ------
    DataError
        When the images have no classes, fewer than two of them, or too few of each.
    ParameterError
        When there are fewer than two folds, or the run cannot judge labels.
    """
    if folds < 2:
        raise ParameterError(f"folds={folds} must be at least 2")
    model = refittable(source) if model is None else model
    judged, notes = judgeable(data, folds)
    start = time.perf_counter()
    rows, labels, probabilities = out_of_fold(source, model, judged, folds, seed, progress)
    if temperature := _temperature(model, labels, probabilities):
        probabilities = _cooled(probabilities, temperature)
        notes.append(
            f"{model.name} gives uncalibrated probabilities; a temperature of {temperature:.3g}, "
            "fitted on those of the folds, makes them true"
        )
    names = {int(row): name for name, part in data.rows.items() for row in part}
    seconds = time.perf_counter() - start
    if left := len(judged) - len(rows):
        notes.append(f"left out {counted(left, 'image')} that cannot be read")
    return Doubts(
        data, source, model.name, rows, labels, probabilities, confident(labels, probabilities),
        [names[int(row)] for row in rows], folds, seconds, notes,
    )  # fmt: skip


def _temperature(
    model: Estimator, labels: NDArray[np.int64], probabilities: NDArray[np.float32]
) -> float:
    """Return the temperature for a method that fits none itself; 0: it does, or none is needed.

    Without it the many answers of 100% of a method that is too sure would be in no order.
    """
    if model.method_.calibration or not np.isfinite(probabilities).all():
        return 0.0
    made = calibration.calibrate(_logits(probabilities), labels)
    return made.temperature if made is not None and made.after < made.before else 0.0


def _logits(probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.log(np.maximum(probabilities.astype(np.float64), LEAST))[None]


def _cooled(probabilities: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    return calibration.probabilities(_logits(probabilities), temperature).astype(np.float32)


def judgeable(data: Dataset, folds: int) -> tuple[Split, list[str]]:
    """Return the images whose labels can be judged, and what to know of the others.

    Raises
    ------
    DataError
        When the images have no classes, or not two of them with two images each.
    """
    check_task(data, Task.CLASSIFY)
    rows = np.unique(np.concatenate(list(data.rows.values())))
    whole = Split(data, "labelled", rows)
    labels = whole.labels
    sizes = np.bincount(labels[labels >= 0], minlength=len(data.classes))
    alone = [data.classes[k] for k in np.flatnonzero(sizes == 1)]
    few = [data.classes[k] for k in np.flatnonzero((sizes > 1) & (sizes < folds))]
    notes = []
    if alone:
        notes.append(f"not judged, as nothing else is of their class: {_some(alone)}")
    if few:
        notes.append(f"fewer images than the {folds} folds, so judged by few: {_some(few)}")
    keep = (labels >= 0) & (sizes[np.maximum(labels, 0)] > 1)
    if (sizes > 1).sum() < 2:
        raise DataError(
            f"{data.name} has {counted(len(rows), 'image')} of "
            f"{counted(int((sizes > 0).sum()), 'class')}; judging labels takes two classes with "
            "two images each"
        )
    return whole.take(np.flatnonzero(keep)), notes


def _some(names: Sequence[str]) -> str:
    return f"{', '.join(names[:5])}{' ...' if len(names) > 5 else ''}"


def out_of_fold(
    source: str, model: Estimator, split: Split, folds: int, seed: int = 0,
    progress: Progress | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:  # fmt: skip
    """Compute probabilities of each image by a fit that has not seen it.

    Features of a frozen network are computed once: it has learned from none of the images.

    Parameters
    ----------
    source : str
    model : Estimator
        Of that run.
    split : Split
    folds : int
    seed : int
    progress : callable, optional
        Called with (work done, work in all).

    Returns
    -------
    rows : int64 array, shape (N,)
        Of the source, those that can be read.
    labels : int64 array, shape (N,)
    probabilities : float32 array, shape (N, C)
        In the order of the data's classes.
    """
    told: Progress = progress or (lambda done, total: None)
    if model.fitted().embed is not None:
        return _on_features(source, model, split, folds, seed, told)
    parts = splits.folds(np.arange(len(split)), split.labels, folds, seed, split.groups)
    rows, labels, probabilities = list[Any](), list[Any](), list[Any]()
    report = _rising(told, len(parts))
    for number, (learn, held) in enumerate(parts):
        made = type(model)(model.name, model.options, model.preprocess, model.seed)
        train, watched = _watched(split.take(learn), made, seed)
        made.fit(train, watched, report(number))
        answered: Any = made.evaluate(split.take(held))
        rows.append(answered.rows)
        labels.append(answered.labels)
        probabilities.append(answered.probabilities)
    report(len(parts))(0, 1)
    order = np.argsort(np.concatenate(rows), kind="stable")
    return (
        np.concatenate(rows)[order], np.concatenate(labels)[order],
        np.concatenate(probabilities)[order],
    )  # fmt: skip


def _rising(told: Progress, parts: int) -> Callable[[int], Progress]:
    """Return the progress of each part of the work; a fit tells of decoding first, then of steps.

    What would go back is not told.
    """
    furthest = 0

    def of(number: int) -> Progress:
        def report(done: int, total: int) -> None:
            nonlocal furthest
            at = number * STEPS + STEPS * done // max(total, 1)
            if at > furthest:
                furthest = at
                told(at, parts * STEPS)

        return report

    return of


def _watched(train: Split, made: Estimator, seed: int) -> tuple[Split, Split | None]:
    """Keep some training images back for methods that watch them while they learn."""
    method = made.build(made.name, made.options, made.seed)
    labels = train.labels
    if "X_val" not in method.takes or np.bincount(labels).max() < WATCHED:
        return train, None
    parts = splits.folds(np.arange(len(train)), labels, WATCHED, seed, train.groups)
    learn, held = parts[0]
    return train.take(learn), train.take(held)


def _on_features(
    source: str, model: Estimator, split: Split, folds: int, seed: int, told: Progress
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    seen = see(source, split, answers=False, progress=told)
    X, y = seen.features, seen.labels
    groups = None if split.groups is None else Split(split.data, "", seen.rows).groups
    probabilities = np.zeros((len(X), len(split.data.classes)), np.float32)
    for learn, held in splits.folds(np.arange(len(X)), y, folds, seed, groups):
        method = model.build(model.name, model.options, model.seed).fit(X[learn], y[learn])
        probabilities[np.ix_(held, method.classes_)] = method.decide(X[held])[1]
    return seen.rows, y, probabilities


def csv_text(doubts: Doubts) -> str:
    """Return the labels in doubt as CSV, for a spreadsheet: formulas in names are quoted."""
    written = io.StringIO(newline="")
    rows = doubts.table()
    columns = [*rows[0]] if rows else ["rank", "image", "path", "split", "label", "believed"]
    writer = csv.DictWriter(written, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: cells.quoted(value) for key, value in row.items()} for row in rows)
    return f"\ufeff{written.getvalue()}"  # which Excel knows UTF-8 by
