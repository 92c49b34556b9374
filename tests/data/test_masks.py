from __future__ import annotations

import numpy as np
import pytest

from sightline.data import masks
from sightline.errors import DataError
from sightline.types import Task

H, W = 30, 40


def objects(n):
    """n separate squares, numbered from 1."""
    values = np.zeros((H, W), np.uint8)
    for i in range(n):
        y, x = 4 * (i // 9), 4 * (i % 9)
        values[y : y + 3, x : x + 3] = i + 1
    return values


def classes(seed):
    """Patches of the values 0 to 4."""
    patches = np.random.default_rng(seed).integers(0, 5, (H // 5, W // 5), np.uint8)
    patches.flat[:5] = range(5)
    return np.kron(patches, np.ones((5, 5), np.uint8))


@pytest.fixture
def folder(tmp_path, draw):
    """images/ and masks/ with the masks given."""

    def make(drawn, suffix="", palette=False):
        for i, values in enumerate(drawn):
            draw.photo(tmp_path / f"images/{i}.jpg")
            draw.index(tmp_path / f"masks/{i}{suffix}.png", values, palette=palette)
        return tmp_path

    return make


@pytest.mark.parametrize("suffix", ["", "_mask"])
@pytest.mark.parametrize("palette", [False, True])
def test_classes(folder, suffix, palette):
    drawn = [classes(i) for i in range(3)]
    path = folder(drawn, suffix, palette)
    assert masks.why_not(path) is None
    data = masks.read(path, "x")
    assert data.tasks == (Task.SEGMENT,)
    assert data.classes == data.segmentation_classes == tuple(f"class {i}" for i in range(5))
    assert "mask values are read as classes" in data.notes[0]
    assert "no classes.txt" in data.notes[1]
    for sample, values in zip(data.train, drawn, strict=True):
        assert (sample.segmentation.label_map == values).all()
        assert sample.objects is None


def test_objects(folder):
    data = masks.read(folder([objects(n) for n in (3, 7, 1)]), "x")
    assert data.tasks == (Task.INSTANCES, Task.DETECT, Task.SEGMENT)
    assert data.classes == ("object",)
    assert data.segmentation_classes == ("background", "object")
    assert "numbers of objects: in 3 masks 11 of 11 values are one connected part" in data.notes[0]
    sample = data.train[0]
    assert sample.objects.boxes.tolist() == [[0, 0, 3, 3], [4, 0, 7, 3], [8, 0, 11, 3]]
    assert sample.objects.masks.sum(axis=(1, 2)).tolist() == [9, 9, 9]
    assert sample.segmentation.label_map.sum() == 27


def test_objects_of_one_named_class(folder, write):
    write("classes.txt", "background\nnucleus\n")
    assert masks.read(folder([objects(n) for n in (3, 7)]), "x").classes == ("nucleus",)


@pytest.mark.parametrize("high", [1, 255])
def test_binary_masks_are_two_classes(folder, high):
    drawn = [((objects(n) > 0) * high).astype(np.uint8) for n in (1, 4)]
    data = masks.read(folder(drawn), "x")
    assert data.segmentation_classes == ("background", "object")
    assert f"there are only 0 and {high}" in data.notes[0]
    assert data.train[1].segmentation.label_map.sum() == 36


@pytest.mark.parametrize("high", [1, 255])
def test_binary_masks_with_names(folder, write, high):
    write("classes.txt", "floor\ncrack\n")
    data = masks.read(folder([((objects(2) > 0) * high).astype(np.uint8)] * 2), "x")
    assert data.segmentation_classes == ("floor", "crack")
    assert data.train[1].segmentation.label_map.sum() == 18


def test_pixels_that_do_not_count_make_no_objects_of_two_classes(folder):
    # As numbers of objects some masks would have one and others none.
    drawn = [objects(n % 2) for n in range(21)]
    drawn[0][-1] = 255
    data = masks.read(folder(drawn), "x")
    assert data.tasks == (Task.SEGMENT,)
    assert data.notes[0].endswith("only 0 and 1, which are two classes, and 255, which does not "
                                  "count")  # fmt: skip
    assert sorted(np.unique(data.train[0].segmentation.label_map)) == [0, 255]


def test_masks_of_one_value_are_one_class(folder):
    assert "there is only 0, which is one class" in masks.read(folder([objects(0)]), "x").notes[0]


def test_kind_overrules(folder):
    path = folder([objects(n) for n in (3, 7)])
    data = masks.read(path, "x", kind="semantic")
    assert data.tasks == (Task.SEGMENT,)
    assert len(data.classes) == 8
    assert "as was asked for" in data.notes[0]
    path = folder([classes(0), classes(1)])
    assert masks.read(path, "x", kind="instances").task is Task.INSTANCES


@pytest.mark.parametrize("text", ["a\nb\nc\nd\nVoid\n", "4 unlabelled\n0 a\n1 b\n2 c\n3 d\n"])
def test_ignored_class(folder, write, text):
    write("classes.txt", text)
    values = classes(0)
    data = masks.read(folder([values, classes(1)]), "x")
    assert data.classes == ("a", "b", "c", "d")
    assert len(data.notes) == 1
    label_map = data.train[0].segmentation.label_map
    assert (label_map[values == 4] == 255).all()
    assert (label_map[values < 4] == values[values < 4]).all()


def test_value_that_no_mask_can_have(folder, write):
    path = folder([classes(0), classes(1)])
    write("classes.txt", "99999999999 ground\n1 cat\n")
    with pytest.raises(DataError, match=r"classes\.txt: a mask has no value 99999999999"):
        masks.read(path, "x")


def test_value_without_a_name(folder, write):
    write("classes.txt", "a\nb\n")
    data = masks.read(folder([classes(0), classes(1)]), "x")
    with pytest.raises(DataError, match=r"0\.png: value 4 has no name; there are 2 classes"):
        data.train[0]


def test_255_is_ignored(folder):
    values = classes(0)
    values[0] = 255
    data = masks.read(folder([values, classes(1)]), "x")
    assert len(data.classes) == 5
    assert (data.train[0].segmentation.label_map == values).all()


@pytest.mark.parametrize("layout", ["images/{}|masks/{}", "{}|{}annot"])
def test_folders_of_splits(tmp_path, draw, layout):
    images, drawn = layout.split("|")
    for split, n in (("test", 1), ("train", 2), ("val", 1)):
        for i in range(n):
            draw.photo(tmp_path / images.format(split) / f"{i}.jpg")
            draw.index(tmp_path / drawn.format(split) / f"{i}.png", classes(i))
    assert masks.why_not(tmp_path) is None
    data = masks.read(tmp_path, "x")
    assert {s: r.tolist() for s, r in data.rows.items()} == {
        "train": [0, 1],
        "val": [2],
        "test": [3],
    }


def test_lists_of_splits(folder, write):
    path = folder([classes(i) for i in range(4)])
    write("train.txt", "2\n0\n")
    write("test.txt", "1\n")
    data = masks.read(path, "x")
    assert [i.id for i in data.train.items] == ["images/2.jpg", "images/0.jpg"]
    assert [i.id for i in data.test.items] == ["images/1.jpg"]
    assert data.notes[0] == "1 image is in no list of a split and is left out"
    write("test.txt", "1\n9\n")
    with pytest.raises(DataError, match=r"test\.txt:2: no image images/9"):
        masks.read(path, "x")


def test_missing_masks_and_images(folder, tmp_path, draw):
    path = folder([classes(0), classes(1)])
    draw.index(tmp_path / "masks/9.png", classes(2))
    assert "masks: 1 mask has no image" in masks.read(path, "x").notes
    draw.photo(tmp_path / "images/5.jpg")
    with pytest.raises(DataError, match=r"1 of 3 images have no mask, the first 5; add 5\.png"):
        masks.read(path, "x")


def test_why_not(tmp_path):
    assert masks.why_not(tmp_path) == "no images/ with masks/, no SPLIT/ with SPLITannot/"
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    assert masks.why_not(tmp_path) is not None


def test_size_of_mask_differs(folder):
    data = masks.read(folder([classes(0)[:20], classes(1)]), "x")
    with pytest.raises(DataError, match=r"0\.png: the mask is 40 x 20 pixels .*its image 40 x 30"):
        data.train[0]


def test_colour_mask(folder, tmp_path, draw):
    path = folder([classes(0)])
    draw.photo(tmp_path / "masks/0.png")
    with pytest.raises(DataError, match=r"0\.png: a colour image"):
        masks.read(path, "x")


@pytest.mark.parametrize("drawn", [[classes(0), classes(1)], [objects(3), objects(7)]])
def test_round_trip(folder, tmp_path, drawn):
    data = masks.read(folder(drawn), "x")
    masks.write(data, tmp_path / "out")
    again = masks.read(tmp_path / "out", "x")
    assert again.tasks == data.tasks
    assert again.segmentation_classes == data.segmentation_classes
    for one, two in zip(data.train, again.train, strict=True):
        assert (one.image == two.image).all()
        assert (one.segmentation.label_map == two.segmentation.label_map).all()
        if one.objects is not None:
            assert (one.objects.masks == two.objects.masks).all()


def test_data_without_masks_is_refused(tmp_path, draw):
    with pytest.raises(DataError, match="has no masks"):
        masks.write(draw.dataset([], tmp_path), tmp_path / "out")
