"""Methods that say a number, from a table to an exported file."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

import sightline
from sightline.cli import main
from sightline.data.load import load_data
from sightline.data.values import values_of
from sightline.deploy import regress as deployed
from sightline.deploy.regress_edge import answer as edge
from sightline.errors import DataError, ParameterError
from sightline.models.regress.rows import MeanValue, NeighbourValue, RidgeValue
from sightline.types import Estimate, Task

RNG = np.random.default_rng(0)
COUNT = 60


def drawn(i):
    """A picture that is the brighter the larger its number is."""
    random = np.random.default_rng(i)
    level = int(random.integers(20, 200))
    noise = random.integers(-15, 16, (20, 20, 3))
    return np.clip(level + noise, 0, 255).astype(np.uint8), level / 8 + 0.25


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("scale")
    lines = ["path,age"]
    for i in range(COUNT):
        pixels, value = drawn(i)
        Image.fromarray(pixels).save(place / f"{i:03d}.png")
        lines.append(f"{i:03d}.png,{value:.3f}" if i != 7 else f"{i:03d}.png,")
    (place / "ages.csv").write_text("\n".join(lines), encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def data(folder):
    return load_data(folder / "ages.csv")


KNOBS = {
    "mean-value": {},
    "value-knn": {"features": "", "size": 20, "k": 3, "metric": "l2"},
    "value-ridge": {"features": "", "size": 20, "scale": "unit"},
    "regress:convnet": {"epochs": 4.0, "least_steps": 1, "device": "cpu", "batch_size": 8},
}


@pytest.fixture(scope="module")
def models(data):
    return {n: sightline.create_model(n, **k).fit(data.train, data.val) for n, k in KNOBS.items()}


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def call(*words):
        status = main.status([str(w) for w in words])
        return status, *capsys.readouterr()

    return call


def test_a_column_of_numbers_is_read_as_such(folder, data):
    assert (data.task, data.target) == (Task.REGRESS, "age")
    assert len(data.source.items) == COUNT - 1
    assert any("1 of 60 images have no number and are left out" in note for note in data.notes)
    for item in data.source.items:
        assert item.value == pytest.approx(drawn(int(item.id[:3]))[1], abs=1e-3)
    text = (folder / "ages.csv").read_text().replace("path,age", "path,label")
    (folder / "label.csv").write_text(text)  # labels with fractions are numbers
    assert load_data(folder / "label.csv").task is Task.REGRESS
    text = text.replace("path,label", "path,span")
    (folder / "span.csv").write_text(text)
    assert load_data(f"{folder / 'span.csv'}:value=span").target == "span"
    (folder / "bad.csv").write_text(
        text.replace(",span", ",age").replace("000.png,", "000.png,old")
    )
    with pytest.raises(DataError):
        load_data(f"{folder / 'bad.csv'}:value=age")


def test_objects_are_counted():
    shapes = load_data("shapes:count=12,size=48")
    counts = [len(shapes.source.items[r].read_annotation().labels) for r in shapes.train.rows]
    assert values_of(shapes.train).tolist() == counts


def test_methods_by_their_definitions():
    X, y = RNG.normal(size=(25, 6)), RNG.normal(5, 2, 25)
    new = RNG.normal(size=(4, 6))
    near = NeighbourValue(k=3, metric="l2").fit(X, y)
    order = np.linalg.norm(new[:, None] - X, axis=2).argsort(1)[:, :3]
    np.testing.assert_allclose(near.values(new), y[order].mean(1))
    from sklearn.linear_model import Ridge

    for rows in (X, RNG.normal(size=(25, 60))):  # fewer features than images, and more
        line = RidgeValue(ridge=0.3).fit(rows, y)
        penalty = 0.3 * 25 * np.square(rows - rows.mean(0)).mean()
        expected = Ridge(alpha=penalty).fit(rows, y)
        asked = rows[:5] + 0.1
        np.testing.assert_allclose(line.values(asked), expected.predict(asked), rtol=1e-6)
    assert MeanValue().fit(X, y).values(new).tolist() == [y.mean()] * 4


@pytest.mark.parametrize("name", KNOBS)
def test_a_run_a_file_and_a_restored_run_say_the_same(name, models, data, tmp_path):
    pytest.importorskip("onnxruntime")
    from sightline.deploy import export
    from sightline.deploy.runtime import Runtime

    model = models[name]
    assert model.classes_ == ("age",)
    run = model.save(tmp_path / "run")
    pictures = [data.test[i].image for i in range(5)]
    mine, again = model.predict(pictures), sightline.load_model(run).predict(pictures)
    assert mine == again
    export.export(run, tmp_path / "a.onnx")
    off, alike = deployed.agreement(mine, Runtime(tmp_path / "a.onnx").predict(pictures))
    assert off <= 5e-3
    assert alike == 1


def test_looking_beats_the_mean_and_the_interval_is_that_of_the_validation(models, data):
    figures = {name: model.score(data.test) for name, model in models.items()}
    assert figures["value-ridge"].headline < 0.3 * figures["mean-value"].headline
    assert figures["regress:convnet"].headline < figures["mean-value"].headline
    method = models["value-ridge"].method_
    off = np.sort(np.abs(
        [a.value for a in models["value-ridge"].predict(data.val)] - values_of(data.val)
    ))  # fmt: skip
    np.testing.assert_allclose(method.off_, off, atol=1e-9)
    assert any("to hold 90% of new numbers" in line for line in models["value-ridge"].remarks)


def test_a_resumed_training_is_the_uninterrupted_one(data, tmp_path):
    knobs = KNOBS["regress:convnet"] | {"epochs": 2.0}
    whole = sightline.create_model("regress:convnet", **knobs)
    whole.fit(data.train, data.val, folder=tmp_path / "a")

    class StoppedError(Exception):
        pass

    def stop(row):
        raise StoppedError

    half = sightline.create_model("regress:convnet", **knobs)
    with pytest.raises(StoppedError):
        half.fit(data.train, data.val, folder=tmp_path / "b", on_epoch=stop)
    rest = sightline.create_model("regress:convnet", **knobs)
    rest.fit(data.train, data.val, folder=tmp_path / "b", resume=True)
    a, b = whole.method_.arrays(), rest.method_.arrays()
    assert all(np.array_equal(a[name], b[name]) for name in a)


def test_answers_as_json_and_at_the_edge():
    answer = Estimate(4.0, 3.0, 5.0, "age")
    told = deployed.document(answer)
    assert told.model_dump() == {"name": "age", "value": 4.0, "low": 3.0, "high": 5.0}
    assert set(deployed.row(told)) == {name for name, _ in deployed.columns()}
    said = edge({"value": np.float32(4), "reach": np.float32(1)}, {"classes": ["age"]}, (1, 1), 1)
    assert said == told.model_dump()


def test_the_command_line(run, folder, tmp_path):
    words = ("--features=", "--size", "20", "--scale", "unit")
    status, out, err = run("train", "value-ridge", folder / "ages.csv", "-o", "r", *words)
    assert status == 0, err
    assert "intervals reach" in out
    page = (tmp_path / "r/report.html").read_text(encoding="utf-8")
    assert "How near is the number?" in page
    assert "数值有多接近？" in page
    status, out, err = run("eval", "r", folder / "ages.csv", "--json")
    assert status == 0, err
    document = json.loads(out)
    assert document["name"] == "age"
    assert document["metrics"]["mean_absolute_error"] < 3
    status, out, err = run("predict", "r", folder / "003.png", "-o", "drawn", "--json")
    assert status == 0, err
    (said,) = json.loads(out)
    assert said["low"] < said["value"] < said["high"]
    assert abs(said["value"] - drawn(3)[1]) < 3
    status, out, err = run("compare", folder / "ages.csv", "mean-value", "-o", "c", "--json")
    assert status == 0, err
    assert json.loads(out)["task"] == "regress"


def test_without_validation_some_images_are_held_back(data):
    model = sightline.create_model("mean-value").fit(data.train)
    assert len(model.method_.off_) == len(data.train) // 5


def test_what_it_cannot_learn_from(data):
    with pytest.raises(DataError, match="no annotation for regress"):
        sightline.create_model("mean-value").fit(load_data("digits").train)
    with pytest.raises(DataError, match="1 picture with a number"):
        sightline.create_model("mean-value").fit(data.train[:1])
    with pytest.raises(ParameterError, match="smoothing is for labels"):
        sightline.create_model("regress:convnet", smoothing=0.1)
    with pytest.raises(ParameterError, match="between 0 and 1"):
        sightline.create_model("value-ridge", coverage=1.0)
    with pytest.raises(ParameterError, match="is no network that classifies"):
        sightline.create_model("regress:knn")
