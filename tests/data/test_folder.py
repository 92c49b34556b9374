"""Folders of classes: found, in a natural order, and written back."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image

from sightline.data import folder
from sightline.data.convert import convert
from sightline.data.dataset import Dataset, Source
from sightline.data.item import Item
from sightline.data.load import load_data
from sightline.errors import DataError
from sightline.types import Task


@pytest.fixture
def tree(tmp_path):
    """Make images of a colour each below a folder."""
    count = 0

    def make(*names, root="set"):
        nonlocal count
        for name in names:
            path = tmp_path / root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            count += 1
            Image.new("RGB", (8, 8), (count % 256, count // 256, 77)).save(path)
        return tmp_path / root

    return make


def layout(data):
    """Names of the images of each class of each split."""
    return {
        split: {
            name: [i.id for i in part.items if i.label == label]
            for label, name in enumerate(data.classes)
        }
        for split, part in data.splits.items()
    }


def test_one_level_of_classes(tree):
    data = folder.read(tree("dog/b.png", "dog/a.png", "cat/c.png"), "pets")
    assert data.classes == ("cat", "dog")
    assert layout(data) == {"train": {"cat": ["cat/c.png"], "dog": ["dog/a.png", "dog/b.png"]}}
    assert data.name == "pets"


@pytest.mark.parametrize(
    "names",
    [
        ("train", "val", "test"),
        ("training", "validation", "testing"),
        ("Train", "valid", "TEST"),
    ],
)
def test_splits_by_any_of_their_names(tree, names):
    data = folder.read(tree(*(f"{n}/{c}/x.png" for n in names for c in "ab")), "x")
    assert {s: len(rows) for s, rows in data.rows.items()} == {"train": 2, "val": 2, "test": 2}
    val = names[1]
    assert layout(data)["val"] == {"a": [f"{val}/a/x.png"], "b": [f"{val}/b/x.png"]}


def test_two_folders_for_one_split_are_refused(tree):
    with pytest.raises(DataError, match="two folders for the split 'val'"):
        folder.read(tree("train/a/x.png", "val/a/x.png", "valid/a/x.png"), "x")


def test_a_class_may_be_missing_from_a_split(tree):
    data = folder.read(tree("train/a/1.png", "train/b/1.png", "test/b/1.png"), "x")
    assert data.classes == ("a", "b")
    assert data.test.labels.tolist() == [1]


def test_numbers_stand_by_value_before_names(tree):
    data = folder.read(tree(*(f"{c}/x.png" for c in ("10", "9", "1", "b", "a", "2"))), "x")
    assert data.classes == ("1", "2", "9", "10", "a", "b")


def test_folders_inside_a_class_belong_to_it(tree):
    data = folder.read(tree("cat/x.png", "cat/deep/er/y.png", "dog/z.png"), "x")
    assert layout(data)["train"]["cat"] == ["cat/x.png", "cat/deep/er/y.png"]


def test_empty_class_is_left_out_and_said_so(tree):
    root = tree("cat/a.png", "dog/b.png")
    (root / "cow").mkdir()
    (root / "pig").mkdir()
    (root / "pig/notes.txt").write_text("none yet")
    data = folder.read(root, "x")
    assert data.classes == ("cat", "dog")
    assert [n for n in data.notes if "cow" in n] == ["class 'cow' has no image and is left out"]
    assert any("'pig'" in n for n in data.notes)


def test_other_and_hidden_files_are_passed_over(tree):
    root = tree("cat/a.png", "dog/b.png")
    (root / "cat/notes.txt").write_text("x")
    (root / "cat/._a.png").write_bytes(b"apple")
    (root / ".git").mkdir()
    (root / "__MACOSX/cat").mkdir(parents=True)
    assert layout(folder.read(root, "x"))["train"] == {"cat": ["cat/a.png"], "dog": ["dog/b.png"]}


def test_links_to_folders_are_not_followed_for_ever(tree):
    root = tree("cat/a.png", "dog/b.png")
    (root / "cat/loop").symlink_to(root / "cat")
    assert layout(folder.read(root, "x"))["train"]["cat"] == ["cat/a.png"]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ((), "no folders of classes"),
        (("a.png", "b.png"), "no folders of classes"),
        (("train/a.png", "test/b.png"), "train/ has no folders of classes|test/ has no folders"),
    ],
)
def test_reasons_against(tree, tmp_path, files, said):
    (tmp_path / "set").mkdir()
    tree(*files)
    assert re.search(said, folder.why_not(tmp_path / "set"))


def test_reason_against_folders_of_text(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src/main.py").write_text("x")
    assert folder.why_not(tmp_path) == "no image in any folder of a class"


def test_round_trip(tree, tmp_path):
    root = tree(*(f"{c}/{i}.png" for c in ("10", "2", "x y") for i in range(10)), "2/deep/3.png")
    data = load_data(root)
    assert convert(data, tmp_path / "out", "folder") == []
    again = load_data(tmp_path / "out")
    assert again.classes == data.classes
    assert {s: len(r) for s, r in again.rows.items()} == {s: len(r) for s, r in data.rows.items()}
    for name, split in data.splits.items():
        written = {(again.classes[s.label], s.image.tobytes()) for s in again.splits[name]}
        assert written == {(data.classes[s.label], s.image.tobytes()) for s in split}


def test_files_are_copied_byte_for_byte(tree, tmp_path):
    root = tree("train/cat/a.jpg", "test/cat/b.jpg", "train/dog/c.jpg")
    folder.write(folder.read(root, "x"), tmp_path / "out")
    for name in ("train/cat/a.jpg", "test/cat/b.jpg", "train/dog/c.jpg"):
        assert (tmp_path / "out" / name).read_bytes() == (root / name).read_bytes()


def test_same_name_in_two_folders_of_a_class_keeps_both(tree, tmp_path):
    root = tree("cat/one/a.png", "cat/two/a.png", "dog/a.png")
    folder.write(folder.read(root, "x"), tmp_path / "out")
    written = sorted(p.read_bytes() for p in (tmp_path / "out/train/cat").iterdir())
    assert written == sorted((root / f"cat/{d}/a.png").read_bytes() for d in ("one", "two"))


def test_names_that_clash_thrice_keep_all_three(tree, tmp_path):
    """The path in place of the name may be a name that is taken as well."""
    root = tree("cat/a/b.png", "cat/cat_c_b.png", "cat/c/b.png", "cat/c/B.PNG", "dog/a.png")
    folder.write(folder.read(root, "x"), tmp_path / "out")
    written = {p.name: p.read_bytes() for p in (tmp_path / "out/train/cat").iterdir()}
    given = {p.read_bytes() for p in (root / "cat").rglob("*.*")}
    assert set(written.values()) == given
    assert len(given) == 4
    assert len({name.casefold() for name in written}) == 4


def test_what_is_decoded_does_not_take_the_name_of_a_copy(tmp_path):
    """As `data audit --fix` does to a turned photograph beside a PNG of its name."""
    colours = {n: np.full((4, 4, 3), n, np.uint8) for n in range(4)}
    Image.fromarray(colours[0]).save(tmp_path / "1.png")
    items = [
        Item("train/a/1.jpg", lambda: colours[1], 0),
        Item("train/a/1.png", str(tmp_path / "1.png"), 0),
        Item("train/a/1.gif", lambda: colours[2], 0),
        Item("train/a/1.gif", lambda: colours[3], 0),
    ]
    data = Dataset("x", Source(items, "RGB"), {"train": np.arange(4)}, ("a",), (Task.CLASSIFY,))
    folder.write(data, tmp_path / "out")
    seen = {p.name: int(np.asarray(Image.open(p))[0, 0, 0]) for p in tmp_path.glob("out/*/a/*")}
    assert seen == {
        "1.png": 1, "train_a_1.png": 0, "train_a_1.gif.png": 2, "train_a_1.gif-2.png": 3,
    }  # fmt: skip


def test_arrays_become_png(tmp_path):
    data = load_data("digits")
    folder.write(data.with_rows({"train": data.rows["train"][:5]}), tmp_path / "out")
    again = folder.read(tmp_path / "out", "x")
    found = {(again.classes[s.label], s.image[..., 0].tobytes()) for s in again.train}
    expected = {(data.classes[s.label], s.image[..., 0].tobytes()) for s in data.train[:5]}
    assert found == expected


def test_data_without_classes_cannot_be_written(tmp_path, draw):
    data = draw.dataset([], tmp_path)
    with pytest.raises(DataError, match="cannot be folders of classes"):
        folder.write(data, tmp_path / "out")


def test_grey_files_load_as_one_channel(tmp_path):
    for c in ("a", "b"):
        (tmp_path / "set" / c).mkdir(parents=True)
        for i in range(10):
            Image.fromarray(np.full((6, 6), i, np.uint8)).save(tmp_path / "set" / c / f"{i}.png")
    data = load_data(tmp_path / "set")
    assert data.mode == "L"
    assert data.train[0].image.shape == (6, 6, 1)


def test_names_that_are_endless_numbers_are_sorted_as_names():
    numbers = ["10", "2", "9" * 5000, "b"]
    assert sorted(numbers, key=folder.natural) == ["2", "10", "9" * 5000, "b"]


@pytest.mark.parametrize("name", ["../../evil", "a/b", "..", ".hidden", "/abs", "a\\b", "a\0b", ""])
def test_a_class_that_leads_elsewhere_is_no_folder(tmp_path, name):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1), np.uint8)
    items = [Item(str(i), pixels[i], i % 2) for i in range(4)]
    data = Dataset("x", Source(items, "L"), {"train": np.arange(4)}, ("ok", name), (Task.CLASSIFY,))
    with pytest.raises(DataError, match="cannot be the name of a folder; rename it"):
        convert(data, tmp_path / "in" / "out", "folder")
    assert [p.name for p in tmp_path.rglob("*")] in ([], ["in"])
