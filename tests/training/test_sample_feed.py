"""Samples come in the same order, cut the same way, whoever reads them and from wherever on."""

from __future__ import annotations

import itertools
import multiprocessing
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision import tv_tensors

from sightline.data import transforms
from sightline.data.annotation import Annotation
from sightline.data.dataset import Dataset, Source
from sightline.data.item import Item
from sightline.data.load import load_data
from sightline.errors import DataError, ParameterError, RunError, TrainingError
from sightline.training.engine import Training, launch
from sightline.training.recipe import Recipe
from sightline.training.sample_feed import SampleFeed
from sightline.types import Task

ZOOM = transforms.augmentation(24, crop="zoom", colour=0.5)


@pytest.fixture
def started():
    """Tell of the processes that were started since, and still run."""
    before = {process.pid for process in multiprocessing.active_children()}
    return lambda: [p for p in multiprocessing.active_children() if p.pid not in before]


@pytest.fixture(scope="module")
def scenes():
    """Drawn images with boxes and masks."""
    return load_data("shapes:count=30,size=40,objects=4").train


@pytest.fixture
def photos(tmp_path):
    """Files of different sizes, with a box each."""
    random, items = np.random.default_rng(0), []
    for i in range(13):
        height, width = 20 + i, 33 - i
        path = tmp_path / f"{i:02}.png"
        Image.fromarray(random.integers(0, 256, (height, width, 3), np.uint8)).save(path)
        box = np.array([[2.0, 3.0, 12.0 + i / 2, 15.0]])
        known = Annotation(width, height, box, np.array([i % 2]))
        items.append(Item(path.name, str(path), annotation=known))
    rows = {"train": np.arange(1, 13), "val": np.arange(1)}
    return Dataset("photos", Source(items, "RGB"), rows, ("a", "b"), (Task.DETECT,)).train


def broken(split, *places):
    """Write text over the files of some images."""
    for place in places:
        Path(split.items[place].image).write_text("no image")
    return split


def stacked(images, targets):
    return torch.stack(images), torch.tensor([t["row"] for t in targets])


def flat(batches):
    """Tensors and numbers of batches of lists, one after another."""
    found = []
    for images, targets in batches:
        found.append(len(images))
        found += images
        for target in targets:
            found += [target[name] for name in sorted(target)]
    return found


def equal(a, b):
    return len(a) == len(b) and all(
        torch.equal(x, y) if isinstance(x, torch.Tensor) else x == y
        for x, y in zip(a, b, strict=True)
    )


def joined(lists):
    return list(itertools.chain.from_iterable(lists))


def rows(batches):
    return [[target["row"] for target in targets] for _, targets in batches]


def test_processes_give_what_the_training_itself_reads(scenes, started):
    feeds = [SampleFeed(scenes, 8, 5, transform=ZOOM, workers=n) for n in (0, 2)]
    for epoch in (1, 2):  # the second is read by the processes of the first
        own, sent = (flat(feed.epoch(epoch)) for feed in feeds)
        assert equal(own, sent)
    assert not equal(own, flat(feeds[0].epoch(1)))
    later = flat(feeds[1].epoch(3, 1))
    assert equal(later, flat(list(feeds[0].epoch(3))[1:]))
    assert len(started()) == 2
    feeds[1].close()
    assert not started()


def test_processes_end_when_an_epoch_is_left_early(scenes, started):
    feed = SampleFeed(scenes, 4, 5, workers=1)
    batches = feed.epoch(0)
    first = next(batches)
    assert len(started()) == 1
    batches.close()
    assert not started()
    assert feed.waited > 0
    assert equal(flat([first]), flat([next(feed.epoch(0))]))


def test_an_epoch_has_every_image_once_and_another_order_each_time(scenes):
    feed = SampleFeed(scenes, 8, 5)
    assert feed.steps == len(list(feed.epoch(0))) == 3
    seen = [joined(rows(feed.epoch(epoch))) for epoch in (0, 1)]
    assert sorted(seen[0]) == sorted(seen[1]) == sorted(scenes.rows.tolist())
    assert seen[0] != seen[1] != joined(rows(SampleFeed(scenes, 8, 6).epoch(1)))


def test_an_epoch_goes_on_where_it_was_left(scenes):
    feed = SampleFeed(scenes, 4, 5, transform=ZOOM)
    for first in range(feed.steps + 1):
        assert equal(flat(feed.epoch(2, first)), flat(list(feed.epoch(2))[first:]))


def test_two_processes_of_a_training_share_every_batch(scenes):
    whole = SampleFeed(scenes, 8, 5, transform=ZOOM)
    parts = [SampleFeed(scenes, 8, 5, transform=ZOOM, rank=rank, world=2) for rank in (0, 1)]
    assert parts[0].steps == whole.steps
    for (images, targets), *halves in zip(
        whole.epoch(1), *(part.epoch(1) for part in parts), strict=True
    ):
        for rank, half in enumerate(halves):
            assert equal(flat([half]), flat([(images[rank::2], targets[rank::2])]))


def test_boxes_and_masks_are_what_the_transform_makes_by_hand(scenes):
    feed = SampleFeed(scenes, 8, 5, transform=ZOOM)
    images, targets = next(iter(feed.epoch(3)))
    changed = 0
    for image, target in zip(images, targets, strict=True):
        row = target.pop("row")
        seeds = np.random.SeedSequence([5, 3, row]).generate_state(2)
        plain, known = transforms.to_tensors(scenes.data.sample(row))
        torch.manual_seed(int(seeds[0]))
        wanted, wanted_target = ZOOM(plain, known)
        assert torch.equal(image, wanted)
        assert {"boxes", "labels", "masks", "label_map"} <= target.keys() == wanted_target.keys()
        assert all(torch.equal(target[name], wanted_target[name]) for name in target)
        assert isinstance(target["boxes"], tv_tensors.BoundingBoxes)
        assert target["boxes"].canvas_size == (24, 24)
        changed += not torch.equal(known["boxes"], target["boxes"])
    assert changed == len(images)


class Noise:
    """A transform that draws from NumPy."""

    def __call__(self, image, target):
        return image, target | {"draw": float(np.random.random())}  # noqa: NPY002


def test_a_transform_may_draw_from_numpy_and_leaves_no_trace(scenes):
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    batches = [list(SampleFeed(scenes, 8, 5, transform=Noise()).epoch(0)) for _ in range(2)]
    assert equal(*(flat(b) for b in batches))
    draws = {target["draw"] for _, targets in batches[0] for target in targets}
    assert len(draws) == len(scenes)
    list(SampleFeed(scenes, 8, 5, workers=1).epoch(0))
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002


def test_images_of_different_sizes_come_as_they_are(photos):
    images, targets = next(iter(SampleFeed(photos, 12, 0).epoch(0)))
    assert len({tuple(image.shape) for image in images}) == 12
    for image, target in zip(images, targets, strict=True):
        sample = photos.data.sample(target["row"])
        assert np.array_equal(image.numpy().transpose(1, 2, 0), sample.image)
        assert np.array_equal(target["boxes"].numpy(), sample.objects.boxes)


def test_a_task_makes_its_own_batches(scenes):
    feed = SampleFeed(scenes, 8, 5, transform=ZOOM, collate=stacked)
    images, found = next(iter(feed.epoch(0)))
    assert images.shape == (8, 3, 24, 24)
    assert found.tolist() == scenes.rows[feed.order(0)[:8]].tolist()
    assert feed.size((images, found)) == 8
    parts = feed.parts((images, found), 3)
    assert [feed.size(part) for part in parts] == [3, 3, 2]
    assert torch.equal(torch.cat([part[1] for part in parts]), found)


def test_lists_are_parted_alike(scenes):
    feed = SampleFeed(scenes, 8, 5)
    batch = next(iter(feed.epoch(0)))
    parts = feed.parts(batch, 3)
    assert [feed.size(part) for part in parts] == [3, 3, 2]
    assert rows([(None, joined(targets for _, targets in parts))]) == rows([batch])
    assert len(feed.parts((batch[0][:1], batch[1][:1]), 3)) == 1


def test_rare_images_are_drawn_more_often_and_cut_anew_each_time(photos):
    chance = np.where(np.arange(12) == 3, 11.0, 1.0)
    feed = SampleFeed(photos, 4, 0, transform=Noise(), chance=chance)
    drawn = np.concatenate([feed.order(epoch) for epoch in range(40)])
    assert 0.4 < (drawn == 3).mean() < 0.6
    targets = [target for _, targets in feed.epoch(0) for target in targets]
    draws = [target["draw"] for target in targets if target["row"] == photos.rows[3]]
    assert len(draws) == len(set(draws)) > 2


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_file_is_left_out_and_named_once(photos, workers):
    feed = SampleFeed(broken(photos, 2, 7), 4, 5, workers=workers)
    for epoch in range(2):
        batches = list(feed.epoch(epoch))
        assert len(batches) == feed.steps == 3
        assert sorted(joined(rows(batches))) == sorted(set(photos.rows.tolist()) - {3, 8})
    assert len(feed.unread) == 2
    assert all("not an image of a known format" in why for why in feed.unread.values())
    assert {row: why.split(":")[0][-6:] for row, why in feed.unread.items()} == {
        3: "03.png", 8: "08.png"
    }  # fmt: skip
    feed.close()


def test_the_next_batch_stands_in_for_one_that_cannot_be_read(photos):
    order = SampleFeed(photos, 4, 5).order(0)
    feed = SampleFeed(broken(photos, *order[4:8]), 4, 5)
    found = rows(feed.epoch(0))
    assert (
        found
        == [photos.rows[order[part]].tolist() for part in (slice(4), slice(8, 12))[:1]]
        + [photos.rows[order[8:12]].tolist()] * 2
    )
    assert rows(feed.epoch(0, 1)) == found[1:]
    assert len(feed.unread) == 4


def test_a_split_without_a_readable_image_is_refused(photos):
    feed = SampleFeed(broken(photos, *range(12)), 4, 5)
    with pytest.raises(DataError, match=r"no image of photos/train can be read, first .*\.png: "):
        next(iter(feed.epoch(0)))
    with pytest.raises(DataError, match="photos/train has no image to learn from"):
        SampleFeed(photos[:0], 4, 5)
    with pytest.raises(ParameterError, match="workers must not be negative"):
        SampleFeed(photos, 4, 5, workers=-1)


class Killer:
    """A transform that ends its process."""

    def __call__(self, image, target):
        import os

        os._exit(3)


def test_a_killed_process_is_told_of(photos):
    feed = SampleFeed(photos, 4, 5, transform=Killer(), workers=1)
    with pytest.raises(TrainingError, match=r"a process that reads images ended .*workers=1"):
        next(iter(feed.epoch(0)))


def test_what_cannot_be_sent_is_read_here(photos):
    photos.items[0].image = lambda: np.zeros((9, 9, 3), np.uint8)
    feed = SampleFeed(photos, 4, 5, workers=2)
    assert feed.workers == 0
    assert "cannot be handed to other processes" in feed.remarks[0]
    assert len(list(feed.epoch(0))) == 3


def test_the_digest_tells_of_other_files_and_boxes_without_reading_them(photos, monkeypatch):
    first = SampleFeed(photos, 4, 5).digest
    assert len(first) == 16
    with monkeypatch.context() as without:
        without.setattr("sightline.data.images.read", None)
        assert SampleFeed(photos, 8, 1).digest == first
    photos.items[3].annotation.boxes[0, 0] += 1
    moved = SampleFeed(photos, 4, 5).digest
    photos.items[3].annotation.boxes[0, 0] -= 1
    assert SampleFeed(photos[:11], 4, 5).digest != first != moved
    broken(photos, 4)
    assert SampleFeed(photos, 4, 5).digest != first


class Tiny(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.fc = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 4)
        self.drop = nn.Dropout(0.3)

    def forward(self, images):
        x = torch.stack(images).float() / 255
        return self.fc(self.drop(self.norm(self.conv(x)).relu().mean((2, 3))))


def box_loss(model, batch):
    """Where the middle of all boxes lies."""
    images, targets = batch
    wanted = torch.stack(
        [t["boxes"].float().mean(0) if len(t["boxes"]) else torch.zeros(4) for t in targets]
    )
    return nn.functional.mse_loss(model(images), wanted / 24)


def trained(split, folder=None, stop=0, resume=False, workers=0, **knobs):
    recipe = Recipe(epochs=3, batch_size=8, lr=0.05, ema=0.9, accumulate=2, device="cpu")
    fabric = launch(recipe)
    torch.manual_seed(0)
    feed = SampleFeed(split, 8, 5, transform=ZOOM, workers=workers, **knobs)
    model = Tiny()
    training = Training(fabric, model, feed, recipe, box_loss, folder=folder)
    if resume:
        training.resume()

    def halt(done, total):
        if done == stop:
            raise KeyboardInterrupt

    training.run(halt)
    return {k: v.clone() for k, v in model.state_dict().items()}


def test_a_resumed_training_ends_with_the_same_bits(scenes, tmp_path, started):
    whole = trained(scenes)
    for stop, workers in ((5, 0), (7, 1)):
        folder = tmp_path / str(stop)
        with pytest.raises(KeyboardInterrupt):
            trained(scenes, folder, stop)
        again = trained(scenes, folder, resume=True, workers=workers)
        assert all(torch.equal(again[name], whole[name]) for name in whole)
    with pytest.raises(RunError, match="was trained on other images"):
        trained(scenes[:20], folder, resume=True)
    assert not started()
