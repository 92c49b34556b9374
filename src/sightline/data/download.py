"""Download well-known data sets through torchvision's classes, cached under SIGHTLINE_HOME."""

from __future__ import annotations

import contextlib
import io
import pickle
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.data import store
from sightline.data.dataset import Dataset, Source
from sightline.data.item import Item
from sightline.errors import DataError
from sightline.types import Task


@dataclass(frozen=True, slots=True)
class Card:
    """What is known of a data set before it is downloaded."""

    title: str
    tasks: tuple[Task, ...]
    megabytes: int
    files: str
    read: Callable[[str, Path], Dataset]


def root() -> Path:
    """Return the folder that torchvision downloads into."""
    return store.home() / "datasets"


def read(name: str) -> Dataset:
    """Read a data set by name; download it when it is not in the cache.

    Raises
    ------
    DataError
        When it is not in the cache and cannot be downloaded: the message says which file
        to put where.
    """
    card = CATALOGUE[name]
    folder = root()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _quiet_and_bounded():
            data = card.read(name, folder)
    except DataError:
        raise
    except (ValueError, KeyError, AssertionError, EOFError, pickle.UnpicklingError) as error:
        raise DataError(
            f"{name} ({card.title}): what is in {folder} is broken ({_first_line(error)}); "
            f"remove it, to download it again, or put {card.files} there"
        ) from error
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"{name} ({card.title}) is not in the cache and could not be downloaded "
            f"({_first_line(error)}); put {card.files} into {folder}, or give the path of a "
            "folder of images"
        ) from error
    data.name = name
    data.layout = "download"
    return data


@contextlib.contextmanager
def _quiet_and_bounded() -> Iterator[None]:
    """Silence torchvision's prints on stdout, and bound every wait for the network."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(30)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        socket.setdefaulttimeout(before)


@contextlib.contextmanager
def _whole(place: Path, inside: str) -> Iterator[Path]:
    """Yield a folder to download into; its part `inside` becomes `place` when all is there.

    What is left after an interruption is used again by the next try.
    """
    part = place.parents[len(Path(inside).parts) - 1] / f"{place.name}.part"
    part.mkdir(parents=True, exist_ok=True)
    yield part
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(place, ignore_errors=True)
    (part / inside).rename(place)
    shutil.rmtree(part, ignore_errors=True)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]


def _from_arrays(
    name: str,
    parts: dict[str, tuple[NDArray[np.uint8], NDArray[np.int64]]],
    classes: tuple[str, ...],
) -> Dataset:
    pixels = np.concatenate([p if p.ndim == 4 else p[..., None] for p, _ in parts.values()])
    items: list[Item] = []
    rows = {}
    for split, (_, labels) in parts.items():
        first = len(items)
        items += [Item(f"{split}/{i}", pixels[first + i], int(y)) for i, y in enumerate(labels)]
        rows[split] = np.arange(first, len(items))
    size = (pixels.shape[1], pixels.shape[2])
    packed = {(*size, "crop"): store.Packed.of(pixels)}
    source = Source(items, "L" if pixels.shape[3] == 1 else "RGB", size, packed)
    return Dataset(name, source, rows, classes)


def _torchvision_arrays(class_name: str) -> Callable[[str, Path], Dataset]:
    """Return a reader for a torchvision class with ``data``, ``targets`` and ``classes``."""

    def reader(name: str, folder: Path) -> Dataset:
        from torchvision import datasets

        kind: Any = getattr(datasets, class_name)
        parts = {}
        for split in ("train", "test"):
            part = kind(folder, train=split == "train", download=True)
            parts[split] = (np.asarray(part.data), np.asarray(part.targets, np.int64))
        return _from_arrays(name, parts, tuple(part.classes))

    return reader


def _voc(year: str) -> Callable[[str, Path], Dataset]:
    def reader(name: str, folder: Path) -> Dataset:
        from sightline.data import voc

        place = folder / "VOCdevkit" / f"VOC{year}"
        if not place.is_dir():
            from torchvision.datasets import VOCDetection

            with _whole(place, f"VOCdevkit/VOC{year}") as part:
                VOCDetection(part, year=year, image_set="trainval", download=True)
                if year == "2007":  # the only year whose test annotations are public
                    VOCDetection(part, year=year, image_set="test", download=True)
        return voc.read(place, name)

    return reader


def _pets(name: str, folder: Path) -> Dataset:
    place = folder / "oxford-iiit-pet"
    if not (place / "images").is_dir() or not (place / "annotations").is_dir():
        from torchvision.datasets import OxfordIIITPet

        with _whole(place, place.name) as part:
            OxfordIIITPet(part, split="trainval", download=True)
    items: list[Item] = []
    rows: dict[str, NDArray[np.int64]] = {}
    names: dict[int, str] = {}
    for split, listing in (("train", "trainval.txt"), ("test", "test.txt")):
        first = len(items)
        for line in (place / "annotations" / listing).read_text().splitlines():
            stem, number, *_ = line.split()
            names[int(number) - 1] = stem.rsplit("_", 1)[0].replace("_", " ").title()
            path = str(place / "images" / f"{stem}.jpg")
            items.append(Item(f"images/{stem}.jpg", path, int(number) - 1))
        rows[split] = np.arange(first, len(items))
    classes = tuple(names[i] for i in range(len(names)))
    return Dataset(name, Source(items, "RGB"), rows, classes, path=str(place))


_CLASSIFY = (Task.CLASSIFY,)
_VOC_TASKS = (Task.DETECT, Task.SEGMENT)
_IDX = "train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz and the two t10k files"

CATALOGUE: dict[str, Card] = {
    "mnist": Card(
        "handwritten digits, 28x28, 10 classes, 70,000 images",
        _CLASSIFY, 12, f"{_IDX} (in MNIST/raw)", _torchvision_arrays("MNIST"),
    ),
    "fashion-mnist": Card(
        "clothes, 28x28, 10 classes, 70,000 images",
        _CLASSIFY, 31, f"{_IDX} (in FashionMNIST/raw)", _torchvision_arrays("FashionMNIST"),
    ),
    "cifar10": Card(
        "photos, 32x32, 10 classes, 60,000 images",
        _CLASSIFY, 170, "cifar-10-python.tar.gz", _torchvision_arrays("CIFAR10"),
    ),
    "cifar100": Card(
        "photos, 32x32, 100 classes, 60,000 images",
        _CLASSIFY, 169, "cifar-100-python.tar.gz", _torchvision_arrays("CIFAR100"),
    ),
    "voc2007": Card(
        "photos with boxes and masks, 20 classes, 9,963 images",
        _VOC_TASKS, 890, "the unpacked VOCdevkit/VOC2007", _voc("2007"),
    ),
    "voc2012": Card(
        "photos with boxes and masks, 20 classes, 17,125 images",
        _VOC_TASKS, 1_999, "the unpacked VOCdevkit/VOC2012", _voc("2012"),
    ),
    "pets": Card(
        "cats and dogs, 37 breeds, 7,349 images",
        _CLASSIFY, 811, "oxford-iiit-pet/images and oxford-iiit-pet/annotations", _pets,
    ),
}  # fmt: skip
