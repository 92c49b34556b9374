"""Answer for a video frame by frame: a video with the answers on it, and a row for each frame."""

from __future__ import annotations

import contextlib
import csv
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
from rich.markup import escape

from sightline.cli import console
from sightline.cli.asked import Asked
from sightline.counting import counted
from sightline.data import cells, images, video
from sightline.errors import DataError
from sightline.metrics.duration import human
from sightline.training import run

if TYPE_CHECKING:
    from PIL import Image

    from sightline.deploy.tracks import Following, Tracks
    from sightline.report.tracks import TrackDrawer
    from sightline.types import Detections, Prediction

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
    counts : dict, optional
        What was counted of objects that were followed; see `Tracks.counts`.
    why : str
        What is wrong with the whole file.
    """

    path: Path
    frames: int = 0
    seconds: float = 0.0
    damaged: list[str] = field(default_factory=list)
    said: Counter[str] = field(default_factory=Counter)
    written: list[Path] = field(default_factory=list)
    counts: dict[str, Any] | None = None
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
            **({} if self.counts is None else {"counts": self.counts}),
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
        for line in _said(self.counts):
            screen.print(escape(line), soft_wrap=True)
        for path in self.written:
            screen.print(f"video: {escape(str(path))}", soft_wrap=True)


def _said(counts: dict[str, Any] | None) -> list[str]:
    """Return in words what was counted."""
    if counts is None:
        return []
    of_class = ", ".join(f"{n:,} {name}" for name, n in counts["tracks"].items())
    lines = [f"followed ({counts['tracker']}): {of_class or 'nothing'}"]
    for line in counts["lines"]:
        parts = [
            f"{line[way]:,} {way}"
            + "".join(f"; {n:,} {name} {way}" for name, n in line[f"{way}_by_class"].items())
            for way in ("in", "out")
        ]
        lines.append(f"{line['name']}: {', '.join(parts)}")
    for zone in counts["zones"]:
        stayed = "" if zone["longest_seconds"] is None else (
            f", inside for {zone['mean_seconds']:.1f} s on average, "
            f"{zone['longest_seconds']:.1f} s at most"
        )  # fmt: skip
        visitors = counted(zone["visitors"], "visitor")
        lines.append(f"{zone['name']}: {visitors}, {zone['most']:,} at once{stayed}")
    return lines


class Followed:
    """Follow the objects of a video while it is answered for, and write their tracks.

    Beside the video stand ``NAME.tracks.csv``, ``NAME.mot.txt`` in the form of the MOT Challenge,
    and ``NAME.counts.json``.

    Parameters
    ----------
    following : Following
    asked : Asked
    rate : float
        Frames a second.
    place : path, optional
        Of the video to write.
    stack : ExitStack
        Closes the files.
    """

    def __init__(
        self, following: Following, asked: Asked, rate: float, place: Path | None,
        stack: contextlib.ExitStack,
    ) -> None:  # fmt: skip
        self.following, self.asked, self.rate, self.place = following, asked, rate, place
        self.tracks: Tracks | None = None
        self._drawer: TrackDrawer | None = None
        self._table: Any = None
        self._text: TextIO | None = None
        if place is not None:
            from sightline.deploy.tracks import HEADINGS

            file = place.with_suffix(".tracks.csv").open("w", encoding="utf-8-sig", newline="")
            self._table = csv.writer(stack.enter_context(file))
            self._table.writerow(HEADINGS)
            text = place.with_suffix(".mot.txt").open("w", encoding="utf-8")
            self._text = stack.enter_context(text)

    def skip(self) -> None:
        """Let a frame pass that cannot be decoded."""
        if self.tracks is not None:
            self.tracks.skip()

    def follow(
        self, frame: video.VideoFrame, picture: Image.Image, given: Prediction, row: dict[str, Any],
        *, drawn: bool,
    ) -> Image.Image | None:  # fmt: skip
        """Follow the objects of a frame; add their tracks to its row, and draw them if asked to.

        Raises
        ------
        ParameterError
            When a line or zone lies outside the video.
        """
        from sightline.deploy.tracks import Tracks, mot_line, rows_of
        from sightline.report.tracks import TrackDrawer

        says, limit = self.asked.says, self.asked.limit(given)
        answer: Detections = says.boxed(given)
        if self.tracks is None:
            size = picture.height, picture.width
            self.tracks = Tracks(self.following, self.rate, size, answer.classes)
            self._drawer = TrackDrawer(self.tracks)
        least = (
            [v or says.LEAST for v in limit] if hasattr(limit, "__len__") else limit or says.LEAST
        )
        seen = self.tracks.update(answer, least)
        numbers = {one.row: one.number for one in seen}
        for place, told in zip(says.shown(answer, limit), row.get("objects", ()), strict=False):
            told["track"] = numbers.get(place)
        if self._table is not None and self._text is not None:
            for line in rows_of(self.tracks, seen, answer, frame.number, frame.seconds):
                self._table.writerow([cells.quoted(cell) for cell in line])
                self._text.write(mot_line(line) + "\n")
        if not drawn or self._drawer is None:
            return None
        return self._drawer.draw(images.to_mode(picture, "RGB"), answer, seen)

    def finish(self, told: Told) -> None:
        """Tell what was counted, and write it."""
        if self.tracks is None:
            return
        told.counts = self.tracks.counts()
        if self.place is not None:
            run.write_json(self.place.with_suffix(".counts.json"), told.counts)


def answer(
    asked: Asked, path: Path, place: Path | None, following: Following | None = None
) -> Told:
    """Answer for the frames of a video, and write them where a place is given.

    Beside the video stands ``NAME.jsonl``: a line a frame with its number, its time and the answer.

    Parameters
    ----------
    asked : Asked
    path : path
    place : path, optional
        Of the video to write.
    following : Following, optional
        What is asked of objects that are followed.

    Raises
    ------
    ParameterError
        When a line or zone lies outside the video.
    """
    told = Told(path)
    try:
        with video.Video(path) as opened, contextlib.ExitStack() as stack:
            writer, lines = _opened(opened, place, stack)
            followed = None
            if following is not None:
                followed = Followed(following, asked, float(opened.rate), place, stack)
            report = stack.enter_context(console.bar("predicting"))
            waiting: list[video.VideoFrame] = []
            for frame in opened:
                waiting.append(frame)
                if len(waiting) == _AT_ONCE:
                    _answer(asked, waiting, told, writer, lines, followed)
                    waiting = []
                report(frame.number + 1, max(opened.count, frame.number + 1))
            _answer(asked, waiting, told, writer, lines, followed)
            if followed is not None:
                followed.finish(told)
    except DataError as error:
        told.why = str(error)
        return told
    if place is not None:
        beside = (".jsonl", ".tracks.csv", ".mot.txt", ".counts.json")
        told.written = [p for p in (place, *map(place.with_suffix, beside)) if p.is_file()]
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
    lines: TextIO | None, followed: Followed | None,
) -> None:  # fmt: skip
    """Answer for some frames; of one that cannot be decoded only its number is written."""
    good = {f.number: images.as_picture(f.pixels) for f in frames if f.pixels is not None}
    said = dict(zip(good, asked.of(list(good.values())), strict=True)) if good else {}
    for frame in frames:
        row: dict[str, Any] = {"frame": frame.number, "seconds": round(frame.seconds, 3)}
        if frame.number not in said:
            told.damaged.append(f"frame {frame.number} at {frame.seconds:.2f} s ({frame.why})")
            row["error"] = frame.why
            if followed is not None:
                followed.skip()
        else:
            given = said[frame.number]
            told.frames, told.seconds = told.frames + 1, max(told.seconds, frame.seconds)
            words = asked.draw.cells(given, top=asked.top, threshold=asked.limit(given))[0]
            told.said[words or "none of these"] += 1
            row |= asked.page(given)
            picture, drawn = good[frame.number], None
            if followed is not None:
                drawn = followed.follow(frame, picture, given, row, drawn=writer is not None)
            if writer is not None:
                writer.add(np.asarray(drawn or asked.drawn(picture, given)))
        if lines is not None:
            lines.write(json.dumps(row, ensure_ascii=False) + "\n")
