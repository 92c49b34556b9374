"""Export a run as ONNX files: the model, the resize of its pictures, and their metadata.

Beside ``NAME.onnx`` lie ``preprocess.onnx`` (``NAME.preprocess.onnx`` where NAME is not
``model``), which brings one RGB picture of any size to the model's, and, of methods that answer
by comparing, ``NAME.neighbours.npy`` with the training images. Nothing is written under its name
before it has been checked against the run.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sightline import __version__, tasks
from sightline.data import place, store
from sightline.data.dataset import Split
from sightline.data.images import Mode, Resize, is_image, png
from sightline.data.load import load_data
from sightline.deploy.runtime import FORMAT, INPUT, KEY, About, Runtime
from sightline.errors import (
    DataError,
    MissingExtraError,
    ParameterError,
    RunError,
    SightlineError,
)
from sightline.estimators import load_model
from sightline.estimators.base import AT_ONCE, Estimator
from sightline.metrics import Metrics, figure_text
from sightline.models import registry
from sightline.training import run
from sightline.types import Frame, Prediction, Progress

Precision = Literal["fp32", "fp16", "int8"]

ELSEWHERE = "exports"
"""Of the cache: exports of what was trained elsewhere, such as ``imagenet:NAME``."""

FOLDER = "export"
"""Of a run, where the server keeps what it exported."""

MODEL = "model.onnx"
CHECKED = 64
"""Images that a file is checked on against its run."""


@dataclass(frozen=True)
class Exported:
    """The files that `export` wrote, and how well they agree with the run.

    Parameters
    ----------
    path : path
        The model.
    about : About
    files : dict
        Bytes of each file by name.
    checked_on : str
        Description of the images that were checked.
    difference : float
        Largest difference from the run, of what the task's ``DIFFERENCE`` names.
    agreement : float
        Share of the checked images with the run's answer.
    before, after : Metrics, optional
        Metrics on the test split of the run and of the file, for models in 8 bits.
    test_images : int
        Number of test images measured on.
    """

    path: Path
    about: About
    files: dict[str, int]
    checked_on: str
    difference: float
    agreement: float
    before: Metrics | None = None
    after: Metrics | None = None
    test_images: int = 0


def export(
    source: str | Path,
    target: str | Path,
    *,
    precision: Precision = "fp32",
    data: str | None = None,
    progress: Progress | None = None,
) -> Exported:
    """Export a run as an ONNX model with its resize, checked against the run's own answers.

    Parameters
    ----------
    source : path
        Folder of a run, or ``imagenet:NAME``.
    target : path
        Path of the model's file; a folder gets ``model.onnx``.
    precision : {"fp32", "fp16", "int8"}
        int8 is calibrated on the training split, and measured on the test split.
    data : str, optional
        Name or path of the data, where it is no longer where the run found it.
    progress : callable, optional
        Called with (images calibrated, images in all).

    Raises
    ------
    RunError
        When the run cannot be read, the place not be written, or the file does not agree with
        the run: nothing is left then.
    ParameterError
        When the method has no graph, or not in that precision.
    MissingExtraError
        When onnx or ONNX Runtime is not installed.
    """
    _need()
    model = load_model(source)
    if precision == "int8" and hasattr(tasks.module("deploy", model.task), "MAKES"):
        raise ParameterError(
            f"{model.name} has no model in 8 bits: there are no answers to pictures that it could "
            "be calibrated and measured by; take fp16"
        )
    path = Path(target)
    path = path / MODEL if path.suffix != ".onnx" else path
    folder = run.create(path.parent)
    splits = _splits(model, data, required=precision == "int8")
    images, checked_on = _images(model, splits)
    with _place(folder) as scratch:
        plain = scratch / "plain.onnx"
        write_graph(model, plain)
        chosen = plain
        if precision != "fp32":
            from sightline.deploy import quantize

            chosen = scratch / "smaller.onnx"
            if precision == "fp16":
                quantize.to_fp16(plain, chosen)
            else:
                quantize.to_int8(plain, chosen, _calibration(model, splits), progress)
        about = describe(model, Path(source), precision, chosen)
        _stamp(chosen, about)
        runtime = Runtime(chosen)
        difference, agreement = agreement_with(model, runtime, images)
        limit = runtime.task.TOLERANCE.get(precision)
        if limit is not None and not difference <= limit:
            raise RunError(
                f"the exported file differs from {source} by {difference:.2g} "
                f"{runtime.task.DIFFERENCE}, over the {limit:g} that is allowed; nothing was "
                "written"
            )
        checked_on = getattr(runtime.task, "CHECKED_ON", checked_on)
        done = Exported(path, about, {}, checked_on, difference, agreement)
        if precision == "int8" and "test" in splits:
            done = _both(done, model, runtime, splits["test"])
        resize = scratch / "resize.onnx"
        resize.write_bytes(preprocess(about.size, about.mode, about.resize))
        parts = {path: chosen, preprocess_of(path): resize}
        if (pictures := _pictures(model, splits)) is not None:
            np.save(scratch / "pictures.npy", pictures)
            parts[path.with_suffix(".neighbours.npy")] = scratch / "pictures.npy"
        for place, part in parts.items():
            part.replace(place)
    return dataclasses.replace(done, files={p.name: p.stat().st_size for p in parts})


def _both(done: Exported, model: Estimator, runtime: Runtime, test: Split) -> Exported:
    """Add what the run and the file reach on test images.

    Pictures of other classes may calibrate what was trained elsewhere, and measure nothing.
    """
    try:
        before = model.score(test)
    except DataError:
        if model.method_.elsewhere:
            return done
        raise
    after = model.evaluate(test, answers=runtime.answer).metrics
    return dataclasses.replace(done, before=before, after=after, test_images=after.n)


def exported(source: str | Path) -> Path:
    """Return the model file of a run, exporting it into the run's folder when it is missing or old.

    What was trained elsewhere (``imagenet:NAME``) is exported into the cache, once. An ``.onnx``
    file is given back as it is.

    Raises
    ------
    RunError, ParameterError, MissingExtraError
        See `export`.
    """
    if registry.is_foreign(str(source)):
        return ready(Path(source)) or export(source, _cached(str(source))).path
    source = Path(source)
    if source.suffix == ".onnx" or not run.is_run(source):
        return source
    return ready(source) or export(source, source / FOLDER / MODEL).path


def _cached(name: str) -> Path:
    """Return where the export of what was trained elsewhere lies."""
    key = hashlib.sha256(f"{name}|{__version__}|{FORMAT}".encode()).hexdigest()[:16]
    return store.home() / ELSEWHERE / key / MODEL


def ready(source: Path) -> Path | None:
    """Return the model file in a run's folder, if it is no older than the run; else None.

    Figures count as the run: an evaluation on test images is told by what is exported after it.
    """
    if registry.is_foreign(str(source)):
        cached = _cached(str(source))
        return cached if cached.is_file() else None
    made = source / FOLDER / MODEL
    with contextlib.suppress(OSError):
        parts = [source / name for name in (run.MODEL, run.METRICS, run.TEST)]
        if made.stat().st_mtime >= max(p.stat().st_mtime for p in parts if p.is_file()):
            return made
    return None


def samples(source: str | Path, images: Path | None = None, n: int = 64) -> list[bytes]:
    """Return picture files, as bytes, to measure a run's deployment with.

    Parameters
    ----------
    source : path
        Folder of a run, or an exported file.
    images : path, optional
        Folder of pictures; default: the run's data, whose arrays become PNG files.
    n : int
        Largest number of pictures.

    Raises
    ------
    RunError
        When there is none.
    """
    if images is not None:
        files = sorted(p for p in images.rglob("*") if is_image(p.name))[:n]
        if not files:
            raise RunError(f"{images} holds no picture")
        return [p.read_bytes() for p in files]
    if Path(source).suffix == ".onnx":
        raise RunError(f"{source} knows no pictures; name a folder of them with images=...")
    some = _some(_splits(load_model(source), None, required=False), n)
    if some is None:
        lacks = f"the data of {source} was not found"
        if registry.is_foreign(str(source)):
            lacks = f"{source} was not trained here"
        raise RunError(f"{lacks}; name a folder of pictures with images=...")
    return [
        place.read(item.image)
        if place.is_file(item.image)
        else png(item.read_image(some.data.mode))
        for item in some.items
    ]


def check_alone(task: str, method: str) -> None:
    """Refuse a method whose answers cannot be decoded where this package is not.

    A task says so by ``why_not_alone`` of its ``deploy/<task>.py``.

    Raises
    ------
    ParameterError
    """
    says = getattr(tasks.module("deploy", task), "why_not_alone", None)
    if says is not None and (why := says(method)):
        raise ParameterError(f"{method} cannot answer without Sightline: {why}")


def preprocess_of(model: Path) -> Path:
    """Return the path of the resize that belongs to a model's file."""
    name = "preprocess.onnx" if model.name == MODEL else f"{model.stem}.preprocess.onnx"
    return model.with_name(name)


def write_graph(model: Estimator, path: Path) -> None:
    """Write a run's graph, from uint8 images to answers, as an ONNX file; see `graphs.graph`."""
    import torch

    from sightline.deploy.graphs import graph
    from sightline.models import onnx_graph

    whole = graph(model)
    place = tasks.module("deploy.graphs", model.task)
    some = {INPUT: torch.zeros((2, *model.fitted_.shape), dtype=torch.uint8)}
    if hasattr(place, "inputs"):  # a task whose graphs are given other things than images
        some = place.inputs(model)
    given = tuple(some.values())
    with torch.no_grad():
        outputs = len(whole(*given))
    names = list(getattr(whole, "names", tasks.module("deploy", model.task).OUTPUTS[:outputs]))
    own = getattr(place, "translations", dict)
    onnx_graph.write(whole, given, list(some), names, {0: onnx_graph.dynamic()}, path, own())


@functools.lru_cache(maxsize=16)
def preprocess(size: tuple[int, int], mode: Mode, how: Resize) -> bytes:
    """Return the resize of one picture, uint8 (H, W, 3), to a model's size as an ONNX file."""
    import torch

    from sightline.deploy.preprocess import Resized
    from sightline.models import onnx_graph

    some = torch.zeros((37, 53, 3), dtype=torch.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "preprocess.onnx"
        either = {0: onnx_graph.dynamic(), 1: onnx_graph.dynamic()}
        onnx_graph.write(Resized(size, mode, how).eval(), some, ["image"], [INPUT], either, path)
        return path.read_bytes()


def describe(model: Estimator, source: Path, precision: str, graph: Path) -> About:
    """Return the metadata that is stored in an exported file.

    Its figure is what `eval` measured on the run's own test split, where that was done; else what
    training wrote, of the split that it names.
    """
    published = model.config.get("published_weights", {})
    digest = hashlib.sha256(graph.read_bytes()).hexdigest()
    figure = run.read_headline(source)
    asks = getattr(tasks.module("deploy.graphs", model.task), "asks", None)
    return About(
        name=source.resolve().name, method=model.name, task=str(model.task),
        classes=model.classes_, size=model.fitted_.size, mode=model.fitted_.mode,
        resize=model.fitted_.resize, version=digest[:12], precision=precision,
        parameters=model.parameters, at_once=model.method_.at_once,
        **({} if figure is None else dataclasses.asdict(figure)),
        data=model.config.get("data", {}).get("name", ""), licence=published.get("licence", ""),
        thresholds=model.thresholds, asks=asks(model) if asks else {}, made=run.now(),
    )  # fmt: skip


def measured(about: About) -> str:
    """Describe a model's main figure and the images that it was measured on.

    Examples
    --------
    >>> measured(About("a", "knn", "classify", (), (8, 8), "L", "crop", "1", headline=0.98,
    ...                metric="accuracy", split="val"))
    'accuracy 98.0% on its validation images'
    """
    if about.headline is None:
        return ""
    value = figure_text(about.headline, about.share, digits=1)
    words = {"test": " on its test images", "val": " on its validation images"}
    return f"{about.metric.replace('_', ' ')} {value}{words.get(about.split, '')}"


def agreement_with(model: Estimator, runtime: Runtime, X: NDArray[np.uint8]) -> tuple[float, float]:
    """Compare a file's answers with its run's: the largest difference, the share of equal ones.

    X are images of the model's size, shape (N, H, W, C).
    """
    if compared := getattr(runtime.task, "compared", None):
        told: tuple[float, float] = compared(model, runtime)
        return told
    own: list[Prediction] = []
    for start in range(0, len(X), AT_ONCE):
        part = X[start : start + AT_ONCE]
        own += model.answers(part, [Frame(model.fitted_.size)] * len(part))
    agreement: tuple[float, float] = runtime.task.agreement(own, runtime.answer(X))
    return agreement


def _stamp(path: Path, about: About) -> None:
    """Write the metadata into an ONNX file."""
    import onnx

    proto = onnx.load(str(path))
    onnx.helper.set_model_props(proto, {KEY: about.to_json()})
    proto.producer_name, proto.doc_string = "sightline", f"{about.method} on {about.data}"
    onnx.save(proto, str(path))


def _need() -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError:
        raise MissingExtraError("export", "export") from None


@contextlib.contextmanager
def _place(folder: Path) -> Iterator[Path]:
    """Make a temporary folder on the target's disk; a full disk is one clear error."""
    try:
        with tempfile.TemporaryDirectory(prefix=".export-", dir=folder) as scratch:
            yield Path(scratch)
    except OSError as error:
        raise RunError(f"cannot write to {folder}: {error.strerror or error}") from error


def _splits(model: Estimator, data: str | None, *, required: bool) -> dict[str, Split]:
    """Load the splits of the run's data; none where the data is gone and not required."""
    known = model.config.get("data", {})
    where = data or known.get("path") or known.get("name")
    elsewhere = model.method_.elsewhere
    try:
        if not where:
            raise RunError(
                f"{model.name} was not trained here, and needs pictures to be calibrated on"
                if elsewhere
                else "the run does not say what it was trained on"
            )
        dataset = load_data(where, seed=int(known.get("seed", 0)))
        if not elsewhere and not set(model.classes_of(dataset)) <= set(model.classes_):
            raise RunError(f"{where} has classes that the run does not know")
        return dataset.splits
    except SightlineError as error:
        if data is not None or required:
            raise RunError(f"{error}; name the data with data=...") from None
        return {}


def _some(splits: dict[str, Split], n: int) -> Split | None:
    """Return up to n images, evenly spread, of the first of test, val and train that has any."""
    for name in ("test", "val", "train"):
        if name in splits and len(splits[name]):
            last = len(splits[name]) - 1
            return splits[name].take(np.unique(np.linspace(0, last, n).astype(np.int64)))
    return None


def _images(model: Estimator, splits: dict[str, Split]) -> tuple[NDArray[np.uint8], str]:
    """Return images of the model's size to check on, and what they are: real ones, or noise."""
    if (some := _some(splits, CHECKED)) is not None:
        X = _decoded(model, some)
        return X, f"{len(X)} images of {some.data.name}/{some.name}"
    shape = (CHECKED, *model.fitted_.shape)
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    why = "it was not trained here" if model.method_.elsewhere else "the run's data was not found"
    return noise, f"{CHECKED} images of noise, as {why}"


def _calibration(model: Estimator, splits: dict[str, Split], n: int = 256) -> NDArray[np.uint8]:
    train = splits["train"]
    rows = np.sort(np.random.default_rng(0).permutation(len(train))[:n])
    return _decoded(model, train.take(rows))


def _decoded(model: Estimator, some: Split) -> NDArray[np.uint8]:
    """Return a few images at the model's size; not all of their data is packed for them."""
    parts = some.batches(model.fitted_.size, model.fitted_.resize)
    return np.concatenate([part.X for part in parts])


def _pictures(model: Estimator, splits: dict[str, Split]) -> NDArray[np.uint8] | None:
    """Return the training images that a comparing method keeps, in its own order; else None."""
    rows = model.method_.training_images
    if rows is None:
        return None
    shape = (len(rows), *model.fitted_.shape)
    if rows.dtype == np.uint8 and rows.size == np.prod(shape):
        return np.asarray(rows.reshape(shape))
    if "train" in splits:
        X = splits["train"].arrays(model.fitted_.size, model.fitted_.resize).X
        if len(X) == len(rows):
            return np.asarray(X)
    return None
