"""Write and read runs: a run is a folder that holds what was fitted, on what, and how well.

``config.json`` holds every knob, ``model.safetensors`` every learned array,
``metrics.json`` the figures. There is no pickle. Each file appears whole or not at all.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.data import documents, text
from sightline.data.dataset import Dataset
from sightline.errors import DataError, RunError, wrong_kind
from sightline.metrics import Metrics, threads
from sightline.models.method import CPU

FORMAT = 1
CONFIG, MODEL, METRICS = "config.json", "model.safetensors", "metrics.json"
ABOUT, DIGEST = "about", "sha256"
"""What the header of a file of arrays says of them, and in it their digest."""

HISTORY = "history.jsonl"
TEST = "test.json"
"""What `eval` measured on the run's own test split."""

CHECKPOINTS, LAST = "checkpoints", "last.safetensors"


def is_run(path: Path) -> bool:
    """Tell whether a folder holds a run."""
    return (path / CONFIG).is_file()


def create(path: str | Path) -> Path:
    """Make the folder of a run and check that it can be written.

    Raises
    ------
    RunError
        When it cannot.
    """
    if not isinstance(path, str | Path):
        raise wrong_kind("path is a folder", path)
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except FileExistsError:
        raise RunError(f"{folder} is a file; name a folder") from None
    except OSError as error:
        raise RunError(
            f"cannot write to {folder} ({error.strerror}); name another folder"
        ) from error
    return folder


def folder_name(method: str, *, before: str = "", data: str = "") -> str:
    """Return the name of the folder for a method's run; a name that is a path makes one folder.

    Examples
    --------
    >>> folder_name("onnx:nets/a.onnx", before="tune", data="digits")
    'tune-onnx:nets_a.onnx-digits'
    """
    return re.sub(r"[/\\]", "_", "-".join(part for part in (before, method, data) if part))


def free_folder(name: str, data: Dataset) -> Path:
    """Return ``runs/NAME``, with a number where a run of other data has that name.

    A run of the same data is replaced; one whose data cannot be told counts as another.
    """
    for number in range(1, 10_000):
        folder = Path("runs") / (name if number == 1 else f"{name}-{number}")
        if not (folder / CONFIG).exists():
            return folder
        try:
            seen = json.loads((folder / CONFIG).read_text(encoding="utf-8"))["data"]
            if (seen["path"], seen["name"]) == (data.path, data.name):
                return folder
        except (OSError, ValueError, KeyError, TypeError):
            continue
    raise RunError(f"runs/{name} and its numbers are all taken; name a folder")


def is_first() -> bool:
    """Tell whether this process is the one that writes, of those that torchrun started."""
    return os.environ.get("RANK", "0") == "0"


def leave_others() -> None:
    """Leave the group of processes, if there is one; who ends within it may be aborted."""
    from torch import distributed

    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def write_text(path: Path, content: str) -> None:
    """Write a file so that a reader sees the old or the new one, never a part.

    Raises
    ------
    RunError
        When the disk is full or cannot be written; the old file is still there.
    """
    with replacing(path) as part:
        part.write_text(text.readable(content), encoding="utf-8")


def write_json(path: Path, document: Any) -> None:
    """Write JSON, indented, atomically; NumPy numbers become plain ones."""
    written = json.dumps(document, indent=2, ensure_ascii=False, default=plain)
    write_text(path, text.escaped(written) + "\n")


def write_history(path: Path, history: Sequence[Mapping[str, Any]]) -> None:
    """Write what happened in each epoch, one JSON object a line, atomically."""
    lines = (json.dumps(dict(epoch), default=plain) for epoch in history)
    write_text(path, "".join(line + "\n" for line in lines))


def read_history(folder: Path) -> list[dict[str, Any]]:
    """Read the epochs of a run; none where the method has no epochs.

    Raises
    ------
    RunError
        When the file is damaged.
    """
    path = folder / HISTORY
    if not path.is_file():
        return []
    try:
        rows = [documents.parse_json(line, path) for line in text.read(path).splitlines()]
    except DataError as error:
        raise RunError(
            f"{path} is damaged ({str(error).partition(': ')[2]}); train again"
        ) from None
    if not all(isinstance(row, dict) for row in rows):
        raise RunError(f"{path} is damaged (a line is no object); train again")
    return rows


@dataclass(frozen=True, slots=True)
class Headline:
    """A run's main figure, and what it was measured on.

    Parameters
    ----------
    headline : float
    metric : str
        Its name.
    split : str
        What it was measured on: test or val.
    share : bool
        Whether it is a share, in [0, 1].
    """

    headline: float
    metric: str
    split: str
    share: bool = True


_ODD = (RunError, KeyError, TypeError, ValueError, OverflowError, AttributeError)
"""What reading figures of other kinds than Sightline's raises."""


def write_metrics(folder: Path, metrics: Metrics, split: str) -> None:
    """Write a run's figures, with the split that they were measured on."""
    about = {"split": split, "headline": metrics.headline_name, "share": metrics.share}
    write_json(folder / METRICS, about | dict(metrics))


def read_headline(folder: Path) -> Headline | None:
    """Read a run's main figure: of its own test split where that was measured, else of training.

    None where there is none.
    """
    with contextlib.suppress(*_ODD):
        told = read_json(folder / TEST)
        name = told["headline"]
        return Headline(float(told["metrics"][name]), name, "test", told.get("share", True))
    with contextlib.suppress(*_ODD):
        told = read_json(folder / METRICS)
        name = told.get("headline", "accuracy")
        # Comparisons did not write the split: theirs are figures of the test split.
        return Headline(float(told[name]), name, told.get("split", "test"), told.get("share", True))
    return None


def speed(history: Sequence[Mapping[str, Any]]) -> dict[str, float] | None:
    """Return images a second and the share of time spent waiting for data, over all epochs.

    None where the history of the method does not say it. Validation does not count.
    """
    if not history or "images_per_second" not in history[0]:
        return None
    seconds = [1 / row["images_per_second"] for row in history]  # for the same number of images
    waited = sum(s * row["waited"] for s, row in zip(seconds, history, strict=True))
    return {"images_per_second": len(history) / sum(seconds), "waited": waited / sum(seconds)}


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]], note: Mapping[str, str]) -> None:
    """Write arrays as safetensors, atomically, with their digest in its header."""
    from safetensors.numpy import save_file

    whole = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    # One entry: of several the order in the file would be left to chance.
    about = json.dumps({**note, DIGEST: _digest(whole)})
    with replacing(path) as part:
        save_file(whole, part, metadata={ABOUT: about})


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    RunError
        When there is no such file, or it holds no JSON object.
    """
    if not path.exists():
        raise RunError(f"{path.parent} is not a run: it has no {path.name}")
    try:
        document = documents.read_json(path)
    except DataError as error:
        why = str(error).removeprefix(f"{path}:").strip()
        raise RunError(f"{path} is damaged ({why}); train again") from None
    if not isinstance(document, dict):
        raise RunError(f"{path} is damaged (no JSON object); train again")
    return document


def read_config(folder: Path) -> dict[str, Any]:
    """Read the configuration of a run, in which every entry is of its kind.

    Raises
    ------
    RunError
        When there is none, a newer version wrote it, or an entry is missing or of another kind.
    """
    from pydantic import ValidationError

    from sightline.training.configuration import Configuration

    path = folder / CONFIG
    document = read_json(path)
    version = document.get("format")
    if isinstance(version, int) and version > FORMAT:
        raise RunError(f"{folder} was written by a newer sightline; upgrade to read it")
    try:
        Configuration.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = "".join(f"{part}." for part in first["loc"]).removesuffix(".")
        why = first["msg"].removeprefix("Value error, ").replace("Input should", "it should")
        said = f"{where}: {why}" if where else why
        raise RunError(f"{path} is not a run's configuration ({said}); train again") from None
    return document


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read safetensors.

    Raises
    ------
    RunError
        When the file is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            about = json.loads((file.metadata() or {}).get(ABOUT, "{}"))
    except FileNotFoundError:
        raise RunError(f"{path.parent} is not a complete run: it has no {path.name}") from None
    except (SafetensorError, OSError, ValueError, TypeError, AttributeError) as error:
        raise RunError(f"{path} is damaged ({error}); train again") from error
    told = about.get(DIGEST)  # None of older runs
    if told is not None and told != _digest(arrays):
        raise RunError(f"{path} is damaged (it differs from what was written); train again")
    return arrays


def _digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return the SHA-256 of arrays with their names, kinds and shapes, in hex digits."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def environment(seed: int, used: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return what a result depends on beside the code and the data.

    Parameters
    ----------
    seed : int
    used : mapping, optional
        Device, number of devices and precision; see `sightline.models.method.Method`.
    """
    used = CPU if used is None else used
    packages = ("numpy", "pillow", "scikit-learn", "scipy", "numba", "torch", "torchvision")
    return {
        "sightline": metadata.version("sightline"),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "device": used["device"],
        "devices": used["devices"],
        "precision": used["precision"],
        "threads": threads.in_use(),
        "versions": {p: metadata.version(p) for p in packages},
        "git": _git_revision(),
        "seed": seed,
    }


def processor() -> str:
    """Return the model name of the processor, as the system states it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def describe_data(data: Dataset) -> dict[str, Any]:
    """Return what a run keeps of the data that it saw."""
    return {
        "name": data.name,
        "path": data.path,
        "task": str(data.task),
        "classes": list(data.classes),
        "counts": {name: len(rows) for name, rows in data.rows.items()},
        "fingerprint": data.fingerprint(),
        "seed": data.seed,
    } | ({"category_ids": list(data.category_ids)} if data.category_ids else {})


def now() -> str:
    """Return the time of writing, UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def command() -> str:
    """Return the command line of this process."""
    import shlex

    name = Path(sys.argv[0]).name
    return shlex.join([name if name != "__main__.py" else "sightline", *sys.argv[1:]])


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path to write to, which replaces ``path`` when all went well.

    Raises
    ------
    RunError
        When the disk is full or cannot be written; the old file is still there.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(path)
    except Exception as error:
        why = getattr(error, "strerror", None) or str(error)
        raise RunError(f"cannot write {path}: {why}") from error
    finally:
        part.unlink(missing_ok=True)


def plain(value: Any) -> Any:
    """Return NumPy values and paths as JSON can hold them."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"a value of type {type(value).__name__} cannot be written as JSON")


def _git_revision() -> str | None:
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=Path(__file__).parent, capture_output=True, text=True, timeout=5, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
