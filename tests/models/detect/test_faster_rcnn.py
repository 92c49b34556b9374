"""Faster R-CNN is torchvision's under one state dict, and its small form learns."""

from __future__ import annotations

import pytest
import torch
from torchvision.models.detection import FasterRCNN as Theirs
from torchvision.models.detection import fasterrcnn_resnet50_fpn
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork, LastLevelMaxPool

from sightline.errors import ParameterError
from sightline.models.classify.efficientnet_lite import efficientnet_lite0
from sightline.models.classify.resnet import resnet50
from sightline.models.detect import faster_rcnn as ours
from sightline.models.detect.answers import Answering
from sightline.models.detect.fast_rcnn import fast_rcnn
from sightline.models.detect.pyramid import FeaturePyramid
from sightline.models.detect.roi_heads import RegionPool, image_of
from sightline.models.head import heads_of

CLASSES, SIDE = 5, 96


def drawn(model):
    """A random state dict under which there are proposals of every size, and sure answers."""
    random = torch.Generator().manual_seed(0)
    state = {}
    for key, tensor in model.state_dict().items():
        if key.endswith("running_var"):
            state[key] = torch.rand(tensor.shape, generator=random) + 0.5
        elif tensor.ndim > 1:
            factors = {"cls_logits": 3.0, "bbox_pred": 0.3, "cls_score": 10.0}
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
        theirs, own = Theirs(backbone, 1 + CLASSES, **same), ours.faster_rcnn(CLASSES)
    state = drawn(theirs)
    theirs.load_state_dict(state, assign=True)
    own.load_state_dict(state, assign=True)
    # Not in the state dict: left on the meta device.
    theirs.rpn.anchor_generator.cell_anchors = [
        a.to("cpu") for a in type(theirs.rpn.anchor_generator)(
            ((32,), (64,), (128,), (256,), (512,)), ((0.5, 1.0, 2.0),) * 5
        ).cell_anchors
    ]  # fmt: skip
    return own, theirs


def batch(objects, seed=0):
    """Standardised images with so many objects each, labels from 0."""
    random = torch.Generator().manual_seed(seed)
    images = torch.randn(len(objects), 3, SIDE, SIDE, generator=random)
    targets = []
    for n in objects:
        corner = torch.rand(n, 2, generator=random) * 0.6
        side = 0.05 + torch.rand(n, 2, generator=random) * 0.35
        targets.append({
            "boxes": torch.cat((corner, corner + side), 1) * SIDE,
            "labels": torch.randint(CLASSES, (n,), generator=random),
        })  # fmt: skip
    return images, targets


def shifted(targets):
    return [{"boxes": t["boxes"].clone(), "labels": t["labels"] + 1} for t in targets]


BATCHES = [
    pytest.param([4], id="one"),
    pytest.param([0], id="one without an object"),
    pytest.param([3, 0, 7], id="three, one without an object"),
]


@pytest.mark.parametrize("objects", BATCHES)
def test_losses_equal_torchvisions(pair, objects):
    own, theirs = pair
    images, targets = batch(objects)
    with torch.no_grad():
        torch.manual_seed(7)
        expected = theirs.train()(list(images), shifted(targets))
        torch.manual_seed(7)
        for _ in objects:
            torch.empty(1).uniform_()  # torchvision draws the size of each image first
        losses = own.train()(images, targets)
    assert losses.keys() == expected.keys()
    for name, value in expected.items():
        assert value > 0 or ("box" in name and not sum(objects))
        assert losses[name].item() == pytest.approx(value.item(), abs=1e-4, rel=1e-5)


@pytest.mark.parametrize("objects", BATCHES)
def test_answers_equal_torchvisions(pair, objects):
    own, theirs = pair
    images, _ = batch(objects, seed=1)
    with torch.no_grad():
        mine, expected = own.eval()(images), theirs.eval()(list(images))
    assert len(mine) == len(objects)
    for a, b in zip(mine, expected, strict=True):
        assert len(b["scores"]) > 20
        assert len(b["labels"].unique()) > 1
        assert torch.allclose(a["boxes"], b["boxes"], atol=1e-4, rtol=1e-5)
        assert torch.allclose(a["scores"], b["scores"], atol=1e-4)
        assert torch.equal(a["labels"] + 1, b["labels"])


def test_names_and_shapes_are_those_of_torchvisions_own_builder():
    with torch.device("meta"):
        theirs = fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None).state_dict()
        frozen = ours.faster_rcnn().state_dict()
        learned = ours.faster_rcnn(frozen=False).state_dict()
    assert {k: v.shape for k, v in learned.items()} == {k: v.shape for k, v in theirs.items()}
    assert set(theirs) - set(frozen) == {k for k in theirs if k.endswith("num_batches_tracked")}


def test_the_pyramid_is_torchvisions():
    theirs = FeaturePyramidNetwork([8, 16, 32], 12, LastLevelMaxPool())
    own = FeaturePyramid([8, 16, 32], 12)
    own.load_state_dict(theirs.state_dict())
    maps = [torch.randn(2, 8 * 2**k, 21 // 2**k, 13 // 2**k) for k in range(3)]
    expected = theirs({str(k): m for k, m in enumerate(maps)})
    for a, b in zip(own(maps), expected.values(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_regions_are_pooled_from_torchvisions_maps():
    maps = [torch.randn(2, 4, 64 // 2**k, 64 // 2**k) for k in range(4)]
    random = torch.Generator().manual_seed(0)
    corner = torch.rand(40, 2, generator=random) * 128
    boxes = torch.cat((corner, corner + torch.rand(40, 2, generator=random) ** 3 * 128), 1) * 4
    parts = [boxes[:25], boxes[25:]]
    own = RegionPool()(
        [m.repeat_interleave(1, 0) for m in maps], boxes, image_of(parts), (256, 256)
    )
    theirs = MultiScaleRoIAlign(["0", "1", "2", "3"], 7, 2)
    expected = theirs({str(k): m for k, m in enumerate(maps)}, parts, [(256, 256)] * 2)
    assert torch.allclose(own, expected, atol=1e-5)


def test_half_precision_leaves_the_corners_of_regions_whole():
    maps = [torch.randn(1, 4, 64 // 2**k, 64 // 2**k) for k in range(2)]
    boxes = torch.tensor([[3.3, 5.7, 200.3, 91.9], [130.4, 7.3, 255.1, 250.2]])
    pool, images = RegionPool(), torch.zeros(2, dtype=torch.long)
    half = [m.bfloat16() for m in maps]
    own = pool(half, boxes, images, (256, 256))
    assert own.dtype == torch.bfloat16
    expected = pool([m.float() for m in half], boxes, images, (256, 256))
    assert torch.equal(own, expected.bfloat16())


def test_half_of_the_objects_without_area_teach_nothing(pair):
    own, _ = pair
    images, targets = batch([3, 2])
    flat = [
        {
            "boxes": torch.cat((t["boxes"], torch.tensor([[5.0, 5, 5, 20], [0, 0, 0, 0]]))),
            "labels": torch.cat((t["labels"], torch.tensor([0, 1]))),
        }
        for t in targets
    ]
    with torch.no_grad():
        said = own.train().outputs(images)
        both = []
        for known in (targets, flat):
            torch.manual_seed(0)
            both.append(own.losses(said, known))
    assert both[0] == both[1]


@pytest.mark.parametrize(
    ("build", "classifier"),
    [
        (ours.faster_rcnn_small, efficientnet_lite0), (fast_rcnn, efficientnet_lite0),
        (ours.faster_rcnn, resnet50), (lambda n: ours.faster_rcnn(n, frozen=False), resnet50),
    ],
)  # fmt: skip
def test_a_classifier_fills_the_body(build, classifier):
    with torch.device("meta"):
        model, source = build(CLASSES), classifier()
    given = model.from_classifier(source.state_dict())
    own = {k: v for k, v in model.state_dict().items() if k.startswith("backbone.body.")}
    assert set(given) == set(own)
    assert all(own[k].shape == v.shape for k, v in given.items())


@pytest.mark.parametrize("side", [64, 100, 128, 300, 416])
def test_the_small_form_takes_any_size(side):
    with torch.device("meta"):
        model = ours.faster_rcnn_small(CLASSES, 3, side).eval()
        maps = model.backbone(torch.zeros(2, 3, side, side))
    assert set(heads_of(model)) == set(model.head_names)
    strides = model.rpn.anchors.strides
    assert [m.shape[2] for m in maps] == [-(-side // s) for s in strides]
    assert strides[0] == (4 if side <= 192 else 8)
    places = [(m.shape[2], m.shape[3]) for m in maps]
    anchors = model.rpn.anchors(places, (side, side))
    assert len(anchors) == sum(h * w * 6 for h, w in places)
    first = anchors[: places[0][0] * places[0][1] * 6].view(*places[0], 6, 4)
    moved = first[1:, 1:] - first[:-1, :-1]
    assert (moved == strides[0]).all()


def scenes(n):
    """Images of one bright square each, label 0 or 1 by its colour; every other has none."""
    random = torch.Generator().manual_seed(0)
    images, targets = torch.randn(n, 3, 64, 64, generator=random) * 0.1, []
    for i in range(n):
        x, y = torch.randint(4, 36, (2,), generator=random).tolist()
        empty, label = i % 2, i // 2 % 2
        if not empty:
            images[i, label, y : y + 20, x : x + 24] += 2
        boxes = [] if empty else [[x, y, x + 24, y + 20]]
        targets.append({
            "boxes": torch.tensor(boxes, dtype=torch.float32).view(-1, 4),
            "labels": torch.tensor([] if empty else [label], dtype=torch.long),
        })  # fmt: skip
    return images, targets


def trained(steps=45):
    torch.manual_seed(0)
    model = ours.faster_rcnn_small(2, 3, 64).train()
    images, targets = scenes(8)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        sum(model(images, targets).values()).backward()
        optimizer.step()
    return model, images, targets


@pytest.fixture(scope="module")
def learned():
    model, images, targets = trained()
    return model.eval(), images, targets


def test_half_of_the_images_without_an_object_and_it_learns_all(learned):
    """Label 0 is a class, and an image without an object is background."""
    model, images, targets = learned
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):  # 8 images: as they are, not as they were
                layer.train()
        answers = model(images)
    model.eval()
    for target, answer in zip(targets, answers, strict=True):
        sure = answer["scores"] > 0.5
        assert answer["labels"][sure].tolist() == target["labels"].tolist()
        assert torch.allclose(answer["boxes"][sure], target["boxes"], atol=4)


def test_two_trainings_with_one_seed_have_equal_bits():
    once, again = (trained(2)[0].state_dict() for _ in "ab")
    assert all(torch.equal(once[key], again[key]) for key in once)


def test_a_batch_equals_its_images_and_most_answers_are_kept_to(learned):
    model, images, _ = learned
    model.answering = Answering(0.0, 1.0, 300, 7)
    with torch.no_grad():
        together = model(images[:3])
        alone = [model(image[None])[0] for image in images[:3]]
    model.answering = Answering(0.01, 0.5, 300, 100)
    assert {len(a["scores"]) for a in together} == {7}
    for a, b in zip(together, alone, strict=True):
        assert torch.allclose(a["scores"], b["scores"], atol=1e-4)


def test_training_needs_a_target_for_each_image():
    with torch.device("meta"):
        model = ours.faster_rcnn_small(2, 3, 64).train()
    with pytest.raises(ParameterError, match="2 images, none given"):
        model(torch.zeros(2, 3, 64, 64, device="meta"))
