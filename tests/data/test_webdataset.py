"""Shards are read in place; what is wrong with one is said in a line; nothing goes in silence."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import tarfile
import time

import numpy as np
import pytest
from PIL import Image

from sightline.cli import main
from sightline.data import archive, audit, images, mend, place, webdataset
from sightline.data.convert import convert
from sightline.data.load import load_data
from sightline.errors import DataError, TooLargeError


def picture(value=0, kind="PNG", size=(9, 7)):
    held = io.BytesIO()
    pixels = np.random.default_rng(value).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).save(held, kind)
    return held.getvalue()


def shard(path, members, *, mode="w", shape=tarfile.PAX_FORMAT):
    """Write a tar of names and bytes; a TarInfo stands for itself."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode, format=shape) as tar:
        for name, body in members.items() if isinstance(members, dict) else members:
            member = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            member.size = len(body) if body is not None else member.size
            tar.addfile(member, None if body is None else io.BytesIO(body))
    return path


def samples(first, n, classes=2):
    """Members of some images of classes by number."""
    found = {}
    for i in range(first, first + n):
        found[f"{i:05}.png"] = picture(i)
        found[f"{i:05}.cls"] = str(i % classes).encode()
    return found


def read(folder):
    return webdataset.read(folder, "made")


def labels(data):
    return [(item.id, data.classes[item.label]) for item in data.source.items]


@pytest.mark.parametrize("shape", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_shards_are_read_where_they_lie(tmp_path, home, shape):
    deep = "d" * 90 + "/" + "e" * 60  # over a hundred letters: each form has its own way
    shard(tmp_path / "set/train-000000.tar", samples(0, 8) | {
        f"{deep}.png": picture(50), f"{deep}.cls": b"1"
    }, shape=shape)  # fmt: skip
    shard(tmp_path / "set/train-000001.tar", samples(8, 4), shape=shape)
    shard(tmp_path / "set/val-000000.tar", samples(20, 3), shape=shape)
    shard(tmp_path / "set/test-000000.tar", samples(30, 3), shape=shape)
    data = load_data(tmp_path / "set")
    assert data.layout == "webdataset"
    assert {name: len(split) for name, split in data.splits.items()} == {
        "train": 13, "val": 3, "test": 3
    }  # fmt: skip
    assert data.classes == ("0", "1")
    known = dict(labels(data))
    assert known["train-000000.tar/00001.png"] == known["test-000000.tar/00031.png"] == "1"
    assert data.notes == []
    rows = {item.id: row for row, item in enumerate(data.source.items)}
    long = f"train-000000.tar/{deep}.png"
    wanted_values = {long: 50, "train-000001.tar/00009.png": 9, "val-000000.tar/00020.png": 20}
    for name, value in wanted_values.items():
        with Image.open(io.BytesIO(picture(value))) as wanted:
            assert np.array_equal(data.sample(rows[name]).image, np.asarray(wanted))
    assert not (home / "archives").exists()
    image = data.source.items[rows[long]].image
    assert pickle.loads(pickle.dumps(image)) == image
    assert image.name == f"{deep}.png"


def test_splits_come_from_folders_or_from_names(tmp_path):
    shard(tmp_path / "a/train/x-000000.tar", samples(0, 3))
    shard(tmp_path / "a/validation/x-000000.tar", samples(3, 2))
    shard(tmp_path / "b/set-train-0.tar", samples(0, 3))
    shard(tmp_path / "b/set_valid_0.tar", samples(3, 2))
    for name in "ab":
        found = read(tmp_path / name)
        assert {split: len(rows) for split, rows in found.rows.items()} == {"train": 3, "val": 2}
    ids = [item.id for item in read(tmp_path / "a").source.items]
    assert len(set(ids)) == 5
    assert ids[3] == "validation/x-000000.tar/00003.png"
    shard(tmp_path / "c/x-000000.tar", samples(0, 40))
    assert {name: len(s) for name, s in load_data(tmp_path / "c").splits.items()} == {
        "train": 28, "val": 6, "test": 6
    }  # fmt: skip
    shard(tmp_path / "b/set-1.tar", samples(9, 2))
    with pytest.raises(DataError, match=r"set-1\.tar belongs to no split, and other shards do"):
        read(tmp_path / "b")


def test_labels_are_numbers_names_or_json(tmp_path):
    told = {
        "a.cls": b"dog\n", "b.cls": b"\xef\xbb\xbfcat", "c.json": json.dumps({"label": "dog"}),
        "d.json": '"red fox"', "e.json": '{"class": "cat", "x": [1]}', "f.cls": "\u72d0",
    }  # fmt: skip
    members = {}
    for name, text in told.items():
        members[f"{name[0]}.JPG"] = picture(kind="JPEG")
        members[name] = text if isinstance(text, bytes) else text.encode()
    shard(tmp_path / "x-0.tar", members)
    found = read(tmp_path)
    assert found.classes == ("cat", "dog", "red fox", "\u72d0")
    assert [name for _, name in labels(found)] == ["dog", "cat", "dog", "red fox", "cat", "\u72d0"]
    shard(tmp_path / "x-0.tar", {"a.png": picture(), "a.cls": b"10", "b.png": picture(1)}
          | {"b.json": b'{"label": 9}', "c.png": picture(2), "c.cls": b"007"})  # fmt: skip
    assert read(tmp_path).classes == ("7", "9", "10")
    (tmp_path / "classes.txt").write_text("".join(f"class {i}\n" for i in range(11)))
    assert [name for _, name in labels(read(tmp_path))] == ["class 10", "class 9", "class 7"]
    (tmp_path / "classes.txt").write_text("a\nb\n")
    with pytest.raises(DataError, match=r"x-0\.tar: 3 images have a label that is none of the 2 "):
        read(tmp_path)
    (tmp_path / "classes.txt").write_text("a\nb\na\n")
    with pytest.raises(DataError, match="the class 'a' is there twice"):
        read(tmp_path)


def test_the_key_ends_at_the_first_dot_after_the_folders(tmp_path):
    shard(tmp_path / "x-0.tar", {
        "v1.0/a.png": picture(), "v1.0/a.cls": b"0", "b.png": picture(1), "b.seg.png": picture(2),
        "b.cls": b"1", "b.txt": b"a text", "c.txt": b"another",
    })  # fmt: skip
    found = read(tmp_path)
    assert labels(found) == [("x-0.tar/v1.0/a.png", "0"), ("x-0.tar/b.png", "1")]
    assert found.notes == [
        "1 member .seg.png is not used, first x-0.tar",
        "2 members .txt are not used, first x-0.tar",
    ]  # fmt: skip


def special(name, kind, target=""):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def test_what_is_wrong_is_counted_and_named(tmp_path):
    good = samples(0, 2)
    shard(tmp_path / "x-0.tar", [
        *good.items(),
        (special("folder", tarfile.DIRTYPE), None),
        (special("link.png", tarfile.SYMTYPE, "/etc/passwd"), None),
        (special("hard.png", tarfile.LNKTYPE, "00000.png"), None),
        ("../out.png", picture()), ("/etc/x.png", picture()), ("a\\..\\..\\b.png", picture()),
        ("two.png", picture()), ("two.jpg", picture(1, "JPEG")), ("two.cls", b"1"),
        ("again.png", picture()), ("again.png", picture(1)), ("again.cls", b"1"),
        ("lonely.png", picture()), ("other.png", picture()),
        ("nothing.cls", b"1"),
        ("many.png", picture()), ("many.cls", b"0"), ("many.cls", b"1"),
        ("bad.png", picture()), ("bad.json", b'{"label": '),
        ("deep.png", picture()), ("deep.json", b"[" * 100_000),
        ("long.png", picture()), ("long.cls", b"1" * 5000),
        ("empty.png", picture()), ("empty.cls", b""), ("none.png", picture()), ("none.cls", b"-1"),
        ("both.png", picture()), ("both.cls", b"0"), ("both.json", b'{"label": 1}'),
        ("._00000.png", b"resource"), ("__meta__.json", b"{}"),
    ])  # fmt: skip
    found = read(tmp_path)
    assert labels(found) == [
        ("x-0.tar/00000.png", "0"), ("x-0.tar/00001.png", "1"), ("x-0.tar/both.png", "0")
    ]  # fmt: skip
    assert found.notes == [
        "2 members that are no plain files (links, holes) are left out, first x-0.tar:link.png",
        "3 members with names that point outside are left out, first x-0.tar:../out.png",
        "2 hidden members are passed over, first x-0.tar:._00000.png",
        "2 keys with several images are left out, first x-0.tar:two (two.png and two.jpg)",
        "2 images without a label are left out, first x-0.tar:lonely",
        "1 label without an image is left out, first x-0.tar:nothing",
        "1 key with several labels is left out, first x-0.tar:many",
        "5 images whose label says no class are left out, first x-0.tar:bad",
        "1 key has another class in .json than in .cls, which is taken, first x-0.tar:both",
    ]


def test_names_of_no_text_stay_one_line(tmp_path):
    shard(tmp_path / "x-0.tar", [*samples(0, 1).items(), ("a\n\x1b[2J.png", picture())])
    path = tmp_path / "x-0.tar"
    path.write_bytes(path.read_bytes().replace(b"00000.", b"\xff\xff000."))
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for name, body in (("\udcff\udcff.png", picture()), ("\udcff\udcff.cls", b"0")):
            member = tarfile.TarInfo(name)
            member.size = len(body)
            tar.addfile(member, io.BytesIO(body))
        member = tarfile.TarInfo("a\n\x1b[2J.png")
        tar.addfile(member)
    found = read(tmp_path)
    assert found.source.items[0].id == r"x-0.tar/\xff\xff.png"
    assert found.notes == [r"1 image without a label is left out, first x-0.tar:a\n\x1b[2J"]
    assert len(found.fingerprint()) == 16
    found.sample(0)


def test_a_shard_that_was_cut_short_says_where(tmp_path):
    path = shard(tmp_path / "x-0.tar", samples(0, 10))
    shard(tmp_path / "x-1.tar", samples(10, 1))
    whole = path.read_bytes()
    with tarfile.open(path) as tar:
        places = {member.name: member for member in tar}
    cuts = {
        places["00004.png"].offset_data + 100: (8, "unexpected end of data"),
        places["00004.png"].offset + 100: (8, ""),
        places["00004.png"].offset: (8, "no end mark"),
        places["00009.cls"].offset_data + 1: (20, ""),
    }
    for cut, (members, why) in cuts.items():
        path.write_bytes(whole[:cut])
        found = read(tmp_path)
        assert len(found.source.items) == members // 2 + 1
        assert len(found.notes) == 1
        assert "1 shard is cut short or broken, and the rest is missing" in found.notes[0]
        assert f"first x-0.tar after {members} whole members (" in found.notes[0]
        assert why in found.notes[0]


def test_a_broken_header_in_the_middle_is_not_taken_for_the_end(tmp_path):
    path = shard(tmp_path / "x-0.tar", samples(0, 10))
    with tarfile.open(path) as tar:
        where = next(m.offset for m in tar if m.name == "00005.png")
    whole = path.read_bytes()
    path.write_bytes(whole[:where] + b"\xaa" * 512 + whole[where + 512 :])
    found = read(tmp_path)
    assert len(found.source.items) == 5
    assert f"no header at byte {where:,}" in found.notes[0]
    path.write_bytes(whole + shard(tmp_path / "other/y.tar", samples(50, 2)).read_bytes())
    found = read(tmp_path)
    assert len(found.source.items) == 10
    assert "as of two tars that were joined" in found.notes[0]


def header(name, size):
    """A header of ustar that states any size, also one below 0."""
    member = tarfile.TarInfo(name)
    member.size = 0
    block = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    block[124:136] = tarfile.itn(size, 12, tarfile.GNU_FORMAT)
    block[148:156] = b" " * 8
    block[148:155] = b"%06o\0" % sum(block)
    return bytes(block)


@pytest.mark.parametrize("size", [2**62, 10**9, -512, -1])
def test_sizes_that_lie_are_not_believed(tmp_path, size):
    path = shard(tmp_path / "x-0.tar", samples(0, 2))
    whole = path.read_bytes()
    with tarfile.open(path) as tar:
        end = tar.getmembers()[-1].offset_data + 512
    path.write_bytes(whole[:end] + header("huge.png", size) + bytes(1024))
    start = time.perf_counter()
    found = read(tmp_path)
    assert time.perf_counter() - start < 5
    assert len(found.source.items) == 2
    assert "x-0.tar after 4 whole members" in found.notes[0]


def test_long_names_and_extended_headers_that_lie_are_told_of(tmp_path):
    path = shard(tmp_path / "x-0.tar", samples(0, 1))
    with tarfile.open(path) as tar:
        end = tar.getmembers()[-1].offset_data + 512
    whole = path.read_bytes()[:end]
    for kind in (b"L", b"x", b"g", b"S"):
        block = bytearray(header("././@LongLink", 2**40))
        block[156:157] = kind
        block[148:156] = b" " * 8
        block[148:155] = b"%06o\0" % sum(block)
        path.write_bytes(whole + bytes(block) + b"11 size=-1\n" + bytes(2000))
        found = read(tmp_path)
        assert len(found.source.items) == 1
        assert found.notes


def test_what_is_no_tar_or_is_compressed_is_refused(tmp_path):
    path = tmp_path / "x-000000.tar"
    shard(path, samples(0, 2), mode="w:gz")
    with pytest.raises(DataError, match=r"x-000000\.tar: is compressed \(gzip\), so that no image"):
        load_data(tmp_path)
    path.write_bytes(b"")
    with pytest.raises(DataError, match=r"x-000000\.tar: the file is empty; fetch it again"):
        load_data(tmp_path)
    path.write_bytes(b"<html>not found</html>" * 100)
    with pytest.raises(DataError, match=r"x-000000\.tar: is no tar \(.*\); fetch it again"):
        load_data(tmp_path)
    packed = tmp_path / "x-000000.tar.gz"
    path.rename(packed)
    with pytest.raises(
        DataError,
        match=r"not recognised .*x-000000\.tar\.gz: compressed shards "
        r"cannot be read at a place; unpack it to x-000000\.tar",
    ):
        load_data(tmp_path)  # fmt: skip
    with pytest.raises(DataError, match="compressed shards cannot be read"):
        load_data(tmp_path, layout="webdataset")
    shard(path, samples(0, 20))  # as `gunzip -k` leaves both
    assert len(load_data(tmp_path).source.items) == 20


def test_other_folders_and_tars_are_not_taken_for_shards(tmp_path):
    assert webdataset.why_not(tmp_path) == "no shards (NAME-000000.tar)"
    shard(tmp_path / "voc.tar", {"a/1.jpg": picture(), "a/1.xml": b"<annotation/>"})
    assert webdataset.why_not(tmp_path) == "no image with a KEY.cls or KEY.json in voc.tar"
    with pytest.raises(DataError, match=r"no image has a label in KEY\.cls or KEY\.json \(1 "):
        load_data(tmp_path, layout="webdataset")
    with pytest.raises(DataError, match="has no shards"):
        webdataset.read(tmp_path.parent / "nowhere", "x")


def test_ten_thousand_members_are_indexed_quickly(tmp_path):
    body, members = picture(size=(2, 2)), {}
    for i in range(5000):
        members[f"{i:05}.png"] = body
        members[f"{i:05}.cls"] = b"1" if i % 2 else b"0"
    shard(tmp_path / "x-0.tar", members)
    start = time.process_time()
    found = read(tmp_path)
    assert len(found.source.items) == 5000
    assert time.process_time() - start < 5  # 0.5 here


def test_a_changed_shard_is_not_served_stale(tmp_path):
    path = shard(tmp_path / "x-0.tar", samples(0, 20))
    first = load_data(tmp_path)
    X, y, _ = first.train.arrays((8, 8))
    before = path.stat()
    with tarfile.open(path) as tar:
        found = next(m for m in tar if m.name == "00003.png")
    same = bytearray(path.read_bytes())
    changed = picture(99)
    assert len(changed) <= found.size + 40
    white = io.BytesIO()
    Image.new("RGB", (9, 7), "white").save(white, "PNG")
    body = white.getvalue().ljust(found.size, b"\0")
    same[found.offset_data : found.offset_data + found.size] = body
    path.write_bytes(same)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    again = load_data(tmp_path)
    row = next(i for i, item in enumerate(again.source.items) if item.id.endswith("00003.png"))
    assert again.source.pack((8, 8)).pixels[row].min() == 255
    assert first.source.pack((8, 8)).pixels[row].min() < 255
    assert len(first.source.pack((8, 8)).pixels) == 20
    assert len(X) == len(y) == 14


def test_small_images_live_in_memory_and_are_verified(tmp_path):
    shard(tmp_path / "x-0.tar", samples(0, 20) | {"bad.png": b"no image", "bad.cls": b"0"})
    data = load_data(tmp_path, verify=True)
    assert data.size == (7, 9)
    assert "1 of 21 images cannot be read and are left out" in data.notes[0]
    assert f"{tmp_path}/x-0.tar:bad.png: not an image of a known format" in data.notes[0]


def test_an_audit_looks_into_shards_and_mends_them(tmp_path):
    shard(tmp_path / "set/train-0.tar", samples(0, 12) | {
        "bad.png": b"no image", "bad.cls": b"0", "none.png": b"", "none.cls": b"1",
        "named.png": picture(70, "JPEG"), "named.cls": b"1",
    })  # fmt: skip
    shard(tmp_path / "set/test-0.tar", samples(3, 1))  # which is in train, too
    data = load_data(tmp_path / "set", strict=False)
    found = audit.audit(data)
    broken = found.find("unreadable")
    assert broken.count == 2
    assert any("the file is empty" in example for example in broken.examples)
    assert all(example.startswith("train-0.tar/") for example in broken.examples)
    assert found.find("wrong-extension").examples == ("train-0.tar/named.png",)
    assert found.find("duplicate-across-splits").count == 1
    clean, _ = mend.fixed(data, found)
    convert(clean, tmp_path / "clean", "webdataset")
    again = audit.audit(load_data(tmp_path / "clean"))
    assert not {"unreadable", "wrong-extension", "duplicate-across-splits"} & {
        f.kind for f in again.findings
    }


@pytest.mark.parametrize("many", [False, True])
def test_folders_and_shards_survive_each_other(tmp_path, monkeypatch, many):
    if many:
        monkeypatch.setattr(webdataset, "PER_SHARD", 5)
    for split, first, n in (("train", 0, 13), ("val", 20, 4), ("test", 30, 3)):
        for i in range(first, first + n):
            name = ("cat", "red fox")[i % 2]
            path = tmp_path / "set" / split / name / f"v1.{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(picture(i))
    first = load_data(tmp_path / "set")
    seen = []
    assert convert(first, tmp_path / "shards", "webdataset", lambda *now: seen.append(now)) == []
    assert seen[-1] == (20, 20)
    names = sorted(p.name for p in (tmp_path / "shards").iterdir())
    assert names == ["classes.txt", "test-000000.tar"] + (
        [f"train-00000{i}.tar" for i in range(3 if many else 1)] + ["val-000000.tar"]
    )
    second = load_data(tmp_path / "shards")
    assert convert(second, tmp_path / "back", "folder") == []
    third = load_data(tmp_path / "back")
    for data in (second, third):
        assert data.classes == first.classes
        assert data.notes == []
        for name, split in first.splits.items():
            found = data.split(name)
            assert sorted(found.counts().items()) == sorted(split.counts().items())
            pixels = [sorted(s.image.tobytes() for s in part) for part in (split, found)]
            assert pixels[0] == pixels[1]
    with tarfile.open(tmp_path / "shards/train-000000.tar") as tar:  # the files as they were
        assert tar.extractfile(tar.getmembers()[0]).read() == picture(0)


def test_arrays_become_png_and_boxes_are_lost_and_said(tmp_path):
    digits = load_data("digits")
    few = digits.with_rows({"train": digits.train.rows[:30]})
    convert(few, tmp_path / "digits", "webdataset")
    again = read(tmp_path / "digits")
    assert again.classes == digits.classes
    assert [item.label for item in again.source.items] == few.train.labels.tolist()
    wanted = few.train[0].image
    assert np.array_equal(again.source.items[0].read_image("L"), wanted)
    scenes = load_data("shapes:count=30,size=32,objects=1")
    assert convert(scenes, tmp_path / "shapes", "webdataset") == ["the boxes and masks"]
    with pytest.raises(DataError, match="has no class an image"):
        convert(load_data("shapes:count=30,size=32"), tmp_path / "x", "webdataset")
    digits.classes = ("a\nb", *digits.classes[1:])
    with pytest.raises(DataError, match=r"the class 'a\\nb' cannot be a line of classes\.txt"):
        convert(digits, tmp_path / "y", "webdataset")
    assert not (tmp_path / "y").exists()


def test_an_archive_of_shards_is_unpacked_to_them(tmp_path):
    shard(tmp_path / "set/x-000000.tar", samples(0, 20))
    with tarfile.open(tmp_path / "all.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "set", "set")
    assert load_data(tmp_path / "all.tar.gz").layout == "webdataset"
    assert archive.is_archive(tmp_path / "all.tar.gz")


def test_a_member_is_read_as_a_file_is(tmp_path):
    path = shard(tmp_path / "x.tar", {"a/b.PNG": picture(3)})
    with tarfile.open(path) as tar:
        found = tar.getmembers()[0]
    member = place.Member(str(path), found.offset_data, found.size, found.name)
    assert place.is_file(member)
    assert place.is_file("x.png")
    assert not place.is_file(np.zeros((2, 2), np.uint8))
    assert not place.is_file(lambda: None)
    assert (place.name_of(member), place.suffix_of(member)) == ("b.PNG", ".png")
    assert place.size_of(member) == len(picture(3))
    assert np.array_equal(images.read(member), images.read(picture(3)))
    assert np.array_equal(images.as_array(member), images.as_array(picture(3)))
    with pytest.raises(TooLargeError, match="at most 1,073,741,824 are read"):
        images.read(place.Member(str(path), 0, 2**40, "a.png"))
    with pytest.raises(DataError, match=r"x\.tar:a\.png: the tar was cut short"):
        images.read(place.Member(str(path), 10**6, 10, "a.png"))
    path.unlink()
    with pytest.raises(DataError, match=r"x\.tar:a/b\.PNG: no such file"):
        images.read(member)


def test_the_command_line_writes_and_trains_on_shards(tmp_path, capsys):
    out = tmp_path / "shards"
    digits = load_data("digits")
    convert(digits.with_rows({"train": digits.train.rows[:60]}), tmp_path / "some", "folder")
    assert (
        main.status(["data", "convert", str(tmp_path / "some"), str(out), "--to", "webdataset"])
        == 0
    )
    assert f"webdataset: {out}" in capsys.readouterr().out
    assert main.status(["train", "knn", str(out), "-o", str(tmp_path / "run")]) == 0
    assert main.status(["data", "audit", str(out)]) in (0, 1)
    assert "unreadable" not in capsys.readouterr().out


def test_a_gzip_that_calls_itself_a_tar_is_named_by_what_it_is(tmp_path):
    (tmp_path / "x-0.tar").write_bytes(gzip.compress(b"x" * 1000))
    with pytest.raises(DataError, match="is compressed"):
        read(tmp_path)
