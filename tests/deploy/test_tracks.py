"""Objects followed through videos: known films, the MOT Challenge's figures, counts by hand."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from sightline.data import moving
from sightline.deploy import tracks
from sightline.deploy.tracks import KINDS, Following, Place, Tracks
from sightline.errors import MissingExtraError, ParameterError, UnknownNameError
from sightline.types import Detections

evaluate = pytest.importorskip("trackers.eval.evaluate")

CLASSES = ("car", "行人")


def follow(kind, film, answers):
    """Return the lines of the MOT Challenge for a film and for what was followed in it."""
    size = film.frames.shape[1:3]
    followed = Tracks(Following(kind), 25.0, size, film.classes)
    truth, said = [], []
    for i, answer in enumerate(answers):
        for number, (x1, y1, x2, y2) in zip(film.numbers[i], film.boxes[i].tolist(), strict=True):
            truth.append(f"{i + 1},{number},{x1},{y1},{x2 - x1},{y2 - y1},1,1,1")
        seen = followed.update(answer, 0.3)
        said += map(tracks.mot_line, tracks.rows_of(followed, seen, answer, i, i / 25))
    return truth, said


@pytest.fixture(scope="module")
def film():
    made = moving.film(0, frames=80, size=96, objects=5)
    assert made.hidden  # one passes behind another, and is not seen for a while
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_perfect_detections_give_nearly_perfect_tracks(kind, film, tmp_path):
    answers = [
        Detections(boxes, labels, film.classes)
        for boxes, labels in zip(film.boxes, film.labels, strict=True)
    ]
    for name, lines in zip(("truth", "said"), follow(kind, film, answers), strict=True):
        (tmp_path / name).write_text("\n".join(lines))
    result = evaluate.evaluate_mot_sequence(
        tmp_path / "truth", tmp_path / "said", ["CLEAR", "HOTA", "Identity"]
    )
    assert result.HOTA.HOTA > 0.9
    assert result.Identity.IDF1 > 0.9
    assert result.CLEAR.MOTA > 0.9


def test_unsure_detections_carry_bytetrack_through(film):
    """Every third frame is seen unsurely: SORT is told of nothing then, ByteTrack goes on."""
    answers = [
        Detections(b, k, film.classes, np.full(len(b), 0.2 if i % 3 == 2 else 0.9, np.float32))
        for i, (b, k) in enumerate(zip(film.boxes, film.labels, strict=True))
    ]
    rows = {kind: len(follow(kind, film, answers)[1]) for kind in ("bytetrack", "sort")}
    assert rows["bytetrack"] > 0.95 * sum(map(len, film.boxes)) > 1.2 * rows["sort"] * 0.75


def test_a_film_is_what_its_seed_says(film):
    again = moving.film(0, frames=80, size=96, objects=5)
    assert (again.frames == film.frames).all()
    other = moving.film(1, frames=80, size=96, objects=5)
    assert (other.frames != film.frames).any()
    with pytest.raises(ParameterError, match="16 pixels a side, not 0, 4 and 96"):
        moving.film(frames=0, size=96)
    for at in (0, 40):  # a box holds all that moves: outside of all the picture stays
        outside = np.ones((96, 96), bool)
        for frame in (at, at + 1):
            for x1, y1, x2, y2 in film.boxes[frame].astype(int).tolist():
                outside[y1 - 1 : y2 + 1, x1 - 1 : x2 + 1] = False
        if len(film.numbers[at]) == len(film.numbers[at + 1]) == 5:
            assert (film.frames[at] == film.frames[at + 1])[outside].all()


def walked(following, path, *, size=(100, 100), label=0):
    """Follow one object of 10 x 10 along centres; return the tracks."""
    followed = Tracks(following, 10.0, size, CLASSES)
    for x, y in path:
        box = np.array([[x - 5, y - 5, x + 5, y + 5]], np.float32)
        followed.update(Detections(box, [label], CLASSES), 0.3)
    return followed


def test_in_is_to_the_left_of_who_walks_along_the_line():
    line = Place.parse("入口=0,50,100,50", "line", 1)
    up = [(50, y) for y in range(80, 20, -3)]
    asked = Following(lines=(line,))
    (counted,) = walked(asked, up, label=1).counts()["lines"]
    assert (counted["name"], counted["in"], counted["out"]) == ("入口", 1, 0)
    assert counted["in_by_class"] == {"行人": 1}
    (counted,) = walked(asked, up[::-1]).counts()["lines"]
    assert (counted["in"], counted["out"], counted["out_by_class"]) == (0, 1, {"car": 1})
    back = walked(asked, up + up[::-1])
    assert back.crossed == [(1, 1)]
    assert walked(asked, up[:8]).crossed == [(0, 0)]


def test_who_is_in_a_zone_and_for_how_long():
    zone = Place.parse("0,0,40,0,40,100,0,100", "zone", 1)
    path = [(x, 50) for x in range(90, 10, -4)]
    followed = walked(Following(zones=(zone,)), path)
    inside = sum(x < 40 for x, _ in path)
    (counted,) = followed.counts()["zones"]
    assert counted["name"] == "zone 1"
    assert (counted["visitors"], counted["most"], counted["by_class"]) == (1, 1, {"car": 1})
    assert counted["longest_seconds"] == pytest.approx(inside / 10, abs=0.11)
    nobody = walked(Following(zones=(zone,)), [(80, 50)] * 5).counts()["zones"][0]
    assert (nobody["visitors"], nobody["longest_seconds"]) == (0, None)


def test_a_lost_frame_does_not_lose_the_object():
    followed = Tracks(Following(), 10.0, (100, 100), CLASSES)
    numbers = set()
    for i in range(12):
        if i == 6:
            followed.skip()
            continue
        box = np.array([[10 + 3 * i, 20, 20 + 3 * i, 40]], np.float32)
        numbers |= {t.number for t in followed.update(Detections(box, [0], CLASSES), 0.3)}
    assert numbers == {1}
    empty = Detections(np.zeros((0, 4)), [], CLASSES)
    assert followed.update(empty, 0.3) == []


def test_thresholds_of_classes_are_one_scale_for_the_tracker():
    answer = Detections(np.zeros((4, 4)), [0, 1, 1, 0], CLASSES, [0.4, 0.4, 0.8, 0.2])
    told = tracks.told_scores(answer, [0.4, 0.8])
    assert told == pytest.approx([0.5, 0.25, 0.5, 0.25])
    assert tracks.told_scores(answer, 0.4)[2] == pytest.approx(0.5 + 0.5 * 0.4 / 0.6)


@pytest.mark.parametrize(
    ("given", "what", "text"),
    [
        ("1,2,3", "line", "a line is x1,y1,x2,y2"), ("1,2,x,4", "line", "a line is"),
        ("1,2,3,4", "zone", "a zone is x1,y1,x2,y2,x3,y3"), ("nan,0,1,1", "line", "a line is"),
        ("a=1,1,1,1", "line", "a: a point of it stands twice"), ("", "zone", "a zone is"),
    ],
)  # fmt: skip
def test_a_place_that_is_none_is_refused(given, what, text):
    with pytest.raises(ParameterError, match=text):
        Place.parse(given, what, 1)


def test_what_cannot_be_asked_is_refused(monkeypatch):
    with pytest.raises(UnknownNameError, match="did you mean 'bytetrack'"):
        Following("bytetrak")
    line = Place.parse("0,50,300,50", "line", 1)
    with pytest.raises(ParameterError, match="line 1 is the name of two places"):
        Following(lines=(line, line))
    with pytest.raises(ParameterError, match=r"line 1 leaves the picture.*100 x 80 pixels"):
        Tracks(Following(lines=(line,)), 25.0, (80, 100), CLASSES)
    monkeypatch.setitem(__import__("sys").modules, "trackers", None)
    with pytest.raises(MissingExtraError, match=r"sightline\[track\]"):
        Following()


def test_numbers_ways_and_counts_are_drawn():
    from sightline.report.tracks import TrackDrawer

    asked = Following(
        lines=(Place.parse("0,100,200,100", "line", 1),),
        zones=(Place.parse("区=0,0,60,0,60,60,0,60", "zone", 1),),
    )
    followed = Tracks(asked, 10.0, (200, 200), CLASSES)
    drawer, blank = TrackDrawer(followed), Image.new("RGB", (200, 200), (90, 90, 90))
    sheets = []
    for i in range(6):
        box = np.array([[20 + 8 * i, 130, 60 + 8 * i, 170]], np.float32)
        answer = Detections(box, [1], CLASSES)
        sheets.append(np.asarray(drawer.draw(blank, answer, followed.update(answer, 0.3))))
    factor = sheets[0].shape[0] // 200
    assert (sheets[0][100 * factor, 150 * factor] == 255).all()  # the line
    changed = (sheets[-1] != sheets[0]).any(2)
    assert changed[150 * factor, 40 * factor :][: 20 * factor].any()  # the way, left of the box
    assert not (np.asarray(blank) != 90).any()
