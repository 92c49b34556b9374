"""Read and write WebDataset's shards: tar files in which the files of one image share a key.

The key is a member's name up to the first dot after its folders: ``a/0001.jpg`` has the class in
``a/0001.cls`` (its number or name as text) or in ``a/0001.json`` (``{"label": ...}``, or the class
alone). Shards lie side by side with the split in their name (``train-000000.tar``), in ``train/``,
``val/`` and ``test/``, or have no split. ``classes.txt`` names the classes by number, one a line.

Nothing is unpacked: each tar is gone through once for the places of its members, and an image is
read from its place. So names in a tar lead nowhere, whatever they are.

Source: the format of the package webdataset, github.com/webdataset/webdataset.
"""

from __future__ import annotations

import collections
import io
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import numpy as np

from sightline.data import documents, files, images, place, text
from sightline.data.dataset import Dataset, Source
from sightline.data.folder import natural
from sightline.data.item import Item
from sightline.data.naming import Names
from sightline.data.notes import Note
from sightline.data.split_names import split_in, split_of
from sightline.errors import DataError
from sightline.types import Progress, Task

PER_SHARD = 1000
"""Images that are written into a shard."""

CLASSES = "classes.txt"
_CLASSES = (CLASSES, "classnames.txt")
_PACKED = (".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2", ".tar.zst")
_MAGIC = {
    b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"
}  # fmt: skip
_PEEK = 1000  # members that are looked at to recognise the format
_LABEL_BYTES = {"cls": 4096, "json": 2**20}
_BLOCK = tarfile.BLOCKSIZE
# What tarfile raises of headers that are broken or made to harm.
_BROKEN = (tarfile.TarError, EOFError, ValueError, OverflowError, MemoryError, RecursionError)


@dataclass(slots=True)
class _Sample:
    """The members of one key."""

    images: list[place.Member] = field(default_factory=list)
    labels: dict[str, list[place.Member]] = field(default_factory=dict)


class _Trouble:
    """What was left out, by kind: how often, and the first of it."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, str]] = {}

    def add(self, kind: str, example: str, count: int = 1) -> None:
        """Note some of a kind; its text has a place for the number."""
        before, first = self._found.get(kind, (0, example))
        self._found[kind] = before + count, first

    def lines(self) -> list[Note]:
        """Return a line a kind, in the order in which they came."""
        return [
            Note(
                f"{_worded(kind, count)}, first {first}", count=count, examples=(first,),
                kind="left-out", severity="error" if _LOSES.search(kind) else "note",
            )
            for kind, (count, first) in self._found.items()
        ]  # fmt: skip


_LOSES = re.compile("left out|missing")


def _worded(kind: str, count: int) -> str:
    """Return a kind with its number; of one, its noun and verb are singular."""
    if count > 1:
        return kind.format(n=f"{count:,}")
    one = re.sub(r"^\{n\} (hidden )?(\w+)s\b", r"1 \1\2", kind)
    one = one.replace("that are no plain files", "that is no plain file")
    return one.replace(" are ", " is ").replace(" have ", " has ")


def why_not(folder: Path) -> str | None:
    """Say what keeps a folder from being shards of WebDataset; None when nothing does."""
    try:
        shards = _shards(folder)
    except DataError as error:
        return str(error)
    if not shards:
        return "no shards (NAME-000000.tar)"
    shard = shards[0][1]
    try:
        with shard.open("rb") as raw, tarfile.open(fileobj=raw, mode="r:") as tar:
            seen: dict[str, set[str]] = {}
            for member, _ in zip(tar, range(_PEEK), strict=False):
                key, ending = _parts(member.name)
                seen.setdefault(key, set()).add(_kind(ending))
                if {"image", "label"} <= seen[key]:
                    return None
    except (*_BROKEN, OSError):
        return None  # said when it is read
    return f"no image with a KEY.cls or KEY.json in {shard.name}"


def read(folder: Path, name: str) -> Dataset:
    """Read shards; only the places of their members are kept.

    What has no label or no image, occurs twice or cannot be reached is left out, counted and
    named in the notes.

    Raises
    ------
    DataError
        When a shard is compressed or no tar, a label is none of the classes, only some shards have
        a split, or no image has a label.
    """
    shards = _shards(folder)
    if not shards:
        raise DataError(f"{folder} has no shards; they are called NAME-000000.tar")
    whole = [shard for split, shard in shards if not split]
    if whole and len(whole) < len(shards):
        raise DataError(
            f"{whole[0]} belongs to no split, and other shards do; put train, val or test into its "
            "name, or move it to a folder of that name"
        )
    trouble = _Trouble()
    labelled: list[tuple[str, str, place.Member, str | int]] = []
    for split, shard in shards:
        base = shard.relative_to(folder).as_posix()
        for image, label in _labelled(shard, trouble):
            labelled.append((split or "train", f"{base}/{_readable(image.name)}", image, label))
    if not labelled:
        said = "; ".join(trouble.lines())
        raise DataError(f"{folder}: no image has a label in KEY.cls or KEY.json ({said})")
    classes, ids = _classes(folder, labelled)
    items = [Item(i, image, ids[label]) for _, i, image, label in labelled]
    rows: dict[str, list[int]] = {}
    for row, (split, *_) in enumerate(labelled):
        rows.setdefault(split, []).append(row)
    return Dataset(
        name=name,
        source=Source(items, "RGB"),
        rows={split: np.array(r, np.int64) for split, r in rows.items()},
        classes=classes,
        tasks=(Task.CLASSIFY,),
        notes=[*trouble.lines()],
        path=str(folder),
        layout="webdataset",
    )


def write(data: Dataset, out: Path, progress: Progress | None = None) -> None:
    """Write SPLIT-000000.tar and so on, with classes.txt; files are copied, arrays become PNG.

    Raises
    ------
    DataError
        When the images have no class, or a class has a name that no line can hold.
    """
    if Task.CLASSIFY not in data.tasks:
        raise DataError(f"{data.name} has no class an image, so it cannot be shards of classes")
    for name in data.classes:
        if name != name.strip() or len(name.splitlines()) != 1:
            raise DataError(f"the class {name!r} cannot be a line of {CLASSES}; rename it")
    (out / CLASSES).write_text("".join(f"{c}\n" for c in data.classes), encoding="utf-8")
    done, total = 0, sum(len(rows) for rows in data.rows.values())
    for split, rows in data.rows.items():
        items = [data.source.items[row] for row in rows]
        names = Names()
        keys = [names.give(stem.replace(".", "_")) for stem in files.stems(items)]
        for number, start in enumerate(range(0, len(items), PER_SHARD)):
            part = slice(start, start + PER_SHARD)
            with tarfile.open(out / f"{split}-{number:06}.tar", "w") as tar:
                for item, key in zip(items[part], keys[part], strict=True):
                    suffix, body = _encoded(item, data)
                    _add(tar, f"{key}{suffix}", body)
                    _add(tar, f"{key}.cls", str(item.label).encode())
                    done += 1
                    if progress:
                        progress(done, total)


def _encoded(item: Item, data: Dataset) -> tuple[str, bytes]:
    """Return the ending and the bytes of an image's file."""
    if place.is_file(item.image) and place.suffix_of(item.image) in images.SUFFIXES:
        return place.suffix_of(item.image), place.read(item.image)
    return ".png", images.png(item.read_image(data.mode))


def _add(tar: tarfile.TarFile, name: str, body: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(body)
    tar.addfile(member, io.BytesIO(body))


def _shards(folder: Path) -> list[tuple[str, Path]]:
    """Return split and path of each shard, in order; the split is "" where none is named.

    Raises
    ------
    DataError
        When shards are compressed.
    """
    shards, seen = [], set[str]()
    for inner in ("", *(n for n in files.names_in(folder) if split_of(n))):
        under = folder / inner
        names = files.names_in(under)
        for name in names:
            packed = next((e for e in _PACKED if name.lower().endswith(e)), None)
            if packed and f"{name[: -len(packed)]}.tar" not in names:
                raise DataError(
                    f"{under / name}: compressed shards cannot be read at a place; unpack it to "
                    f"{name[: -len(packed)]}.tar (gunzip, unxz, bunzip2)"
                )
            if not name.lower().endswith(".tar") or name.startswith("."):
                continue
            shards.append((split_of(inner) or split_in(name[:-4]) or "", under / name))
            seen.add(inner)
    return shards


def _labelled(shard: Path, trouble: _Trouble) -> Iterator[tuple[place.Member, str | int]]:
    """Yield the images of a shard that have one label, in its order."""
    samples: dict[str, _Sample] = {}
    unused: collections.Counter[str] = collections.Counter()
    try:
        with shard.open("rb") as raw:
            for member in _members(shard, raw, trouble):
                key, ending = _parts(member.name)
                kind = _kind(ending)
                if kind == "image":
                    samples.setdefault(key, _Sample()).images.append(member)
                elif kind == "label":
                    samples.setdefault(key, _Sample()).labels.setdefault(ending, []).append(member)
                else:
                    unused[ending] += 1
            for ending, count in unused.items():
                trouble.add(
                    f"{{n}} members .{_safe(ending)} are not used", _safe(shard.name), count
                )
            for key, sample in samples.items():
                label = _label_of(shard, key, sample, raw, trouble)
                if label is not None:
                    yield sample.images[0], label
    except OSError as error:
        raise DataError(f"{shard}: {error.strerror or error}") from None


def _members(shard: Path, raw: BinaryIO, trouble: _Trouble) -> list[place.Member]:
    """Return the plain files of a tar whose bytes are all there.

    Raises
    ------
    DataError
        When it is compressed, empty or no tar at all.
    """
    start = raw.read(8)
    for magic, packing in _MAGIC.items():
        if start.startswith(magic):
            raise DataError(
                f"{shard}: is compressed ({packing}), so that no image in it can be read at its "
                "place; unpack it"
            )
    length = raw.seek(0, io.SEEK_END)
    raw.seek(0)
    members: list[tarfile.TarInfo] = []
    broken = ""
    try:
        with tarfile.open(fileobj=raw, mode="r:") as tar:
            for member in tar:
                # tarfile would go back, and around for ever, or as far ahead as no file reaches.
                if member.size < 0 or (member.size > length and not member.issparse()):
                    raise ValueError(f"a member that states {member.size:,} bytes")
                members.append(member)
            broken = _after(raw, tar.offset)
    except _BROKEN as error:
        broken = str(error).splitlines()[0] if str(error) else type(error).__name__
    if broken and not members:
        why = "the file is empty" if not length else f"is no tar ({broken})"
        raise DataError(f"{shard}: {why}; fetch it again")
    kept = []
    for member in members:
        name = f"{shard.name}:{_safe(member.name)}"
        if member.isdir():
            continue
        if not member.isreg() or member.issparse():
            trouble.add("{n} members that are no plain files (links, holes) are left out", name)
        elif _leads_outside(member.name):
            trouble.add("{n} members with names that point outside are left out", name)
        elif member.offset_data + member.size > length:
            broken = broken or "unexpected end of data"
        elif PurePosixPath(member.name).name.startswith((".", "__")):
            trouble.add("{n} hidden members are passed over", name)
        else:
            kept.append(place.Member(str(shard), member.offset_data, member.size, member.name))
    if broken:
        trouble.add(
            "{n} shards are cut short or broken, and the rest is missing (fetch them again)",
            f"{shard.name} after {len(kept):,} whole members ({broken})",
        )
    return kept


def _after(raw: BinaryIO, end: int) -> str:
    """Say what is wrong with the end of a tar, from where its last member ends; "" for nothing."""
    raw.seek(end)
    mark = raw.read(_BLOCK)
    if len(mark) < _BLOCK:
        return "no end mark"
    if any(mark):
        return f"no header at byte {end:,}"
    if any(raw.read(2**20)):
        return f"more after the end mark at byte {end:,}, as of two tars that were joined"
    return ""


def _label_of(
    shard: Path, key: str, sample: _Sample, raw: BinaryIO, trouble: _Trouble
) -> str | int | None:
    """Return the label of a key: a name, or a number; None, and the reason in `trouble`."""
    where = f"{shard.name}:{_safe(key)}"
    if not sample.images:
        trouble.add("{n} labels without an image are left out", where)
        return None
    if len(sample.images) > 1:
        names = " and ".join(_safe(image.name) for image in sample.images[:2])
        trouble.add("{n} keys with several images are left out", f"{where} ({names})")
        return None
    if not sample.labels:
        trouble.add("{n} images without a label are left out", where)
        return None
    said = []
    for ending, members in sorted(sample.labels.items()):
        if len(members) > 1:
            trouble.add("{n} keys with several labels are left out", where)
            return None
        label = _read_label(members[0], ending, raw)
        if label is not None:
            said.append(label)
    if not said:
        trouble.add("{n} images whose label says no class are left out", where)
        return None
    if len(set(said)) > 1 and len(set(map(type, said))) == 1:
        trouble.add("{n} keys have another class in .json than in .cls, which is taken", where)
    return said[0]


def _read_label(member: place.Member, ending: str, raw: BinaryIO) -> str | int | None:
    """Return what a label's file says: the number or the name of a class; None for neither."""
    if member.size > _LABEL_BYTES[ending]:
        return None
    raw.seek(member.offset)
    page = raw.read(member.size)
    try:
        said: Any = (
            documents.parse_json(page, member.name) if ending == "json" else text.decode(page).text
        )
    except DataError:
        return None
    if isinstance(said, dict):
        keys = ("label", "class", "class_name", "cls")
        said = next((said[key] for key in keys if key in said), None)
    if isinstance(said, str):
        said = said.strip()
        if said.isascii() and said.isdecimal() and len(said) < 10:
            return int(said)
        return said if said and said != "-1" and said.isprintable() else None
    return said if isinstance(said, int) and not isinstance(said, bool) and said >= 0 else None


def _classes(
    folder: Path, labelled: list[tuple[str, str, place.Member, str | int]]
) -> tuple[tuple[str, ...], dict[str | int, int]]:
    """Return the names of the classes, and the id of each label that occurs.

    Raises
    ------
    DataError
        When a label is none of those that are listed.
    """
    labels = {label for *_, label in labelled}
    listed = next((folder / n for n in _CLASSES if (folder / n).is_file()), None)
    if listed is None:
        names = tuple(sorted({str(label) for label in labels}, key=natural))
        return names, {label: names.index(str(label)) for label in labels}
    names = tuple(text.lines(listed))
    by_name = {name: i for i, name in enumerate(names)}
    if len(by_name) < len(names):
        twice = next(n for i, n in enumerate(names) if by_name[n] != i)
        raise DataError(f"{listed}: the class {twice!r} is there twice; keep one")
    ids: dict[str | int, int] = {
        label: label if isinstance(label, int) else by_name.get(label, -1) for label in labels
    }
    odd = [(image, label) for *_, image, label in labelled if not 0 <= ids[label] < len(names)]
    if odd:
        image, label = odd[0]
        raise DataError(
            f"{image.path}: {len(odd):,} images have a label that is none of the {len(names)} "
            f"classes of {listed.name}, first {_safe(image.name)} ({label!r}); add the class there"
        )
    return names, ids


def _parts(name: str) -> tuple[str, str]:
    """Return the key of a member and its ending, in small letters, without the dot."""
    under, slash, base = name.rpartition("/")
    stem, _, ending = base.partition(".")
    return f"{under}{slash}{stem}", ending.lower()


def _kind(ending: str) -> str:
    if f".{ending}" in images.SUFFIXES:
        return "image"
    return "label" if ending in _LABEL_BYTES else ""


def _leads_outside(name: str) -> bool:
    pure = PurePosixPath(name.replace("\\", "/"))
    return pure.is_absolute() or ".." in pure.parts


def _readable(name: str) -> str:
    """Return a name as text that can be encoded: other bytes than UTF-8's are written out."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _safe(name: str) -> str:
    """Return a name for a message: one line, and none of a terminal's commands."""
    return repr(_readable(name))[1:-1]
