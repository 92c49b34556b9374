"""Count what lies in a folder of data and was not read."""

from __future__ import annotations

import collections
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from sightline.counting import counted
from sightline.data import pairs, place, scan
from sightline.data.annotation import Annotation
from sightline.data.dataset import Dataset
from sightline.data.notes import Note, lost
from sightline.data.split_names import split_of_path
from sightline.types import Task

EXAMPLES = 5

PICTURES = frozenset((
    ".heic", ".heif", ".avif", ".jxl", ".jp2", ".j2k", ".jpx", ".psd", ".raw", ".cr2", ".cr3",
    ".nef", ".arw", ".dng", ".orf", ".rw2", ".raf", ".svg", ".dcm", ".exr", ".hdr", ".tga", ".pcx",
    ".ico", ".eps", ".xcf", ".jpe", ".pbm", ".pnm", ".mp4", ".mov", ".avi", ".mkv",
))  # fmt: skip
"""Endings of pictures and films; those that are read are taken off where they are asked for."""

_BESIDE = frozenset((
    ".txt", ".xml", ".json", ".jsonl", ".csv", ".tsv", ".yaml", ".yml", ".md", ".names", ".data",
    ".html", ".pdf", ".parquet", ".cache", ".ini", ".rst", ".log", ".py", ".npz", ".npy", ".sh",
    ".cfg", ".toml", ".docx", ".url", ".zip", ".tar", ".gz",
))  # fmt: skip
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"RIFF", b"II*\0", b"MM\0*")


def notes(data: Dataset, folder: Path) -> list[Note]:
    """Return what below a folder no split has: images, and pictures that are not read.

    Parameters
    ----------
    data : Dataset
    folder : path
        That it was read from.
    """
    used = _used(data)
    listed = scan.tree(folder)
    folders = {os.path.normpath(path.rpartition("/")[0]) for path in used}
    alone = [file for file in listed.images if listed.path(file) not in used]
    if alone:  # there may be other ways to write a path
        used = {os.path.normpath(path) for path in used}
        alone = [file for file in alone if os.path.normpath(listed.path(file)) not in used]
    stems = {pairs.stem_of(path) for path in used} if alone else set()
    annotated = data.task is not Task.CLASSIFY
    left: dict[str, list[str]] = collections.defaultdict(list)
    twins: dict[str, list[str]] = collections.defaultdict(list)
    for file in alone:
        under = file.rpartition("/")[0]
        twin = annotated and not split_of_path(file) and pairs.stem_of(file) in stems
        kind = twins if twin else left
        kind[f"{under}/" if under else "the folder itself"].append(file)
    made = []
    # Pictures called as those that are used are their masks, or copies of another size.
    whole = {
        under: files for under, files in twins.items()
        if f"{folder}/{under}".rstrip("/") not in folders
    }  # fmt: skip
    for under, files in twins.items():
        if under not in whole:
            left[under] += files
    if left:
        every = [file for files in left.values() for file in files]
        where = ", ".join(f"{under} ({len(files):,})" for under, files in list(left.items())[:5])
        made.append(lost(
            counted(len(every), "image is", "images are") + f" not used: {where}"
            + " ..." * (len(left) > 5),
            count=len(every), examples=every[:EXAMPLES], kind="unused-image",
            mend="put them where the others lie and list them as those, or take them away",
        ))  # fmt: skip
    if whole:
        count = sum(map(len, whole.values()))
        made.append(Note(
            counted(count, "picture", "pictures") + " called as those that are used "
            f"{'is' if count == 1 else 'are'} not read: {', '.join(list(whole)[:5])}",
            kind="twin", count=count, examples=[files[0] for files in whole.values()][:EXAMPLES],
        ))  # fmt: skip
    return [*made, *by_ending(listed, folders)]


def by_ending(listed: scan.Tree, folders: Iterable[str] | None = None) -> list[Note]:
    """Return the files that are pictures, or lie among pictures, and are not read.

    Parameters
    ----------
    listed : Tree
    folders : iterable of str, optional
        Folders that hold the pictures that are used; default: all.
    """
    among = None if folders is None else set(folders)
    unread: Mapping[str, list[str]] = collections.defaultdict(list)
    odd: Mapping[str, list[str]] = collections.defaultdict(list)
    for file in listed.others:
        ending = scan.ending_of(file)
        if ending in PICTURES:
            unread[ending].append(file)
        elif ending not in _BESIDE and (among is None or _folder(listed.path(file)) in among):
            kind = unread if _looks_like_image(listed.path(file)) else odd
            kind[ending or "without an ending"].append(file)
    made = []
    if unread:
        every = [file for files in unread.values() for file in files]
        made.append(lost(
            f"{_counts(unread)}: pictures of these kinds are not read",
            count=len(every), examples=every[:EXAMPLES], kind="unread-ending",
            mend="save them as JPEG or PNG, with that ending",
        ))  # fmt: skip
    if odd:
        every = [file for files in odd.values() for file in files]
        made.append(Note(
            f"{_counts(odd)}: files among the images that are none by their ending",
            kind="other-file", severity="warning", count=len(every), examples=every[:EXAMPLES],
            mend="give images their ending, or take the files away",
        ))  # fmt: skip
    return made


def _counts(kinds: Mapping[str, list[str]]) -> str:
    most = sorted(kinds.items(), key=lambda entry: -len(entry[1]))
    return ", ".join(f"{len(files):,} {kind}" for kind, files in most[:8]) + " ..." * (
        len(most) > 8
    )


def _folder(path: str) -> str:
    return os.path.normpath(path).rpartition("/")[0]


def _used(data: Dataset) -> set[str]:
    """Return the paths of the images and masks of a data set."""
    paths: set[str] = set()
    for item in data.source.items:
        if place.is_file(item.image):
            paths.add(str(item.image))
        if isinstance(item.annotation, Annotation):
            masks = item.annotation.semantic, item.annotation.instances
            paths.update(p for p in masks if p)
    return paths


def _looks_like_image(path: str) -> bool:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - a Path object a file takes longer
            return file.read(8).startswith(_SIGNATURES)
    except OSError:
        return False
