"""An archive is unpacked inside its own folder, whole, or not at all."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import stat
import struct
import subprocess
import sys
import tarfile
import tracemalloc
import zipfile
import zlib
from collections import namedtuple
from pathlib import Path

import pytest
from PIL import Image

from sightline.data import archive, text
from sightline.data.load import load_data
from sightline.errors import DataError


def picture(colour=0):
    held = io.BytesIO()
    Image.new("RGB", (8, 8), (colour, 0, 0)).save(held, "BMP")
    return held.getvalue()


FILES = {f"set/{c}/{i}.bmp": picture(10 * i) for c in ("cat", "dog") for i in range(12)}


def tar(path, files=FILES, mode="w", extra=()):
    with tarfile.open(path, mode) as t:
        for name, body in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            t.addfile(info, io.BytesIO(body))
        for info in extra:
            t.addfile(info)
    return path


def zipped(path, files=FILES):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
        for name, body in files.items():
            z.writestr(zipfile.ZipInfo(name), body, zipfile.ZIP_DEFLATED)
    return path


MAKERS = {
    "a.tar": tar,
    "a.tar.gz": lambda p, f=FILES: tar(p, f, "w:gz"),
    "a.tgz": lambda p, f=FILES: tar(p, f, "w:gz"),
    "a.tar.xz": lambda p, f=FILES: tar(p, f, "w:xz"),
    "a.tar.bz2": lambda p, f=FILES: tar(p, f, "w:bz2"),
    "a.zip": zipped,
}


@pytest.fixture
def place(tmp_path, home):
    """A folder for archives, watched: nothing but archives may ever be in it or above."""
    folder = tmp_path / "in"
    folder.mkdir()
    yield folder
    assert all(archive.is_archive(p) for p in folder.iterdir())
    assert [p.name for p in tmp_path.iterdir()] == ["in"]
    assert {p.name for p in home.iterdir()} <= {"archives", "pixels"}


def tree(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def refused(path, home):
    with pytest.raises(DataError) as caught:
        archive.unpack(path)
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text
    assert not list((home / "archives").glob("*")), "something was left behind"
    return text


@pytest.mark.parametrize("name", MAKERS)
def test_every_kind_is_unpacked(place, name):
    folder = archive.unpack(MAKERS[name](place / name))
    assert {f"set/{k}": v for k, v in tree(folder).items()} == FILES


@pytest.mark.parametrize("name", ["a.tar", "a.zip"])
def test_archive_is_a_data_set(place, name):
    data = load_data(MAKERS[name](place / name))
    assert data.classes == ("cat", "dog")
    assert data.name == "a"
    assert sum(len(s) for s in data.splits.values()) == len(FILES)


def test_unpacked_once(place, monkeypatch):
    path = zipped(place / "a.zip")
    first = archive.unpack(path)
    monkeypatch.setattr(archive, "_unzip", None)
    assert archive.unpack(path) == first


def test_changed_archive_is_unpacked_anew(place):
    path = zipped(place / "a.zip")
    first = archive.unpack(path)
    zipped(path, {"set/cat/new.bmp": picture(), "set/dog/new.bmp": picture()})
    second = archive.unpack(path)
    assert second != first
    assert sorted(tree(second)) == ["cat/new.bmp", "dog/new.bmp"]


def test_two_archives_of_one_name_are_kept_apart(place):
    (place / "x.zip").touch()
    (place / "x.zip").unlink()
    a = zipped(place / "a.zip")
    b = zipped(place / "a.b.zip", {"set/cow/1.bmp": picture(), "set/pig/1.bmp": picture()})
    assert archive.unpack(a) != archive.unpack(b)


def test_progress_reaches_the_end(place):
    for name in ("a.tar", "a.zip"):
        seen = []
        archive.unpack(
            MAKERS[name](place / name), lambda done, total, s=seen: s.append((done, total))
        )
        assert seen[-1][0] == seen[-1][1] > 0


@pytest.mark.parametrize("name", ["a.tar", "a.tar.xz", "a.zip"])
@pytest.mark.parametrize(
    "member",
    [
        "../out.bmp",
        "set/../../out.bmp",
        "set/../../../../../../../../tmp/out.bmp",
        "/out.bmp",
        "..\\out.bmp",
        "C:\\out.bmp",
        "C:out.bmp",
        "\\\\server\\share\\out.bmp",
    ],
)
def test_names_that_point_outside_are_refused(place, home, name, member):
    path = MAKERS[name](place / name, FILES | {member: picture()})
    assert "points outside" in refused(path, home)


def test_colon_in_a_name_is_no_drive(place):
    path = tar(place / "a.tar", FILES | {"12:30 noon.txt": b"x"})
    assert "12:30 noon.txt" in tree(archive.unpack(path))


def links(kind):
    for name, target in (
        ("set/cat/in.bmp", "0.bmp"),
        ("set/cat/out.bmp", "../../../../../../etc/passwd"),
        ("set/cat/abs.bmp", "/etc/passwd"),
    ):
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, target
        yield info


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_links_of_a_tar_are_left_out(place, kind):
    folder = archive.unpack(tar(place / "a.tar", extra=links(kind)))
    assert len(tree(folder)) == len(FILES)
    assert not any(p.is_symlink() for p in folder.rglob("*"))


def test_writing_through_a_link_stays_inside(place, tmp_path):
    link = tarfile.TarInfo("set/door")
    link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
    with tarfile.open(place / "a.tar", "w") as t:
        t.addfile(link)
        for name, body in (FILES | {"set/door/out.bmp": picture()}).items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            t.addfile(info, io.BytesIO(body))
    folder = archive.unpack(place / "a.tar")
    assert not (folder / "door").is_symlink()
    assert (folder / "door/out.bmp").is_file()


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_devices_of_a_tar_are_left_out(place, kind):
    device = tarfile.TarInfo("set/cat/device.bmp")
    device.type, device.devmajor, device.devminor = kind, 1, 3
    folder = archive.unpack(tar(place / "a.tar", extra=[device]))
    assert len(tree(folder)) == len(FILES)
    kinds = {stat.S_IFMT(os.lstat(p).st_mode) for p in folder.rglob("*")}
    assert kinds == {stat.S_IFREG, stat.S_IFDIR}


def test_links_of_a_zip_are_left_out(place):
    path = zipped(place / "a.zip")
    with zipfile.ZipFile(path, "a") as z:
        link = zipfile.ZipInfo("set/cat/link.bmp")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        z.writestr(link, "/etc/passwd")
    folder = archive.unpack(path)
    assert len(tree(folder)) == len(FILES)
    assert not any(p.is_symlink() for p in folder.rglob("*"))


def test_set_user_id_is_not_kept(place):
    info = tarfile.TarInfo("set/cat/run.bmp")
    info.mode = 0o6777
    folder = archive.unpack(tar(place / "a.tar", extra=[info]))
    assert not (folder / "cat/run.bmp").stat().st_mode & 0o6000


def test_tar_that_declares_too_much_is_refused(place, home):
    bomb = tarfile.TarInfo("set/cat/big.bmp")
    bomb.size = archive.MAX_BYTES + 1
    path = tar(place / "a.tar")
    with path.open("r+b") as f:
        f.write(bomb.tobuf())
    assert "holds more than 64 GiB" in refused(path, home)


def test_zip_that_declares_too_much_is_refused(place, home):
    path = zipped(place / "a.zip")
    body = bytearray(path.read_bytes())
    at = body.index(b"PK\x01\x02")
    for _ in range(20):  # the sizes add up to over 64 GiB
        body[at + 24 : at + 28] = struct.pack("<I", 0xFFFFFFFE)
        at = body.index(b"PK\x01\x02", at + 4)
    path.write_bytes(body)
    assert "holds more than 64 GiB" in refused(path, home)


@pytest.mark.parametrize("name", ["a.tar", "a.zip"])
def test_too_many_files_are_refused(place, home, name, monkeypatch):
    monkeypatch.setattr(archive, "MAX_FILES", 20)
    assert "20 files" in refused(MAKERS[name](place / name), home)


@pytest.mark.parametrize("name", ["a.tar.xz", "a.zip"])
def test_more_than_the_disk_holds_is_refused(place, home, name, monkeypatch):
    """Two hundred MiB of zeros pack into little."""
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, 50 * 2**20))
    path = MAKERS[name](place / name, {f"set/{i}.bmp": bytes(10 * 2**20) for i in range(6)})
    assert path.stat().st_size < 2**20
    assert "50 MiB are free" in refused(path, home)


def test_zip_that_understates_a_size_gives_no_more_than_it_states(place, home):
    path = zipped(place / "a.zip", {"set/cat/0.bmp": bytes(10 * 2**20)})
    body = bytearray(path.read_bytes())
    at = body.index(b"PK\x01\x02")
    body[at + 24 : at + 28] = struct.pack("<I", 1000)
    path.write_bytes(body)
    assert "broken" in refused(path, home)


@pytest.mark.parametrize("name", MAKERS)
def test_truncated_archive(place, home, name):
    path = MAKERS[name](place / name)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3 - 7])
    assert "broken" in refused(path, home)


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("body", [b"", b"<html>404</html>" * 100])
def test_no_archive_at_all(place, home, name, body):
    (place / name).write_bytes(body)
    assert "broken" in refused(place / name, home)


def test_damaged_member(place, home):
    path = zipped(place / "a.zip", {"set/cat/0.bmp": os.urandom(5000)})
    body = bytearray(path.read_bytes())
    body[2000:2100] = bytes(100)
    path.write_bytes(body)
    assert "broken" in refused(path, home)


def test_encrypted_zip(place, home):
    path = zipped(place / "a.zip")
    body = bytearray(path.read_bytes())
    at = body.index(b"PK\x01\x02")
    body[at + 8] |= 1
    path.write_bytes(body)
    assert "encrypted" in refused(path, home)


def test_compression_that_cannot_be_read(place, home):
    path = zipped(place / "a.zip")
    body = bytearray(path.read_bytes())
    body[body.index(b"PK\x01\x02") + 10] = 9  # deflate64
    body[8] = 9
    path.write_bytes(body)
    assert "unpack it yourself" in refused(path, home)


def test_file_in_the_place_of_a_folder(place, home):
    path = tar(place / "a.tar", {"set": b"x", "set/cat/0.bmp": picture()})
    refused(path, home)


def test_home_that_cannot_be_written(place, tmp_path_factory, monkeypatch):
    file = tmp_path_factory.mktemp("other") / "file"
    file.touch()
    monkeypatch.setenv("SIGHTLINE_HOME", str(file))
    with pytest.raises(DataError, match=r"cannot unpack .*a\.zip"):
        archive.unpack(zipped(place / "a.zip"))


def test_interruption_leaves_nothing(place, home):
    def interrupt(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        archive.unpack(zipped(place / "a.zip"), interrupt)
    assert not list((home / "archives").glob("*"))


@pytest.mark.parametrize(
    ("files", "inside"),
    [
        ({"a/b/cat/1.bmp": b"", "a/b/dog/1.bmp": b""}, "a/b"),
        ({"cat/1.bmp": b"", "dog/1.bmp": b""}, ""),
        ({"a/cat/1.bmp": b"", "a/dog/1.bmp": b"", "__MACOSX/x": b"", ".DS_Store": b""}, "a"),
        ({"a/only/1.bmp": b""}, "a"),
        ({"only/1.bmp": b""}, ""),
        ({"a/data.yaml": b"", "a/images/1.bmp": b""}, "a"),
    ],
)
def test_wrapping_folders_are_passed_through(place, home, files, inside):
    folder = archive.unpack(zipped(place / "a.zip", files))
    (target,) = (home / "archives").iterdir()
    assert folder == target / inside


def test_archives_are_told_by_their_ending():
    good = ("a.tar", "a.TAR.GZ", "a.tgz", "a.tar.xz", "a.txz", "a.tar.bz2", "a.zip", "a.v2.zip")
    assert all(archive.is_archive(Path(n)) for n in good)
    assert not any(archive.is_archive(Path(n)) for n in ("a.gz", "a.rar", "zip", "a.zip.txt"))


# --- several processes, and those that were killed -------------------------------------------

UNPACK = """
import sys, time
from pathlib import Path
from sightline.data import archive, text
print(archive.unpack(Path(sys.argv[1])))
"""


def test_three_processes_unpack_one_archive_at_once(place, home):
    path = zipped(place / "a.zip", FILES | {f"set/cat/notes/{i}.txt": b"" for i in range(1500)})
    started = [
        subprocess.Popen(
            [sys.executable, "-c", UNPACK, str(path)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    said = {process.communicate(timeout=120)[0] for process in started}
    assert [process.returncode for process in started] == [0, 0, 0]
    assert len(said) == 1
    assert [p.suffix for p in (home / "archives").iterdir()] == [""]


def test_who_comes_second_takes_what_the_first_made(place, home, monkeypatch):
    path = zipped(place / "a.zip")
    slow = archive._unzip

    def overtaken(*given):
        monkeypatch.setattr(archive, "_unzip", slow)
        archive.unpack(path)
        return slow(*given)

    monkeypatch.setattr(archive, "_unzip", overtaken)
    assert len(tree(archive.unpack(path))) == len(FILES)
    assert len(list((home / "archives").iterdir())) == 1


def test_what_killed_processes_left_is_removed_unless_it_is_in_use(place, home):
    dead = home / "archives" / "x.999999999.part"
    dead.mkdir(parents=True)
    (dead / "0.png").touch()
    code = (
        "import time\nfrom pathlib import Path\nfrom sightline.data import parts\n"
        "with parts.filling(Path({!r})) as work:\n    print(work, flush=True)\n    time.sleep(99)"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code.format(str(home / "archives" / "other"))],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    alive = Path(other.stdout.readline().strip())
    archive.unpack(zipped(place / "a.zip"))
    assert alive.is_dir()
    assert not dead.exists()
    other.kill()
    other.wait()
    assert alive.is_dir()
    archive.unpack(zipped(place / "b.zip"))
    assert not alive.exists()


# --- names -----------------------------------------------------------------------------------


def named(path, names):
    """A zip whose names are these bytes, without the flag that they are UTF-8."""
    plain = {f"{i:03}".ljust(len(n), "_"): n for i, n in enumerate(names)}
    zipped(path, {name: picture(i) for i, name in enumerate(plain)})
    body = path.read_bytes()
    for name, raw in plain.items():
        body = body.replace(name.encode(), raw)
    path.write_bytes(body)
    return path


@pytest.mark.parametrize(
    ("encoding", "names", "said"),
    [
        ("utf-8", ["猫/1.bmp", "狗/1.bmp"], None),
        ("gbk", ["猫/1.bmp", "狗/1.bmp"], "GB 18030"),
        ("gb18030", ["𠮷野家/1.bmp", "狗狗/1.bmp"], "GB 18030"),
        ("cp437", ["Käse/1.bmp", "Müll/1.bmp"], "CP437"),
        ("ascii", ["cat\\1.bmp", "dog\\1.bmp"], None),
    ],
)
def test_names_of_a_zip_without_the_mark_of_utf8(place, encoding, names, said):
    path = named(place / "a.zip", [name.encode(encoding) for name in names])
    for _ in range(2):  # also where it was unpacked before
        with text.noticing() as notes:
            folder = archive.unpack(path)
        assert sorted(tree(folder)) == sorted(name.replace("\\", "/") for name in names)
        assert [note for note in notes if f"read as {said}" in note] == notes
        assert bool(notes) == (said is not None)


def test_a_note_about_names_reaches_the_data_set(place):
    names = [f"{c}/{i}.bmp".encode("gbk") for c in "猫狗" for i in range(12)]
    data = load_data(named(place / "a.zip", names))
    assert sorted(data.classes) == ["狗", "猫"]
    assert "a.zip: 24 names are not called UTF-8, and read as GB 18030: 猫/0.bmp" in data.notes


@pytest.mark.parametrize("maker", [tar, zipped])
def test_entries_without_a_name_and_of_a_mac_are_left_out(place, maker):
    more = {"": b"x", "__MACOSX/set/cat/._0.bmp": b"x", "set/cat/._0.bmp": b"x"}
    with text.noticing() as notes:
        folder = archive.unpack(
            maker(place / ("a.zip" if maker is zipped else "a.tar"), FILES | more)
        )
    assert {f"set/{k}": v for k, v in tree(folder).items()} == FILES
    assert any("1 entry left out for want of a name" in note for note in notes)


@pytest.mark.parametrize("maker", [tar, zipped])
@pytest.mark.parametrize("name", ["/".join(["d"] * 3000) + "/x.bmp", "d/" + "x" * 5000])
def test_names_without_end_are_refused(place, home, maker, name):
    path = maker(place / ("a.zip" if maker is zipped else "a.tar"), FILES | {name: b"x"})
    assert "it was not unpacked" in refused(path, home)


# --- made to cost more than they weigh -------------------------------------------------------


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK,
                                  tarfile.XHDTYPE, tarfile.XGLTYPE])  # fmt: skip
def test_a_header_of_gigabytes_is_refused_before_it_is_read(place, home, kind):
    path = place / "a.tar.gz"
    header = tarfile.TarInfo("a/x.bmp")
    header.type, header.size = kind, 1500 * 2**20
    with gzip.open(path, "wb", 1) as file:
        file.write(header.tobuf(tarfile.USTAR_FORMAT))
        for _ in range(60):
            file.write(bytes(2**20))
    tracemalloc.start()
    assert "holds a header of 1,572,864,000 bytes for one name" in refused(path, home)
    assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    tracemalloc.stop()


def test_many_headers_add_up(place, home, monkeypatch):
    monkeypatch.setattr(archive, "_MAX_HEADERS", 2000)
    files = {f"set/{'n' * 150}{i}.bmp": picture() for i in range(20)}
    assert "holds a header" in refused(tar(place / "a.tar", files), home)


def test_a_chain_of_headers_is_refused(place, home):
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 1
    path = place / "a.tar"
    path.write_bytes((header.tobuf() + b"x".ljust(512, b"\0")) * 3000)
    assert "broken" in refused(path, home)


def test_a_file_with_holes_is_refused(place, home):
    hole = tarfile.TarInfo("set/cat/hole.bmp")
    hole.type, hole.size = tarfile.GNUTYPE_SPARSE, 0
    assert "files with holes" in refused(tar(place / "a.tar", extra=[hole]), home)


def test_a_tar_that_goes_back_is_refused(place, home):
    back = bytearray(tarfile.TarInfo("set/cat/back.bmp").tobuf())
    back[124:136] = b"\xff" * 12  # minus one
    back[148:156] = b"        "
    back[148:156] = f"{sum(back):06o}\0 ".encode()
    path = tar(place / "a.tar")
    path.write_bytes(bytes(back) + path.read_bytes())
    assert "broken" in refused(path, home)


def test_entries_that_share_bytes_are_refused(place, home):
    """A hundred entries of one packed megabyte: 100 MB from a few kilobytes."""
    size, name = 2**20, b"set/k.bmp"
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(bytes(size)) + packer.flush()
    facts = (zlib.crc32(bytes(size)), len(packed), size, len(name))
    local = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 8, 0, 0, *facts, 0) + name + packed
    one = struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 8, 0, 0, *facts, 0, 0, 0, 0, 0, 0) + name
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 100, 100, 100 * len(one), len(local), 0)
    (place / "a.zip").write_bytes(local + 100 * one + end)
    assert "entries overlap" in refused(place / "a.zip", home)


def test_entries_longer_than_the_file_are_refused(place, home):
    path = zipped(place / "a.zip")
    body = bytearray(path.read_bytes())
    at = body.index(b"PK\x01\x02")
    body[at + 20 : at + 24] = struct.pack("<I", 2**31)
    path.write_bytes(body)
    assert "broken" in refused(path, home)


@pytest.mark.parametrize("kind", [stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
def test_devices_of_a_zip_are_left_out_and_counted(place, kind):
    path = zipped(place / "a.zip")
    with zipfile.ZipFile(path, "a") as z:
        device = zipfile.ZipInfo("set/cat/device.bmp")
        device.external_attr = (kind | 0o666) << 16
        z.writestr(device, b"x")
    with text.noticing() as notes:
        assert len(tree(archive.unpack(path))) == len(FILES)
    assert notes == ["a.zip: 1 entry left out, as links and devices are"]


def test_a_folder_that_is_swept_before_it_is_opened_is_made_again(tmp_path, monkeypatch):
    from sightline.data import parts

    really, swept = os.open, []

    def late(path, *flags, **more):
        if Path(path).suffix == ".part" and not swept:
            swept.append(Path(path))
            Path(path).rmdir()  # as another process does that sees it without a lock
        return really(path, *flags, **more)

    monkeypatch.setattr(os, "open", late)
    with parts.filling(tmp_path / "set") as work:
        assert work.is_dir()
        (work / "a.txt").write_text("whole")
    assert swept
    assert [p.name for p in tmp_path.iterdir()] == ["set"]
    assert (tmp_path / "set/a.txt").read_text() == "whole"
