"""Define the estimator of every task: made by name, fitted on a split, saved as a run's folder."""

from __future__ import annotations

import dataclasses
import functools
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from sightline.data.dataset import Dataset, Split
from sightline.data.images import CENTRED
from sightline.data.item import Item
from sightline.data.load import check_task, left_out_note, unreadable_note
from sightline.data.notebook import thumbnail
from sightline.data.transforms import Fitted, Preprocess
from sightline.errors import NotFittedError, ParameterError, RunError, UnknownNameError, wrong_kind
from sightline.estimators import backbone, methods
from sightline.estimators.predictions import Predictions, check_split, images_in
from sightline.metrics import Evaluation, Metrics
from sightline.models import registry
from sightline.models.method import Method
from sightline.training import run
from sightline.types import Classification, Frame, Prediction, Progress

if TYPE_CHECKING:
    from sightline.estimators.network import NetworkMethod
    from sightline.training.engine import OnEpoch, Training

PREPROCESS = tuple(f.name for f in dataclasses.fields(Preprocess))
"""Options of every method that belong to preprocessing."""

AT_ONCE = 256
"""Images that are prepared and answered for at a time."""

Answers = Callable[[NDArray[np.uint8], Sequence[Frame]], Sequence[Prediction]]
"""Answers for prepared images, shape (N, H, W, C), and their frames."""


@dataclass(frozen=True, slots=True)
class Fitting:
    """The options of a fit besides the data.

    Parameters
    ----------
    progress : callable, optional
        Called with (images decoded, images in all), then with (steps, steps in all).
    budget : float, optional
        Seconds, for methods that can fit their epochs to a time.
    folder : path, optional
        Of the run, for methods that keep checkpoints.
    resume : bool
        Go on from the folder's last checkpoint.
    on_epoch : callable, optional
        Called with each epoch's row of the history.
    """

    progress: Progress | None = None
    budget: float | None = None
    folder: Path | None = None
    resume: bool = False
    on_epoch: OnEpoch | None = None

    def for_method(self, method: Method) -> dict[str, Any]:
        """Return the options as keywords that a method's ``fit`` takes."""
        asked = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {name: value for name, value in asked.items() if name in method.takes}


class Estimator(ABC):
    """A method on images: fit, predict, score, save. Made by `sightline.create_model`.

    A task's estimator says what can be learned from (`check`), how (`learn`), how images are
    answered for (`predict`, `evaluate`), and what of it a run keeps (`arrays`, `restore`).

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
    method_ : Method
        The fitted method, on arrays.
    classes_ : tuple of str
    fitted_ : Fitted
        Preprocessing with the training split's mean and deviation.
    history : list of dict
        What happened in each epoch, where the method has epochs.
    remarks : list of str
        What the reader should know of the training.
    config : dict
        What the run says of itself: data, environment, time.
    thresholds : tuple of float
        One a class, where `tune_thresholds` chose any: an answer below its class's is none of
        them.
    """

    task: ClassVar[str]
    whole: ClassVar[str] = ""
    """What would become of parts of pictures that a resize cuts off, where it may cut off none."""
    views: ClassVar[bool] = False
    """Whether a network of this task can average its answer over several views of an image."""
    network: ClassVar[type[NetworkMethod] | None] = None
    """What makes a network of the registry a method of this task; None: the task has none."""

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
        self.thresholds: tuple[float, ...] = ()
        self.build(name, self.options, seed)  # a wrong option is said now, not after loading

    # ---- making

    @classmethod
    def create(cls, name: str, options: Mapping[str, Any], *, seed: int = 0) -> Self:
        """Make an unfitted estimator of a method.

        Raises
        ------
        UnknownNameError, ParameterError
            When an option does not exist, or cannot have the value.
        """
        known = {f.name for f in dataclasses.fields(cls.knobs(name))}
        for option in options:
            if option not in known and option not in PREPROCESS:
                raise UnknownNameError(f"option of {name}", option, known | set(PREPROCESS))
        methods.check_kinds(cls.knobs(name), options)
        methods.check_kinds(Preprocess, options, choices=True)
        before = {k: v for k, v in options.items() if k in PREPROCESS}
        rest = {k: v for k, v in options.items() if k not in PREPROCESS}
        cls.build(name, rest, seed).require()
        return cls(name, rest, cls.preprocess_of(name, before), seed)

    @classmethod
    def knobs(cls, name: str) -> type[Any]:
        """Return the knobs of a method as a dataclass; those of a network are its recipe's."""
        if registry.card(name).kind == "module":
            return cls.network_of(name).recipe_type
        return methods.knobs(registry.card(name))

    @classmethod
    def build(cls, name: str, options: Mapping[str, Any], seed: int = 0) -> Method:
        """Make a method's instance from its options.

        Raises
        ------
        UnknownNameError, ParameterError
            When an option does not exist, or cannot have the value.
        """
        known = {f.name for f in dataclasses.fields(cls.knobs(name))}
        for option in options:
            if option not in known:
                raise UnknownNameError(f"option of {name}", option, known or {"(none)"})
        if registry.card(name).kind == "module":
            return cls.network_of(name)(registry.card(name), options, seed)
        return methods.build(registry.card(name), options, seed)

    @classmethod
    def preprocess_of(cls, name: str, given: Mapping[str, Any] | None = None) -> Preprocess:
        """Return a method's preprocessing: as its model card says, but for what is given.

        Raises
        ------
        ParameterError
            When parts of pictures would be cut off of a task that is asked about all of them.
        """
        card = registry.card(name)
        own: dict[str, Any] = {
            "scale": card.scale, "size": card.side, "resize": card.resize,
            "features": card.features, "views": card.views,
        }  # fmt: skip
        made = Preprocess(**(own | dict(given or {})))
        if cls.whole and (made.resize == "crop" or made.resize in CENTRED):
            raise ParameterError(
                f"resize={made.resize} cuts off parts of pictures, {cls.whole}; take resize=pad or "
                "resize=stretch"
            )
        return made

    @classmethod
    def pretrained_command(cls, data: str) -> str | None:
        """Return the command that learns from features of a trained network; None: there is none.

        Parameters
        ----------
        data : str
            As the command line is to name it, quoted.
        """
        return None

    @classmethod
    def network_of(cls, name: str) -> type[NetworkMethod]:
        """Return the class that makes the task's networks methods on arrays.

        Raises
        ------
        ParameterError
            When the task has no networks.
        """
        if cls.network is None:
            raise ParameterError(f"{name}: there are no networks for the task {cls.task}")
        return cls.network

    def __repr__(self) -> str:
        knobs = "".join(f", {name}={value!r}" for name, value in self.options.items())
        about = "not fitted"
        if hasattr(self, "fitted_"):
            seen = self.config.get("trained_on")
            about = f"{len(self.classes_):,} classes" + (f", {seen:,} images" if seen else "")
        return f"{type(self).__name__}({self.name!r}{knobs}; {about})"

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return every knob with its value, and ``name`` and ``seed``, as scikit-learn asks.

        Parameters
        ----------
        deep : bool
            Not looked at: no knob is an estimator.
        """
        known = {f.name: f.default for f in dataclasses.fields(self.knobs(self.name))}
        before = dataclasses.asdict(self.preprocess)
        return {"name": self.name, "seed": self.seed} | known | self.options | before

    def set_params(self, **params: Any) -> Self:
        """Change knobs; what was fitted is forgotten.

        Raises
        ------
        UnknownNameError, ParameterError
            When a knob does not exist, or cannot have the value.
        """
        if not params:
            return self
        name, seed = params.pop("name", self.name), params.pop("seed", self.seed)
        kept = self.options if name == self.name else {}
        before = dataclasses.asdict(self.preprocess) if name == self.name else {}
        made = self.create(name, {**kept, **before, **params}, seed=seed)
        self.__dict__.clear()
        self.__dict__.update(made.__dict__)
        return self

    def __sklearn_clone__(self) -> Self:
        return type(self)(self.name, self.options, self.preprocess, self.seed)

    # ---- learning

    def fit(
        self,
        train: Split,
        val: Split | None = None,
        progress: Progress | None = None,
        *,
        budget: float | None = None,
        folder: str | Path | None = None,
        resume: bool = False,
        on_epoch: OnEpoch | None = None,
    ) -> Self:
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
            When the split cannot teach this, or has no readable image.
        """
        check_split(train, "train")
        if val is not None:
            check_split(val, "val")
        if budget is not None and (isinstance(budget, bool) or not isinstance(budget, int | float)):
            raise wrong_kind("budget is a number of seconds", budget)
        if folder is not None and not isinstance(folder, str | Path):
            raise wrong_kind("folder is the folder of a run", folder)
        self.check(train)
        method = self.build(self.name, self.options, self.seed)
        if resume and "resume" not in method.takes:
            raise ParameterError(f"{self.name} keeps no checkpoints; train it again")
        if on_epoch is not None and "on_epoch" not in method.takes:
            raise ParameterError(f"{self.name} is not trained by the engine; networks are")
        method.require()
        self.fitted_ = backbone.fit(self.preprocess, train, registry.card(self.name))
        self.thresholds = ()
        self.classes_ = self.classes_of(train.data)
        self.method_ = method
        place = None if folder is None else Path(folder)
        how = Fitting(progress, budget, place, resume, on_epoch)
        count = self.learn(train, val if val is not None and len(val) else None, how)
        self.options |= method.decided
        small = backbone.small_note(self.fitted_, self.method_)
        self.remarks = [*method.remarks, *small, *self._unread(train)]
        self.history = [dict(row) for row in method.history_]
        self.config = {
            "data": run.describe_data(train.data),
            "environment": run.environment(self.seed, method.used),
            "trained_on": count,
        }
        if method.calibration:
            self.config["calibration"] = dict(method.calibration)
        if published := method.published or self._published_features():
            self.config["published_weights"] = dict(published)
        return self

    @classmethod
    def check(cls, train: Split) -> None:
        """Refuse a training split that a method of this task cannot learn from.

        Raises
        ------
        DataError
        """
        cls.check_serves(train.data)

    @classmethod
    def check_serves(cls, data: Dataset) -> None:
        """Refuse data whose annotations do not allow the task.

        Raises
        ------
        DataError
        """
        check_task(data, cls.task)

    @classmethod
    def classes_of(cls, data: Dataset) -> tuple[str, ...]:
        """Return the classes of data that answers are among."""
        return data.classes

    @abstractmethod
    def learn(self, train: Split, val: Split | None, how: Fitting) -> int:
        """Fit ``method_`` on a split, prepared as ``fitted_`` says; return the images seen."""

    def training(self, train: Split) -> Training:
        """Return a network's training before its first step, to examine; see `training.probe`.

        Raises
        ------
        ParameterError
            When the method is no network that the engine trains.
        """
        check_split(train, "train")
        self.check(train)
        method = self.build(self.name, self.options, self.seed)
        if self.network is None or not isinstance(method, self.network):
            raise ParameterError(f"{self.name} is not trained by the engine; networks are")
        fitted = backbone.fit(self.preprocess, train, registry.card(self.name))
        return self.training_of(method, train, fitted)

    def training_of(self, method: Any, train: Split, fitted: Fitted) -> Training:
        """Return the training of a network that was just made, on prepared images; see `training`.

        Parameters
        ----------
        method : NetworkMethod
        train : Split
        fitted : Fitted
        """
        raise ParameterError(f"{self.name} is not trained by the engine; networks are")

    def answer_with(self, tta: Any) -> None:
        """Choose the views of an image that a fitted network averages over from now on.

        Raises
        ------
        ParameterError
            When the method is no network, or its task knows no views.
        """
        if not self.views or registry.card(self.name).kind != "module":
            raise ParameterError(f"{self.name} has no test-time augmentation; networks have")
        self.fitted()
        self.options["tta"] = self.method_.options["tta"] = tta

    def note_unread(self, unread: Mapping[int, str], total: int) -> None:
        """Add a remark on the images that could not be read, with their reasons by row, once."""
        if unread:
            note = left_out_note(list(unread.values()), total)
            self.remarks += [note] * (note not in self.remarks)

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
        """Measure settings of a method on images that it has not learned from.

        Parameters
        ----------
        name : str
            Of the method.
        train, val : Split
        settings : sequence of dict
            Knobs, a whole setting each.
        preprocess : Preprocess
        budget : float, optional
            Seconds; settings are tried until the next would take too long.
        seed : int
        progress : callable, optional
            Called with (settings tried, settings in all).
        """
        figures = []
        start = time.perf_counter()
        for setting in settings:
            made = cls.create(name, dict(setting) | dataclasses.asdict(preprocess), seed=seed)
            metrics = made.fit(train).score(val)
            figures.append((dict(setting), metrics.headline))
            if progress:
                progress(len(figures), len(settings))
            if is_late(start, len(figures), budget):
                break
        return Tried(
            figures, len(val), metrics.headline_name, metrics.share, metrics.higher_is_better
        )

    def as_it_is(self) -> Self:
        """Return the estimator fitted by nothing: of a method that was trained elsewhere.

        Raises
        ------
        ParameterError
            When the method has to be trained.
        """
        raise ParameterError(f"{self.name} has to be trained: train it, and give the run's folder")

    def _take_published(self, method: NetworkMethod, classes: tuple[str, ...]) -> Self:
        """Take a network that was trained elsewhere, with its classes and its size."""
        self.method_, self.classes_ = method, classes
        self.config["published_weights"] = dict(method.published)
        height, width = method.side_.tolist()
        zeros = np.zeros(3, np.float32)
        self.fitted_ = Fitted(
            (height, width), "RGB", self.preprocess.resize, "none", zeros, zeros + 1
        )
        return self

    # ---- answering

    def predict(self, images: Split | Sequence[Any] | Any) -> Predictions:
        """Answer for images.

        Parameters
        ----------
        images : image, sequence of images, or Split
            Paths, PIL images, arrays (H, W, C) or tensors (C, H, W), of uint8 or of floats in
            [0, 1]; or an array of several, (N, H, W, C) or (N, H, W).

        Returns
        -------
        Predictions
            A list of `Prediction`, in the pixels of the pictures that were given.

        Raises
        ------
        NotFittedError
            When the estimator was not fitted yet.
        DataError
            When an image cannot be read.
        """
        many, mode = images_in(images), self.fitted().mode
        answers: list[Prediction] = []
        for start in range(0, len(many), AT_ONCE):
            part = many[start : start + AT_ONCE]
            ready = [one.read_image(mode) if isinstance(one, Item) else one for one in part]
            X, frames = self.prepared(ready)
            if X is not None:
                answers += self.answers(X, frames)
        for answer, image in zip(answers, many, strict=True):
            if isinstance(answer, Classification):
                object.__setattr__(answer, "picture", functools.partial(thumbnail, image))
        return Predictions(answers, many)

    @abstractmethod
    def answers(self, X: NDArray[np.uint8], frames: Sequence[Frame]) -> Sequence[Prediction]:
        """Answer for prepared images, shape (N, H, W, C), with the frame of each."""

    @abstractmethod
    def evaluate(
        self, split: Split, progress: Progress | None = None, *, answers: Answers | None = None
    ) -> Evaluation:
        """Answer for every image of a split, and measure the answers.

        Parameters
        ----------
        split : Split
        progress : callable, optional
            Called with (images answered, images in all).
        answers : callable, optional
            Measure these answers instead of the method's own: an exported file's.

        Raises
        ------
        DataError
            When the split is empty, or its classes are not the model's.
        """

    def score(self, split: Split) -> Metrics:
        """Return the metrics on a split; `Metrics.headline` is the task's main figure.

        Raises
        ------
        DataError
            When the split is empty, or its classes are not the model's.
        """
        check_split(split, "split")
        return self.evaluate(split).metrics

    def tune_thresholds(self, measured: Evaluation) -> Evaluation:
        """Choose a threshold for each class by measured answers, where the task has thresholds.

        Parameters
        ----------
        measured : Evaluation
            Of validation images.

        Returns
        -------
        Evaluation
            The same answers, with the thresholds.
        """
        return measured

    @property
    def parameters(self) -> int:
        """Return how many numbers the method keeps (k-NN: all training pixels)."""
        self.fitted()
        count: int = self.method_.parameters
        return count

    # ---- keeping

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the learned arrays, for `save`."""
        learned: dict[str, NDArray[Any]] = self.method_.arrays()
        return learned

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Make ``method_`` of what `arrays` returned.

        Raises
        ------
        RunError
            When they are another method's.
        """
        self.method_ = self.build(self.name, self.options, self.seed)
        self.method_.restore(arrays)

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
        fitted = self.fitted()
        folder = run.create(path)
        arrays = self.arrays() | {"preprocess.mean": fitted.mean, "preprocess.std": fitted.std}
        if fitted.mean_image is not None:
            arrays["preprocess.mean_image"] = fitted.mean_image
        embed = fitted.embed if isinstance(fitted.embed, backbone.Backbone) else None
        if embed is not None:
            arrays |= embed.arrays()
        run.write_arrays(folder / run.MODEL, arrays, {"model": self.name})
        (folder / run.TEST).unlink(missing_ok=True)  # it was another model's
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
                    "views": self.preprocess.views,
                    "backbone": None if embed is None else embed.plain(),
                },
                "classes": list(self.classes_),
                "thresholds": list(self.thresholds),
                "seed": self.seed,
                "written": run.now(),
                "command": run.command(),
                **self.config,
                **more,
            },
        )
        return folder

    @classmethod
    def load(cls, folder: Path, config: Mapping[str, Any]) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        RunError
            When the folder is incomplete or damaged.
        """
        arrays = run.read_arrays(folder / run.MODEL)
        try:
            before = config["preprocess"]
            height, width = (int(side) for side in before["size"])
            options = dict(config["options"])
            if "accelerator" in options:  # its name before k-NN's and the networks' became one
                options["device"] = options.pop("accelerator")
            methods.check_kinds(cls.knobs(config["model"]), options)
            model = cls(
                config["model"],
                options,
                Preprocess(
                    height,
                    before["resize"],
                    before["scale"],
                    before.get("features", ""),
                    before.get("views", "one"),
                ),
                int(config["seed"]),
            )
            model.classes_ = tuple(config["classes"])
            model.fitted_ = Fitted(
                (height, width), before["mode"], before["resize"], before["scale"],
                arrays.pop("preprocess.mean"), arrays.pop("preprocess.std"),
                arrays.pop("preprocess.mean_image", None),
            )  # fmt: skip
            if before.get("backbone"):
                model.fitted_.embed = backbone.Backbone.restored(before["backbone"], arrays)
                for name in [n for n in arrays if n.startswith(backbone.PREFIX)]:
                    del arrays[name]
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{folder / run.CONFIG} is incomplete ({error}); train again") from None
        model.history = run.read_history(folder)
        model.restore(arrays)
        ids = np.asarray(getattr(model.method_, "classes_", ()))
        if ids.dtype.kind in "iu" and ids.max(initial=-1) >= len(model.classes_):
            raise RunError(
                f"{folder / run.CONFIG} names {len(model.classes_)} classes, but the model knows "
                f"class {ids.max()}; train again"
            )
        model.thresholds = tuple(map(float, config.get("thresholds", ())))
        model.config = {
            k: config[k]
            for k in ("data", "environment", "trained_on", "published_weights", "calibration")
            if k in config
        }
        return model

    # ---- for the tasks

    def fitted(self) -> Fitted:
        """Return the fitted preprocessing.

        Raises
        ------
        NotFittedError
            When the estimator was not fitted yet.
        """
        if not hasattr(self, "fitted_"):
            raise NotFittedError(f"the model {self.name} is not fitted; call fit before predict")
        return self.fitted_

    def prepared(self, images: Sequence[Any] | Any) -> tuple[NDArray[np.uint8] | None, list[Frame]]:
        """Return images of any accepted form as one array (N, H, W, C), with their frames.

        None for no image.
        """
        many = images if isinstance(images, list | tuple) else [images]
        ready = [self.fitted().prepare(image) for image in many]
        return (np.stack([p for p, _ in ready]) if ready else None), [f for _, f in ready]

    def _published_features(self) -> Mapping[str, Any]:
        """Return what published weights brought along that the frozen features stand on, if any."""
        frozen = self.fitted_.embed
        if not isinstance(frozen, backbone.Backbone):
            return {}
        if frozen.network.published:
            return frozen.network.published
        folder = Path(self.preprocess.features)
        known = run.read_config(folder) if run.is_run(folder) else {}
        published: Mapping[str, Any] = known.get("published_weights", {})
        return published

    def _unread(self, train: Split) -> list[str]:
        """Tell what packing the images told; of small images, loading has told it."""
        source = train.data.source
        packed = source.packed.get((*self.fitted_.size, self.fitted_.resize))
        if packed is None or source.size is not None:
            return []
        unread = [unreadable_note(packed, len(source.items))] if packed.unreadable else []
        return [*packed.damage_note(), *unread]


def is_late(start: float, done: int, budget: float | None) -> bool:
    """Tell whether one more step like those since `start` would exceed the budget of seconds."""
    return budget is not None and (time.perf_counter() - start) * (1 + 1 / done) > budget


@dataclass(slots=True)
class Tried:
    """Settings that were measured, in the order tried.

    Parameters
    ----------
    figures : list of (setting, headline)
    images : int
        Held-out images that each was judged by.
    metric : str
        Name of the headline.
    share : bool
        Whether it is a share, in [0, 1].
    higher_is_better : bool
    """

    figures: list[tuple[dict[str, Any], float]]
    images: int
    metric: str
    share: bool = True
    higher_is_better: bool = True

    def add(self, setting: Mapping[str, Any], figure: float) -> None:
        """Add a setting and its headline."""
        self.figures.append((dict(setting), figure))
