"""What programs see: answers as a list, a table and a picture; short texts; one-line refusals."""

import sys

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone

import sightline
from sightline.errors import MissingExtraError, SightlineError
from sightline.estimators.predictions import Predictions
from sightline.types import Classification, Detections, Generated, Segmentation


@pytest.fixture(scope="module")
def data():
    return sightline.load_data("digits")


@pytest.fixture(scope="module")
def model(data):
    return sightline.create_model("knn", data, k=3).fit(data.train, val=data.val)


# --- predict ----------------------------------------------------------------------------------


def test_a_split_is_answered_as_it_is_measured(model, data):
    said = model.predict(data.test)
    assert [answer.label for answer in said] == model.evaluate(data.test).predicted.tolist()
    assert said.names() == [item.id for item in data.test.items]
    assert np.array_equal(model.predict_proba(data.test), model.evaluate(data.test).probabilities)


@pytest.mark.parametrize(
    "form",
    [
        lambda X: X, lambda X: X[..., 0], lambda X: list(X), lambda X: tuple(X), lambda X: X / 255,
        lambda X: torch.from_numpy(X.copy()).permute(0, 3, 1, 2),
        lambda X: (X / 255).astype(np.float32),
    ],
)  # fmt: skip
def test_forms_of_several_images(model, data, form):
    X = data.test.arrays().X[:300]
    want = [answer.label for answer in model.predict(list(X))]
    assert [answer.label for answer in model.predict(form(X))] == want


def test_one_image_and_none(model, data):
    assert len(model.predict(data.test[0].image)) == 1
    assert model.predict([]) == []
    assert model.predict_proba([]).shape == (0, 10)


def test_more_than_are_answered_at_once(model, data):
    said = model.predict(data.train)
    assert len(said) == len(data.train) > 3 * 256
    assert [a.label for a in said] == model.evaluate(data.train).predicted.tolist()


# --- tables and pictures ----------------------------------------------------------------------


def test_predictions_as_a_table(model, data):
    frame = model.predict(data.test).to_frame()
    assert list(frame.columns) == ["image", "answer", "score"]
    right = frame.answer == [data.classes[label] for label in data.test.labels]
    assert right.mean() == model.score(data.test).headline
    assert list(Predictions().to_frame().columns) == ["image"]


def test_objects_are_a_row_each():
    boxes = np.array([[1, 2, 3, 4], [5, 6, 7, 8]], np.float32)
    said = Predictions([Detections(boxes, [1, 0], ("猫", "b"), [0.5, 0.25])], ["a.png"])
    frame = said.to_frame()
    assert frame.image.tolist() == ["a.png", "a.png"]
    assert frame.answer.tolist() == ["b", "猫"]
    assert frame[["xmin", "ymin", "xmax", "ymax"]].to_numpy().tolist() == boxes.tolist()


def test_metrics_as_a_table(model, data):
    metrics = model.score(data.test)
    frame = metrics.to_frame()
    assert frame.value.to_dict() == metrics.figures
    assert tuple(frame.loc["accuracy", ["low", "high"]]) == metrics.interval
    assert frame.loc["log_loss", ["low", "high"]].isna().all()


def test_without_pandas_one_line_names_the_extra(model, data, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    for thing in (model.score(data.test), model.predict(data.test[0].image)):
        with pytest.raises(MissingExtraError, match=r"pip install 'sightline\[tables\]'"):
            thing.to_frame()


def test_html_has_pictures_and_answers(model, data):
    said = model.predict(data.test)
    assert said[0]._repr_html_().count("data:image/png;base64,") == 1
    assert f"<bdi>{said[0].name}</bdi> {said[0].score:.0%}<" in said[0]._repr_html_()
    assert said._repr_html_().count("data:image/png;base64,") == 12
    assert "accuracy" in model.score(data.test)._repr_html_()
    for sheet in (data._repr_html_(), data.test._repr_html_()):
        assert sheet.count("data:image/png;base64,") == 1
    odd = Classification(np.array([0.9, 0.1]), ("<b>猫</b>", "x"))
    assert "<b>猫" not in odd._repr_html_()
    assert "&lt;b&gt;猫" in odd._repr_html_()


def test_texts_are_short(model, data):
    many = Classification(np.full(1000, 0.001), tuple(f"class {i}" for i in range(1000)))
    things = [
        data, data.train, data.source, data.source.items[0], data.train[0], data.train.arrays(),
        data.source.pack(), model, model.score(data.test), model.evaluate(data.test), many,
        model.predict(data.test)[0], model.predict(data.test)[0].neighbours,
        Detections(np.zeros((500, 4)), np.zeros(500), ("a",)),
        Segmentation(np.zeros((500, 500), np.uint8), ("a", "b")),
        Generated(np.zeros((9, 64, 64, 3), np.uint8)),
    ]  # fmt: skip
    for thing in things:
        assert len(repr(thing)) < 200, repr(thing)
        assert "\n" not in repr(thing)
    assert repr(data) == (
        f"Dataset(digits: {len(data.train):,} train, {len(data.val)} val, {len(data.test)} test; "
        "10 classes; 8x8 grey; for classify)"
    )
    assert repr(model) == f"Classifier('knn', k=3; 10 classes, {len(data.train):,} images)"
    assert len(repr(model.predict(data.test)).splitlines()) == 14


# --- scikit-learn's parameters ----------------------------------------------------------------


def test_parameters_are_read_changed_and_cloned(data):
    model = sightline.create_model("knn", k=7, seed=3)
    assert model.get_params()["k"] == 7
    assert model.get_params()["metric"] == "l2"
    assert model.get_params()["seed"] == 3
    twin = clone(model.fit(data.train))
    assert twin.get_params() == model.get_params()
    assert not hasattr(twin, "fitted_")
    assert model.set_params(k=1, scale="unit").get_params() | {"k": 1, "scale": "unit"} == (
        model.get_params()
    )
    assert not hasattr(model, "fitted_")
    with pytest.raises(SightlineError, match="unknown option of knn 'kk'"):
        model.set_params(kk=3)


# --- other kinds ------------------------------------------------------------------------------

WRONG = [
    None, 3, 2.5, True, [None], {}, {"a": 1}, "no such", b"x", object(), len, (1, 2),
    np.zeros(3), np.zeros((2, 2, 2, 2, 2)), pd.DataFrame({"a": [1]}), pd.Series([1]),
]  # fmt: skip


@pytest.mark.parametrize("value", WRONG, ids=lambda v: type(v).__name__)
def test_other_kinds_are_refused_in_one_line(model, data, value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make = sightline.create_model
    calls = {
        "fit": lambda v: make("knn").fit(v),
        "predict": model.predict,
        "predict_proba": model.predict_proba,
        "score": model.score,
        "evaluate": model.evaluate,
        "split": data.split,
        "create_model name": make,
        "k": lambda v: make("knn", k=v),
        "metric": lambda v: make("knn", metric=v).fit(data.train),
        "scale": lambda v: make("knn", scale=v),
        "features": lambda v: make("knn", features=v).fit(data.train),
        "load_model": sightline.load_model,
    }
    optional = {
        "create_model data": lambda v: make("knn", v),
        "val": lambda v: make("knn").fit(data.train, v),
        "list_models": sightline.list_models,
    }
    if value is not None:
        calls |= optional
    if not isinstance(value, str):
        calls["save"] = model.save
        calls["resize"] = lambda v: make("knn", resize=v)
    if not isinstance(value, int):
        calls["size"] = lambda v: make("knn", size=v)
    if not isinstance(value, int | float) and value is not None:
        calls["budget"] = lambda v: make("knn").fit(data.train, budget=v)
    if isinstance(value, int) and not isinstance(value, bool):
        calls.pop("k")
    for name, call in calls.items():
        with pytest.raises(SightlineError) as caught:
            call(value)
        assert "\n" not in str(caught.value), name


@pytest.mark.parametrize("call", ["fit", "score", "evaluate", "predict"])
def test_a_whole_data_set_names_its_splits(data, model, call):
    with pytest.raises(SightlineError, match=r"give data\."):
        getattr(model, call)(data)
