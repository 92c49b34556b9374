"""Objects come out of maps: one for each summit, of every size, in the picture's own pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from sightline.errors import ParameterError, UnknownNameError
from sightline.metrics.instances_table import Masks, in_common
from sightline.models.instances import flooding
from sightline.models.instances.watershed import NETWORKS, watershed
from sightline.types import IGNORE, Frame


def discs(size, places):
    """Masks of discs: (y, x, radius)."""
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    return np.stack([(y - b) ** 2 + (x - a) ** 2 <= r**2 for b, a, r in places])


def maps_of(masks, labels=None, classes=1):
    """What a network without error says of masks."""
    known = np.zeros(len(masks), int) if labels is None else labels
    of_class, border, distance = flooding.truth(masks, known, np.zeros(masks.shape[1:], bool))
    each = [of_class == c for c in range(classes + 1)]
    return np.stack([*each, border, distance]).astype(np.float32)


def exact(masks, said):
    """Whether each mask is one answer, to the pixel, and there is no other one."""
    drawn = {said.mask(i).tobytes() for i in range(len(said))}
    return drawn == {mask.tobytes() for mask in masks} and len(said) == len(masks)


def test_a_flat_summit_is_one_object_however_wide():
    inside = np.zeros((20, 40), bool)
    inside[5:15, 2:38] = True
    height = inside * 0.8
    assert flooding.maxima(height, inside).max() == 1
    assert flooding.split(height, inside).max() == 1
    height[5:15, 2] = 0.9  # now the plateau has a higher neighbour
    assert flooding.maxima(height, inside).max() == 1
    assert flooding.split(height, inside).max() == 1


def test_touching_objects_part_at_the_valley_and_low_summits_do_not_count():
    height = np.array([[0.5, 1.0, 0.9, 0.95, 0.9, 0.2, 0.3, 0.9, 0.0]])
    inside = height > 0
    assert flooding.split(height, inside)[:, [0, 1, 2, 3, 4, 6, 7, 8]].tolist() == [
        [1] * 5 + [2, 2, 0]  # the bottom of the valley may be either's
    ]
    assert flooding.split(height, inside, least=0.01).max() == 3
    none = np.zeros((4, 5), bool)
    assert not flooding.split(none * 0.5, none).any()


def slow(height, inside, seeds):
    """The watershed by its definition: the best way's lowest point decides."""
    best = np.where(seeds > 0, np.inf, -np.inf)
    number = seeds.copy()
    for _ in range(height.size):
        before = best.copy()
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                moved = np.roll(before, (dy, dx), (0, 1)), np.roll(number, (dy, dx), (0, 1))
                through = np.minimum(moved[0], height)
                better = inside & (through > best)
                best[better], number[better] = through[better], moved[1][better]
        if (best == before).all():
            return best, number
    raise AssertionError("no end")


def test_every_pixel_reaches_its_seed_by_a_way_as_high_as_any():
    random = np.random.default_rng(3)
    inside = random.random((24, 24)) < 0.8
    inside[[0, -1]] = inside[:, [0, -1]] = False
    height = random.permutation(24 * 24).reshape(24, 24) / 600  # no two alike
    seeds = flooding.maxima(height, inside)
    assert seeds.max() > 20
    numbers = flooding.flooded(height, inside, seeds)
    best, _ = slow(height, inside, seeds)
    for number in range(1, seeds.max() + 1):
        own = numbers == number
        alone, _ = slow(height, own, np.where(own, seeds, 0))
        assert ((seeds == number) <= own).all()
        np.testing.assert_array_equal(alone[own], best[own])


def test_three_hundred_objects_come_back_to_the_pixel():
    places = [(8 + 16 * i, 8 + 12 * j, 5 + (i * j) % 2) for i in range(15) for j in range(20)]
    masks = discs((240, 240), places)
    said = flooding.objects_of(maps_of(masks), Frame((240, 240)), ("nucleus",))
    assert len(said) == 300
    assert exact(masks, said)


def test_touching_discs_of_other_sizes_part_and_an_object_of_one_pixel_stays():
    masks = discs((64, 64), [(20, 20, 12), (20, 38, 7), (40, 24, 9)])
    for small, large in ((1, 0), (2, 0)):
        masks[large] &= ~masks[small]
    single = np.zeros((1, 64, 64), bool)
    single[0, 60, 60] = True
    masks = np.concatenate((masks, single))
    said = flooding.objects_of(maps_of(masks), Frame((64, 64)), ("a",))
    assert len(said) == 4
    assert sorted(said.pixels)[0] == 1
    codes = Masks.of_shapes(list(masks), (64, 64), [0] * 4, ("a",))
    shared = in_common(said, codes).max(0) / codes.pixels
    assert (shared > 0.95).all()


def test_the_class_is_that_of_most_pixels_and_the_score_their_mean():
    maps = np.zeros((5, 8, 8), np.float32)
    maps[0], maps[-1, 1:7, 1:7] = 1, 1
    maps[0, 1:7, 1:7] = 0.1
    maps[1, 1:7, 1:3] = maps[2, 1:7, 3:7] = 0.7
    maps[2, 1:7, 1:3] = maps[1, 1:7, 3:7] = 0.2
    said = flooding.objects_of(maps, Frame((8, 8)), ("a", "b"))
    assert said.names == ["b"]
    assert said.scores[0] == pytest.approx((0.2 * 12 + 0.7 * 24) / 36, abs=1e-6)


@pytest.mark.parametrize(
    ("size", "scale", "offset"),
    [((128, 192), 0.5, (0, 0)), ((96, 120), 0.5, (8, 18)), ((300, 300), 0.25, (-5.5, 10))],
)
def test_a_larger_picture_gets_smooth_outlines_that_do_not_overlap(size, scale, offset):
    """Discs of the picture, seen by the network smaller or cut, come back within a pixel or two."""
    masks = discs((64, 96), [(30, 30, 11), (30, 52, 11), (20, 80, 8)])
    maps = maps_of(masks)
    soft = flooding.truth(masks, [0] * 3, np.zeros((64, 96), bool))[0]
    maps[1] = ndimage.gaussian_filter((soft > 0).astype(np.float32), 0.7)
    maps[0] = 1 - maps[1]
    frame = Frame(size, (scale, scale), offset)
    said = flooding.objects_of(maps, frame, ("a",))
    assert said.size == size
    assert len(said) == 3
    drawn = np.stack([said.mask(i) for i in range(3)])
    assert drawn.sum(0).max() == 1
    large = discs(size, [
        ((y - offset[0]) / scale, (x - offset[1]) / scale, r / scale)
        for y, x, r in [(30, 30, 11), (30, 52, 11), (20, 80, 8)]
    ])  # fmt: skip
    for disc in large:
        both = (drawn & disc).sum((1, 2)) / (drawn | disc).sum((1, 2))
        assert both.max() > 0.9


def test_what_lies_in_the_filling_of_a_picture_is_no_object():
    masks = discs((64, 64), [(10, 32, 6), (40, 32, 6)])
    frame = Frame((32, 64), (1.0, 1.0), (28.0, 0.0))
    said = flooding.objects_of(maps_of(masks), frame, ("a",))
    assert len(said) == 1
    assert exact(masks[1:, 28:60], said)


def test_the_truth_has_the_smaller_object_on_top_and_no_border_in_what_is_ignored():
    masks = np.zeros((3, 12, 12), bool)
    masks[0, 4:7, 4:7] = masks[1, 1:11, 1:11] = masks[2, 0, 0] = True
    ignored = np.zeros((12, 12), bool)
    ignored[11] = True
    classes, border, distance = flooding.truth(masks, [0, 1, 1], ignored)
    assert classes[5, 5] == 1
    assert classes[2, 2] == classes[0, 0] == 2
    assert (classes[11] == IGNORE).all()
    assert classes[0, 5] == 0
    assert distance[5, 5] == distance[0, 0] == 1
    assert border[0, 0]
    assert border[3, 4]
    assert not border[5, 5]
    nothing = flooding.truth(masks[:0], [], ignored)
    assert not nothing[1].any()
    assert set(np.unique(nothing[0])) == {0, IGNORE}


@pytest.mark.parametrize("name", ["unet-lite", "unet", "deeplabv3-lite", "fcn-resnet50"])
def test_any_semantic_network_says_the_maps(name):
    with torch.device("meta"):
        model = watershed(2, 3, network=name)
        maps = model.eval()(torch.zeros(2, 3, 33, 47))
    assert maps.shape == (2, 5, 33, 47)
    assert all(name.startswith("network.") for name in model.head_names)
    assert set(NETWORKS) >= {name}
    with pytest.raises(UnknownNameError, match="unet-lite"):
        watershed(network="unet-light")


def test_losses_are_none_for_the_truth_and_fall_in_training():
    torch.manual_seed(0)
    masks = discs((32, 32), [(10, 10, 6), (20, 22, 7)])
    parts = flooding.truth(masks, [0, 0], np.zeros((32, 32), bool))
    names = ("classes", "border", "distance")
    target = {name: torch.from_numpy(part) for name, part in zip(names, parts, strict=True)}
    model = watershed(1, 1).train()
    x = torch.from_numpy(masks.any(0)).float().expand(2, 1, -1, -1) * 2 - 0.5
    with pytest.raises(ParameterError, match="targets must be one for each image"):
        model(x)
    certain = torch.cat([
        20 * (2 * torch.stack([target["classes"] == c for c in (0, 1)]).float() - 1),
        20 * (2 * target["border"][None].float() - 1),
        torch.logit(target["distance"][None].clamp(1e-6, 1 - 1e-6)),
    ]).expand(2, -1, -1, -1)  # fmt: skip
    model.network.forward = lambda images: certain
    assert all(value.abs() < 1e-4 for value in model(x, [target] * 2).values())
    ignored = target | {"classes": torch.full((32, 32), IGNORE, dtype=torch.uint8)}
    assert all(value == 0 for value in model(x, [ignored] * 2).values())
    del model.network.forward
    optimizer, losses = torch.optim.AdamW(model.parameters(), lr=3e-3), []
    for _ in range(8):
        total = sum(model(x, [target] * 2).values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        losses.append(total.item())
    assert losses[-1] < 0.7 * losses[0]
