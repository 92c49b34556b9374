"""Masks move with their pictures, and what cannot be learned is said."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torchvision import tv_tensors
from torchvision.transforms import v2

import sightline
from sightline.bench import compare
from sightline.errors import DataError, UnknownNameError
from sightline.estimators.instances import InstanceSegmenter
from sightline.estimators.instances_network import WithMaps, answer, overlapping
from sightline.models import registry
from sightline.training.object_masks import ChangedMasks
from sightline.types import IGNORE, Frame

SIZE = (64, 96)


@pytest.mark.parametrize(
    ("augment", "cut"), [("none", 1), ("flip", 1), ("cut", 1), ("cells", 1), ("none", 0.75)]
)
def test_masks_stay_where_the_objects_are(augment, cut, monkeypatch):
    """A white rectangle with a corner missing: after any change its mask is the white pixels."""
    monkeypatch.setattr(v2, "RandomPhotometricDistort", v2.Identity)
    image = torch.zeros((3, 60, 80), dtype=torch.uint8)
    mask = torch.zeros((1, 60, 80), dtype=torch.bool)
    mask[0, 15:40, 14:54], mask[0, 15:25, 14:29] = True, False
    image[:, mask[0]] = 255
    changed, whole, shapes = ChangedMasks(SIZE, augment, cut=cut), 0, set()
    for seed in range(20):
        torch.manual_seed(seed)
        target = {
            "boxes": torch.tensor([[14.0, 15, 54, 40]]), "labels": torch.tensor([2]),
            "masks": tv_tensors.Mask(mask),
        }  # fmt: skip
        made, known = changed(tv_tensors.Image(image), target)
        assert made.shape == (3, round(64 * cut), round(96 * cut))
        assert made.dtype == torch.uint8
        if not len(known["masks"]):
            continue
        white = made.float().mean(0) > 140  # not what fills the shape up
        apart = white ^ known["masks"][0]
        assert apart.sum() <= 0.15 * white.sum()
        rows, columns = known["masks"][0].nonzero().T
        box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert known["boxes"][0].tolist() == [float(v) for v in box]
        whole += 1
        shapes.add(tuple(known["boxes"][0].round().int().tolist()))
    assert whole > 15
    least = 10 if cut < 1 else {"none": 1, "flip": 2, "cut": 10, "cells": 10}[augment]
    assert len(shapes) >= least


def test_crowds_are_ignored_lost_objects_left_out_and_none_is_fine():
    masks = torch.zeros((3, 40, 40), dtype=torch.bool)
    masks[0, :20], masks[1, 25:30, 5:9] = True, True  # the third has no pixel
    target = {
        "boxes": torch.zeros((3, 4)), "labels": torch.tensor([0, 1, 1]), "masks": masks,
        "crowd": torch.tensor([True, False, False]),
    }  # fmt: skip
    image = tv_tensors.Image(torch.zeros((1, 40, 40), dtype=torch.uint8))
    made, known = ChangedMasks((40, 40), "none")(image, target)
    assert known["labels"].tolist() == [1]
    assert torch.equal(known["ignored"], masks[0])
    _, maps = WithMaps(ChangedMasks((40, 40), "none"))(image, target)
    assert (maps["classes"][:20] == IGNORE).all()
    assert set(maps["classes"][20:].unique().tolist()) == {0, 2}
    for bare in ({}, {"boxes": torch.zeros((0, 4)), "labels": torch.zeros(0, dtype=torch.int64)}):
        made, known = ChangedMasks((40, 40), "cells")(image, bare)
        assert known["masks"].shape == (0, 40, 40)
        assert known["boxes"].shape == (0, 4)
        assert made.shape == (1, 40, 40)
    with pytest.raises(DataError, match="boxes but no masks"):
        ChangedMasks((40, 40), "none")(image, {"boxes": torch.zeros((1, 4))})


def coco(folder, polygons, masks=True):
    """A folder as COCO writes it, a picture with polygons in each of three."""
    (folder / "images").mkdir(parents=True)
    said = []
    for i in range(3):
        picture = Image.new("RGB", (40, 30))
        for polygon in polygons:
            ImageDraw.Draw(picture).polygon(polygon, fill="white")
            x, y = np.array(polygon).T
            box = [min(x), min(y), max(x) - min(x), max(y) - min(y)]
            said.append({
                "id": len(said) + 1, "image_id": i + 1, "category_id": 1, "iscrowd": 0,
                "bbox": [int(v) for v in box], "area": 50,
                **({"segmentation": [np.ravel(polygon).tolist()]} if masks else {}),
            })  # fmt: skip
        picture.save(folder / f"images/{i}.png")
    whole = {
        "images": [{"id": i + 1, "file_name": f"{i}.png", "width": 40, "height": 30}
                   for i in range(3)],
        "categories": [{"id": 1, "name": "cell"}], "annotations": said,
    }  # fmt: skip
    (folder / "annotations.json").write_text(json.dumps(whole))
    data = sightline.load_data(folder)
    return data.with_rows({"train": np.arange(3)})


def test_overlaps_are_counted_where_they_cannot_be_represented(tmp_path):
    square = [(5, 5), (20, 5), (20, 20), (5, 20)]
    shifted = [(x + 8, y + 4) for x, y in square]
    beside = [(30, 5), (38, 5), (38, 12), (30, 12)]
    both = coco(tmp_path / "both", [square, shifted, beside])
    (line,) = overlapping(both.train, "unet-watershed")
    assert line.startswith("6 of 9 training objects overlap others, in 3 pictures: unet-watershed")
    assert overlapping(coco(tmp_path / "apart", [square, beside]).train, "unet-watershed") == []


def test_boxes_without_masks_cannot_be_learned_from(tmp_path):
    data = coco(tmp_path / "boxes", [[(5, 5), (20, 5), (20, 20), (5, 20)]], masks=False)
    with pytest.raises(DataError, match=r"no annotation for instances|no object with a mask"):
        InstanceSegmenter.check(data.train)
    with pytest.raises(UnknownNameError, match="augment"):
        sightline.create_model("unet-watershed", augment="mosaic")


def test_boxes_that_reach_into_the_filling_keep_the_shape_of_their_masks():
    """A mask that is half in the picture is cut there, not squeezed."""
    mask = torch.zeros(1, 28, 28)
    mask[:, :, :14] = 1  # the left half of the box, which is outside
    said = {
        "boxes": torch.tensor([[0.0, 10, 40, 30]]), "scores": torch.tensor([0.9]),
        "labels": torch.tensor([0]), "masks": mask,
    }  # fmt: skip
    frame = Frame((40, 24), (1.0, 1.0), (0.0, 10.0))  # the picture fills columns 10 to 34
    masks = answer(said, frame, ("a",))
    assert masks.boxes[0].tolist() == pytest.approx([0, 10, 10, 30], abs=1)
    assert len(answer(said | {"boxes": torch.tensor([[0.0, 10, 8, 30]])}, frame, ("a",))) == 0


def test_a_comparison_without_a_budget_has_a_method():
    data = sightline.load_data("shapes:count=12,size=64")
    assert "unet-watershed" in compare.ladder(data, budget=None, task="instances")[0]


def test_other_semantic_networks_and_cocos_weights_are_methods_by_name():
    card = registry.card("watershed:unet")
    assert (card.task, card.arguments["network"]) == ("instances", "unet")
    coco_card = registry.card("coco:mask-rcnn")
    assert (coco_card.task, coco_card.recipe["weights"]) == ("instances", "coco")
    assert coco_card.arguments == {"frozen": True, "epsilon": 0.0}
    assert registry.card("coco:faster-rcnn").task == "detect"
    with pytest.raises(UnknownNameError, match="unet-lite"):
        registry.card("watershed:unet-light")
    with pytest.raises(UnknownNameError, match="mask-rcnn"):
        registry.card("coco:mask-rcn")
