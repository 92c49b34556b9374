"""No new file has the name of another one, or of what it is made from."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.data.naming import Names, pictures


def named(*files, out="out", given=()):
    return [str(p) for p in pictures([Path(f) for f in files], Path(out),
                                     given=[Path(g) for g in given])]  # fmt: skip


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


def test_a_name_is_given_once():
    names = Names(["b.png"])
    assert [names.give("a.png") for _ in range(3)] == ["a.png", "a-2.png", "a-3.png"]
    assert names.give("A.PNG") == "A-4.PNG"
    assert names.give("b.png", "c.png") == "c.png"
    assert names.give("b.png", "c.png") == "c-2.png"
    assert names.give("\u00e9") == "\u00e9"
    assert names.give("e\u0301") == "e\u0301-2"  # the same letter, composed of two


def test_folders_are_kept():
    assert named("a/1.jpg", "b/1.jpg") == ["out/a/1.png", "out/b/1.png"]
    assert named("1.jpg", "deep/er/1.jpg") == ["out/1.png", "out/deep/er/1.png"]


def test_one_folder_is_what_paths_count_from(tmp_path):
    Path("new/a").mkdir(parents=True)
    assert named("new/a/1.jpg", "new/b.jpg", given=["new"]) == ["out/a/1.png", "out/b.png"]
    assert named("new/a/1.jpg", "c.jpg", given=["new", "c.jpg"]) == ["out/new/a/1.png", "out/c.png"]


def test_files_from_outside_count_from_the_folder_that_they_share(tmp_path):
    far = tmp_path / "far"
    assert named(far / "a/1.jpg", far / "b/1.jpg") == ["out/a/1.png", "out/b/1.png"]
    assert named(far / "a/1.jpg") == ["out/1.png"]
    assert named("../far/1.jpg", "c/1.jpg") == ["out/far/1.png", "out/work/c/1.png"]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (("1.jpg", "1.png"), ("1_jpg.png", "1_png.png")),
        (("a.jpg", "A.jpg"), ("a_jpg.png", "A_jpg-2.png")),
        (("1.jpg", "1.png", "1_jpg.bmp"), ("1_jpg-2.png", "1_png.png", "1_jpg.png")),
        (("d/1.jpg", "D/1.jpg"), ("d/1_jpg.png", "D/1_jpg-2.png")),
        (("a/b.jpg", "a_b.jpg"), ("a/b.png", "a_b.png")),
        (("a.png/b.jpg", "a.jpg"), ("a.png/b.png", "a-2.png")),  # a folder of that name
        (("a.tar.jpg", "a.jpg"), ("a.tar.png", "a.png")),
    ],
)
def test_siblings_are_told_apart(files, expected):
    assert named(*files) == [f"out/{name}" for name in expected]


def test_no_input_is_written_over():
    Path("out").mkdir()
    Path("out/1.png").touch()
    Path("out/2.png").symlink_to("1.png")
    assert named("out/1.png", given=["out"]) == ["out/1-2.png"]
    assert named("1.png", out=".") == ["1-2.png"]
    assert named("out/1.png", "2.jpg", out="out") == ["out/out/1.png", "out/2-2.png"]


part = st.sampled_from(["a", "A", "a.png", "a_png", "b", "a-2"])


@settings(deadline=None)
@given(
    files=st.lists(
        st.tuples(st.lists(part, max_size=2), part, st.sampled_from([".jpg", ".png", ".PNG"])),
        min_size=1, max_size=8, unique_by=str,
    )
)  # fmt: skip
def test_never_two_of_one_name(files):
    paths = ["/".join(["in", *folders, name + ending]) for folders, name, ending in files]
    found = named(*paths, out="in")
    keys = [unicodedata.normalize("NFC", name).casefold() for name in found]
    assert len(set(keys)) == len(keys)
    assert not set(found) & set(paths)
    folders = {str(p).casefold() for name in found for p in Path(name).parents}
    assert not folders & set(keys)
    assert found == named(*paths, out="in")
