"""Mutations of every kind of file that is read, and hostile requests to the server.

A small good data set of each kind is written, one of its files is changed at random, and everything
that reads it is called: loading, the audit, a run's prediction. A fault is any error that is not
Sightline's own, a message of several lines, more than 5 seconds, or 1 GiB. Each mutation is known
by its number, and `--kind K --only N` repeats one.

The server is asked by several clients at once: broken heads and bodies, pictures that cost more
than they weigh, parameters of any kind, connections that stay or leave; in between a good picture,
which must be answered.

    python benchmarks/robustness.py [--mutations 100000] [--requests 20000] [--seed 0]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import json
import multiprocessing
import os
import random
import re
import resource
import shutil
import signal
import sys
import tarfile
import tempfile
import time
import traceback
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hostile
import machine
import numpy as np
from PIL import Image

SLOW = 5.0
"""Seconds that one input may take."""

LARGE = 2**30
"""Bytes that one input may take beyond what the process had before."""

BLOCK = 500
"""Mutations that one process tries."""

PICTURES = 6
BOX = '"bbox": [1, 2, 5, 4]'
VOC = (
    '<?xml version="1.0" encoding="utf-8"?>\n<annotation><size><width>12</width><height>10</height>'
    "</size><object><name>{}</name><difficult>0</difficult><bndbox><xmin>1</xmin><ymin>2</ymin>"
    "<xmax>6</xmax><ymax>6</ymax></bndbox></object></annotation>\n"
)


@dataclass(slots=True)
class Case:
    """A good input: what is given to Sightline, and which of its files are changed."""

    path: Path
    files: list[Path]
    use: Callable[[Path], None]
    words: tuple[bytes, ...] = ()
    value: re.Pattern[bytes] = re.compile(rb'"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?|true|false|null')
    good: dict[Path, bytes] = field(default_factory=dict)

    def keep(self) -> Case:
        """Read the files as they are, for changed ones to be made of them."""
        self.good = {file: file.read_bytes() for file in self.files}
        return self


# ---- what is read, and by what


def load(path: Path) -> None:
    """Load a data set as every verb does, audit it, and read an image."""
    from sightline.data.audit import audit
    from sightline.data.load import load_data

    data = load_data(path, strict=False)
    audit(data)
    data.fingerprint()
    data.sample(int(next(iter(data.rows.values()))[0]))


def look(path: Path) -> None:
    """Read one picture in every way: pixels in both modes, size, the audit's facts."""
    from sightline.data import audit, files, images

    audit._look_at(str(path))
    for mode in ("RGB", "L"):
        images.read(str(path), mode)
    files.upright_size(str(path))


def answer(path: Path) -> None:
    """Load a run, answer with it, and list it."""
    from sightline.cli.runs import _entry
    from sightline.estimators import load_model
    from sightline.training import run

    _entry(path)
    run.read_headline(path)
    load_model(path).predict(np.zeros((8, 8, 1), np.uint8))


def picture(number: int, kind: str = "PNG", size: tuple[int, int] = (12, 10)) -> bytes:
    """Encode a small picture of noise."""
    pixels = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), np.uint8)
    held = io.BytesIO()
    Image.fromarray(pixels).save(held, kind)
    return held.getvalue()


@contextlib.contextmanager
def put_open(path: Path) -> Iterator[Any]:
    """Open a text file to add to it, and make the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        yield file


def put(path: Path, content: bytes | str) -> Path:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def splits() -> Iterator[tuple[str, int]]:
    """Yield two pictures of each split, so that no split has to be made."""
    return itertools.islice(zip(("train", "val", "test") * 2, itertools.count(), strict=False), 6)


def coco(at: Path) -> Case:
    pages = []
    for split in ("train", "val", "test"):
        numbers = [n for s, n in splits() if s == split]
        for n in numbers:
            put(at / f"images/{split}/{n}.png", picture(n))
        images = [
            f'{{"id": {n}, "file_name": "{n}.png", "width": 12, "height": 10}}' for n in numbers
        ]
        things = [
            f'{{"id": {n}, "image_id": {n}, "category_id": {1 + n % 2}, {BOX}, "iscrowd": 0, '
            f'"area": 20, "segmentation": [[1, 2, 6, 2, 6, 6]]}}' for n in numbers
        ]  # fmt: skip
        pages.append(put(
            at / f"annotations/instances_{split}.json",
            f'{{"images": [{", ".join(images)}],\n"annotations": [{", ".join(things)}],\n'
            '"categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]}',
        ))  # fmt: skip
    words = (b'"iscrowd": 1', b'{"size": [10, 12], "counts": "abc"}', b'"counts": [1, 2, 3]')
    return Case(at, pages, load, words)


def voc(at: Path) -> Case:
    for split, n in splits():
        put(at / f"JPEGImages/{n}.png", picture(n))
        put(at / f"Annotations/{n}.xml", VOC.format("cat" if n % 2 else "dog"))
        with put_open(at / f"ImageSets/Main/{split}.txt") as lines:
            lines.write(f"{n}\n")
    texts = [*sorted(at.glob("Annotations/*.xml")), *sorted(at.glob("ImageSets/Main/*.txt"))]
    words = (
        b"<!DOCTYPE a [<!ENTITY b 'c'>]>",
        b"&b;",
        b"<object>",
        b"</object>",
        b'encoding="gb2312"',
    )
    return Case(at, texts, load, words, re.compile(rb"(?<=>)[^<>]+(?=<)"))


def yolo(at: Path) -> Case:
    for split, n in splits():
        put(at / f"images/{split}/{n}.png", picture(n))
        line = "0 .5 .5 .4 .4\n" if n % 2 else "1 .1 .1 .6 .1 .6 .7\n"
        put(at / f"labels/{split}/{n}.txt", line)
    page = "path: .\ntrain: images/train\nval: images/val\ntest: images/test\n"
    described = put(at / "data.yaml", page + "names:\n  0: cat\n  1: no\n")
    words = (
        b"&a ",
        b"*a",
        b"<<: *a",
        b"- ",
        b"? ",
        b"!!python/none ",
        b"---\n",
        b"train: /",
        b"nc: 2\n",
    )
    return Case(
        at,
        [described, described, described, *sorted(at.glob("labels/*/*.txt"))],
        load,
        words,
        re.compile(rb"[^\s:]+"),
    )


def masks(at: Path) -> Case:
    for split, n in splits():
        put(at / f"images/{split}/{n}.png", picture(n))
        values = np.random.default_rng(n).integers(0, 3, (10, 12), np.uint8)
        held = io.BytesIO()
        Image.fromarray(values).save(held, "PNG")
        put(at / f"masks/{split}/{n}.png", held.getvalue())
    named = put(at / "classes.txt", "0 ground\n1 cat\n2 dog\n")
    return Case(at, [named, *sorted(at.glob("masks/*/*.png"))], load)


def table(at: Path) -> Case:
    rows = []
    for split, n in splits():
        put(at / f"images/{n}.png", picture(n))
        rows.append(f"images/{n}.png,{'cat' if n % 2 else 'dog'},{split},1,2,6,6")
    page = put(at / "t.csv", "\n".join(["path,label,split,xmin,ymin,xmax,ymax", *rows]) + "\n")
    words = (b'"', b'""', b";", b"\t", b"\r", b",,,")
    return Case(page, [page], load, words, re.compile(rb"[^,\n]+"))


def labelme(at: Path) -> Case:
    pages = []
    for split, n in splits():
        put(at / f"{split}/{n}.png", picture(n))
        pages.append(put(
            at / f"{split}/{n}.json",
            f'{{"imagePath": "{n}.png", "imageWidth": 12, "imageHeight": 10, "flags": {{}},\n'
            '"shapes": [{"label": "cat", "points": [[1, 2], [6, 6]], "shape_type": "rectangle"},\n'
            '{"label": "dog", "points": [[1, 2], [6, 2], [6, 6]], "shape_type": "polygon"}]}',
        ))  # fmt: skip
    words = (b'"shape_type": "circle"', b'"shape_type": "mask", "mask": "aGk="', b'"points": [[1]]')
    return Case(at, pages, load, words)


def cvat(at: Path) -> Case:
    images = []
    for split, n in splits():
        put(at / f"images/{n}.png", picture(n))
        images.append(
            f'<image id="{n}" name="{n}.png" width="12" height="10" subset="{split}">'
            '<box label="cat" xtl="1" ytl="2" xbr="6" ybr="6" rotation="10"/>'
            '<polygon label="dog" points="1,2;6,2;6,6"/>'
            '<mask label="dog" rle="1, 2, 3" left="1" top="1" width="3" height="2"/></image>\n'
        )
    page = put(at / "annotations.xml", f"<annotations><meta/>{''.join(images)}</annotations>")
    words = (b"<image>", b"</image>", b'<tag label="x"/>', b'<ellipse label="a" cx="1"/>')
    return Case(at, [page], load, words, re.compile(rb'(?<=")[^"]*(?=")'))


def label_studio(at: Path) -> Case:
    tasks = []
    box = {"x": 10, "y": 20, "width": 40, "height": 40, "rotation": 5, "rectanglelabels": ["cat"]}
    corners = {"points": [[0, 0], [50, 0], [50, 50]], "polygonlabels": ["dog"]}
    for split, n in splits():
        put(at / f"{split}/{n}.png", picture(n))
        result = [{"type": "rectanglelabels", "value": box}, {"type": "polygonlabels",
                  "value": corners}]  # fmt: skip
        tasks.append({"id": n, "data": {"image": f"/d/{split}/1a2b3c4d-{n}.png"},
                      "annotations": [{"was_cancelled": False, "result": result}]})  # fmt: skip
    page = put(at / "tasks.json", json.dumps(tasks))
    return Case(at, [page], load, (b'"type": "choices"', b'"value": {"choices": [1]}'))


def parquet(at: Path) -> Case:
    import pyarrow
    import pyarrow.parquet

    names = []
    for _, n in splits():
        put(at / f"images/{n}.png", picture(n))
        names.append(f"images/{n}.png")
    columns = {"path": names, "label": ["cat", "dog"] * 3, "split": [s for s, _ in splits()]}
    pyarrow.parquet.write_table(pyarrow.table(columns), at / "t.parquet")
    return Case(at / "t.parquet", [at / "t.parquet"], load)


def folder(at: Path) -> Case:
    """Folders of classes with a picture of each kind, of which pictures are changed."""
    kinds = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP")
    for (split, n), kind in zip(splits(), kinds, strict=False):
        for name in ("cat", "dog"):
            ending = kind.lower().replace("jpeg", "jpg")
            put(at / split / name / f"{n}.{ending}", picture(n, kind))
    return Case(at, sorted(p for p in at.rglob("*") if p.is_file()), load)


def webdataset(at: Path) -> Case:
    for split in ("train", "val", "test"):
        put(at / f"{split}-000000.tar", tarred([
            (name, body) for n in range(4)
            for name, body in ((f"{n}.png", picture(n)), (f"{n}.cls", b"01"[n % 2 : n % 2 + 1]),
                               (f"{n}.json", b'{"label": %d}' % (n % 2)))
        ]))  # fmt: skip
    named = put(at / "classes.txt", "cat\ndog\n")
    return Case(at, [*sorted(at.glob("*.tar")), named], load)


def packed_folder() -> list[tuple[str, bytes]]:
    """Return names and contents of a folder of classes for an archive."""
    return [(f"set/{c}/{n}.png", picture(n)) for c in ("cat", "dog") for n in range(10)]


def tarred(members: list[tuple[str, bytes]], mode: str = "w") -> bytes:
    """Return a tar."""
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode=mode) as tar:  # type: ignore[call-overload]
        for name, body in members:
            info = tarfile.TarInfo(name)
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
    return held.getvalue()


def archives(at: Path) -> Case:
    """Write an archive of each kind."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as z:
        for name, body in packed_folder():
            z.writestr(name, body)
    made = [put(at / "a.zip", held.getvalue()), put(at / "b.tar", tarred(packed_folder()))]
    tars = [put(at / f"c.tar.{e}", tarred(packed_folder(), f"w:{e}")) for e in ("gz", "xz", "bz2")]
    return Case(at, [*made, *tars], load)


def pictures(at: Path) -> Case:
    """Write a picture of each kind, with EXIF, an ICC profile, transparency and more frames."""
    made = []
    for n, (kind, options) in enumerate(
        (("PNG", {}), ("JPEG", {}), ("JPEG", {"progressive": True}), ("GIF", {}), ("BMP", {}),
         ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("TIFF", {"compression": "jpeg"}),
         ("WEBP", {}), ("WEBP", {"lossless": True}), ("PPM", {}))
    ):  # fmt: skip
        image = Image.fromarray(np.random.default_rng(n).integers(0, 256, (10, 12, 3), np.uint8))
        exif = image.getexif()
        exif[0x0112], exif[0x010E] = 6, "x" * 20
        held = io.BytesIO()
        image.save(
            held, kind, **options, **({} if kind in ("GIF", "BMP", "PPM") else {"exif": exif})
        )
        made.append(put(at / f"{n}.{kind.lower().replace('jpeg', 'jpg')}", held.getvalue()))
    for mode in ("P", "LA", "RGBA", "1", "I;16", "F", "CMYK", "LAB"):
        kind = "TIFF" if mode in ("F", "CMYK", "LAB") else "PNG"
        held = io.BytesIO()
        values = Image.fromarray(np.arange(120, dtype=np.uint8).reshape(10, 12))
        source = values.convert("RGB") if mode == "LAB" else values
        source = Image.new(mode, (12, 10)) if mode == "I;16" else source.convert(mode)
        source.save(held, kind)
        made.append(put(at / f"{mode.replace(';', '')}.{kind.lower()}", held.getvalue()))
    return Case(at, made, look)


def runs(at: Path) -> Case:
    """Write a run of k-NN, of which every file is changed."""
    import sightline

    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 256, (30, 8, 8), np.uint8), np.arange(30) % 3
    model = sightline.create_model("knn", k=3)
    model.fit(sightline.load_data((X, y)).train)
    model.save(at)
    put(at / "history.jsonl", '{"epoch": 1, "train_loss": 0.5}\n')
    put(
        at / "metrics.json",
        '{"split": "test", "headline": "accuracy", "share": true, "accuracy": 0.5}',
    )
    put(at / "test.json", '{"headline": "accuracy", "metrics": {"accuracy": 0.5}, "share": true}')
    config = at / "config.json"
    return Case(at, [config, config, *sorted(p for p in at.iterdir() if p.is_file())], answer)


def cache(at: Path) -> Case:
    """Write a data set whose entry in the cache of pixels is changed."""
    from sightline.data.load import load_data

    data = folder(at / "set").path
    for p in data.rglob("*.*"):
        put(p.with_suffix(".png"), picture(len(p.name)))
        if p.suffix != ".png":
            p.unlink()
    load_data(data)
    entry = max((Path(os.environ["SIGHTLINE_HOME"]) / "pixels").iterdir(), key=os.path.getmtime)
    return Case(data, sorted(entry.iterdir()), load)


KINDS: dict[str, Callable[[Path], Case]] = {
    "coco": coco, "voc": voc, "yolo": yolo, "labelme": labelme, "cvat": cvat,
    "label_studio": label_studio, "masks": masks, "csv": table, "parquet": parquet,
    "folder": folder, "webdataset": webdataset, "archive": archives, "picture": pictures,
    "run": runs, "cache": cache,
}  # fmt: skip


# ---- how files are changed

WORDS = (
    b"[" * 5000, b"{" * 5000, b"(" * 5000, b"<a>" * 2000, b'{"a":' * 3000, b"1" * 6000, b"NaN",
    b"Infinity", b"-1", b"1e999", b"-1e999", b"null", b"true", b"[]", b"{}", b'""', b'"x"', b"0",
    b"0.5", b"99999999999", b"\xff\xfe", b"\xef\xbb\xbf", b"\0", b"\xc3\xa8\xb9\xb7", "猫".encode(),
    b"\\ud800", b'"\\ud800"', b"../../x", b"/etc", b"\n", b"\r\n", b"%s", b"\x1b[31m",
    b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\x80\0\0\0",
)  # fmt: skip
VALUES = (
    b"-1", b"0", b"0.5", b"3", b"1e5", b"1e999", b"-1e-300", b"NaN", b"-Infinity", b"99999999999",
    b"null", b"true", b"[]", b"[[]]", b"[1, 2]", b"{}", b'{"size": [10, 12], "counts": [1, 9]}',
    b'""', b'"x"', b'"cat"', b'"\\ud800"', b'"../../x"', b'"\\u0000"', b"[1e999, NaN, 0, -5]",
    b'[["a"]]', b"1" * 400,
)  # fmt: skip
"""Values that stand where others stood, so that the file is still well-formed."""


def change(content: bytes, case: Case, rng: random.Random) -> bytes:
    """Return a file changed in one to three places."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        content = _change_once(bytearray(content), case, rng)
    return content


def _change_once(content: bytearray, case: Case, rng: random.Random) -> bytes:
    at = rng.randrange(len(content) + 1)
    length = min(rng.choice((1, 2, 4, 16, 64)), len(content) - at)
    word = rng.choice((*WORDS, *case.words, *case.words))
    of_text = b"\0" not in content[:200]
    way = 8 if of_text and rng.random() < 0.5 else rng.randrange(9)
    if way == 0 and at < len(content):
        content[at] ^= 1 << rng.randrange(8)
    elif way == 1:
        content[at : at + length] = rng.randbytes(length)
    elif way == 2:
        del content[at : at + length]
    elif way == 3:
        content[at:at] = word
    elif way == 4:
        content[at : at + len(word)] = word
    elif way == 5:
        content[at:at] = content[at : at + length] * rng.choice((1, 10, 1000))
    elif way == 6:
        del content[at:]
    elif way == 7:
        there = rng.randrange(len(content) + 1)
        content[at:at] = content[there : there + 64]
    elif places := list(itertools.islice(case.value.finditer(content), 500)):
        one = rng.choice(places)
        content[one.start() : one.end()] = rng.choice((*VALUES, *VALUES, *case.words, word))
    return bytes(content)


# ---- trying them


@dataclass(slots=True)
class Block:
    """What became of some mutations of a kind."""

    tried: int = 0
    refused: int = 0
    slowest: float = 0.0
    grown: int = 0
    faults: list[dict[str, Any]] = field(default_factory=list)


def peak() -> int:
    """Return the largest memory of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )


def attempt(kind: str, numbers: range, seed: int) -> Block:
    """Try mutations of a kind in this process."""
    from sightline.errors import SightlineError

    warnings.simplefilter("ignore")
    block = Block()
    with tempfile.TemporaryDirectory() as at:
        os.environ["SIGHTLINE_HOME"] = f"{at}/home"
        case = KINDS[kind](Path(at) / "d").keep()
        for file in case.files if kind in ("archive", "picture") else [case.path]:
            with contextlib.suppress(Exception):  # what is good warms up, and sets the memory
                case.use(file)
        for number in numbers:
            rng = random.Random(f"{seed} {kind} {number}")
            file = rng.choice(case.files)
            if kind == "cache" and not file.exists():  # a renewed entry has the same name
                put(file, case.good[file])
            file.write_bytes(change(case.good[file], case, rng))
            before, begun = peak(), time.perf_counter()
            fault = ""
            signal.alarm(60)
            try:
                case.use(file if kind in ("archive", "picture") else case.path)
            except SightlineError as error:
                block.refused += 1
                fault = "several lines" if "\n" in str(error) else ""
            except Exception as error:  # noqa: BLE001 - these are what is looked for
                own = [
                    f
                    for f in traceback.extract_tb(error.__traceback__)
                    if "sightline/" in f.filename
                ]
                line = (
                    f"{own[-1].filename.rpartition('sightline/')[2]}:{own[-1].lineno}"
                    if own
                    else "?"
                )
                fault = f"{type(error).__name__} at {line}: {' '.join(str(error).split())[:120]}"
            signal.alarm(0)
            took, grown = time.perf_counter() - begun, peak() - before
            block.slowest, block.grown = max(block.slowest, took), max(block.grown, grown)
            block.tried += 1
            fault = fault or (f"took {took:.1f} s" if took > SLOW else "")
            fault = fault or (f"took {grown >> 20} MiB" if grown > LARGE else "")
            if fault:
                block.faults.append({"kind": kind, "number": number, "fault": fault})
            if file.exists() or kind != "cache":
                file.write_bytes(case.good[file])
            if number % 100 == 0:
                shutil.rmtree(f"{at}/home/archives", ignore_errors=True)
                if kind != "cache":
                    shutil.rmtree(f"{at}/home/pixels", ignore_errors=True)
    return block


def _hush() -> None:
    """Send what libraries of C write on standard error nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def readers(mutations: int, seed: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Try mutations of every kind, each block of them in a process of its own."""
    total: dict[str, Block] = {kind: Block() for kind in KINDS}
    each = -(-mutations // len(KINDS))
    context = multiprocessing.get_context("spawn")
    for start in range(0, each, BLOCK):
        for kind, whole in total.items():
            numbers = range(start, min(start + BLOCK, each))
            with context.Pool(1, _hush) as pool:
                try:
                    done = pool.apply_async(attempt, (kind, numbers, seed)).get(BLOCK * SLOW)
                except multiprocessing.TimeoutError:
                    done = Block(faults=[{"kind": kind, "number": numbers.start, "fault": "hangs"}])
            whole.tried += done.tried
            whole.refused += done.refused
            whole.slowest = max(whole.slowest, done.slowest)
            whole.grown = max(whole.grown, done.grown)
            whole.faults += done.faults
        tried = sum(b.tried for b in total.values())
        say(f"{tried:,} mutations, {sum(len(b.faults) for b in total.values())} faults")
    faults = [fault for block in total.values() for fault in block.faults]
    return {
        "mutations": sum(b.tried for b in total.values()),
        "refused": sum(b.refused for b in total.values()),
        "faults": dict(Counter(f"{f['kind']}: {f['fault']}" for f in faults).most_common(50)),
        "tracebacks": sum(" at " in f["fault"] for f in faults),
        "slowest_seconds": round(max(b.slowest for b in total.values()), 3),
        "most_memory_mib": max(b.grown for b in total.values()) >> 20,
        "first": faults[:50],
        "kinds": {
            kind: {
                "mutations": b.tried, "refused": b.refused, "faults": len(b.faults),
                "slowest_seconds": round(b.slowest, 3),
            } for kind, b in total.items()
        },
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutations", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=KINDS, help="only this kind, and record nothing")
    parser.add_argument("--only", type=int, help="the number of a mutation, of --kind")
    given = parser.parse_args()
    if given.kind:
        only = given.only is not None
        numbers = range(given.only, given.only + 1) if only else range(given.mutations)
        block = attempt(given.kind, numbers, given.seed)
        print(json.dumps({n: getattr(block, n) for n in Block.__slots__}, indent=2))
        return
    place = machine.RESULTS / "robustness.json"
    document = json.loads(place.read_text(encoding="utf-8")) if place.is_file() else {}
    document.pop("machine", None)
    asked = {"command": machine.describe()["command"], "seed": given.seed}
    if given.mutations:
        tried = readers(given.mutations, given.seed, lambda t: print(t, flush=True))
        document["readers"] = asked | tried
    if given.requests:
        document["server"] = asked | hostile.soak(given.requests, given.seed)
    machine.record("robustness", document, "pyarrow", "defusedxml", "pyyaml")
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
