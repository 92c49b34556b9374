"""The embedded sets: real digits, and scenes whose every pixel is accounted for."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

from sightline.data import builtin, shapes
from sightline.data.load import load_data
from sightline.errors import ParameterError, UnknownNameError
from sightline.types import Task


def test_digits_are_scikit_learns_times_fifteen():
    data = load_data("digits")
    given = load_digits()
    assert data.mode == "L"
    assert data.size == (8, 8)
    seen = np.concatenate([s.rows for s in data.splits.values()])
    assert sorted(seen) == list(range(1797))
    for split in data.splits.values():
        X, y, rows = split.arrays()
        assert np.array_equal(X[..., 0], given.images[rows] * 15)
        assert np.array_equal(y, given.target[rows])
    assert any("0..16" in note for note in data.notes)


@pytest.fixture(scope="module")
def scenes():
    data = load_data("shapes:count=60,size=64")
    return [data.sample(row) for row in range(60)]


def test_same_seed_same_bits():
    one, other = (load_data("shapes:count=10,size=48", seed=3) for _ in range(2))
    shapes._small.cache_clear()
    first = [one.sample(i) for i in range(10)]
    shapes._small.cache_clear()
    for a, b in zip(first, (other.sample(i) for i in range(10)), strict=True):
        assert np.array_equal(a.image, b.image)
        assert np.array_equal(a.objects.boxes, b.objects.boxes)
        assert np.array_equal(a.objects.masks, b.objects.masks)


def test_other_seed_other_pictures():
    one, other = (load_data("shapes:count=10,size=48", seed=s) for s in (0, 1))
    assert not any(np.array_equal(one.sample(i).image, other.sample(i).image) for i in range(10))


def test_more_images_leave_the_first_as_they_are():
    few, many = load_data("shapes:count=10,size=48"), load_data("shapes:count=20,size=48")
    for i in range(10):
        assert np.array_equal(few.sample(i).image, many.sample(i).image)


def test_fingerprint_tells_the_parameters_apart():
    names = ("count=20,size=96", "count=20,size=100", "count=21,size=96", "count=20,objects=3")
    prints = [load_data(f"shapes:{n}").fingerprint() for n in names]
    prints.append(load_data("shapes:count=20,size=96", seed=1).fingerprint())
    assert len(set(prints)) == len(prints)
    assert load_data("shapes:count=20,size=96").fingerprint() == prints[0]


def test_images_are_textured_and_differ(scenes):
    assert len({s.image.tobytes() for s in scenes}) == 60
    for s in scenes:
        assert s.image.dtype == np.uint8
        assert s.image.shape == (64, 64, 3)
        assert s.image.std() > 5


def test_one_to_six_objects(scenes):
    counts = {len(s.objects) for s in scenes}
    assert min(counts) == 1
    assert max(counts) == 6
    assert all(1 <= len(s.objects) <= 6 for s in scenes)


def test_every_class_occurs(scenes):
    assert {n for s in scenes for n in s.objects.names} == set(shapes.CLASSES)


def test_masks_are_disjoint(scenes):
    for s in scenes:
        assert s.objects.masks.shape == (len(s.objects), 64, 64)
        assert s.objects.masks.sum(0).max() == 1


def test_boxes_are_tight_around_the_masks(scenes):
    for s in scenes:
        for (x1, y1, x2, y2), mask in zip(s.objects.boxes, s.objects.masks, strict=True):
            ys, xs = np.nonzero(mask)
            assert (x1, y1, x2, y2) == (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)


def test_label_map_agrees_with_the_masks(scenes):
    for s in scenes:
        expected = np.zeros((64, 64), int)
        for label, mask in zip(s.objects.labels, s.objects.masks, strict=True):
            expected[mask] = label + 1
        assert np.array_equal(s.segmentation.label_map, expected)
        assert s.segmentation.classes == ("background", *shapes.CLASSES)


def test_the_picture_changes_at_the_masks():
    """Pixels that a shape owns differ from the ground beneath; elsewhere only noise does."""
    size = 64
    for i in range(8):
        scene = shapes.scene(0, i, size, 1)
        mask = scene.annotation.shapes[0]
        colour = scene.image[mask].mean(0)
        ring = np.zeros_like(mask)
        for dy, dx in ((0, 3), (3, 0), (0, -3), (-3, 0)):
            ring |= np.roll(mask, (dy, dx), (0, 1))
        ground = scene.image[ring & ~mask].astype(float).mean(0)
        assert np.abs(colour - ground).max() > 10


def test_at_least_a_third_of_each_shape_is_seen():
    for i in range(40):
        rng = np.random.default_rng([0, i, 64, 6])
        _, coverages = shapes._place(rng, 64, 6)
        masks = shapes.scene(0, i, 64, 6).annotation.shapes
        for mask, coverage in zip(masks, coverages, strict=True):
            whole = coverage >= 0.5
            assert not (mask & ~whole).any()
            assert mask.sum() >= whole.sum() / 3


def test_some_shapes_hide_others():
    hidden = 0
    for i in range(40):
        rng = np.random.default_rng([0, i, 64, 6])
        _, coverages = shapes._place(rng, 64, 6)
        masks = shapes.scene(0, i, 64, 6).annotation.shapes
        hidden += sum(m.sum() < (c >= 0.5).sum() for m, c in zip(masks, coverages, strict=True))
    assert hidden > 10


def test_parameters():
    data = load_data("shapes:count=12,size=40,objects=2")
    assert len(data.source.items) == 12
    samples = [data.sample(i) for i in range(12)]
    assert all(s.image.shape == (40, 40, 3) for s in samples)
    assert max(len(s.objects) for s in samples) == 2
    assert data.tasks[0] is Task.DETECT
    assert Task.CLASSIFY not in data.tasks


def test_single_objects_make_a_classification():
    data = load_data("shapes:count=30,size=32,objects=1")
    assert data.task is Task.CLASSIFY
    for i in range(30):
        sample = data.sample(i)
        assert len(sample.objects) == 1
        assert sample.label == sample.objects.labels[0]
    assert data.train.arrays().X.shape[1:] == (32, 32, 3)


@pytest.mark.parametrize("size", [16, 17, 300])
def test_any_size_draws(size):
    assert shapes.scene(0, 0, size, 6).image.shape == (size, size, 3)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("count=9", "count must be between 10 and"),
        ("size=15", "size must be between 16 and 2,048"),
        ("size=4096", "size must be between 16 and 2,048"),
        ("objects=0", "objects must be between 1 and 6"),
        ("objects=7", "objects must be between 1 and 6"),
        ("count=many", "whole number, not 'many'"),
        ("count=-5", "whole number, not '-5'"),
        ("count", "whole number, not ''"),
    ],
)
def test_wrong_parameters(options, said):
    with pytest.raises(ParameterError, match=said):
        load_data(f"shapes:{options}")


def test_unknown_parameters_suggest_the_nearest():
    with pytest.raises(UnknownNameError, match="'object'; did you mean 'objects'"):
        load_data("shapes:object=3")
    with pytest.raises(UnknownNameError, match="option of digits"):
        load_data("digits:size=3")


def test_scenes_cannot_be_changed_by_a_user():
    image = builtin.shapes(count=10, size=32).sample(0).image
    with pytest.raises(ValueError, match="read-only"):
        image[0, 0, 0] = 1
