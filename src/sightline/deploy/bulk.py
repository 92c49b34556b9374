"""Predict for many pictures in shards that can be resumed, on one machine or on a Ray cluster.

The pictures are listed once and cut into shards. Each shard becomes one Parquet file that appears
whole or not at all, so a job that was killed goes on with the shards that are missing, and any
number of workers may share them. A picture that cannot be read is a row with an error.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from sightline.data.cells import quoted
from sightline.data.text import readable
from sightline.deploy.export import exported
from sightline.deploy.runtime import Runtime, limit_of, limits_in, own_limits
from sightline.deploy.sources import Place, Reader, listed, root_of, storage
from sightline.errors import MissingExtraError, ParameterError, RunError
from sightline.types import Progress

if TYPE_CHECKING:
    import pyarrow as pa

Engine = Literal["local", "ray"]

JOB = "_job.json"
"""In the output folder: what the shards are of; readers of Parquet skip such names."""

SHARD = 2000
"""Pictures of a shard."""

_BATCH = 64
_AHEAD = 4  # batches that are decoded while one is answered


@dataclass(frozen=True)
class Bulk:
    """Counts and the time of a finished bulk prediction.

    Parameters
    ----------
    output : str
    pictures, errors : int
        Counts over all shards.
    shards, kept : int
        All of them, and those that an earlier call had finished.
    seconds : float
    """

    output: str
    pictures: int
    errors: int
    shards: int
    kept: int
    seconds: float


@dataclass
class Order:
    """The settings that a worker needs to answer a shard; plain data, so that it can be pickled.

    Parameters
    ----------
    source, output : str
        Paths or URLs, as fsspec takes them.
    top : int
        Classes named for each picture.
    reject : float or list of float
        Below this score, or below that of its class, the label is null.
    batch : int
        Pictures answered together.
    threads : int
        Threads that decode pictures.
    schemes : sequence of str
        See `Reader`.
    raw : bool
        Leave cells as they are that a spreadsheet would compute.
    """

    source: str
    output: str
    top: int = 5
    reject: float | list[float] = 0.0
    batch: int = _BATCH
    threads: int = 0
    schemes: Sequence[str] = ()
    raw: bool = False


def predict(
    run_or_model: str | Path,
    source: str,
    output: str,
    *,
    engine: Engine = "local",
    top: int = 5,
    reject: float | Literal["auto"] = 0.0,
    shard: int = SHARD,
    workers: int = 0,
    allow_schemes: Sequence[str] = (),
    raw: bool = False,
    progress: Progress | None = None,
) -> Bulk:
    """Predict for all pictures of a source and write the answers as Parquet shards.

    Parameters
    ----------
    run_or_model : path
        A run's folder, or an exported .onnx file.
    source : str
        A folder of images, a Parquet file or a folder of them with a column of encoded images
        (``bytes``, ``image``) or of paths (``path``, ``url``); local, or a URL of any storage
        that fsspec has a package for, such as ``s3://bucket/folder``.
    output : str
        Folder of the shards, conventionally ``NAME.parquet``; local or a URL. Finished shards in
        it are kept.
    engine : {"local", "ray"}
        This process, or the Ray cluster that `ray.init` finds, with Ray Data.
    top
        See `Order`.
    reject : float or "auto"
        Below this score the label is null; auto: below the model's threshold of its class.
    shard : int
        Pictures of a shard.
    workers : int
        Ray actors, each with a model of its own; 0: one for each core of the cluster.
    allow_schemes : sequence of str
        Schemes of URLs that are opened where a table's rows name them, such as ``https``; ``file``
        is any path of this machine. Without them paths below the source are, and no others.
    raw : bool
        Leave cells as they are that a spreadsheet would compute, as a class called ``=1+1``; else
        an apostrophe stands before them.
    progress : callable, optional
        Called with (pictures done, pictures in all).

    Raises
    ------
    DataError
        When there is no picture, or the source cannot be listed.
    RunError
        When the output cannot be written, or holds shards of other pictures or another model.
    MissingExtraError
        When a package is missing.
    """
    if shard < 1 or top < 1 or not (isinstance(reject, str) or 0 <= reject <= 1):
        raise ParameterError("shard and top must be at least 1, and reject between 0 and 1")
    start = time.perf_counter()
    model = exported(run_or_model)
    runtime = Runtime(model)
    runtime.check_answers()
    if reject and not getattr(runtime.task, "SCORED", True):
        raise ParameterError(
            f"reject is for answers with scores; those of the task {runtime.about.task} have none: "
            "each pixel has its best class"
        )
    own = runtime.about.thresholds
    limit: float | list[float]
    if isinstance(reject, str):
        limit = list(limits_in(own, run_or_model))
    else:
        limit = own_limits(runtime.about.task, own, reject)
    order = Order(source, output, top, limit, schemes=tuple(allow_schemes), raw=raw)
    places = listed(source)
    job = {
        "model": runtime.about.name, "version": runtime.about.version, "source": source,
        "pictures": len(places), "shard": shard, "top": top, "reject": reject,
        "list": hashlib.sha256(
            "\n".join(p.name for p in places).encode("utf-8", "surrogateescape")
        ).hexdigest()[:16],
    }  # fmt: skip
    job |= {"allow_schemes": sorted(allow_schemes)} if allow_schemes else {}
    job |= {"raw": True} if raw else {}
    _begin(output, job)
    shards = [places[i : i + shard] for i in range(0, len(places), shard)]
    present = _present(output)
    there = {i for i in range(len(shards)) if _name(i) in present}
    todo = [(i, part) for i, part in enumerate(shards) if i not in there]
    done = sum(len(shards[i]) for i in there)
    local = engine == "local"
    for count in _local(runtime, order, todo) if local else _ray(model, order, todo, workers):
        done += count
        if progress:
            progress(done, len(places))
    errors = _count_errors(output, len(shards))
    seconds = time.perf_counter() - start
    return Bulk(output, len(places), errors, len(shards), len(there), seconds)


def shard_table(
    runtime: Runtime, order: Order, places: Sequence[Place]
) -> Iterator[int | pa.Table]:
    """Predict for one shard: yield the number of pictures of each batch, then the table."""
    import pyarrow as pa

    fs, _ = storage(order.source)
    rows: list[dict[str, Any]] = []
    parts = [places[i : i + order.batch] for i in range(0, len(places), order.batch)]
    with ThreadPoolExecutor(order.threads or None) as pool:
        read = Reader(fs, root_of(order.source), runtime, order.schemes)
        ahead = [pool.map(read, part) for part in parts[:_AHEAD]]
        for i, part in enumerate(parts):
            pixels = list(ahead.pop(0))
            if i + _AHEAD < len(parts):
                ahead.append(pool.map(read, parts[i + _AHEAD]))
            rows += _answered(runtime, order, part, pixels)
            yield len(part)
    keep = _storable if order.raw else lambda cell: quoted(_storable(cell))
    rows = [{name: keep(cell) for name, cell in row.items()} for row in rows]
    yield pa.Table.from_pylist(rows, _schema(runtime))


def _storable(cell: Any) -> Any:
    """Return a cell as Parquet takes it: bytes of a name that are no UTF-8 become their numbers."""
    if isinstance(cell, str):
        return cell.encode("utf-8", "backslashreplace").decode()
    return [_storable(part) for part in cell] if isinstance(cell, list) else cell


def _answered(
    runtime: Runtime, order: Order, places: Sequence[Place], ready: Sequence[Any]
) -> list[dict[str, Any]]:
    good = [one for one in ready if not isinstance(one, str)]
    said = runtime.answer(np.stack([p for p, _ in good]), [f for _, f in good]) if good else []
    answers = iter(said)
    rows: list[dict[str, Any]] = []
    for place, one in zip(places, ready, strict=True):
        if isinstance(one, str):
            rows.append({"image": place.name, "error": readable(one)})
            continue
        said_of = next(answers)
        limit = limit_of(said_of, order.reject)
        answer = runtime.task.document(said_of, top=order.top, threshold=limit)
        rows.append({"image": place.name, **runtime.task.row(answer)})
    return rows


def _schema(runtime: Runtime) -> pa.Schema:
    import pyarrow as pa

    return pa.schema([("image", pa.string()), *runtime.task.columns(), ("error", pa.string())])


def _local(runtime: Runtime, order: Order, todo: list[tuple[int, list[Place]]]) -> Iterator[int]:
    for i, places in todo:
        for step in shard_table(runtime, order, places):
            if isinstance(step, int):
                yield step
            else:
                _write(order.output, _name(i), step)


class _Worker:
    """A Ray actor: holds one model and answers the shards that it is given, one by one."""

    def __init__(self, model: bytes, order: dict[str, Any]) -> None:
        self.order = Order(**order)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            path.write_bytes(model)
            self.runtime = Runtime(path, threads=1)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        counts = []
        for i, text in zip(batch["shard"], batch["places"], strict=True):
            places = [Place(*place) for place in json.loads(text)]
            for step in shard_table(self.runtime, self.order, places):
                if not isinstance(step, int):
                    _write(self.order.output, _name(int(i)), step)
            counts.append(len(places))
        return {"done": np.array(counts)}


def _ray(
    model: Path, order: Order, todo: list[tuple[int, list[Place]]], workers: int
) -> Iterator[int]:
    try:
        import ray
        import ray.data
    except ImportError:
        raise MissingExtraError("bulk prediction on Ray", "bulk") from None
    if not todo:
        return
    if not ray.is_initialized():
        ray.init(log_to_driver=False, logging_level=logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    number = min(workers or _cores(ray), len(todo))
    items = [{"shard": i, "places": json.dumps(places)} for i, places in todo]
    answers = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
        _Worker, batch_size=1, concurrency=number,
        fn_constructor_args=(model.read_bytes(), asdict(order)),
    )  # fmt: skip
    for row in answers.iter_rows():
        yield int(row["done"])


def _cores(ray: Any) -> int:
    return int(ray.cluster_resources().get("CPU", 1))


def _name(i: int) -> str:
    return f"part-{i:06d}.parquet"


def _present(output: str) -> set[str]:
    """List the names of the files in the output folder."""
    fs, root = storage(output)
    return {path.rsplit("/", 1)[-1] for path in fs.ls(root, detail=False)}


def _begin(output: str, job: dict[str, Any]) -> None:
    """Write the job's description into the output, or check that it is the one already there."""
    fs, root = storage(output)
    try:
        if fs.isfile(root):
            raise RunError(f"{output} is a file; name a new folder")
        if fs.exists(f"{root}/{JOB}"):
            before = _before(fs.cat_file(f"{root}/{JOB}"), output)
            odd = [k for k in job | before if before.get(k) != job.get(k)]
            if odd:
                raise RunError(
                    f"{output} holds answers with another {odd[0]} ({before.get(odd[0])}, not "
                    f"{job.get(odd[0])}); name another output"
                )
            return
        fs.makedirs(root, exist_ok=True)
        if fs.ls(root):
            raise RunError(f"{output} holds other files; name a new folder")
        with fs.open(f"{root}/{JOB}", "wb") as file:
            file.write(json.dumps(job, indent=2).encode())
    except (OSError, ValueError) as error:
        raise RunError(f"cannot write to {output}: {error}") from error


def _before(text: bytes, output: str) -> dict[str, Any]:
    """Return the description of the job that wrote an output."""
    try:
        before = json.loads(text)
        if isinstance(before, dict):
            return before
    except (ValueError, RecursionError):
        pass
    raise RunError(f"{output}/{JOB} is damaged; name another output")


def _write(output: str, name: str, table: pa.Table) -> None:
    """Write a shard atomically: a reader sees the whole file or none."""
    import pyarrow.parquet as pq

    fs, root = storage(output)
    memory = io.BytesIO()
    pq.write_table(table, memory)
    part, final = f"{root}/_{name}.part", f"{root}/{name}"
    try:
        with fs.open(part, "wb") as file:
            file.write(memory.getbuffer())
        fs.mv(part, final)
    except OSError as error:
        raise RunError(f"cannot write {output}/{name}: {error.strerror or error}") from error


def _count_errors(output: str, shards: int) -> int:
    import pyarrow.parquet as pq

    fs, root = storage(output)
    errors = 0
    for i in range(shards):
        try:
            with fs.open(f"{root}/{_name(i)}", "rb") as file:
                column = pq.read_table(file, columns=["error"]).column(0)
        except (OSError, ValueError, KeyError) as error:
            why = (str(error).splitlines() or [type(error).__name__])[0]
            raise RunError(
                f"{output}/{_name(i)} is damaged ({why}); remove it, and the same command writes it"
            ) from None
        errors += len(column) - column.null_count
    return errors
