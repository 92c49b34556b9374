"""Arrays with labels, and .npz files of them: what is taken, and what is refused in one line."""

import numpy as np
import pytest
import torch
from PIL import Image

from sightline.data.load import load_data
from sightline.errors import DataError, ParameterError, SightlineError

X = np.random.default_rng(0).integers(0, 256, (60, 8, 8), np.uint8)
Y = np.arange(60) % 3


def pixels(data):
    """Return each image with the name of its class, in the order of the source."""
    return {i.id: (i.image, data.classes[i.label]) for i in data.source.items}


def test_pixels_labels_and_splits():
    data = load_data((X, Y))
    assert (data.mode, data.size, data.classes) == ("L", (8, 8), ("0", "1", "2"))
    assert {name: len(rows) for name, rows in data.rows.items()} == {
        "train": 42, "val": 9, "test": 9,
    }  # fmt: skip
    for i, (image, label) in enumerate(pixels(data).values()):
        assert np.array_equal(image[:, :, 0], X[i])
        assert label == str(Y[i])
    assert np.array_equal(data.train.arrays().X[..., 0], X[data.train.rows])


@pytest.mark.parametrize("scaled", [X / 255, (X / 255).astype(np.float32)])
def test_floats_are_the_same_pixels(scaled):
    assert load_data((scaled, Y)).fingerprint() == load_data((X, Y)).fingerprint()


@pytest.mark.parametrize(
    "y",
    [
        Y.tolist(), Y.astype(float), Y[:, None], np.eye(3)[Y], torch.from_numpy(Y),
        [str(label) for label in Y], Y.astype(str), Y.astype(object),
    ],
)  # fmt: skip
def test_forms_of_labels(y):
    data = load_data((X, y))
    assert data.classes == ("0", "1", "2")
    assert data.source.items[4].label == 1


def test_names_of_any_script():
    names = np.array(["猫", "كلب", "10", "9"])[np.arange(60) % 4]
    data = load_data((X, names))
    assert data.classes == ("9", "10", "كلب", "猫")
    assert [data.classes[i.label] for i in data.source.items] == names.tolist()


def test_colour_and_large_images():
    colour = np.random.default_rng(0).integers(0, 256, (12, 70, 90, 3), np.uint8)
    data = load_data((colour, np.arange(12) % 2), seed=1)
    assert (data.mode, data.size) == ("RGB", None)
    assert np.array_equal(data.source.items[3].read_image("RGB"), colour[3])
    other = colour.copy()
    other[5, 1, 1] ^= 1
    assert load_data((other, np.arange(12) % 2), seed=1).fingerprint() != data.fingerprint()


def test_tensors_are_channels_first():
    tensor = torch.from_numpy(X.copy())[:, None].expand(-1, 3, -1, -1)
    data = load_data((tensor, Y))
    assert data.mode == "RGB"
    assert np.array_equal(data.source.items[7].image, np.repeat(X[7][..., None], 3, axis=2))


def test_lists_of_pictures_and_paths(tmp_path):
    Image.fromarray(X[0]).save(tmp_path / "a.png")
    mixed = [str(tmp_path / "a.png"), Image.fromarray(X[1]), X[2], *(X[3:])]
    data = load_data((mixed, Y))
    assert np.array_equal(data.source.pack().pixels[..., 0], X)
    assert data.mode == "L"


def test_pairs_by_split():
    pairs = (X, Y), (X[:9], Y[:9])
    for given in (pairs, {"train": pairs[0], "test": pairs[1]}):
        data = load_data(given)
        assert len(data.test) == 9
        assert {*data.rows["train"], *data.rows["val"]} == set(range(60))


def test_npz_of_keras_and_of_medmnist(tmp_path):
    np.savez(tmp_path / "k.npz", x_train=X, y_train=Y[:, None], x_test=X[:9], y_test=Y[:9], more=Y)
    data = load_data(tmp_path / "k.npz")
    assert (len(data.test), len(data.source.items)) == (9, 69)
    assert any("not used of k.npz: more" in note for note in data.notes)
    np.savez(
        tmp_path / "m.npz", train_images=X, train_labels=Y[:, None], val_images=X[:6],
        val_labels=Y[:6], test_images=X[:9], test_labels=Y[:9], classes=["a", "b", "猫"],
    )  # fmt: skip
    data = load_data(str(tmp_path / "m.npz"))
    assert (len(data.train), len(data.val), len(data.test)) == (60, 6, 9)
    assert data.classes == ("a", "b", "猫")
    assert data.source.items[5].label == 2


def test_npz_that_is_none(tmp_path):
    (tmp_path / "cut.npz").write_bytes(b"PK\3\4 and no more")
    np.savez(tmp_path / "objects.npz", X=np.array([None, 1], object), y=Y)
    np.savez(tmp_path / "other.npz", a=X, b=Y)
    for name, said in (
        ("cut", "is not a readable .npz"), ("objects", "Python objects"), ("other", "holds a, b"),
    ):  # fmt: skip
        with pytest.raises(DataError, match=said) as caught:
            load_data(tmp_path / f"{name}.npz")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ((X.astype(np.int64), Y), "X is uint8 .* not int64"),
        ((X > 3, Y), "not bool"),
        ((X * 2.0, Y), r"X of floats must lie in \[0, 1\], not 0 to 510"),
        ((np.full((60, 8, 8), np.nan), Y), "nan"),
        ((X.reshape(60, -1), Y), r"X has shape \(60, 64\).*reshape"),
        ((np.zeros((9, 3, 8, 8), np.uint8), Y[:9]), "channels first.*transpose"),
        ((X[:0], Y[:0]), "has no image"),
        ((X, Y[:5]), "60 images but 5 labels in y"),
        ((X, np.full(60, np.nan)), "60 of 60 labels are empty"),
        ((X, [*("ab" * 29), "", "a"]), r"1 of 60 labels are empty, first y\[58\]"),
        ((X, Y + 0.5), r"y\[0\] is 0.5"),
        ((X, np.ones((60, 3))), "not one-hot"),
        ((X, [[1, 2], [1]] * 30), "some have several"),
        ({"train": (X, Y), "holdout": (X, Y)}, "'holdout' is no split"),
        (((X, Y), (X, Y[:3])), "test y"),
        (([*X[:59], None], Y), "an image is a path"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(data, said):
    with pytest.raises(DataError, match=said) as caught:
        load_data(data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "data", [None, 3, 2.5, True, [], ["a.png"], {}, {"a": 1}, b"x", (X, None), X, len, object(), ""]
)
def test_other_kinds_are_refused_in_one_line(data):
    with pytest.raises(ParameterError, match="data is") as caught:
        load_data(data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "options", [{"seed": "a"}, {"group": 3}, {"layout": 1}, {"root": 2}, {"columns": 3},
                {"columns": {"label": "x"}}, {"root": "."}, {"layout": "coco"}],
)  # fmt: skip
def test_options_of_another_kind(options):
    with pytest.raises(SightlineError) as caught:
        load_data((X, Y), **options)
    assert "\n" not in str(caught.value)
