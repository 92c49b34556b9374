"""`predict` of detectors: pictures, files for other programs, thresholds, tiles and videos."""

from __future__ import annotations

import csv
import json
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sightline
from sightline.cli.main import status as main

CLASSES = ("=cat", "猫")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A run of the floor, which answers alike for every picture, and some pictures."""
    folder = tmp_path_factory.mktemp("objects")
    for name in ("images", "labels"):
        (folder / "set" / name).mkdir(parents=True)
    (folder / "set/classes.txt").write_text("\n".join(CLASSES), encoding="utf-8")
    rows = ["0 0.25 0.5 0.3 0.4\n1 0.75 0.5 0.2 0.6", "0 0.25 0.5 0.3 0.4"]
    for i in range(12):
        Image.new("RGB", (40, 20), (9 * i, 0, 0)).save(folder / f"set/images/{i:02}.png")
        (folder / f"set/labels/{i:02}.txt").write_text(rows[i % 2], encoding="utf-8")
    data = sightline.load_data(folder / "set")
    sightline.create_model("average-box", data).fit(data.train).save(folder / "run")
    (folder / "new/sub").mkdir(parents=True)
    Image.new("RGB", (100, 50), "white").save(folder / "new/a.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (80, 40), "white").save(folder / "new/sub/turned.jpg", exif=exif)
    (folder / "new/bad.jpg").write_bytes(b"no picture")
    return folder


@pytest.fixture
def says(place, capsys, monkeypatch):
    monkeypatch.chdir(place)

    def call(*words):
        status = main([*map(str, words), "--json"])
        written = capsys.readouterr()
        return status, json.loads(written.out) if written.out else written.err

    return call


@pytest.fixture
def strict(place):
    """Set the thresholds of the run, and take them back."""
    config = place / "run/config.json"
    before = config.read_text(encoding="utf-8")

    def change(*limits):
        config.write_text(
            json.dumps(json.loads(before) | {"thresholds": list(limits)}), encoding="utf-8"
        )

    yield change
    config.write_text(before, encoding="utf-8")


def test_answers_are_written_for_other_programs(says, place, tmp_path):
    status, said = says("predict", "run", "new", "-o", tmp_path / "out")
    assert status == 2  # a picture cannot be read
    a, bad, turned = said
    assert "error" in bad
    out = tmp_path / "out"
    assert sorted(p.name for p in out.iterdir()) == ["a.png", "answers", "sub"]
    out = out / "answers"
    assert sorted(p.name for p in out.iterdir()) == [
        "classes.txt", "coco.json", "labels", "objects.csv", "objects.json",
    ]  # fmt: skip
    page = json.loads((out / "objects.json").read_text(encoding="utf-8"))
    assert [p["objects"] for p in page] == [a["objects"], turned["objects"]]
    assert [p["image"] for p in page] == ["a.jpg", "sub/turned.jpg"]
    assert (page[1]["width"], page[1]["height"]) == (40, 80)  # upright, as its boxes are
    corners = np.array([one["box"] for one in turned["objects"]])
    assert (corners <= (40, 80, 40, 80)).all()
    assert corners[:, 3].max() > 40
    rows = list(csv.DictReader((out / "objects.csv").open(encoding="utf-8-sig")))
    assert [row["label"] for row in rows] == ["'=cat", "猫"] * 2
    assert float(rows[1]["xmin"]) == pytest.approx(a["objects"][1]["box"][0], abs=0.01)
    assert float(rows[0]["score"]) == pytest.approx(1)
    drawn = np.asarray(Image.open(out.parent / "a.png"))
    assert drawn.shape[0] / drawn.shape[1] == 0.5
    assert (drawn != 255).any()


def test_coco_has_the_numbers_of_the_categories_that_were_trained_on(says, place, tmp_path):
    config = place / "run/config.json"
    before = config.read_text(encoding="utf-8")
    known = json.loads(before)
    known["data"] |= {"category_ids": [1, 4]}
    config.write_text(json.dumps(known), encoding="utf-8")
    try:
        says("predict", "run", "new/a.jpg", "-o", tmp_path, "--save", "coco")
    finally:
        config.write_text(before, encoding="utf-8")
    page = json.loads((tmp_path / "answers/coco.json").read_text(encoding="utf-8"))
    assert [c["id"] for c in page["categories"]] == [1, 4]
    assert [a["category_id"] for a in page["annotations"]] == [1, 4]
    assert page["annotations"][0]["area"] > 0


@pytest.mark.parametrize("kind", ["coco", "yolo"])
def test_what_is_written_can_be_loaded_as_a_data_set(kind, says, place, tmp_path):
    _, said = says("predict", "run", "new/a.jpg", "new/sub", "-o", tmp_path, "--save", kind)
    out = tmp_path / "answers"
    shutil.copytree(place / "new", out / ("images/new" if kind == "yolo" else "new"))
    next(out.rglob("bad.jpg")).unlink()
    data = sightline.load_data(out, layout=kind)
    assert data.classes == CLASSES
    boxes = {item.id.rpartition("/")[2]: item.annotation.boxes for item in data.source.items}
    for one in said:
        wanted = [o["box"] for o in one["objects"]]
        np.testing.assert_allclose(boxes[one["image"].rpartition("/")[2]], wanted, atol=0.01)
    others = {"coco": ("labels", "objects.csv"), "yolo": ("coco.json", "objects.json")}
    assert not any((out / name).exists() for name in others[kind])


def test_files_of_the_same_names_are_left_alone(says, place, tmp_path):
    """Who writes beside a data set keeps its labels."""
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.txt").write_text("0 0.5 0.5 1 1\n")
    (tmp_path / "classes.txt").write_text("mine\n")
    says("predict", "run", "new/a.jpg", "-o", tmp_path)
    assert (tmp_path / "labels/a.txt").read_text() == "0 0.5 0.5 1 1\n"
    assert (tmp_path / "classes.txt").read_text() == "mine\n"
    assert (tmp_path / "answers/labels").is_dir()


def test_pictures_that_differ_in_their_ending_keep_their_own_labels(says, place, tmp_path):
    for name in ("a.jpg", "a.png"):
        Image.new("RGB", (40, 20)).save(tmp_path / name)
    says("predict", "run", tmp_path, "-o", tmp_path / "out", "--save", "coco,yolo")
    out = tmp_path / "out/answers"
    assert sorted(p.name for p in (out / "labels").iterdir()) == ["a.txt", "a_png.txt"]
    page = json.loads((out / "coco.json").read_text(encoding="utf-8"))
    assert [image["file_name"] for image in page["images"]] == ["a.jpg", "a.png"]


def test_a_video_is_not_written_over_its_input(says, place, tmp_path):
    pytest.importorskip("av")
    from sightline.data.video import Writer

    with Writer(tmp_path / "film.mp4", Fraction(5)) as writer:
        writer.add(np.zeros((48, 64, 3), np.uint8))
    before = (tmp_path / "film.mp4").read_bytes()
    _, (said,) = says("predict", "run", tmp_path / "film.mp4", "-o", tmp_path)
    assert (tmp_path / "film.mp4").read_bytes() == before
    assert said["written"][0].endswith("film-2.mp4")


def test_the_runs_own_thresholds_hold_unless_another_is_asked_for(says, strict):
    def names(*words):
        return [o["label"] for o in says("predict", "run", "new/a.jpg", *words)[1][0]["objects"]]

    assert names() == ["=cat", "猫"]
    strict(0.9, 0.6)
    assert names() == ["=cat"]
    assert names("--threshold", "auto") == ["=cat"]
    assert names("--threshold", "0.31") == ["=cat", "猫"]
    strict(0.0, 0.0)  # of classes that validation did not have: not below 0.3
    assert names() == ["=cat", "猫"]
    strict(1.0, 1.0)
    assert names("--threshold", "0.95") == ["=cat"]
    assert names("--threshold", "0") == ["=cat", "猫"]
    strict(0.0, 0.6)
    assert names() == ["=cat"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--threshold", "0.5", "--reject", "0.5"], "exclude each other"),
        (["--threshold", "2"], "--threshold must be between 0 and 1, or auto, not 2"),
        (["--save", "xml", "-o", "o"], "unknown --save 'xml'; known: coco"),
        (["--save", "coco"], "--save needs a folder"),
        (["--tile", "9"], "at least 32 pixels, not 9"),
        (["--tile", "64", "-o", "o.parquet"], "--save and --track are for an output folder"),
        (["--threshold", "auto"], "has no thresholds"),
    ],
)
def test_what_cannot_be_asked_for_is_said(words, message, place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    assert main(["predict", "run", "new/a.jpg", *words]) == 2
    said = capsys.readouterr().err
    assert message in " ".join(said.split())
    assert "Traceback" not in said


def test_tiles_are_asked_one_picture_at_a_time(says):
    whole = says("predict", "run", "new/a.jpg")[1][0]["objects"]
    tiled = says("predict", "run", "new/a.jpg", "--tile", "50")[1][0]["objects"]
    assert len(whole) == 2
    assert len(tiled) > 2
    assert max(o["box"][2] for o in tiled) <= 100


def test_a_video_is_answered_for_frame_by_frame(says, place, tmp_path):
    av = pytest.importorskip("av")
    from sightline.data.video import Video, Writer

    film = tmp_path / "film.mp4"
    with Writer(film, Fraction(5)) as writer:
        for i in range(20):
            writer.add(np.full((48, 64, 3), 10 * i, np.uint8))
    status, (said,) = says("predict", "run", film, "-o", tmp_path / "out")
    assert status == 0
    assert (said["frames"], said["damaged"]) == (20, [])
    assert said["seconds"] == pytest.approx(19 / 5)
    assert list(said["answers"].values()) == [20]
    rows = [json.loads(line) for line in (tmp_path / "out/film.jsonl").read_text().splitlines()]
    assert [row["frame"] for row in rows] == list(range(20))
    assert [o["label"] for o in rows[3]["objects"]] == list(CLASSES)
    with Video(tmp_path / "out/film.mp4") as drawn:
        assert len(list(drawn)) == 20
    container = av.open(str(film))
    at, size = [(p.pos, p.size) for p in container.demux(video=0) if p.size][7]
    container.close()
    content = bytearray(film.read_bytes())
    content[at : at + size] = b"\x55" * size
    film.write_bytes(content)
    (tmp_path / "text.mp4").write_text("no film")
    status, said = says("predict", "run", "new/a.jpg", film, tmp_path / "text.mp4")
    picture, damaged, text = said
    assert status == 2
    assert picture["image"] == "new/a.jpg"
    assert len(damaged["damaged"]) == 1
    assert damaged["frames"] >= 15
    assert "no video that can be read" in text["error"]


def test_objects_of_a_video_are_followed_and_counted(says, place, tmp_path):
    pytest.importorskip("av")
    pytest.importorskip("trackers")
    from sightline.data.video import Writer

    film = tmp_path / "片.mp4"
    with Writer(film, Fraction(5)) as writer:
        for _ in range(8):
            writer.add(np.zeros((50, 100, 3), np.uint8))
    status, (said,) = says(
        "predict", "run", film, "--track", "--threshold", "0.1", "-o", tmp_path / "out",
        "--zone", "all=0,0,100,0,100,50,0,50", "--count-line", "0,25,100,25",
    )  # fmt: skip
    assert status == 0
    assert sum(said["counts"]["tracks"].values()) >= 1
    assert said["counts"]["zones"][0]["name"] == "all"
    assert said["counts"]["zones"][0]["visitors"] == sum(said["counts"]["tracks"].values())
    assert said["counts"]["lines"][0]["in"] == 0
    names = ["片.counts.json", "片.jsonl", "片.mot.txt", "片.mp4", "片.tracks.csv"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == names
    assert (
        json.loads((tmp_path / "out/片.counts.json").read_text("utf-8"))["tracker"] == "bytetrack"
    )
    with (tmp_path / "out/片.tracks.csv").open(encoding="utf-8-sig", newline="") as file:
        heading, *rows = csv.reader(file)
    assert heading[:5] == ["frame", "seconds", "track", "class", "score"]
    assert {row[3] for row in rows} <= {"'=cat", "猫"}  # nothing is computed when it is opened
    lines = (tmp_path / "out/片.mot.txt").read_text().splitlines()
    assert len(lines) == len(rows) == 7 * sum(said["counts"]["tracks"].values())
    assert lines[0].startswith("2,1,")  # told from the second frame on; frames from 1
    first, *_, last = map(json.loads, (tmp_path / "out/片.jsonl").read_text("utf-8").splitlines())
    assert [one["track"] for one in first["objects"]] == [None] * len(first["objects"])
    assert {one["track"] for one in last["objects"]} == {int(row[2]) for row in rows}
    for words, text in (
        (("new/a.jpg", "--track"), "through videos, and none"),
        ((film, "--zone", "0,0,1,1,0,1"), "need --track"),
        ((film, "--track", "--count-line", "0,0,500,0"), "leaves the picture"),
        ((film, "--track", "--tracker", "deepsort"), "tracker"),
    ):
        status, err = says("predict", "run", *words)
        assert status == 2
        assert text in err


def test_a_folders_videos_are_taken_up_where_they_can_be_read(says, place, tmp_path, monkeypatch):
    pytest.importorskip("av")
    from sightline.data import video

    folder = tmp_path / "mixed/deeper"
    folder.mkdir(parents=True)
    Image.new("RGB", (64, 48)).save(tmp_path / "mixed/a.png")
    with video.Writer(folder / "film.MP4", Fraction(5)) as writer:
        for _ in range(3):
            writer.add(np.zeros((48, 64, 3), np.uint8))
    status, said = says("predict", "run", tmp_path / "mixed", "-o", tmp_path / "out")
    assert status == 0
    assert [Path(one.get("image") or one["video"]).name for one in said] == ["a.png", "film.MP4"]
    assert said[1]["frames"] == 3
    assert len(said[1]["written"]) == 2
    monkeypatch.setattr(video, "installed", lambda: False)
    status, said = says("predict", "run", tmp_path / "mixed")
    assert (status, len(said)) == (0, 1)


def test_classifiers_have_no_files_and_no_tiles(place, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(place)
    digits = sightline.load_data("digits")
    sightline.create_model("nearest-mean").fit(digits.train).save(tmp_path / "run")
    for words, message in (
        (["--tile", "64"], "--tile is for objects and segmentation"),
        (["--save", "coco", "-o", "o"], "--save is for objects and segmentation"),
    ):
        assert main(["predict", str(tmp_path / "run"), "new/a.jpg", *words]) == 2
        assert message in " ".join(capsys.readouterr().err.split())
