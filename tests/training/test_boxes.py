"""Pictures and their boxes change together, alone and by fours."""

import numpy as np
import pytest
import torch
from torchvision import tv_tensors

import sightline
from sightline.data.images import frame_of
from sightline.training.boxes import GREY, Changed, Gathered
from sightline.training.sample_feed import Closing, SampleFeed

COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0))


def painted(k):
    """Return a black picture with a rectangle of colour k, and its box."""
    image = torch.zeros((3, 64, 96), dtype=torch.uint8)
    box = [10 + 3 * k, 8 + 2 * k, 60 + 5 * k, 40 + 4 * k]
    image[:, box[1] : box[3], box[0] : box[2]] = torch.tensor(COLOURS[k]).view(3, 1, 1)
    return image, {"boxes": torch.tensor([box]).float(), "labels": torch.tensor([k])}


def test_four_pictures_put_together_keep_boxes_where_the_objects_are():
    images, targets = zip(*map(painted, range(4)), strict=True)
    gathered, seen, sizes = Gathered((64, 96), mosaic=True, spread=0.5), 0, set()
    for seed in range(12):
        torch.manual_seed(seed)
        batch, known = gathered(images, targets)
        sizes.add(tuple(batch.shape[2:]))
        for image, objects in zip(batch, known, strict=True):
            for box, label in zip(objects["boxes"], objects["labels"].tolist(), strict=True):
                same = (image.float() - torch.tensor(COLOURS[label]).view(3, 1, 1)).abs().amax(0)
                x1, y1, x2, y2 = box.round().int().tolist()
                inside = same[y1 + 1 : y2 - 1, x1 + 1 : x2 - 1]
                assert (inside < 60).all()
                # Beyond its edge, where that is not the picture's, is something else.
                if x2 + 4 < image.shape[2]:
                    assert (same[y1:y2, x2 + 2] > 100).float().mean() > 0.5
                seen += 1
    assert seen > 60
    assert all(h % 32 == w % 32 == 0 and 32 <= h <= 96 and 48 <= w <= 144 for h, w in sizes)
    assert len(sizes) > 1


def test_what_is_nearly_cut_off_teaches_nothing():
    image, known = painted(0)
    for seed in range(20):
        torch.manual_seed(seed)
        _, [objects] = Gathered((64, 96), mosaic=True)([image], [known])
        sides = objects["boxes"][:, 2:] - objects["boxes"][:, :2]
        assert (sides >= 2).all()
        assert (sides.prod(1) > 0.1 * 0.25 * 50 * 32 * 0.9).all()


def test_a_batch_of_another_size_takes_its_boxes_along():
    images, targets = zip(*map(painted, range(4)), strict=True)
    for seed in range(5):
        torch.manual_seed(seed)
        batch, known = Gathered((64, 96), spread=0.6)(images, targets)
        by = torch.tensor([batch.shape[3] / 96, batch.shape[2] / 64] * 2)
        for objects, before in zip(known, targets, strict=True):
            assert torch.allclose(objects["boxes"], before["boxes"] * by)


@pytest.mark.parametrize("picture", [(40, 100), (100, 40), (64, 96), (33, 47)])
def test_a_padded_picture_is_framed_as_in_an_answer(picture):
    image = torch.full((3, *picture), 255, dtype=torch.uint8)
    box = torch.tensor([[4.0, 6.0, 30.0, 28.0]])
    target = {"boxes": box, "labels": torch.tensor([0])}
    made, known = Changed((64, 96), "none", "pad")(tv_tensors.Image(image), target)
    frame = frame_of(picture, (64, 96), "pad")
    np.testing.assert_allclose(known["boxes"], frame.into(box.numpy()), atol=1e-4)
    rows, columns = (made[0] == 255).nonzero(as_tuple=True)
    top, left = (round(o) for o in frame.offset)
    assert (int(rows.min()), int(columns.min())) == (top, left)
    assert set(made.unique().tolist()) <= {255, GREY}


def kept(image, target):
    return image, target


def first_way(images, targets):
    return "together", len(images)


def second_way(images, targets):
    return "alone", len(images)


@pytest.mark.parametrize("workers", [0, 1])
def test_the_last_epochs_change_pictures_another_way(workers):
    data = sightline.load_data("shapes:count=20,size=32")
    feed = SampleFeed(
        data.train, 8, 0, transform=kept, collate=first_way, workers=workers,
        closing=Closing(0.5, kept, second_way),
    )  # fmt: skip
    ways = []
    for epoch in range(4):
        feed.done = epoch / 4
        ways.append({way for way, _ in feed.epoch(epoch)})
    feed.close()
    assert ways == [{"together"}, {"together"}, {"alone"}, {"alone"}]
