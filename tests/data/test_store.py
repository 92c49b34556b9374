"""Decoded once, found again while nothing has changed, and never half written."""

from __future__ import annotations

import errno
import functools
import os
import shutil
import signal
import subprocess
import sys
import time
import zlib
from collections import namedtuple
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from sightline.data import images, parts, store
from sightline.data.item import Item
from sightline.data.load import load_data
from sightline.errors import DataError

SIZE = (8, 8)


def pixels_of(seed):
    return np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), np.uint8)


def save(folder, count, start=0):
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(start, start + count):
        Image.fromarray(pixels_of(i)).save(folder / f"{i:04}.bmp")
    return [Item(p.name, str(p)) for p in sorted(folder.iterdir())]


@pytest.fixture
def items(tmp_path):
    return save(tmp_path / "images", 12)


@pytest.fixture
def decoded(monkeypatch):
    """Paths decoded so far."""
    seen = []
    original = images.decode

    def spy(path, **options):
        seen.append(path)
        return original(path, **options)

    monkeypatch.setattr(images, "decode", spy)
    return seen


def pack(items, size=SIZE, mode="RGB", resize="crop", progress=None):
    return store.pack(items, size, mode, resize, progress)


def entries(home):
    place = home / "pixels"
    return sorted(p.name for p in place.iterdir()) if place.exists() else []


def test_pixels_are_those_of_the_files(items):
    packed = pack(items)
    assert np.array_equal(packed.pixels, np.stack([pixels_of(i) for i in range(12)]))
    assert (packed.unreadable, packed.grey, packed.resized) == ({}, 0, 0)
    assert packed.digest == store.digest_of(packed.pixels)
    assert not packed.pixels.flags.writeable


def test_second_time_nothing_is_decoded(items, decoded):
    first = pack(items)
    assert len(decoded) == 12
    decoded.clear()
    second = pack(items)
    assert decoded == []
    assert np.array_equal(first.pixels, second.pixels)
    assert second.digest == first.digest


@pytest.mark.parametrize("change", [{"size": (4, 4)}, {"mode": "L"}])
def test_other_form_is_another_entry(items, decoded, change, home):
    pack(items)
    decoded.clear()
    pack(items, **change)
    assert len(decoded) == 12
    assert len(entries(home)) == 2


def test_other_way_of_resizing_is_another_entry(items):
    crop, stretch = (pack(items, (4, 8), resize=r).pixels for r in ("crop", "stretch"))
    assert not np.array_equal(crop, stretch)


def test_changed_file_is_noticed_though_size_and_time_are_as_before(items, decoded):
    pack(items)
    path = Path(items[3].image)
    before = path.stat()
    Image.fromarray(pixels_of(99)).save(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    decoded.clear()
    assert np.array_equal(pack(items).pixels[3], pixels_of(99))
    assert len(decoded) == 12


def test_added_and_removed_files_are_noticed(tmp_path, items):
    pack(items)
    more = save(tmp_path / "images", 1, start=12)
    assert len(pack(more).pixels) == 13
    assert len(pack(items[:5]).pixels) == 5


def test_unreadable_rows_are_told_and_black(items, decoded):
    Path(items[2].image).write_bytes(b"no image")
    Path(items[5].image).unlink()
    for _ in range(2):  # decoded, then from the cache
        packed = pack(items)
        assert sorted(packed.unreadable) == [2, 5]
        assert "not an image" in packed.unreadable[2]
        assert "no such file" in packed.unreadable[5]
        assert not packed.pixels[[2, 5]].any()
        assert np.array_equal(packed.pixels[3], pixels_of(3))


def test_grey_and_resized_are_counted(tmp_path):
    items = save(tmp_path / "images", 3)
    Image.new("L", (8, 8), 70).save(items[0].image)
    Image.new("RGB", (16, 16), (1, 2, 3)).save(items[1].image)
    packed = pack(items)
    assert (packed.grey, packed.resized) == (1, 1)
    assert (packed.pixels[0] == 70).all()
    assert (packed.pixels[1] == [1, 2, 3]).all()


def test_arrays_are_packed_without_the_disk(home):
    items = [Item(str(i), pixels_of(i)) for i in range(3)] + [Item("f", lambda: pixels_of(9))]
    packed = pack(items)
    assert np.array_equal(packed.pixels[3], pixels_of(9))
    assert entries(home) == []


def test_files_and_arrays_of_the_same_are_alike(items):
    arrays = [Item(item.id, images.read(item.image)) for item in items]
    for resize in get_args(images.Resize):
        one, other = pack(items, (5, 6), "L", resize), pack(arrays, (5, 6), "L", resize)
        assert np.array_equal(one.pixels, other.pixels)
        assert one.digest == other.digest


def test_progress_ends_with_all(items):
    seen = []
    pack(items, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (12, 12)


def test_parallel_and_serial_give_the_same_bits(tmp_path, monkeypatch):
    items = save(tmp_path / "images", 30)
    Image.new("L", (16, 16), 70).save(items[4].image)
    Path(items[20].image).write_bytes(b"")
    monkeypatch.setattr(store, "in_chunks", functools.partial(store.in_chunks, chunk=7))
    monkeypatch.setattr(store, "_SMALL_JOB", 1)
    results = []
    for name, workers in (("one", 1), ("many", 2)):
        monkeypatch.setenv("SIGHTLINE_HOME", str(tmp_path / name))
        monkeypatch.setattr(store.os, "cpu_count", lambda n=workers: n)
        results.append(pack(items))
    one, many = results
    assert np.array_equal(one.pixels, many.pixels)
    assert (one.unreadable, one.grey, one.resized) == (many.unreadable, many.grey, many.resized)
    assert one.digest == many.digest
    assert (list(one.unreadable), one.grey, one.resized) == ([20], 1, 1)


def test_chunks_come_in_order(monkeypatch):
    monkeypatch.setattr(store, "_SMALL_JOB", 1)
    monkeypatch.setattr(store.os, "cpu_count", lambda: 2)
    paths = [str(i) for i in range(10)]
    done = []
    found = store.in_chunks(_slow_first, paths, chunk=3, progress=lambda d, _: done.append(d))
    assert found == [["0", "1", "2"], ["3", "4", "5"], ["6", "7", "8"], ["9"]]
    assert done == [3, 6, 9, 10]


def _slow_first(first, paths):
    time.sleep(0.2 if first == 0 else 0)
    return paths


# --- verify --------------------------------------------------------------------------------


def spoil(packed):
    """Change the cached pixels of row 4 behind the store's back."""
    writable = np.load(packed.pixels.filename, mmap_mode="r+")
    writable[4] ^= 255
    writable.flush()


def test_verify_finds_what_differs(items):
    packed = pack(items)
    assert store.verify(items, packed, "RGB", "crop") == []
    spoil(packed)
    assert store.verify(items, packed, "RGB", "crop") == [items[4].id]


def test_verify_finds_a_file_that_can_no_longer_be_read(items):
    packed = pack(items)
    Path(items[7].image).unlink()
    assert store.verify(items, packed, "RGB", "crop") == [items[7].id]


def test_load_with_verify_renews_the_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "_damage", lambda *_: None)  # as of bytes that were not sampled
    for name in ("a", "b"):
        save(tmp_path / "set" / name, 12)
    first = load_data(tmp_path / "set")
    good = np.array(first.source.pack().pixels)
    spoil(first.source.pack())
    assert not np.array_equal(load_data(tmp_path / "set").source.pack().pixels, good)
    renewed = load_data(tmp_path / "set", verify=True)
    assert np.array_equal(renewed.source.pack().pixels, good)
    assert any("stale for 1 image" in note for note in renewed.notes)
    again = load_data(tmp_path / "set", verify=True)
    assert not any("stale" in note for note in again.notes)


# --- a cache that is broken or cannot be written ---------------------------------------------


@pytest.mark.parametrize("name", ["pixels.npy", "meta.json"])
@pytest.mark.parametrize("damage", [b"", b"{}", b"[]", None])
def test_broken_entry_is_made_anew(items, home, name, damage):
    good = np.array(pack(items).pixels)
    (entry,) = (home / "pixels").iterdir()
    if damage is None:
        (entry / name).unlink()
    else:
        (entry / name).write_bytes(damage)
    assert np.array_equal(pack(items).pixels, good)
    assert np.array_equal(pack(items).pixels, good)


def one_line(call):
    with pytest.raises(DataError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_home_that_is_a_file(items, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SIGHTLINE_HOME", str(tmp_path / "file"))
    text = one_line(lambda: pack(items))
    assert "cannot write the cache" in text
    assert "set SIGHTLINE_HOME to a folder that can be written" in text


def test_read_only_home(items, monkeypatch, home):
    def refuse(self, *_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    text = one_line(lambda: pack(items))
    assert "Permission denied" in text
    assert "SIGHTLINE_HOME" in text
    assert str(home) in text


def test_read_only_home_that_has_the_entry_serves_it(items, monkeypatch):
    good = np.array(pack(items).pixels)

    def refuse(self, *_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    assert np.array_equal(pack(items).pixels, good)


def test_full_disk_is_seen_before_decoding(items, monkeypatch, decoded, home):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1, 1, 100))
    text = one_line(lambda: pack(items))
    assert "MiB are free" in text
    assert "SIGHTLINE_HOME" in text
    assert decoded == []
    assert entries(home) == []


def test_disk_that_fills_meanwhile_leaves_nothing(items, monkeypatch, home):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as m:
        m.setattr("pathlib.Path.write_text", full)
        assert "No space left" in one_line(lambda: pack(items))
    assert entries(home) == []
    assert np.array_equal(pack(items).pixels[0], pixels_of(0))


def test_interruption_leaves_nothing(items, monkeypatch, home):
    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as m:
        m.setattr(store, "digest_of", interrupt)
        with pytest.raises(KeyboardInterrupt):
            pack(items)
    assert entries(home) == []


KILLED = """
import os, signal, sys
from sightline.data import store
from sightline.data.item import Item

def die(pixels):
    os.kill(os.getpid(), signal.SIGKILL)

store.digest_of = die
folder = sys.argv[1]
items = [Item(n, folder + "/" + n) for n in sorted(os.listdir(folder))]
store.pack(items, (8, 8), "RGB", "crop")
"""


def test_killed_half_way_leaves_no_entry(items, tmp_path, home):
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "images")], check=False)
    assert done.returncode == -signal.SIGKILL
    (left,) = entries(home)
    assert left.endswith(".part")
    assert np.array_equal(pack(items).pixels[5], pixels_of(5))
    assert entries(home) == [left.split(".")[0]]


@pytest.mark.parametrize("name", ["pixels.npy", "sizes.npy", "meta.json"])
@pytest.mark.parametrize("place", [0.0, 0.4, 0.999])
def test_one_flipped_byte_is_noticed_and_said(tmp_path, home, name, place):
    paths = [str(tmp_path / f"{i}.png") for i in range(8)]
    for i, path in enumerate(paths):
        Image.fromarray(pixels_of(i)).resize((9, 9 + i)).save(path)
    items = [Item(path, path) for path in paths]
    good = np.array(pack(items).pixels)
    (entry,) = (home / "pixels").iterdir()
    raw = bytearray((entry / name).read_bytes())
    raw[int(place * len(raw))] ^= 0x10
    (entry / name).write_bytes(raw)
    renewed = pack(items)
    assert np.array_equal(renewed.pixels, good)
    assert name in renewed.damage
    assert pack(items).damage == ""


def test_a_large_entry_is_checked_in_part(items, home, monkeypatch):
    pack(items)
    (entry,) = (home / "pixels").iterdir()
    raw = bytearray((entry / "pixels.npy").read_bytes())
    monkeypatch.setattr(store, "_BLOCK", 128)
    blocks = store._blocks(entry / "pixels.npy")
    monkeypatch.setattr(store, "_CHECKED_WHOLE", 1)
    monkeypatch.setattr(store, "_SAMPLED", len(blocks) - 1)
    assert store._damage(entry / "pixels.npy", blocks) is None
    raw[-1] ^= 1
    (entry / "pixels.npy").write_bytes(raw)
    assert "differs from what was written" in store._damage(entry / "pixels.npy", blocks)
    monkeypatch.setattr(store, "_SAMPLED", 0)
    assert store._damage(entry / "pixels.npy", blocks) is None


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"blocks": 1}', '{"blocks": {}, "unreadable": {"x": 1}}', "null"]
)
def test_a_record_of_other_kinds_is_made_anew(items, home, text):
    good = np.array(pack(items).pixels)
    (entry,) = (home / "pixels").iterdir()
    (entry / "meta.json").write_text(f"{zlib.crc32(text.encode()):08x} {text}")
    assert np.array_equal(pack(items).pixels, good)


def test_loading_says_that_a_cache_was_renewed(items, tmp_path, home):
    folder = tmp_path / "d"
    for i, item in enumerate(items[:12]):
        (folder / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        shutil.copy(item.image, folder / "ab"[i % 2] / f"{i}.png")
    load_data(folder)
    (entry,) = (home / "pixels").iterdir()
    raw = bytearray((entry / "pixels.npy").read_bytes())
    raw[-1] ^= 1
    (entry / "pixels.npy").write_bytes(raw)
    assert any("the cache was damaged" in note for note in load_data(folder).notes)
    assert not any("the cache was damaged" in note for note in load_data(folder).notes)


def test_remains_of_killed_processes_are_swept_and_those_in_use_are_not(items, home):
    dead = home / "pixels" / "0.999999999.part"
    dead.mkdir(parents=True)
    (dead / "pixels.npy").touch()
    with parts.filling(home / "pixels" / "other") as alive:
        pack(items)
        assert not dead.exists()
        assert alive.exists()
    assert (home / "pixels" / "other").is_dir()
    assert not alive.exists()
