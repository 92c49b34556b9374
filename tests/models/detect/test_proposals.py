"""Selective search: known regions are proposed, in one order, and objects are among them."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import sightline
from sightline.errors import DataError, ParameterError
from sightline.metrics.detect_proposals import best_overlaps, recall
from sightline.models.detect import proposals
from sightline.models.detect.proposals import hierarchy, in_space, segment, selective_search


def squares(*boxes, size=(60, 80)):
    """A black image with squares of rising brightness: boxes as x1, y1, x2, y2."""
    image = np.zeros((*size, 3), np.uint8)
    for i, (x1, y1, x2, y2) in enumerate(boxes):
        image[y1:y2, x1:x2] = 90 + 80 * i
    return image


def test_two_flat_regions_are_two_segments():
    image = squares((40, 0, 80, 60)).astype(np.float32)
    labels = segment(image, least=300)  # what is smoothed along the border goes to either side
    assert labels.max() == 1
    assert (labels[:, :38] == 0).all()
    assert (labels[:, 42:] == 1).all()


def test_a_segment_of_few_pixels_is_joined_to_a_neighbour():
    image = squares((30, 30, 34, 34)).astype(np.float32)
    assert segment(image, 1.0, least=2).max() >= 1
    assert segment(image, 1.0, least=50).max() == 0


def segmented_by_loops(image, scale, least):
    """Felzenszwalb & Huttenlocher's algorithm 1, on sets: the edges in one order, one by one."""
    height, width = image.shape[:2]
    edges = []
    for y in range(height):
        for x in range(width):
            for v, u in ((y, x + 1), (y + 1, x - 1), (y + 1, x), (y + 1, x + 1)):
                if v < height and 0 <= u < width:
                    apart = float(np.sqrt(((image[y, x] - image[v, u]) ** 2).sum()))
                    edges.append((int(apart * 128), (y, x), (v, u)))
    edges.sort(key=lambda e: e[0])
    region = {(y, x): frozenset({(y, x)}) for y in range(height) for x in range(width)}
    inside = dict.fromkeys(region.values(), 0.0)
    for weight, p, q in edges:
        a, b = region[p], region[q]
        w = weight / 128
        if a is not b and w <= min(inside[a] + scale / len(a), inside[b] + scale / len(b)):
            inside[a | b] = w
            for pixel in a | b:
                region[pixel] = a | b
            joined = region[p]
            for pixel in joined:
                region[pixel] = joined
    for _, p, q in edges:
        a, b = region[p], region[q]
        if a is not b and min(len(a), len(b)) < least:
            joined = a | b
            for pixel in joined:
                region[pixel] = joined
    return set(region.values())


@pytest.mark.parametrize("scale", [20.0, 200.0])
def test_segments_are_those_of_the_papers_algorithm(scale, monkeypatch):
    monkeypatch.setattr(proposals, "SIGMA", 1e-3)  # as it is: the loops smooth nothing
    random = np.random.default_rng(0)
    image = random.integers(0, 60, (14, 17, 3)).astype(np.float32)
    image[3:9, 4:12] += 120
    labels = segment(image, scale, least=3)
    own = {
        frozenset(zip(*(axis.tolist() for axis in np.nonzero(labels == k)), strict=True))
        for k in range(labels.max() + 1)
    }
    assert 2 < len(own) < 200
    assert own == segmented_by_loops(image, scale, 3)


def test_nested_squares_are_all_proposed():
    boxes = [(10, 8, 70, 52), (20, 15, 50, 45), (26, 20, 40, 34)]
    proposed = selective_search(squares(*boxes)).tolist()
    for box in [*boxes, (0, 0, 80, 60)]:
        assert list(map(float, box)) in proposed


def test_neighbours_that_are_alike_are_merged_first():
    """Of three stripes the two of one colour come together before the third joins."""
    image = np.zeros((30, 60, 3), np.uint8)
    image[:, :20], image[:, 20:40], image[:, 40:] = (200, 30, 30), (190, 40, 30), (20, 30, 220)
    labels = np.repeat(np.repeat([[0, 1, 2]], 20, 1), 30, 0).astype(np.int32)
    boxes = hierarchy(in_space(image, "lab"), labels).tolist()
    assert boxes == [
        [0, 0, 20, 30], [20, 0, 40, 30], [40, 0, 60, 30], [0, 0, 40, 30], [0, 0, 60, 30]
    ]  # fmt: skip


def test_a_region_in_two_parts_of_a_picture_stays_two_and_all_become_one():
    labels = np.array([[0, 1, 2, 2]], np.int32).repeat(5, 0)
    boxes = hierarchy(np.zeros((5, 4, 3), np.float32), labels)
    assert len(boxes) == 2 * 3 - 1
    assert boxes[-1].tolist() == [0, 0, 4, 5]


@pytest.mark.parametrize("space", ["hsv", "lab"])
def test_colours_are_matplotlibs_and_pillows(space):
    from matplotlib.colors import rgb_to_hsv
    from PIL import Image, ImageCms

    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    own = in_space(image, space)
    assert own.min() >= 0
    assert own.max() < 256
    if space == "hsv":
        np.testing.assert_allclose(own, rgb_to_hsv(image / 255) * 255.9, atol=1e-2)
        return
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB", 6504)
    convert = ImageCms.buildTransform(*profiles, "RGB", "LAB")
    theirs = np.asarray(ImageCms.applyTransform(Image.fromarray(image), convert)).astype(np.int16)
    theirs[..., 1:] = theirs[..., 1:].astype(np.int8).astype(np.int16) + 128
    assert np.abs(own - theirs).mean() < 2


def test_one_order_every_time_and_fewer_are_its_beginning():
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    once, again = selective_search(image), selective_search(image)
    np.testing.assert_array_equal(once, again)
    np.testing.assert_array_equal(selective_search(image, 10), once[:10])
    assert len(np.unique(once, axis=0)) == len(once) > 50
    assert (once >= 0).all()
    assert (once <= (64, 48, 64, 48)).all()
    assert (once[:, 2:] - once[:, :2] >= 6).all()


def test_objects_of_shapes_are_among_the_proposals():
    data = sightline.load_data("shapes:count=20")
    samples = [data.train[i] for i in range(10)]
    regions = [selective_search(sample.image) for sample in samples]
    truth = [sample.objects.boxes for sample in samples]
    best = best_overlaps(regions, truth, [1, 10, 2000])
    shares = recall(best)
    assert (np.diff(shares) > 0).all()
    assert shares[-1] > 0.95
    assert recall(best, 0.7)[-1] > 0.85


def test_recall_by_hand():
    regions = [np.array([[0, 0, 10, 10], [0, 0, 4, 4.0]]), np.zeros((0, 4))]
    truth = [np.array([[0, 0, 4, 4], [0, 0, 10, 8.0]]), np.array([[1, 1, 2, 2.0]])]
    best = best_overlaps(regions, truth, [1, 2, 50])
    np.testing.assert_allclose(best, [[0.16, 0.8, 0], [1, 0.8, 0], [1, 0.8, 0]])
    np.testing.assert_allclose(recall(best), [1 / 3, 2 / 3, 2 / 3])
    assert np.isnan(recall(best_overlaps([regions[0]], [np.zeros((0, 4))], [1])))[0]


def test_grey_tiny_flat_and_large_pictures():
    assert selective_search(np.zeros((40, 30, 1), np.uint8)).tolist() == [[0, 0, 30, 40]]
    assert selective_search(np.zeros((1, 1, 3), np.uint8)).tolist() == [[0, 0, 1, 1]]
    large = np.zeros((900, 1200, 3), np.uint8)
    large[300:600, 240:720] = 255
    best = best_overlaps([selective_search(large)], [[[240, 300, 720, 600]]], [100])
    assert best[0, 0] > 0.97


def test_what_is_no_image_is_said():
    with pytest.raises(DataError, match="float64"):
        selective_search(np.zeros((4, 4, 3)))
    with pytest.raises(DataError, match=r"\(4, 4\)"):
        selective_search(np.zeros((4, 4), np.uint8))
    with pytest.raises(ParameterError, match="at least 1, not 0"):
        selective_search(np.zeros((4, 4, 3), np.uint8), 0)


def test_numba_is_imported_when_pictures_are_searched_alone():
    program = "import sys, sightline, sightline.models.detect.proposals as p; assert p.segment; "
    program += "print('numba' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert said.stdout.strip() == "False"
