"""Read and write videos frame by frame, by PyAV.

PyAV's wheels bundle FFmpeg with codecs under the GPL, so it is an extra of its own (``video``) and
in no container image of this project.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataError, MissingExtraError, missing

SUFFIXES = frozenset((".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts"))
"""Endings of files that are taken as videos."""

_CODECS = ("libx264", "mpeg4")
"""Of what is written, the preferred first."""


@dataclass(frozen=True, slots=True)
class VideoFrame:
    """A picture of a video.

    Parameters
    ----------
    number : int
        From 0; frames that cannot be decoded count.
    seconds : float
        When it is shown.
    pixels : uint8 array, shape (H, W, 3), optional
        Upright, as it is to be shown; None where it cannot be decoded.
    why : str
        What is wrong with it then.
    """

    number: int
    seconds: float
    pixels: NDArray[np.uint8] | None
    why: str = ""


def is_video(path: Path) -> bool:
    """Tell by its ending whether a file is a video."""
    return path.suffix.lower() in SUFFIXES


def installed() -> bool:
    """Tell whether PyAV is installed, which reads videos."""
    return importlib.util.find_spec("av") is not None


class Video:
    """A video file, to be read once from its beginning.

    Parameters
    ----------
    path : path

    Attributes
    ----------
    rate : Fraction
        Frames a second.
    count : int
        Frames, about; 0: unknown.

    Raises
    ------
    DataError
        When it cannot be opened, or holds no video.
    MissingExtraError
        When PyAV is not installed.
    """

    def __init__(self, path: Path) -> None:
        av = _av()
        if not path.is_file():
            raise DataError(missing(path, "no such video"))
        try:
            self._container = av.open(str(path))
        except (av.FFmpegError, OSError, ValueError) as error:
            raise DataError(f"{path} is no video that can be read ({_reason(error)})") from None
        if not self._container.streams.video:
            self._container.close()
            raise DataError(f"{path} holds no video, only sound or text")
        self.path, self._stream = path, self._container.streams.video[0]
        self._stream.thread_type = "AUTO"
        self.rate = Fraction(self._stream.average_rate or 25)
        length = float((self._stream.duration or 0) * (self._stream.time_base or 0))
        self.count = int(self._stream.frames or round(length * self.rate))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._container.close()

    def __iter__(self) -> Iterator[VideoFrame]:
        av, number = _av(), 0
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                decoded = packet.decode()
            except (av.FFmpegError, OSError) as error:
                at = float(number / self.rate)
                yield VideoFrame(number, at, None, _reason(error))
                number += 1
                if not isinstance(error, av.InvalidDataError):
                    return  # the file itself cannot be read any further
                continue
            for frame in decoded:
                seconds = float(frame.time if frame.time is not None else number / self.rate)
                if frame.is_corrupt:
                    yield VideoFrame(number, seconds, None, "it is marked as damaged")
                else:
                    yield VideoFrame(number, seconds, _upright(frame))
                number += 1


class Writer:
    """A video file that is written frame by frame, all of one size.

    Parameters
    ----------
    path : path
    rate : Fraction
        Frames a second.
    """

    def __init__(self, path: Path, rate: Fraction) -> None:
        self.path, self._rate = path, rate
        self._container: Any = None
        self._stream: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        if self._container is not None:
            if kind is None:
                self._container.mux(self._stream.encode())
            self._container.close()

    def add(self, pixels: NDArray[np.uint8]) -> None:
        """Write a frame, uint8 (H, W, 3); an odd side loses its last pixel, as codecs ask for.

        Raises
        ------
        DataError
            When it cannot be written.
        """
        av = _av()
        height, width = (side // 2 * 2 for side in pixels.shape[:2])
        try:
            if self._container is None:
                codec = next(name for name in _CODECS if name in av.codecs_available)
                self._container = av.open(str(self.path), "w")
                self._stream = self._container.add_stream(codec, rate=self._rate)
                self._stream.width, self._stream.height = width, height
                self._stream.pix_fmt = "yuv420p"
            shown = np.ascontiguousarray(pixels[:height, :width])
            frame = av.VideoFrame.from_ndarray(shown, format="rgb24")
            self._container.mux(self._stream.encode(frame))
        except (av.FFmpegError, OSError) as error:
            raise DataError(f"cannot write {self.path} ({_reason(error)})") from None


def _upright(frame: Any) -> NDArray[np.uint8]:
    """Return the pixels of a frame, turned as its display matrix says (counter-clockwise)."""
    pixels: NDArray[np.uint8] = frame.to_ndarray(format="rgb24")
    turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__)


def _av() -> Any:
    try:
        import av
    except ImportError:
        raise MissingExtraError("a video", "video") from None
    return av
