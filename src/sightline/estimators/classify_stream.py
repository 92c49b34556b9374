"""Train classifiers on pictures as they are read, where packing them all would fill the disk."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sightline.data import store
from sightline.data.dataset import Part, Split
from sightline.data.load import left_out_note
from sightline.data.transforms import Fitted, exact_mean_and_std
from sightline.errors import ParameterError
from sightline.estimators.base import Fitting
from sightline.estimators.classify_network import SEEN, ModuleClassifier
from sightline.estimators.network import BATCH
from sightline.training.labelled_recipe import LabelledRecipe, Stream

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from sightline.training.engine import Judge, Training
    from sightline.training.streamed_feed import StreamedFeed

SHARE = 0.25
"""Of the free disk: where packed images would take more of it, they are streamed."""

SAMPLE = 1024
"""Training images that mean and deviation are taken from."""

_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class Choice:
    """Whether images are streamed, and why.

    Parameters
    ----------
    streamed : bool
    why : str
        For a remark.
    """

    streamed: bool
    why: str


def choose(stream: Stream, split: Split, fitted: Fitted) -> Choice:
    """Return whether the images of a split are to be streamed or packed.

    Parameters
    ----------
    stream : {"auto", "on", "off"}
        See `sightline.training.labelled_recipe.LabelledRecipe`.
    split : Split
        Packing takes all images of its data.
    fitted : Fitted
        Says the size.
    """
    source = split.data.source
    need = len(source.items) * int(np.prod(fitted.shape))
    free = store.free()
    sizes = f"packing would take {_size(need)} of {_size(free)} free"
    if stream == "on":
        return Choice(True, f"as stream='on' asks; {sizes}")
    small = split.data.size is not None or need <= SHARE * free
    if stream == "off" or small or fitted.scale != "none" or fitted.embed is not None:
        return Choice(False, sizes)
    if store.is_packed(source.items, fitted.size, fitted.mode, fitted.resize):
        return Choice(False, "they are packed already")
    return Choice(store.on_disk(source.items), f"{sizes} (stream='off' packs)")


def begun(folder: Path) -> Choice:
    """Return what was chosen for the training whose checkpoint lies in a run's folder.

    Raises
    ------
    RunError
        When there is no checkpoint, or it is damaged.
    """
    from sightline.training import checkpoint

    _, facts = checkpoint.read(folder / checkpoint.FOLDER / checkpoint.LAST)
    return Choice(facts["recipe"].get("stream") == "on", "as the training was begun")


def parts(
    split: Split, fitted: Fitted, *, streamed: bool, unread: dict[int, str] | None = None
) -> Iterator[Part]:
    """Yield the images of a split in parts, decoded now or from what is packed.

    Parameters
    ----------
    split : Split
    fitted : Fitted
        Says their size.
    streamed : bool
    unread : dict of int to str, optional
        Takes up the rows and reasons of those that cannot be read.
    """
    if streamed:
        yield from split.batches(fitted.size, fitted.resize, BATCH, unread=unread)
        return
    X, y, rows = split.arrays(fitted.size, fitted.resize)
    frames = split.frames(fitted.size, fitted.resize)
    for start in range(0, len(X), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        yield Part(X[part], y[part], rows[part], frames[part])


def fit(
    method: ModuleClassifier,
    train: Split,
    val: Split | None,
    numbers: NDArray[np.int64],
    fitted: Fitted,
    how: Fitting,
    why: str,
) -> int:
    """Train a network on a split that is read as it learns.

    Parameters
    ----------
    method : ModuleClassifier
        Fitted in place.
    train : Split
    val : Split, optional
    numbers : int64 array, shape (C + 1,)
        What training calls the classes of the validation images; the last is that of no class, -1.
    fitted : Fitted
    how : Fitting
    why : str
        Of the choice, for the remark.

    Returns
    -------
    int
        Images that were learned from.

    Raises
    ------
    ParameterError
        When images are to be scaled before a network sees them.
    DataError
        When no image can be read.
    TrainingError, RunError
        See `sightline.training.engine.Training.run`.
    """
    unread: dict[int, str] = {}
    method.classes_ = np.unique(train.labels)
    judges: dict[str, Judge] = {}
    if val is not None:
        some = np.random.default_rng(method.seed).permutation(len(train))[:SEEN]
        own = np.append(np.arange(len(train.data.classes)), -1)
        judges = {
            name: method.judge(functools.partial(_pairs, split, fitted, ids, unread))
            for name, split, ids in (
                ("val", val, numbers), ("train", train.take(np.sort(some)), own)
            )
        }  # fmt: skip
    training_, feed = _built(method, train, fitted, judges, how.folder)
    readers = feed.samples.workers
    by = f"by {readers} process{'es' * (readers > 1)}" if readers else "between the steps"
    training_.outcome.remarks += [
        f"streamed: pictures are read anew in every epoch, {by}; {why}",
        *feed.samples.remarks,
    ]
    method.run(training_, how.progress, how.budget, how.resume, how.on_epoch)
    if val is not None:
        method.calibrate(_pairs(val, fitted, numbers, unread))
    method.note_if_guessing(train.labels)
    method.decided = {**method.decided, "stream": "on"}
    unread |= feed.samples.unread
    if unread:
        note = left_out_note(list(unread.values()), len(train.data.source.items))
        method.remarks = [*method.remarks, note]
    return len(train) - len(feed.samples.unread)


def training(method: ModuleClassifier, train: Split, fitted: Fitted) -> Training:
    """Return the training of a network on a split that is read as it learns, to look at.

    Raises
    ------
    ParameterError
        When images are to be scaled before a network sees them.
    DataError
        When no image can be read.
    """
    return _built(method, train, fitted)[0]


def _built(
    method: ModuleClassifier,
    train: Split,
    fitted: Fitted,
    judges: Mapping[str, Judge] | None = None,
    folder: Path | None = None,
) -> tuple[Training, StreamedFeed]:
    if fitted.scale != "none" or fitted.embed is not None:
        raise ParameterError("stream='on' needs scale=none, and no features: a network takes bytes")
    rows = np.sort(np.random.default_rng(method.seed).permutation(len(train))[:SAMPLE])
    read = [(part.X, part.y) for part in parts(train.take(rows), fitted, streamed=True)]
    some, labels = (np.concatenate(column) for column in zip(*read, strict=True))
    method.mean_, method.std_ = exact_mean_and_std(some)
    from sightline.training.streamed_feed import StreamedFeed

    made: list[StreamedFeed] = []

    def feed(positions: NDArray[np.int64], recipe: LabelledRecipe, fabric: Fabric) -> StreamedFeed:
        made.append(
            StreamedFeed(
                train, positions, fitted.size, method.mean_, method.std_, len(method.classes_),
                recipe, fabric.device, method.seed, fabric.global_rank, fabric.world_size,
            )
        )  # fmt: skip
        return made[0]

    recipe = replace(method.suited(max(fitted.size), len(train)), stream="on")
    built = method.ready(
        recipe, train.labels, fitted.shape, feed, lambda: (some, labels), judges, folder
    )
    return built, made[0]


def _pairs(
    split: Split, fitted: Fitted, ids: NDArray[np.int64], unread: dict[int, str]
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
    for part in parts(split, fitted, streamed=True, unread=unread):
        yield part.X, ids[part.y]


def _size(count: int) -> str:
    return f"{count / 2**30:,.1f} GiB" if count >= 2**29 else f"{count / 2**20:,.1f} MiB"
