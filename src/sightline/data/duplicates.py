"""Find images that occur twice, exactly or nearly, inside a split or across two.

A near-duplicate is a pair whose perceptual hashes (imagehash's ``phash``: the signs of
the 64 lowest frequencies) differ in at most 10 bits *and* whose thumbnails then agree: the
hash alone takes any two handwritten ones for the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.data import images

if TYPE_CHECKING:
    from sightline.data.dataset import Dataset
    from sightline.types import Progress

HAMMING = 10
TOLERANCE = {"colour": 0.4, "grey": 0.1}
"""Root mean square difference of thumbnails, as a share of their contrast. Grey drawings
on an even ground (handwriting) come nearer to one another by themselves than photos do."""
THUMB = 16
LIMIT = 150_000
"""More images than this are compared on a seeded sample: the search is quadratic."""
_TILE = (64, 4096)


@dataclass(frozen=True, slots=True)
class Prints:
    """Fingerprints of N images, row by row.

    Parameters
    ----------
    rows : int64 array, shape (N,)
    digests : list of bytes, length N
        Of the decoded pixels; equal only for exact duplicates.
    hashes : uint64 array, shape (N,)
        Perceptual hashes.
    thumbs : uint8 array, shape (N, 16, 16, 3)
    """

    rows: NDArray[np.int64]
    digests: list[bytes]
    hashes: NDArray[np.uint64]
    thumbs: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two rows of the data that show the same picture."""

    first: int
    second: int
    exact: bool


def print_of(image: Any) -> tuple[bytes, int, NDArray[np.uint8]]:
    """Compute the digest, perceptual hash and thumbnail of a PIL image in mode L or RGB."""
    import imagehash
    from PIL import Image

    pixels = np.asarray(image)
    digest = hashlib.blake2b(pixels.tobytes(), digest_size=16)
    digest.update(repr(pixels.shape).encode())
    bits = imagehash.phash(image).hash.ravel()
    code = int.from_bytes(np.packbits(bits).tobytes(), "big")
    thumb = image.convert("RGB").resize((THUMB, THUMB), Image.Resampling.BOX)
    return digest.digest(), code, np.asarray(thumb)


def prints_of(data: Dataset, progress: Progress | None = None) -> Prints:
    """Fingerprint every readable image of a set of small images."""
    rows = np.sort(np.concatenate(list(data.rows.values())))
    packed = data.source.pack()
    rows = rows[[int(r) not in packed.unreadable for r in rows]]
    pixels = packed.pixels[rows]
    parts = _in_parallel(pixels, progress)
    digests = [d for part in parts for d in part[0]]
    hashes = np.array([h for part in parts for h in part[1]], np.uint64)
    thumbs = np.concatenate([part[2] for part in parts])
    return Prints(rows, digests, hashes, thumbs)


def find(prints: Prints, seed: int = 0) -> list[Pair]:
    """Return all exact and near pairs.

    Exact duplicates come as pairs of the first with each other one.
    """
    pairs = []
    seen: dict[bytes, int] = {}
    fresh = []
    for i, digest in enumerate(prints.digests):
        first = seen.setdefault(digest, i)
        if first == i:
            fresh.append(i)
        else:
            pairs.append(Pair(int(prints.rows[first]), int(prints.rows[i]), exact=True))
    keep = np.array(fresh, np.int64)
    if len(keep) > LIMIT:
        keep = np.sort(np.random.default_rng(seed).choice(keep, LIMIT, replace=False))
    if len(keep) < 2:
        return pairs
    grey = _all_grey(prints.thumbs)
    thumbs = prints.thumbs[keep][..., :1] if grey else prints.thumbs[keep]
    near = _Near(thumbs, TOLERANCE["grey" if grey else "colour"])
    for left, right in _close(prints.hashes[keep]):
        same = near(left, right)
        pairs += [
            Pair(int(prints.rows[keep[p]]), int(prints.rows[keep[q]]), exact=False)
            for p, q in zip(left[same], right[same], strict=True)
        ]
    return pairs


class _Near:
    """Tells which pairs of thumbnails, shape (N, 16, 16, C), agree."""

    def __init__(self, thumbs: NDArray[np.uint8], tolerance: float) -> None:
        n = len(thumbs)
        self.fine = thumbs.reshape(n, -1)
        # Means of blocks never differ more than their pixels do, so that looking at them
        # first loses no pair and spares most of the work.
        blocks = thumbs.reshape(n, 4, THUMB // 4, 4, THUMB // 4, -1)
        self.coarse = blocks.mean((2, 4), dtype=np.float32).reshape(n, -1)
        self.limit = tolerance * np.maximum(self.fine.std(1), 8)

    def __call__(self, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the places of the pairs that agree."""
        limit = np.minimum(self.limit[left], self.limit[right])
        places = np.flatnonzero(_gap(self.coarse, left, right) <= limit + 1e-3)
        fine = _gap(self.fine, left[places], right[places])
        return np.asarray(places[fine <= limit[places]], np.int64)


def _gap(
    values: NDArray[Any], left: NDArray[np.int64], right: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Compute the root mean square difference of rows."""
    gap = values[left].astype(np.float32) - values[right]
    return np.asarray(np.sqrt((gap**2).mean(1)), np.float32)


def _close(hashes: NDArray[np.uint64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield pairs i < j whose hashes differ in few bits, in batches.

    Tiles fit into the cache and use the same memory again: new pages cost more than the
    bits do.
    """
    different = np.empty(_TILE, np.uint64)
    bits = np.empty(_TILE, np.uint8)
    for top in range(0, len(hashes), _TILE[0]):
        block = hashes[top : top + _TILE[0], None]
        for start in range(top, len(hashes), _TILE[1]):
            others = hashes[None, start : start + _TILE[1]]
            part = np.s_[: len(block), : others.shape[1]]
            np.bitwise_xor(block, others, out=different[part])
            np.bitwise_count(different[part], out=bits[part])
            close = np.flatnonzero(bits[part] <= HAMMING)  # many times faster than nonzero
            left, right = close // others.shape[1] + top, close % others.shape[1] + start
            ordered = left < right
            left, right = left[ordered], right[ordered]
            for i in range(0, len(left), 65536):
                yield left[i : i + 65536], right[i : i + 65536]


def _all_grey(thumbs: NDArray[np.uint8]) -> bool:
    return bool(
        (thumbs[..., 0] == thumbs[..., 1]).all() and (thumbs[..., 1] == thumbs[..., 2]).all()
    )


def across_splits(data: Dataset, pairs: Sequence[Pair]) -> list[tuple[Pair, str, str]]:
    """Return the pairs whose images are in different splits, with the splits' names."""
    split_of = {int(row): name for name, rows in data.rows.items() for row in rows}
    named = [(p, split_of.get(p.first, ""), split_of.get(p.second, "")) for p in pairs]
    return [(p, a, b) for p, a, b in named if a and b and a != b]


def _in_parallel(
    pixels: NDArray[np.uint8], progress: Progress | None
) -> list[tuple[list[bytes], list[int], NDArray[np.uint8]]]:
    import os

    from joblib import Parallel, delayed

    chunks = [pixels[i : i + 1024] for i in range(0, len(pixels), 1024)]
    workers = (os.cpu_count() or 1) if len(chunks) > 2 else 1
    results = []
    produced = Parallel(n_jobs=workers, return_as="generator", batch_size=1)(
        delayed(_prints)(chunk) for chunk in chunks
    )
    for done, result in enumerate(produced, 1):
        results.append(result)
        if progress:
            progress(min(done * 1024, len(pixels)), len(pixels))
    return results


def _prints(pixels: NDArray[np.uint8]) -> tuple[list[bytes], list[int], NDArray[np.uint8]]:
    prints = [print_of(images.as_picture(p)) for p in np.asarray(pixels)]
    return (
        [d for d, _, _ in prints],
        [h for _, h, _ in prints],
        np.stack([t for *_, t in prints]),
    )
