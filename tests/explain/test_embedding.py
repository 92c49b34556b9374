"""A data set in the plane: known layouts, kept neighbours, copies, mistakes, and bad input."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

import sightline
from sightline.cli.explain_embedding import embedding
from sightline.data.dataset import Dataset, Source
from sightline.data.item import Item
from sightline.errors import DataError, MissingExtraError, ParameterError
from sightline.explain import embedding as layouts
from sightline.explain import seen

CLASSES = ("红 red", "<b>green", "blue")


def made(count=45, *, copies=0, classes=CLASSES):
    """Noise around a colour of each class; the last pictures are copies of the first ones."""
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 60, (count, 8, 8, 3)).astype(np.uint8)
    for i in range(count):
        pictures[i, ..., i % 3] += 160
    if copies:
        pictures[-copies:] = pictures[:copies]
    items = [Item(f"{i}.png", pictures[i], i % len(classes)) for i in range(count)]
    source = Source(items, "RGB", (8, 8))
    return Dataset("made", source, {"train": np.arange(count)}, tuple(classes))


def trusted(features, points, k):
    """Trustworthiness as Venna & Kaski define it, one pair at a time."""
    n = len(features)
    far = ((features[:, None] - features) ** 2).sum(2)
    near = ((points[:, None] - points) ** 2).sum(2)
    lost = 0
    for i in range(n):
        others = [j for j in range(n) if j != i]
        rank = {j: r for r, j in enumerate(sorted(others, key=lambda j: far[i, j]), 1)}
        chosen = sorted(others, key=lambda j: near[i, j])[:k]
        lost += sum(rank[j] - k for j in chosen if rank[j] > k)
    return 1 - 2 * lost / (n * k * (2 * n - 3 * k - 1))


def test_pca_is_the_two_largest_directions():
    features = np.random.default_rng(1).normal(size=(40, 6)).astype(np.float32) * [9, 1, 5, 1, 1, 2]
    points, by, share = layouts.lay_out(features, "pca")
    left, values, _ = np.linalg.svd(features - features.mean(0), full_matrices=False)
    np.testing.assert_allclose(np.abs(points), np.abs((left * values)[:, :2]), rtol=1e-4, atol=1e-4)
    assert by == "scikit-learn"
    assert share == pytest.approx((values[:2] ** 2).sum() / (values**2).sum())
    assert layouts.trust_of(features, points) == (pytest.approx(trusted(features, points, 10)), 40)


@pytest.mark.parametrize("method", ["tsne", "scikit-learn", "pacmap"])
def test_neighbours_are_of_the_same_class(method, monkeypatch):
    if method == "scikit-learn":
        monkeypatch.setattr(layouts, "library", lambda _: None)
    elif method == "pacmap":
        pytest.importorskip("pacmap")
    told = []
    centres = np.random.default_rng(0).normal(size=(3, 5)) * 20
    labels = np.arange(60) % 3
    features = (centres[labels] + np.random.default_rng(1).normal(size=(60, 5))).astype(np.float32)
    way = "tsne" if method == "scikit-learn" else method
    points, by, _ = layouts.lay_out(features, way, 3, lambda *at: told.append(at))
    again, _, _ = layouts.lay_out(features, way, 3)
    np.testing.assert_array_equal(points, again)
    far = ((points[:, None] - points) ** 2).sum(2) + np.diag(np.full(60, np.inf))
    assert (labels[far.argmin(1)] == labels).all()
    if way == "tsne":
        done, total = zip(*told, strict=True)
        assert list(done) == sorted(done)
        assert max(done) <= total[0]
    assert by == "scikit-learn" if method == "scikit-learn" else by != "scikit-learn"


def test_copies_and_mistakes_are_known(tmp_path):
    data = made(copies=2)
    run = tmp_path / "run"
    sightline.create_model("nearest-mean").fit(data.train).save(run)
    laid = layouts.embed(str(run), data, method="pca")
    assert {frozenset(pair) for pair in laid.near} == {frozenset((0, 43)), frozenset((1, 44))}
    assert set(np.flatnonzero(laid.copied)) == {0, 1, 43, 44}
    model = sightline.load_model(run)
    said = [answer.name for answer in model.predict(data.train)]
    wrong = [CLASSES[i % 3] != name for i, name in enumerate(said)]
    assert laid.mistakes.tolist() == wrong
    assert sum(wrong) == 2  # the copies have another class than what they are copies of
    assert laid.seen.eye.what == "the pixels that nearest-mean sees"
    np.testing.assert_array_equal(laid.thumbnails, data.train.arrays().X)
    others = made(classes=("red", "?", "!"))
    assert not layouts.embed(str(run), others, method="pca").mistakes.any()


@pytest.mark.parametrize(
    ("data", "options", "error", "text"),
    [
        (made(2), {}, DataError, "2 images"),
        (made(4).with_rows({"train": np.zeros(0, np.int64)}), {}, DataError, "no image"),
        (made(), {"split": "test"}, DataError, "no split 'test'"),
        (made(), {"images": 2}, ParameterError, "at least 3"),
        (made(), {"method": "som"}, ParameterError, "tsne, pca"),
    ],
)
def test_bad_input_is_one_line(data, options, error, text):
    with pytest.raises(error, match=text) as raised:
        layouts.embed("pixels", data, **({"method": "pca"} | options))
    assert "\n" not in str(raised.value)


def test_features_of_one_value_and_not_finite_ones_are_refused(monkeypatch):
    data = made()
    same = np.full((45, 8, 8, 3), 7, np.uint8)
    items = [Item(f"{i}", x, 0) for i, x in enumerate(same)]
    grey = Dataset("grey", Source(items, "RGB", (8, 8)), {"train": np.arange(45)}, ("a",))
    with pytest.raises(DataError, match="have the same features"):
        layouts.embed("pixels", grey)
    eye = seen.Eye("net", "what", (8, 8), "crop", "RGB", lambda X: np.full((len(X), 2), np.nan))
    monkeypatch.setattr(seen, "opened", lambda *_: eye)
    with pytest.raises(DataError, match=r"not finite for 45 of 45 images, such as 0.png"):
        seen.see("net", data.train)


def test_a_missing_library_is_named(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(layouts.importlib, "import_module", missing)
    assert layouts.library("tsne") is None
    for method in ("umap", "pacmap"):
        with pytest.raises(MissingExtraError, match=rf"sightline\[{method}\]"):
            layouts.library(method)


def test_command(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for k, name in enumerate(("猫", "dog")):
        (tmp_path / "d" / name).mkdir(parents=True)
        for i in range(6):
            shape = (30 + i, 40) if i % 2 else (30, 40, 4)  # grey ones, and some with alpha
            pixels = np.random.default_rng(9 * k + i).integers(0, 255, shape, np.uint8)
            Image.fromarray(pixels).save(tmp_path / "d" / name / f"{i}.png")
    assert embedding("pixels", "d", method="pca", images=9, json=True) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["images"] == 9
    assert "9 of 12 images" in document["notes"][0]
    assert {"embedding-d.html", "embedding-d.png", "embedding-d.parquet"} <= {
        path.name for path in tmp_path.iterdir()
    }
    pyarrow = pytest.importorskip("pyarrow.parquet")
    table = pyarrow.read_table("embedding-d.parquet").to_pydict()
    assert set(table["class"]) == {"猫", "dog"}
    assert len(table["x"]) == 9
    with pytest.raises(ParameterError, match=r"end it in \.html"):
        embedding("pixels", "d", output=tmp_path / "a.png")
    with pytest.raises(ParameterError, match="name DATA"):
        embedding("pixels")
