from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from sightline.data import yolo
from sightline.data.audit import audit
from sightline.data.load import load_data
from sightline.errors import DataError
from sightline.types import Task


@pytest.fixture
def plain(tmp_path, draw, write):
    """images/, labels/ and classes.txt with one image of 40 x 30 pixels."""

    def make(label: str | None):
        draw.photo(tmp_path / "images/a.jpg")
        (tmp_path / "labels").mkdir(exist_ok=True)
        write("classes.txt", "cat\ndog\n")
        if label is not None:
            write("labels/a.txt", label)
        return tmp_path

    return make


def annotation(data, row=0):
    return data.source.items[row].annotation


def test_a_box_in_pixels(plain):
    data = yolo.read(plain("1 0.5 0.5 0.25 0.5\n\n"), "x")
    a = annotation(data)
    assert a.boxes.tolist() == [[15, 7.5, 25, 22.5]]
    assert a.labels.tolist() == [1]
    assert (a.width, a.height) == (40, 30)
    assert data.tasks == (Task.DETECT,)
    assert data.classes == ("cat", "dog")


def test_a_polygon(plain):
    data = yolo.read(plain("0 0.1 0.1 0.5 0.1 0.5 0.5\n1 0.5 0.5 0.5 0.5\n"), "x")
    a = annotation(data)
    assert np.allclose(a.shapes[0][0], [[4, 3], [20, 3], [20, 15]])
    assert a.shapes[1] is None
    assert np.allclose(a.boxes[0], [4, 3, 20, 15])
    assert data.tasks == (Task.DETECT, Task.INSTANCES, Task.SEGMENT)


def test_a_split_of_boxes_only_has_its_pixels_unknown(plain, draw, write, tmp_path):
    polygon = "0 0.1 0.1 0.5 0.1 0.5 0.5\n"
    for split, text in (("train", polygon + "1 0.5 0.5 0.5 0.5\n"), ("val", "1 0.5 0.5 1 1\n")):
        draw.photo(tmp_path / f"images/{split}/a.jpg")
        write(f"labels/{split}/a.txt", text)
    data = yolo.read(plain(None), "x")
    assert data.notes == [
        "train: 1 object has no outline; masks show its box",
        "val: boxes only, its pixels are ignored",
        "read as YOLO without a data.yaml: images of images/train, images/val",
    ]
    assert data.train[0].objects.masks[1].sum() == 20 * 15
    assert (data.val[0].segmentation.label_map == 255).all()


@pytest.mark.parametrize("label", [None, "", "\n"])
def test_no_label_means_no_objects(plain, label):
    a = annotation(yolo.read(plain(label), "x"))
    assert a.boxes.shape == (0, 4)
    assert (a.width, a.height) == (40, 30)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 0.5 0.5", "neither 'class cx cy w h'"),
        ("0 0.5 0.5 0.5 0.5 0.9", "neither 'class cx cy w h'"),
        ("0 0.5 0.5 0.5 x", "but '0 0.5 0.5 0.5 x'"),
        ("0 0.5 0.5 0.5 nan", "neither"),
    ],
)
def test_bad_lines_are_named(plain, line, message):
    folder = plain(f"0 0.5 0.5 0.5 0.5\n{line}\n")
    with pytest.raises(DataError) as error:
        yolo.read(folder, "x")
    assert message in str(error.value)
    assert "labels/a.txt:2: " in str(error.value)


@pytest.mark.parametrize("label", ["2", "-1", "0.5"])
def test_labels_that_are_no_class_are_kept_for_the_audit(plain, label):
    folder = plain(f"0 0.5 0.5 0.5 0.5\n{label} 0.5 0.5 0.5 0.5\n")
    annotation = yolo.read(folder, "x").source.items[0].annotation
    assert annotation.labels.tolist() == [0, -1]
    assert annotation.unknown == (f"{label} ({folder}/labels/a.txt:2)",)
    with pytest.raises(DataError, match="1 objects have a label that is none of the 2 classes"):
        load_data(folder)


def test_why_not(tmp_path, draw, write):
    assert yolo.why_not(tmp_path) == "no data.yaml and no labels (.txt)"
    write("labels/a.txt", "a caption")
    assert "no .txt called as an image" in yolo.why_not(tmp_path)
    draw.photo(tmp_path / "images/a.jpg")
    assert "a.txt has no rows of 'class cx cy w h'" in yolo.why_not(tmp_path)
    write("data.yaml", "names: [cat]")
    assert yolo.why_not(tmp_path) is None


def test_folders_of_splits(plain, tmp_path, draw, write):
    plain(None)
    draw.photo(tmp_path / "images/train/b.jpg")
    draw.photo(tmp_path / "images/valid/c.jpg")
    write("labels/valid/c.txt", "0 0.5 0.5 1 1")
    data = yolo.read(tmp_path, "x")
    assert {s: [i.id for i in p.items] for s, p in data.splits.items()} == {
        "train": ["images/train/b.jpg"],
        "val": ["images/valid/c.jpg"],
    }
    assert annotation(data, 1).boxes.tolist() == [[0, 0, 40, 30]]


@pytest.mark.parametrize("names", ["[cat, dog]", "{0: cat, 1: dog}"])
@pytest.mark.parametrize(
    "entries",
    [
        "train: images/train\nval: images/val\n",
        "train: [images/train]\nval: [images/val]\n",
        "path: .\ntrain: train.txt\nval: val.txt\n",
        "path: /no/such/place\ntrain: ../images/train\nvalid: ../images/val\n",
    ],
)
def test_data_yaml(tmp_path, draw, write, names, entries):
    for name in ("train/a", "train/b", "val/c"):
        draw.photo(tmp_path / f"images/{name}.jpg")
        write(f"labels/{name}.txt", "1 0.5 0.5 1 1")
    write("train.txt", "./images/train/a.jpg\n./images/train/b.jpg\n")
    write("val.txt", f"{tmp_path}/images/val/c.jpg\n")
    write("data.yaml", f"{entries}names: {names}\n")
    data = yolo.read(tmp_path, "x")
    assert data.classes == ("cat", "dog")
    assert {s: len(r) for s, r in data.rows.items()} == {"train": 2, "val": 1}
    assert [len(i.annotation.boxes) for i in data.source.items] == [1, 1, 1]
    assert data.source.items[2].id == "images/val/c.jpg"


def test_one_folder_for_two_splits_is_read_once(plain, write):
    folder = plain("0 0.5 0.5 1 1")
    write("data.yaml", "train: images\nval: images\nnames: [cat]")
    data = yolo.read(folder, "x")
    assert len(data.source.items) == 1
    assert data.rows["train"].tolist() == data.rows["val"].tolist() == [0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names: [cat\n", "not a YAML file"),
        ("- cat\n", "holds no 'names:'"),
        ("train: images\n", "'names' must be a list of classes"),
        ("train: images\nnames: {1: cat}\n", "'names' must be a list of classes"),
        ("names: [cat]\n", "names no images; add 'train: images/train'"),
        ("train: nowhere\nnames: [cat]\n", "'nowhere' is no folder or list at"),
        ("names: !!python/object/apply:os.getcwd []\n", "not a YAML file"),
    ],
)
def test_broken_data_yaml(plain, write, text, message):
    folder = plain(None)
    write("data.yaml", text)
    with pytest.raises(DataError) as error:
        yolo.read(folder, "x")
    assert message in str(error.value)
    assert "data.yaml" in str(error.value)


def test_names_stay_as_they_are_written(plain, write):
    folder = plain("0 0.5 0.5 1 1")
    write("data.yaml", "train: images\nval: ~\ntest:\nnames: [no, on, 007, null, 1_000]\n")
    data = yolo.read(folder, "x")
    assert data.classes == ("no", "on", "007", "null", "1_000")
    assert list(data.rows) == ["train"]


def test_list_of_missing_image(plain, write):
    folder = plain(None)
    write("train.txt", "images/b.jpg\n")
    write("data.yaml", "train: train.txt\nnames: [cat]")
    with pytest.raises(DataError, match=r"train\.txt lists images/b\.jpg, but there is no such"):
        yolo.read(folder, "x")


def test_image_that_cannot_be_opened_is_left_out(plain, tmp_path):
    folder = plain(None)
    (tmp_path / "images/b.jpg").write_bytes(b"no image")
    data = yolo.read(folder, "x")
    assert data.rows["train"].tolist() == [0]
    assert "1 image cannot be opened" in data.notes[0]
    assert "b.jpg" in data.notes[0]


def test_boxes_are_of_the_upright_image(tmp_path, plain):
    folder = plain("0 0.5 0.5 1 1")
    photo = Image.new("RGB", (40, 30))
    exif = photo.getexif()
    exif[0x0112] = 6
    photo.save(tmp_path / "images/a.jpg", exif=exif)
    data = yolo.read(folder, "x")
    assert annotation(data).boxes.tolist() == [[0, 0, 30, 40]]
    assert data.train[0].image.shape == (40, 30, 3)


def test_boxes_of_an_unrotated_image_keep_their_place(tmp_path, plain, draw):
    # The annotation states the stored size: readers of YOLO rotate, so the file is saved anew.
    folder = plain("0 0.25 0.5 0.5 1")
    data = yolo.read(folder, "x")
    photo = Image.open(tmp_path / "images/a.jpg")
    photo.load()
    exif = photo.getexif()
    exif[0x0112] = 6
    photo.save(tmp_path / "images/a.jpg", exif=exif)
    want = data.train[0]
    yolo.write(data, tmp_path / "out")
    have = yolo.read(tmp_path / "out", "x").train[0]
    assert (want.image == have.image).all()
    assert np.allclose(want.objects.boxes, have.objects.boxes)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([0, 1] * 9 + [1, 2] * 9, "at images/19.png: no cat from it on, no fox before it"),
        ([0, 1] * 9 + [1, 0] * 9, None),
        ([0, 1] * 6 + [1, 2] * 6, None),  # six of a class may lie on one side by chance
        ([0, 1, 0, 1, 2, 2], None),
    ],
)
def test_a_rewritten_list_of_classes_shows_as_a_jump(tmp_path, draw, write, labels, said):
    for i, label in enumerate(labels):
        draw.photo(tmp_path / f"images/{i:02}.png")
        write(f"labels/{i:02}.txt", f"{label} 0.5 0.5 0.5 0.5\n")
    write("classes.txt", "cat\n狗\nfox\n")
    finding = audit(load_data(tmp_path)).find("class-jump")
    assert (finding is None) == (said is None)
    if said:
        assert finding.severity == "warning"
        assert finding.examples[0].startswith(said)


def test_pictures_sorted_by_class_are_no_jump(tmp_path, draw, write):
    for i in range(36):
        stem = f"{'cat' if i < 18 else 'fox'}_{i:02}"
        draw.photo(tmp_path / f"images/{stem}.png")
        write(f"labels/{stem}.txt", f"{i // 18 * 2} 0.5 0.5 0.5 0.5\n")
    write("classes.txt", "cat\ndog\nfox\n")
    assert audit(load_data(tmp_path)).find("class-jump") is None


def test_a_box_that_reaches_a_little_outside_is_cut_and_counted(tmp_path, plain, draw):
    """0.75 + 0.5042 / 2 is 1.0021 of the width: some pixels outside a picture of 1000."""
    folder = plain("0 0.75 0.5 0.5042 0.5\n1 0.5 0.5 -0.5 0.5\n1 0.5 0.5 0 0.5\n")
    draw.photo(tmp_path / "images/a.jpg", (1000, 30))
    data = load_data(folder)
    np.testing.assert_allclose(
        data.train[0].objects.boxes, [[497.9, 7.5, 1000, 22.5], [250, 7.5, 750, 22.5]], rtol=1e-5
    )
    assert annotation(data).boxes[0, 2] == pytest.approx(1002.1)
    findings = audit(data)
    assert findings.find("box-outside").count == 1
    assert findings.find("box-without-area").count == 1
    assert [n for n in data.notes if "1 object has no area and plays no part" in n]
    assert [n for n in data.notes if "1 box has its corners swapped" in n]


def test_data_without_boxes_is_refused(tmp_path, draw):
    with pytest.raises(DataError, match="has no boxes, so it cannot be a YOLO set"):
        yolo.write(draw.dataset([], tmp_path, tasks=(Task.CLASSIFY,)), tmp_path / "out")
