from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sightline.data import text, voc
from sightline.data.load import load_data
from sightline.errors import DataError
from sightline.types import Task


@pytest.fixture
def one(tmp_path, draw, write):
    """A set of one image whose annotation is given."""

    def make(page: str, root: str = "") -> Path:
        draw.photo(tmp_path / root / "JPEGImages/a.jpg")
        write(f"{root}/Annotations/a.xml".lstrip("/"), page)
        return tmp_path

    return make


def annotation(data, row=0):
    return data.source.items[row].annotation


def test_corners_are_one_based_and_inclusive(one, draw):
    # A box from the first to the tenth column covers ten columns: 0 to 10 exclusive.
    folder = one(draw.page(draw.object(box=(1, 1, 10, 20))))
    a = annotation(voc.read(folder, "x"))
    assert a.boxes.tolist() == [[0, 0, 10, 20]]
    assert (a.width, a.height) == (40, 30)


def test_writing_reverses_the_offset(one, draw, tmp_path):
    data = voc.read(one(draw.page(draw.object(box=(5, 6, 5.25, 7)))), "x")
    voc.write(data, tmp_path / "out")
    text = (tmp_path / "out/Annotations/a.xml").read_text()
    assert "<xmin>5</xmin>" in text
    assert "<ymin>6</ymin>" in text
    assert "<xmax>5.25</xmax>" in text
    assert "<ymax>7</ymax>" in text


def test_image_is_copied_byte_for_byte(one, draw, tmp_path):
    data = voc.read(one(draw.page(draw.object())), "x")
    voc.write(data, tmp_path / "out")
    copied = (tmp_path / "out/JPEGImages/a.jpg").read_bytes()
    assert copied == (tmp_path / "JPEGImages/a.jpg").read_bytes()


def test_only_images_of_a_split_are_written(one, draw, write, tmp_path):
    draw.photo(tmp_path / "JPEGImages/b.jpg")
    write("Annotations/b.xml", draw.page(draw.object()))
    data = voc.read(one(draw.page(draw.object())), "x")
    voc.write(data.with_rows({"train": data.rows["train"][1:]}), tmp_path / "out")
    assert [p.name for p in (tmp_path / "out/JPEGImages").iterdir()] == ["b.jpg"]


def test_difficult_and_object_without_area_are_kept(one, draw):
    page = draw.page(draw.object(extra="<difficult>1</difficult>") + draw.object(box=(4, 4, 3, 3)))
    a = annotation(voc.read(one(page), "x"))
    assert a.difficult.tolist() == [True, False]
    assert a.boxes[1].tolist() == [3, 3, 3, 3]


def test_a_size_of_zero_is_not_stated(one, draw):
    a = annotation(
        voc.read(one(draw.page(draw.object(), "<width>0</width><height>0</height>")), "x")
    )
    assert (a.width, a.height) == (0, 0)


def test_a_missing_size_is_not_stated_and_corners_may_be_floats(one, draw):
    page = draw.page(draw.object(box=(4.5, 4, 10.25, 8)))
    bare = page[: page.index("<size>")] + page[page.index("</size>") + len("</size>") :]
    data = voc.read(one(bare), "x")
    assert (annotation(data).width, annotation(data).height) == (0, 0)
    assert annotation(data).boxes.tolist() == [[3.5, 3, 10.25, 8]]
    assert data.train[0].objects.boxes.tolist() == [[3.5, 3, 10.25, 8]]


def test_swapped_corners_are_put_right_counted_and_named(one, draw):
    page = draw.page(draw.object(box=(12, 4, 3, 8)) + draw.object(box=(3, 4, 12, 8)))
    data = load_data(one(page))
    boxes = annotation(data).boxes
    assert boxes[0].tolist() == boxes[1].tolist() == [2, 3, 12, 8]
    (note,) = [n for n in data.notes if "swapped" in n]
    assert note.startswith("1 box has its corners swapped and is read the right way round, first ")
    assert "a.jpg (12, 3, 2, 8)" in note


@pytest.mark.parametrize("root", ["", "VOC2007", "VOCdevkit/VOC2012"])
def test_nesting(one, draw, root):
    folder = one(draw.page(draw.object()), root)
    assert voc.why_not(folder) is None
    data = voc.read(folder, "x")
    assert data.source.items[0].id == f"{root}/JPEGImages/a.jpg".lstrip("/")
    assert len(data.train) == 1


def test_two_years_are_read_together_for_training(tmp_path, draw, write):
    years = {
        "VOC2007": {"train": "1", "val": "2", "test": "3"},
        "VOC2012": {"trainval": "2008_4 2008_5"},
    }
    for year, lists in years.items():
        for split, stems in lists.items():
            for stem in stems.split():
                draw.photo(tmp_path / f"VOCdevkit/{year}/JPEGImages/{stem}.jpg")
                write(f"VOCdevkit/{year}/Annotations/{stem}.xml", draw.page(draw.object("dog")))
            lines = "\n".join(stems.split())
            write(f"VOCdevkit/{year}/ImageSets/Main/{split}.txt", lines)
    data = voc.read(tmp_path, "x")
    named = {s: [i.id.rpartition("/")[2] for i in v.items] for s, v in data.splits.items()}
    assert named == {"train": ["1.jpg", "2.jpg", "2008_4.jpg", "2008_5.jpg"], "test": ["3.jpg"]}
    assert data.classes == voc.CLASSES
    assert str(data.notes[0]).startswith("VOC2007, VOC2012 are read together")
    assert len(voc.read(tmp_path / "VOCdevkit/VOC2012", "y").train) == 2


def test_years_with_an_image_of_one_name_are_refused(one, draw):
    one(draw.page(draw.object()), "VOC2007")
    folder = one(draw.page(draw.object()), "VOC2012")
    with pytest.raises(DataError, match=r"2 VOC sets \(VOC2007, VOC2012\).* has an image a;"):
        voc.read(folder, "x")


def test_why_not(tmp_path, write):
    assert voc.why_not(tmp_path) == "no Annotations/*.xml"
    write("Annotations/a.xml", "<annotation></annotation>")
    assert voc.why_not(tmp_path) == "Annotations/a.xml is an annotation, but no image has its name"


@pytest.mark.parametrize(
    ("names", "listed", "classes"),
    [
        (["dog", "cat"], None, voc.CLASSES),
        (["wolf", "cat"], None, ("cat", "wolf")),
        (["cat"], "dog\ncat\n", ("dog", "cat")),
    ],
)
def test_classes(one, draw, write, names, listed, classes):
    folder = one(draw.page("".join(draw.object(n) for n in names)))
    if listed:
        write("classes.txt", listed)
    data = voc.read(folder, "x")
    assert data.classes == classes
    assert [classes[i] for i in annotation(data).labels] == names


def test_splits_of_main(tmp_path, draw, write):
    for stem in "abcde":
        draw.photo(tmp_path / f"JPEGImages/{stem}.jpg")
        write(f"Annotations/{stem}.xml", draw.page(draw.object()))
    write("ImageSets/Main/trainval.txt", "a\nc\n")
    write("ImageSets/Main/test.txt", "b\n")
    write("ImageSets/Main/cat_trainval.txt", "a 1\nc -1\n")
    data = voc.read(tmp_path, "x")
    ids = {s: [i.id for i in split.items] for s, split in data.splits.items()}
    assert ids == {"train": ["JPEGImages/a.jpg", "JPEGImages/c.jpg"], "test": ["JPEGImages/b.jpg"]}
    assert data.notes == ["2 images are in no list of ImageSets/Main and are left out"]
    write("ImageSets/Main/train.txt", "e\n")
    write("ImageSets/Main/val.txt", "d\n")
    assert {s: len(r) for s, r in voc.read(tmp_path, "x").rows.items()} == {
        "train": 1,
        "val": 1,
        "test": 1,
    }


def test_index_pngs_make_masks_and_label_maps(one, draw, write, tmp_path):
    folder = one(draw.page(draw.object("dog", (2, 2, 5, 5))))
    write("classes.txt", "cat\ndog\n")
    classes, objects = np.zeros((2, 30, 40), np.uint8)
    classes[1:5, 1:5], objects[1:5, 1:5] = 2, 1
    classes[5, 5], objects[5, 5] = 255, 255
    draw.index(tmp_path / "SegmentationClass/a.png", classes, palette=True)
    draw.index(tmp_path / "SegmentationObject/a.png", objects, palette=True)
    data = voc.read(folder, "x")
    assert data.tasks == (Task.DETECT, Task.INSTANCES, Task.SEGMENT)
    assert data.segmentation_classes == ("background", "cat", "dog")
    sample = data.train[0]
    assert (sample.segmentation.label_map == classes).all()
    voc.write(data, tmp_path / "out")
    again = voc.read(tmp_path / "out", "x").train[0]
    assert (again.segmentation.label_map == classes).all()
    assert again.objects.boxes.tolist() == [[1, 1, 5, 5]]
    assert (tmp_path / "out/ImageSets/Segmentation/train.txt").read_text() == "a\n"


@pytest.mark.parametrize(
    ("declared", "encoding", "note"),
    [
        ("gb2312", "gbk", False),
        ("ansi", "gbk", True),
        ("utf-8", "gbk", True),
        ("GBK", "utf-8", True),
    ],
)
def test_names_in_the_encodings_of_chinese_programs(one, draw, declared, encoding, note):
    page = f'<?xml version="1.0" encoding="{declared}"?>{draw.page(draw.object("猫狗"))}'
    folder = one("")
    (folder / "Annotations/a.xml").write_bytes(page.encode(encoding))
    with text.noticing() as said:
        assert voc.read(folder, "x").classes == ("猫狗",)
    assert any("a.xml" in line and "read as" in line for line in said) == note


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("<annotation><size>", "a.xml: not well-formed XML"),
        (
            "<annotation><size><width>9</width></size></annotation>",
            "a.xml: <size/height> is None",
        ),
        ("{page:<object><name>cat</name></object>}", "object 1 (cat) has no <bndbox>"),
        ("{page:<object><bndbox/></object>}", "object 1 has no <name>"),
        ("{page:<object><name>cat</name><bndbox/></object>}", "<bndbox/xmin> is None"),
        ("{box:nan}", "<bndbox/xmin> is 'nan'; it must be a number"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>', "declares XML entities"),
    ],
)
def test_broken_pages_are_named(one, draw, page, message):
    if page.startswith("{page:"):
        page = draw.page(page[6:-1])
    if page == "{box:nan}":
        page = draw.page(draw.object(box=(np.nan, 1, 2, 2)))
    with pytest.raises(DataError) as error:
        voc.read(one(page), "x")
    assert message in str(error.value)
    assert "a.xml" in str(error.value)


def test_class_missing_from_the_list(one, draw, write):
    folder = one(draw.page(draw.object("wolf")))
    write("classes.txt", "cat\n")
    annotation = voc.read(folder, "x").source.items[0].annotation
    assert annotation.labels.tolist() == [-1]
    assert annotation.unknown[0].startswith("wolf (")
    with pytest.raises(DataError, match=r"1 objects have a label that is none.*wolf \(.*a\.xml"):
        load_data(folder)


def test_no_object_at_all(one, draw):
    with pytest.raises(DataError, match=r"name the classes in classes\.txt"):
        voc.read(one(draw.page()), "x")


def test_missing_files(one, draw, write, tmp_path):
    folder = one(draw.page(draw.object()))
    write("ImageSets/Main/train.txt", "a\nb\n")
    with pytest.raises(DataError, match=r"train\.txt lists b, but there is no Annotations/b\.xml"):
        voc.read(folder, "x")
    write("Annotations/b.xml", draw.page())
    with pytest.raises(DataError, match=r"b\.xml: no image JPEGImages/b\.jpg"):
        voc.read(folder, "x")
    (tmp_path / "JPEGImages/a.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"a\.jpg and a\.png differ only in their ending"):
        voc.read(folder, "x")


def test_masks_without_background_are_refused(tmp_path, draw):
    data = draw.dataset([], tmp_path, tasks=(Task.SEGMENT,))
    data.segmentation_classes = ("sky", "road")
    with pytest.raises(DataError, match="no boxes, and no masks whose value 0"):
        voc.write(data, tmp_path / "out")
