"""Objects with masks from training to files: the run, its export, what is written and shown."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco_mask
from scipy import ndimage

import sightline
from sightline.cli.main import main
from sightline.deploy import instances, instances_edge
from sightline.deploy.edge import bundle
from sightline.deploy.export import export
from sightline.deploy.graphs import graph
from sightline.deploy.instances_files import numbered
from sightline.deploy.runtime import Runtime
from sightline.deploy.site import site
from sightline.deploy.units import PixelSize
from sightline.errors import ParameterError
from sightline.metrics.instances_table import Masks
from sightline.report import instances as page
from sightline.training import run
from sightline.types import Frame

KNOBS = {"device": "cpu", "workers": 0, "batch_size": 8}


def cells(folder, n=14):
    """Pictures of bright discs, two of them touching, one picture without any."""
    random = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for i in range(n):
        height, width = (40, 48) if i % 2 else (48, 40)
        numbers = np.zeros((height, width), np.uint8)
        y, x = np.mgrid[:height, :width]
        places = [(12, 12, 7), (12, 25, 7), (30, 26, 6)][: i % 4]
        for k, (b, a, r) in enumerate(places, 1):
            numbers[(y - b) ** 2 + (x - a) ** 2 < r**2] = k
        bright = 40 + 170 * (numbers > 0)[..., None] + random.normal(0, 6, (height, width, 3))
        Image.fromarray(bright.clip(0, 255).astype(np.uint8)).save(folder / f"images/{i}.png")
        Image.fromarray(numbers).save(folder / f"masks/{i}.png")
    return sightline.load_data(folder)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return cells(tmp_path_factory.mktemp("cells") / "data")


def fitted(name, data, folder):
    model = sightline.create_model(name, data, size=64, epochs=2, lr=4e-3, **KNOBS)
    model.fit(data.train, data.val)
    model.tune_thresholds(model.evaluate(data.val))
    return model.save(folder / "run")


@pytest.fixture(scope="module")
def watershed(data, tmp_path_factory):
    return fitted("unet-watershed", data, tmp_path_factory.mktemp("watershed"))


@pytest.fixture(scope="module")
def boxed(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("boxed")
    run = fitted("mask-rcnn-small", data, folder)
    return export(run, folder / "model.onnx"), run


def pictures(data):
    return [item.read_image("RGB") for item in data.source.items[:6]]


def test_the_run_comes_back_and_the_file_answers_as_it_does(boxed, data):
    made, run = boxed
    assert made.difference < 1e-2
    model, runtime, images = sightline.load_model(run), Runtime(made.path), pictures(data)
    assert len(model.thresholds) == 1
    own, said = model.predict(images), runtime.predict(images)
    assert instances.agreement(own, said)[0] < 1e-2
    assert sum(map(len, own)) > 3
    for image, answer in zip(images, own, strict=True):
        assert answer.size == image.shape[:2]  # each in its own pixels, whatever its size
        assert (np.diff(answer.scores) <= 1e-9).all()
    X, frames = model.prepared(images)
    outputs = runtime.outputs(X)
    assert outputs["masks"].shape == (6, *outputs["scores"].shape[1:], 28, 28)
    alone = [runtime.answer(X[i : i + 1], frames[i : i + 1])[0] for i in range(2)]
    assert instances.agreement(runtime.answer(X, frames)[:2], alone)[0] < 1e-3


def test_the_graph_of_a_watershed_gives_maps_of_which_objects_are_made(
    watershed, data, tmp_path
):  # fmt: skip
    model = sightline.load_model(watershed)
    assert {"val_ap", "val_ap50", "train_loss"} <= set(model.history[-1])
    X, frames = model.prepared(pictures(data))
    made = graph(model)
    with torch.inference_mode():
        maps = made(torch.from_numpy(X))[0].numpy()
    assert made.names == ("maps",)
    assert maps.shape == (6, 4, 64, 64)
    about = SimpleNamespace(classes=model.classes_)
    said = instances.decode({"maps": maps}, about, frames)
    assert instances.agreement(model.answers(X, frames), said)[0] < 1e-3
    measured = model.evaluate(data.test)
    assert {"ap", "match50", "pq", "count_error"} <= set(measured.metrics)
    assert dict(model.score(data.test)) == dict(measured.metrics)
    run.write_metrics(tmp_path, measured.metrics, "val")  # no figure takes a name of the file's own
    read = run.read_headline(tmp_path)
    assert (read.headline, read.split) == (measured.metrics.headline, "val")


def test_a_page_shows_truth_answer_and_difference(watershed, data):
    model = sightline.load_model(watershed)
    measured = model.evaluate(data.train)
    parts = page.sections(data, {"a": measured}, split="val")
    assert len(parts) == 5
    assert all(section.parts for section in parts)
    headings, rows = page.table(measured, data.classes)
    assert len(headings) == len(rows[0])
    told = page.details(measured, data.classes)
    assert len(told["counts"]) == len(data.train)
    json.dumps(told)


def test_the_difference_tells_missed_wrong_and_anothers_pixels():
    def of(*masks):
        return Masks.of_shapes([np.array(m, bool) for m in masks], (1, 4), [0] * len(masks), ("a",))

    shown = page.difference(np.zeros((1, 4, 3), np.uint8), of([[1, 1, 0, 0]]), of([[0, 1, 1, 0]]))
    assert [tuple(v) for v in shown[0, :3].tolist()] == [page.MISSED, (110,) * 3, page.WRONG]
    both = of([[1, 1, 0, 0]], [[0, 0, 1, 1]])
    shown = page.difference(
        np.zeros((1, 4, 3), np.uint8),
        both,
        of(
            [
                [1, 1, 1, 0],
            ]
        ),
    )
    assert [tuple(v) for v in shown[0].tolist()] == [
        (110,) * 3, (110,) * 3, (110,) * 3, page.MISSED
    ]  # fmt: skip


def answer():
    masks = np.zeros((3, 6, 9), bool)
    masks[0, 1:4, 1:4] = masks[1, 2:6, 3:9] = masks[2, 0, 8] = True
    return Masks.of_shapes(list(masks), (6, 9), [0, 1, 0], ("猫", "=dog"), scores=[0.9, 0.8, 0.2])


def test_objects_are_told_with_codes_that_pycocotools_reads():
    said = instances.document(answer())
    assert [(o.label, o.area, o.box) for o in said.objects] == [
        ("猫", 9, (1, 1, 4, 4)), ("=dog", 24, (3, 2, 9, 6)),
    ]  # fmt: skip
    code = said.objects[0].mask.model_dump()
    np.testing.assert_array_equal(coco_mask.decode(code), answer().mask(0))
    row = instances.row(instances.document(answer(), top=1, threshold=0.1))
    assert (row["count"], row["areas"], row["masks"]) == (3, [9], [code["counts"]])
    assert (row["height"], row["width"]) == (6, 9)
    assert {name for name, _ in instances.columns()} == set(row)
    instances.Answer.model_validate(instances.EXAMPLE)
    assert len(instances.document(answer(), threshold=[0.95, 0.5]).objects) == 1


def test_files_are_read_by_other_programs(tmp_path):
    some = [("a/猫.jpg", (6, 9), answer())]
    written = instances.write_files(tmp_path, some, scale=PixelSize(0.5, "um"))
    assert {p.name for p in written} == {"objects.json", "coco.json", "objects.csv", "masks"}
    coco = json.loads((tmp_path / "coco.json").read_text(encoding="utf-8"))
    assert [row["area"] for row in coco["annotations"]] == [9, 24, 1]
    back = coco_mask.decode(coco["annotations"][1]["segmentation"])
    np.testing.assert_array_equal(back, answer().mask(1))
    with (tmp_path / "objects.csv").open(encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert [(r["area_px"], r["area_um2"]) for r in rows] == [
        ("9", "2.25"),
        ("24", "6"),
        ("1", "0.25"),
    ]
    assert rows[1]["label"] == "'=dog"  # a spreadsheet would compute it
    drawn = np.asarray(Image.open(tmp_path / "masks/a/猫.png"))
    np.testing.assert_array_equal(drawn, numbered(answer()))
    assert drawn[3, 3] == 1  # of two that overlap the smaller one


def test_three_hundred_objects_need_sixteen_bits(tmp_path):
    numbers = np.zeros((60, 80), np.int32)
    numbers[::4, ::4] = np.arange(1, 301).reshape(15, 20)
    many = Masks.of_map(numbers, ("a",))
    instances.write_files(tmp_path, [("x.png", (60, 80), many)], ["png"])
    drawn = Image.open(tmp_path / "masks/x.png")
    assert drawn.mode == "I;16"
    assert set(np.unique(drawn)) == set(range(301))
    few = many.taken(range(255))
    instances.write_files(tmp_path, [("y.png", (60, 80), few)], ["png"])
    assert Image.open(tmp_path / "masks/y.png").mode == "I;16"  # 255 would be ignored


def test_a_missing_object_and_another_score_are_differences():
    whole = answer()
    assert instances.agreement([whole], [whole]) == (0.0, 1.0)
    worst, same = instances.agreement([whole], [whole.taken([0, 2])])
    assert worst == pytest.approx(24 / (9 * 2 + 24 + 2))
    assert same == 0
    moved = Masks(whole.size, whole.codes, whole.labels, whole.classes, whole.scores - 0.1)
    assert instances.agreement([whole], [moved])[0] == pytest.approx(0.1)


def test_the_runner_of_a_bundle_draws_the_masks_without_sightline(boxed, data):
    runtime, path = Runtime(boxed[0].path), data.source.items[3].image
    pixels, frame = runtime.prepare(path)
    out = {name: values[0] for name, values in runtime.outputs(pixels[None]).items()}
    out["scores"] = np.where(np.arange(len(out["scores"])) < 5, 0.9, 0).astype(np.float32)
    about = {"classes": runtime.about.classes, "size": runtime.about.size, "resize": "pad"}
    said = instances_edge.answer(out, about, frame.size, 5)["objects"]
    (answer,) = instances.decode({n: v[None] for n, v in out.items()}, runtime.about, [frame])
    wanted = instances.document(answer).objects
    assert len(said) == len(wanted) > 0
    for a, b in zip(said, wanted, strict=True):
        code = coco_mask.frPyObjects(a["mask"], *a["mask"]["size"])
        assert coco_mask.iou([code], [b.mask.model_dump()], [0])[0, 0] > 0.97
        assert a["box"] == pytest.approx(b.box, abs=1)


def test_a_watershed_says_that_it_needs_more_than_a_bundle_or_a_page(watershed, tmp_path):
    with pytest.raises(ParameterError, match=r"cannot answer without Sightline: .*watershed"):
        bundle(watershed, tmp_path / "no")
    with pytest.raises(ParameterError, match="sightline serve"):
        site([watershed], tmp_path / "site")
    assert not (tmp_path / "no" / "model.onnx").exists()


def test_the_command_line_predicts_and_draws(watershed, data, tmp_path, capsys):
    path = str(data.source.items[3].image)
    with pytest.raises(SystemExit) as ended:
        main(["predict", str(watershed), path, "-o", str(tmp_path / "out"), "--json"])
    assert ended.value.code == 0
    told = json.loads(capsys.readouterr().out)
    assert {"objects", "more", "picture"} <= set(told[0])
    assert (tmp_path / "out/answers/masks").is_dir()
    assert (tmp_path / "out/answers/objects.csv").is_file()


def test_nothing_of_a_decoder_needs_torch():
    code = (
        "import sys, numpy as np\n"
        "from types import SimpleNamespace\n"
        "from sightline.deploy import instances\n"
        "from sightline.types import Frame\n"
        "maps = np.zeros((1, 4, 8, 8), np.float32)\n"
        "instances.decode({'maps': maps}, SimpleNamespace(classes=('a',)), [Frame((8, 8))])\n"
        "assert 'torch' not in sys.modules, 'torch'\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert Frame((8, 8)).size == (8, 8)


def test_objects_on_the_seams_of_tiles_are_one_and_whole():
    """A model that answers with each connected part of a picture that it is shown."""
    random = np.random.default_rng(0)
    whole = np.zeros((150, 230), np.uint8)
    y, x = np.mgrid[:150, :230]
    for b in range(15, 140, 30):
        for a in range(15, 220, 30):
            r = random.uniform(5, 11)
            whole[(y - b) ** 2 + (x - a) ** 2 <= r**2] = 255
    whole[60:75, 10:200] = 255  # longer than a tile

    def predict(parts):
        numbered_parts = (ndimage.label(np.asarray(part) > 0, np.ones((3, 3)))[0] for part in parts)
        return [Masks.of_map(numbers, ("a",)) for numbers in numbered_parts]

    done = []
    said = instances.tiled(predict, Image.fromarray(whole), 100, lambda *at: done.append(at))
    wanted = predict([whole])[0]
    assert done[-1] == (6, 6)
    assert len(said) == len(wanted) > 20
    assert {said.mask(i).tobytes() for i in range(len(said))} == {
        wanted.mask(i).tobytes() for i in range(len(wanted))
    }
    blank = Image.new("L", (300, 90))
    none = instances.tiled(lambda parts: [wanted.taken([])] * len(parts), blank, 64)
    assert (len(none), none.size) == (0, (90, 300))
