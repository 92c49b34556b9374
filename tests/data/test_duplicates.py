"""The same picture again, exactly or nearly; and pictures that only look alike to a hash."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from sightline.data import duplicates
from sightline.data.duplicates import Pair
from sightline.data.load import load_data


def scene(seed, size=(48, 64)):
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8))
    return small.resize((size[1], size[0]), Image.Resampling.BICUBIC)


def prints(images):
    found = [duplicates.print_of(i) for i in images]
    return duplicates.Prints(
        np.arange(len(found)) * 2,
        [d for d, _, _ in found],
        np.array([h for _, h, _ in found], np.uint64),
        np.stack([t for _, _, t in found]),
    )


def pairs(images):
    return {(p.first // 2, p.second // 2, p.exact) for p in duplicates.find(prints(images))}


OTHERS = [scene(i) for i in range(1, 20)]


def test_pictures_that_differ_are_no_pairs():
    assert pairs(OTHERS) == set()


def test_copies_pair_with_the_first():
    assert pairs([scene(0), *OTHERS, scene(0), scene(0)]) == {(0, 20, True), (0, 21, True)}


def as_jpeg(image, quality):
    held = io.BytesIO()
    image.save(held, "JPEG", quality=quality)
    return Image.open(held).convert("RGB")


def resized(image):
    return image.resize((image.width * 9 // 10, image.height * 9 // 10))


def cut(image):
    return image.crop((1, 1, image.width - 1, image.height - 1))


def brighter(image):
    return image.point(lambda v: min(255, v + 8))


def with_noise(image):
    noise = np.random.default_rng(5).normal(0, 4, (image.height, image.width, 3))
    return Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(
    "change",
    [lambda i: as_jpeg(i, 90), lambda i: as_jpeg(i, 50), resized, cut, brighter, with_noise],
    ids=["jpeg90", "jpeg50", "resized", "cut", "brighter", "noise"],
)
def test_slight_changes_are_near_duplicates(change, seed):
    image = scene(100 + seed)
    assert pairs([image, *OTHERS, change(image)]) == {(0, 20, False)}


@pytest.mark.parametrize(
    "change",
    [
        lambda i: i.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        lambda i: i.rotate(180),
        lambda i: Image.fromarray(255 - np.asarray(i)),
        lambda i: Image.fromarray(np.asarray(i)[..., [2, 0, 1]]),
    ],
    ids=["mirrored", "turned", "negative", "other colours"],
)
def test_great_changes_are_not(change):
    for seed in range(8):
        image = scene(100 + seed)
        assert pairs([image, change(image)]) == set()


def test_handwriting_is_not_its_own_duplicate():
    data = load_data("digits")
    found = duplicates.find(duplicates.prints_of(data))
    assert found == []


def test_exactness_is_of_shape_too():
    assert pairs([Image.new("L", (8, 16), 9), Image.new("L", (16, 8), 9)]) != {(0, 1, True)}


def test_search_is_that_over_all_pairs(monkeypatch):
    """Tiles, batches and the coarse look first lose no pair and add none."""
    rng = np.random.default_rng(0)
    n = 300
    kind = rng.integers(0, 40, n)
    hashes = rng.integers(0, 2**63, 40).astype(np.uint64)[kind]
    for flips in range(7):  # 0 to 7 bits of each
        bits = np.uint64(1) << rng.integers(0, 64, n).astype(np.uint64)
        hashes ^= np.where(rng.integers(0, 8, n) > flips, bits, np.uint64(0))
    base = rng.integers(0, 256, (40, 16, 16, 3))[kind]
    brighter = rng.integers(0, 50, (n, 1, 1, 1))
    thumbs = (base / 2 + rng.normal(0, 5, base.shape) + brighter).clip(0, 255).astype(np.uint8)
    made = duplicates.Prints(
        np.arange(n), [bytes([i % 256, i // 256]) for i in range(n)], hashes, thumbs
    )
    flat = thumbs.reshape(n, -1).astype(float)
    expected = set()
    for i in range(n):
        for j in range(i + 1, n):
            near = int(hashes[i] ^ hashes[j]).bit_count() <= duplicates.HAMMING
            gap = np.sqrt(((flat[i] - flat[j]) ** 2).mean())
            limit = duplicates.TOLERANCE["colour"] * max(min(flat[i].std(), flat[j].std()), 8)
            if near and gap <= limit:
                expected.add((i, j))
    alike = int((kind[:, None] == kind).sum() - n) // 2
    assert alike / 4 < len(expected) < alike * 3 / 4
    monkeypatch.setattr(duplicates, "_TILE", (7, 33))
    found = duplicates.find(made)
    assert {(p.first, p.second) for p in found} == expected
    assert len(found) == len(expected)


def test_more_than_the_limit_is_sampled(monkeypatch):
    monkeypatch.setattr(duplicates, "LIMIT", 10)
    images = [*OTHERS, as_jpeg(OTHERS[0], 90), OTHERS[1]]
    found = [duplicates.find(prints(images), seed=s) for s in range(3)]
    assert all(Pair(2, 40, exact=True) in f for f in found), "exact ones need no search"
    assert found[0] == duplicates.find(prints(images), seed=0)


def test_no_images():
    none = duplicates.Prints(
        np.zeros(0, np.int64), [], np.zeros(0, np.uint64), np.zeros((0, 16, 16, 3), np.uint8)
    )
    assert duplicates.find(none) == []


def test_pairs_across_splits_are_told_apart():
    data = load_data("digits")
    train, test = data.rows["train"], data.rows["test"]
    inside = Pair(int(train[0]), int(train[1]), exact=True)
    across = Pair(int(train[0]), int(test[0]), exact=False)
    assert duplicates.across_splits(data, [inside, across]) == [(across, "train", "test")]


def test_prints_of_many_images_are_those_of_each(monkeypatch):
    data = load_data("digits")
    found = duplicates.prints_of(data)
    for i in (0, 700, 1796):
        row = int(found.rows[i])
        digest, code, thumb = duplicates.print_of(Image.fromarray(data.sample(row).image[..., 0]))
        assert (found.digests[i], int(found.hashes[i])) == (digest, code)
        assert np.array_equal(found.thumbs[i], thumb)
