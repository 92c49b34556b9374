from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sightline.data import coco, masks, voc, yolo
from sightline.data.annotation import Annotation
from sightline.data.convert import convert
from sightline.data.dataset import Dataset, Source
from sightline.data.item import Item
from sightline.errors import DataError, UnknownNameError
from sightline.types import Task

FORMATS = {"coco": coco, "voc": voc, "yolo": yolo}
SIDE = st.integers(8, 64)


@st.composite
def annotations(draw):
    width, height = draw(SIDE), draw(SIDE)
    n = draw(st.integers(0, 4))
    corner = st.floats(0, 1).map(lambda v: round(v, 5))
    corners = np.array(draw(st.lists(corner, min_size=4 * n, max_size=4 * n))).reshape(n, 2, 2)
    corners = np.sort(corners, axis=1) * (width, height)
    flags = st.lists(st.booleans(), min_size=n, max_size=n)
    return Annotation(
        width,
        height,
        boxes=corners.reshape(n, 4),
        labels=np.array(draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)), np.int64),
        crowd=np.array(draw(flags), np.bool_),
        difficult=np.array(draw(flags), np.bool_),
    )


@st.composite
def polygons(draw):
    """One image of up to three objects of one or two triangles each."""
    parts = st.lists(
        st.lists(st.floats(0, 32).map(lambda v: round(v, 2)), min_size=6, max_size=6),
        min_size=1,
        max_size=2,
    )
    shapes = [
        [np.array(p).reshape(3, 2) for p in shape]
        for shape in draw(st.lists(parts, min_size=1, max_size=3))
    ]
    corners = [np.concatenate(shape) for shape in shapes]
    boxes = np.array([[*c.min(axis=0), *c.max(axis=0)] for c in corners])
    return Annotation(32, 32, boxes, np.arange(len(boxes)) % 3, shapes=shapes)


def read_annotations(data: Dataset, split: str) -> list[Annotation]:
    return [item.annotation for item in data.split(split).items]


def same(want: Annotation, have: Annotation) -> None:
    assert np.allclose(want.boxes, have.boxes, rtol=0, atol=0.01)
    assert want.labels.tolist() == have.labels.tolist()


@pytest.mark.parametrize(("first", "second"), list(itertools.product(FORMATS, repeat=2)))
@settings(max_examples=12, deadline=None)
@given(drawn=st.lists(annotations(), min_size=2, max_size=3))
def test_boxes_survive_every_pair_of_formats(draw, first, second, drawn):
    if "yolo" in (first, second):  # which leaves crowds out
        for a in drawn:
            a.crowd[:] = False
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        splits = {"train": [0], "val": list(range(1, len(drawn)))}
        data = draw.dataset(drawn, path, splits=splits)
        convert(data, path / "one", first)
        between = FORMATS[first].read(path / "one", "x")
        convert(between, path / "two", second)
        again = FORMATS[second].read(path / "two", "x")
        assert again.classes == data.classes
        assert {s: len(r) for s, r in again.rows.items()} == {s: len(r) for s, r in splits.items()}
        for split, rows in splits.items():
            for row, have in zip(rows, read_annotations(again, split), strict=True):
                same(drawn[row], have)
                assert (have.width, have.height) == (drawn[row].width, drawn[row].height)
                if first == second == "coco":
                    assert have.crowd.tolist() == drawn[row].crowd.tolist()
                if first == second == "voc":
                    assert have.difficult.tolist() == drawn[row].difficult.tolist()
        samples = zip(data.train, again.train, strict=True)
        assert all((a.image == b.image).all() for a, b in samples)


@settings(max_examples=40, deadline=None)
@given(drawn=polygons())
def test_polygons_survive_coco(draw, drawn):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        data = draw.dataset([drawn], path, tasks=(Task.INSTANCES, Task.DETECT))
        coco.write(data, path / "one")
        have = read_annotations(coco.read(path / "one", "x"), "train")[0]
        same(drawn, have)
        for one, two in zip(drawn.shapes, have.shapes, strict=True):
            assert all(np.allclose(p, q, atol=1e-4) for p, q in zip(one, two, strict=True))


@settings(max_examples=40, deadline=None)
@given(drawn=polygons())
def test_polygons_survive_yolo_between_coco(draw, drawn):
    drawn.shapes = [shape[:1] for shape in drawn.shapes]  # a line of YOLO is one polygon
    corners = [np.concatenate(shape) for shape in drawn.shapes]
    drawn.boxes = np.array([[*c.min(axis=0), *c.max(axis=0)] for c in corners])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        data = draw.dataset([drawn], path, tasks=(Task.INSTANCES, Task.DETECT))
        coco.write(data, path / "one")
        yolo.write(coco.read(path / "one", "x"), path / "two")
        coco.write(yolo.read(path / "two", "x"), path / "three")
        have = read_annotations(coco.read(path / "three", "x"), "train")[0]
        same(drawn, have)
        for one, two in zip(drawn.shapes, have.shapes, strict=True):
            assert len(two) == 1
            assert np.allclose(one[0], two[0], atol=1e-3)


def test_parts_and_holes_of_a_mask_survive_yolo(tmp_path, draw):
    mask = np.zeros((30, 40), np.bool_)
    mask[2:20, 3:22] = True
    mask[6:9, 8:12] = False
    mask[25:28, 30:35] = True
    drawn = Annotation(40, 30, np.array([[3.0, 2, 35, 28]]), np.array([1]), shapes=[mask])
    data = draw.dataset([drawn], tmp_path, tasks=(Task.DETECT, Task.INSTANCES))
    yolo.write(data, tmp_path / "one")
    again = yolo.read(tmp_path / "one", "x")
    assert (again.train[0].objects.masks[0] == mask).all()
    coco.write(data, tmp_path / "two")
    assert (coco.read(tmp_path / "two", "x").train[0].objects.masks[0] == mask).all()


def test_objects_of_index_pngs_survive_every_format(tmp_path, draw):
    numbers = np.zeros((30, 40), np.uint8)
    numbers[2:9, 3:12], numbers[15:20, 20:31] = 1, 2
    for i in (0, 1):
        draw.photo(tmp_path / f"images/{i}.jpg")
        draw.index(tmp_path / f"masks/{i}.png", np.where(numbers > i, numbers - i, 0))
    data = masks.read(tmp_path, "x")
    want = [sample.objects for sample in data.train]
    for name, module in FORMATS.items():
        convert(data, tmp_path / name, name)
        again = module.read(tmp_path / name, "x")
        again.tasks = (Task.INSTANCES, Task.SEGMENT)  # the masks, not the boxes beside them
        for one, sample in zip(want, again.train, strict=True):
            assert (one.masks == sample.objects.masks).all()
            assert (one.boxes == sample.objects.boxes).all()
            assert sample.segmentation.label_map.max() == 1


def test_yolo_is_exact_at_twenty_thousand_pixels(tmp_path):
    side = 20_000
    Image.new("1", (side, 4)).save(tmp_path / "a.png")
    boxes = np.array([[0.013, 0, 19_999.987, 4], [12_345.678, 1, 12_345.698, 3]])
    item = Item("a.png", str(tmp_path / "a.png"), annotation=Annotation(side, 4, boxes, [0, 0]))
    data = Dataset("x", Source([item], "L"), {"train": np.array([0])}, ("cat",), (Task.DETECT,))
    for name, module in FORMATS.items():
        item.annotation.labels = np.array([0, 0])
        convert(data, tmp_path / name, name)
        have = read_annotations(module.read(tmp_path / name, "x"), "train")[0]
        assert np.abs(have.boxes - boxes).max() < 0.001


def test_names_that_clash_are_told_apart(tmp_path, draw):
    paths = ["a/1.png", "b/1.png", "b/1.jpg"]
    items = [
        Item(p, str(draw.photo(tmp_path / p, (40, 30 + i))), annotation=Annotation(40, 30 + i))
        for i, p in enumerate(paths)
    ]
    data = Dataset("x", Source(items, "RGB"), {"train": np.arange(3)}, ("cat",), (Task.DETECT,))
    convert(data, tmp_path / "out", "coco")
    names = sorted(p.name for p in (tmp_path / "out/images/train").iterdir())
    assert names == ["a_1_png.png", "b_1_jpg.jpg", "b_1_png.png"]


@pytest.mark.parametrize("to", ["coco", "voc", "yolo", "folder"])
def test_no_image_is_lost_to_another_of_its_name(tmp_path, draw, to):
    """Even the whole paths of these are alike, once they are names; two differ in case alone."""
    paths = ["a/b_png.png", "a/b.png.png", "a_b.png.png", "a_B.png.png", "c/b_png.png"]
    items = []
    for i, name in enumerate(paths):
        file = draw.photo(tmp_path / name, (40, 30 + i))
        shape = [np.array([(1.0, 1), (9, 1), (9, 9), (1, 9)])]
        drawn = Annotation(40, 30 + i, np.array([[1.0, 1, 9, 9]]), np.array([0]), shapes=[shape])
        items.append(Item(name, str(file), annotation=drawn))
    tasks = (Task.DETECT, Task.INSTANCES, Task.SEGMENT)
    data = Dataset(
        "x", Source(items, "RGB"), {"train": np.arange(5)}, ("cat",), tasks, ("background", "cat")
    )
    convert(data, tmp_path / "out", to)
    again = {**FORMATS, "folder": masks}[to].read(tmp_path / "out", "x")
    assert sorted(sample.image.shape[0] for sample in again.train) == [30, 31, 32, 33, 34]
    heights = sorted(p.name.casefold() for p in (tmp_path / "out").rglob("*.png"))
    assert len(heights) == len(list((tmp_path / "out").rglob("*.png")))


def test_arrays_become_png(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    item = Item(
        "0", pixels, annotation=Annotation(boxes=np.array([[1.0, 2, 3, 4]]), labels=np.array([0]))
    )
    data = Dataset("x", Source([item], "RGB"), {"train": np.array([0])}, ("cat",), (Task.DETECT,))
    for name, module in FORMATS.items():
        convert(data, tmp_path / name, name)
        sample = module.read(tmp_path / name, "x").train[0]
        assert (sample.image == pixels).all()
        assert sample.objects.boxes.tolist() == [[1, 2, 3, 4]]


def test_what_is_lost_is_said(tmp_path, draw):
    drawn = Annotation(
        40, 30, np.array([[0.0, 0, 9, 9]] * 3), np.zeros(3, np.int64),
        crowd=np.array([1, 0, 0], bool), difficult=np.array([0, 1, 1], bool),
    )  # fmt: skip
    data = draw.dataset([drawn], tmp_path)
    marks = "the mark of 2 difficult objects, written as plain ones"
    assert convert(data, tmp_path / "a", "coco") == [marks]
    assert convert(data, tmp_path / "b", "yolo") == ["1 crowd, left out", marks]
    assert convert(data, tmp_path / "c", "voc") == ["the crowd mark of 1 object, written as plain"]
    assert len(read_annotations(yolo.read(tmp_path / "b", "x"), "train")[0].boxes) == 2


def test_folder_of_classes_and_of_masks(tmp_path, draw):
    square = [np.array([(1.0, 1), (9, 1), (9, 9), (1, 9)])]
    drawn = Annotation(40, 30, np.array([[1.0, 1, 9, 9]]), np.array([1]), shapes=[square])
    data = draw.dataset([drawn], tmp_path, tasks=(Task.DETECT, Task.INSTANCES, Task.SEGMENT))
    said = convert(data, tmp_path / "a", "folder")
    assert said == ["the boxes, and which object a pixel belongs to"]
    again = masks.read(tmp_path / "a", "x")
    assert again.segmentation_classes == ("background", "cat", "dog", "red fox")
    assert again.train[0].segmentation.label_map[5, 5] == 2
    data.tasks = (Task.CLASSIFY,)
    data.source.items[0].label = 1
    assert convert(data, tmp_path / "b", "folder") == []
    assert [p.name for p in (tmp_path / "b/train/dog").iterdir()] == ["40x30.png"]


@pytest.mark.parametrize(
    ("to", "task", "message"),
    [
        ("folder", Task.DETECT, "every box would be lost; convert to coco, voc, yolo or csv"),
        ("coco", Task.CLASSIFY, "has no boxes"),
        ("yolo", Task.SEGMENT, "has no boxes"),
        ("voc", Task.CLASSIFY, "has no boxes"),
    ],
)
def test_what_a_format_cannot_hold(tmp_path, draw, to, task, message):
    data = draw.dataset([Annotation(40, 30)], tmp_path / "in", tasks=(task,))
    with pytest.raises(DataError, match=message):
        convert(data, tmp_path / "out", to)
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_where_to_write(tmp_path, draw):
    data = draw.dataset([Annotation(40, 30)], tmp_path / "in")
    with pytest.raises(UnknownNameError, match="did you mean 'yolo'"):
        convert(data, tmp_path / "out", "yolov5")
    (tmp_path / "out").mkdir()
    convert(data, tmp_path / "out", "coco")
    with pytest.raises(DataError, match="out is not an empty folder; give a new one"):
        convert(data, tmp_path / "out", "coco")


def test_nothing_is_left_when_writing_fails(tmp_path, draw):
    data = draw.dataset([Annotation(40, 30)] * 2, tmp_path / "in")

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(data, tmp_path / "out", "coco", stop)
    assert [p.name for p in tmp_path.iterdir()] == ["in"]
