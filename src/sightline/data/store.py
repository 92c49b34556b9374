"""Store all images of a set as one uint8 array, decoded once in parallel and kept on disk.

A cache entry is found by the path, size, modification and change time of every file, so
that a changed file is never served stale; its pixels are memory-mapped, so that loading
60,000 images again costs a directory listing. Its bytes are checked at loading, those of more than
256 MiB in part, and a damaged entry is renewed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import random
import shutil
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.data import images, parts, place
from sightline.errors import DataError, SightlineError

if TYPE_CHECKING:
    from sightline.data.item import Item
    from sightline.types import Progress

VERSION = 4
_PIXELS, _SIZES, _META = "pixels.npy", "sizes.npy", "meta.json"
_BLOCK = 2**20
_CHECKED_WHOLE = 256 * 2**20
_SAMPLED = 64
_CHUNK = 512
_SMALL_JOB = 1_500
SMALL_SIDE = 64
"""Images of one size, at most this many pixels a side, live in memory as one array."""


@dataclass(frozen=True, slots=True)
class Packed:
    """All images of a set at one size, as one array.

    Parameters
    ----------
    pixels : uint8 array, shape (N, H, W, C)
        Memory-mapped, read-only; rows of unreadable images are zero.
    unreadable : dict of int to str
        Row and reason.
    grey : int
        How many of the images have no colour in their file.
    resized : int
        How many had another size.
    digest : str
        SHA-256 of the pixels.
    sizes : int32 array, shape (N, 2), optional
        Height and width of each picture before it was resized; None where none was.
    damage : str
        What was wrong with the cache, which was renewed; "" where nothing was.
    """

    pixels: NDArray[np.uint8]
    unreadable: dict[int, str]
    grey: int
    resized: int
    digest: str
    sizes: NDArray[np.int32] | None = None
    damage: str = ""

    def __repr__(self) -> str:
        return f"Packed({self.pixels.shape}, {len(self.unreadable):,} unreadable)"

    @classmethod
    def of(cls, pixels: NDArray[np.uint8]) -> Packed:
        """Wrap images that are one array already."""
        grey = len(pixels) if pixels.shape[3] == 1 else 0
        return cls(pixels, {}, grey, 0, digest_of(pixels))

    def damage_note(self) -> list[str]:
        """Return a line about a cache that was damaged and has been renewed, if it was."""
        return [f"the cache was damaged ({self.damage}) and was renewed"] if self.damage else []

    def picture(self, row: int) -> tuple[int, int]:
        """Return height and width of a picture before it was resized."""
        height, width = self.pixels.shape[1:3] if self.sizes is None else self.sizes[row]
        return int(height), int(width)


def home() -> Path:
    """Return the folder of downloads and caches: ``SIGHTLINE_HOME``, else the platform's cache."""
    given = os.environ.get("SIGHTLINE_HOME")
    if given:
        return Path(given).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("sightline"))


def digest_of(pixels: NDArray[np.uint8]) -> str:
    """Return the SHA-256 of an array's bytes, in hex digits."""
    return hashlib.sha256(np.ascontiguousarray(pixels).data).hexdigest()


def file_keys(files: Sequence[place.Place]) -> list[str]:
    """Return path, size, modification and change time of each file, as text.

    Of a file inside a tar they are the tar's, with its place in it.
    """
    tars: dict[str, str] = {}
    keys = []
    for file in files:
        if isinstance(file, place.Member):
            if file.path not in tars:
                tars[file.path] = _key(file.path)
            keys.append(f"{tars[file.path]}|{file.offset}|{file.size}")
        else:
            keys.append(_key(file))
    return keys


def _key(path: str) -> str:
    try:
        s = os.stat(path)  # noqa: PTH116 - a Path object a file doubles the time
    except OSError:
        return f"{path}|missing"
    return f"{path}|{s.st_size}|{s.st_mtime_ns}|{s.st_ctime_ns}"


def pack(
    items: Sequence[Item],
    size: tuple[int, int],
    mode: images.Mode,
    resize: images.Resize,
    progress: Progress | None = None,
) -> Packed:
    """Pack all images, at one size and in one mode, into one array.

    Sets that lie in files are cached; arrays and drawn images are not.
    """
    channels = 1 if mode == "L" else 3
    shape = (len(items), *size, channels)
    paths = [item.image for item in items if place.is_file(item.image)]
    if len(paths) < len(items):
        return _pack_memory(items, shape, mode, resize, progress)
    folder = _entry(paths, size, mode, resize)
    packed = _load(folder, shape)
    if isinstance(packed, Packed):
        return packed
    shutil.rmtree(folder, ignore_errors=True)
    made = _decode_to(folder, paths, shape, mode, resize, progress)
    return dataclasses.replace(made, damage=packed)


def is_packed(
    items: Sequence[Item], size: tuple[int, int], mode: images.Mode, resize: images.Resize
) -> bool:
    """Tell whether `pack` would find these images in the cache."""
    paths = [item.image for item in items if place.is_file(item.image)]
    entry = _entry(paths, size, mode, resize)
    return len(paths) == len(items) and os.path.isdir(entry)  # noqa: PTH112 - see `_load`


def on_disk(items: Sequence[Item]) -> bool:
    """Tell whether all images are files, which `pack` caches; others it keeps in memory."""
    return all(place.is_file(item.image) for item in items)


def free() -> int:
    """Return the bytes that are free where `pack` would write."""
    folder = home().absolute()
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _entry(
    paths: Sequence[place.Place], size: tuple[int, int], mode: images.Mode, resize: images.Resize
) -> Path:
    """Return the folder of a cache entry."""
    digest = hashlib.sha256(f"{VERSION}|{size}|{mode}|{resize}\n".encode())
    digest.update("\n".join(file_keys(paths)).encode("utf-8", "surrogateescape"))
    return home() / "pixels" / digest.hexdigest()[:32]


def verify(
    items: Sequence[Item],
    packed: Packed,
    mode: images.Mode,
    resize: images.Resize,
    progress: Progress | None = None,
) -> list[str]:
    """Decode every file again and return the ids whose cached pixels differ."""
    size = packed.pixels.shape[1:3]
    wrong = []
    for row, item in enumerate(items):
        if not place.is_file(item.image):
            continue
        try:
            pixels = decode_one(item.image, (size[0], size[1]), mode, resize)[0]
        except SightlineError:
            same = row in packed.unreadable
        else:
            same = row not in packed.unreadable and np.array_equal(pixels, packed.pixels[row])
        if not same:
            wrong.append(item.id)
        if progress and row % _CHUNK == 0:
            progress(row, len(items))
    return wrong


def forget(packed: Packed) -> None:
    """Remove a cache entry, so that the next reading decodes the files again."""
    filename = getattr(packed.pixels, "filename", None)
    if filename:
        shutil.rmtree(Path(filename).parent, ignore_errors=True)


def decode_one(
    path: place.Place, size: tuple[int, int], mode: images.Mode, resize: images.Resize
) -> tuple[NDArray[np.uint8], bool, tuple[int, int]]:
    """Decode one file to (H, W, C) of `size`; tell whether it is grey, and its (height, width)."""
    image = images.decode(path)
    pixels = np.asarray(images.resize(images.to_mode(image, mode), size, resize))
    return pixels.reshape(*size, -1), images.is_grey(image), (image.height, image.width)


def read_one(
    item: Item, size: tuple[int, int], mode: images.Mode, resize: images.Resize
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Return an image as `pack` has it: (H, W, C) of `size`, and its own (height, width).

    Raises
    ------
    DataError
        When it cannot be read.
    """
    if place.is_file(item.image):
        pixels, _, picture = decode_one(item.image, size, mode, resize)
        return pixels, picture
    pixels = item.read_image(mode)
    height, width = pixels.shape[:2]
    if not images.keeps((height, width), size, resize):
        pixels = np.asarray(images.resize(images.as_picture(pixels), size, resize))
    return pixels.reshape(*size, -1), (height, width)


def in_chunks(
    work: Callable[..., Any],
    paths: Sequence[place.Place],
    *arguments: Any,
    progress: Progress | None = None,
    chunk: int = _CHUNK,
) -> list[Any]:
    """Call ``work(first, paths, *arguments)`` on chunks of files, in parallel processes.

    The order of the results is that of the files. Few files are done here, as starting
    a process costs more than they do.
    """
    spans = [(i, list(paths[i : i + chunk])) for i in range(0, len(paths), chunk)]
    workers = os.cpu_count() or 1
    done, results = 0, []
    if len(paths) <= _SMALL_JOB or workers == 1:
        produced = (work(first, part, *arguments) for first, part in spans)
    else:
        from joblib import Parallel, delayed

        produced = Parallel(n_jobs=workers, return_as="generator", batch_size=1)(
            delayed(work)(first, part, *arguments) for first, part in spans
        )
    for (_, part), result in zip(spans, produced, strict=True):
        results.append(result)
        done += len(part)
        if progress:
            progress(done, len(paths))
    return results


def _decode_chunk(
    first: int,
    paths: list[place.Place],
    target: str,
    shape: tuple[int, ...],
    mode: images.Mode,
    resize: images.Resize,
) -> tuple[dict[int, str], int, NDArray[np.int32]]:
    out = np.lib.format.open_memmap(target, mode="r+", dtype=np.uint8, shape=shape)
    unreadable: dict[int, str] = {}
    grey, sizes = 0, np.full((len(paths), 2), shape[1:3], np.int32)
    for i, path in enumerate(paths):
        try:
            out[first + i], is_grey, sizes[i] = decode_one(path, (shape[1], shape[2]), mode, resize)
        except SightlineError as error:
            unreadable[first + i] = str(error)
        else:
            grey += is_grey
    return unreadable, grey, sizes


def _decode_to(
    folder: Path,
    paths: Sequence[place.Place],
    shape: tuple[int, ...],
    mode: images.Mode,
    resize: images.Resize,
    progress: Progress | None,
) -> Packed:
    need = int(np.prod(shape)) + 4096
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder.parent).free
        if free < need * 1.1:
            raise DataError(
                f"the cache {folder.parent} needs {need / 2**20:,.0f} MiB and "
                f"{free / 2**20:,.0f} MiB are free; set SIGHTLINE_HOME to a larger disk"
            )
        with parts.filling(folder) as work:
            target = work / _PIXELS
            np.lib.format.open_memmap(target, mode="w+", dtype=np.uint8, shape=shape).flush()
            done = in_chunks(
                _decode_chunk, paths, str(target), shape, mode, resize, progress=progress
            )
            pixels = np.load(target, mmap_mode="r")
            sizes = np.concatenate([sizes for *_, sizes in done])
            resized = int((sizes != shape[1:3]).any(1).sum())
            if resized:
                np.save(work / _SIZES, sizes)
            meta = {
                "unreadable": {row: why for part, *_ in done for row, why in part.items()},
                "grey": sum(grey for _, grey, _ in done),
                "resized": resized,
                "digest": digest_of(pixels),
                "blocks": {path.name: _blocks(path) for path in sorted(work.glob("*.npy"))},
            }
            text = json.dumps(meta)
            (work / _META).write_text(f"{zlib.crc32(text.encode()):08x} {text}", encoding="ascii")
    except OSError as error:
        raise DataError(
            f"cannot write the cache {folder.parent} ({error.strerror}); set SIGHTLINE_HOME "
            "to a folder that can be written"
        ) from error
    packed = _load(folder, shape)
    if not isinstance(packed, Packed):
        raise DataError(f"the cache {folder} is damaged, and cannot be renewed; remove it")
    return packed


def _blocks(path: Path) -> list[int]:
    """Return the CRC-32 of each MiB of a file."""
    with path.open("rb") as file:
        return [zlib.crc32(block) for block in iter(lambda: file.read(_BLOCK), b"")]


def _damage(path: Path, blocks: list[int]) -> str | None:
    """Say what is wrong with a file by its blocks: all of them, of a large file some at random."""
    length = path.stat().st_size
    if -(-length // _BLOCK) != len(blocks):
        return f"{path.name} has {length:,} bytes"
    numbers: Sequence[int] = range(len(blocks))
    if length > _CHECKED_WHOLE:
        numbers = [0, *sorted(random.SystemRandom().sample(numbers[1:], _SAMPLED))]
    with path.open("rb") as file:
        for number in numbers:
            file.seek(number * _BLOCK)
            if zlib.crc32(file.read(_BLOCK)) != blocks[number]:
                return f"{path.name} differs from what was written, in MiB {number}"
    return None


def _load(folder: Path, shape: tuple[int, ...]) -> Packed | str:
    """Return a cache entry; else what is wrong with it, "" where there is none."""
    if not os.path.isdir(folder):  # noqa: PTH112 - false, too, where it may not be looked at
        return ""
    try:
        check, _, text = (folder / _META).read_text(encoding="ascii").partition(" ")
        if int(check, 16) != zlib.crc32(text.encode()):
            return f"{_META} differs from what was written"
        meta = json.loads(text)
        for name, blocks in meta["blocks"].items():
            if (why := _damage(folder / name, blocks)) is not None:
                return why
        pixels = np.load(folder / _PIXELS, mmap_mode="r")
        unreadable = {int(row): str(why) for row, why in meta["unreadable"].items()}
        resized = int(meta["resized"])
        sizes = np.load(folder / _SIZES) if resized else None
        entry = Packed(pixels, unreadable, int(meta["grey"]), resized, str(meta["digest"]), sizes)
        if pixels.shape != shape or (sizes is not None and len(sizes) != len(pixels)):
            return f"shape {pixels.shape}"
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError,
            RecursionError) as error:  # fmt: skip
        return str(getattr(error, "strerror", None) or f"{_META} is no record of a cache")
    return entry


def _pack_memory(
    items: Sequence[Item],
    shape: tuple[int, ...],
    mode: images.Mode,
    resize: images.Resize,
    progress: Progress | None,
) -> Packed:
    out = np.zeros(shape, np.uint8)
    unreadable: dict[int, str] = {}
    sizes = np.full((len(items), 2), shape[1:3], np.int32)
    for row, item in enumerate(items):
        try:
            out[row], sizes[row] = read_one(item, (shape[1], shape[2]), mode, resize)
        except SightlineError as error:
            unreadable[row] = str(error)
            continue
        if progress and (row % 64 == 0 or row + 1 == len(items)):
            progress(row + 1, len(items))
    grey = len(items) if mode == "L" else 0
    resized = int((sizes != shape[1:3]).any(1).sum())
    return Packed(out, unreadable, grey, resized, digest_of(out), sizes if resized else None)
