"""What DATA may be: a name, a folder, an archive; which splits come of it; what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sightline
from sightline.data import splits
from sightline.data.load import check_task, load_data
from sightline.data.recognise import LAYOUTS
from sightline.errors import DataError, ParameterError, UnknownNameError
from sightline.types import Task


@pytest.fixture
def tree(tmp_path):
    """Make small images, no two alike, below a folder."""
    made = 0

    def make(counts, root="set", size=(8, 8)):
        nonlocal made
        for folder, count in counts.items():
            (tmp_path / root / folder).mkdir(parents=True, exist_ok=True)
            for i in range(count):
                made += 1
                pixels = np.random.default_rng(made).integers(0, 256, (*size, 3), np.uint8)
                Image.fromarray(pixels).save(tmp_path / root / folder / f"{i:03}.png")
        return tmp_path / root

    return make


def sizes(data):
    return {name: len(rows) for name, rows in data.rows.items()}


def all_rows(data):
    return sorted(np.concatenate(list(data.rows.values())).tolist())


def one_line(kind, *args, **options):
    with pytest.raises(kind) as caught:
        load_data(*args, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- names and paths --------------------------------------------------------------------------


def test_it_is_public():
    assert sightline.load_data is load_data
    assert sightline.load_data("digits").name == "digits"


def test_data_set_is_handed_through():
    data = load_data("digits")
    assert load_data(data) is data


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("digist", "digits"),
        ("cifar-10", "cifar10"),
        ("mnst", "mnist"),
        ("shaeps:count=20", "shapes"),
    ],
)
def test_unknown_name_suggests_the_nearest(name, near):
    text = one_line(UnknownNameError, name)
    assert f"did you mean {near!r}?" in text


def test_unknown_name_without_a_near_one_lists_all():
    text = one_line(UnknownNameError, "qqqqqq")
    assert "digits, fashion-mnist, mnist" in text


def test_missing_path_is_no_unknown_name(tmp_path):
    assert "no such file or folder" in one_line(DataError, tmp_path / "none")
    assert "no such file or folder" in one_line(DataError, "none.zip")
    assert "no such file or folder" in one_line(DataError, "data/none")


def test_file_that_is_no_archive(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    text = one_line(DataError, tmp_path / "notes.txt")
    assert "neither a folder, a table (.csv, .tsv, .parquet), arrays (.npz), a description" in text
    assert ".tar.xz" in text


def test_name_wins_over_a_folder_of_that_name(tree, tmp_path, monkeypatch):
    tree({"cat": 20, "dog": 20}, root="digits")
    monkeypatch.chdir(tmp_path)
    assert load_data("digits").layout == "builtin"
    for path in ("./digits", "digits/", Path("digits"), str(tmp_path / "digits")):
        data = load_data(path)
        assert (data.layout, data.name, data.classes) == ("folder", "digits", ("cat", "dog"))


def test_this_folder_has_its_own_name(tree, tmp_path, monkeypatch):
    monkeypatch.chdir(tree({"cat": 20, "dog": 20}, root="my pets"))
    assert load_data(".").name == "my pets"


def test_layout_of_a_name_is_refused():
    assert "layout belongs to folders" in one_line(ParameterError, "digits", layout="voc")


def test_unknown_layout_suggests_the_nearest(tree):
    text = one_line(UnknownNameError, tree({"a": 20}), layout="coc")
    assert "did you mean 'coco'" in text


# --- layouts ----------------------------------------------------------------------------------


def test_unrecognised_folder_gives_every_formats_reason(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/a.txt").write_text("x")
    text = one_line(DataError, tmp_path)
    assert str(tmp_path) in text
    assert all(f"{name}: " in text for name in LAYOUTS)
    assert "Annotations/*.xml" in text
    assert "it holds 1 .txt" in text
    assert "no folders of classes" in text


def test_empty_folder(tmp_path):
    assert "not recognised" in one_line(DataError, tmp_path)


def test_second_annotation_format_is_mentioned(tree, boxed):
    tree({"train": 24}, size=(70, 90))
    (boxed / "annotations").mkdir()
    pages = [{"id": i, "file_name": f"{i:03}.png", "width": 90, "height": 70} for i in range(24)]
    (boxed / "annotations/instances_train.json").write_text(
        json.dumps({"images": pages, "annotations": [], "categories": [{"id": 1, "name": "cat"}]})
    )
    data = load_data(boxed)
    assert data.layout == "coco"
    assert "read as coco; it can also be read with layout=voc" in data.notes
    assert load_data(boxed, layout="voc").layout == "voc"


def test_layout_can_be_chosen(tree, tmp_path):
    root = tree({"JPEGImages": 20, "other": 20})
    assert load_data(root).layout == "folder"
    (root / "Annotations").mkdir()
    for i in range(20):
        (root / f"Annotations/{i:03}.xml").write_text(
            "<annotation><size><width>8</width><height>8</height></size><object><name>cat</name>"
            "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>4</xmax><ymax>4</ymax></bndbox></object>"
            "</annotation>"
        )
    assert load_data(root).layout == "voc"
    assert load_data(root, layout="folder").classes == ("JPEGImages", "other")


# --- splits -----------------------------------------------------------------------------------


def test_one_level_of_classes_is_split(tree):
    data = load_data(tree({"cat": 40, "dog": 60}))
    assert sizes(data) == {"train": 70, "val": 15, "test": 15}
    assert all_rows(data) == list(range(100))
    assert data.test.counts() == {"cat": 6, "dog": 9}
    assert "split 70/15/15 by class, seed 0" in data.notes


def test_given_splits_are_kept(tree):
    root = tree({f"{s}/{c}": n for s, n in (("train", 9), ("val", 4), ("test", 5)) for c in "ab"})
    data = load_data(root, seed=3)
    assert sizes(data) == {"train": 18, "val": 8, "test": 10}
    assert all(i.id.startswith("test/") for i in data.test.items)
    assert not any("split" in n or "tenth" in n for n in data.notes)


@pytest.mark.parametrize(("given", "made"), [("test", "val"), ("val", "test")])
def test_missing_split_is_a_tenth_of_train(tree, given, made):
    root = tree({f"{s}/{c}": n for s, n in (("train", 30), (given, 5)) for c in "ab"})
    data = load_data(root, seed=4)
    assert sizes(data) == {"train": 54, given: 10, made: 6}
    assert all(i.id.startswith("train/") for i in data.split(made).items)
    assert all(i.id.startswith(f"{given}/") for i in data.split(given).items)
    assert data.split(made).counts() == {"a": 3, "b": 3}
    assert f"{made} is a tenth of train, by class, seed 4" in data.notes
    assert all_rows(data) == list(range(70))


def test_only_a_test_cannot_be_learned_from(tree):
    data = load_data(tree({"test/a": 3, "test/b": 3}))
    assert list(data.rows) == ["test"]
    with pytest.raises(DataError, match=r"no split 'train'.*only the splits test"):
        data.train  # noqa: B018


def test_too_few_images_can_be_looked_at_but_not_learned_from(tree):
    data = load_data(tree({"a": 1, "b": 1}))
    assert {name: len(rows) for name, rows in data.rows.items()} == {"train": 2}
    with pytest.raises(DataError, match=r"no split 'val'.*too few images \(2 images\)"):
        data.val  # noqa: B018


def test_seed_makes_the_split(tree):
    root = tree({"a": 30, "b": 30})
    test = [load_data(root, seed=s).rows["test"].tolist() for s in (0, 0, 1)]
    assert test[0] == test[1] != test[2]


def test_one_class(tree):
    data = load_data(tree({"cat": 40}))
    assert data.classes == ("cat",)
    assert sizes(data) == {"train": 28, "val": 6, "test": 6}
    assert data.test.counts() == {"cat": 6}


# --- groups -----------------------------------------------------------------------------------


def test_groups_stay_together(tree):
    root = tree({f"{c}/p{p}": 4 for c in ("cat", "dog") for p in range(12)})
    data = load_data(root, group=r"p\d+")
    found = {name: {i.group for i in split.items} for name, split in data.splits.items()}
    assert found["train"] | found["val"] | found["test"] == {f"p{p}" for p in range(12)}
    assert not found["train"] & found["test"]
    assert not found["train"] & found["val"]
    assert not found["val"] & found["test"]
    assert data.train.groups is not None
    assert any("one group" in n for n in data.notes)


def test_group_by_folder_and_csv(tree, tmp_path):
    root = tree({f"{c}/p{p}": 4 for c in ("cat", "dog") for p in range(8)})
    data = load_data(root, group="folder")
    assert {i.group for i in data.train.items} < {
        f"{c}/p{p}" for c in ("cat", "dog") for p in range(8)
    }
    ids = [i.id for i in data.source.items]
    text = "file,who\n" + "".join(f"{i},{k % 10}\n" for k, i in enumerate(ids))
    (tmp_path / "who.csv").write_text(text)
    data = load_data(root, group=f"{tmp_path}/who.csv:who")
    who = {i: str(k % 10) for k, i in enumerate(ids)}
    parts = [{who[i.id] for i in split.items} for split in data.splits.values()]
    assert sum(map(len, parts)) == 10


def test_given_splits_that_part_a_group_are_refused(tree):
    root = tree({"train/cat/p1": 5, "train/dog/p2": 5, "test/cat/p1": 2, "test/dog/p3": 2})
    text = one_line(DataError, root, group=r"p\d")
    assert "part the group 'p1'" in text


def test_validation_made_of_given_splits_keeps_groups(tree):
    folders = {f"train/{c}/p{p}": 3 for c in ("cat", "dog") for p in range(10)}
    root = tree(folders | {"test/cat/q1": 3, "test/dog/q2": 3})
    data = load_data(root, group=r"[pq]\d+")
    assert sizes(data)["test"] == 6
    assert not {i.group for i in data.train.items} & {i.group for i in data.val.items}


def test_groups_that_are_the_classes_are_refused(tree):
    root = tree({"cat": 20, "dog": 20, "cow": 20})
    assert "one group of every class" in one_line(ParameterError, root, group="folder")


def test_group_that_matches_nothing(tree):
    text = one_line(ParameterError, tree({"cat": 20, "dog": 20}), group="patient")
    assert "matches no image" in text


# --- what cannot be read ----------------------------------------------------------------------


def test_unreadable_images_are_left_out_and_said_so(tree):
    root = tree({"cat": 30, "dog": 30})
    (root / "cat/000.png").write_bytes(b"")
    (root / "cat/001.png").write_text("<html>")
    (root / "dog/002.png").write_bytes((root / "dog/002.png").read_bytes()[:60])
    data = load_data(root)
    (note,) = [n for n in data.notes if "cannot be read" in n]
    assert note.startswith("3 of 60 images cannot be read and are left out")
    for why in ("the file is empty", "not an image", "truncated"):
        assert why in note
    assert len(all_rows(data)) == 57
    kept = {i.id for split in data.splits.values() for i in split.items}
    assert not kept & {"cat/000.png", "cat/001.png", "dog/002.png"}
    X, y, rows = data.train.arrays()
    assert len(X) == len(y) == len(rows) == len(data.train)


def test_more_than_three_reasons_are_counted(tree):
    root = tree({"cat": 30, "dog": 30})
    for i in range(5):
        (root / f"cat/{i:03}.png").write_bytes(b"")
    (note,) = [n for n in load_data(root).notes if "cannot be read" in n]
    assert note.endswith("and 2 more")


def test_none_readable(tree):
    root = tree({"cat": 5, "dog": 5})
    for path in root.rglob("*.png"):
        path.write_bytes(b"x")
    data = load_data(root)
    with pytest.raises(DataError, match="no image of set/train can be read"):
        data.train.arrays((8, 8))


def test_unreadable_among_large_images(tree):
    root = tree({"cat": 20, "dog": 20}, size=(80, 90))
    (root / "cat/000.png").write_bytes(b"")
    data = load_data(root)
    assert data.size is None
    arrays = [split.arrays((16, 16)) for split in data.splits.values()]
    assert sum(len(a.X) for a in arrays) == 39
    assert sum(len(a.y) for a in arrays) == 39


def test_odd_size_is_resized_and_said_so(tree):
    root = tree({"cat": 600, "dog": 600})
    Image.new("RGB", (16, 16)).save(root / "cat/001.png")
    data = load_data(root)
    assert "1 image was resized to 8x8" in data.notes


def test_one_colour_image_among_grey_makes_all_colour(tree):
    root = tree({"cat": 600, "dog": 600})
    for path in root.rglob("*.png"):
        if path != root / "cat/001.png":
            Image.open(path).convert("L").save(path)
    data = load_data(root)
    assert data.mode == "RGB"
    row = next(i for i, item in enumerate(data.source.items) if item.id == "cat/001.png")
    assert np.array_equal(
        data.source.pack().pixels[row], np.asarray(Image.open(root / "cat/001.png"))
    )


# --- fingerprint ------------------------------------------------------------------------------


@pytest.fixture
def root(tree):
    return tree({"cat": 20, "dog": 20})


def test_same_images_have_the_same_fingerprint(root, tmp_path):
    copy = tmp_path / "elsewhere"
    for path in sorted(root.rglob("*.png"), reverse=True):
        target = copy / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    first = load_data(root).fingerprint()
    assert len(first) == 16
    assert int(first, 16) >= 0
    assert load_data(root).fingerprint() == first
    assert load_data(copy).fingerprint() == first


def change_pixel(root):
    image = Image.open(root / "cat/003.png").convert("RGB")
    image.putpixel((2, 2), tuple(255 - v for v in image.getpixel((2, 2))))
    image.save(root / "cat/003.png")


def change_label(root):
    (root / "cat/019.png").rename(root / "dog/020.png")


def change_class(root):
    (root / "dog").rename(root / "doggy")


def remove(root):
    (root / "dog/019.png").unlink()


@pytest.mark.parametrize("change", [change_pixel, change_label, change_class, remove])
def test_changes_change_the_fingerprint(root, change):
    before = load_data(root).fingerprint()
    change(root)
    assert load_data(root).fingerprint() != before


def test_splits_are_in_the_fingerprint(root):
    prints = {load_data(root, seed=s).fingerprint() for s in range(3)}
    assert len(prints) == 3
    data = load_data(root)
    swapped = data.with_rows(data.rows | {"val": data.rows["test"], "test": data.rows["val"]})
    assert swapped.fingerprint() != data.fingerprint()


@pytest.fixture
def boxed(tree):
    root = tree({"JPEGImages": 24}, size=(70, 90))
    (root / "Annotations").mkdir()
    for i in range(24):
        (root / f"Annotations/{i:03}.xml").write_text(
            "<annotation><size><width>90</width><height>70</height></size><object><name>"
            f"{'cat' if i else 'dog'}</name><bndbox><xmin>11</xmin><ymin>1</ymin><xmax>40</xmax>"
            "<ymax>40</ymax></bndbox></object></annotation>"
        )
    return root


@pytest.mark.parametrize(("old", "new"), [("<xmin>11", "<xmin>12"), (">cat<", ">dog<")])
def test_boxes_are_in_the_fingerprint(boxed, old, new):
    before = load_data(boxed).fingerprint()
    assert load_data(boxed).fingerprint() == before
    page = boxed / "Annotations/005.xml"
    page.write_text(page.read_text().replace(old, new))
    assert load_data(boxed).fingerprint() != before


def test_outlines_are_in_the_fingerprint(tmp_path, draw):
    from sightline.data.annotation import Annotation

    def outlined(shape):
        boxes, labels = np.array([[0, 0, 9, 9.0]]), np.array([0])
        return draw.dataset([Annotation(20, 20, boxes, labels, [shape])], tmp_path).fingerprint()

    square = np.array([(0, 0), (9, 0), (9, 9), (0, 9.0)])
    shapes = [None, [square], [square[:3]], {"size": [20, 20], "counts": [0, 9, 391]},
              {"size": [20, 20], "counts": [1, 9, 390]}, np.ones((20, 20), bool)]  # fmt: skip
    assert len({outlined(s) for s in shapes}) == len(shapes)
    assert outlined([square.copy()]) == outlined([square])


def test_missing_file_does_not_stop_the_fingerprint(tree):
    root = tree({"cat": 20, "dog": 20}, size=(80, 90))
    data = load_data(root)
    before = data.fingerprint()
    (root / "cat/000.png").unlink()
    assert data.fingerprint() != before


# --- the data set -----------------------------------------------------------------------------


def test_split_is_a_sequence(root):
    data = load_data(root)
    assert len(data.train) == 28
    assert len(list(data.train)) == 28
    assert data.train[-1].id == data.train.items[-1].id
    assert [s.id for s in data.train[2:5]] == [i.id for i in data.train.items[2:5]]
    sample = data.train[0]
    path = root / sample.id
    assert np.array_equal(sample.image, np.asarray(Image.open(path)))
    assert data.classes[sample.label] == path.parent.name


def test_arrays_and_samples_agree(root):
    data = load_data(root)
    X, y, rows = data.val.arrays()
    for x, label, row, sample in zip(X, y, rows, data.val, strict=True):
        assert np.array_equal(x, sample.image)
        assert label == sample.label
        assert data.source.items[row].id == sample.id
    assert np.array_equal(data.val.tensor().permute(0, 2, 3, 1).numpy(), X)


def test_given_splits_are_views_of_the_store(tree):
    root = tree({f"{s}/a": 12 for s in ("train", "val", "test")})
    X = load_data(root).train.arrays().X
    assert X.base is not None


def test_sizes_that_differ_need_one_named(tree):
    tree({"a": 20}, size=(20, 30))
    data = load_data(tree({"b": 20}, size=(30, 20)))
    with pytest.raises(DataError, match="say to which size"):
        data.train.arrays()
    assert data.train.arrays((10, 12)).X.shape[1:] == (10, 12, 3)


def test_missing_split_is_named(root):
    data = load_data(root)
    with pytest.raises(DataError, match="no split 'trian'; it has train, val, test"):
        data.split("trian")


def test_task_that_is_not_annotated(root):
    data = load_data(root)
    check_task(data, Task.CLASSIFY)
    with pytest.raises(DataError, match="no annotation for detect; it serves classify"):
        check_task(data, Task.DETECT)


def test_folds_of_a_loaded_set(root):
    train = load_data(root).train
    for learn, held in splits.folds(np.arange(len(train)), train.labels, 4, 0):
        assert len(train.take(learn)) + len(train.take(held)) == len(train)
        assert len(held) == 7


def test_progress_counts_to_the_end(root):
    seen = []
    load_data(root, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (40, 40)


def test_when_none_can_be_read_the_first_reason_is_said(tmp_path):
    for c in "ab":
        for k in range(3):
            path = tmp_path / c / f"{k}.tif"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(np.full((20, 20), 0.5, np.float32)).save(path)
    with pytest.raises(DataError, match=r"none of the 6 images can be read, first .*0\.tif.*white"):
        load_data(tmp_path)
