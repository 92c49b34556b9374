"""Fast R-CNN classifies the regions that it is given, and nothing else."""

from __future__ import annotations

import pytest
import torch
from torchvision import ops

from sightline.errors import ParameterError
from sightline.models.detect import fast_rcnn as fast
from sightline.models.detect.assign import BACKGROUND
from sightline.models.detect.roi_heads import RegionPool, RegionTeaching, RoIHeads, image_of


def scenes(n):
    """Images of one bright square each, every other without; regions that hold it, and others."""
    random = torch.Generator().manual_seed(0)
    images, targets = torch.randn(n, 3, 64, 64, generator=random) * 0.1, []
    for i in range(n):
        x, y = torch.randint(4, 36, (2,), generator=random).tolist()
        empty, label = i % 2, i // 2 % 2
        if not empty:
            images[i, label, y : y + 20, x : x + 24] += 2
        corner = torch.rand(30, 2, generator=random) * 40
        others = torch.cat((corner, corner + 6 + torch.rand(30, 2, generator=random) * 18), 1)
        near = torch.tensor([[x, y, x + 24.0, y + 20]]) + torch.randn(8, 4, generator=random) * 2
        targets.append({
            "boxes": torch.tensor([] if empty else [[x, y, x + 24, y + 20]]).view(-1, 4).float(),
            "labels": torch.tensor([] if empty else [label], dtype=torch.long),
            "regions": torch.cat((near, others)).clamp(0, 64),
        })  # fmt: skip
    return images, targets


@pytest.fixture(scope="module")
def learned():
    torch.manual_seed(0)
    model = fast.fast_rcnn(2, 3, 64).train()
    images, targets = scenes(8)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for _ in range(40):
        optimizer.zero_grad()
        losses = model(images, targets)
        sum(losses.values()).backward()
        optimizer.step()
    for layer in model.eval().modules():
        if isinstance(layer, torch.nn.BatchNorm2d):  # 8 images: as they are, not as they were
            layer.train()
    return model, images, targets


def test_it_learns_the_classes_and_moves_the_boxes(learned):
    model, images, targets = learned
    regions = [t["regions"] for t in targets]
    with torch.no_grad():
        answers = model(images, regions=regions)
    for target, answer, given in zip(targets, answers, regions, strict=True):
        sure = answer["scores"] > 0.5
        assert answer["labels"][sure].tolist() == target["labels"].tolist()
        if len(target["boxes"]):
            moved = ops.box_iou(answer["boxes"][sure], target["boxes"]).max()
            assert moved > 0.8
            assert moved > ops.box_iou(given, target["boxes"]).mean()


def test_only_regions_that_are_given_are_answered(learned):
    model, images, targets = learned
    away = torch.tensor([[0.0, 0, 5, 5]])
    with torch.no_grad():
        answers = model(images[:2], regions=[away, targets[1]["regions"][:0]])
        together = model(images, regions=[t["regions"][:6] for t in targets])
        uneven = model(
            images, regions=[t["regions"][: 6 if i else 40] for i, t in enumerate(targets)]
        )
    assert [len(a["boxes"]) for a in answers] == [(answers[0]["scores"] > 0.01).sum().item(), 0]
    for a, b in zip(
        together[1:], uneven[1:], strict=True
    ):  # what another image has changes nothing
        assert torch.equal(a["boxes"], b["boxes"])


def test_background_overlaps_an_object_a_little_and_where_there_is_none_it_is_anything():
    heads = RoIHeads(RegionPool(), 4, 3, 8, RegionTeaching(lowest=0.1, sample=64))
    objects = torch.tensor([[0.0, 0, 20, 20]])
    regions = torch.tensor([[0.0, 0, 20, 18], [0, 0, 20, 8], [0, 0, 5, 5], [40, 40, 60, 60]])
    [drawn] = heads.sampled([regions], [objects])
    known = {tuple(b): o for b, o in zip(drawn.boxes.tolist(), drawn.objects.tolist(), strict=True)}
    assert known == {(0, 0, 20, 18): 0, (0, 0, 20, 20): 0, (0, 0, 20, 8): BACKGROUND}
    [bare] = heads.sampled([regions], [objects[:0]])
    assert len(bare.boxes) == 4
    assert (bare.objects == BACKGROUND).all()


@pytest.mark.parametrize("kind", ["align", "pool"])
def test_one_map_is_pooled_by_torchvisions_operators(kind):
    x = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    parts = [torch.tensor([[3.0, 5, 60, 90], [0, 0, 128, 128]]), torch.tensor([[20.0, 20, 50, 40]])]
    own = RegionPool(7, kind)([x], torch.cat(parts), image_of(parts), (128, 128))
    theirs = (
        ops.roi_align(x, parts, 7, 1 / 8, 2)
        if kind == "align"
        else ops.roi_pool(x, parts, 7, 1 / 8)
    )
    assert torch.equal(own, theirs)


def test_what_is_missing_is_said(learned):
    model, images, targets = learned
    with pytest.raises(ParameterError, match="8 images, none given"):
        model(images)
    with pytest.raises(ParameterError, match="8 images, 2 given"):
        model(images, regions=[targets[0]["regions"]] * 2)
