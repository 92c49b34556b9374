"""Methods that say several labels, from a table to an exported file."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

import sightline
from sightline.cli import main
from sightline.data.label_sets import label_table
from sightline.data.load import load_data
from sightline.deploy import multilabel as deployed
from sightline.deploy.multilabel_edge import answer as edge
from sightline.errors import DataError, ParameterError
from sightline.models.multilabel.rows import LabelFrequency, LabelLogistic, NeighbourLabels
from sightline.types import Labels, Task

RNG = np.random.default_rng(0)
NAMES = ("red", "green", "蓝")
COUNT = 60


def drawn(i):
    """A picture with a square of each colour that the bits of its number name."""
    pixels = np.random.default_rng(i).integers(40, 90, (24, 24, 3), np.uint8)
    for k in range(3):
        if i >> k & 1:
            pixels[8 * k : 8 * k + 8, 4:20, k] = 240
    return pixels


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("album")
    lines = ["path,labels"]
    flags = ["path," + ",".join(NAMES)]
    for i in range(COUNT):
        Image.fromarray(drawn(i)).save(place / f"{i:03d}.png")
        own = [name for k, name in enumerate(NAMES) if i >> k & 1]
        lines.append(f"{i:03d}.png,{'|'.join(own)}")
        flags.append(f"{i:03d}.png," + ",".join(str(i >> k & 1) for k in range(3)))
    (place / "list.csv").write_text("\n".join(lines), encoding="utf-8")
    (place / "flags.csv").write_text("\n".join(flags), encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def data(folder):
    return load_data(folder / "flags.csv")


KNOBS = {
    "label-frequency": {},
    "labels-knn": {"features": "", "size": 24, "k": 3, "metric": "l2"},
    "labels-logistic": {"features": "", "size": 24, "l2": 0.001, "scale": "unit"},
    "multilabel:convnet": {"epochs": 3.0, "least_steps": 1, "device": "cpu", "batch_size": 8},
}


@pytest.fixture(scope="module")
def models(data):
    made = {n: sightline.create_model(n, **k).fit(data.train, data.val) for n, k in KNOBS.items()}
    for model in made.values():
        model.tune_thresholds(data.val)
    return made


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def call(*words):
        status = main.status([str(w) for w in words])
        return status, *capsys.readouterr()

    return call


def test_lists_and_columns_of_a_table_are_the_same_labels(folder, data):
    listed = load_data(f"{folder}/list.csv")
    assert data.task is Task.MULTILABEL
    assert set(data.classes) == set(NAMES)
    for own in (data, listed):
        for row, item in enumerate(own.source.items):
            number = int(item.id[:3])
            assert {own.classes[k] for k in item.labels} == {
                name for k, name in enumerate(NAMES) if number >> k & 1
            }, row
    # A list without a label says nothing; a row of zeros says that there is none.
    assert len(data.source.items) == COUNT
    changed = load_data(f"{folder}/flags.csv")
    changed.source.items[0].labels = (1,)
    assert changed.fingerprint() != data.fingerprint()


def test_parquet_lists_are_labels(folder):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    table = pa.table({
        "path": [f"{i:03d}.png" for i in range(COUNT)],
        "tags": [[n for k, n in enumerate(NAMES) if i >> k & 1] for i in range(COUNT)],
    })  # fmt: skip
    pyarrow.parquet.write_table(table, folder / "tags.parquet")
    data = load_data(f"{folder}/tags.parquet")
    assert data.task is Task.MULTILABEL
    assert data.source.items[6].labels is not None


def test_objects_are_the_labels_of_their_picture():
    shapes = load_data("shapes:count=20,size=48")
    table = label_table(shapes.train)
    for row, own in zip(shapes.train.rows, table, strict=True):
        annotation = shapes.source.items[row].read_annotation()
        assert set(np.flatnonzero(own)) == set(annotation.labels.tolist())


def test_a_comparison_may_be_asked_for_the_labels_of_objects():
    from sightline.bench.compare import ladder

    shapes = load_data("shapes:count=20,size=48")
    assert "label-frequency" in ladder(shapes, task="multilabel")[0]
    assert "mean-value" in ladder(shapes, task="regress")[0]
    with pytest.raises(DataError, match="no annotation for multilabel"):
        ladder(load_data("digits"), task="multilabel")


def test_neighbours_and_lines_by_their_definitions():
    X, Y = RNG.normal(size=(30, 5)).astype(np.float32), RNG.random((30, 3)) < 0.4
    new = RNG.normal(size=(6, 5)).astype(np.float32)
    near = NeighbourLabels(k=4, metric="l2").fit(X, Y)
    order = np.linalg.norm(new[:, None] - X, axis=2).argsort(1)[:, :4]
    slow = (Y[order].sum(1) + Y.mean(0)) / 5
    np.testing.assert_allclose(near.probabilities(new), slow, rtol=1e-5)
    Y[:, 2] = False
    lines = LabelLogistic(l2=0.05).fit(X, Y)
    from sightline.models.classic.logistic import LogisticClassifier

    one = LogisticClassifier(l2=0.05).fit(X, Y[:, 0].astype(int))
    np.testing.assert_allclose(
        lines.probabilities(new)[:, 0], one.predict_proba(new)[:, 1], rtol=1e-3
    )
    np.testing.assert_allclose(lines.probabilities(new)[:, 2], 1 / 32, rtol=1e-5)
    assert LabelFrequency().fit(X, Y).probabilities(new)[3] == pytest.approx(Y.mean(0))


def test_the_network_learns_by_the_binary_cross_entropy():
    import torch

    from sightline.estimators.multilabel_network import binary_cross_entropy

    logits, y = torch.randn(5, 4), (torch.rand(5, 4) < 0.5).float()
    expected = torch.nn.functional.binary_cross_entropy(
        torch.sigmoid(logits), y, reduction="sum"
    ) / 5  # fmt: skip
    torch.testing.assert_close(binary_cross_entropy(logits, y), expected)
    together = binary_cross_entropy((logits, logits), y)
    torch.testing.assert_close(together, 1.3 * expected)


@pytest.mark.parametrize("name", KNOBS)
def test_a_run_a_file_and_a_restored_run_say_the_same(name, models, data, tmp_path):
    pytest.importorskip("onnxruntime")
    from sightline.deploy import export
    from sightline.deploy.runtime import Runtime

    model = models[name]
    run = model.save(tmp_path / "run")
    pictures = [data.test[i].image for i in range(5)]
    mine, again = model.predict(pictures), sightline.load_model(run).predict(pictures)
    assert [a.told() for a in mine] == [a.told() for a in again]
    export.export(run, tmp_path / "a.onnx")
    off, alike = deployed.agreement(mine, Runtime(tmp_path / "a.onnx").predict(pictures))
    assert off <= 1e-3
    assert alike == 1


def test_looking_beats_the_frequencies(models, data):
    figures = {name: model.score(data.test).headline for name, model in models.items()}
    assert figures["labels-logistic"] > figures["label-frequency"] + 0.2
    assert figures["multilabel:convnet"] > figures["label-frequency"] + 0.1


def test_a_resumed_training_is_the_uninterrupted_one(data, tmp_path):
    knobs = KNOBS["multilabel:convnet"] | {"epochs": 2.0, "smoothing": 0.1}
    whole = sightline.create_model("multilabel:convnet", **knobs)
    whole.fit(data.train, data.val, folder=tmp_path / "a")

    class StoppedError(Exception):
        pass

    def stop(row):
        raise StoppedError

    half = sightline.create_model("multilabel:convnet", **knobs)
    with pytest.raises(StoppedError):
        half.fit(data.train, data.val, folder=tmp_path / "b", on_epoch=stop)
    rest = sightline.create_model("multilabel:convnet", **knobs)
    rest.fit(data.train, data.val, folder=tmp_path / "b", resume=True)
    a, b = whole.method_.arrays(), rest.method_.arrays()
    assert all(np.array_equal(a[name], b[name]) for name in a)


def test_answers_and_their_thresholds():
    answer = Labels([0.9, 0.4, 0.2], NAMES, (0.95, 0.3, 0.3))
    assert [name for name, _ in answer.told()] == ["green"]
    assert [name for name, _ in answer.told(0.3)] == ["red", "green"]
    told = deployed.document(answer, top=2)
    assert [one.label for one in told.labels] == ["green"]
    assert [one.label for one in told.top] == ["red", "green"]
    assert set(deployed.row(told)) == {name for name, _ in deployed.columns()}
    about = {"classes": NAMES, "thresholds": [0.95, 0.3, 0.3]}
    said = edge({"probabilities": answer.probabilities}, about, (1, 1), 2)
    assert said == {
        "labels": [{"label": "green", "score": 0.4}],
        "top": [{"label": "red", "score": 0.9}, {"label": "green", "score": 0.4}],
    }
    with pytest.raises(DataError, match="3 labels"):
        Labels([0.5], NAMES)


def test_the_command_line(run, folder, tmp_path):
    words = ("--features=", "--size", "24", "--l2", "0.001")
    status, out, err = run("train", "labels-logistic", folder / "flags.csv", "-o", "r", *words)
    assert status == 0, err
    assert "validation: mean_average_precision" in out
    page = (tmp_path / "r/report.html").read_text(encoding="utf-8")
    assert "Which labels come together?" in page
    assert "哪些标签一起出现？" in page
    status, out, err = run("eval", "r", folder / "flags.csv", "--json")
    assert status == 0, err
    assert set(json.loads(out)["labels"]) == set(NAMES)
    status, out, err = run("predict", "r", folder / "007.png", "-o", "drawn", "--json")
    assert status == 0, err
    (said,) = json.loads(out)
    assert {"labels", "top"} <= set(said)
    assert Image.open("drawn/007.png").height > 160
    status, out, err = run("predict", "r", folder / "007.png", "--threshold", "0.01")
    assert status == 0, err
    assert all(name in out for name in NAMES)
    status, out, err = run("compare", folder / "flags.csv", "label-frequency", "-o", "c", "--json")
    assert status == 0, err
    assert json.loads(out)["task"] == "multilabel"


def test_what_it_cannot_learn_from(data):
    with pytest.raises(DataError, match="no annotation for multilabel"):
        sightline.create_model("label-frequency").fit(load_data("digits").train)
    bare = data.train.take(np.flatnonzero(~label_table(data.train).any(1)))
    with pytest.raises(DataError, match="no picture with a label"):
        sightline.create_model("label-frequency").fit(bare)
    with pytest.raises(ParameterError, match="balance=weights is for one label"):
        sightline.create_model("multilabel:convnet", balance="weights")
    with pytest.raises(ParameterError, match="is no network that classifies"):
        sightline.create_model("multilabel:knn")
    with pytest.raises(ParameterError, match="k must be at least 1"):
        sightline.create_model("labels-knn", k=0)
