"""Draw objects that are followed through a video: boxes with numbers, ways, lines and zones."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw

from sightline.data import draw as sheets
from sightline.data import fonts
from sightline.deploy.tracks import Place, Track, Tracks
from sightline.report.boxes import drawn_on
from sightline.types import Detections

if TYPE_CHECKING:
    Point = tuple[float, float]

WAY = 30
"""Frames of an object's way that are shown."""

LIGHT, DARK = (255, 255, 255), (20, 20, 20)


class TrackDrawer:
    """Draw the frames of one video, one after the other.

    Parameters
    ----------
    tracks : Tracks
        As it follows the video.
    """

    def __init__(self, tracks: Tracks) -> None:
        self.tracks = tracks
        self._ways: dict[int, deque[Point | None]] = {}

    def draw(self, picture: Image.Image, answer: Detections, seen: Sequence[Track]) -> Image.Image:
        """Draw the objects of a frame that are followed, and what was counted until then.

        Parameters
        ----------
        picture : PIL image, RGB
            Left as it is; a small one is enlarged.
        answer : Detections
            In its pixels.
        seen : sequence of Track
            Which of them are followed.
        """
        rows = [one.row for one in seen]
        numbers = [one.number for one in seen]
        self._remember(dict(zip(numbers, answer.boxes[rows].tolist(), strict=True)))
        # A class for each track: its colour stays, whatever the object is taken for.
        names = [""] * (max(numbers, default=0) + 1)
        for one in seen:
            names[one.number] = f"{answer.classes[answer.labels[one.row]]} {one.number}"
        shown = Detections(answer.boxes[rows], np.array(numbers), tuple(names), answer.scores[rows])
        sheet = drawn_on(picture, shown)
        factor = sheet.width / picture.width
        draw = ImageDraw.Draw(sheet)
        width = max(2, max(sheet.size) // 300)
        for number in numbers:
            self._draw_way(draw, number, factor, width)
        counted = zip(self.tracks.following.lines, self.tracks.crossed, strict=True)
        for line, (into, out) in counted:
            self._draw_place(draw, line, factor, width, f"{line.name}: +{into} -{out}")
        for zone, stay in zip(self.tracks.following.zones, self.tracks.stays, strict=True):
            self._draw_place(draw, zone, factor, width, f"{zone.name}: {stay.now}")
        return sheet

    def _remember(self, boxes: dict[int, Any]) -> None:
        for number in [*self._ways, *(n for n in boxes if n not in self._ways)]:
            way = self._ways.setdefault(number, deque(maxlen=WAY))
            box = boxes.get(number)
            way.append(None if box is None else ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2))
        self._ways = {n: way for n, way in self._ways.items() if any(way)}

    def _draw_way(self, draw: ImageDraw.ImageDraw, number: int, factor: float, width: int) -> None:
        points = [(x * factor, y * factor) for p in self._ways[number] if p for x, y in (p,)]
        if len(points) > 1:
            draw.line(points, fill=tuple(sheets.colours(np.array([number]))[0].tolist()),
                      width=width, joint="curve")  # fmt: skip

    def _draw_place(
        self, draw: ImageDraw.ImageDraw, place: Place, factor: float, width: int, text: str
    ) -> None:
        points = [(x * factor, y * factor) for x, y in place.points]
        if len(points) > 2:
            points.append(points[0])
        for colour, wide in ((DARK, width + 2), (LIGHT, width)):
            draw.line(points, fill=colour, width=wide, joint="curve")
        letters = max(12, max(draw.im.size) // 45)
        room = fonts.width(text, letters) + 6
        left = min(max(points[0][0], 0), draw.im.size[0] - room)
        top = min(max(points[0][1], 0), draw.im.size[1] - letters - 6)
        draw.rectangle((left, top, left + room, top + letters + 6), fill=DARK)
        fonts.write(draw, (left + 3, top + 2), text, letters, "white")
