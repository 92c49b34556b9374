"""Represent a data set: images, what is known of them, and their splits.

`Source` holds every image once; a `Split` is a list of rows of it. Making a validation
split, a fold or a subset therefore copies row numbers, never pixels.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from sightline.counting import counted
from sightline.data import images, place, store
from sightline.data.annotation import Annotation
from sightline.data.item import Item
from sightline.errors import DataError, SightlineError, wrong_kind
from sightline.types import Detections, Frame, Progress, Sample, Segmentation, Task

Rows = NDArray[np.int64]
_THREADS = 8

UNSPLIT = "unsplit"
"""Kind of the note that says why splits are missing."""


class Arrays(NamedTuple):
    """Images of one size as one array, with the label, group and id of each row.

    Attributes
    ----------
    X : uint8 array, shape (N, H, W, C)
    y : int64 array, shape (N,)
    rows : int64 array, shape (N,)
        Rows of the source; images that cannot be read are left out of all three.
    """

    X: NDArray[np.uint8]
    y: NDArray[np.int64]
    rows: Rows

    def __repr__(self) -> str:
        return f"Arrays(X {self.X.shape} {self.X.dtype}, y {self.y.shape})"


class Part(NamedTuple):
    """Some images of one size, with what belongs to each row; see `Split.batches`.

    Attributes
    ----------
    X : uint8 array, shape (N, H, W, C)
    y : int64 array, shape (N,)
    rows : int64 array, shape (N,)
        Rows of the source.
    frames : sequence of Frame
        The way of each image back into its picture.
    """

    X: NDArray[np.uint8]
    y: NDArray[np.int64]
    rows: Rows
    frames: Sequence[Frame]

    def __repr__(self) -> str:
        return f"Part(X {self.X.shape} {self.X.dtype}, y {self.y.shape})"


@dataclass(slots=True)
class Source:
    """Every image of a data set, in a fixed order.

    Parameters
    ----------
    items : list of Item
    mode : {"L", "RGB"}
    size : (height, width), optional
        Given when all images share one small size: then they live as one array.
    recipe : str
        What drawn images are drawn from; it stands for their pixels in the fingerprint.
    """

    items: list[Item]
    mode: images.Mode
    size: tuple[int, int] | None = None
    packed: dict[tuple[int, int, str], store.Packed] = field(default_factory=dict)
    recipe: str = ""

    def __repr__(self) -> str:
        return f"Source({len(self.items):,} images, {_kind(self)})"

    def pack(
        self,
        size: tuple[int, int] | None = None,
        resize: images.Resize = "crop",
        progress: Progress | None = None,
    ) -> store.Packed:
        """Return all images as one array of one size; decoded once, then cached."""
        size = size or self.size
        if size is None:
            raise DataError("the images differ in size; say to which size to resize them")
        if size == self.size and images.keeps(size, size, resize):
            resize = "crop"  # nothing to resize: one cache entry for all such ways
        key = (*size, resize)
        if key not in self.packed:
            self.packed[key] = store.pack(self.items, size, self.mode, resize, progress)
        return self.packed[key]

    def fingerprint(self) -> str:
        """Return sixteen hex digits that change when any image, label, box or outline changes.

        Small sets are identified by their pixels, drawn ones by what they are drawn from;
        of larger files and of index PNGs the size is taken, as reading them all could take
        hours.
        """
        digest = hashlib.sha256(self.recipe.encode())
        for item in self.items:
            _digest_known(digest, item)
            if self.size is None and place.is_file(item.image):
                digest.update(_file_size(item.image))
            elif self.size is None and isinstance(item.image, np.ndarray):
                digest.update(np.ascontiguousarray(item.image).data)
        if self.size is not None and not self.recipe:
            digest.update(self.pack().digest.encode())
        return digest.hexdigest()[:16]


class Frames(Sequence[Frame]):
    """The frames of packed images, each made when it is asked for."""

    def __init__(self, packed: store.Packed, rows: Rows, resize: images.Resize) -> None:
        self.packed, self.rows, self.resize = packed, rows, resize

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Frame: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Frame]: ...
    def __getitem__(self, index: int | slice) -> Frame | Sequence[Frame]:
        if isinstance(index, slice):
            return Frames(self.packed, self.rows[index], self.resize)
        height, width = self.packed.pixels.shape[1:3]
        picture = self.packed.picture(int(self.rows[index]))
        return images.frame_of(picture, (height, width), self.resize)


class Split(Sequence[Sample]):
    """Some images of a data set: a sequence of `Sample`, read when asked for.

    Parameters
    ----------
    data : Dataset
        Gives classes, mode and source.
    name : str
        ``"train"``, ``"val"``, ``"test"`` or a fold.
    rows : int64 array, shape (N,)
    """

    def __init__(self, data: Dataset, name: str, rows: Rows) -> None:
        self.data, self.name, self.rows = data, name, np.asarray(rows, np.int64)

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Split: ...
    def __getitem__(self, index: int | slice) -> Sample | Split:
        if isinstance(index, slice):
            return self.take(np.arange(len(self))[index])
        return self.data.sample(int(self.rows[index]))

    def __iter__(self) -> Iterator[Sample]:
        return (self.data.sample(int(row)) for row in self.rows)

    def __repr__(self) -> str:
        return f"Split({self.data.name}/{self.name}, {counted(len(self), 'image')})"

    def _repr_html_(self) -> str:
        return _sheet(self.data.with_rows({self.name: self.rows}), self.name)

    def take(self, indices: Rows) -> Split:
        """Return the split of the images at `indices` of this one."""
        return Split(self.data, self.name, self.rows[indices])

    @property
    def items(self) -> list[Item]:
        """Return the images of this split, unread."""
        return [self.data.source.items[i] for i in self.rows]

    @property
    def labels(self) -> NDArray[np.int64]:
        """Return the class ids, shape (N,); -1 where there is none."""
        return np.fromiter((item.label for item in self.items), np.int64, len(self))

    @property
    def groups(self) -> NDArray[np.object_] | None:
        """Return the group of each image, shape (N,), or None when the data has no groups."""
        groups = [item.group for item in self.items]
        return None if all(g is None for g in groups) else np.array(groups, object)

    def counts(self) -> dict[str, int]:
        """Count the images of each class."""
        labels = self.labels
        counts = np.bincount(labels[labels >= 0], minlength=len(self.data.classes))
        return {name: int(counts[i]) for i, name in enumerate(self.data.classes)}

    def digest(self) -> str:
        """Return sixteen hex digits of ids, classes, annotations and sizes; no file is decoded.

        Images that are arrays already are taken in with their pixels.
        """
        digest = hashlib.sha256("\0".join([self.data.source.recipe, *self.data.classes]).encode())
        for item in self.items:
            _digest_known(digest, item)
            if place.is_file(item.image):
                digest.update(_file_size(item.image))
            elif isinstance(item.image, np.ndarray):
                digest.update(str(item.image.shape).encode())
                digest.update(np.ascontiguousarray(item.image).data)
        return digest.hexdigest()[:16]

    def arrays(
        self,
        size: tuple[int, int] | None = None,
        resize: images.Resize = "crop",
        progress: Progress | None = None,
    ) -> Arrays:
        """Return all readable images of this split as one array.

        Parameters
        ----------
        size : (height, width), optional
            Default: the size that all images share.
        resize : {"crop", "stretch", "pad", "imagenet", "imagenet-bilinear"}
            How another shape becomes `size`; see `sightline.data.images.resize`.
        progress : callable, optional
            Called with (images done, images in all).

        Raises
        ------
        DataError
            When the images differ in size and none is given, or none can be read.
        """
        packed = self.data.source.pack(size, resize, progress)
        bad = packed.unreadable
        if bad:
            keep = np.fromiter((int(r) not in bad for r in self.rows), np.bool_, len(self))
            rows, labels = self.rows[keep], self.labels[keep]
        else:
            rows, labels = self.rows, self.labels
        if len(self) and not len(rows):
            raise DataError(f"no image of {self.data.name}/{self.name} can be read")
        return Arrays(_gather(packed.pixels, rows), labels, rows)

    def batches(
        self,
        size: tuple[int, int] | None = None,
        resize: images.Resize = "crop",
        n: int = 256,
        *,
        unread: dict[int, str] | None = None,
    ) -> Iterator[Part]:
        """Yield the images in their order, n at a time, decoded now and kept nowhere.

        Their pixels are those of `arrays`. Threads decode, some images ahead.

        Parameters
        ----------
        size : (height, width), optional
            Default: the size that all images share.
        resize : {"crop", "stretch", "pad", "imagenet", "imagenet-bilinear"}
            How another shape becomes `size`.
        n : int
            Images at a time; parts with images that cannot be read have fewer.
        unread : dict of int to str, optional
            Takes up the row and the reason of each image that cannot be read.

        Raises
        ------
        DataError
            When the images differ in size and none is given, or none can be read.
        """
        size = size or self.data.size
        if size is None:
            raise DataError("the images differ in size; say to which size to resize them")
        items, mode, given = self.data.source.items, self.data.mode, False
        read = functools.partial(store.read_one, size=size, mode=mode, resize=resize)
        pool = ThreadPoolExecutor(min(os.cpu_count() or 1, _THREADS))
        try:
            coming = deque[Future[tuple[NDArray[np.uint8], tuple[int, int]]]]()
            for start in range(0, len(self), n):
                for row in self.rows[start + len(coming) : start + 2 * n]:
                    coming.append(pool.submit(read, items[row]))
                pixels, rows, frames = [], [], []
                for row in self.rows[start : start + n].tolist():
                    try:
                        image, picture = coming.popleft().result()
                    except SightlineError as error:
                        if unread is not None:
                            unread[row] = str(error)
                        continue
                    pixels.append(image)
                    rows.append(row)
                    frames.append(images.frame_of(picture, size, resize))
                if rows:
                    given = True
                    labels = np.array([items[row].label for row in rows], np.int64)
                    yield Part(np.stack(pixels), labels, np.array(rows, np.int64), frames)
        finally:
            pool.shutdown(cancel_futures=True)
        if len(self) and not given:
            raise DataError(f"no image of {self.data.name}/{self.name} can be read")

    def frames(
        self, size: tuple[int, int] | None = None, resize: images.Resize = "crop"
    ) -> Sequence[Frame]:
        """Return the `Frame` of each image of `arrays`, in the same order."""
        packed = self.data.source.pack(size, resize)
        keep = np.array([int(r) for r in self.rows if int(r) not in packed.unreadable], np.int64)
        return Frames(packed, keep, resize)

    def tensor(self) -> Any:
        """Return a small-image split as one uint8 tensor, shape (N, C, H, W)."""
        import torch

        return torch.from_numpy(np.ascontiguousarray(self.arrays().X)).permute(0, 3, 1, 2)


@dataclass(slots=True)
class Dataset:
    """Images, what is known of them, and their splits.

    Parameters
    ----------
    name : str
    source : Source
    rows : dict of str to int64 array
        Rows of each split: ``train``, ``val`` and ``test``, where present.
    classes : tuple of str
        Names by id (objects: without background).
    tasks : tuple of Task
        What the annotations allow, the main one first.
    segmentation_classes : tuple of str
        Names by value of the label map, the background's included where there is one.
    seed : int
        Seed of the splits that were made here.
    notes : list of str
        What was decided or left out while reading, for the person.
    path : str, optional
        Where it was read from.
    layout : str
        Name of the format it was read from.
    category_ids : tuple of int
        COCO's number of each class, where the format has such numbers; they may have gaps.
    target : str
        What the number of each image is called, where it has one.
    """

    name: str
    source: Source
    rows: dict[str, Rows]
    classes: tuple[str, ...]
    tasks: tuple[Task, ...] = (Task.CLASSIFY,)
    segmentation_classes: tuple[str, ...] = ()
    seed: int = 0
    notes: list[str] = field(default_factory=list)
    path: str | None = None
    layout: str = "memory"
    category_ids: tuple[int, ...] = ()
    target: str = ""

    def __repr__(self) -> str:
        counts = ", ".join(f"{len(rows):,} {name}" for name, rows in self.rows.items())
        classes = f"{len(self.classes):,} class{'es' * (len(self.classes) != 1)}"
        tasks = ", ".join(self.tasks)
        return f"Dataset({self.name}: {counts}; {classes}; {_kind(self.source)}; for {tasks})"

    def _repr_html_(self) -> str:
        return _sheet(self, "train" if "train" in self.rows else next(iter(self.rows), ""))

    @property
    def task(self) -> Task:
        """Return the main task."""
        return self.tasks[0]

    @property
    def mode(self) -> images.Mode:
        """Return ``"L"`` (one channel) or ``"RGB"`` (three)."""
        return self.source.mode

    @property
    def size(self) -> tuple[int, int] | None:
        """Return (height, width) when all images are small and of one size, else None."""
        return self.source.size

    @property
    def splits(self) -> dict[str, Split]:
        """Return every split by name."""
        return {name: Split(self, name, rows) for name, rows in self.rows.items()}

    def split(self, name: str) -> Split:
        """Return one split.

        Raises
        ------
        DataError
            When there is none of that name.
        """
        if not isinstance(name, str):
            raise wrong_kind("name is that of a split", name)
        if name not in self.rows:
            why = [str(note) for note in self.notes if getattr(note, "kind", "") == UNSPLIT]
            raise DataError(
                f"{self.name} has no split {name!r}; it has {', '.join(self.rows)}"
                + "".join(f" ({reason})" for reason in why)
            )
        return Split(self, name, self.rows[name])

    @property
    def train(self) -> Split:
        """Return the split to learn from."""
        return self.split("train")

    @property
    def val(self) -> Split:
        """Return the split to choose on."""
        return self.split("val")

    @property
    def test(self) -> Split:
        """Return the split to report on, looked at once."""
        return self.split("test")

    def sample(
        self, row: int, size: tuple[int, int] | None = None, resize: images.Resize = "crop"
    ) -> Sample:
        """Read one image with everything known of it.

        Parameters
        ----------
        row : int
            Of the source.
        size : (height, width), optional
            To bring it to, boxes and masks moved along; its ``frame`` leads back.
        resize : {"crop", "stretch", "pad", "imagenet", "imagenet-bilinear"}

        Raises
        ------
        DataError
            When the image cannot be read.
        """
        item = self.source.items[row]
        image = item.read_image(self.mode)
        label = item.label if item.label >= 0 else None
        annotation = item.read_annotation()
        if annotation is None:
            return _sized(Sample(image, item.id, label), size, resize)
        from sightline.data import draw_masks

        objects = segmentation = None
        height, width = image.shape[:2]
        if Task.DETECT in self.tasks or Task.INSTANCES in self.tasks:
            # An index PNG has objects of its own; it must not replace the written boxes
            # where those are the main thing.
            masks = Task.INSTANCES in self.tasks and (
                self.task is Task.INSTANCES or annotation.instances is None
            )
            objects = draw_masks.detections(annotation, height, width, self.classes, masks=masks)
        if Task.SEGMENT in self.tasks or Task.ANOMALY in self.tasks:
            segmentation = draw_masks.segmentation(
                annotation, height, width, self.segmentation_classes
            )
        return _sized(Sample(image, item.id, label, objects, segmentation), size, resize)

    def objects(self, row: int, size: tuple[int, int]) -> Detections:
        """Return the annotated objects of an image without decoding it.

        Parameters
        ----------
        row : int
            Of the source.
        size : (height, width)
            Of the picture, upright.

        Raises
        ------
        DataError
            When an outline cannot be read.
        """
        from sightline.data import draw_masks

        annotation = self.source.items[row].read_annotation() or Annotation()
        return draw_masks.detections(annotation, *size, self.classes, masks=False)

    def segmentation(self, row: int, size: tuple[int, int]) -> Segmentation:
        """Return the class of every pixel of an image without decoding it.

        Parameters
        ----------
        row : int
            Of the source.
        size : (height, width)
            Of the picture, upright.

        Raises
        ------
        DataError
            When a mask cannot be read, or is of another size.
        """
        from sightline.data import draw_masks

        annotation = self.source.items[row].read_annotation() or Annotation()
        return draw_masks.segmentation(annotation, *size, self.segmentation_classes)

    def fingerprint(self) -> str:
        """Return sixteen hex digits for the images, their annotations and the splits."""
        digest = hashlib.sha256(self.source.fingerprint().encode())
        digest.update("\0".join(self.classes).encode())
        for name in sorted(self.rows):
            digest.update(name.encode() + self.rows[name].tobytes())
        return digest.hexdigest()[:16]

    def with_rows(self, rows: dict[str, Rows], *notes: str) -> Dataset:
        """Return the same data split in another way."""
        return replace(self, rows=rows, notes=[*self.notes, *notes])


def _sheet(data: Dataset, split: str) -> str:
    """Draw a contact sheet as HTML, by a module that stands on this one and so is found by name."""
    text: str = importlib.import_module("sightline.data.notebook").sheet(data, split)
    return text


def _kind(source: Source) -> str:
    """Return size and channels of a source's images in words."""
    colours = "grey" if source.mode == "L" else "RGB"
    return f"{source.size[1]}x{source.size[0]} {colours}" if source.size else colours


def _sized(sample: Sample, size: tuple[int, int] | None, resize: images.Resize) -> Sample:
    if size is None:
        return sample
    height, width = sample.image.shape[:2]
    frame = images.frame_of((height, width), size, resize)
    pixels = np.asarray(images.resize(images.as_picture(sample.image), size, resize))
    return sample.resized(pixels.reshape(*size, -1), frame)


def _digest_known(digest: Any, item: Item) -> None:
    """Take in what is known of an image, without reading it."""
    digest.update(f"{item.id}\0{item.label}\0".encode())
    if item.labels is not None or item.value is not None:
        digest.update(f"{item.labels}{item.value}\0".encode())
    if isinstance(item.annotation, Annotation):
        digest.update(np.ascontiguousarray(item.annotation.boxes.round(2)).tobytes())
        digest.update(item.annotation.labels.tobytes())
        _digest_shapes(digest, item.annotation)


def _digest_shapes(digest: Any, annotation: Annotation) -> None:
    for path in (annotation.semantic, annotation.instances):
        if path is not None:
            digest.update(_file_size(path))
    for shape in annotation.shapes or ():
        if isinstance(shape, dict):
            digest.update(repr(shape).encode())
        elif isinstance(shape, np.ndarray):
            digest.update(shape.tobytes())
        else:
            for polygon in shape or ():
                digest.update(np.ascontiguousarray(polygon.round(2)).tobytes())


def _file_size(file: place.Place) -> bytes:
    try:
        return str(place.size_of(file)).encode()
    except OSError:
        return b"missing"


def _gather(pixels: NDArray[np.uint8], rows: Rows) -> NDArray[np.uint8]:
    """Return rows of the memory-mapped store: a view where they follow one another."""
    if len(rows) and np.array_equal(rows, np.arange(rows[0], rows[0] + len(rows))):
        return pixels[rows[0] : rows[0] + len(rows)]
    return pixels[rows]


SplitName = Literal["train", "val", "test"]
