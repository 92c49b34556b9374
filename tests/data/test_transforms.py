"""Preprocessing takes its figures from train alone; augmentation moves everything along."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from sightline.data import store, transforms
from sightline.data.dataset import Dataset, Source
from sightline.data.item import Item
from sightline.data.load import load_data
from sightline.errors import ParameterError
from sightline.types import Detections, Sample, Segmentation, Task


def dataset(train, test, mode="RGB"):
    """Two arrays as a data set."""
    pixels = np.concatenate([train, test])
    n, size = len(train), pixels.shape[1:3]
    items = [Item(str(i), p, i % 2) for i, p in enumerate(pixels)]
    source = Source(items, mode, size, {(*size, "crop"): store.Packed.of(pixels)})
    rows = {"train": np.arange(n), "test": np.arange(n, len(pixels))}
    return Dataset("made", source, rows, ("a", "b"))


@pytest.fixture(params=["RGB", "L"])
def data(request):
    channels = 3 if request.param == "RGB" else 1
    rng = np.random.default_rng(0)
    train = rng.integers(0, 100, (50, 6, 5, channels), np.uint8)
    train[..., 0] += 100
    return dataset(train, np.full((20, 6, 5, channels), 255, np.uint8), request.param)


def fitted(data, scale, **options):
    return transforms.fit(transforms.Preprocess(scale=scale, **options), data.train)


def test_standardise_has_the_figures_of_train(data):
    found = fitted(data, "standardise")
    X = data.train.arrays().X / 255.0
    assert found.mean == pytest.approx(X.mean((0, 1, 2)), abs=1e-6)
    assert found.std == pytest.approx(X.std((0, 1, 2)), abs=1e-6)
    out = found(data.train.arrays().X)
    assert out.dtype == np.float32
    assert out.mean((0, 1, 2)) == pytest.approx(0, abs=1e-4)
    assert out.std((0, 1, 2)) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("scale", ["unit", "standardise"])
def test_scaling_has_the_bits_of_torchvisions(data, scale):
    import torch
    from torchvision.transforms import v2

    X, found = data.train.arrays().X, fitted(data, scale)
    steps = [v2.ToDtype(torch.float32, scale=True)]
    if scale == "standardise":
        steps.append(v2.Normalize(found.mean.tolist(), found.std.tolist()))
    theirs = v2.Compose(steps)(torch.from_numpy(X).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    assert np.array_equal(found(X), theirs.numpy())


def test_standardise_is_numpys(data):
    X, T = data.train.arrays().X / 255.0, data.test.arrays().X
    expected = (T / 255.0 - X.mean((0, 1, 2))) / X.std((0, 1, 2))
    assert np.allclose(fitted(data, "standardise")(T), expected, atol=1e-4)


def test_mean_image_is_that_of_train(data):
    X, T = data.train.arrays().X / 255.0, data.test.arrays().X
    found = fitted(data, "mean-image")
    assert np.allclose(found.mean_image, X.mean(0), atol=1e-6)
    assert np.allclose(found(T), T / 255.0 - X.mean(0), atol=1e-6)


def test_unit(data):
    T = data.test.arrays().X
    out = fitted(data, "unit")(data.train.arrays().X)
    assert np.allclose(out, data.train.arrays().X / 255.0, atol=1e-7)
    assert (fitted(data, "unit")(T) == 1).all()


def test_none_gives_the_bytes(data):
    X = data.train.arrays().X
    out = fitted(data, "none")(X)
    assert out.dtype == np.uint8
    assert np.array_equal(out, X)


def test_other_splits_have_no_say(data):
    other = dataset(data.train.arrays().X, np.zeros_like(data.test.arrays().X), data.mode)
    for scale in ("standardise", "mean-image"):
        one, two = fitted(data, scale), fitted(other, scale)
        assert np.array_equal(one.mean, two.mean)
        assert np.array_equal(one.std, two.std)
        if scale == "mean-image":
            assert np.array_equal(one.mean_image, two.mean_image)


def test_even_channel_is_not_divided_by_zero():
    data = dataset(np.full((4, 3, 3, 1), 51, np.uint8), np.zeros((2, 3, 3, 1), np.uint8), "L")
    found = fitted(data, "standardise")
    assert np.isfinite(found(data.test.arrays().X)).all()
    assert found(data.train.arrays().X) == pytest.approx(0, abs=1e-6)


def test_many_images_in_batches(monkeypatch, data):
    whole = fitted(data, "mean-image")(data.train.arrays().X)
    monkeypatch.setattr(transforms, "_BATCH", 7)
    assert np.allclose(fitted(data, "mean-image")(data.train.arrays().X), whole, atol=1e-7)


@pytest.mark.parametrize("size", [-1, 1025])
def test_size_out_of_range(data, size):
    with pytest.raises(ParameterError, match="between 1 and 1024"):
        fitted(data, "none", size=size)


@pytest.mark.parametrize("resize", ["crop", "stretch", "pad"])
def test_prepare_is_what_training_saw(tmp_path, resize):
    """One image through `prepare` equals its row of the packed set, in every form."""
    rng = np.random.default_rng(0)
    for c in "ab":
        (tmp_path / "set" / c).mkdir(parents=True)
        for i in range(10):
            pixels = rng.integers(0, 256, (20 + i, 30, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "set" / c / f"{i}.png")
    data = load_data(tmp_path / "set")
    found = fitted(data, "none", size=12, resize=resize)
    X, _, rows = data.train.arrays((12, 12), resize)
    for x, row in zip(X[:4], rows, strict=False):
        item = data.source.items[row]
        pixels = item.read_image("RGB").copy()
        tensor = torch.from_numpy(pixels).permute(2, 0, 1)
        for form in (item.image, Image.open(item.image), pixels, tensor):
            assert np.array_equal(found.prepare(form)[0], x)


def test_prepare_of_colour_for_a_grey_set(data):
    found = fitted(data, "none")
    prepared, _ = found.prepare(np.zeros((50, 40, 3), np.uint8))
    assert prepared.shape == (6, 5, 3 if data.mode == "RGB" else 1)


def test_sizes_that_differ_take_the_methods_own(tmp_path):
    for c in "ab":
        (tmp_path / c).mkdir()
        for i in range(10):
            Image.new("RGB", (10 + i, 12)).save(tmp_path / c / f"{i}.png")
    train = load_data(tmp_path).train
    assert transforms.fit(transforms.Preprocess(), train, default_side=16).size == (16, 16)
    assert transforms.fit(transforms.Preprocess(size=9), train, default_side=16).size == (9, 9)


# --- augmentation ----------------------------------------------------------------------------


def sample():
    """A grey ramp with one object at the upper left and one at the lower right."""
    image = np.arange(8 * 10, dtype=np.uint8).reshape(8, 10, 1).repeat(3, 2)
    masks = np.zeros((2, 8, 10), bool)
    masks[0, 1:3, 0:4] = True
    masks[1, 5:8, 7:10] = True
    objects = Detections(
        np.array([[0, 1, 4, 3], [7, 5, 10, 8]]), np.array([1, 0]), ("cat", "dog"), masks=masks,
        crowd=np.array([True, False]), difficult=np.array([False, True]),
    )  # fmt: skip
    label_map = np.zeros((8, 10), np.uint8)
    label_map[masks[0]], label_map[masks[1]] = 2, 255
    return Sample(image, "a", None, objects, Segmentation(label_map, ("ground", "cat", "dog")))


DATA = Dataset(
    "made", Source([], "RGB"), {}, ("cat", "dog"), (Task.DETECT,), ("ground", "cat", "dog")
)  # fmt: skip


def back(image, target):
    return transforms.from_tensors(image, target, DATA, "a")


def test_flip_moves_boxes_and_masks_along():
    given = sample()
    augment = transforms.augmentation(8, crop="none")
    torch.manual_seed(0)
    flips = 0
    for _ in range(20):
        found = back(*augment(*transforms.to_tensors(given)))
        if np.array_equal(found.image, given.image):
            assert np.array_equal(found.objects.boxes, given.objects.boxes)
            continue
        flips += 1
        assert np.array_equal(found.image, given.image[:, ::-1])
        assert found.objects.boxes.tolist() == [[6, 1, 10, 3], [0, 5, 3, 8]]
        assert found.objects.labels.tolist() == [1, 0]
        assert np.array_equal(found.objects.masks, given.objects.masks[:, :, ::-1])
        assert np.array_equal(found.segmentation.label_map, given.segmentation.label_map[:, ::-1])
    assert 3 < flips < 17


def test_zoom_keeps_boxes_masks_and_labels_of_one_object_together():
    given = sample()
    augment = transforms.augmentation(32, crop="zoom")
    torch.manual_seed(1)
    seen = set()
    for _ in range(40):
        found = back(*augment(*transforms.to_tensors(given)))
        assert found.image.shape == (32, 32, 3)
        assert found.objects.masks.shape == (len(found.objects), 32, 32)
        assert found.segmentation.label_map.shape == (32, 32)
        sides = found.objects.boxes[:, 2:] - found.objects.boxes[:, :2]
        assert (sides >= 1).all()
        assert (found.objects.boxes >= 0).all()
        assert (found.objects.boxes <= 32).all()
        seen.add(len(found.objects))
        for i, (x1, y1, x2, y2) in enumerate(found.objects.boxes):
            ys, xs = np.nonzero(found.objects.masks[i])
            if len(xs):
                assert abs(xs.min() - x1) <= 4
                assert abs(xs.max() + 1 - x2) <= 4
                assert abs(ys.min() - y1) <= 4
                assert abs(ys.max() + 1 - y2) <= 4
            dog = found.objects.labels[i] == 1  # the crowd, and value 2 of the label map
            assert found.objects.crowd[i] == dog
            assert found.objects.difficult[i] != dog
            values = found.segmentation.label_map[found.objects.masks[i]]
            assert set(values.tolist()) <= {2 if dog else 255}
    assert len(seen) > 1, "no cut ever lost an object"


@pytest.mark.parametrize("crop", ["shift", "zoom", "none"])
def test_images_alone(crop):
    augment = transforms.augmentation(8, crop=crop, colour=0.5, erase=0.5)
    image = torch.from_numpy(sample().image[:, :8].copy()).permute(2, 0, 1)
    found = augment(image)
    assert found.shape == (3, 8, 8)
    assert found.dtype == torch.uint8


@pytest.mark.parametrize("crop", ["shift", "zoom", "none"])
def test_image_with_a_label_alone(crop):
    image, target = transforms.to_tensors(Sample(sample().image[:, :8], "a", 3))
    found, kept = transforms.augmentation(8, crop=crop)(image, target)
    assert found.shape == (3, 8, 8)
    assert kept == {"label": 3}


def test_nothing_asked_for_changes_nothing():
    augment = transforms.augmentation(8, flip=False, crop="none")
    given = sample()
    found = back(*augment(*transforms.to_tensors(given)))
    assert np.array_equal(found.image, given.image)


def test_shift_is_a_cut_of_the_reflected_image():
    image = torch.from_numpy(sample().image[:, :8].copy()).permute(2, 0, 1)
    padded = v2.Pad(1, padding_mode="reflect")(image)
    cuts = [padded[:, y : y + 8, x : x + 8] for y in range(3) for x in range(3)]
    augment = transforms.augmentation(8, flip=False)
    torch.manual_seed(0)
    seen = set()
    for _ in range(60):
        found = augment(image)
        (place,) = [i for i, cut in enumerate(cuts) if torch.equal(found, cut)]
        seen.add(place)
    assert len(seen) > 5


# --- to tensors and back -------------------------------------------------------------------------


def test_round_trip():
    given = sample()
    image, target = transforms.to_tensors(given)
    assert image.shape == (3, 8, 10)
    assert target["boxes"].canvas_size == (8, 10)
    found = back(image, target)
    assert np.array_equal(found.image, given.image)
    for name in ("boxes", "labels", "masks", "crowd", "difficult"):
        assert np.array_equal(getattr(found.objects, name), getattr(given.objects, name))
    assert np.array_equal(found.segmentation.label_map, given.segmentation.label_map)
    assert found.segmentation.label_map.dtype == np.uint8
    assert found.segmentation.classes == ("ground", "cat", "dog")
    assert (found.label, found.id) == (None, "a")


def test_round_trip_of_a_label():
    found = back(*transforms.to_tensors(Sample(sample().image, "a", 1)))
    assert (found.label, found.objects, found.segmentation) == (1, None, None)


def test_round_trip_of_nothing_in_the_picture():
    none = Detections(np.zeros((0, 4)), np.zeros(0), ("cat", "dog"))
    found = back(*transforms.to_tensors(Sample(sample().image, "a", None, none)))
    assert len(found.objects) == 0


def test_round_trip_of_drawn_scenes():
    data = load_data("shapes:count=10,size=32")
    for i in range(10):
        given = data.sample(i)
        found = transforms.from_tensors(*transforms.to_tensors(given), data, given.id)
        assert np.array_equal(found.image, given.image)
        assert np.array_equal(found.objects.masks, given.objects.masks)
        assert np.array_equal(found.segmentation.label_map, given.segmentation.label_map)
