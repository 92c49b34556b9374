"""Write a static site: a page whose models answer in the visitor's browser.

::

    index.html  sw.js  models.json  README.txt
    static/     the page as the server has it, and ONNX Runtime Web in ort/
    models/0/   model.onnx  preprocess.onnx  neighbours-0.png ...
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline import tasks
from sightline.data.images import as_picture
from sightline.deploy import npm
from sightline.deploy.export import MODEL, Exported, Precision, check_alone, export
from sightline.errors import RunError
from sightline.training import run
from sightline.types import Progress

WEB = Path(__file__).parent / "web"
"""The page; scripts of tasks may lie elsewhere, see `sightline.tasks`."""

RUNTIME = npm.Package(
    "onnxruntime-web", "1.30.0",
    "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ==",
)  # fmt: skip
RUNTIME_FILES = (
    "ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm",
)  # fmt: skip

MODELS = "models.json"

POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; "
    "img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self'; "
    "worker-src 'self'; base-uri 'none'; form-action 'none'"
)
"""The server's, and WebAssembly. In the page itself, as a static host sends no headers of ours."""

SIDE = 2048
"""Largest side in pixels of a sheet of training images: phones decode no much larger ones."""


@dataclass(frozen=True)
class Site:
    """The folder that `site` wrote, its models and the sizes of its files.

    Parameters
    ----------
    folder : path
    exported : list of Exported
        The exported model of each run.
    files : dict
        Bytes of each file by its path in the folder.
    """

    folder: Path
    exported: list[Exported]
    files: dict[str, int]


def site(
    sources: Sequence[str | Path],
    folder: str | Path,
    *,
    precision: Precision = "fp32",
    data: str | None = None,
    progress: Progress | None = None,
) -> Site:
    """Write runs as a static site that works offline after the first visit.

    Parameters
    ----------
    sources : sequence of paths
        Folders of runs, which the page shows side by side.
    folder : path
        A new folder, an empty one, or a site that was written before.
    precision, data, progress
        See `export.export`.

    Raises
    ------
    RunError, ParameterError, MissingExtraError
        See `export.export` and `npm.fetch`; an older site is still whole then.
    """
    place = Path(folder)
    _check(place)
    for source in sources:
        _check_alone(source)
    archive = npm.fetch(RUNTIME)  # before a minute of exporting
    parent = run.create(place.resolve().parent)
    try:
        with tempfile.TemporaryDirectory(prefix=".site-", dir=parent) as scratch:
            made = Path(scratch) / "new"
            _page(made, archive)
            done = [
                export(
                    source, made / "models" / str(i) / MODEL,
                    precision=precision, data=data, progress=progress,
                )
                for i, source in enumerate(sources)
            ]  # fmt: skip
            _models(made, done)
            _worker(made)
            _swap(made, place, Path(scratch) / "old")
    except OSError as error:
        raise RunError(f"cannot write {place}: {error.strerror or error}") from error
    files = {p.relative_to(place).as_posix(): p.stat().st_size for p in _files(place)}
    moved = [dataclasses.replace(one, path=place / one.path.relative_to(made)) for one in done]
    return Site(place, moved, files)


def _check(place: Path) -> None:
    """Refuse to replace a folder that is not a site."""
    if place.is_file():
        raise RunError(f"{place} is a file; name a folder")
    if place.is_dir() and any(place.iterdir()):
        try:
            listed = json.loads((place / MODELS).read_text(encoding="utf-8"))
            ours = isinstance(listed, dict) and "sightline" in listed
        except (OSError, ValueError, RecursionError):
            ours = False
        if not ours:
            raise RunError(f"{place} holds other files; name a new folder")


def _check_alone(source: str | Path) -> None:
    """Refuse what a browser cannot decode; see `export.check_alone`."""
    known = run.read_config(Path(source)) if run.is_run(Path(source)) else {}
    if "task" in known:
        check_alone(known["task"], known["model"])


def _swap(new: Path, place: Path, aside: Path) -> None:
    """Replace a folder by another; where that fails, the old one is put back."""
    there = place.exists()
    if there:
        place.rename(aside)
    try:
        new.rename(place)
    except OSError:
        if there:
            aside.rename(place)
        raise


def _page(made: Path, archive: Path) -> None:
    """Write the server's page for static hosting: with its own engine and policy."""
    static = made / "static"
    for folder in reversed(tasks.places("deploy.web")):
        shutil.copytree(
            folder, static, dirs_exist_ok=True,
            ignore=lambda _, names: {"index.html", "sw.js"} & set(names),
        )  # fmt: skip
    page = (WEB / "index.html").read_text(encoding="utf-8")
    ours = '<meta name="engine" content="remote">'
    policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    page = page.replace(ours, f'{policy}\n  <meta name="engine" content="local">')
    (made / "index.html").write_text(page, encoding="utf-8")
    (static / "ort").mkdir()
    npm.unpack(archive, {f"dist/{name}": static / "ort" / name for name in RUNTIME_FILES})
    (made / "README.txt").write_text(
        "A page that recognises images in the browser: put this folder on any static host.\n"
        "To try it: python3 -m http.server --directory THIS-FOLDER, then open "
        f"http://localhost:8000. It holds {RUNTIME.name} {RUNTIME.version} (MIT, Microsoft).\n",
        encoding="utf-8",
    )


def _models(made: Path, done: Sequence[Exported]) -> None:
    """Write the list of the models, and their training images as contact sheets."""
    listed: list[dict[str, Any]] = []
    for i, exported in enumerate(done):
        folder = exported.path.parent
        entry = json.loads(exported.about.to_json())
        entry["name"] = _unlike(entry["name"], [one["name"] for one in listed])
        entry["folder"] = f"models/{i}"
        pictures = folder / "model.neighbours.npy"
        entry["compares"] = pictures.is_file()
        if pictures.is_file():
            X = np.load(pictures, mmap_mode="r", allow_pickle=False)
            entry["sheets"] = _sheets(X, folder)
            del X
            pictures.unlink()
        listed.append(entry)
        if entry["licence"]:
            with (made / "README.txt").open("a", encoding="utf-8") as readme:
                readme.write(f"Weights that {entry['name']} began with: {entry['licence']}.\n")
    run.write_json(made / MODELS, {"sightline": 1, "models": listed})


def _unlike(name: str, taken: Sequence[str]) -> str:
    """Return a name that no other run of the site has."""
    n = 2
    unlike = name
    while unlike in taken:
        unlike, n = f"{name}-{n}", n + 1
    return unlike


def _sheets(X: NDArray[np.uint8], folder: Path) -> dict[str, int]:
    """Write images (N, H, W, C), row by row, as large pictures; return how many each holds.

    One picture a file would be as many files as there are training images; one for all would have
    to be decoded whole to show five.
    """
    height, width, channels = X.shape[1:]
    columns, rows = max(1, min(32, SIDE // width)), max(1, min(32, SIDE // height))
    for sheet, start in enumerate(range(0, len(X), columns * rows)):
        part = X[start : start + columns * rows]
        canvas = np.zeros((columns * rows, height, width, channels), np.uint8)
        canvas[: len(part)] = part
        whole = (
            canvas.reshape(rows, columns, height, width, channels)
            .transpose(0, 2, 1, 3, 4)
            .reshape(rows * height, columns * width, channels)
        )
        as_picture(whole).save(folder / f"neighbours-{sheet}.png", optimize=False)
    return {"columns": columns, "rows": rows}


def _worker(made: Path) -> None:
    """Write the files to cache into the service worker, with a version that changes with them."""
    paths = _files(made)
    names = [p.relative_to(made).as_posix() for p in paths]
    digest = hashlib.sha256(json.dumps(names).encode())
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    kept = json.dumps(["./", *(n for n in names if n not in ("index.html", "README.txt"))])
    script = (WEB / "sw.js").read_text(encoding="utf-8")
    line = 'const VERSION = "0", FILES = [];'
    filled = f'const VERSION = "{digest.hexdigest()[:12]}", FILES = {kept};'
    (made / "sw.js").write_text(script.replace(line, filled), encoding="utf-8")


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file())
