"""Follow objects through the frames of a video; count what crosses lines and stays in zones.

Which boxes of successive frames are one object is told by the package ``trackers``, from boxes and
scores alone: SORT (Bewley et al., Simple online and realtime tracking, 2016) matches those that a
Kalman filter expects; ByteTrack (Zhang et al., ByteTrack, 2022) matches unsure ones to what is left
of the tracks, too, which carries them through occlusions; OC-SORT (Cao et al., Observation-centric
SORT, 2023) corrects what the filter made up while an object was hidden. Crossings are counted by
``supervision``. Where an object is, is the centre of its box.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import MissingExtraError, ParameterError, UnknownNameError
from sightline.types import Detections

KINDS = ("bytetrack", "ocsort", "sort")
"""Trackers, the default first."""

EXTRA = "track"

SURE = 0.5
"""What a tracker is told as the score of an object that is just shown."""

LEAST = 0.2
"""Share of the score from which an object is shown, from which on trackers are told of it."""


@dataclass(frozen=True, slots=True)
class Place:
    """A line or a zone of a video's pictures.

    Parameters
    ----------
    name : str
    points : tuple of (x, y)
        In pixels: two of a line, the corners of a zone.
    """

    name: str
    points: tuple[tuple[float, float], ...]

    @classmethod
    def parse(cls, given: str, what: str, number: int) -> Place:
        """Read a place: ``x1,y1,x2,y2`` or ``NAME=x1,y1,x2,y2``.

        Parameters
        ----------
        given : str
        what : {"line", "zone"}
        number : int
            Which of its kind it is, its name where it has no other.

        Raises
        ------
        ParameterError
            When it is no line, or no zone.
        """
        name, equals, rest = given.rpartition("=")
        name = name if equals else f"{what} {number}"
        try:
            numbers = [float(part) for part in rest.split(",")]
        except ValueError:
            numbers = []
        points = tuple(zip(numbers[::2], numbers[1::2], strict=False))
        right = len(points) == 2 if what == "line" else len(points) > 2
        if not right or len(numbers) % 2 or not all(map(math.isfinite, numbers)):
            form = "x1,y1,x2,y2" if what == "line" else "x1,y1,x2,y2,x3,y3 and so on"
            raise ParameterError(f"a {what} is {form} in pixels, or NAME={form}; not {given!r}")
        if len(set(points)) < len(points):
            raise ParameterError(f"{name}: a point of it stands twice in {rest}")
        return cls(name, points)


@dataclass(frozen=True, slots=True)
class Following:
    """What is asked about objects that are followed.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    lines, zones : tuple of Place

    Raises
    ------
    UnknownNameError
        When there is no such tracker.
    ParameterError
        When two lines, or two zones, have one name.
    MissingExtraError
        When the trackers are not installed.
    """

    kind: str = KINDS[0]
    lines: tuple[Place, ...] = ()
    zones: tuple[Place, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UnknownNameError("tracker", self.kind, KINDS)
        for places in (self.lines, self.zones):
            twice = [n for n, k in Counter(p.name for p in places).items() if k > 1]
            if twice:
                raise ParameterError(f"{twice[0]} is the name of two places; give each its own")
        _packages()


@dataclass(slots=True)
class Stay:
    """What was seen in a zone.

    Parameters
    ----------
    frames : dict of int to int
        Of each track, the frames in which it was inside.
    most : int
        Tracks inside at one time, at most.
    now : int
    """

    frames: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    most: int = 0
    now: int = 0


@dataclass(frozen=True, slots=True)
class Track:
    """An object in one frame.

    Parameters
    ----------
    row : int
        Of the answer.
    number : int
        Of its track, from 1.
    """

    row: int
    number: int


class Tracks:
    """Follow the objects of one video, frame by frame.

    Parameters
    ----------
    following : Following
    rate : float
        Frames a second.
    size : (height, width)
        Of the frames, in pixels.
    classes : tuple of str

    Raises
    ------
    ParameterError
        When a line or zone lies outside the frames.
    """

    def __init__(
        self, following: Following, rate: float, size: tuple[int, int], classes: tuple[str, ...]
    ) -> None:
        trackers, sv = _packages()
        height, width = size
        for place in (*following.lines, *following.zones):
            xs, ys = zip(*place.points, strict=True)
            if min(xs) < 0 or min(ys) < 0 or max(xs) > width or max(ys) > height:
                raise ParameterError(
                    f"{place.name} leaves the picture: its points lie in x {min(xs):g} to "
                    f"{max(xs):g}, y {min(ys):g} to {max(ys):g}, and the video has {width} x "
                    f"{height} pixels"
                )
        self.following, self.rate, self.classes = following, rate, classes
        common = {"frame_rate": rate, "minimum_consecutive_frames": 2}
        self._tracker: Any = {
            "bytetrack": lambda: trackers.ByteTrackTracker(
                track_activation_threshold=SURE, high_conf_det_threshold=SURE, **common
            ),
            "ocsort": lambda: trackers.OCSORTTracker(high_conf_det_threshold=SURE, **common),
            "sort": lambda: trackers.SORTTracker(track_activation_threshold=SURE, **common),
        }[following.kind]()
        centre = (sv.Position.CENTER,)
        self._lines = [
            sv.LineZone(*(sv.Point(*p) for p in line.points), triggering_anchors=centre)
            for line in following.lines
        ]
        self._zones = [
            sv.PolygonZone(np.array(zone.points).round().astype(np.int64), centre)
            for zone in following.zones
        ]
        self.stays = [Stay() for _ in following.zones]
        self.votes: dict[int, Counter[int]] = defaultdict(Counter)
        """Of each track, how often it had which class."""

    def update(self, answer: Detections, shown: Sequence[float] | float) -> list[Track]:
        """Follow the objects of the next frame; return which of them belong to which track.

        An object is told from its second frame on.

        Parameters
        ----------
        answer : Detections
            All that is known, unsure ones too.
        shown : float, or one a class
            Score from which an object is shown.
        """
        _, sv = _packages()
        scores = told_scores(answer, shown)
        rows = np.flatnonzero(scores >= LEAST * SURE)
        boxes = answer.boxes[rows].astype(np.float64).reshape(-1, 4)
        given = sv.Detections(
            xyxy=boxes, confidence=scores[rows], class_id=answer.labels[rows], data={"row": rows}
        )
        followed = self._tracker.update(given)
        if not len(followed):
            followed = _empty(sv)
        followed = followed[followed.tracker_id >= 0]
        tracks = [
            Track(int(row), int(number) + 1)
            for row, number in zip(followed.data.get("row", ()), followed.tracker_id, strict=True)
        ]
        for one in tracks:
            self.votes[one.number][int(answer.labels[one.row])] += 1
        for line in self._lines:
            line.trigger(followed)
        for zone, stay in zip(self._zones, self.stays, strict=True):
            inside = zone.trigger(followed) if len(followed) else np.zeros(0, np.bool_)
            stay.now = int(inside.sum())
            stay.most = max(stay.most, stay.now)
            for one, within in zip(tracks, inside.tolist(), strict=True):
                stay.frames[one.number] += within
        return tracks

    def skip(self) -> None:
        """Let a frame pass that shows nothing, as it cannot be decoded."""
        _, sv = _packages()
        self._tracker.update(_empty(sv))

    @property
    def crossed(self) -> list[tuple[int, int]]:
        """Return how many tracks crossed each line: in, and out."""
        return [(line.in_count, line.out_count) for line in self._lines]

    def class_of(self, track: int) -> int:
        """Return the class that a track had most often."""
        return self.votes[track].most_common(1)[0][0]

    def counts(self) -> dict[str, Any]:
        """Return what was counted, as JSON can hold it.

        Returns
        -------
        dict
            ``tracks``: how many objects of each class. ``lines``: of each its points, ``in`` and
            ``out``, and both by class; *in* is to the left of who walks from its first point to
            its second. ``zones``: of each its points, how many ``visitors`` it had, by class, how
            many at once at ``most``, and their seconds inside, on average and at most.
        """
        of_class = Counter(self.classes[self.class_of(track)] for track in sorted(self.votes))
        return {
            "tracker": self.following.kind,
            "tracks": dict(of_class.most_common()),
            "lines": [
                {
                    "name": place.name, "points": place.points, "in": line.in_count,
                    "out": line.out_count,
                    "in_by_class": self._named(line.in_count_per_class),
                    "out_by_class": self._named(line.out_count_per_class),
                }
                for place, line in zip(self.following.lines, self._lines, strict=True)
            ],
            "zones": [
                {"name": place.name, "points": place.points, **self._stayed(stay)}
                for place, stay in zip(self.following.zones, self.stays, strict=True)
            ],
        }  # fmt: skip

    def _named(self, counts: Any) -> dict[str, int]:
        return {self.classes[int(label)]: int(n) for label, n in counts.items() if n}

    def _stayed(self, stay: Stay) -> dict[str, Any]:
        visitors = {track: n / self.rate for track, n in stay.frames.items() if n}
        seconds = list(visitors.values())
        of_class = Counter(self.classes[self.class_of(track)] for track in visitors)
        return {
            "visitors": len(visitors), "by_class": dict(of_class.most_common()), "most": stay.most,
            "mean_seconds": round(sum(seconds) / len(seconds), 3) if seconds else None,
            "longest_seconds": round(max(seconds), 3) if seconds else None,
        }  # fmt: skip


def told_scores(answer: Detections, shown: Sequence[float] | float) -> NDArray[np.float64]:
    """Return scores that are `SURE` where an object is just shown, by the thresholds of classes."""
    limits = np.asarray(shown, np.float64)
    least = limits[answer.labels] if limits.ndim else np.full(len(answer), float(limits))
    least = least.clip(1e-6, 1 - 1e-6)
    scores = answer.scores.astype(np.float64)
    below = SURE * scores / least
    above = SURE + (1 - SURE) * (scores - least) / (1 - least)
    return np.where(scores < least, below, above)


def rows_of(
    tracks: Tracks, seen: Sequence[Track], answer: Detections, frame: int, seconds: float
) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a frame's table: frame, seconds, track, class, score and corners."""
    for one in seen:
        box = [round(float(v), 2) for v in answer.boxes[one.row]]
        name = tracks.classes[int(answer.labels[one.row])]
        yield (frame, round(seconds, 3), one.number, name,
               round(float(answer.scores[one.row]), 4), *box)  # fmt: skip


HEADINGS = ("frame", "seconds", "track", "class", "score", "x1", "y1", "x2", "y2")
"""Of the table; see `rows_of`."""


def mot_line(row: Sequence[Any]) -> str:
    """Return a row of the table as a line of MOT Challenge's text, whose frames begin with 1."""
    frame, _, track, _, score, x1, y1, x2, y2 = row
    return f"{frame + 1},{track},{x1:g},{y1:g},{x2 - x1:g},{y2 - y1:g},{score:g},-1,-1,-1"


def _empty(sv: Any) -> Any:
    nothing = sv.Detections.empty()
    nothing.tracker_id = np.zeros(0, np.int64)
    return nothing


def _packages() -> tuple[Any, Any]:
    """Import what follows objects.

    Raises
    ------
    MissingExtraError
    """
    try:
        import supervision
        import trackers
    except ImportError:
        raise MissingExtraError("following objects", EXTRA) from None
    return trackers, supervision
