"""What other processes are given of a data set: the same images, labels, boxes and splits."""

import json

import numpy as np
import pytest
from PIL import Image

from sightline.data import packed
from sightline.data.load import load_data
from sightline.errors import DataError


@pytest.fixture
def photos(tmp_path):
    for i in range(20):
        (tmp_path / "set" / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(i).integers(0, 256, (90, 80, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"set/{'ab'[i % 2]}/{i}.jpg")
    return load_data(tmp_path / "set")


def sources(photos):
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 256, (30, 70, 80, 3), np.uint8), np.arange(30) % 3
    return {
        "array of small images": load_data("digits"),
        "drawn, with boxes and masks": load_data("shapes:count=20,size=48"),
        "drawn, large": load_data("shapes:count=12,size=80"),
        "large in memory": load_data((X, y)),
        "files": photos,
        "files, split anew": photos.with_rows({"train": np.arange(9), "test": np.arange(9, 12)}),
    }


def test_several_labels_and_numbers_come_back(photos, tmp_path):
    for number, item in enumerate(photos.source.items):
        item.labels, item.value = tuple(range(number % 3)), number / 4
    photos.target = "weight"
    packed.write(photos, tmp_path / "out")
    back = packed.read(tmp_path / "out", "x")
    assert back.target == "weight"
    for mine, theirs in zip(photos.source.items, back.source.items, strict=True):
        assert (mine.labels, mine.value) == (theirs.labels, theirs.value)


def test_everything_comes_back(photos, tmp_path):
    for number, (what, data) in enumerate(sources(photos).items()):
        folder = tmp_path / str(number)
        packed.write(data, folder)
        back = load_data(folder) if "val" in data.rows else packed.read(folder, "x")
        assert (back.name, back.classes, back.tasks, back.mode, back.size) == (
            data.name, data.classes, data.tasks, data.mode, data.size,
        ), what  # fmt: skip
        assert back.fingerprint() == packed.read(folder, "x").fingerprint()
        for name, rows in data.rows.items():
            assert np.array_equal(rows, back.rows[name])
        for row in range(min(12, len(data.source.items))):
            mine, theirs = data.sample(row), back.sample(row)
            assert np.array_equal(mine.image, theirs.image), what
            assert (mine.id, mine.label) == (theirs.id, theirs.label)
            if mine.objects is not None:
                assert np.array_equal(mine.objects.boxes, theirs.objects.boxes)
                assert np.array_equal(mine.objects.masks, theirs.objects.masks)
                assert np.array_equal(mine.segmentation.label_map, theirs.segmentation.label_map)


def test_files_are_named_not_copied(photos, tmp_path):
    packed.write(photos, tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["sightline-data.json"]
    assert load_data(tmp_path / "out").fingerprint() == photos.fingerprint()


def test_groups_stay(tmp_path):
    data = load_data("digits")
    data.source.items[3].group = "p1"
    packed.write(data, tmp_path)
    assert packed.read(tmp_path, "x").source.items[3].group == "p1"


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"format": 1}', json.dumps({"format": 99}), "[" * 200_000, "1" * 6000, "null",
     '{"format": "x"}'],
)  # fmt: skip
def test_a_damaged_one_is_said_in_one_line(tmp_path, text):
    (tmp_path / "sightline-data.json").write_text(text)
    with pytest.raises(DataError, match=r"damaged|newer") as caught:
        load_data(tmp_path)
    assert "\n" not in str(caught.value)
