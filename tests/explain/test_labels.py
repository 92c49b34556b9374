"""Wrong labels are found by fits that have not seen their image; bad input is one line."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from PIL import Image

import sightline
from sightline.cli.data import audit
from sightline.data.dataset import Dataset, Source
from sightline.data.item import Item
from sightline.errors import DataError, ParameterError, RunError
from sightline.explain import labels
from sightline.report import labels_page

CLASSES = ("红", "<b>green", "=blue")


def coloured(count=60, wrong=(4, 17, 33), classes=CLASSES, labels=None):
    """Noise around a colour of each class; some have the label of the next class."""
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 90, (count, 8, 8, 3)).astype(np.uint8)
    for i in range(count):
        pictures[i, ..., i % 3] += 140
    given = [(i + (i in wrong)) % 3 for i in range(count)] if labels is None else labels
    items = [Item(f"图{i}.png", pictures[i], k) for i, k in enumerate(given)]
    source = Source(items, "RGB", (8, 8))
    half = count // 2
    return Dataset("made", source, {"train": np.arange(half), "test": np.arange(half, count)},
                   classes)  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run of each kind: on pixels, by comparison, a network, and one that looks at nothing."""
    folder = tmp_path_factory.mktemp("runs")
    data = coloured()
    for name, options in (("logistic", {}), ("knn", {}), ("majority", {}), ("mlp", {"epochs": 3})):
        model = sightline.create_model(name, **options).fit(data.train, data.test)
        model.save(folder / name, fit_seconds=2.0)
    return folder


@pytest.mark.parametrize("name", ["logistic", "knn", "mlp"])
def test_planted_labels_are_found(runs, name):
    told = []
    doubts = labels.doubt(str(runs / name), coloured(), progress=lambda *at: told.append(at))
    assert {int(doubts.rows[i]) for i in doubts.suspects[:3]} == {4, 17, 33}
    assert doubts.splits == ["train"] * 30 + ["test"] * 30
    assert told[-1][0] == told[-1][1]
    shares = [done / total for done, total in told]
    assert shares == sorted(shares)
    first = doubts.table()[0]
    assert first["believed"] == CLASSES[int(first["image"][1:-4]) % 3]
    assert first["probability_of_believed"] > first["probability_of_label"]


def test_no_image_is_judged_by_a_fit_that_has_seen_it(runs):
    # Of k-NN with one neighbour each image would be its own nearest: no label would be in doubt.
    model = labels.refittable(str(runs / "knn"))
    model.options["k"] = 1
    data = coloured()
    whole = data.with_rows({"train": np.arange(60)}).train
    rows, given, probabilities = labels.out_of_fold(str(runs / "knn"), model, whole, 4)
    assert rows.tolist() == list(range(60))
    wrong = np.flatnonzero(probabilities.argmax(1) != given)
    assert set(wrong.tolist()) >= {4, 17, 33}


def test_features_of_a_frozen_network_are_computed_once(runs, tmp_path, monkeypatch):
    data = coloured()
    network = sightline.create_model("convnet", epochs=1).fit(data.train)
    network.save(tmp_path / "net")
    model = sightline.create_model("nearest-mean", features=str(tmp_path / "net")).fit(data.train)
    model.save(tmp_path / "run")
    seen = []
    before = labels.see
    monkeypatch.setattr(labels, "see", lambda *a, **k: seen.append(a) or before(*a, **k))
    doubts = labels.doubt(str(tmp_path / "run"), data, folds=3)
    assert len(seen) == 1
    assert len(doubts.rows) == 60
    np.testing.assert_allclose(doubts.probabilities.sum(1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "data", "options", "error", "text"),
    [
        ("majority", coloured(), {}, ParameterError, "looks at no image"),
        ("knn", coloured(), {"folds": 1}, ParameterError, "at least 2"),
        ("knn", coloured(1, ()), {}, DataError, "two classes with two images"),
        ("knn", coloured(3, ()), {}, DataError, "two classes with two images"),
        ("knn", coloured(4, (), labels=[-1] * 4), {}, DataError, "0 class"),
        ("nothing", coloured(), {}, RunError, "no run's folder"),
    ],
)
def test_bad_input_is_one_line(runs, name, data, options, error, text):
    with pytest.raises(error, match=text) as raised:
        labels.doubt(str(runs / name), data, **options)
    assert "\n" not in str(raised.value)


def test_rare_classes_are_named(runs):
    given = [0] * 20 + [1] * 20 + [2]
    doubts = labels.doubt(str(runs / "knn"), coloured(41, labels=given))
    assert len(doubts.rows) == 40
    assert "=blue" in doubts.notes[0]
    given = [0] * 20 + [1] * 20 + [2] * 3
    doubts = labels.doubt(str(runs / "knn"), coloured(43, labels=given))
    assert len(doubts.rows) == 43
    assert "fewer images than the 5 folds" in doubts.notes[0]


def test_a_networks_cost_is_foretold(runs):
    model = labels.refittable(str(runs / "mlp"))
    said = labels.cost(str(runs / "mlp"), model, 60, 5)  # 5 x 48 of the 30 images that took 2 s
    assert said.startswith("mlp is trained 5 times on 48 images: about 16")


def test_page_and_table(runs, tmp_path):
    doubts = labels.doubt(str(runs / "logistic"), coloured())
    text = labels_page.write(tmp_path / "a.html", doubts).read_text(encoding="utf-8")
    assert "<b>green" not in text
    assert "&lt;b&gt;green" in text
    assert "哪些标签可能是错的" in text
    assert text.count("<figure") == len(doubts.suspects)
    rows = list(csv.DictReader(labels.csv_text(doubts).lstrip("\ufeff").splitlines()))
    assert rows[0]["image"] == doubts.table()[0]["image"]
    assert {row["label"] for row in rows} <= {"红", "<b>green", "'=blue"}


def test_command(runs, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = coloured(wrong=(4,))
    for i, item in enumerate(data.source.items):
        folder = tmp_path / "d" / "abc"[item.label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(item.image).save(folder / f"{i}.png")
    audit("d", labels=str(runs / "logistic"), json=True)
    document = json.loads(capsys.readouterr().out)
    assert document["labels"]["labels"][0]["image"].endswith("/4.png")
    assert [f["kind"] for f in document["findings"]][-1] == "label"
    assert (tmp_path / "labels-d.html").is_file()
    assert (tmp_path / "labels-d.csv").read_text(encoding="utf-8-sig").startswith("rank,image")
    with monkeypatch.context() as patched:  # said before every image is looked at
        patched.setattr("sightline.data.audit.audit", None)
        (tmp_path / "one" / "a").mkdir(parents=True)
        Image.fromarray(data.source.items[0].image).save(tmp_path / "one" / "a" / "0.png")
        with pytest.raises(DataError, match="two classes with two images"):
            audit("one", labels=str(runs / "logistic"))
    with pytest.raises(ParameterError, match="belong to --labels"):
        audit("d", folds=3)
