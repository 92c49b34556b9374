"""What is not there is named, with what is beside it; a URL is called one."""

from __future__ import annotations

from pathlib import Path

import pytest

import sightline
from sightline.errors import DataError, SightlineError, UnknownNameError, missing, nearest


@pytest.fixture
def here(tmp_path, monkeypatch):
    for name in ("photos/cat", "照片", "runs/mine"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "photos/cat/1.jpg").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("given", "near"),
    [("phtos", "photos"), ("phtos/cat", "photos/cat"), ("photos/cta", "photos/cat"),
     ("phtos/dog", "photos"), ("PHOTOS", "photos"), ("照", "照片"), ("runs/mnie", "runs/mine"),
     ("photos/cat/2.jpg", "photos/cat/1.jpg")],
)  # fmt: skip
def test_the_nearest_path_is_found(here, given, near):
    assert nearest(Path(given)) == Path(near)
    assert nearest(here / given) == here / near


@pytest.mark.parametrize("given", ["quite/else", "photos/cat/1.jpg/deeper", "zzz"])
def test_nothing_is_suggested_that_is_not_like_it(here, given):
    assert nearest(Path(given)) is None


@pytest.mark.parametrize("given", ["phtos", "phtos/", "./phtos", "phtos/cat"])
def test_a_mistyped_folder_gets_the_folder_beside_it(here, given):
    with pytest.raises(DataError, match=r"did you mean photos"):
        sightline.load_data(given)


def test_a_mistyped_name_gets_the_name(here):
    for name in (".git", "digital art"):
        (here / name).mkdir()
    with pytest.raises(UnknownNameError, match="did you mean 'digits'"):
        sightline.load_data("digit")


@pytest.mark.parametrize(
    "url",
    ["https://example.org/photos.zip", "http://x/y", "s3://bucket/key", "hf://datasets/cifar10",
     "ftp://a/b.tar.gz", "HTTPS://example.org"],
)  # fmt: skip
def test_a_url_is_called_one(here, url):
    for given in (url, Path(url)):
        with pytest.raises(SightlineError, match="is a URL, not a file here: download it"):
            sightline.load_data(given)
        with pytest.raises(SightlineError, match="is a URL"):
            sightline.load_model(given)


def test_a_windows_path_is_no_url():
    assert "URL" not in missing(r"C:\photos", "no such folder")
    assert "URL" not in missing("C:/photos", "no such folder")


def test_a_run_and_a_picture_are_looked_for_too(here):
    with pytest.raises(SightlineError, match="no such run; did you mean runs/mine"):
        sightline.load_model("runs/mnie")
    from sightline.data import images

    with pytest.raises(DataError, match=r"did you mean photos/cat/1\.jpg"):
        images.decode("photos/cat/2.jpg")
