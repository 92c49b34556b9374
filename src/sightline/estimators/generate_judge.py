"""Compare pictures by a network that knows the data: its features, and its classes.

A distance between pictures' pixels says little; between features of a network that tells their
classes apart it says what matters there. Which network it was belongs to every figure.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.data import store
from sightline.data.dataset import Dataset
from sightline.data.images import Mode, as_mode
from sightline.data.transforms import Fitted
from sightline.errors import ParameterError, RunError
from sightline.estimators.backbone import Backbone, parted
from sightline.metrics import figure_text
from sightline.models import carried
from sightline.training import run
from sightline.types import Progress, Task

if TYPE_CHECKING:
    from sightline.estimators.base import Estimator

METHOD = "convnet"
"""The classifier that is trained where none is named."""

EPOCHS = 6.0
"""It learns for so long, with its recipe's least number of steps."""

CARRIED = "imagenet:efficientnet_lite0"
"""The network that is taken where classes are unknown."""

INCEPTION = "inception"

PART = 128
"""Pictures that are seen at a time."""

SEEN_BY_LARGE = 5000
"""Training pictures that a large network looks at, at most."""

Rows = NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Judge:
    """A network that pictures are seen through.

    Parameters
    ----------
    name : str
        What the features are of, for a reader.
    features : callable
        Rows (N, d) of pictures uint8 (N, H, W, C).
    chances : callable, optional
        Probabilities (N, C) of classes.
    most : int
        Training pictures that it is to look at, at most.
    """

    name: str
    features: Callable[[NDArray[np.uint8]], Rows]
    chances: Callable[[NDArray[np.uint8]], Rows] | None = None
    most: int = 2**31


def judge_of(asked: str, data: Dataset, fitted: Fitted, pictures: int) -> Judge:
    """Return the network that pictures of a size are seen through.

    Parameters
    ----------
    asked : str
        See `sightline.training.generate_recipe.GenerateRecipe`.
    data : Dataset
        Whose training split teaches the classifier of ``auto``.
    fitted : Fitted
        Size and mode of the pictures.
    pictures : int
        That will be compared: of few, ``auto`` takes the classifier's logits, which are fewer.

    Raises
    ------
    ParameterError, RunError, WeightsError, MissingExtraError
        When it cannot be had, or is no network.
    """
    if asked == INCEPTION:
        return _inception()
    if asked != "auto":
        config = run.read_config(Path(asked)) if run.is_run(Path(asked)) else {}
        if config.get("task") == str(Task.CLASSIFY):
            return _classifier(_loaded(Path(asked), fitted), Path(asked).name, pictures)
        return _of_network(asked, fitted)
    if len({int(label) for label in data.train.labels if label >= 0}) > 1:
        return _trained(data, fitted, pictures)
    if not carried.installed(CARRIED.partition(":")[2]):
        raise ParameterError(
            f"{data.name} has no classes that a judge of pictures could learn, and the bundled "
            f"network is not here; {carried.INSTALL} brings it, or name one with judge=..."
        )
    return _of_network(CARRIED, fitted, pictures)


def _trained(data: Dataset, fitted: Fitted, pictures: int) -> Judge:
    """Train a small classifier on the training split, once; it is kept in the cache."""
    from sightline.estimators import create_model, load_model

    said = f"{data.train.digest()}|{fitted.size}|{fitted.mode}|{fitted.resize}|{METHOD}|{EPOCHS}"
    key = hashlib.sha256(said.encode()).hexdigest()[:24]
    folder = store.home() / "judges" / key
    if run.is_run(folder):
        try:
            judged = run.read_config(folder).get("judged")
            return _classifier(load_model(folder), METHOD, pictures, judged)
        except RunError:
            pass  # damaged, or of another version: it is trained anew
    own = data.size == fitted.size
    model = create_model(
        METHOD, seed=0, epochs=EPOCHS, size=0 if own else fitted.size[0], resize=fitted.resize,
        device="cpu",
    )  # fmt: skip
    val = data.val if "val" in data.rows and len(data.val) else None
    judged = None
    model.fit(data.train, val)
    if val is not None:
        judged = model.score(val).headline
    with contextlib.suppress(RunError):  # a cache that cannot be written costs time, no answer
        model.save(folder, judged=judged)
    return _classifier(model, METHOD, pictures, judged)


def _loaded(folder: Path, fitted: Fitted) -> Estimator:
    from sightline.estimators import load_model

    model = load_model(folder)
    own = model.fitted()
    if own.size != fitted.size or own.mode != fitted.mode:
        raise ParameterError(
            f"judge={folder} sees {_size(own)}, and these pictures are {_size(fitted)}: train one "
            "on pictures of this size"
        )
    return model


def _size(fitted: Fitted) -> str:
    return f"{fitted.size[1]} x {fitted.size[0]} {'grey' if fitted.mode == 'L' else 'colour'}"


def _classifier(model: Estimator, name: str, pictures: int, judged: float | None = None) -> Judge:
    """Return a fitted classifier as a judge, with its accuracy where that is known."""
    method: Any = model.method_
    if not hasattr(method, "model"):
        raise ParameterError(f"judge={name} is no network, so it has no features")
    right = "" if judged is None else f", {figure_text(judged, True, 1)} right on validation images"
    backbone = Backbone(method)
    prepared = model.fitted()

    def chances(X: NDArray[np.uint8]) -> Rows:
        told: Rows = method.predict_proba(prepared(X))
        return told

    features = _rows(backbone)
    size = len(features(np.zeros((1, *prepared.shape), np.uint8))[0])
    if 2 * size <= pictures:
        return Judge(f"{size} features of {name}{right}", features, chances)

    def logits(X: NDArray[np.uint8]) -> Rows:
        return np.asarray(np.log(chances(X).clip(1e-12)), np.float32)

    classes = len(method.classes_)
    return Judge(f"{classes} logits of {name}{right}", logits, chances)


def _of_network(spec: str, fitted: Fitted, pictures: int = 0) -> Judge:
    """Return a trained network as a judge; of few pictures a layer that has fewer features."""
    from sightline.models.features import enlarged_side

    choices = [spec]
    if pictures and not parted(spec)[1]:
        choices += [f"{spec}@blocks.{i}" for i in (5, 4, 3, 2, 1, 0)]
    for choice in choices:
        backbone = Backbone.named(choice)
        if max(fitted.size) < backbone.side:
            backbone.enlarge = enlarged_side(max(fitted.size), backbone.side)
        features = _rows(backbone)
        size = len(features(np.zeros((1, *fitted.shape), np.uint8))[0])
        if not pictures or 2 * size <= pictures:
            break
    return Judge(f"{size} features of {choice}", features, most=SEEN_BY_LARGE)


def _rows(backbone: Backbone) -> Callable[[NDArray[np.uint8]], Rows]:
    """Return what computes the features of pictures of any mode."""
    import torch

    mode: Mode = "L" if len(backbone.network.mean_) == 1 else "RGB"
    backbone.network.model.eval()

    def features(X: NDArray[np.uint8]) -> Rows:
        rows = []
        for start in range(0, len(X), PART):
            part = np.stack([as_mode(x, mode) for x in X[start : start + PART]])
            with torch.inference_mode():
                seen = backbone.extractor.pooled(backbone._input(torch.from_numpy(part)))
            rows.append(seen.float().cpu().numpy())
        return np.concatenate(rows)

    return features


def _inception() -> Judge:
    """Return Inception v3 as published distances are measured through, by torchmetrics."""
    try:
        fid: Any = importlib.import_module("torchmetrics.image.fid")
    except ImportError:
        raise ParameterError(
            "judge=inception needs two packages more: pip install torchmetrics torch-fidelity"
        ) from None
    try:
        network = fid.NoTrainInceptionV3("inception-v3-compat", ["2048"])
    except Exception as error:  # noqa: BLE001 - whatever a download may fail with
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise ParameterError(f"judge=inception: its weights cannot be had ({why})") from None

    def features(X: NDArray[np.uint8]) -> Rows:
        import torch

        rows = []
        for start in range(0, len(X), PART):
            part = np.stack([as_mode(x, "RGB") for x in X[start : start + PART]])
            with torch.inference_mode():
                rows.append(network(torch.from_numpy(part).permute(0, 3, 1, 2)).numpy())
        return np.concatenate(rows).astype(np.float32)

    return Judge("2048 features of Inception v3", features, most=SEEN_BY_LARGE)


def train_rows(
    judge: Judge, X: NDArray[np.uint8], progress: Progress | None = None
) -> tuple[Rows, NDArray[np.int64]]:
    """Return the features of training pictures (N, H, W, C) and their positions in X."""
    places = np.arange(len(X))
    if len(X) > judge.most:
        places = np.sort(np.random.default_rng(0).permutation(len(X))[: judge.most])
    return judge.features(X[places]), places
