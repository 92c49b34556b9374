from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.neighbors import KNeighborsClassifier

import sightline
from sightline.errors import (
    DataError,
    NotFittedError,
    ParameterError,
    RunError,
    UnknownNameError,
)
from sightline.models import registry


@pytest.fixture(scope="module")
def digits():
    return sightline.load_data("digits")


@pytest.fixture(scope="module")
def knn(digits):
    return sightline.create_model("knn", digits, k=3).fit(digits.train, val=digits.val)


def flat(split):
    return split.arrays().X.reshape(len(split), -1).astype(float), split.labels


def test_knn_on_digits_reaches_98_percent_over_five_seeds():
    scores = []
    for seed in range(5):
        data = sightline.load_data("digits", seed=seed)
        model = sightline.create_model("knn", data).fit(data.train)
        scores.append(model.score(data.test).headline)
    assert np.mean(scores) >= 0.98


def test_the_estimator_is_the_method_on_the_splits_arrays(digits, knn):
    reference = KNeighborsClassifier(3, algorithm="brute").fit(*flat(digits.train))
    X, y = flat(digits.test)
    assert knn.score(digits.test).headline == pytest.approx(reference.score(X, y), abs=0.008)
    found = knn.evaluate(digits.test)
    sure = reference.predict_proba(X).max(1) > 0.5  # no tie decides there
    assert (found.predicted[sure] == reference.predict(X)[sure]).all()


def test_every_form_of_an_image_gives_the_same_answer(digits, knn, tmp_path):
    pixels = digits.test[0].image
    picture = Image.fromarray(pixels[:, :, 0])
    picture.save(tmp_path / "a.png")
    forms = [
        pixels,
        pixels[:, :, 0],
        picture,
        str(tmp_path / "a.png"),
        tmp_path / "a.png",
        (tmp_path / "a.png").read_bytes(),
        torch.from_numpy(pixels).permute(2, 0, 1),
    ]
    answers = knn.predict(forms)
    assert len({(a.name, a.score) for a in answers}) == 1
    assert answers[0].neighbours.distances.tolist() == answers[6].neighbours.distances.tolist()
    assert knn.predict(pixels)[0].name == answers[0].name
    assert knn.predict([]) == []


CLASSIC = [
    c.name for c in registry.CARDS.values()
    if c.kind == "classic" and c.task == "classify" and not c.features
]  # fmt: skip


@pytest.mark.parametrize("name", CLASSIC)
@pytest.mark.parametrize("scale", ["none", "standardise", "mean-image"])
def test_a_saved_run_answers_alike(digits, tmp_path, name, scale):
    model = sightline.create_model(name, digits, scale=scale, seed=7).fit(digits.train, digits.val)
    folder = model.save(tmp_path / "run")
    again = sightline.load_model(folder)
    before, after = model.evaluate(digits.test), again.evaluate(digits.test)
    assert (before.predicted == after.predicted).all()
    assert (before.probabilities == after.probabilities).all()
    assert (again.name, again.seed, again.classes_) == (name, 7, digits.classes)
    files = {"config.json", "model.safetensors"} | ({"history.jsonl"} if model.history else set())
    assert {p.name for p in folder.iterdir()} == files
    assert again.history == model.history
    config = json.loads((folder / "config.json").read_text())
    assert config["data"]["fingerprint"] == digits.fingerprint()
    assert config["environment"]["versions"]["torch"] == torch.__version__.split("+")[0]


def test_a_saved_network_answers_alike(digits, tmp_path):
    train, val = digits.train[::16], digits.val[::8]
    model = sightline.create_model("resnet9", digits, size=24, epochs=1, seed=7).fit(train, val)
    again = sightline.load_model(model.save(tmp_path / "run", note="x"))
    before, after = model.evaluate(digits.test), again.evaluate(digits.test)
    np.testing.assert_allclose(before.probabilities, after.probabilities, atol=1e-6)
    assert again.history == model.history
    assert again.history[0]["epoch"] == 1
    assert again.parameters == model.parameters > 1_900_000
    with pytest.raises(DataError, match=r"at least 24 pixels.*size=24"):
        sightline.create_model("resnet9", digits).fit(train)


def test_same_seed_same_bits(digits, tmp_path):
    files = []
    for name in "ab":
        model = sightline.create_model("nearest-mean", digits).fit(digits.train)
        files.append((model.save(tmp_path / name) / "model.safetensors").read_bytes())
    assert files[0] == files[1]


def test_classes_are_matched_by_name(knn, tmp_path, digits):
    for name in ("7", "3"):
        (tmp_path / "train" / name).mkdir(parents=True)
    rows = [i for i in range(len(digits.train)) if digits.train.labels[i] in (3, 7)][:40]
    for i in rows:
        sample = digits.train[i]
        folder = tmp_path / "train" / digits.classes[sample.label]
        Image.fromarray(sample.image[:, :, 0]).save(folder / f"{i}.png")
    other = sightline.load_data(tmp_path)
    assert other.classes == ("3", "7")
    assert knn.score(other.train).headline == 1.0
    (tmp_path / "train" / "7").rename(tmp_path / "train" / "seven")
    with pytest.raises(DataError, match="not trained on: seven"):
        knn.score(sightline.load_data(tmp_path).train)


def test_classes_without_training_images_get_probability_zero(digits):
    some = digits.train.take(np.flatnonzero(digits.train.labels != 4))
    model = sightline.create_model("knn", digits).fit(some)
    found = model.evaluate(digits.test)
    assert found.probabilities.shape == (len(digits.test), 10)
    assert (found.probabilities[:, 4] == 0).all()
    assert not (found.predicted == 4).any()


def test_one_class_is_refused(digits):
    ones = digits.train.take(np.flatnonzero(digits.train.labels == 1))
    with pytest.raises(DataError, match="only the class '1'"):
        sightline.create_model("knn", digits).fit(ones)


def test_wrong_names_suggest_the_nearest(digits):
    with pytest.raises(UnknownNameError, match="did you mean 'knn'"):
        sightline.create_model("knnn", digits)
    with pytest.raises(UnknownNameError, match="did you mean 'metric'"):
        sightline.create_model("knn", digits, metrik="l1")
    with pytest.raises(UnknownNameError, match="digits"):
        sightline.load_data("digit")


def test_data_without_classes_is_refused():
    with pytest.raises(DataError, match="no annotation for classify; it serves detect"):
        sightline.create_model("knn", "shapes")


def test_predicting_before_fitting(digits):
    with pytest.raises(NotFittedError, match="is not fitted"):
        sightline.create_model("knn", digits).predict([digits.test[0].image])


def test_k_larger_than_the_training_set(digits):
    with pytest.raises(ParameterError):
        sightline.create_model("knn", digits, k=100_000).fit(digits.train)


def test_damaged_runs_are_named(knn, tmp_path):
    with pytest.raises(RunError, match="no such run"):
        sightline.load_model(tmp_path / "nowhere")
    with pytest.raises(RunError, match="is not a run"):
        sightline.load_model(tmp_path)
    folder = knn.save(tmp_path / "run")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(RunError, match="damaged"):
        sightline.load_model(folder)
    weights.unlink()
    with pytest.raises(RunError, match=r"no model\.safetensors"):
        sightline.load_model(folder)
    (folder / "config.json").write_text('{"format": 99, "task": "classify"}')
    with pytest.raises(RunError, match="newer sightline"):
        sightline.load_model(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(RunError, match="damaged"):
        sightline.load_model(folder)


def test_a_run_cannot_go_where_a_file_is(knn, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="is a file"):
        knn.save(tmp_path / "file")


def test_a_full_disk_keeps_the_old_run(knn, tmp_path, monkeypatch):
    folder = knn.save(tmp_path / "run")
    before = {p.name: p.read_bytes() for p in folder.iterdir()}

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sightline.training.run.os.fsync", full)
    with pytest.raises(RunError, match="No space left"):
        knn.save(folder)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
