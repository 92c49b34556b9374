"""Bulk prediction: every picture has one row, whatever befalls it, and finished shards are kept."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import sightline
from sightline.deploy import bulk
from sightline.deploy.bulk import predict
from sightline.deploy.export import exported
from sightline.deploy.runtime import Runtime
from sightline.deploy.sources import listed
from sightline.errors import DataError, RunError
from sightline.estimators import load_model


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run on digits, and a folder of 90 of them as files, three of which are broken."""
    folder = tmp_path_factory.mktemp("bulk")
    data = sightline.load_data("digits")
    run = sightline.create_model("nearest-mean", data).fit(data.train[:300]).save(folder / "run")
    exported(run)
    pictures = folder / "pictures"
    for i, sample in enumerate(data.test[:90]):
        path = pictures / f"{i % 3}" / f"{i:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(sample.image[:, :, 0]).save(path)
    for i in (4, 40, 77):
        (pictures / f"{i % 3}" / f"{i:03d}.png").write_bytes(b"broken")
    return run, pictures


def rows(folder: Path) -> list[dict[str, Any]]:
    return pq.read_table(folder).to_pylist()


def test_every_picture_has_its_row_and_bad_ones_an_error(made, tmp_path):
    run, pictures = made
    steps: list[tuple[int, int]] = []
    done = predict(
        run, str(pictures), str(tmp_path / "o.parquet"), shard=20,
        progress=lambda a, b: steps.append((a, b)),
    )  # fmt: skip
    found = rows(tmp_path / "o.parquet")
    assert (done.pictures, done.errors, done.shards, done.kept) == (90, 3, 5, 0)
    assert steps[-1] == (90, 90)
    assert [r["image"] for r in found] == sorted(str(p) for p in pictures.rglob("*.png"))
    good = [r for r in found if r["error"] is None]
    wanted = load_model(run).predict([r["image"] for r in good])
    assert [r["label"] for r in good] == [a.name for a in wanted]
    assert [r["score"] for r in good] == pytest.approx([a.score for a in wanted], abs=1e-5)
    assert good[0]["top_labels"] == [name for name, _ in wanted[0].top(5)]
    bad = [r for r in found if r["error"] is not None]
    assert all("not an image" in r["error"] for r in bad)
    assert all(r["label"] is None for r in bad)


def test_shards_that_are_there_are_kept_and_missing_ones_made(made, tmp_path):
    run, pictures = made
    output = tmp_path / "o.parquet"
    predict(run, str(pictures), str(output), shard=30)
    first = rows(output)
    kept = (output / "part-000000.parquet").stat().st_mtime_ns
    (output / "part-000001.parquet").unlink()
    again = predict(run, str(pictures), str(output), shard=30)
    assert again.kept == 2
    assert (output / "part-000000.parquet").stat().st_mtime_ns == kept
    assert rows(output) == first


def test_shards_of_other_pictures_or_another_model_are_not_mixed(made, tmp_path):
    run, pictures = made
    output = tmp_path / "o.parquet"
    predict(run, str(pictures), str(output), shard=50)
    with pytest.raises(RunError, match="another shard"):
        predict(run, str(pictures), str(output), shard=40)
    with pytest.raises(RunError, match="another source"):
        predict(run, str(pictures / "1"), str(output), shard=50)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x").write_text("")
    with pytest.raises(RunError, match="other files"):
        predict(run, str(pictures), str(tmp_path / "other"))


@pytest.mark.parametrize("form", ["bytes", "image", "path"])
def test_parquet_of_encoded_images_or_paths_answers_as_the_files(made, form, tmp_path):
    run, pictures = made
    paths = [p.path for p in listed(str(pictures))]
    cells: dict[str, list[Any]] = {
        "bytes": [Path(p).read_bytes() for p in paths],
        "image": [{"bytes": Path(p).read_bytes(), "path": None} for p in paths],
        "path": paths,
    }
    source = tmp_path / "in.parquet"
    table = pa.table({"id": list(range(len(paths))), form: cells[form]})
    pq.write_table(table, source, row_group_size=7)
    predict(run, str(pictures), str(tmp_path / "a.parquet"))
    predict(run, str(source), str(tmp_path / "b.parquet"), shard=25, allow_schemes=("file",))
    by_file, by_row = rows(tmp_path / "a.parquet"), rows(tmp_path / "b.parquet")
    assert [r["label"] for r in by_row] == [r["label"] for r in by_file]
    assert [r["score"] for r in by_row] == [r["score"] for r in by_file]
    assert by_row[8]["image"] == f"{source}#8"


HOSTILE = {
    "/etc/passwd": "outside of the source",
    "file:///etc/passwd": "outside of the source",
    "local:///etc/passwd": "outside of the source",
    "../secret.png": "outside of the source",
    "in/../../secret.png": "outside of the source",
    "..\\secret.png": "outside of the source",
    "http://127.0.0.1:9/a.png": "no http:",
    "HTTP://127.0.0.1:9/a.png": "no http:",
    "simplecache::http://127.0.0.1:9/": "no simplecache:",
    "zip://a.png::/etc/passwd": "no zip:",
    "zip://a.png::in/0.png": "no zip:",
    "reference://x": "no reference:",
    "memory://x": "no memory:",
    "nope://x": "no nope:",
    "file:/etc/passwd": "No such file",
    "in/none.png": "No such file",
    "in": "directory",
    "a\0b": "NUL",
    "": "no image",
    "data:image/png;base64,AAAA": "not an image",
    "=cmd|x": "No such file",
    None: "no image",
}


def test_a_row_opens_what_lies_below_the_source_and_its_failure_is_a_row(made, tmp_path):
    run, pictures = made
    below = tmp_path / "source"
    (below / "in").mkdir(parents=True)
    good = (pictures / "0" / "000.png").read_bytes()
    for place in (below / "in" / "0.png", tmp_path / "secret.png"):
        place.write_bytes(good)
    fine = [
        "in/0.png", "./in/0.png", "in\\0.png", "in/../in/0.png", str(below / "in" / "0.png"),
        f"file://{below}/in/0.png", f"data:image/png;base64,{base64.b64encode(good).decode()}",
    ]  # fmt: skip
    pq.write_table(pa.table({"path": [*HOSTILE, *fine]}), below / "t.parquet")
    for source in (below, below / "t.parquet"):
        output = tmp_path / f"{source.name}.out.parquet"
        done = predict(run, str(source), str(output))
        said = rows(output)
        assert (done.pictures, done.errors) == (len(HOSTILE) + len(fine), len(HOSTILE))
        for (value, why), row in zip(HOSTILE.items(), said, strict=False):
            assert why in row["error"], (value, row)
            assert "\n" not in row["error"]
        assert [row["error"] for row in said[len(HOSTILE) :]] == [None] * len(fine)


def test_schemes_that_are_allowed_are_opened_and_no_others(made, tmp_path):
    import fsspec

    run, pictures = made
    good = (pictures / "0" / "000.png").read_bytes()
    fsspec.filesystem("memory").pipe("/rows/0.png", good)
    (tmp_path / "outside.png").write_bytes(good)
    (tmp_path / "in").mkdir()
    values = ["memory://rows/0.png", "../outside.png", str(tmp_path / "outside.png")]
    pq.write_table(pa.table({"path": values}), tmp_path / "in" / "t.parquet")

    def failed(*schemes):
        output = tmp_path / f"{'-'.join(schemes)}.parquet"
        predict(run, str(tmp_path / "in"), str(output), allow_schemes=schemes)
        return [row["error"] is not None for row in rows(output)]

    assert failed() == [True, True, True]
    assert failed("memory") == [False, True, True]
    assert failed("FILE") == [True, False, False]
    assert failed("memory", "file") == [False, False, False]


def test_rows_of_a_table_on_other_storage_lie_below_it(made):
    import fsspec

    run, pictures = made
    memory = fsspec.filesystem("memory")
    memory.pipe("/far/in/0.png", (pictures / "0" / "000.png").read_bytes())
    with memory.open("/far/t.parquet", "wb") as file:
        values = ["in/0.png", "memory://far/in/0.png", "../far2/0.png", "/etc/passwd"]
        pq.write_table(pa.table({"path": values}), file)
    predict(run, "memory://far/t.parquet", "memory://far.out.parquet")
    with memory.open("/far.out.parquet/part-000000.parquet", "rb") as file:
        said = pq.read_table(file).to_pylist()
    assert [row["error"] is None for row in said] == [True, True, False, False]


def test_a_group_of_rows_that_cannot_be_read_leaves_the_others(made, tmp_path):
    run, pictures = made
    good = (pictures / "0" / "000.png").read_bytes()
    source = tmp_path / "t.parquet"
    pq.write_table(pa.table({"bytes": [good] * 20}), source, row_group_size=5, compression="none")
    meta = pq.ParquetFile(source).metadata.row_group(1).column(0)
    whole = bytearray(source.read_bytes())
    at = meta.dictionary_page_offset or meta.data_page_offset
    whole[at : at + 30] = bytes(30)
    source.write_bytes(whole)
    done = predict(run, str(source), str(tmp_path / "o.parquet"))
    said = rows(tmp_path / "o.parquet")
    assert (done.pictures, done.errors) == (20, 5)
    assert [row["error"] is None for row in said] == [True] * 5 + [False] * 5 + [True] * 10
    assert all("the table" in row["error"] for row in said[5:10])


def test_a_picture_that_nobody_foresaw_is_a_row(made, tmp_path, monkeypatch):
    run, pictures = made
    prepare = Runtime.prepare

    def failing(runtime, image):
        if image == b"broken":
            raise RuntimeError("nobody\nforesaw this")
        return prepare(runtime, image)

    monkeypatch.setattr(Runtime, "prepare", failing)
    done = predict(run, str(pictures), str(tmp_path / "o.parquet"))
    assert (done.pictures, done.errors) == (90, 3)
    errors = {row["error"] for row in rows(tmp_path / "o.parquet")}
    assert errors == {None, "cannot be read: RuntimeError: nobody"}


def test_answers_are_quoted_for_spreadsheets_unless_they_are_to_be_raw(made, tmp_path, monkeypatch):
    run, _ = made
    pq.write_table(pa.table({"path": ["=cmd|x", "-none.png"]}), tmp_path / "t.parquet")
    source = str(tmp_path / "t.parquet")
    predict(run, source, str(tmp_path / "a.parquet"))
    predict(run, source, str(tmp_path / "b.parquet"), raw=True)
    quoted, raw = (rows(tmp_path / name) for name in ("a.parquet", "b.parquet"))
    assert [row["image"] for row in quoted] == [row["image"] for row in raw]
    with pytest.raises(RunError, match="another raw"):
        predict(run, source, str(tmp_path / "b.parquet"))

    order = bulk.Order(source, "", top=1)
    row = {"image": "=a", "label": "@b", "score": -0.5, "top_labels": ["-c"], "top_scores": [-0.5]}

    monkeypatch.setattr(bulk, "_answered", lambda *_: [row])

    def table(order):
        *_, written = bulk.shard_table(Runtime(exported(run)), order, listed(source)[:1])
        return written.to_pylist()[0]

    assert table(order) == {
        "image": "'=a", "label": "'@b", "score": -0.5, "top_labels": ["'-c"],
        "top_scores": [-0.5], "error": None,
    }  # fmt: skip
    order.raw = True
    assert table(order) == row | {"error": None}


def test_a_lab_picture_for_a_grey_model_is_answered_as_any(made, tmp_path):
    run, _ = made
    grey = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) * 3).convert("RGB")
    grey.save(tmp_path / "a.png")
    grey.convert("LAB").save(tmp_path / "b.tif")
    done = predict(run, str(tmp_path), str(tmp_path / "o.parquet"))
    plain, lab = rows(tmp_path / "o.parquet")
    assert (done.errors, plain["label"]) == (0, lab["label"])


def test_a_name_that_is_not_utf8_is_a_row_as_any(made, tmp_path):
    run, pictures = made
    name = os.fsencode(tmp_path) + b"/in/\xe7\x8c\xff.png"
    (tmp_path / "in").mkdir()
    try:
        Path(os.fsdecode(name)).write_bytes((pictures / "0" / "000.png").read_bytes())
    except OSError:
        pytest.skip("this disk takes no such name")
    done = predict(run, str(tmp_path / "in"), str(tmp_path / "o.parquet"))
    [row] = rows(tmp_path / "o.parquet")
    assert done.errors == 0
    assert row["image"].endswith(r"\xe7\x8c\xff.png")


@pytest.mark.parametrize("damage", [b"", b"[]", b"7", b"{", b"[" * 100_000, b"\xff"])
def test_a_damaged_description_of_a_job_is_said(made, tmp_path, damage):
    run, pictures = made
    output = tmp_path / "o.parquet"
    output.mkdir()
    (output / bulk.JOB).write_bytes(damage)
    with pytest.raises(RunError, match=r"_job\.json is damaged"):
        predict(run, str(pictures), str(output))


@pytest.mark.parametrize("damage", [b"", b"PAR1 nothing PAR1"])
def test_a_damaged_shard_is_named(made, tmp_path, damage):
    run, pictures = made
    output = tmp_path / "o.parquet"
    predict(run, str(pictures), str(output), shard=50)
    (output / "part-000001.parquet").write_bytes(damage)
    with pytest.raises(RunError, match=r"part-000001\.parquet is damaged.*remove it"):
        predict(run, str(pictures), str(output), shard=50)
    (output / "part-000001.parquet").unlink()
    assert predict(run, str(pictures), str(output), shard=50).errors == 3


def test_a_pipe_a_device_and_a_huge_file_are_rows_with_errors(made, tmp_path):
    run, _ = made
    folder = tmp_path / "in"
    folder.mkdir()
    os.mkfifo(folder / "pipe.png")
    with (folder / "huge.png").open("wb") as file:
        file.truncate(2**30 + 1)
    values = ["pipe.png", "huge.png", "/dev/zero"]
    pq.write_table(pa.table({"path": values}), folder / "t.parquet")
    predict(run, str(folder), str(tmp_path / "o.parquet"), allow_schemes=("file",))
    said = [row["error"] for row in rows(tmp_path / "o.parquet")]
    for error, why in zip(said, ("pipe", "at most 1,073,741,824", "device"), strict=True):
        assert why in error


def test_below_the_threshold_there_is_no_label(made, tmp_path):
    run, pictures = made
    predict(run, str(pictures), str(tmp_path / "a.parquet"))
    middle = float(np.median([r["score"] for r in rows(tmp_path / "a.parquet") if r["score"]]))
    predict(run, str(pictures), str(tmp_path / "b.parquet"), reject=middle)
    good = [r for r in rows(tmp_path / "b.parquet") if r["error"] is None]
    assert {r["label"] is None for r in good} == {True, False}
    assert all((r["label"] is None) == (r["score"] < middle) for r in good)


def test_other_storage_goes_through_fsspec(made):
    import fsspec

    run, pictures = made
    memory = fsspec.filesystem("memory")
    for path in sorted(pictures.rglob("*.png"))[:10]:
        memory.pipe(f"/bulk/in/{path.name}", path.read_bytes())
    done = predict(run, "memory://bulk/in", "memory://bulk/out.parquet", shard=4)
    assert done.shards == 3
    assert sorted(p.rsplit("/", 1)[-1] for p in memory.ls("/bulk/out.parquet", detail=False)) == [
        "_job.json", "part-000000.parquet", "part-000001.parquet", "part-000002.parquet",
    ]  # fmt: skip


def test_a_killed_run_goes_on_where_it_stood(made, tmp_path):
    run, pictures = made
    output = tmp_path / "o.parquet"
    code = (
        "import sys, time\nfrom sightline.deploy import bulk\nwrite = bulk._write\n"
        "def slow(*a):\n    write(*a); time.sleep(0.5)\nbulk._write = slow\n"
        "bulk.predict(*sys.argv[1:4], shard=10)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(run), str(pictures), str(output)])
    deadline = time.monotonic() + 60
    while len(list(output.glob("part-*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert 2 <= len(list(output.glob("part-*"))) < 9
    done = predict(run, str(pictures), str(output), shard=10)
    assert done.kept >= 2
    predict(run, str(pictures), str(tmp_path / "whole.parquet"), shard=10)
    assert rows(output) == rows(tmp_path / "whole.parquet")


def test_two_workers_of_a_ray_cluster_answer_as_one_process(made, tmp_path):
    ray = pytest.importorskip("ray")
    run, pictures = made
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        ours = {"shard": 15, "top": 3}
        predict(run, str(pictures), str(tmp_path / "a.parquet"), **ours)
        done = predict(
            run, str(pictures), str(tmp_path / "b.parquet"), engine="ray", workers=2, **ours
        )
    finally:
        ray.shutdown()
    assert done.shards == 6
    assert done.errors == 3
    assert rows(tmp_path / "a.parquet") == rows(tmp_path / "b.parquet")


@pytest.mark.parametrize(
    ("source", "message"),
    [("nowhere", "no such"), ("empty", "no image"), ("bad.parquet", "Parquet"), ("x://y", "x")],
)
def test_what_cannot_be_read_is_said_in_one_line(made, source, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("bad.parquet").write_bytes(b"no parquet")
    with pytest.raises(DataError, match=message) as caught:
        predict(made[0], source, str(tmp_path / "o.parquet"))
    assert "\n" not in str(caught.value)


def test_a_table_without_images_says_what_it_has(made, tmp_path):
    pq.write_table(pa.table({"id": [1]}), tmp_path / "in.parquet")
    with pytest.raises(DataError, match=r"no column of images.*it has id"):
        predict(made[0], str(tmp_path / "in.parquet"), str(tmp_path / "o.parquet"))


def test_a_full_disk_loses_no_shard(made, tmp_path, monkeypatch):
    run, pictures = made
    output = tmp_path / "o.parquet"
    write = bulk._write
    calls = []

    def full(*args: Any) -> None:
        calls.append(args)
        if len(calls) == 3:
            raise RunError("cannot write: No space left on device")
        write(*args)

    monkeypatch.setattr(bulk, "_write", full)
    with pytest.raises(RunError, match="No space"):
        predict(run, str(pictures), str(output), shard=20)
    monkeypatch.setattr(bulk, "_write", write)
    assert predict(run, str(pictures), str(output), shard=20).kept == 2
