"""Tiles of large pictures: an object on a seam is one, neighbours stay apart, memory is bounded."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from PIL import Image

from sightline.deploy.detect_tiles import detect, joined, tiles
from sightline.errors import ParameterError
from sightline.types import Detections

CLASSES = ("dot", "点")


def seen(truth, labels, cut, jitter=0.0, least=0.2):
    """What a good network says of each tile: the part of each object in it, if that is enough."""
    random, said = np.random.default_rng(0), []
    for tile in cut:
        corner, end = np.array([tile.x1, tile.y1] * 2), np.array([tile.x2, tile.y2] * 2)
        parts = np.clip(truth, corner, end) - corner
        sides = parts[:, 2:] - parts[:, :2]
        area = (truth[:, 2:] - truth[:, :2]).prod(1)
        there = (sides > 0).all(1) & (sides.prod(1) >= least * area)
        moved = parts[there] + jitter * random.standard_normal((there.sum(), 4)) * np.tile(
            sides[there], 2
        )
        moved = moved.clip(0, np.array([tile.x2 - tile.x1, tile.y2 - tile.y1] * 2))
        scores = random.uniform(0.5, 0.9, len(moved))
        said.append(Detections(moved, labels[there], CLASSES, scores))
    return said


def test_tiles_cover_the_picture_and_overlap():
    covered = np.zeros((1000, 1700), np.int64)
    cut = tiles((1000, 1700), 640)
    for tile in cut:
        assert (tile.x2 - tile.x1, tile.y2 - tile.y1) == (640, 640)
        covered[tile.y1 : tile.y2, tile.x1 : tile.x2] += 1
    assert covered.min() == 1
    assert sorted({tile.x1 for tile in cut}) == [0, 353, 707, 1060]
    assert [tile.box for tile in tiles((300, 500), 640)] == [(0, 0, 500, 300)]
    with pytest.raises(ParameterError, match="at least 32 pixels, not 8"):
        tiles((100, 100), 8)


@pytest.mark.parametrize("jitter", [0.0, 0.03])
def test_objects_across_seams_come_out_once_wherever_they_lie(jitter):
    """One object slides over both seams and their crossing; it is smaller and larger than them."""
    size = (1000, 1000)
    cut = tiles(size, 400)
    for side in (30, 90, 200, 380):
        for at in range(100, 600, 37):
            truth = np.array([[at, at + 13, at + side, at + 13 + side]], float)
            answer = joined(cut, seen(truth, np.array([1]), cut, jitter), size)
            assert len(answer) == 1, (side, at)
            np.testing.assert_allclose(answer.boxes, truth, atol=1e-3 + 4 * jitter * side)
            assert answer.names == ["点"]


def test_an_object_larger_than_a_tile_is_put_together():
    size = (500, 2000)
    cut = tiles(size, 400)
    truth = np.array([[150.0, 100, 1700, 300]])
    answer = joined(cut, seen(truth, np.array([0]), cut, least=0.0), size)
    np.testing.assert_allclose(answer.boxes, truth, atol=1e-3)


@pytest.mark.parametrize("gap", [0, 2])
def test_dense_neighbours_are_not_joined(gap):
    """A carpet of small objects, side by side over all seams."""
    size = (900, 1300)
    cut = tiles(size, 400)
    x, y = np.meshgrid(np.arange(0, 1280, 20), np.arange(0, 880, 20))
    truth = np.stack((x, y, x + 20 - gap, y + 20 - gap), -1).reshape(-1, 4).astype(float)
    labels = np.arange(len(truth)) % 2
    answer = joined(cut, seen(truth, labels, cut), size)
    assert len(answer) == len(truth)
    order, own = np.lexsort(answer.boxes.T[:2]), np.lexsort(truth.T[:2])
    np.testing.assert_allclose(answer.boxes[order], truth[own], atol=1e-3)
    assert (answer.labels[order] == labels[own]).all()


def test_neighbours_that_overlap_on_a_seam_stay_two():
    size = (400, 1000)
    cut = tiles(size, 400)
    edge = cut[0].x2
    truth = np.array([[edge - 60, 100, edge + 40, 200], [edge - 20, 100, edge + 80, 200]], float)
    answer = joined(cut, seen(truth, np.array([0, 0]), cut), size)
    assert len(answer) == 2
    other = joined(cut, seen(np.repeat(truth[:1], 2, 0), np.array([0, 1]), cut), size)
    assert sorted(other.labels.tolist()) == [0, 1]  # two classes at one place are two answers


def test_no_tile_has_an_answer():
    cut = tiles((400, 1000), 400)
    nothing = [Detections(np.zeros((0, 4)), np.zeros(0, np.int64), CLASSES)] * len(cut)
    answer = joined(cut, nothing, (400, 1000))
    assert len(answer) == 0
    assert answer.classes == CLASSES


def test_a_picture_of_20000_pixels_is_looked_at_tile_by_tile():
    picture = Image.new("L", (20_000, 700))
    picture.paste(255, (10_000, 300, 10_060, 340))
    asked = []

    def predict(parts):
        asked.append(len(parts))
        answers = []
        for part in parts:
            assert part.size == (640, 640)
            corners = part.getbbox()
            box = [corners] if corners else []
            answers.append(Detections(box, [0] * len(box), CLASSES, [0.9] * len(box)))
        return answers

    told = []
    tracemalloc.start()
    answer = detect(predict, picture, 640, lambda done, total: told.append((done, total)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_allclose(answer.boxes, [[10_000, 300, 10_060, 340]])
    assert told[-1] == (sum(asked), sum(asked)) == (78, 78)
    assert max(asked) <= 16
    assert peak < 30e6
