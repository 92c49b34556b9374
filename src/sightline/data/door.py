"""Count what a picture would cost before it is decoded.

A decoder's time and memory follow what a file asks for, not its bytes: a progressive JPEG of 0.9 MB
may hold 20,000 scans of 24 megapixels, a TIFF of 32 x 32 pixels one tile of 1.6 GB. Pillow limits
the pixels alone, and walks through the parts before them in Python. So the parts are counted first,
then scans, chunks and tiles; `effort` says how long the rest may take.
"""

from __future__ import annotations

import collections
import re
import struct
from collections.abc import Callable, Iterator
from io import SEEK_CUR
from math import inf
from typing import IO, Any

from sightline.errors import TooCostlyError

PARTS = 10_000
"""Segments, chunks and blocks before the pixels, each of which Pillow handles in Python."""

CHUNK = 256
"""Bytes of a PNG for each of which one more chunk is allowed: writers cut the pixels into many."""

SCANS = 100
"""Scans of a JPEG. A writer makes 10 or so; each one is a walk over all its pixels."""

ARITHMETIC = 8
"""How many times longer a scan of a JPEG with arithmetic coding may take."""

TILE = 4096
"""A side of a TIFF's tile that is allowed whatever the size of the picture."""

_START = re.compile(rb"\xff\xda")
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_SOS, _EOI, _ARITHMETIC = 0xDA, 0xD9, (0xC9, 0xCA, 0xCB)
_BARE = frozenset((0x00, 0x01, *range(0xD0, 0xDA)))
_COMPRESSION, _JPEG = 259, (6, 7)
_TILE_SIDES, _TILE_PLACES, _STRIP_PLACES = (322, 323), 324, 273


def check_head(file: IO[bytes], name: str) -> None:
    """Count the parts of a picture that stand before its pixels.

    Parameters
    ----------
    file : binary file
        Of any format; it is left at its beginning.
    name : str
        Begins the message of an error.

    Raises
    ------
    TooCostlyError
        When there are more than `PARTS`.
    """
    if walk := _walk_of(file.read(12)):
        for count, _ in enumerate(walk(file)):
            if count >= PARTS:
                raise TooCostlyError(
                    f"{name}: more than {PARTS:,} parts before its pixels, each of which takes "
                    "time; save it anew"
                )
    file.seek(0)


def check(image: Any, name: str) -> None:
    """Count the scans, chunks and tiles of an opened picture that is not decoded yet.

    Parameters
    ----------
    image : PIL image
    name : str
        Begins the message of an error.

    Raises
    ------
    TooCostlyError
        When there are more than pictures of its size have.
    """
    if image.format in ("JPEG", "MPO"):
        count = scans(image)
        most = SCANS // ARITHMETIC if count > SCANS // ARITHMETIC and _arithmetic(image) else SCANS
        if count > most:
            raise TooCostlyError(f"{name}: a JPEG of more than {most} scans; save it anew")
    elif image.format == "PNG":
        _check_chunks(image, name)
    elif image.format == "TIFF":
        _check_tiles(image, name)


def effort(image: Any) -> float:
    """Estimate how many pixels decoding visits, as a plain JPEG's; infinite where none can say.

    Parameters
    ----------
    image : PIL image
        Opened, and not decoded yet.
    """
    pixels = float(image.width * image.height)
    if image.format in ("JPEG", "MPO"):
        return pixels * scans(image) * (ARITHMETIC if _arithmetic(image) else 1)
    if image.format == "BMP":
        return pixels * (16 if image.tile and image.tile[0][0] == "bmp_rle" else 1)
    if image.format == "WEBP":
        # Without loss each block of 16 pixels may bring codes of its own, of 5 KB.
        return pixels * (2 if _head(image, 16)[12:] == b"VP8 " else 64)
    return pixels * {"PNG": 2, "GIF": 2}.get(image.format, inf)


def size_of_gif(file: IO[bytes]) -> tuple[int, int]:
    """Return the (width, height) of a GIF's first frame, for which Pillow takes memory at once."""
    file.seek(6)
    screen = file.read(4)
    collections.deque(_blocks(file), maxlen=0)
    frame = file.read(8)
    across, down, *rest = struct.unpack("<6H", (screen + frame).ljust(12, b"\0"))
    return max(across, rest[0] + rest[2]), max(down, rest[1] + rest[3])


def scans(image: Any) -> int:
    """Count the scans of an opened JPEG, at least 1 and at most one more than `SCANS`."""
    if (count := getattr(image, "_scans", 0)) == 0:
        image._scans = count = _scans(_content(image))
    return int(count)


def _scans(data: bytes) -> int:
    # Each scan begins with these two bytes. Thumbnails, profiles and what follows the picture may
    # hold them, too: then the segments are walked through.
    if len(_START.findall(data)) <= 1:
        return 1
    count, at = 0, 2
    while count <= SCANS and (marker := _MARKER.search(data, at)):
        kind, at = data[marker.start() + 1], marker.end()
        if kind == _EOI:
            break
        count += kind == _SOS
        if kind not in _BARE:
            at += max(int.from_bytes(data[at : at + 2], "big"), 2)
    return max(count, 1)


def _check_chunks(image: Any, name: str) -> None:
    size = len(_content(image))
    most = PARTS + size // CHUNK
    if size < 12 * PARTS:  # a chunk has 12 bytes at least
        return
    with _kept_place(image) as file:
        for count, _ in enumerate(_chunks(file, whole=True)):
            if count >= most:
                raise TooCostlyError(f"{name}: a PNG of more than {most:,} chunks; save it anew")


def _check_tiles(image: Any, name: str) -> None:
    tags = image.tag_v2
    sides = [int(tags.get(tag, 0)) for tag in _TILE_SIDES]
    for side, whole in zip(sides, image.size, strict=True):
        if side > max(TILE, 2 * whole):
            raise TooCostlyError(
                f"{name}: a tile of {sides[0]:,} x {sides[1]:,} pixels in a picture of "
                f"{image.width:,} x {image.height:,}; save it anew"
            )
    planes = int(tags.get(277, 1))
    across, down = (
        -(-whole // max(side, 1)) for whole, side in zip(image.size, sides, strict=True)
    )
    needed = (across * down if all(sides) else image.height) * planes
    there = len(tags.get(_TILE_PLACES if all(sides) else _STRIP_PLACES, ()))
    if there > max(needed, PARTS):
        raise TooCostlyError(
            f"{name}: {there:,} strips or tiles, and {needed:,} would do; save it anew"
        )
    # Each part may be a JPEG of its own, with a scan for each of its planes.
    most = SCANS + planes * there
    if tags.get(_COMPRESSION) in _JPEG and len(_START.findall(_content(image))) > most:
        raise TooCostlyError(f"{name}: JPEGs of more than {most:,} scans; save it anew")


class _kept_place:  # noqa: N801 - used as a function
    """Gives an image's file, and puts it back where it stood."""

    def __init__(self, image: Any) -> None:
        self.file = image.fp

    def __enter__(self) -> IO[bytes]:
        self.place = self.file.tell()
        return self.file  # type: ignore[no-any-return]

    def __exit__(self, *_: object) -> None:
        self.file.seek(self.place)


def _content(image: Any) -> bytes:
    """Return all bytes of an opened image's file; of one in memory without copying them."""
    if hasattr(image.fp, "getvalue"):
        return image.fp.getvalue()  # type: ignore[no-any-return]
    with _kept_place(image) as file:
        file.seek(0)
        return file.read()


def _head(image: Any, size: int) -> bytes:
    with _kept_place(image) as file:
        file.seek(0)
        return file.read(size)


def _arithmetic(image: Any) -> bool:
    with _kept_place(image) as file:
        return any(marker in _ARITHMETIC for marker in _segments(file))


def _walk_of(start: bytes) -> Callable[[IO[bytes]], Iterator[int]] | None:
    """Return what walks through the parts of a file that begins so; None where there are none."""
    if start.startswith(b"\xff\xd8"):
        return _segments
    if start.startswith(b"\x89PNG"):
        return _chunks
    if start.startswith(b"GIF8"):
        return _blocks
    return _frames if start.startswith(b"RIFF") and start.endswith(b"WEBP") else None


def _segments(file: IO[bytes]) -> Iterator[int]:
    """Walk a JPEG up to its first scan: yield the marker of each segment, of each stray byte 0."""
    file.seek(2)
    while len(pair := file.read(2)) == 2:
        kind = pair[1]
        if pair[0] != 0xFF or kind == 0xFF:
            file.seek(-1, SEEK_CUR)
            kind = 0
        elif kind == _SOS:
            return
        elif kind not in _BARE:
            length = int.from_bytes(file.read(2), "big")
            file.seek(max(length - 2, 0), SEEK_CUR)
        yield kind


def _chunks(file: IO[bytes], *, whole: bool = False) -> Iterator[int]:
    """Walk a PNG up to its pixels, or to its end: yield the length of each chunk."""
    file.seek(8)
    while len(head := file.read(8)) == 8:
        if head[4:] == b"IEND" or (head[4:] == b"IDAT" and not whole):
            return
        length = int.from_bytes(head[:4], "big")
        file.seek(length + 4, SEEK_CUR)
        yield length


def _blocks(file: IO[bytes]) -> Iterator[int]:
    """Walk a GIF up to its first frame: yield the length of each block, of each stray byte 0."""
    file.seek(10)
    flags = file.read(3)[:1] or b"\0"
    file.seek(3 << (flags[0] & 7) + 1 if flags[0] & 0x80 else 0, SEEK_CUR)
    while (kind := file.read(1)) not in (b"", b",", b";"):
        yield 0
        if kind == b"!":
            file.seek(1, SEEK_CUR)
            while length := int.from_bytes(file.read(1)):
                file.seek(length, SEEK_CUR)
                yield length


def _frames(file: IO[bytes]) -> Iterator[int]:
    """Walk a WebP: yield the length of each chunk, of which every frame is one."""
    file.seek(12)
    while len(head := file.read(8)) == 8:
        length = int.from_bytes(head[4:], "little")
        file.seek(length + length % 2, SEEK_CUR)
        yield length
