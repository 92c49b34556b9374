"""Detectors of anomalies from a folder to an exported file, and what they refuse."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

import sightline
from sightline.cli import main
from sightline.data.images import frame_of
from sightline.deploy import anomaly as deployed
from sightline.deploy.anomaly_edge import answer as edge
from sightline.errors import DataError, ParameterError
from sightline.metrics.anomaly import Evaluation
from sightline.report import anomaly as report
from sightline.types import Anomaly, Frame, Generated

TINY = {"epochs": 1.0, "least_steps": 1, "device": "cpu", "batch_size": 8}


@pytest.fixture(scope="module")
def data():
    return sightline.load_data("textures:count=48,size=48")


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    """The run of a tiny network, whose features stand for those of a trained one."""
    digits = sightline.load_data("shapes:count=24,size=48,objects=1")
    model = sightline.create_model("convnet", epochs=1.0, least_steps=1, device="cpu")
    return str(model.fit(digits.train).save(tmp_path_factory.mktemp("net") / "run"))


@pytest.fixture(scope="module")
def models(data, features):
    """One small fitted estimator of each method."""
    layer = first_map(features)
    knobs = {
        "pixel-mean": {"size": 48},
        "knn-features": {"features": features},
        "patchcore": {"features": f"{features}@{layer}", "bank": 50},
        "padim": {"features": f"{features}@{layer}", "dims": 8},
        "anomaly-autoencoder": {"size": 48, **TINY},
    }
    return {
        name: sightline.create_model(name, **options).fit(data.train, data.val)
        for name, options in knobs.items()
    }


def first_map(folder):
    """The name of a layer that still has places."""
    from sightline.estimators.backbone import Backbone

    net = Backbone.named(folder)
    names = [n for n, m in net.network.model.named_modules() if type(m).__name__ == "Conv2d"]
    return names[1]


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def call(*words):
        status = main.status([str(w) for w in words])
        return status, *capsys.readouterr()

    return call


METHODS = ("pixel-mean", "knn-features", "patchcore", "padim", "anomaly-autoencoder")


@pytest.mark.parametrize("name", METHODS)
def test_a_run_a_file_and_a_restored_evaluation_say_the_same(name, models, data, tmp_path):
    pytest.importorskip("onnxruntime")
    from sightline.deploy import export
    from sightline.deploy.runtime import Runtime

    model = models[name]
    assert model.classes_ == ("good", "anomaly")
    measured = model.evaluate(data.test)
    assert Evaluation.restored(measured.arrays()).metrics == measured.metrics
    run = model.save(tmp_path / "run")
    pictures = [data.test[i].image for i in range(4)]
    mine, again = model.predict(pictures), sightline.load_model(run).predict(pictures)
    assert [a.score for a in mine] == [a.score for a in again]
    export.export(run, tmp_path / "a.onnx")
    theirs = Runtime(tmp_path / "a.onnx").predict(pictures)
    off, alike = deployed.agreement(mine, theirs)
    assert off <= 2e-3
    assert alike == 1
    assert ("pixel_auroc" in measured.metrics) == (name != "knn-features")


def test_the_threshold_is_the_one_of_the_held_back_pictures(models, data):
    model = models["patchcore"]
    good = data.val.take(np.flatnonzero(data.val.labels == 0))
    scores = np.sort([a.score for a in model.predict(good)])
    held = model.method_.held_
    np.testing.assert_allclose(scores, 1 / (1 + (model.method_.limit_[0] / held) ** 4), rtol=1e-4)
    assert any("threshold set by 6 held-back good pictures" in line for line in model.remarks)


def test_pictures_of_defects_teach_nothing(data):
    """Training on good and odd pictures gives what training on the good ones alone gives."""
    mixed = data.with_rows({"train": np.concatenate([data.rows["train"], data.rows["test"]])})
    alone = data.with_rows({"train": np.concatenate(
        [data.rows["train"], data.rows["test"][data.test.labels == 0]])})  # fmt: skip
    a, b = (
        sightline.create_model("pixel-mean", size=48).fit(d.train, data.val) for d in (mixed, alone)
    )
    assert np.array_equal(a.method_.mean_, b.method_.mean_)
    assert any("left out, as only good ones teach" in line for line in a.remarks)
    assert not any("left out" in line for line in b.remarks)


def test_without_validation_some_good_pictures_are_held_back(data):
    model = sightline.create_model("pixel-mean", size=48).fit(data.train)
    assert len(model.method_.held_) == len(data.train) // 5
    assert any("held back for the threshold" in line for line in model.remarks)


def test_same_seed_same_bits(data, features):
    made = [
        sightline.create_model("knn-features", features=features, most=10, seed=3)
        .fit(data.train, data.val)
        .method_.bank_
        for _ in range(2)
    ]
    assert np.array_equal(*made)


def test_a_resumed_training_is_the_uninterrupted_one(data, tmp_path):
    knobs = {"size": 48, **TINY, "epochs": 2.0}
    whole = sightline.create_model("anomaly-autoencoder", **knobs)
    whole.fit(data.train, data.val, folder=tmp_path / "a")

    class StoppedError(Exception):
        pass

    def stop(row):
        raise StoppedError

    half = sightline.create_model("anomaly-autoencoder", **knobs)
    with pytest.raises(StoppedError):
        half.fit(data.train, data.val, folder=tmp_path / "b", on_epoch=stop)
    rest = sightline.create_model("anomaly-autoencoder", **knobs)
    rest.fit(data.train, data.val, folder=tmp_path / "b", resume=True)
    a, b = whole.method_.arrays(), rest.method_.arrays()
    assert all(np.array_equal(a[name], b[name]) for name in a)


def test_answers_in_words_json_and_pictures(models, data):
    model, picture = models["patchcore"], data.test[-1].image
    answer = model.predict([picture])[0]
    told = deployed.document(answer, threshold=0.3)
    assert told.anomaly == (answer.score >= 0.3)
    row = deployed.row(told)
    assert set(row) == {name for name, _ in deployed.columns()}
    grey = np.asarray(Image.open(io.BytesIO(row["heat"])))
    assert grey.shape == (48, 48)
    np.testing.assert_allclose(grey / 255, answer.heat_out(), atol=0.003)
    drawn = report.annotate(Image.fromarray(picture), answer, top=1, threshold=0.0)
    assert drawn.width == 480
    assert drawn.height > 480
    said = report.cells(answer, top=1, threshold=0.0)
    assert said[0] in ("good", "anomaly")


def test_a_bundle_says_what_the_server_does():
    heat = np.zeros((32, 48), np.float32)
    heat[20, 10] = 0.9
    about = {"size": [32, 48], "resize": "stretch"}
    said = edge({"score": np.float32(0.9), "heat": heat}, about, (64, 96), 1)
    assert said == {"score": 0.9, "anomaly": True, "at": [41, 21], "share": round(1 / 1536, 4)}
    frame = frame_of((64, 96), (32, 48), "stretch")
    (mine,) = deployed.decode({"score": np.array([0.9]), "heat": heat[None]}, None, [frame])
    rows, columns = np.nonzero(mine.heat_out() == mine.heat_out().max())
    assert abs(rows.mean() - 41) <= 1
    assert abs(columns.mean() - 21) <= 1
    assert "at" not in edge({"score": np.float32(0.1)}, about, (64, 96), 1)


def test_a_map_of_a_padded_picture_is_cut():
    heat = np.zeros((8, 8), np.float32)
    heat[2:6] = 0.7
    answer = Anomaly(0.7, heat, Frame((4, 8), (1.0, 1.0), (2.0, 0.0)))
    assert (answer.heat_out() == np.float32(0.7)).all()
    assert Anomaly(0.2, None, Frame((4, 8))).heat_out().shape == (4, 8)
    assert not isinstance(answer, Generated)
    with pytest.raises(DataError, match="between 0 and 1"):
        Anomaly(1.2, None, Frame((4, 8)))


def test_the_command_line(run, tmp_path):
    status, out, err = run(
        "train", "pixel-mean", "textures:count=48,size=48", "--size", "48", "-o", "r",
        "--false-alarms", "0.1",
    )  # fmt: skip
    assert status == 0, err
    assert "threshold set by 6 held-back good pictures" in out
    assert "Where is it odd?" in (tmp_path / "r/report.html").read_text()
    status, out, err = run("eval", "r", "textures:count=48,size=48", "--json")
    assert status == 0, err
    document = json.loads(out)
    assert document["headline"] == "auroc"
    assert set(document["kinds"]) == {"missing", "scratch", "spot"}
    Image.fromarray(sightline.load_data("textures:count=48,size=48").test[0].image).save("a.png")
    status, out, err = run("predict", "r", "a.png", "-o", "drawn", "--json")
    assert status == 0, err
    (said,) = json.loads(out)
    assert {"score", "anomaly", "share", "heat", "size"} <= set(said)
    assert Image.open("drawn/a.png").width == 480
    coded = base64.b64decode(said["heat"].partition(",")[2])
    assert Image.open(io.BytesIO(coded)).size == (48, 48)


def test_a_comparison_ranks_and_picks(run, tmp_path):
    status, out, err = run(
        "compare", "textures:count=48,size=48", "pixel-mean", "-o", "c", "--json"
    )
    assert status == 0, err
    found = json.loads(out)
    assert found["task"] == "anomaly"
    assert found["pick"]["name"] == "pixel-mean"
    page = (tmp_path / "c/report.html").read_text()
    assert "false alarms" in page
    assert "误报率" in page


def folder_of(tmp_path, **classes):
    for name, count in classes.items():
        for i in range(count):
            place = tmp_path / "data" / name
            place.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(i).integers(0, 256, (40, 40, 3), np.uint8)
            Image.fromarray(pixels).save(place / f"{i}.png")
    return tmp_path / "data"


def test_a_folder_of_classes_one_of_them_good(tmp_path):
    data = sightline.load_data(folder_of(tmp_path, 正常=20, 划痕=8))
    model = sightline.create_model("pixel-mean", size=40).fit(data.train, data.val)
    assert model.classes_ == ("正常", "anomaly")
    measured = model.evaluate(data.test)
    assert measured.names == ("正常", "划痕")
    assert "pixel_auroc" not in measured.metrics  # nobody says where the defects lie


def test_a_comparison_may_be_asked_for_defects_in_folders_of_classes(tmp_path):
    from sightline.bench.compare import ladder

    data = sightline.load_data(folder_of(tmp_path, ok=12, hole=12))
    names, _ = ladder(data, task="anomaly")
    assert "pixel-mean" in names
    assert "knn" in ladder(data)[0]
    with pytest.raises(DataError, match="no class of good pictures"):
        ladder(sightline.load_data("digits"), task="anomaly")


def test_good_pictures_alone_are_measured_by_their_false_alarms(tmp_path):
    data = sightline.load_data(folder_of(tmp_path, good=20))
    model = sightline.create_model("pixel-mean", size=40).fit(data.train, data.val)
    measured = model.evaluate(data.test)
    assert measured.metrics.headline_name == "false_alarm_rate"


@pytest.mark.parametrize(
    ("classes", "why"),
    [
        ({"scratch": 6, "hole": 6}, "no class of good pictures, but 'hole', 'scratch'"),
        ({"good": 6, "normal": 6}, "both called as good pictures"),
    ],
)
def test_data_that_cannot_teach_it(tmp_path, classes, why):
    data = sightline.load_data(folder_of(tmp_path, **classes))
    with pytest.raises(DataError, match=why):
        sightline.create_model("pixel-mean").fit(data.train)


def test_no_good_picture_and_a_single_one(data):
    labels = data.test.labels
    bad = data.test.take(np.flatnonzero(labels > 0))
    with pytest.raises(DataError, match="no picture of the class 'good'"):
        sightline.create_model("pixel-mean").fit(bad)
    one = data.test.take(np.flatnonzero(labels == 0)[:1])
    with pytest.raises(DataError, match="one picture alone of the class 'good'"):
        sightline.create_model("pixel-mean").fit(one)


def test_other_refusals(data):
    with pytest.raises(ParameterError, match="where a defect may lie"):
        sightline.create_model("pixel-mean", resize="crop")
    with pytest.raises(ParameterError, match="name it with features"):
        sightline.create_model("patchcore", features="", size=48).fit(data.train)
    with pytest.raises(ParameterError, match="between 0 and 1"):
        sightline.create_model("anomaly-autoencoder", false_alarms=0.0)
    with pytest.raises(DataError, match="no class of good pictures"):
        sightline.create_model("pixel-mean").fit(sightline.load_data("digits").train)
