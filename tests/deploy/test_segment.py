"""Exported semantic networks and what `predict` writes: equal to the run, in any script."""

from __future__ import annotations

import csv
import itertools
import json
import shutil
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

import sightline
from sightline.cli.main import status as main
from sightline.deploy import bulk, segment
from sightline.deploy.edge import bundle
from sightline.deploy.export import export
from sightline.deploy.runtime import Runtime
from sightline.deploy.segment_tiles import segment as by_windows
from sightline.deploy.segment_tiles import trusted
from sightline.deploy.server.problems import Problem
from sightline.deploy.server.serving import Served
from sightline.deploy.units import PixelSize
from sightline.errors import ParameterError
from sightline.types import Segmentation

CLASSES = ("背景", "=ink")
EDGE = 64 // 4 - 1


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A small run on bright rectangles, its export, and pictures of other sizes."""
    folder = tmp_path_factory.mktemp("ink")
    rng = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (folder / "set" / kind).mkdir(parents=True)
    for i in range(16):
        labels = np.zeros((32, 48), np.uint8)
        y, x = rng.integers(2, 16, 2)
        labels[y : y + 12, x : x + 20] = 1
        pixels = np.where(labels[..., None] == 1, 210, 30) + rng.integers(0, 20, (32, 48, 3))
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"set/images/{i:02}.png")
        Image.fromarray(labels).save(folder / f"set/masks/{i:02}.png")
    (folder / "set/classes.txt").write_text("\n".join(CLASSES), "utf-8")
    data = sightline.load_data(folder / "set")
    model = sightline.create_model(
        "unet-lite:convnet", data, size=64, epochs=4, least_steps=1, device="cpu", workers=0,
        precision="32-true",
    )  # fmt: skip
    model.fit(data.train, data.val).save(folder / "run")
    (folder / "new/子").mkdir(parents=True)
    shot = Image.open(folder / "set/images/00.png")
    shot.resize((70, 33)).save(folder / "new/a.png")
    shot.resize((23, 41)).save(folder / "new/子/b.jpg")
    return folder


@pytest.fixture(scope="module")
def exported(place):
    return export(place / "run", place / "model.onnx", data=str(place / "set"))


def test_the_file_answers_as_the_run_for_any_batch(place, exported):
    assert exported.difference <= 2e-3
    run, runtime = sightline.load_model(place / "run"), Runtime(exported.path)
    pictures = [
        np.asarray(Image.open(p).convert("RGB")) for p in sorted(place.rglob("new/**/*.*g"))
    ]
    pictures.append(np.full((5, 7, 3), 128, np.uint8))
    for a, b in zip(run.predict(pictures), runtime.predict(pictures), strict=True):
        assert a.classes == b.classes == CLASSES
        assert (a.label_map == b.label_map).mean() > 0.995
    X = np.stack([runtime.prepare(p)[0] for p in pictures])
    together = runtime.outputs(X)
    assert together["labels"].dtype == np.uint8
    assert (together["labels"] == together["scores"].argmax(1)).all()
    for i in range(len(X)):
        alone = runtime.outputs(X[i : i + 1])["scores"][0]
        np.testing.assert_allclose(alone, together["scores"][i], atol=1e-4)


def test_a_bundle_answers_as_the_run_without_the_bench(place):
    made = bundle(place / "run", place / "bundle").folder
    said = subprocess.run(
        [sys.executable, "-I", made / "predict.py", place / "new/a.png"], capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    told = json.loads(said.stdout)
    [answer] = sightline.load_model(place / "run").predict([place / "new/a.png"])
    document = segment.document(answer).model_dump(mode="json")
    assert told["size"] == document["size"] == [33, 70]
    for one, other in zip(told["objects"], document["objects"], strict=True):
        assert (one["label"], one["pixels"]) == (other["label"], other["pixels"])
        code = coco_mask.frPyObjects({"size": [33, 70], "counts": one["counts"]}, 33, 70)
        assert code["counts"].decode() == other["counts"]


def test_an_answer_as_json_holds_every_pixel_once():
    labels = np.array([[0, 1, 1], [2, 2, 1]], np.uint8)
    made = segment.document(Segmentation(labels, ("a", "b", "c", "d")))
    assert [(one.label, one.pixels) for one in made.objects] == [("b", 3), ("c", 2), ("a", 1)]
    assert sum(one.share for one in made.objects) == pytest.approx(1)
    for value, one in zip((1, 2, 0), made.objects, strict=True):
        mask = coco_mask.decode({"size": list(made.size), "counts": one.counts})
        assert (mask == (labels == value)).all()
    few = segment.document(Segmentation(labels, ("a", "b", "c", "d")), top=1)
    assert ([one.label for one in few.objects], few.more) == (["b"], 2)
    assert segment.row(made)["rle"] == [one.counts for one in made.objects]
    segment.Answer.model_validate(dict(segment.EXAMPLE))
    for one, wanted in zip(segment.EXAMPLE["objects"], (5, 1), strict=True):
        code = {"size": segment.EXAMPLE["size"], "counts": one["counts"]}
        assert coco_mask.area(code) == wanted


def test_windows_answer_as_the_network_does_for_the_whole_at_their_scale(place):
    run = sightline.load_model(place / "run")
    shots = [Image.open(place / f"set/images/{i:02}.png").resize((64, 64)) for i in range(6)]
    large = Image.new("RGB", (192, 128))
    for i, shot in enumerate(shots):
        large.paste(shot, (i % 3 * 64, i // 3 * 64))

    def at_its_scale(parts):
        return [
            Segmentation(next(run.method_.scores(np.asarray(part)[None])).argmax(0), CLASSES)
            for part in parts
        ]

    [whole] = at_its_scale([large])
    seen = by_windows(at_its_scale, large, 64)
    assert 0.1 < whole.shares["=ink"] < 0.9
    assert (seen.label_map != whole.label_map).mean() < 0.01


def test_windows_leave_no_seam():
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 4, (301, 517), dtype=np.uint8) * 60)

    def each_pixel(parts):
        return [Segmentation(np.asarray(part) // 60, tuple("abcd")) for part in parts]

    def blind_at_the_edge(parts):
        """See every pixel but those within a quarter of the window's edge, as networks do."""
        said = each_pixel(parts)
        for one, part in zip(said, parts, strict=True):
            inner = np.full(one.label_map.shape, 9, np.uint8)
            inner[EDGE:-EDGE, EDGE:-EDGE] = one.label_map[EDGE:-EDGE, EDGE:-EDGE]
            object.__setattr__(one, "label_map", inner)
            assert part.size == (64, 64)
        return said

    whole = np.asarray(picture) // 60
    for side in (64, 96, 200, 600):
        assert (by_windows(each_pixel, picture, side).label_map == whole).all()
    seen = by_windows(blind_at_the_edge, picture, 64).label_map
    assert (seen[EDGE:-EDGE, EDGE:-EDGE] == whole[EDGE:-EDGE, EDGE:-EDGE]).all()
    for length, side in ((64, 64), (65, 64), (1000, 64), (10, 64)):
        parts = trusted(length, side)
        assert parts[0][0] == 0
        assert parts[-1][1] == length
        assert all(a[1] == b[0] for a, b in itertools.pairwise(parts))
    with pytest.raises(ParameterError, match="at least 32"):
        by_windows(each_pixel, picture, 8)


def test_many_classes_take_no_more_memory_than_one():
    labels = np.kron(np.arange(120, dtype=np.uint8).reshape(10, 12), np.ones((60, 50), np.uint8))
    answer = Segmentation(labels, tuple(map(str, range(200))))
    tracemalloc.start()
    made = segment.document(answer)
    assert tracemalloc.get_traced_memory()[1] < 4 * labels.size
    tracemalloc.stop()
    assert [one.pixels for one in made.objects] == [3000] * 120
    assert answer.pixels.tolist() == [3000] * 120 + [0] * 80
    ignored = Segmentation(np.array([[255, 0, 1]], np.uint8), ("a", "b"))
    assert (ignored.pixels.tolist(), ignored.shares) == ([1, 1], {"a": 0.5, "b": 0.5})


def test_predict_writes_pictures_masks_and_areas(place, capsys, monkeypatch):
    monkeypatch.chdir(place)
    assert main(["predict", "run", "new", "-o", "out", "--scale", "0.5um"]) == 0
    text = capsys.readouterr().out
    assert "背景" in text
    run = sightline.load_model(place / "run")
    names = ("a.png", "子/b.jpg")
    wanted = dict(zip(names, run.predict([place / "new" / name for name in names]), strict=True))
    with (place / "out/answers/areas.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["label"] for row in rows} <= {"背景", "'=ink"}
    for row in rows:
        value = CLASSES.index(row["label"].removeprefix("'"))
        count = int((wanted[row["image"]].label_map == value).sum())
        assert int(row["pixels"]) == count
        assert float(row["area_um2"]) == pytest.approx(count / 4, rel=1e-5)
    for name, answer in wanted.items():
        stem = name.rpartition(".")[0]
        mask = Image.open(place / f"out/answers/masks/{stem}.png")
        assert mask.mode == "P"
        assert (np.asarray(mask) == answer.label_map).all()
        drawn = Image.open(place / f"out/{stem}.png")
        assert drawn.width >= answer.label_map.shape[1]
    page = json.loads((place / "out/answers/coco.json").read_text("utf-8"))
    assert page["categories"] == [{"id": 2, "name": "=ink"}]  # the background is no object
    for one in page["annotations"]:
        shot = page["images"][one["image_id"] - 1]
        mask = coco_mask.decode(one["segmentation"])
        assert mask.shape == (shot["height"], shot["width"])
        assert (mask == (wanted[shot["file_name"]].label_map == one["category_id"] - 1)).all()
        assert int(mask.sum()) == one["area"]
        rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
        low = [int(columns[0]), int(rows[0])]
        assert one["bbox"] == [*low, columns[-1] + 1 - low[0], rows[-1] + 1 - low[1]]
    # Read again, what is answered is what is true.
    shutil.copytree(place / "new", place / "told/images")
    shutil.copy(place / "out/answers/coco.json", place / "told")
    read = sightline.load_data(place / "told")
    assert read.segmentation_classes == ("background", "=ink")
    for sample in itertools.chain(*(read.split(name) for name in read.rows)):
        name = sample.id.removeprefix("images/")
        assert (sample.segmentation.label_map == wanted[name].label_map).all()
    # The masks are read again as data with the pictures beside them.
    (place / "again").mkdir()
    (place / "new").rename(place / "again/images")
    (place / "out/answers/masks").rename(place / "again/masks")
    (place / "out/answers/classes.txt").rename(place / "again/classes.txt")
    again = sightline.load_data(place / "again")
    assert again.segmentation_classes == CLASSES
    (place / "again/images").rename(place / "new")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--scale", "half", "-o", "x"], "such as 0.5um, not half"),
        (["--scale", "0um", "-o", "x"], "such as 0.5um, not 0um"),
        (["--scale", "0.5um"], "needs a folder"),
        (["--tile", "8"], "at least 32"),
        (["--reject", "0.5"], "for answers with scores"),
        (["--threshold", "auto"], "for answers with scores"),
        (["--threshold", "0.5", "-o", "x.parquet"], "for answers with scores"),
        (["--save", "yolo", "-o", "x"], "yolo"),
    ],
)
def test_what_cannot_be_is_one_line(place, words, text, capsys, monkeypatch):
    monkeypatch.chdir(place)
    asked = "new" if "x.parquet" in words else "new/a.png"
    assert main(["predict", "run", asked, *words]) == 2
    said = capsys.readouterr().err
    assert text in said
    assert "Traceback" not in said


@pytest.mark.parametrize("threshold", [0.5, "auto"])
def test_a_server_refuses_a_threshold_where_pixels_have_no_scores(exported, threshold):
    served = Served("网", Runtime(exported.path), None, None)
    assert served.limits(0.0) == 0.0
    with pytest.raises(Problem, match="threshold: the model '网' answers without scores"):
        served.limits(threshold)


def test_sizes_of_pixels_are_read():
    assert PixelSize.parse("2 mm").area(3) == 12
    assert PixelSize.parse("0.5µm") == (0.5, "µm")
    for wrong in ("", "um", "1", "-1um", "nanum", "1 um um"):
        with pytest.raises(ParameterError, match="length of a pixel"):
            PixelSize.parse(wrong)


def test_bulk_has_a_row_of_codes_for_each_picture(place, exported):
    import pyarrow.parquet as pq

    done = bulk.predict(exported.path, str(place / "new"), str(place / "bulk.parquet"))
    assert (done.pictures, done.errors) == (2, 0)
    [row] = [r for r in pq.read_table(place / "bulk.parquet").to_pylist() if "a.png" in r["image"]]
    assert (row["height"], row["width"]) == (33, 70)
    assert sum(row["pixels"]) == 33 * 70
    for count, code in zip(row["pixels"], row["rle"], strict=True):
        assert coco_mask.area({"size": [33, 70], "counts": code}) == count
