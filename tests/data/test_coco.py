from __future__ import annotations

import json

import numpy as np
import pytest

from sightline.data import coco, packed
from sightline.data.audit import audit
from sightline.data.load import load_data
from sightline.errors import DataError
from sightline.metrics.detect import Evaluation
from sightline.types import Task

CATEGORIES = [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}]


def page(*annotations, images=("a.jpg",), **over):
    return {
        "images": [
            {"id": 10 + i, "file_name": n, "width": 40, "height": 30} for i, n in enumerate(images)
        ],
        "annotations": [
            {"id": i, "image_id": 10, "category_id": 3, "bbox": [1, 2, 3, 4]} | a
            for i, a in enumerate(annotations)
        ],
        "categories": CATEGORIES,
    } | over


@pytest.fixture
def one(tmp_path, draw, write):
    """A set of one split whose JSON is given, as a page or as text."""

    def make(content, name="annotations/instances_train2017.json", image="train2017/a.jpg"):
        write(name, content if isinstance(content, str) else json.dumps(content))
        draw.photo(tmp_path / image)
        return tmp_path

    return make


def annotation(data, row=0):
    return data.source.items[row].annotation


def test_boxes_and_categories(one):
    data = coco.read(one(page({}, {"category_id": 7, "iscrowd": 1})), "x")
    a = annotation(data)
    assert data.classes == ("cat", "dog")
    assert a.labels.tolist() == [0, 1]
    assert a.boxes.tolist() == [[1, 2, 4, 6]] * 2
    assert a.crowd.tolist() == [False, True]
    assert a.shapes is None
    assert data.tasks == (Task.DETECT,)
    assert (a.width, a.height) == (40, 30)


@pytest.mark.parametrize("ids", [(1, 4), tuple(range(1, 11)), (90, 0, 7)])
def test_numbers_of_categories_and_areas_survive(one, tmp_path, ids):
    content = page(*({"category_id": i, "area": 3.5 * i + 1} for i in ids))
    content["categories"] = [{"id": i, "name": f"名 {i}"} for i in ids]
    del content["annotations"][0]["area"]
    data = coco.read(one(json.dumps(content)), "x")
    assert data.category_ids == tuple(sorted(ids))
    assert np.isnan(annotation(data).areas[0])
    coco.write(data, tmp_path / "out")
    written = json.loads((tmp_path / "out/annotations/instances_train.json").read_text())
    assert {c["id"]: c["name"] for c in written["categories"]} == {i: f"名 {i}" for i in ids}
    assert [a["category_id"] for a in written["annotations"]] == list(ids)
    box = content["annotations"][0]["bbox"]
    areas = [box[2] * box[3], *(3.5 * i + 1 for i in ids[1:])]
    assert [a["area"] for a in written["annotations"]] == areas
    packed.write(data, tmp_path / "packed")
    again = packed.read(tmp_path / "packed", "x")
    assert again.category_ids == data.category_ids
    np.testing.assert_array_equal(annotation(again).areas, annotation(data).areas)


def test_the_stated_area_tells_small_objects_from_large_ones(one):
    data = coco.read(one(page({"bbox": [0, 0, 40, 30], "area": 900.0})), "x")
    truth = data.train[0].objects
    assert "ap_small" in Evaluation.of([truth], [truth], np.arange(1)).metrics
    bare = coco.read(one(page({"bbox": [0, 0, 40, 30], "area": None})), "x").train[0].objects
    assert "ap_medium" in Evaluation.of([bare], [bare], np.arange(1)).metrics


def test_annotations_find_their_image_in_any_order(one, tmp_path, draw):
    draw.photo(tmp_path / "train2017/b.jpg")
    content = page(
        {"image_id": 11}, {}, {"image_id": 11, "bbox": [5, 5, 1, 1]}, images=("a.jpg", "b.jpg")
    )
    data = coco.read(one(content), "x")
    assert [len(i.annotation.boxes) for i in data.source.items] == [1, 2]
    assert annotation(data, 1).boxes[1].tolist() == [5, 5, 6, 6]


def test_outlines(one):
    polygon = [[1, 1, 5, 1, 5, 5, 1, 5]]
    runs = {"size": [30, 40], "counts": [0, 30, 1170]}
    content = page({"segmentation": polygon}, {"segmentation": runs}, {})
    data = coco.read(one(content), "x")
    assert Task.INSTANCES in data.tasks
    masks = data.train[0].objects.masks
    assert masks.sum(axis=(1, 2)).tolist() == [16, 30, 12]
    assert masks[1, :, 0].all()
    assert data.notes == ["instances_train2017.json: 1 object has no outline; masks show its box"]


def test_an_image_without_objects_is_all_background_or_unknown(one, tmp_path, draw):
    draw.photo(tmp_path / "train2017/b.jpg")
    content = page({"segmentation": [[1, 1, 5, 1, 5, 5]]}, images=("a.jpg", "b.jpg"))
    data = coco.read(one(content), "x")
    assert (data.train[1].segmentation.label_map == 0).all()
    one(page({}), "annotations/instances_val2017.json", "val2017/a.jpg")
    data = coco.read(tmp_path, "x")
    assert (data.val[0].segmentation.label_map == 255).all()
    assert data.val[0].objects.masks is None
    assert "boxes only" in data.notes[0]


@pytest.mark.parametrize(
    ("name", "image", "split"),
    [
        ("annotations/instances_val2017.json", "val2017/a.jpg", "train"),  # a lone one is train
        ("annotations/instances_test.json", "images/test/a.jpg", "train"),
        ("annotations/instances_default.json", "images/a.jpg", "train"),
        ("json/instances_train2017.json", "JPEGImages/a.jpg", "train"),
        ("latest.json", "a.jpg", "train"),
        ("valid/_annotations.coco.json", "valid/a.jpg", "train"),
        ("any where/it lies.json", "photos/deep/a.jpg", "train"),
    ],
)
def test_layouts(one, name, image, split):
    folder = one(page({}), name, image)
    assert coco.why_not(folder) is None
    data = coco.read(folder, "x")
    assert list(data.rows) == [split]
    assert data.source.items[0].id == image


def test_other_files_beside_the_instances_are_not_read(one, write, tmp_path):
    write("annotations/captions_train2017.json", json.dumps(page()))
    assert coco.why_not(tmp_path) == "no JSON with 'images' and 'annotations'"
    write("package.json", "{}")
    assert coco.why_not(tmp_path) is not None
    with pytest.raises(DataError, match="no JSON"):
        coco.read(tmp_path, "x")
    assert len(coco.read(one(page({})), "x").train) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"images": [],\n "annotations": [,]}', "train2017.json:2: malformed JSON"),
        (page(categories=None), "no list 'categories'"),
        (
            page(images=("a.jpg",), annotations=[{"image_id": 1}]),
            "annotations[0] has no usable 'category",
        ),
        (page(categories=[{"id": 1}]), "categories[0] has no usable 'name'"),
        (page({"bbox": [1, 2, 3]}), "annotation 0 has bbox [1, 2, 3]; it must be"),
        (
            '{"images": 1, "annotations":' + "[" * 200_000,
            "train2017.json:1: nested more than 200 deep",
        ),
        (
            '{"annotations": 1,\n"images": 1' + "0" * 6000,
            "train2017.json:2: a number of 6,001 digits",
        ),
        (
            '{"annotations": 1, "images": [], "images": []}',
            "train2017.json:1: the key 'images' is there twice",
        ),
        (page({"bbox": [1, 2, float("nan"), 4]}), "annotation 0 has bbox [1, 2, nan, 4]"),
        (page({"bbox": [1, 2, float("inf"), 4]}), "it must be [x, y, width, height]"),
        (page({"bbox": [1, 2, 10**400, 4]}), "it must be [x, y, width, height]"),
        (page({"bbox": [True, 2, 3, 4]}), "it must be [x, y, width, height]"),
        (page({"bbox": [1, 2, 3, "4"]}), "it must be [x, y, width, height]"),
        (page({"bbox": 3}), "annotations[0] has no usable 'bbox'"),
        (page({"image_id": [10]}), "annotations[0] has no usable 'image_id'"),
        (page({"bbox": [1, 2, float("nan"), 4]}), "it must be [x, y, width, height]"),
        (page({"bbox": [1, 2, 1e300, 4]}), "it must be [x, y, width, height]"),
        (page({}, images=("a.jpg", "b.jpg", "c.jpg")), "2 of 3 images are not on disk, the first"),
        (page() | {"images": [{"id": 1, "file_name": "a.jpg"}] * 2}, "the same id"),
    ],
)
def test_broken_files_are_named(one, content, message):
    with pytest.raises(DataError) as error:
        coco.read(one(content), "x")
    assert message in str(error.value)
    assert "instances_train2017.json" in str(error.value)


def test_splits_that_contradict_each_other(one, tmp_path):
    one(page({}))
    one(page(categories=[{"id": 3, "name": "wolf"}]), "annotations/instances_val.json", "val/a.jpg")
    with pytest.raises(DataError, match="category 3 is 'wolf', but 'cat' in another split"):
        coco.read(tmp_path, "x")


@pytest.mark.parametrize(
    ("outline", "why"),
    [
        ({"size": [30]}, "neither a list of polygons"),
        ([[1, 2, 3]], "neither a list of polygons"),
        ([[1, 2, 3, 4, float("1e300"), 6]], "no place in its image"),
        ([[1, 2, 3, 4, float("nan"), 6]], "no place in its image"),
        ({"size": [1e999, 4], "counts": []}, "neither a list of polygons"),
        ({"size": [30, 40], "counts": None}, "does not add up to the 40 x 30"),
        ({"size": [30, 40], "counts": [5, 5]}, "does not add up to the 40 x 30"),
        ({"size": [8, 8], "counts": [64]}, "the mask is 8 x 8 pixels"),
    ],
)
def test_outlines_that_cannot_be_used_are_left_to_the_audit(one, outline, why):
    document = page({"segmentation": outline}, {"segmentation": [[1, 2, 3, 4, 5, 6]]})
    document["images"][0] |= {"width": 40, "height": 30}
    folder = one(document)
    annotation = coco.read(folder, "x").source.items[0].annotation
    assert [shape is None for shape in annotation.shapes] == [True, False]
    assert "annotation 0 (" in annotation.broken[0]
    assert why in annotation.broken[0]
    with pytest.raises(DataError, match="1 objects have an outline that cannot be used"):
        load_data(folder)
    (broken,) = [
        f for f in audit(load_data(folder, strict=False)).findings if f.severity == "error"
    ]
    assert (broken.kind, broken.count) == ("broken-outline", 1)


def test_several_files_are_one_split(one, tmp_path):
    one(page({}, images=("a.jpg",)), "annotations/instances_a.json")
    one(page({}, images=("b.jpg",)), "annotations/instances_b.json", "b.jpg")
    data = coco.read(tmp_path, "x")
    assert {s: len(rows) for s, rows in data.rows.items()} == {"train": 2}
    assert "2 JSON files are read together, all as train" in data.notes
    one(page({}, images=("c.jpg",)), "annotations/instances_constrained.json", "c.jpg")
    assert len(coco.read(tmp_path, "x").train) == 3  # no part of a name is a split
    one(page({}, images=("d.jpg",)), "annotations/instances_val.json", "d.jpg")
    with pytest.raises(DataError, match="its name tells no split"):
        coco.read(tmp_path, "x")


def test_two_files_of_one_image(one, write):
    folder = one(page({}), "annotations/instances_a.json")
    write("annotations/instances_b.json", json.dumps(page({})))
    with pytest.raises(DataError, match=r"both list a\.jpg"):
        coco.read(folder, "x")


def test_annotations_of_unlisted_images_are_noted(one):
    data = coco.read(one(page({}, {"image_id": 99})), "x")
    assert data.notes == [
        "instances_train2017.json: 1 annotation of an image not listed is left out"
    ]


def test_polygons_and_run_lengths_survive(one, tmp_path):
    polygon = [[1.25, 1, 5, 1, 5, 5.5, 1, 5], [10, 10, 20, 10, 15, 20]]
    runs = {"size": [30, 40], "counts": [3, 30, 1167]}
    data = coco.read(
        one(page({"segmentation": polygon}, {"segmentation": runs, "iscrowd": 1})), "x"
    )
    coco.write(data, tmp_path / "out")
    written = json.loads((tmp_path / "out/annotations/instances_train.json").read_text())
    assert [c["id"] for c in written["categories"]] == [3, 7]
    assert written["annotations"][0]["segmentation"] == polygon
    assert written["annotations"][1]["iscrowd"] == 1
    assert written["annotations"][1]["area"] == 30
    again = coco.read(tmp_path / "out", "x")
    want, have = data.train[0], again.train[0]
    assert (want.objects.masks == have.objects.masks).all()
    assert (want.segmentation.label_map == have.segmentation.label_map).all()
    # Reading compressed codes and writing them again changes nothing.
    coco.write(again, tmp_path / "twice")
    twice = (tmp_path / "twice/annotations/instances_train.json").read_text()
    assert json.loads(twice) == written


def test_data_without_boxes_is_refused(tmp_path, draw):
    with pytest.raises(DataError, match="has no boxes, so it cannot be a COCO set"):
        coco.write(draw.dataset([], tmp_path, tasks=(Task.SEGMENT,)), tmp_path / "out")


def test_progress(one, tmp_path):
    calls = []
    coco.write(coco.read(one(page({})), "x"), tmp_path / "out", lambda *n: calls.append(n))
    assert calls == [(1, 1)]
    assert np.array_equal(coco.read(tmp_path / "out", "x").rows["train"], [0])
