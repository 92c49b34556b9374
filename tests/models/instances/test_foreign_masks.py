"""torchvision's Mask R-CNNs as methods: losses, masks, weights from COCO, and through a run."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.models import get_model
from torchvision.models.detection.roi_heads import paste_masks_in_image

import sightline
from sightline.models import registry
from sightline.models.instances import foreign, published

NAME, SIDE = "maskrcnn_resnet50_fpn", (64, 96)


@pytest.fixture(scope="module")
def pair():
    """Ours, and torchvision's with the same weights, for 2 classes."""
    torch.manual_seed(0)
    ours = foreign.torchvision_network(2, 3, SIDE, name=NAME)
    with torch.no_grad():
        ours.network.roi_heads.box_predictor.cls_score.bias.fill_(0.0)
    theirs = get_model(
        NAME, weights=None, weights_backbone=None, num_classes=3, image_mean=[0.0] * 3,
        image_std=[1.0] * 3, min_size=min(SIDE), max_size=10**4,
    )  # fmt: skip
    theirs.load_state_dict({k.removeprefix("network."): t for k, t in ours.state_dict().items()})
    return ours, theirs


def test_losses_are_torchvisions(pair):
    x = torch.rand(2, 3, *SIDE)
    masks = torch.zeros(2, *SIDE, dtype=torch.bool)
    masks[0, 6:50, 5:40] = True  # the second object has no pixel, and no area
    box = torch.tensor([[5.0, 6.0, 40.0, 50.0], [9.0, 9.0, 9.0, 30.0]])
    none = {
        "boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64),
        "masks": torch.zeros(0, *SIDE, dtype=torch.bool),
    }  # fmt: skip
    targets = [{"boxes": box, "labels": torch.tensor([0, 1]), "masks": masks}, none]
    shifted = [
        {"boxes": t["boxes"][:1], "labels": t["labels"][:1] + 1, "masks": t["masks"][:1].byte()}
        for t in targets
    ]
    said = []
    for network, known, images in zip(pair, (targets, shifted), (x, list(x)), strict=True):
        network.train()
        torch.manual_seed(1)
        said.append(network(images, known))
    assert said[0]["loss_mask"] > 0
    torch.testing.assert_close(*said)


def test_masks_stay_in_their_boxes_and_are_torchvisions(pair):
    x = torch.rand(1, 3, *SIDE)
    with torch.no_grad():
        (mine,), (other,) = (n.eval()(i) for n, i in zip(pair, (x, list(x)), strict=True))
    real = other["labels"] > 0
    assert real.sum() > 0
    assert mine["masks"].shape[1:] == (28, 28)
    torch.testing.assert_close(mine["scores"], other["scores"][real])
    pasted = paste_masks_in_image(mine["masks"][:, None], mine["boxes"], SIDE)
    torch.testing.assert_close(pasted, other["masks"][real])


def test_it_is_a_method_of_its_task(tmp_path):
    assert foreign.networks() == ["maskrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn_v2"]
    for name in foreign.networks():
        card = registry.card(f"torchvision:{name}")
        assert (str(card.task), card.rung) == ("instances", False)
    assert registry.card(f"coco:torchvision:{NAME}").recipe["weights"] == "coco"
    data = sightline.load_data("shapes:count=10,size=64")
    model = sightline.create_model(
        f"torchvision:{NAME}", data, epochs=0.25, batch_size=2, device="cpu", workers=0
    )
    model.fit(data.train)
    image = data.test[0].image
    (one,) = model.predict([image])
    (again,) = sightline.load_model(model.save(tmp_path / "run")).predict([image])
    np.testing.assert_array_equal(one.labels, again.labels)
    assert one.rle == again.rle


def test_weights_from_coco_are_those_of_torchvisions_file(monkeypatch, pair):
    network = get_model(NAME, weights=None, weights_backbone=None, num_classes=91)
    seen = []

    def state_of(about):
        seen.append(about)
        return network.state_dict()

    monkeypatch.setattr("sightline.models.detect.published.state_of", state_of)
    ours = foreign.torchvision_network(1, 3, SIDE, name=NAME)
    brought = published.load_published(f"torchvision:{NAME}", ours, ("person",))
    assert (brought.fresh, brought.metrics) == ((), {"ap": 34.6})
    assert seen[0].url.endswith("maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth")
    key = "roi_heads.mask_predictor.mask_fcn_logits.weight"
    torch.testing.assert_close(ours.network.state_dict()[key], network.state_dict()[key][:2])
