"""Look at a data set as a model does: features of each picture, and the model's answers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.data import images
from sightline.data.dataset import Dataset, Split
from sightline.data.load import left_out_note
from sightline.data.transforms import Preprocess
from sightline.errors import DataError, ParameterError
from sightline.estimators import backbone, load_model
from sightline.models import registry
from sightline.training import run
from sightline.types import Frame, Progress, Task

if TYPE_CHECKING:
    from sightline.estimators.base import Estimator

PIXELS = "pixels"
"""Name of what needs no model: each pixel is a feature."""

SIDE = 32
"""Pixels a side that pictures of unlike sizes have as pixels."""

AT_ONCE = 256

Answer = Callable[[NDArray[np.uint8], Sequence[Frame]], Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Eye:
    """What turns prepared pictures into rows of features.

    Parameters
    ----------
    name : str
        As it was asked for.
    what : str
        Which features these are, for a sentence.
    size : (height, width)
    resize : str
        See `sightline.data.images.resize`.
    mode : {"L", "RGB"}
    features : callable
        uint8 (N, H, W, C) to float rows (N, D).
    answer : callable, optional
        Answers for prepared pictures, of a classifier's run.
    classes : tuple of str
        That the answers are among.
    """

    name: str
    what: str
    size: tuple[int, int]
    resize: images.Resize
    mode: images.Mode
    features: Callable[[NDArray[np.uint8]], NDArray[np.float32]]
    answer: Answer | None = None
    classes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Seen:
    """Pictures of a data set as a model sees them.

    Parameters
    ----------
    eye : Eye
    rows : int64 array, shape (N,)
        Of the data's source.
    labels : int64 array, shape (N,)
        Class ids of the data; -1 where there is none.
    features : float32 array, shape (N, D)
    predicted : list of str, or None
        The class that each is taken for, where a classifier's run answers.
    scores : float32 array, shape (N,), or None
        The probabilities of those answers.
    notes : list of str
        What was left out.
    """

    eye: Eye
    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    features: NDArray[np.float32]
    predicted: list[str] | None
    scores: NDArray[np.float32] | None
    notes: list[str]


def data_of(source: str) -> str:
    """Return the name or path of the data that a run was trained on.

    Raises
    ------
    ParameterError
        When that is not known.
    """
    known: dict[str, Any] = {}
    place, _ = backbone.parted(source)
    with contextlib.suppress(Exception):
        known = run.read_config(Path(place)).get("data", {})
    named = known.get("path") or known.get("name")
    if not named:
        raise ParameterError(f"{source} does not say which data it is about: name DATA behind it")
    return str(named)


def opened(source: str, data: Dataset) -> Eye:
    """Open what makes features: a classifier's run, a network with published weights, or pixels.

    Parameters
    ----------
    source : str
        ``pixels``, the folder of a run, ``imagenet:NAME``, ``timm:NAME`` or ``torchvision:NAME``;
        with ``@LAYER`` behind a network the features of that layer.
    data : Dataset
        Says the size of pixels, and whether small pictures are to be enlarged.

    Raises
    ------
    ParameterError, RunError, UnknownNameError, WeightsError, MissingExtraError
        When it cannot be had, or is a run of another task and no layer is named.
    """
    if source == PIXELS:
        return Eye(source, "pixels", data.size or (SIDE, SIDE), "crop", data.mode, _flat)
    place, layers = backbone.parted(source)
    if not Path(place).is_dir():
        if place.startswith("imagenet:"):  # as the index and papers write these names
            source = source.replace("efficientnet-lite", "efficientnet_lite")
        split = next(iter(data.splits.values()))
        fitted = backbone.fit(Preprocess(features=source), split, registry.card("features+knn"))
        return Eye(source, _said(layers), fitted.size, fitted.resize, data.mode, fitted)
    model = load_model(place)
    fitted = model.fitted()
    features, what = _of_run(model, layers, source)
    eye = Eye(source, what, fitted.size, fitted.resize, fitted.mode, features)
    if model.task != Task.CLASSIFY:
        return eye
    return replace(eye, answer=model.answers, classes=model.classes_)


def _of_run(model: Estimator, layers: tuple[str, ...], source: str) -> tuple[Any, str]:
    """Return what computes a run's features, and which they are."""
    from sightline.estimators.network import NetworkMethod

    fitted, method = model.fitted(), model.method_
    if isinstance(method, NetworkMethod):
        if model.task != Task.CLASSIFY and not layers:
            raise ParameterError(
                f"{source} is a run of the task {model.task}, which has no features of whole "
                f"pictures: give a classifier's run, or name a layer as {source}@LAYER"
            )
        return backbone.Backbone(method, layers), _said(layers)
    if layers:
        raise ParameterError(f"{source}: {model.name} is no network, so it has no layers")
    if model.task != Task.CLASSIFY:
        raise ParameterError(
            f"{source} is a run of the task {model.task}; give a classifier's run, imagenet:NAME "
            "or pixels"
        )
    if fitted.embed is not None:
        return fitted, f"the features that {model.name} sees"
    return lambda X: _flat(fitted(X)), f"the pixels that {model.name} sees"


def _said(layers: Sequence[str]) -> str:
    return f"layer {' + '.join(layers)}" if layers else "what goes into the last layer"


def _flat(X: NDArray[Any]) -> NDArray[np.float32]:
    scale = 255 if X.dtype == np.uint8 else 1
    return X.reshape(len(X), -1).astype(np.float32) / np.float32(scale)


def see(
    source: str, split: Split, *, answers: bool = True, progress: Progress | None = None
) -> Seen:
    """Compute the features of a split's pictures, and a run's answers for them.

    Parameters
    ----------
    source : str
        See `opened`.
    split : Split
    answers : bool
        Whether a run is to answer, too.
    progress : callable, optional
        Called with (pictures done, pictures in all).

    Raises
    ------
    DataError
        When there is no picture, or features are not finite.
    ParameterError, RunError, UnknownNameError, WeightsError, MissingExtraError
        See `opened`.
    """
    if not len(split):
        raise DataError(f"{split.data.name}/{split.name} has no image")
    eye = opened(source, split.data)
    unread: dict[int, str] = {}
    features, rows, labels = list[Any](), list[Any](), list[Any]()
    predicted, scores = list[str](), list[float]()
    for part in split.batches(eye.size, eye.resize, AT_ONCE, unread=unread):
        X = _in_mode(part.X, eye.mode)
        features.append(np.asarray(eye.features(X), np.float32))
        rows.append(part.rows)
        labels.append(part.y)
        if answers and eye.answer is not None:
            for one in eye.answer(X, part.frames):
                predicted.append(one.name)
                scores.append(float(one.score))
        if progress:
            progress(sum(map(len, rows)) + len(unread), len(split))
    made = Seen(
        eye, np.concatenate(rows), np.concatenate(labels), np.concatenate(features),
        predicted or None, np.array(scores, np.float32) if predicted else None,
        [left_out_note(list(unread.values()), len(split))] if unread else [],
    )  # fmt: skip
    bad = np.atleast_1d(~np.isfinite(made.features).all(axis=1))
    if bad.any():
        first = split.data.source.items[int(made.rows[bad][0])].id
        raise DataError(
            f"{source} has features that are not finite for {int(bad.sum()):,} of {len(bad):,} "
            f"images, such as {first}: its weights are damaged, or its training diverged"
        )
    return made


def _in_mode(X: NDArray[np.uint8], mode: images.Mode) -> NDArray[np.uint8]:
    channels = 1 if mode == "L" else 3
    if X.shape[3] == channels:
        return X
    return np.stack([images.as_mode(one, mode) for one in X])
