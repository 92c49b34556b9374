"""Names of files as people have them: other bytes than UTF-8's, accents in parts, hidden ones."""

from __future__ import annotations

import json
import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightline.data import text
from sightline.data.load import load_data

CAFE = "café"
IN_PARTS = unicodedata.normalize("NFD", CAFE)


def photo(path, level=100):
    Path(os.fsdecode(path)).parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(level).integers(0, 256, (12, 12, 3), np.uint8)
    Image.fromarray(pixels).save(os.fsdecode(path), format="PNG")


def gbk(name):
    return os.fsdecode(name.encode("gbk"))


@pytest.fixture
def chinese(tmp_path):
    """Folders of classes as a zip of a Chinese Windows leaves them on Linux."""
    for n, name in enumerate(("猫", "狗")):
        for k in range(8):
            photo(tmp_path / gbk("照片") / gbk(name) / f"{k}.png", 10 * n + k)
    return tmp_path / gbk("照片")


def test_class_folders_in_gbk_have_their_names(chinese):
    data = load_data(chinese)
    assert sorted(data.classes) == ["狗", "猫"]
    assert data.name == "照片"
    assert {item.id.split("/")[0] for item in data.source.items} == {"狗", "猫"}
    assert any("2 names are not UTF-8, and read as GB 18030" in note for note in data.notes)
    assert data.train[0].image.shape == (12, 12, 3)


def test_all_that_is_written_of_names_in_gbk_can_be_read(chinese, tmp_path, monkeypatch):
    from sightline.cli.main import status

    monkeypatch.chdir(tmp_path)
    assert status(["train", "nearest-mean", str(chinese), "-o", "run"]) == 0
    config = json.loads((tmp_path / "run/config.json").read_bytes())
    assert config["data"]["path"] == str(chinese)
    assert "狗" in (tmp_path / "run/report.html").read_text("utf-8")
    picture = str(next(chinese.rglob("*.png")))
    for command in (
        ["data", "audit", str(chinese)], ["eval", "run", str(chinese)], ["predict", "run", picture],
        ["data", "show", str(chinese), "-o", "sheet.png"], ["predict", "run", picture, "-o", "out"],
        ["data", "convert", "--to", "csv", str(chinese), "table"],
    ):  # fmt: skip
        assert status(command) in (0, 1), command
    assert "狗" in (tmp_path / "table/labels.csv").read_text("utf-8-sig")


def test_json_of_names_in_gbk_is_json(chinese, capfdbinary):
    from sightline.cli.main import status

    assert status(["data", "audit", str(chinese), "--json"]) == 0
    json.loads(capfdbinary.readouterr().out.decode("utf-8"))


def test_two_forms_of_a_name_are_one_class(tmp_path):
    for split, name in (("train", CAFE), ("test", IN_PARTS)):
        for k in range(6):
            photo(tmp_path / "d" / split / name / f"{k}.png", k)
            photo(tmp_path / "d" / split / "b" / f"{k}.png", 50 + k)
    data = load_data(tmp_path / "d")
    assert data.classes == ("b", CAFE)
    assert data.test.counts() == {"b": 6, CAFE: 6}


def _yolo(folder, picture, label, listed):
    photo(folder / "images" / f"{picture}.png")
    (folder / "labels").mkdir()
    (folder / "labels" / f"{label}.txt").write_text("0 .5 .5 .5 .5\n")
    (folder / "train.txt").write_bytes(f".\\images\\{listed}.png\r\n".encode())
    (folder / "data.yaml").write_text("train: train.txt\nnames: [cat]\n")


def _voc(folder, picture, label, listed):
    photo(folder / "JPEGImages" / f"{picture}.png")
    for place, name, content in (
        ("Annotations", f"{label}.xml", "<annotation><size><width>12</width><height>12</height>"
         "</size><object><name>cat</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9"
         "</ymax></bndbox></object></annotation>"),
        ("Annotations", f"._{label}.xml", "\0\5\26\7"),
        ("ImageSets/Main", "train.txt", f"{listed}\n"),
    ):  # fmt: skip
        (folder / place).mkdir(parents=True, exist_ok=True)
        (folder / place / name).write_text(content)


def _coco(folder, picture, label, listed):
    photo(folder / "images" / f"{picture}.png")
    (folder / "annotations").mkdir()
    (folder / "annotations/._instances_train.json").write_bytes(b'\0"images" "annotations"')
    page = {
        "images": [{"id": 1, "file_name": f"images\\{listed}.png", "width": 12, "height": 12}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 8, 8]}],
        "categories": [{"id": 1, "name": "cat"}],
    }
    (folder / "annotations/instances_train.json").write_text(json.dumps(page))


@pytest.mark.parametrize("write", [_yolo, _voc, _coco])
@pytest.mark.parametrize("on_disk", [CAFE, IN_PARTS])
@pytest.mark.parametrize("listed", [CAFE, IN_PARTS])
def test_names_are_matched_in_either_form(tmp_path, write, on_disk, listed):
    from sightline.data import coco, voc, yolo

    folder = tmp_path / "d"
    folder.mkdir()
    write(folder, on_disk, listed, listed)
    reader = {_yolo: yolo, _voc: voc, _coco: coco}[write]
    assert reader.why_not(folder) is None
    data = reader.read(folder, "d")
    assert len(data.source.items) == 1
    assert len(data.source.items[0].annotation.boxes) == 1


def test_a_folder_is_named_in_either_form(tmp_path):
    for k in range(16):
        photo(tmp_path / IN_PARTS / "ab"[k % 2] / f"{k}.png", k)
    assert load_data(tmp_path / CAFE).name == CAFE


def test_bulk_answers_have_names_that_are_text(chinese, tmp_path, monkeypatch):
    import pyarrow.parquet

    from sightline.cli.main import status

    monkeypatch.chdir(tmp_path)
    assert status(["train", "nearest-mean", str(chinese), "-o", "run"]) == 0
    assert status(["predict", "run", str(chinese), "-o", "out.parquet"]) == 0
    answers = pyarrow.parquet.read_table(tmp_path / "out.parquet").to_pydict()
    assert len(answers["image"]) == 16
    assert sum(r"\xb9\xb7" in name for name in answers["image"]) == 8


def test_a_table_names_files_in_either_form(tmp_path):
    for k in range(8):
        photo(tmp_path / "d" / "a" / f"{IN_PARTS}{k}.png", k)
    rows = "".join(f"a\\{CAFE}{k}.png,{'ab'[k % 2]}\n" for k in range(8))
    (tmp_path / "d/t.csv").write_text("file,label\n" + rows, encoding="gb18030")
    assert len(load_data(tmp_path / "d/t.csv").source.items) == 8


def test_names_of_one_folder_are_read_together():
    assert text.names([gbk("猫"), gbk("狗"), "plain", "汉字"]) == {gbk("猫"): "猫", gbk("狗"): "狗"}
    assert text.names(["è", IN_PARTS]) == {IN_PARTS: CAFE}
    assert text.names(["a\ud800"]) == {"a\ud800": r"a\ud800"}
    assert text.names([os.fsdecode(b"M\xfcller")]) == {os.fsdecode(b"M\xfcller"): "Müller"}


def test_names_command_no_terminal(tmp_path, monkeypatch, capsys):
    from sightline.cli.main import status

    monkeypatch.chdir(tmp_path)
    for k in range(8):
        photo(tmp_path / "d" / "a\x1b[31m" / f"{k}\x9b2J.png", k)
        photo(tmp_path / "d" / "b\nc" / f"{k}.png", 50 + k)
    assert load_data(tmp_path / "d").classes == (r"a\x1b[31m", "b\nc")
    picture = str(tmp_path / "d" / "a\x1b[31m" / "0\x9b2J.png")
    assert status(["train", "nearest-mean", "d", "-o", "run"]) == 0
    for command in (["data", "audit", "d"], ["predict", "run", picture], ["eval", "run", "d"],
                    ["data", "audit", "no\x1b[31m"], ["predict", "run", "no\x1b[31m.png"],
                    ["predict", "run", picture, "--json"]):  # fmt: skip
        status(command)
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert "\x9b" not in out + err
    assert r"\x1b[31m" in out + err


def test_json_keeps_what_names_are():
    names = ["a\x9b", os.fsdecode(b"\xb9"), "猫", "\x7f"]
    written = text.escaped(json.dumps(names, ensure_ascii=False))
    assert json.loads(written) == names
    assert text.readable(written) == written
    written.encode("utf-8")


def test_a_pipe_among_pictures_is_not_waited_for(tmp_path):
    for k in range(16):
        photo(tmp_path / "d" / "ab"[k % 2] / f"{k}.png", k)
    os.mkfifo(tmp_path / "d" / "a" / "pipe.png")
    data = load_data(tmp_path / "d")
    assert any("is no file, but a pipe or a device" in note for note in data.notes)
