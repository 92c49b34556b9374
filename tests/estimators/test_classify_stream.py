"""What is streamed is never packed, learns the same way twice, and answers as the packed does."""

from __future__ import annotations

import collections
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import sightline
from sightline.data import store
from sightline.data.convert import convert
from sightline.data.load import load_data
from sightline.deploy import export
from sightline.errors import DataError, ParameterError, RunError
from sightline.estimators import classify_stream, load_model
from sightline.training import checkpoint
from sightline.training.labelled_recipe import LabelledRecipe
from sightline.training.packed_feed import PackedFeed
from sightline.training.streamed_feed import StreamedFeed, to_spare

KNOBS = {"epochs": 2, "batch_size": 8, "lr": 0.05, "device": "cpu", "size": 16}


def draw(folder: Path, n: int = 20) -> Path:
    """Pictures of different sizes: bright above in one class, below in the other."""
    random = np.random.default_rng(0)
    for i in range(n):
        for name in ("above", "below"):
            pixels = random.integers(0, 120, (30 + i % 4, 40 + i % 3, 3), np.uint8)
            half = slice(0, 15) if name == "above" else slice(15, None)
            pixels[half] += 130
            path = folder / name / f"{i:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    return folder


@pytest.fixture
def photos(tmp_path):
    return load_data(draw(tmp_path / "photos"))


@pytest.fixture(autouse=True)
def one_core(monkeypatch):
    """No core is to spare, so that the training itself reads: a process takes seconds to start."""
    monkeypatch.setattr("sightline.metrics.threads.available", lambda: 1)


def trained(data, folder=None, resume=False, stop=0, seed=0, **knobs):
    model = sightline.create_model("convnet", data, seed=seed, **(KNOBS | {"stream": "on"} | knobs))

    def halt(done, total):
        if done == stop:
            raise KeyboardInterrupt

    return model.fit(data.train, data.val, halt, folder=folder, resume=resume)


def weights(model):
    return model.method_.model.state_dict()


def same(a, b):
    return all(torch.equal(weights(a)[name], tensor) for name, tensor in weights(b).items())


def disk(monkeypatch, free):
    usage = collections.namedtuple("usage", "total used free")
    monkeypatch.setattr("sightline.data.store.shutil.disk_usage", lambda _: usage(0, 0, free))


def test_nothing_is_packed_and_the_run_says_so(photos, home, tmp_path, monkeypatch):
    def never(*_, **__):
        raise AssertionError("packed")

    monkeypatch.setattr(store, "pack", never)
    model = trained(photos, epochs=12)
    assert model.score(photos.test).headline > 0.8
    assert not (home / "pixels").exists()
    assert model.remarks[0].startswith(
        "streamed: pictures are read anew in every epoch, between the steps; as stream='on' asks; "
        "packing would take 0.0 MiB of "
    )
    assert model.options["stream"] == "on"
    assert model.config["trained_on"] == len(photos.train)
    assert {"val_accuracy", "train_accuracy", "val_loss"} <= model.history[-1].keys()
    model.save(tmp_path / "run")
    again = load_model(tmp_path / "run")
    assert again.score(photos.test).headline == model.score(photos.test).headline
    export._images(again, photos.splits)
    assert len(export._calibration(again, photos.splits)) == len(photos.train)


def test_it_answers_with_the_packed_pixels(photos):
    model = trained(photos)
    streamed = model.evaluate(photos.test)
    model.options["stream"] = "off"
    packed = model.evaluate(photos.test)
    assert photos.source.packed
    np.testing.assert_array_equal(streamed.rows, packed.rows)
    np.testing.assert_array_equal(streamed.labels, packed.labels)
    np.testing.assert_allclose(streamed.probabilities, packed.probabilities, atol=1e-6)


@pytest.mark.parametrize("resize", ["crop", "stretch", "pad"])
def test_batches_are_what_is_packed(photos, resize):
    parts = list(photos.train.batches((16, 12), resize, 5))
    X, y, rows = photos.train.arrays((16, 12), resize)
    assert [len(part.X) for part in parts] == [5] * 5 + [len(X) - 25]
    assert np.array_equal(np.concatenate([part.X for part in parts]), X)
    assert np.array_equal(np.concatenate([part.y for part in parts]), y)
    assert np.array_equal(np.concatenate([part.rows for part in parts]), rows)
    frames = [frame for part in parts for frame in part.frames]
    assert frames == list(photos.train.frames((16, 12), resize))


def test_batches_of_arrays_and_drawn_images_are_what_is_packed():
    for name in ("digits", "shapes:count=20,size=32,objects=1"):
        split = load_data(name).val
        assert np.array_equal(np.concatenate([p.X for p in split.batches()]), split.arrays().X)


def test_batches_leave_out_and_count_what_cannot_be_read(photos):
    names = [photos.train.items[i].image for i in (0, 7)]
    for name in names:
        Path(name).write_text("no image")
    unread = {}
    rows = np.concatenate([part.rows for part in photos.train.batches((8, 8), n=4, unread=unread)])
    assert rows.tolist() == np.delete(photos.train.rows, [0, 7]).tolist()
    assert [why.partition(": ")[0] for why in unread.values()] == names
    assert list(unread) == photos.train.rows[[0, 7]].tolist()
    with pytest.raises(DataError, match="no image of photos/train can be read"):
        list(photos.train.take(np.array([0, 7])).batches((8, 8)))
    with pytest.raises(DataError, match="the images differ in size"):
        next(photos.train.batches())


def test_broken_pictures_are_left_out_of_training_and_measuring(photos):
    for split, place in (("train", 3), ("val", 0), ("test", 1)):
        Path(photos.split(split).items[place].image).write_text("no image")
    model = trained(photos)
    assert model.config["trained_on"] == len(photos.train) - 1
    assert "2 of 40 images cannot be read and are left out: " in model.remarks[-1]
    found = model.evaluate(photos.test)
    assert found.rows.tolist() == np.delete(photos.test.rows, 1).tolist()
    assert "1 of 6 images cannot be read" in model.remarks[-1]


def test_a_resumed_training_ends_with_the_same_bits(photos, tmp_path):
    knobs = {"epochs": 3, "flip": "random", "mixup": 0.4, "cutout": 3, "erase": 0.3, "ema": 0.9}
    whole = trained(photos, **knobs)
    with pytest.raises(KeyboardInterrupt):
        trained(photos, tmp_path / "run", stop=6, **knobs)
    again = trained(photos, tmp_path / "run", resume=True, **knobs)
    assert same(again, whole)
    assert [r["val_loss"] for r in again.history] == [r["val_loss"] for r in whole.history]
    assert not same(whole, trained(photos, seed=1, **knobs))


def test_processes_that_read_change_no_bit_and_no_resuming(photos, tmp_path):
    whole = trained(photos, epochs=2)
    with pytest.raises(KeyboardInterrupt):
        trained(photos, tmp_path / "run", stop=5)
    again = trained(photos, tmp_path / "run", resume=True, workers=1)
    assert same(again, whole)


def test_auto_streams_where_packing_would_take_much_of_the_disk(photos, monkeypatch):
    need = len(photos.source.items) * 16 * 16 * 3
    disk(monkeypatch, int(need / classify_stream.SHARE) - 1)
    model = trained(photos, stream="auto", epochs=1)
    assert model.options["stream"] == "on"
    assert "packing would take 0.0 MiB of 0.1 MiB free (stream='off' packs)" in model.remarks[0]
    disk(monkeypatch, int(need / classify_stream.SHARE) + 1)
    packed = trained(photos, stream="auto", epochs=1)
    assert "stream" not in packed.options or packed.options["stream"] == "auto"
    assert photos.source.packed
    disk(monkeypatch, need)  # what is packed already takes nothing more
    assert "on" not in trained(photos, stream="auto", epochs=1).options.values()
    assert not any("streamed" in remark for remark in packed.remarks)


def test_a_resumed_training_reads_as_it_was_begun(photos, tmp_path, monkeypatch):
    disk(monkeypatch, 10)
    whole = trained(photos, stream="auto")
    with pytest.raises(KeyboardInterrupt):
        trained(photos, tmp_path / "run", stop=5, stream="auto")
    disk(monkeypatch, 10**12)  # there is room now
    assert same(trained(photos, tmp_path / "run", resume=True, stream="auto"), whole)
    trained(photos, tmp_path / "packed", stream="auto", epochs=1)
    disk(monkeypatch, 10)
    photos.source.packed.clear()
    again = trained(photos, tmp_path / "packed", resume=True, stream="auto", epochs=2)
    assert again.options.get("stream") != "on"
    with pytest.raises(RunError, match=r"trained with stream on, not off|other images"):
        trained(photos, tmp_path / "run", resume=True, stream="off")


def test_small_images_and_classic_methods_are_packed(monkeypatch, tmp_path):
    disk(monkeypatch, 10)
    digits = load_data("digits")
    model = sightline.create_model("convnet", digits, epochs=0.1, device="cpu")
    assert model.fit(digits.train, digits.val).options.get("stream") is None
    disk(monkeypatch, 10**6)
    photos = load_data(draw(tmp_path / "photos", 40))
    knn = sightline.create_model("knn", photos, size=32).fit(photos.train)  # 245,760 bytes
    assert photos.source.packed
    assert knn.evaluate(photos.test).metrics.headline > 0.5


def test_small_images_are_streamed_when_asked():
    digits = load_data("digits")
    digits = digits.with_rows({"train": digits.train.rows[:60], "val": digits.val.rows[:20]})
    model = sightline.create_model(
        "convnet", digits, epochs=1, stream="on", device="cpu", batch_size=16
    )
    model.fit(digits.train, digits.val)
    assert model.remarks[0].startswith("streamed: ")
    assert len(model.evaluate(digits.val).rows) == 20


def test_shards_are_streamed_from_their_places(photos, tmp_path):
    convert(photos, tmp_path / "shards", "webdataset")
    shards = load_data(tmp_path / "shards")
    model = trained(shards, workers=1, epochs=1)
    assert not shards.source.packed
    for split in ("val", "test"):
        theirs, ours = (
            {(p.tobytes(), y) for part in data.split(split).batches((16, 16)) for p, y in
             zip(part.X, part.y.tolist(), strict=True)}
            for data in (photos, shards)
        )  # fmt: skip
        assert theirs == ours
    assert model.config["trained_on"] == len(photos.train)


def test_a_look_at_a_training_streams_too(photos):
    model = sightline.create_model("convnet", photos, **KNOBS, stream="on")
    looked = model.training(photos.train)
    assert isinstance(looked.feed, StreamedFeed)
    images, targets = next(iter(looked.feed.epoch(0)))
    assert images.shape == (8, 3, 16, 16)
    torch.testing.assert_close(targets.sum(1), torch.ones(8))
    assert not photos.source.packed


def feeds(split, **knobs):
    """A streamed and a packed feed of the same pixels: 16 x 16, which a whole cut leaves alone."""
    recipe = LabelledRecipe(batch_size=8, device="cpu", crop_area=1.0, **knobs)
    X, y, _ = split.arrays()
    mean, std = np.full(3, 0.4, np.float32), np.full(3, 0.2, np.float32)
    device = torch.device("cpu")
    return (
        StreamedFeed(split, y, X.shape[1:3], mean, std, 2, recipe, device, 3),
        PackedFeed(X, y, mean, std, 2, recipe, device, 3),
    )


@pytest.mark.parametrize(
    "knobs",
    [
        {"flip": "alternate", "smoothing": 0.1},
        {"flip": "random", "cutout": 4, "erase": 0.5},
        {"flip": "none", "mixup": 0.4, "cutmix": 1.0},
        {"balance": "sampling"},
        {"balance": "weights"},
    ],
    ids=str,
)
def test_batches_are_those_of_a_packed_feed_but_for_the_cut(tmp_path, monkeypatch, knobs):
    random = np.random.default_rng(0)
    for i in range(26):
        path = tmp_path / "same" / ("a" if i < 20 else "b") / f"{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (16, 16, 3), np.uint8)).save(path)
    split = load_data(tmp_path / "same").train
    monkeypatch.setattr("sightline.training.streamed_feed.RATIO", (1.0, 1.0))
    streamed, packed = feeds(split, **knobs)
    assert streamed.steps == packed.steps
    for epoch in (0, 1):
        pairs = zip(streamed.epoch(epoch), packed.epoch(epoch), strict=True)
        for (x, target), (wanted, wanted_target) in pairs:
            torch.testing.assert_close(x, wanted)
            torch.testing.assert_close(target, wanted_target)
    ours, theirs = streamed.class_weights(), packed.class_weights()
    assert (ours is None) == (theirs is None)
    assert ours is None or torch.equal(ours, theirs)


def test_cuts_are_of_the_pictures_own_pixels(tmp_path):
    fine = (np.indices((200, 200)) // 12).sum(0) % 2 * 255  # a checkerboard: grey when scaled
    for name in ("a", "b"):
        for i in range(9):
            path = tmp_path / "fine" / name / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.repeat(fine[..., None], 3, 2).astype(np.uint8)).save(path)
    split = load_data(tmp_path / "fine").train
    recipe = LabelledRecipe(batch_size=16, device="cpu", crop_area=0.0001, flip="none")
    ones, device = np.ones(3, np.float32), torch.device("cpu")
    feed = StreamedFeed(split, split.labels, (16, 16), 0 * ones, ones, 2, recipe, device, 0)
    images = torch.cat([x for x, _ in feed.epoch(0)])
    assert len({tuple(image.flatten().tolist()) for image in images}) > len(images) / 2
    whole = next(split.batches((16, 16))).X / 255
    assert whole.std() < 0.1
    assert max(float(image.std()) for image in images) > 0.25


def test_two_processes_of_a_training_share_every_batch(photos):
    ones, device = np.ones(3, np.float32), torch.device("cpu")
    recipe = LabelledRecipe(batch_size=8, device="cpu", flip="alternate")
    made = [
        StreamedFeed(
            photos.train, photos.train.labels, (16, 16), ones, ones, 2, recipe, device, 3, *part
        )
        for part in ((0, 1), (0, 2), (1, 2))
    ]
    for (x, _), (a, _), (b, _) in zip(*(feed.epoch(1) for feed in made), strict=True):
        assert torch.equal(x[0::2], a)
        assert torch.equal(x[1::2], b)


def test_a_core_is_left_to_each_process_of_the_training(monkeypatch):
    monkeypatch.setattr("sightline.metrics.threads.available", lambda: 8)
    assert [to_spare(n) for n in (1, 2, 4, 8, 16)] == [7, 3, 1, 0, 0]


def test_what_streaming_cannot_do_is_refused(photos):
    with pytest.raises(ParameterError, match="stream='on' needs scale=none"):
        trained(photos, scale="unit")
    with pytest.raises(ParameterError, match="workers must not be negative, not -1"):
        trained(photos, workers=-1)
    with pytest.raises(ParameterError, match="crop_area must be between 0 and 1, not 0"):
        trained(photos, crop_area=0)
    with pytest.raises(ParameterError, match="stream must be auto, on or off, not 'yes'"):
        trained(photos, stream="yes")


def test_the_checkpoint_tells_what_was_chosen(photos, tmp_path):
    trained(photos, tmp_path, epochs=1)
    _, facts = checkpoint.read(tmp_path / checkpoint.FOLDER / checkpoint.LAST)
    assert facts["recipe"]["stream"] == "on"
    assert classify_stream.begun(tmp_path).streamed
