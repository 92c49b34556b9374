"""Mask R-CNN is torchvision's under one state dict, and its small form learns."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
import torch
from torchvision.models.detection import MaskRCNN as Theirs
from torchvision.models.detection import maskrcnn_resnet50_fpn
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

from sightline.models.detect.published import coco_outputs
from sightline.models.instances import mask_rcnn as ours
from sightline.models.instances import published

CLASSES, SIDE = 3, 64


def drawn(model):
    """A random state dict under which there are proposals of every size, and sure answers."""
    random = torch.Generator().manual_seed(0)
    factors = {"cls_logits": 3.0, "bbox_pred": 0.3, "cls_score": 10.0, "mask_fcn": 4.0}
    state = {}
    for key, tensor in model.state_dict().items():
        if key.endswith("running_var"):
            state[key] = torch.rand(tensor.shape, generator=random) + 0.5
        elif tensor.ndim > 1:
            factor = next((f for part, f in factors.items() if part in key), 1.0)
            bound = factor * (3 / tensor[0].numel()) ** 0.5
            state[key] = (torch.rand(tensor.shape, generator=random) * 2 - 1) * bound
            if "cls_score" in key:  # else one class is the answer for all
                state[key] -= state[key].mean(1, keepdim=True)
        elif ("bn" in key and key.endswith("weight")) or "downsample.1.weight" in key:
            state[key] = torch.rand(tensor.shape, generator=random) * 0.5 + 0.5
        else:
            state[key] = torch.randn(tensor.shape, generator=random) * 0.1
    return state


@pytest.fixture(scope="module")
def pair():
    with torch.device("meta"):
        backbone = resnet_fpn_backbone(backbone_name="resnet50", weights=None, trainable_layers=5)
        same = {"min_size": SIDE, "max_size": SIDE, "image_mean": [0.0] * 3, "image_std": [1.0] * 3}
        theirs, own = Theirs(backbone, 1 + CLASSES, **same), ours.mask_rcnn(CLASSES)
    state = drawn(theirs)
    theirs.load_state_dict(state, assign=True)
    own.load_state_dict(state, assign=True)
    # Not in the state dict: left on the meta device.
    anchors = theirs.rpn.anchor_generator
    anchors.cell_anchors = type(anchors)(
        ((32,), (64,), (128,), (256,), (512,)), ((0.5, 1.0, 2.0),) * 5
    ).cell_anchors
    # What comes then enlarges the masks to the pictures: see test_answers.py.
    theirs.transform.postprocess = lambda said, *sizes: said
    theirs.roi_heads.detections_per_img = 60
    own.answering = replace(own.answering, most=60)
    return own, theirs


def batch(objects, seed=0):
    """Standardised images with so many elliptic objects each, labels from 0."""
    random = torch.Generator().manual_seed(seed)
    images = torch.randn(len(objects), 3, SIDE, SIDE, generator=random)
    grid = torch.arange(SIDE) + 0.5
    targets = []
    for n in objects:
        corner = torch.rand(n, 2, generator=random) * 0.6
        side = 0.08 + torch.rand(n, 2, generator=random) * 0.32
        boxes = torch.cat((corner, corner + side), 1) * SIDE
        middle, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
        x, y = ((grid - middle[:, i, None]) / half[:, i, None] for i in (0, 1))
        labels = torch.randint(CLASSES, (n,), generator=random)
        masks = x[:, None] ** 2 + y[:, :, None] ** 2 <= 1
        targets.append({"boxes": boxes, "labels": labels, "masks": masks})
    return images, targets


BATCHES = [pytest.param([0], id="no object"), pytest.param([3, 0, 6], id="three, one without")]


@pytest.mark.parametrize("objects", BATCHES)
def test_losses_equal_torchvisions(pair, objects):
    own, theirs = pair
    images, targets = batch(objects)
    shifted = [
        {"boxes": t["boxes"].clone(), "labels": t["labels"] + 1, "masks": t["masks"].byte()}
        for t in targets
    ]
    with torch.no_grad():
        torch.manual_seed(7)
        expected = theirs.train()(list(images), shifted)
        torch.manual_seed(7)
        for _ in objects:
            torch.empty(1).uniform_()  # torchvision draws the size of each image first
        losses = own.train()(images, targets)
    assert losses.keys() == expected.keys()
    assert (losses["loss_mask"] > 0.1) == bool(sum(objects))
    for name, value in expected.items():
        assert losses[name].item() == pytest.approx(value.item(), abs=1e-4, rel=1e-5)


def test_answers_equal_torchvisions(pair):
    own, theirs = pair
    images, _ = batch([0, 0], seed=1)
    with torch.no_grad():
        mine, expected = own.eval()(images), theirs.eval()(list(images))
    for a, b in zip(mine, expected, strict=True):
        assert len(b["scores"]) > 20
        assert len(b["labels"].unique()) > 1
        assert torch.equal(a["labels"] + 1, b["labels"])
        assert torch.allclose(a["boxes"], b["boxes"], atol=1e-4, rtol=1e-5)
        assert torch.allclose(a["scores"], b["scores"], atol=1e-4)
        assert b["masks"].shape[1:] == (1, 28, 28)
        assert torch.allclose(a["masks"], b["masks"][:, 0], atol=1e-4)
        assert 0.1 < (a["masks"] > 0.5).float().mean() < 0.9


def test_names_and_shapes_are_those_of_torchvisions_own_builder():
    with torch.device("meta"):
        theirs = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None).state_dict()
        learned = ours.mask_rcnn(frozen=False).state_dict()
    assert {k: v.shape for k, v in learned.items()} == {k: v.shape for k, v in theirs.items()}


def test_an_image_without_an_answer_has_no_mask():
    torch.manual_seed(0)
    model = ours.mask_rcnn_small(2, 3, 32).eval()
    with torch.no_grad():
        model.roi_heads.box_predictor.cls_score.bias[0] = 50.0
        (answer,) = model(torch.randn(1, 3, 32, 32))
    assert answer["masks"].shape == (0, 28, 28)


@pytest.mark.slow
def test_the_small_form_learns_a_mask_that_is_not_its_box():
    torch.manual_seed(0)
    model = ours.mask_rcnn_small(2, 3, 32).train()
    mask = torch.zeros(1, 32, 32, dtype=torch.bool)
    mask[0, 6:26, 6:26] = True
    mask[0, 6:16, 6:16] = False  # a corner is missing
    images = torch.zeros(2, 3, 32, 32)
    images[0] = 2.0 * mask[0]
    box, none = torch.tensor([[6.0, 6, 26, 26]]), torch.zeros(0, dtype=torch.long)
    targets = [
        {"boxes": box, "labels": none.new_zeros(1), "masks": mask},
        {"boxes": box[:0], "labels": none, "masks": mask[:0]},
    ]
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(25):
        losses = model(images, targets)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
    maps, one = model.backbone(images), torch.zeros(1, dtype=torch.long)
    with torch.no_grad():
        (seen,) = model.roi_heads.masks_of(maps[:-1], box, one, one, (32, 32))
    assert seen[:12, :12].mean() < 0.3 < 0.7 < seen[16:].mean()


def test_cocos_weights_are_taken_by_the_names_of_the_classes(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("SIGHTLINE_HOME", str(tmp_path / "home"))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    with torch.device("meta"):
        shapes = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None).state_dict()
    about = published.NETWORKS["mask-rcnn"]
    assert about.ap == 34.6
    assert about.url.endswith("maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth")
    state = {
        k: torch.rand(v.shape) if k.startswith("roi_heads.mask") or v.ndim < 1 or "fc" not in k
        else torch.rand(v.shape[:1] + (1,) * (v.ndim - 1)).expand(v.shape)
        for k, v in shapes.items()
    }  # fmt: skip
    path = folder / about.url.rpartition("/")[2]
    torch.save(state, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    monkeypatch.setattr(published, "NETWORKS", {"mask-rcnn": replace(about, sha256=digest)})
    model, names = ours.mask_rcnn(2), coco_outputs()
    assert published.load_published("mask-rcnn", model, ("dog", "person")).fresh == ()
    last = "roi_heads.mask_predictor.mask_fcn_logits.weight"
    rows = [0, names.index("dog"), names.index("person")]
    assert torch.equal(model.state_dict()[last], state[last][rows])
    brought = published.load_published("mask-rcnn", model, ("dog", "nucleus"))
    assert last in brought.fresh
    assert not [k for k in brought.fresh if "mask_head" in k]
