"""Image classification: any classifier of the registry as an estimator on data sets."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.data import check_task, unreadable_note
from sightline.data.dataset import Progress, Split
from sightline.data.transforms import Fitted, Preprocess
from sightline.errors import DataError, NotFittedError, ParameterError, RunError, UnknownNameError
from sightline.estimators import features, methods
from sightline.metrics import Metrics
from sightline.metrics import classify as measure
from sightline.models import registry
from sightline.training import run
from sightline.training.recipe import Tta
from sightline.types import Classification, Neighbours, Task

if TYPE_CHECKING:
    from sightline.training.engine import OnEpoch, Training

PREPROCESS = tuple(f.name for f in dataclasses.fields(Preprocess))
_BATCH = 4096


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Answers on a split, row by row.

    Parameters
    ----------
    metrics : Metrics
    labels, predicted : int64 array, shape (N,)
        True and decided class ids, both in the run's classes.
    probabilities : float32 array, shape (N, C)
    rows : int64 array, shape (N,)
        Rows of the data's source, to find the images again.
    """

    metrics: Metrics
    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    rows: NDArray[np.int64]


def preprocess_of(name: str, given: Mapping[str, Any] | None = None) -> Preprocess:
    """Preprocessing of a method: as its card says, but for what is given."""
    return Preprocess(**({"scale": registry.card(name).scale} | dict(given or {})))


class Classifier:
    """A classification method on images: fit, predict, score, save.

    Made by `sightline.create_model`.

    Parameters
    ----------
    name : str
        Of the method.
    options : dict
        The method's knobs.
    preprocess : Preprocess
    seed : int

    Attributes
    ----------
    method_ : object
        The fitted method, on arrays.
    classes_ : tuple of str
    fitted_ : Fitted
        Preprocessing with the training split's figures.
    history : list of dict
        What happened in each epoch, where the method has epochs.
    remarks : list of str
        What the reader should know of the training.
    config : dict
        What the run says of itself: data, environment, time.
    """

    task = Task.CLASSIFY
    method_: Any
    classes_: tuple[str, ...]
    fitted_: Fitted

    def __init__(
        self, name: str, options: Mapping[str, Any], preprocess: Preprocess, seed: int
    ) -> None:
        self.name, self.options, self.seed = name, dict(options), seed
        self.preprocess = preprocess
        self.history: list[dict[str, Any]] = []
        self.remarks: list[str] = []
        self.config: dict[str, Any] = {}
        methods.build(name, self.options, seed)  # a wrong option is said now, not after loading

    @classmethod
    def create(cls, name: str, options: Mapping[str, Any], *, seed: int = 0) -> Classifier:
        """Part the options into preprocessing's and the method's."""
        known = {f.name for f in dataclasses.fields(methods.knobs(name))}
        for option in options:
            if option not in known and option not in PREPROCESS:
                raise UnknownNameError(f"option of {name}", option, known | set(PREPROCESS))
        before = {k: v for k, v in options.items() if k in PREPROCESS}
        rest = {k: v for k, v in options.items() if k not in PREPROCESS}
        return cls(name, rest, preprocess_of(name, before), seed)

    def fit(
        self,
        train: Split,
        val: Split | None = None,
        progress: Progress | None = None,
        *,
        budget: float | None = None,
        folder: Path | None = None,
        resume: bool = False,
        on_epoch: OnEpoch | None = None,
    ) -> Classifier:
        """Learn from a split.

        Parameters
        ----------
        train : Split
        val : Split, optional
            For methods that watch it while they learn.
        progress : callable, optional
            Called with (images decoded, images in all), then with (steps, steps in all).
        budget : float, optional
            Seconds, for methods that can fit their epochs to a time. What they decide becomes
            part of `options`, so that a replay does the same.
        folder : path, optional
            Of the run, for methods that keep checkpoints.
        resume : bool
            Go on from the folder's last checkpoint.
        on_epoch : callable, optional
            Called with each epoch's row of `history`, for methods that the engine trains.

        Raises
        ------
        ParameterError
            When the method has no checkpoints to resume, or no epochs to watch.
        DataError
            When the split has no or only one class, or no readable image.
        """
        check_task(train.data, self.task)
        check_classes(train)
        card = registry.card(self.name)
        self.fitted_ = features.fit(self.preprocess, train, card.largest_side)
        X, y, _ = train.arrays(self.fitted_.size, self.fitted_.resize, progress)
        method = methods.build(self.name, self.options, self.seed)
        takes = inspect.signature(method.fit).parameters
        if resume and "resume" not in takes:
            raise ParameterError(f"{self.name} keeps no checkpoints; train it again")
        if on_epoch is not None and "on_epoch" not in takes:
            raise ParameterError(f"{self.name} is not trained by the engine; networks are")
        more: dict[str, Any] = {
            "progress": progress, "budget": budget, "folder": folder, "resume": resume,
            "on_epoch": on_epoch,
        }  # fmt: skip
        if "X_val" in takes and val is not None and len(val):
            X_val, y_val, _ = val.arrays(self.fitted_.size, self.fitted_.resize)
            more |= {
                "X_val": self.fitted_(X_val),
                "y_val": self._renumbered(y_val, val, train.data.classes),
            }
        self.method_ = method.fit(
            self.fitted_(X), y, **{k: v for k, v in more.items() if k in takes}
        )
        self.options |= getattr(method, "decided", {})
        self.remarks = list(getattr(method, "remarks", []))
        source = train.data.source
        packed = source.pack(self.fitted_.size, self.fitted_.resize)
        if packed.unreadable and source.size is None:  # of small images, loading has said it
            self.remarks.append(unreadable_note(packed, len(source.items)))
        self.history = list(getattr(method, "history_", []))
        self.classes_ = train.data.classes
        self.config = {
            "data": run.describe_data(train.data),
            "environment": run.environment(self.seed),
            "trained_on": len(y),
        }
        if published := getattr(method, "published", None):
            self.config["published_weights"] = published
        return self

    def training(self, train: Split) -> Training:
        """Give a network's training as it would begin, to look at; see `training.probe`.

        Raises
        ------
        ParameterError
            When the method is no network that the engine trains.
        """
        check_task(train.data, self.task)
        check_classes(train)
        method = methods.build(self.name, self.options, self.seed)
        if not hasattr(method, "training"):
            raise ParameterError(f"{self.name} is not trained by the engine; networks are")
        fitted = features.fit(self.preprocess, train, registry.card(self.name).largest_side)
        X, y, _ = train.arrays(fitted.size, fitted.resize)
        made: Training = method.training(fitted(X), y)
        return made

    def answer_with(self, tta: Tta) -> None:
        """Choose the views of an image that a fitted network is asked about from now on.

        Raises
        ------
        ParameterError
            When the method is no network.
        """
        if registry.card(self.name).kind != "module":
            raise ParameterError(f"{self.name} has no test-time augmentation; networks have")
        self._fitted()
        self.options["tta"] = self.method_.options["tta"] = tta

    def predict(self, images: Sequence[Any] | Any) -> list[Classification]:
        """Classify images.

        Parameters
        ----------
        images : image or sequence of images
            Paths, PIL images, uint8 arrays (H, W, C) or uint8 tensors (C, H, W).

        Returns
        -------
        list of Classification
            With the deciding neighbours, where the method compares.

        Raises
        ------
        DataError
            When an image cannot be read.
        """
        fitted = self._fitted()
        many = images if isinstance(images, list | tuple) else [images]
        if not many:
            return []
        X = fitted(np.stack([fitted.prepare(image) for image in many]))
        neighbours: list[Neighbours | None] = [None] * len(many)
        if hasattr(self.method_, "kneighbors"):
            distances, indices = self.method_.kneighbors(X)
            predicted, seen, votes = self.method_.answer(distances, indices)
            probabilities = self._over_all_classes(seen)
            labels = self.method_.y_[indices]
            neighbours = [
                Neighbours(*row) for row in zip(indices, distances, labels, votes, strict=True)
            ]
        else:
            predicted, probabilities = self._decide(X)
        return [
            Classification(p, self.classes_, int(label), near)
            for p, label, near in zip(probabilities, predicted, neighbours, strict=True)
        ]

    def evaluate(self, split: Split, progress: Progress | None = None) -> Evaluation:
        """Answer for every image of a split, and measure the answers.

        Raises
        ------
        DataError
            When the split's classes are not the model's, or it is empty.
        """
        fitted = self._fitted()
        X, y, rows = split.arrays(fitted.size, fitted.resize)
        y = self._own_ids(y, split)
        if not len(y):
            raise DataError(f"{split.data.name}/{split.name} has no image to measure on")
        parts = []
        for start in range(0, len(X), _BATCH):
            parts.append(self._decide(fitted(X[start : start + _BATCH])))
            if progress:
                progress(min(start + _BATCH, len(X)), len(X))
        predicted = np.concatenate([p for p, _ in parts])
        probabilities = np.concatenate([p for _, p in parts])
        metrics = measure.evaluate(y, predicted, probabilities)
        return Evaluation(metrics, y, predicted, probabilities, rows)

    def score(self, split: Split) -> Metrics:
        """Measure on a split; the headline is accuracy."""
        return self.evaluate(split).metrics

    @property
    def parameters(self) -> int:
        """Numbers that the method keeps (for k-NN: all training pixels)."""
        self._fitted()
        own = getattr(self.method_, "parameters", None)
        return own if isinstance(own, int) else sum(int(a.size) for a in self._learned().values())

    def save(self, path: str | Path, **more: Any) -> Path:
        """Write the run's folder: configuration and learned arrays, no pickle.

        Parameters
        ----------
        path : folder
        **more
            Further entries of ``config.json``.

        Raises
        ------
        RunError
            When it cannot be written.
        """
        fitted = self._fitted()
        folder = run.create(path)
        arrays = self._learned() | {
            "preprocess.mean": fitted.mean,
            "preprocess.std": fitted.std,
        }
        if fitted.mean_image is not None:
            arrays["preprocess.mean_image"] = fitted.mean_image
        backbone = fitted.embed if isinstance(fitted.embed, features.Backbone) else None
        if backbone is not None:
            arrays |= backbone.arrays()
        run.write_arrays(folder / run.MODEL, arrays, {"model": self.name})
        if self.history:
            run.write_history(folder / run.HISTORY, self.history)
        run.write_json(
            folder / run.CONFIG,
            {
                "format": run.FORMAT,
                "task": str(self.task),
                "model": self.name,
                "options": self.options,
                "preprocess": {
                    "size": list(fitted.size),
                    "mode": fitted.mode,
                    "resize": fitted.resize,
                    "scale": fitted.scale,
                    "features": self.preprocess.features,
                    "backbone": None if backbone is None else backbone.network.card.name,
                },
                "classes": list(self.classes_),
                "seed": self.seed,
                "written": run.now(),
                "command": run.command(),
                **self.config,
                **more,
            },
        )
        return folder

    @classmethod
    def load(cls, folder: Path, config: Mapping[str, Any]) -> Classifier:
        """Read what `save` wrote."""
        arrays = run.read_arrays(folder / run.MODEL)
        try:
            before = config["preprocess"]
            height, width = before["size"]
            model = cls(
                config["model"],
                config["options"],
                Preprocess(
                    int(height), before["resize"], before["scale"], before.get("features", "")
                ),
                int(config["seed"]),
            )
            model.classes_ = tuple(config["classes"])
            model.fitted_ = Fitted(
                (int(height), int(width)), before["mode"], before["resize"], before["scale"],
                arrays.pop("preprocess.mean"), arrays.pop("preprocess.std"),
                arrays.pop("preprocess.mean_image", None),
            )  # fmt: skip
            if before.get("backbone"):
                model.fitted_.embed = features.Backbone.restored(before["backbone"], arrays)
                for name in [n for n in arrays if n.startswith(features.PREFIX)]:
                    del arrays[name]
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{folder / run.CONFIG} is incomplete ({error}); train again") from None
        model.history = run.read_history(folder)
        model.method_ = methods.build(model.name, model.options, model.seed)
        if hasattr(model.method_, "restore"):
            model.method_.restore(arrays)
        else:
            for name, array in arrays.items():
                setattr(model.method_, name, array)
        model.config = {
            k: config[k]
            for k in ("data", "environment", "trained_on", "published_weights")
            if k in config
        }
        return model

    def _fitted(self) -> Fitted:
        if not hasattr(self, "fitted_"):
            raise NotFittedError(f"fit the model ({self.name}) before it predicts")
        return self.fitted_

    def _learned(self) -> dict[str, NDArray[Any]]:
        """Learned arrays: what the method gives, or its attributes that end in an underscore."""
        if hasattr(self.method_, "arrays"):
            given: dict[str, NDArray[Any]] = self.method_.arrays()
            return given
        return {
            name: value
            for name, value in vars(self.method_).items()
            if name.endswith("_") and not name.startswith("_") and isinstance(value, np.ndarray)
        }

    def _decide(self, X: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Decided ids, shape (N,), and probabilities, shape (N, C), over all classes."""
        if hasattr(self.method_, "decide"):
            predicted, seen = self.method_.decide(X)
        else:
            predicted, seen = self.method_.predict(X), self.method_.predict_proba(X)
        return np.asarray(predicted, np.int64), self._over_all_classes(seen)

    def _over_all_classes(self, seen: NDArray[np.floating]) -> NDArray[np.float32]:
        """The method knows only the classes that it saw; the others get probability 0."""
        probabilities = np.zeros((len(seen), len(self.classes_)), np.float32)
        probabilities[:, self.method_.classes_] = seen
        return probabilities

    def _own_ids(self, y: NDArray[np.int64], split: Split) -> NDArray[np.int64]:
        """Labels of a split as this model numbers its classes."""
        return self._renumbered(y, split, self.classes_)

    @staticmethod
    def _renumbered(y: NDArray[np.int64], split: Split, own: tuple[str, ...]) -> NDArray[np.int64]:
        theirs = split.data.classes
        if theirs == own:
            return y
        unknown = sorted(set(theirs) - set(own))
        if unknown:
            raise DataError(
                f"{split.data.name} has classes that the model was not trained on: "
                f"{', '.join(unknown[:5])}{' ...' if len(unknown) > 5 else ''}"
            )
        ids = np.array([own.index(c) for c in theirs], np.int64)
        return np.asarray(ids[y], np.int64)


def check_classes(train: Split) -> None:
    """Refuse a training split in which there is nothing to tell apart."""
    present = [name for name, n in train.counts().items() if n]
    if not present:
        raise DataError(f"{train.data.name}/{train.name} has no labelled image")
    if len(present) == 1:
        raise DataError(
            f"{train.data.name}/{train.name} has only the class {present[0]!r}; telling classes "
            "apart needs two"
        )
