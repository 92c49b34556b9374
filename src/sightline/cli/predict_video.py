"""Answer for a video frame by frame: a video with the answers on it, and a row for each frame."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from rich.markup import escape

from sightline.cli import console
from sightline.cli.asked import Asked
from sightline.counting import counted
from sightline.data import images, video
from sightline.errors import DataError
from sightline.metrics.duration import human

_AT_ONCE = 16
_NAMED = 5


@dataclass(slots=True)
class Told:
    """What was told of a video.

    Parameters
    ----------
    path : path
    frames : int
        That were answered for.
    seconds : float
        When the last one is shown.
    damaged : list of str
        Frames that cannot be decoded: number, time and reason.
    said : Counter
        Answers, in words, and the frames that have them.
    written : list of path
    why : str
        What is wrong with the whole file.
    """

    path: Path
    frames: int = 0
    seconds: float = 0.0
    damaged: list[str] = field(default_factory=list)
    said: Counter[str] = field(default_factory=Counter)
    written: list[Path] = field(default_factory=list)
    why: str = ""

    @property
    def failed(self) -> bool:
        """Tell whether the video, or a frame of it, could not be read."""
        return bool(self.why or self.damaged)

    def page(self) -> dict[str, Any]:
        """Return it as JSON."""
        if self.why:
            return {"video": str(self.path), "error": self.why}
        return {
            "video": str(self.path), "frames": self.frames, "seconds": round(self.seconds, 3),
            "damaged": self.damaged, "answers": dict(self.said.most_common()),
            "written": [str(path) for path in self.written],
        }  # fmt: skip

    def print(self) -> None:
        """Print it for a person."""
        screen = console.out()
        if self.why:
            screen.print(f"[red]{escape(self.why)}[/red]", soft_wrap=True)
            return
        most = "; ".join(f"{escape(said)} ({n:,})" for said, n in self.said.most_common(_NAMED))
        screen.print(
            f"{escape(str(self.path))}: {counted(self.frames, 'frame')}, {human(self.seconds)}; "
            f"most often {most or 'nothing'}", soft_wrap=True,
        )  # fmt: skip
        if self.damaged:
            more = " ..." if len(self.damaged) > _NAMED else ""
            screen.print(
                f"[red]{counted(len(self.damaged), 'frame')} cannot be decoded and left out: "
                f"{escape('; '.join(self.damaged[:_NAMED]))}{more}[/red]", soft_wrap=True,
            )  # fmt: skip
        for path in self.written:
            screen.print(f"video: {escape(str(path))}", soft_wrap=True)


def answer(asked: Asked, path: Path, place: Path | None) -> Told:
    """Answer for the frames of a video, and write them where a place is given.

    Beside the video stands ``NAME.jsonl``: a line a frame with its number, its time and the answer.

    Parameters
    ----------
    asked : Asked
    path : path
    place : path, optional
        Of the video to write.
    """
    told = Told(path)
    try:
        with video.Video(path) as opened, contextlib.ExitStack() as stack:
            writer, lines = _opened(opened, place, stack)
            report = stack.enter_context(console.bar("predicting"))
            waiting: list[video.VideoFrame] = []
            for frame in opened:
                waiting.append(frame)
                if len(waiting) == _AT_ONCE:
                    _answer(asked, waiting, told, writer, lines)
                    waiting = []
                report(frame.number + 1, max(opened.count, frame.number + 1))
            _answer(asked, waiting, told, writer, lines)
    except DataError as error:
        told.why = str(error)
        return told
    if place is not None:
        told.written = [p for p in (place, place.with_suffix(".jsonl")) if p.is_file()]
    if not told.frames:
        told.why = f"{path}: no frame can be decoded"
    return told


def _opened(
    opened: video.Video, place: Path | None, stack: contextlib.ExitStack
) -> tuple[video.Writer | None, TextIO | None]:
    if place is None:
        return None, None
    place.parent.mkdir(parents=True, exist_ok=True)
    writer = stack.enter_context(video.Writer(place, opened.rate))
    lines = stack.enter_context(place.with_suffix(".jsonl").open("w", encoding="utf-8"))
    return writer, lines


def _answer(
    asked: Asked, frames: list[video.VideoFrame], told: Told, writer: video.Writer | None,
    lines: TextIO | None,
) -> None:  # fmt: skip
    """Answer for some frames; of one that cannot be decoded only its number is written."""
    good = {f.number: images.as_picture(f.pixels) for f in frames if f.pixels is not None}
    said = dict(zip(good, asked.of(list(good.values())), strict=True)) if good else {}
    for frame in frames:
        row: dict[str, Any] = {"frame": frame.number, "seconds": round(frame.seconds, 3)}
        if frame.number not in said:
            told.damaged.append(f"frame {frame.number} at {frame.seconds:.2f} s ({frame.why})")
            row["error"] = frame.why
        else:
            given = said[frame.number]
            told.frames, told.seconds = told.frames + 1, max(told.seconds, frame.seconds)
            words = asked.draw.cells(given, top=asked.top, threshold=asked.limit(given))[0]
            told.said[words or "none of these"] += 1
            row |= asked.page(given)
            if writer is not None:
                writer.add(np.asarray(asked.drawn(good[frame.number], given)))
        if lines is not None:
            lines.write(json.dumps(row, ensure_ascii=False) + "\n")
