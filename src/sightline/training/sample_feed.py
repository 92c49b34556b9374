"""Feed batches of images as they are read: of any size, with boxes and masks, changed at random.

Images are decoded and changed in processes of their own while the network learns. A batch depends
on the seed, the epoch and its number alone, whoever makes it, so that neither the number of
processes nor a resumed training changes a bit.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import multiprocessing
import pickle
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from sightline.data.dataset import Source, Split
from sightline.data.transforms import to_tensors
from sightline.errors import DataError, ParameterError, SightlineError, TrainingError
from sightline.training.feed import Batch, order_of, parts_of, steps_of

Transform = Callable[[Any, dict[str, Any]], tuple[Any, dict[str, Any]]]
"""Changes an image and its target together, such as `sightline.data.transforms.augmentation`."""

Collate = Callable[[list[Any], list[dict[str, Any]]], Batch]
"""Makes a batch of images and targets, where they were read; it must be picklable."""

_AHEAD = 2  # batches that each process keeps ready


@dataclasses.dataclass(frozen=True, slots=True)
class Closing:
    """How images are changed towards the end of a training, where that is another way.

    Parameters
    ----------
    start : float
        Share of the training from which on: of epochs that begin later.
    transform, collate : callable
        See `SampleFeed`.
    """

    start: float
    transform: Transform | None
    collate: Collate | None


class SampleFeed:
    """Give images with what is known of them in batches, read anew in every epoch.

    A batch is a pair of lists unless `collate` makes something else of it: images, and targets as
    `sightline.data.transforms.to_tensors` gives them, each with ``row``, its row of the source.

    An image that cannot be read is left out of its batch. Where a whole batch cannot be read, the
    next one of the epoch that can stands in its place: the number of steps is what it was.

    Parameters
    ----------
    split : Split
    batch_size : int
        Over all processes.
    seed : int
    transform : callable, optional
        Takes an image and its target as tv_tensors, and draws from torch's and NumPy's generators,
        which are seeded for each image; it must be picklable.
    collate : callable, optional
        Called with a list of images and one of targets where they were read; draws as `transform`
        does.
    closing : Closing, optional
        What takes the place of `transform` and `collate` towards the end.
    workers : int
        Processes that read; 0: the training's own.
    chance : float array, shape (N,), optional
        How probable each image is in each draw of an epoch; default: each comes once an epoch.
    rank, world : int
        This process of the training, and the number of all.

    Attributes
    ----------
    remarks : list of str
        What the reader should know of how it was read.
    done : float
        Share of the training that was over when the epoch began; the loop sets it.

    Raises
    ------
    ParameterError
        When the number of processes is negative, or a batch has no image.
    DataError
        When the split is empty.
    """

    def __init__(
        self,
        split: Split,
        batch_size: int,
        seed: int,
        *,
        transform: Transform | None = None,
        collate: Collate | None = None,
        closing: Closing | None = None,
        workers: int = 0,
        chance: NDArray[np.float64] | None = None,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if workers < 0:
            raise ParameterError(f"workers must not be negative, not {workers}")
        if batch_size < 1:
            raise ParameterError(f"batch_size must be above 0, not {batch_size}")
        if not len(split):
            raise DataError(f"{split.data.name}/{split.name} has no image to learn from")
        self.split, self.n, self.seed, self.waited = split, len(split), seed, 0.0
        self.done, self.closing = 0.0, closing
        self.workers, self.remarks = workers, list[str]()
        self._batches = _Batches(
            _bare(split), split.rows, batch_size, seed, chance, [(transform, collate)], rank, world
        )
        if closing is not None:
            self._batches.ways.append((closing.transform, closing.collate))
        if workers and not _can_be_sent(self._batches):
            self.workers = 0
            self.remarks.append(
                f"{split.data.name} cannot be handed to other processes, so that its images are "
                "read between the steps"
            )
        self._unread: dict[int, str] = {}
        self._loader: DataLoader[bytes] | None = None
        self._places: list[_Place] = []

    @property
    def steps(self) -> int:
        """Return the number of batches of an epoch."""
        return self._batches.steps

    @property
    def is_closing(self) -> bool:
        """Tell whether the epoch is one of the last ones, in which images change another way."""
        return self.closing is not None and self.done >= self.closing.start

    @functools.cached_property
    def digest(self) -> str:
        """Return sixteen hex digits of ids, sizes and annotations; no image is decoded."""
        return self.split.digest()

    @property
    def unread(self) -> Mapping[int, str]:
        """Return the rows of images that could not be read so far, each with the reason."""
        return self._unread

    def order(self, epoch: int) -> NDArray[np.int64]:
        """Return the places in the split of an epoch's images, shape (N,)."""
        return self._batches.order(epoch)

    def epoch(self, epoch: int, first: int = 0) -> Generator[Batch, None, None]:
        """Yield the batches of an epoch, from the one numbered `first` on.

        The processes that read stay for the next epoch; where the iterator is closed before its
        end, they end.

        Raises
        ------
        DataError
            When no image of the split can be read.
        TrainingError
            When a process that reads images was killed.
        """
        way = int(self.is_closing)
        made = self._made([(epoch, step, way) for step in range(first, self.steps)])
        whole = False
        try:
            while True:
                start = time.perf_counter()
                decoded = next(made, None)
                if decoded is None:
                    whole = True
                    return
                batch, unread = decoded
                for row, why in unread:
                    self._unread.setdefault(row, why)
                if batch is None:
                    raise DataError(
                        f"no image of {self.split.data.name}/{self.split.name} can be read, first "
                        f"{next(iter(unread))[1]}"
                    )
                self.waited += time.perf_counter() - start
                yield batch.held
        finally:
            made.close()
            if not whole:
                self.close()

    def close(self) -> None:
        """End the processes that read; the next epoch starts them anew."""
        self._loader = None  # its iterator ends them when nothing holds it any more

    def parts(self, batch: Batch, n: int) -> Sequence[Batch]:
        """Return a batch of images and targets in at most n parts."""
        images, targets = batch
        cuts = parts_of(len(images), n)
        return [(images[part], targets[part]) for part in cuts]

    def size(self, batch: Batch) -> int:
        """Return the number of images of a batch, or of a part of one."""
        return len(batch[0])

    def _made(self, places: list[_Place]) -> Generator[_Found, None, None]:
        if not self.workers:
            for place in places:
                with _own_chance():
                    decoded = self._batches.make(*place)
                yield decoded
            return
        # The sampler is read when an iterator is made, so that one loader, and its processes,
        # serve all epochs.
        self._places[:] = places
        if self._loader is None:
            self._loader = DataLoader(
                self._batches, batch_size=None, sampler=cast(Any, self._places),
                collate_fn=_as_it_is, num_workers=self.workers, prefetch_factor=_AHEAD,
                persistent_workers=True, multiprocessing_context=_context(),
                generator=torch.Generator(),  # else each epoch would draw from the network's chance
            )  # fmt: skip
        try:
            for sent in self._loader:
                yield pickle.loads(sent)
        except RuntimeError as error:
            if not str(error).startswith("DataLoader worker"):
                raise
            why = str(error).splitlines()[0].rstrip(".")
            raise TrainingError(
                f"a process that reads images ended ({why}); it may have run out of memory: train "
                "with workers=1, and call a script's training below if __name__ == '__main__'"
            ) from None


@dataclasses.dataclass(frozen=True, slots=True)
class _Held:
    """A batch, whatever it is: also None."""

    held: Batch


_Place = tuple[int, int, int]
"""Epoch and step of a batch, and which way its images are changed."""

_Found = tuple[_Held | None, list[tuple[int, str]]]
"""A batch, and the rows and reasons of images that were left out; None: there is no other batch."""


class _Batches(Dataset[bytes]):
    """Make any batch of any epoch from its numbers alone; a copy of it lives in each process."""

    def __init__(
        self,
        split: Split,
        rows: NDArray[np.int64],
        batch_size: int,
        seed: int,
        chance: NDArray[np.float64] | None,
        ways: list[tuple[Transform | None, Collate | None]],
        rank: int,
        world: int,
    ) -> None:
        self.split, self.rows, self.batch_size, self.seed = split, rows, batch_size, seed
        self.chance = None if chance is None else chance / chance.sum()
        self.ways, self.rank, self.world = ways, rank, world
        self.steps = steps_of(len(rows), batch_size, world)
        self._ordered: tuple[int, NDArray[np.int64], NDArray[np.int64]] | None = None

    def __getitem__(self, place: _Place) -> bytes:
        # Bytes go through a pipe. Tensors would go through shared memory, a file handle each, and
        # lists of them run into the limit of open files, or of a container's /dev/shm.
        return pickle.dumps(self.make(*place), pickle.HIGHEST_PROTOCOL)

    def order(self, epoch: int) -> NDArray[np.int64]:
        """Return the places in the split of an epoch's images."""
        return order_of(len(self.rows), self.seed, epoch, self.chance)

    def make(self, epoch: int, step: int, way: int) -> _Found:
        """Return a batch, or the next of the epoch with an image that can be read."""
        transform, collate = self.ways[way]
        order, again = self._order(epoch)
        unread: list[tuple[int, str]] = []
        for later in range(self.steps):
            start = (step + later) % self.steps * self.batch_size
            part = slice(start + self.rank, start + self.batch_size, self.world)
            samples = []
            for place, repeat in zip(order[part].tolist(), again[part].tolist(), strict=True):
                try:
                    samples.append(self._sample(place, epoch, repeat, transform))
                except SightlineError as error:
                    unread.append((int(self.rows[place]), str(error)))
            if samples:
                images, targets = [image for image, _ in samples], [known for _, known in samples]
                if collate is None:
                    return _Held((images, targets)), unread
                _seed_with(self.seed, epoch, step, self.rank)
                return _Held(collate(images, targets)), unread
        return None, unread

    def _sample(
        self, place: int, epoch: int, repeat: int, transform: Transform | None
    ) -> tuple[Any, dict[str, Any]]:
        """Read and change one image; `repeat` tells of one that an epoch has more than once."""
        row = int(self.rows[place])
        image, target = to_tensors(self.split[place])
        target["row"] = row
        if transform is None:
            return image, target
        _seed_with(self.seed, epoch, row, repeat)
        return transform(image, target)

    def _order(self, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the places of an epoch, and how often each came before in it."""
        if self._ordered is None or self._ordered[0] != epoch:
            order = self.order(epoch)
            again = np.zeros(len(order), np.int64)
            if self.chance is not None:
                by_place = np.argsort(order, kind="stable")
                same = order[by_place]
                starts = np.searchsorted(same, same)
                again[by_place] = np.arange(len(order)) - starts
            self._ordered = epoch, order, again
        return self._ordered[1:]


def _seed_with(*numbers: int) -> None:
    """Set the generators that a transform may draw from."""
    torch_seed, numpy_seed = np.random.SeedSequence(numbers).generate_state(2)
    # Of the processor alone: torch.manual_seed would seed graphics processors, too.
    torch.default_generator.manual_seed(int(torch_seed))
    np.random.seed(int(numpy_seed))  # noqa: NPY002


def _bare(split: Split) -> Split:
    """Return the images of a split alone, without what was packed, to be sent to processes."""
    source = split.data.source
    bare = Source(split.items, source.mode, source.size, {}, source.recipe)
    rows = np.arange(len(split))
    return Split(
        dataclasses.replace(split.data, source=bare, rows={split.name: rows}), split.name, rows
    )


def _can_be_sent(batches: _Batches) -> bool:
    try:
        pickle.dumps(batches)
    except (pickle.PicklingError, AttributeError, TypeError):
        return False
    return True


def _context() -> Any:
    """Return how processes are started: from a server that has computed nothing yet.

    A fork of the training itself would copy the locks of OpenMP's and torch's threads as they
    stand, and may wait for them for ever; a fresh interpreter for each process would import torch
    each time. The server imports it once, and has no threads at work.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    # Where the server runs already, this comes too late, and costs each process its imports.
    context.set_forkserver_preload([__name__, "torchvision.transforms.v2", "PIL.Image"])
    return context


@contextlib.contextmanager
def _own_chance() -> Iterator[None]:
    """Put the generators of this process back afterwards: a network draws from them, too."""
    state, legacy = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        torch.set_rng_state(state)
        np.random.set_state(legacy)  # noqa: NPY002


def _as_it_is(sent: Any) -> Any:
    return sent
